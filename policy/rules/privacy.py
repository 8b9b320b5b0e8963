"""Private by default: no public address, no ingress from everywhere, no public bucket, IMDSv2 only."""

from collections.abc import Iterator, Sequence

from pulumi_policy import EnforcementLevel, PolicyResource

from . import kinds
from .rule import Property, Resource, each, properties, whole_stack, without


@each(kinds.SUBNET, kinds.INSTANCE, kinds.LAUNCH_TEMPLATE, kinds.ECS_SERVICE)
def no_public_address(resource: Resource) -> Iterator[str]:
    """Nothing that computes has a public IP address, and no subnet hands one out."""
    one = resource.properties
    no = ("false", "nothing")
    match resource.type:
        case kinds.SUBNET:
            yield from one.must_be("mapPublicIpOnLaunch", *no)
        case kinds.INSTANCE:
            yield from one.must_be("associatePublicIpAddress", *no)
        case kinds.ECS_SERVICE:
            yield from one.must_be("networkConfiguration.assignPublicIp", *no)
        case _:
            for interface in one.each("networkInterfaces"):
                yield from interface.must_be("associatePublicIpAddress", *no)


@each(kinds.DEFAULT_SECURITY_GROUP, kinds.SECURITY_GROUP, kinds.SECURITY_GROUP_RULE, kinds.INGRESS_RULE)
def no_ingress_from_everywhere(resource: Resource) -> Iterator[str]:
    """No security group lets traffic in from 0.0.0.0/0 or ::/0."""
    one = resource.properties
    match resource.type:
        case kinds.INGRESS_RULE:
            ranges = [one.at("cidrIpv4"), one.at("cidrIpv6")]
        case kinds.SECURITY_GROUP_RULE:
            ranges = list(_ranges(one)) if one.at("type").value == "ingress" else []
        case _:
            ranges = [found for rule in one.each("ingress") for found in _ranges(rule)]
    yield from (found.wrong("must not allow every address") for found in ranges if _is_everywhere(found))


@each(kinds.EKS_CLUSTER, kinds.EKS_COMPONENT, level=EnforcementLevel.ADVISORY)
def kubernetes_api_is_not_for_everybody(resource: Resource) -> Iterator[str]:
    """The Kubernetes API answers inside the VPC, or outside it only to named address ranges.

    Advisory: the API always requires IAM credentials, and a stack without protection may open it.
    """
    of_component = resource.type == kinds.EKS_COMPONENT
    if of_component and not resource.properties.value:
        return  # the component may come without inputs; the cluster in it always has them
    network = resource.properties if of_component else resource.properties.at("vpcConfig")
    # by default EKS opens the endpoint, and to everybody
    if network.at("endpointPublicAccess").value in (True, None):
        if network.at("publicAccessCidrs").value in (None, []):
            yield network.at("publicAccessCidrs").wrong("must name the ranges with endpointPublicAccess true")
        for found in network.each("publicAccessCidrs"):
            if _is_everywhere(found):
                yield found.wrong("must not allow every address")


@whole_stack
def buckets_block_public_access(resources: Sequence[PolicyResource]) -> Iterator[tuple[PolicyResource, str]]:
    """Every bucket has all four blocks against public access."""
    yield from without(resources, kinds.BUCKET_PUBLIC_ACCESS_BLOCK, key="bucket", of=kinds.BUCKET)
    for one in resources:
        if one.resource_type == kinds.BUCKET_PUBLIC_ACCESS_BLOCK:
            for key in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"):
                yield from ((one, line) for line in properties(one.props).must_be(key, "true"))


@each(kinds.LAUNCH_TEMPLATE, kinds.INSTANCE)
def instances_demand_imdsv2(resource: Resource) -> Iterator[str]:
    """Instances give their role's credentials by IMDSv2 only, and no further than one hop (hop limit 1)."""
    yield from resource.properties.must_be("metadataOptions.httpTokens", "required")
    yield from resource.properties.must_be("metadataOptions.httpPutResponseHopLimit", "1")


def _ranges(rule: Property) -> Iterator[Property]:
    yield from rule.each("cidrBlocks")
    yield from rule.each("ipv6CidrBlocks")


def _is_everywhere(found: Property) -> bool:
    return isinstance(found.value, str) and found.value.endswith("/0")
