"""Amazon EC2 and its networks (API; VPC user guide, "Amazon VPC quotas")."""

import base64
import binascii
import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any

from local.checks import policies
from local.checks.plain import is_object, missing, number, objects, wrong
from local.checks.references import Known
from local.checks.rules import Checks, Inputs, Rule, at_most, conflicting, given, matching, not_matching, one_of, within
from local.engine import UNKNOWN

GATEWAY = "aws:ec2/internetGateway:InternetGateway"
ASSOCIATION = "aws:ec2/routeTableAssociation:RouteTableAssociation"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
OLDER_RULE = "aws:ec2/securityGroupRule:SecurityGroupRule"

RULES_PER_GROUP = 60
"""In each direction."""
LARGEST_USER_DATA_BYTES = 16 * 1024
"""Before it is encoded (EC2 user guide, "Run commands when you launch an EC2 instance")."""
GATEWAY_SERVICES = ("dynamodb", "s3")
TEXT = r"[A-Za-z0-9 ._\-:/()#,@\[\]+=&;{}!$*]*"
"""What names and descriptions of security groups may hold (EC2 API, `CreateSecurityGroup`)."""
TEXT_WORDS = "Valid texts are strings less than 256 characters from the following set: a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*"
SOURCES = ("cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId")
DESTINATIONS = ("destinationCidrBlock", "destinationIpv6CidrBlock", "destinationPrefixListId")
TARGETS = (
    "carrierGatewayId",
    "coreNetworkArn",
    "egressOnlyGatewayId",
    "gatewayId",
    "localGatewayId",
    "natGatewayId",
    "networkInterfaceId",
    "transitGatewayId",
    "vpcEndpointId",
    "vpcPeeringConnectionId",
)
IOPS = {"gp3": (3000, 80_000), "io1": (100, 64_000), "io2": (100, 256_000)}
"""Type of volume -> operations per second that it may have (EBS user guide, "Amazon EBS volume types")."""
SIZES_GIB = {
    "gp2": (1, 16_384),
    "gp3": (1, 65_536),
    "io1": (4, 16_384),
    "io2": (4, 65_536),
    "sc1": (125, 16_384),
    "st1": (125, 16_384),
    "standard": (1, 1024),
}
"""Type of volume -> its size."""


def _exactly_one(keys: tuple[str, ...]) -> Rule:
    def rule(inputs: Inputs, known: Known) -> Iterator[str]:
        del known
        there = [key for key in keys if given(inputs, key)]
        if len(there) != 1:
            yield wrong(there[-1] if there else keys[0], f"must be exactly one of {', '.join(keys)}", there)

    return rule


def _second(type_: str, key: str, words: str) -> Rule:
    """No other resource of the type has this value already."""

    def rule(inputs: Inputs, known: Known) -> Iterator[str]:
        value = inputs.get(key)
        if isinstance(value, str) and value != UNKNOWN:
            for registration, _ in known.of(type_):
                if registration.inputs.get(key) == value:
                    yield wrong(key, words, value)
                    return

    return rule


def _block(largest: int, smallest: int, words: str) -> Rule:
    def rule(inputs: Inputs, known: Known) -> Iterator[str]:
        del known
        block = inputs.get("cidrBlock")
        if not isinstance(block, str) or block == UNKNOWN:
            return
        try:
            network = ipaddress.IPv4Network(block)
        except ValueError:
            yield wrong("cidrBlock", "Value for parameter cidrBlock is invalid. This is not a valid CIDR block.", block)
            return
        if not largest <= network.prefixlen <= smallest:
            yield wrong("cidrBlock", words, block)

    return rule


def _ports(inputs: Inputs, known: Known) -> Iterator[str]:
    del known
    protocol = str(inputs.get("ipProtocol", inputs.get("protocol")))
    first, last = number(inputs.get("fromPort")), number(inputs.get("toPort"))
    if protocol in ("tcp", "udp", "6", "17"):
        for key in ("fromPort", "toPort"):
            if inputs.get(key) is None:
                yield missing(key)
            elif (port := number(inputs[key])) is not None and not 0 <= port <= 65_535:
                yield wrong(key, "expected to be in the range (0 - 65535)", inputs[key])
        if first is not None and last is not None and first > last:
            yield wrong("fromPort", f"Invalid TCP/UDP port range ({first:g}:{last:g})", inputs["fromPort"])


