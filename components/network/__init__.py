"""The network: a VPC with its subnets and ways out, or one that was there before.

It may import the other components.
"""

from components.network.deployed import DeployedNetwork
from components.network.endpoints import EndpointFacts, Needs, for_secrets
from components.network.network import Network
from components.network.ranges import private_range, public_range
from components.network.security_groups import let_members_talk
from components.network.settings import NetworkFacts, NetworkSettings
from components.network.zones import ZoneName, Zones, availability_zones

__all__ = [
    "DeployedNetwork",
    "EndpointFacts",
    "Needs",
    "Network",
    "NetworkFacts",
    "NetworkSettings",
    "ZoneName",
    "Zones",
    "availability_zones",
    "for_secrets",
    "let_members_talk",
    "private_range",
    "public_range",
]
