"""Who is calling, and where: AWS STS, the region, the partition and the availability zones."""

from collections.abc import Mapping
from functools import cache
from typing import Any, cast

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


@answers("aws:index/getRegion:getRegion", lasting=True)
def get_region(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The region that is asked for, else this one."""
    region = inputs.get("region") or inputs.get("name") or aws.region
    return {
        "description": _regions()[region]["description"],
        "endpoint": f"ec2.{region}.amazonaws.com",
        "id": region,
        "name": region,
        "region": region,
    }


@answers("aws:index/getDefaultTags:getDefaultTags")
def get_default_tags(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What the provider tags everything with."""
    del inputs
    return {"id": aws.partition, "tags": dict(aws.default_tags)}


@answers("aws:index/getPartition:getPartition")
def get_partition(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The partition of AWS in which the region lies."""
    del inputs
    return {
        "dnsSuffix": "amazonaws.com",
        "id": aws.partition,
        "partition": aws.partition,
        "reverseDnsPrefix": "com.amazonaws",
    }


@answers("aws:index/getAvailabilityZones:getAvailabilityZones", needs="ec2:DescribeAvailabilityZones", lasting=True)
def get_availability_zones(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The zones of the region in the state that is asked for, in the order of their names."""
    filters = list(inputs.get("filters") or [])
    if state := inputs.get("state"):
        filters.append({"name": "state", "values": [state]})
    found = call(
        aws.client("ec2"),
        "describe_availability_zones",
        {"allAvailabilityZones": inputs.get("allAvailabilityZones"), "filters": filters},
    )["AvailabilityZones"]
    excluded: set[str] = {*(inputs.get("excludeNames") or ()), *(inputs.get("excludeZoneIds") or ())}
    zones = sorted(
        (zone for zone in found if not excluded & {zone["ZoneName"], zone["ZoneId"]}), key=lambda zone: zone["ZoneName"]
    )
    return {
        # moto names no group; that of an ordinary zone is the region
        "groupNames": sorted({zone.get("GroupName", aws.region) for zone in zones}),
        "id": aws.region,
        "names": [zone["ZoneName"] for zone in zones],
        "zoneIds": [zone["ZoneId"] for zone in zones],
    }


@cache
def _regions() -> dict[str, dict[str, str]]:
    """Region -> what botocore knows of it; to ask moto, as one would ask AWS, takes most of a second."""
    import botocore.session  # here, because a preview that knows the region's name needs none of it

    known = cast("dict[str, list[dict[str, Any]]]", botocore.session.get_session().get_data("partitions"))
    return {name: region for partition in known["partitions"] for name, region in partition["regions"].items()}
