"""The network: a VPC with its subnets and ways out, or one that was there before.

It may import the other components.
"""

from components.network.deployed import DeployedNetwork
from components.network.network import Network
from components.network.ranges import private_range, public_range
from components.network.security_groups import let_members_talk
from components.network.settings import NetworkSettings
from components.network.zones import ZoneName, Zones, availability_zones

__all__ = [
    "DeployedNetwork",
    "Network",
    "NetworkSettings",
    "ZoneName",
    "Zones",
    "availability_zones",
    "let_members_talk",
    "private_range",
    "public_range",
]
