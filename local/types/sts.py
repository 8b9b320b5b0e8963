"""AWS STS: who is calling; also the region, the partition and the availability zones."""

from collections.abc import Mapping
from typing import Any

from local.aws import Aws
from local.parameters import call
from local.record import answers


@answers("aws:index/getCallerIdentity:getCallerIdentity", lasting=True)
def get_caller_identity(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The account and the principal."""
    del inputs
    found = aws.client("sts").get_caller_identity()
    account = found["Account"]
    return {"accountId": account, "arn": found["Arn"], "id": account, "userId": found["UserId"]}


@answers("aws:index/getRegion:getRegion")
def get_region(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The region of this AWS."""
    del inputs
    return {"endpoint": f"ec2.{aws.region}.{aws.dns_suffix}", "id": aws.region, "region": aws.region}


@answers("aws:index/getDefaultTags:getDefaultTags")
def get_default_tags(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The tags that the provider gives every resource."""
    del inputs
    return {"id": aws.partition, "tags": dict(aws.default_tags)}


@answers("aws:index/getPartition:getPartition")
def get_partition(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The partition of AWS in which the region lies."""
    del inputs
    return {
        "dnsSuffix": aws.dns_suffix,
        "id": aws.partition,
        "partition": aws.partition,
        "reverseDnsPrefix": ".".join(reversed(aws.dns_suffix.split("."))),
    }


@answers("aws:index/getAvailabilityZones:getAvailabilityZones", needs="ec2:DescribeAvailabilityZones", lasting=True)
def get_availability_zones(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The zones of the region that match the filters, in the order of their names."""
    left_out: list[str] = inputs.get("excludeZoneIds") or []
    found = call(aws.client("ec2"), "describe_availability_zones", inputs, leave=("excludeZoneIds",))
    zones = sorted(
        (zone for zone in found["AvailabilityZones"] if zone["ZoneId"] not in left_out),
        key=lambda zone: zone["ZoneName"],
    )
    return {
        "id": aws.region,
        "names": [zone["ZoneName"] for zone in zones],
        "zoneIds": [zone["ZoneId"] for zone in zones],
    }