def _few_rules(inputs: Inputs, known: Known) -> Iterator[str]:
    """Counts the rule that is about to be made among those of its group and direction."""
    group, direction = inputs.get("securityGroupId"), _direction(inputs)
    if not isinstance(group, str) or group == UNKNOWN:
        return
    others = [
        registration
        for type_ in (INGRESS, EGRESS, OLDER_RULE)
        for registration, _ in known.of(type_)
        if registration.inputs.get("securityGroupId") == group and _direction(registration.inputs, type_) == direction
    ]
    if len(others) >= RULES_PER_GROUP:
        yield wrong(
            "securityGroupId",
            f"The maximum number of rules per security group has been reached ({RULES_PER_GROUP} {direction} rules)",
            group,
        )


def _direction(inputs: Inputs, type_: str | None = None) -> str:
    return {INGRESS: "ingress", EGRESS: "egress"}.get(type_ or "", str(inputs.get("type", "")))


def _few(type_: str, direction: str) -> Rule:
    def rule(inputs: Inputs, known: Known) -> Iterator[str]:
        yield from _few_rules({**inputs, "type": direction}, known)
        rest = {key: value for key, value in inputs.items() if key not in ("tags", "region")}
        for registration, _ in known.of(type_):
            same = {key: value for key, value in registration.inputs.items() if key not in ("tags", "region")}
            if UNKNOWN not in rest.values() and {**rest, "description": None} == {**same, "description": None}:
                yield wrong("securityGroupId", "the specified rule already exists", inputs.get("securityGroupId"))

    return rule


def _endpoint(inputs: Inputs, known: Known) -> Iterator[str]:
    del known
    name, kind = inputs.get("serviceName"), inputs.get("vpcEndpointType", "Gateway")
    if isinstance(name, str) and name != UNKNOWN:
        found = re.fullmatch(
            r"(?:com|aws|cn)\.(?:com\.)?amazonaws\.(?:([a-z]{2}(?:-[a-z]+)+-\d)\.)?(.+)|aws\.(?:api|sagemaker)\..+",
            name,
        )
        # services of AWS PrivateLink have the name of their API, some of them a part behind it
        if found is None or (found[2] and not _is_service(found[2])):
            yield wrong("serviceName", f"The Vpc Endpoint Service '{name}' does not exist", name)
        elif kind == "Gateway" and found[2] not in (*GATEWAY_SERVICES, "s3express"):
            yield wrong(
                "vpcEndpointType",
                f"Endpoint type (Gateway) does not match available service types ([Interface]) of {name}",
                kind,
            )
    if kind == "Gateway":
        for key in ("subnetIds", "securityGroupIds", "privateDnsEnabled"):
            if given(inputs, key):
                yield wrong(key, "goes with an interface endpoint only", inputs[key])
    elif given(inputs, "routeTableIds"):
        yield wrong("routeTableIds", "goes with a gateway endpoint only", inputs["routeTableIds"])


PRIVATE_LINK = {
    "ecr.api",
    "ecr.dkr",
    "ecs-agent",
    "ecs-telemetry",
    "ec2messages",
    "ssmmessages",
    "eks-auth",
    "elasticfilesystem",
    "elasticloadbalancing",
    "execute-api",
    "git-codecommit",
    "monitoring",
    "s3express",
    "sagemaker.api",
    "sagemaker.runtime",
    "states",
    "email-smtp",
    "sync-states",
    "synthetics",
    "cloudwatch",
    "application-autoscaling",
    "autoscaling-plans",
    "evidently",
    "models",
    "servicecatalog",
    "kinesis-streams",
    "kinesis-firehose",
    "rds-data",
    "xray",
}
"""Services that VPC endpoints know by another name than that of their API."""


def _is_service(name: str) -> bool:
    return name in PRIVATE_LINK or name in policies.services() or name.removesuffix("-fips") in policies.services()


def _data(inputs: Inputs, known: Known) -> Iterator[str]:
    del known
    text = inputs.get("userData")
    if isinstance(text, str) and text not in (UNKNOWN, ""):
        try:
            size = len(base64.b64decode(text, validate=True))
        except (binascii.Error, ValueError):
            yield wrong("userData", "Invalid BASE64 encoding of user data.", text)
        else:
            if size > LARGEST_USER_DATA_BYTES:
                yield wrong("userData", f"User data is limited to {LARGEST_USER_DATA_BYTES} bytes", size)


