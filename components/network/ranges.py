"""The address ranges of a network and of the subnets in it."""

import ipaddress

LARGEST_PREFIX = 16
"""AWS allows a VPC of /16 at most (VPC user guide, "VPC CIDR blocks")."""
SMALLEST_PREFIX = 20
"""Below /20 the public subnets would be smaller than the /28 that AWS allows."""
SMALLEST_PREFIX_OF_MANY_ZONES = 18
"""From the fourth zone on a private subnet is a sixteenth of the VPC; below /22 it is too small for pods and EFA."""
MOST_ZONES = 6
"""How many zones the ranges of a VPC have room for."""
WHOLE_SHARE_ZONES = 3
"""How many zones have a quarter of the VPC each for their private subnet."""
PRIVATE_RANGES = tuple(ipaddress.IPv4Network(one) for one in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
"""RFC 1918, and nothing else of what `is_private` calls private."""
CONTAINER_RANGE = ipaddress.IPv4Network("172.17.0.0/16")
"""The bridge of the container engine on every ECS and Batch instance (VPC user guide, "VPC CIDR blocks")."""


def private_range(cidr: ipaddress.IPv4Network, zone_index: int) -> ipaddress.IPv4Network:
    """The private subnet of a zone: a quarter of the VPC each for the first three, a sixteenth each for the others.

    It depends on nothing but the zone's place, so that adding a zone leaves the others as they are.
    """
    *whole, last = cidr.subnets(prefixlen_diff=2)
    return [*whole, *last.subnets(prefixlen_diff=2)][zone_index]


def public_range(cidr: ipaddress.IPv4Network, zone_index: int) -> ipaddress.IPv4Network:
    """The public subnet of a zone, for NAT and load balancers: 1/256 of the VPC, from its last sixteenth."""
    return list(list(cidr.subnets(prefixlen_diff=4))[-1].subnets(prefixlen_diff=4))[zone_index]
