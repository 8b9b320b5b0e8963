"""The availability zones of a region."""

import pulumi_aws as aws

UNFIT_ZONE_IDS = ("cac1-az3", "use1-az3", "usw1-az2")
"""Zones in which EKS makes no control plane (EKS user guide, "View Amazon EKS networking requirements")."""


def availability_zones() -> list[str]:
    """The region's own availability zones that hold everything a stack may have, by name."""
    return sorted(
        aws.get_availability_zones(
            # whatever their state: a zone that is impaired for an hour must not move the subnets of the others.
            # local and wavelength zones must be opted into, and hold neither NAT nor EKS
            filters=[{"name": "opt-in-status", "values": ["opt-in-not-required"]}],
            exclude_zone_ids=UNFIT_ZONE_IDS,
        ).names
    )