def _template(inputs: Inputs, known: Known) -> Iterator[str]:
    del known
    interfaces = inputs.get("networkInterfaces")
    if interfaces and given(inputs, "vpcSecurityGroupIds"):
        yield wrong(
            "vpcSecurityGroupIds",
            "Network interfaces and an instance-level security groups may not be specified on the same request",
            inputs["vpcSecurityGroupIds"],
        )
    taken: list[tuple[Any, Any]] = []
    for index, interface in enumerate(objects(interfaces)):
        place = (interface.get("networkCardIndex", 0), interface.get("deviceIndex"))
        if place in taken:
            yield wrong(
                f"networkInterfaces[{index}].deviceIndex",
                f"must be another one for each interface of card {place[0]}",
                place[1],
            )
        taken.append(place)
        public = interface.get("associatePublicIpAddress")
        if str(public).lower() == "true" and len(objects(interfaces)) > 1:
            yield wrong(
                f"networkInterfaces[{index}].associatePublicIpAddress",
                "cannot be specified when launching with multiple network interfaces.",
                public,
            )
    for index, mapping in enumerate(inputs.get("blockDeviceMappings") or []):
        disk = mapping.get("ebs")
        if is_object(disk):
            yield from _disk(disk, f"blockDeviceMappings[{index}].ebs")


def _disk(disk: Mapping[str, Any], path: str) -> Iterator[str]:
    kind, size, speed, rate = (disk.get(key) for key in ("volumeType", "volumeSize", "iops", "throughput"))
    if kind in SIZES_GIB and (gib := number(size)) is not None and not SIZES_GIB[kind][0] <= gib <= SIZES_GIB[kind][1]:
        yield wrong(f"{path}.volumeSize", f"must be {SIZES_GIB[kind][0]} to {SIZES_GIB[kind][1]} GiB for {kind}", size)
    if (operations := number(speed)) is not None and kind in SIZES_GIB:
        if kind not in IOPS:
            yield wrong(f"{path}.iops", f"The parameter iops is not supported for {kind} volumes.", speed)
        elif not IOPS[kind][0] <= operations <= IOPS[kind][1]:
            yield wrong(f"{path}.iops", f"must be {IOPS[kind][0]} to {IOPS[kind][1]} for {kind}", speed)
        elif kind == "gp3" and (gib := number(size)) is not None and operations > max(3000, 500 * gib):
            yield wrong(f"{path}.iops", "Iops to volume size ratio must be at most 500", speed)
    if (mib := number(rate)) is not None and kind in SIZES_GIB:
        if kind != "gp3":
            yield wrong(f"{path}.throughput", f"The parameter throughput is not supported for {kind} volumes.", rate)
        elif not 125 <= mib <= 2000:
            yield wrong(f"{path}.throughput", "must be 125 to 2000 MiB/s", rate)
        elif (operations or 3000) >= IOPS["gp3"][0] and mib > (operations or 3000) / 4:
            yield wrong(
                f"{path}.throughput",
                f"Throughput (MiBps) to iops ratio must be at most 0.25 ({operations or 3000:g} iops)",
                rate,
            )


def _log(inputs: Inputs, known: Known) -> Iterator[str]:
    del known
    if inputs.get("logDestinationType", "cloud-watch-logs") == "cloud-watch-logs" and not given(inputs, "iamRoleArn"):
        yield wrong(
            "iamRoleArn", "DeliverLogsPermissionArn can't be empty if LogDestinationType is cloud-watch-logs.", None
        )
    if not given(inputs, "logDestination"):
        yield missing("logDestination")
    if not given(inputs, "trafficType") and not any(key.startswith("transitGateway") for key in inputs):
        yield missing("trafficType")


def _nat(inputs: Inputs, known: Known) -> Iterator[str]:
    del known
    kind = inputs.get("connectivityType", "public")
    if kind == "public" and not given(inputs, "allocationId") and inputs.get("availabilityMode") != "regional":
        yield missing("allocationId")
    if kind == "private" and given(inputs, "allocationId"):
        yield wrong("allocationId", "goes with a public NAT gateway only", inputs["allocationId"])


GROUP_TEXTS = (
    not_matching("name", r"^sg-", "cannot begin with sg-"),
    *(matching(key, TEXT, TEXT_WORDS) for key in ("name", "description")),
)

