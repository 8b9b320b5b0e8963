"""The network: a VPC with its subnets and ways out, or one that was there before.

It may import the other components.
"""

from components.network.network import Network
from components.network.ranges import private_range, public_range
from components.network.security_groups import let_members_talk
from components.network.settings import NetworkSettings
from components.network.there import ADOPTED_VPC
from components.network.zones import availability_zones

__all__ = [
    "ADOPTED_VPC",
    "Network",
    "NetworkSettings",
    "availability_zones",
    "let_members_talk",
    "private_range",
    "public_range",
]