CHECKS: Mapping[str, Checks] = {
    "aws:ec2/vpc:Vpc": Checks(
        api=("ec2", "CreateVpc"),
        values=(
            _block(16, 28, "The CIDR is invalid: must be /16 to /28"),
            one_of("instanceTenancy", "default", "dedicated"),
        ),
    ),
    "aws:ec2/subnet:Subnet": Checks(
        api=("ec2", "CreateSubnet"), values=(_block(16, 28, "The CIDR is invalid: must be /16 to /28"),)
    ),
    GATEWAY: Checks(values=(_second(GATEWAY, "vpcId", "Network already has an internet gateway attached"),)),
    "aws:ec2/eip:Eip": Checks(api=("ec2", "AllocateAddress"), values=(one_of("domain", "vpc"),)),
    "aws:ec2/natGateway:NatGateway": Checks(
        api=("ec2", "CreateNatGateway"),
        values=(
            _nat,
            _second("aws:ec2/natGateway:NatGateway", "allocationId", "Elastic IP address is already associated"),
        ),
    ),
    "aws:ec2/routeTable:RouteTable": Checks(limits=(at_most("routes", 500, "routes"),)),
    "aws:ec2/route:Route": Checks(values=(_exactly_one(DESTINATIONS), _exactly_one(TARGETS))),
    ASSOCIATION: Checks(
        values=(
            _exactly_one(("subnetId", "gatewayId")),
            _second(
                ASSOCIATION,
                "subnetId",
                "the subnet is already associated with a route table (Resource.AlreadyAssociated)",
            ),
        )
    ),
    "aws:ec2/vpcEndpoint:VpcEndpoint": Checks(
        api=("ec2", "CreateVpcEndpoint"),
        documents={"policy": policies.endpoint},
        values=(_endpoint,),
        limits=(
            at_most("policy", 20_480, "bytes"),
            at_most("securityGroupIds", 5, "security groups"),
        ),
    ),
    "aws:ec2/securityGroup:SecurityGroup": Checks(
        values=(*GROUP_TEXTS, conflicting("name", ("namePrefix",))),
        limits=(
            at_most("name", 255, "characters"),
            at_most("description", 255, "characters"),
            at_most("ingress", RULES_PER_GROUP, "rules"),
            at_most("egress", RULES_PER_GROUP, "rules"),
        ),
    ),
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": Checks(
        limits=(at_most("ingress", RULES_PER_GROUP, "rules"), at_most("egress", RULES_PER_GROUP, "rules"))
    ),
    OLDER_RULE: Checks(
        values=(one_of("type", "ingress", "egress"), _ports),
        limits=(at_most("description", 255, "characters"), _few_rules),
    ),
    **{
        type_: Checks(
            values=(_ports, _exactly_one(SOURCES), matching("description", TEXT, TEXT_WORDS)),
            limits=(at_most("description", 255, "characters"), _few(type_, direction)),
        )
        for type_, direction in ((INGRESS, "ingress"), (EGRESS, "egress"))
    },
    "aws:ec2/flowLog:FlowLog": Checks(
        api=("ec2", "CreateFlowLogs"),
        values=(one_of("maxAggregationInterval", 60, 600), _log),
    ),
    "aws:ec2/launchTemplate:LaunchTemplate": Checks(
        api=("ec2", "CreateLaunchTemplate"),
        rename={
            key: f"LaunchTemplateData.{name}"
            for key, name in {
                "blockDeviceMappings": "BlockDeviceMappings",
                "capacityReservationSpecification": "CapacityReservationSpecification",
                "creditSpecification": "CreditSpecification",
                "ebsOptimized": "EbsOptimized",
                "instanceInitiatedShutdownBehavior": "InstanceInitiatedShutdownBehavior",
                "instanceMarketOptions": "InstanceMarketOptions",
                "instanceType": "InstanceType",
                "metadataOptions": "MetadataOptions",
                "networkInterfaces": "NetworkInterfaces",
                "placement": "Placement",
                "tagSpecifications": "TagSpecifications",
            }.items()
        }
        | {"name": "LaunchTemplateName", "description": "VersionDescription"},
        values=(
            within("metadataOptions.httpPutResponseHopLimit", 1, 64),
            one_of("networkInterfaces[].interfaceType", "efa", "efa-only", "ena", "interface"),
            _template,
        ),
        limits=(
            _data,
            matching("name", r"[A-Za-z0-9().\-/_]{3,128}", "must be 3 to 128 letters, digits and ().-/_"),
            at_most("networkInterfaces", 64, "network interfaces"),
            at_most("networkInterfaces[].securityGroups", 16, "security groups"),
            at_most("vpcSecurityGroupIds", 16, "security groups"),
        ),
    ),
    "aws:ec2/placementGroup:PlacementGroup": Checks(
        api=("ec2", "CreatePlacementGroup"),
        rename={"name": "GroupName"},
        values=(within("partitionCount", 1, 7),),
        limits=(at_most("name", 255, "characters"),),
    ),
}
