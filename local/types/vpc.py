"""Amazon VPC: networks, routes, endpoints, security groups and flow logs, all of them parts of the EC2 API."""

import zlib
from collections.abc import Collection, Mapping
from typing import Any

from local.aws import Aws
from local.parameters import call, complete, only, refuse_unknown
from local.record import ResourceType, answers
from local.run import Created, Resource

TAGS_OF_EC2 = "ec2:CreateTags ec2:DeleteTags"
GROUP_RULES = (
    "ec2:AuthorizeSecurityGroupEgress ec2:AuthorizeSecurityGroupIngress ec2:DescribeSecurityGroupRules"
    " ec2:DescribeSecurityGroups ec2:ModifySecurityGroupRules ec2:RevokeSecurityGroupEgress"
    f" ec2:RevokeSecurityGroupIngress {TAGS_OF_EC2}"
)

SUBNET_ATTRIBUTES = (
    "assignIpv6AddressOnCreation",
    "enableDns64",
    "enableLniAtDeviceIndex",
    "enableResourceNameDnsARecordOnLaunch",
    "enableResourceNameDnsAaaaRecordOnLaunch",
    "mapPublicIpOnLaunch",
    "privateDnsHostnameTypeOnLaunch",
)
"""What a subnet takes only after its creation, each attribute in a call of its own."""

OUTPOST_ATTRIBUTES = ("customerOwnedIpv4Pool", "mapCustomerOwnedIpOnLaunch")
"""Subnet attributes that go together in one call."""

VPC_ATTRIBUTES = ("enableDnsHostnames", "enableDnsSupport", "enableNetworkAddressUsageMetrics")
"""What a VPC takes only after its creation, each attribute in a call of its own."""

ROUTE_NAMES = {
    "cidrBlock": "DestinationCidrBlock",
    "ipv6CidrBlock": "DestinationIpv6CidrBlock",
    "egressOnlyGatewayId": "EgressOnlyInternetGatewayId",
}

FLOW_LOG_SOURCES = {
    "eniId": "NetworkInterface",
    "regionalNatGatewayId": "RegionalNatGateway",
    "subnetId": "Subnet",
    "transitGatewayAttachmentId": "TransitGatewayAttachment",
    "transitGatewayId": "TransitGateway",
    "vpcId": "VPC",
}


def create(
    aws: Aws, operation: str, kind: str, inputs: Mapping[str, Any], *, leave: Collection[str] = (), **more: Any
) -> dict[str, Any]:
    """Call an EC2 operation, as `call` does, that tags what it creates as a resource of this kind."""
    tags = inputs.get("tagsAll")
    specifications = [{"ResourceType": kind, "Tags": tags}] if tags else None
    leave = (*leave, "tags", "tagsAll")
    return call(aws.client("ec2"), operation, inputs, leave=leave, tagSpecifications=specifications, **more)


class Vpc(ResourceType, token="aws:ec2/vpc:Vpc"):
    """A VPC with the DNS attributes that AWS sets in calls of their own."""

    needs = (
        "ec2:CreateVpc ec2:DeleteVpc ec2:DescribeNetworkAcls ec2:DescribeRouteTables ec2:DescribeSecurityGroups"
        f" ec2:DescribeVpcAttribute ec2:DescribeVpcs ec2:ModifyVpcAttribute {TAGS_OF_EC2}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        ec2 = aws.client("ec2")
        inputs = complete(aws, new, name=None)
        made = create(
            aws,
            "create_vpc",
            "vpc",
            inputs,
            rename={"assignGeneratedIpv6CidrBlock": "AmazonProvidedIpv6CidrBlock"},
            leave=VPC_ATTRIBUTES,
        )["Vpc"]
        vpc_id = made["VpcId"]
        for key, value in only(inputs, *VPC_ATTRIBUTES).items():
            call(ec2, "modify_vpc_attribute", {key: value}, vpcId=vpc_id)
        main_route_table = _main_route_table_id(aws, vpc_id)
        acls = ec2.describe_network_acls(Filters=_filters({"vpc-id": vpc_id, "default": "true"}))["NetworkAcls"]
        return Created(
            id=vpc_id,
            outputs=inputs
            | {
                "arn": aws.arn("ec2", f"vpc/{vpc_id}"),
                "cidrBlock": made["CidrBlock"],
                "defaultNetworkAclId": acls[0]["NetworkAclId"],
                "defaultRouteTableId": main_route_table,
                "defaultSecurityGroupId": _default_security_group(aws, vpc_id)["GroupId"],
                "dhcpOptionsId": made["DhcpOptionsId"],
                "instanceTenancy": made["InstanceTenancy"],
                "mainRouteTableId": main_route_table,
                "ownerId": made["OwnerId"],
            },
        )


class Subnet(ResourceType, token="aws:ec2/subnet:Subnet"):
    """A subnet with the launch attributes that AWS sets in calls of their own."""

    needs = (
        "ec2:CreateSubnet ec2:DeleteSubnet ec2:DescribeNetworkInterfaces ec2:DescribeSubnets"
        f" ec2:ModifySubnetAttribute {TAGS_OF_EC2}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        ec2 = aws.client("ec2")
        inputs = complete(aws, new, name=None)
        made = create(aws, "create_subnet", "subnet", inputs, leave=(*SUBNET_ATTRIBUTES, *OUTPOST_ATTRIBUTES))["Subnet"]
        changes = [{key: value} for key, value in only(inputs, *SUBNET_ATTRIBUTES).items()]
        for change in (*changes, only(inputs, *OUTPOST_ATTRIBUTES)):
            if change:
                call(ec2, "modify_subnet_attribute", change, subnetId=made["SubnetId"])
        return Created(
            id=made["SubnetId"],
            outputs=inputs
            | {
                "arn": made["SubnetArn"],
                "availabilityZone": made["AvailabilityZone"],
                "availabilityZoneId": made["AvailabilityZoneId"],
                "cidrBlock": made["CidrBlock"],
                "ownerId": made["OwnerId"],
                "ipv6CidrBlockAssociationId": next(
                    (block["AssociationId"] for block in made.get("Ipv6CidrBlockAssociationSet", [])), ""
                ),
            },
        )


class InternetGateway(ResourceType, token="aws:ec2/internetGateway:InternetGateway"):
    """An internet gateway, attached to its VPC."""

    needs = (
        "ec2:AttachInternetGateway ec2:CreateInternetGateway ec2:DeleteInternetGateway ec2:DescribeInternetGateways"
        f" ec2:DetachInternetGateway {TAGS_OF_EC2}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new, name=None)
        made = create(aws, "create_internet_gateway", "internet-gateway", inputs, leave=("vpcId",))["InternetGateway"]
        gateway_id = made["InternetGatewayId"]
        if "vpcId" in inputs:
            call(aws.client("ec2"), "attach_internet_gateway", only(inputs, "vpcId"), internetGatewayId=gateway_id)
        return Created(
            id=gateway_id,
            outputs=inputs | {"arn": aws.arn("ec2", f"internet-gateway/{gateway_id}"), "ownerId": made["OwnerId"]},
        )


class Eip(ResourceType, token="aws:ec2/eip:Eip"):
    """An Elastic IP address, associated when the program says with what."""

    needs = (
        "ec2:AllocateAddress ec2:DescribeAddresses ec2:DescribeAddressesAttribute ec2:DisassociateAddress"
        f" ec2:ReleaseAddress {TAGS_OF_EC2}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new, name=None)
        holders = ("associateWithPrivateIp", "instance", "networkInterface")
        made = create(aws, "allocate_address", "elastic-ip", inputs, leave=holders)
        outputs = {
            "allocationId": made["AllocationId"],
            "arn": aws.arn("ec2", f"elastic-ip/{made['AllocationId']}"),
            "domain": made["Domain"],
            "publicIp": made["PublicIp"],
            "publicDns": f"ec2-{made['PublicIp'].replace('.', '-')}.{aws.region}.compute.amazonaws.com",
        }
        if only(inputs, "instance", "networkInterface"):
            outputs["associationId"] = call(
                aws.client("ec2"),
                "associate_address",
                only(inputs, *holders),
                rename={
                    "associateWithPrivateIp": "PrivateIpAddress",
                    "instance": "InstanceId",
                    "networkInterface": "NetworkInterfaceId",
                },
                allocationId=made["AllocationId"],
            )["AssociationId"]
        return Created(id=made["AllocationId"], outputs=inputs | outputs)


class NatGateway(ResourceType, token="aws:ec2/natGateway:NatGateway"):
    """A NAT gateway."""

    needs = f"ec2:CreateNatGateway ec2:DeleteNatGateway ec2:DescribeNatGateways {TAGS_OF_EC2}"

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new, name=None)
        made = create(aws, "create_nat_gateway", "natgateway", inputs, rename={"privateIp": "PrivateIpAddress"})
        gateway = made["NatGateway"]
        addresses: list[dict[str, Any]] = gateway.get("NatGatewayAddresses") or [{}]
        address = addresses[0]
        return Created(
            id=gateway["NatGatewayId"],
            outputs=inputs
            | {
                "associationId": address.get("AssociationId", ""),
                "connectivityType": gateway.get("ConnectivityType", "public"),
                "networkInterfaceId": address.get("NetworkInterfaceId", ""),
                "privateIp": address.get("PrivateIp", ""),
                "publicIp": address.get("PublicIp", ""),
            },
        )


class RouteTable(ResourceType, token="aws:ec2/routeTable:RouteTable"):
    """A route table with its inline routes."""

    needs = (
        "ec2:CreateRoute ec2:CreateRouteTable ec2:DeleteRoute ec2:DeleteRouteTable ec2:DescribeRouteTables"
        f" ec2:DisassociateRouteTable ec2:ReplaceRoute {TAGS_OF_EC2}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        ec2 = aws.client("ec2")
        inputs = complete(aws, new, name=None)
        made = create(aws, "create_route_table", "route-table", inputs, leave=("routes", "propagatingVgws"))[
            "RouteTable"
        ]
        table_id = made["RouteTableId"]
        for inline in inputs.get("routes", []):
            call(ec2, "create_route", inline, rename=ROUTE_NAMES, routeTableId=table_id)
        for gateway in inputs.get("propagatingVgws", []):
            ec2.enable_vgw_route_propagation(RouteTableId=table_id, GatewayId=gateway)
        return Created(
            id=table_id, outputs=inputs | {"arn": aws.arn("ec2", f"route-table/{table_id}"), "ownerId": made["OwnerId"]}
        )


class Route(ResourceType, token="aws:ec2/route:Route"):
    """A route; the provider makes its id of the table and a checksum of the destination."""

    needs = "ec2:CreateRoute ec2:DeleteRoute ec2:DescribeRouteTables ec2:ReplaceRoute"

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = new.inputs
        call(aws.client("ec2"), "create_route", inputs, rename=ROUTE_NAMES)
        keys = ("destinationCidrBlock", "destinationIpv6CidrBlock", "destinationPrefixListId")
        [destination] = only(inputs, *keys).values()
        return Created(
            id=f"r-{inputs['routeTableId']}{zlib.crc32(destination.encode())}",
            outputs={"origin": "CreateRoute", "state": "active"},
        )


class RouteTableAssociation(ResourceType, token="aws:ec2/routeTableAssociation:RouteTableAssociation"):
    """The route table of a subnet or gateway."""

    needs = (
        "ec2:AssociateRouteTable ec2:DescribeRouteTables ec2:DisassociateRouteTable ec2:ReplaceRouteTableAssociation"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        return Created(id=call(aws.client("ec2"), "associate_route_table", new.inputs)["AssociationId"])


class VpcEndpoint(ResourceType, token="aws:ec2/vpcEndpoint:VpcEndpoint"):
    """A VPC endpoint of any kind; `autoAccept` has nothing to accept within one account."""

    needs = (
        "ec2:CreateVpcEndpoint ec2:DeleteVpcEndpoints ec2:DescribeManagedPrefixLists ec2:DescribePrefixLists"
        # for the private name of an interface endpoint
        f" ec2:DescribeVpcEndpoints ec2:ModifyVpcEndpoint route53:AssociateVPCWithHostedZone {TAGS_OF_EC2}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        ec2 = aws.client("ec2")
        inputs = complete(aws, new, name=None)
        inputs.setdefault("vpcEndpointType", "Gateway")
        made = create(
            aws,
            "create_vpc_endpoint",
            "vpc-endpoint",
            inputs,
            rename={"policy": "PolicyDocument"},
            leave=("autoAccept",),
        )["VpcEndpoint"]
        endpoint_id = made["VpcEndpointId"]
        # AWS names the prefix list of a gateway endpoint after its service
        lists = ec2.describe_managed_prefix_lists()["PrefixLists"]
        prefix_list_id = next(
            (entry["PrefixListId"] for entry in lists if entry["PrefixListName"] == made["ServiceName"]), ""
        )
        return Created(
            id=endpoint_id,
            outputs=inputs
            | {
                "arn": aws.arn("ec2", f"vpc-endpoint/{endpoint_id}"),
                "dnsEntries": [
                    {"dnsName": entry["DnsName"], "hostedZoneId": entry["HostedZoneId"]}
                    for entry in made.get("DnsEntries", [])
                ],
                "networkInterfaceIds": made.get("NetworkInterfaceIds", []),
                "ownerId": made.get("OwnerId", aws.account_id),
                "prefixListId": prefix_list_id if inputs["vpcEndpointType"] == "Gateway" else "",
                "requesterManaged": made.get("RequesterManaged", False),
                "securityGroupIds": [group["GroupId"] for group in made.get("Groups", [])],
                "state": made["State"],
            },
        )


class SecurityGroup(ResourceType, token="aws:ec2/securityGroup:SecurityGroup"):
    """A security group with exactly the rules of the program: the provider revokes the egress rule that AWS adds."""

    name = "name"
    needs = f"ec2:CreateSecurityGroup ec2:DeleteSecurityGroup ec2:DescribeNetworkInterfaces {GROUP_RULES}"

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new)
        inputs.setdefault("description", "Managed by Pulumi")
        group_id = create(
            aws,
            "create_security_group",
            "security-group",
            inputs,
            rename={"name": "GroupName"},
            leave=("ingress", "egress", "revokeRulesOnDelete"),
        )["GroupId"]
        return Created(id=group_id, outputs=inputs | _with_rules(aws, _security_group(aws, group_id), inputs))


class DefaultSecurityGroup(ResourceType, token="aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"):
    """The group that a VPC is born with, taken over: all its rules go, those of the program come."""

    needs = GROUP_RULES

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new, name=None)
        group = _default_security_group(aws, inputs["vpcId"])
        if inputs["tagsAll"]:
            call(aws.client("ec2"), "create_tags", {"resources": [group["GroupId"]], "tags": inputs["tagsAll"]})
        return Created(
            id=group["GroupId"],
            outputs=inputs | {"name": group["GroupName"]} | _with_rules(aws, group, inputs),
        )


class SecurityGroupIngressRule(ResourceType, token="aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"):
    """One rule for what may come in."""

    needs = GROUP_RULES

    def create(self, aws: Aws, new: Resource) -> Created:
        return _one_rule(aws, new, "ingress")


class SecurityGroupEgressRule(ResourceType, token="aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"):
    """One rule for what may go out."""

    needs = GROUP_RULES

    def create(self, aws: Aws, new: Resource) -> Created:
        return _one_rule(aws, new, "egress")


class FlowLog(ResourceType, token="aws:ec2/flowLog:FlowLog"):
    """A flow log of whatever the program names as its source."""

    needs = (
        "ec2:CreateFlowLogs ec2:DeleteFlowLogs ec2:DescribeFlowLogs iam:PassRole logs:CreateLogDelivery"
        f" logs:DeleteLogDelivery {TAGS_OF_EC2}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new, name=None)
        sources = only(inputs, *FLOW_LOG_SOURCES)
        if len(sources) != 1:
            raise ValueError(f"a flow log has exactly one of {', '.join(FLOW_LOG_SOURCES)}, got {sources}")
        source, source_id = sources.popitem()
        made = create(
            aws,
            "create_flow_logs",
            "vpc-flow-log",
            inputs,
            rename={"iamRoleArn": "DeliverLogsPermissionArn"},
            leave=FLOW_LOG_SOURCES,
            resourceIds=[source_id],
            resourceType=FLOW_LOG_SOURCES[source],
        )
        if failures := made.get("Unsuccessful"):
            raise ValueError(f"{source}: {failures[0]['Error']['Message']}")
        flow_log_id = made["FlowLogIds"][0]
        return Created(
            id=flow_log_id,
            outputs={"logDestinationType": "cloud-watch-logs", "maxAggregationInterval": 600}
            | inputs
            | {"arn": aws.arn("ec2", f"vpc-flow-log/{flow_log_id}")},
        )


@answers("aws:ec2/getVpc:getVpc", needs="ec2:DescribeRouteTables ec2:DescribeVpcAttribute ec2:DescribeVpcs")
def get_vpc(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The one VPC that fits."""
    ec2 = aws.client("ec2")
    found = _one(
        "VPC",
        ec2.describe_vpcs(
            **_criteria(
                inputs,
                "VpcIds",
                {"cidrBlock": "cidr", "default": "is-default", "dhcpOptionsId": "dhcp-options-id", "state": "state"},
            )
        )["Vpcs"],
    )
    vpc_id = found["VpcId"]

    def attribute(name: str) -> bool:
        member = name[0].upper() + name[1:]
        return ec2.describe_vpc_attribute(VpcId=vpc_id, Attribute=name)[member]["Value"]

    return {
        "arn": aws.arn("ec2", f"vpc/{vpc_id}"),
        "cidrBlock": found["CidrBlock"],
        "cidrBlockAssociations": [
            {
                "associationId": block["AssociationId"],
                "cidrBlock": block["CidrBlock"],
                "state": block["CidrBlockState"]["State"],
            }
            for block in found.get("CidrBlockAssociationSet", [])
        ],
        "default": found["IsDefault"],
        "dhcpOptionsId": found["DhcpOptionsId"],
        "enableDnsHostnames": attribute("enableDnsHostnames"),
        "enableDnsSupport": attribute("enableDnsSupport"),
        "id": vpc_id,
        "instanceTenancy": found["InstanceTenancy"],
        "mainRouteTableId": _main_route_table_id(aws, vpc_id),
        "ownerId": found["OwnerId"],
        "state": found["State"],
        "tags": _tags(found),
    }


@answers("aws:ec2/getSubnet:getSubnet", needs="ec2:DescribeSubnets")
def get_subnet(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The one subnet that fits."""
    found = _one(
        "subnet",
        aws.client("ec2").describe_subnets(
            **_criteria(
                inputs,
                "SubnetIds",
                {
                    "availabilityZone": "availability-zone",
                    "availabilityZoneId": "availability-zone-id",
                    "cidrBlock": "cidr-block",
                    "defaultForAz": "default-for-az",
                    "ipv6CidrBlock": "ipv6-cidr-block-association.ipv6-cidr-block",
                    "state": "state",
                    "vpcId": "vpc-id",
                },
            )
        )["Subnets"],
    )
    return {
        "arn": found["SubnetArn"],
        "assignIpv6AddressOnCreation": found["AssignIpv6AddressOnCreation"],
        "availabilityZone": found["AvailabilityZone"],
        "availabilityZoneId": found["AvailabilityZoneId"],
        "availableIpAddressCount": found["AvailableIpAddressCount"],
        "cidrBlock": found["CidrBlock"],
        "defaultForAz": found["DefaultForAz"],
        "id": found["SubnetId"],
        "mapPublicIpOnLaunch": found["MapPublicIpOnLaunch"],
        "ownerId": found["OwnerId"],
        "state": found["State"],
        "tags": _tags(found),
        "vpcId": found["VpcId"],
    }


@answers("aws:ec2/getSubnets:getSubnets", needs="ec2:DescribeSubnets")
def get_subnets(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The ids of all subnets that fit."""
    found = aws.client("ec2").describe_subnets(**_criteria(inputs, "SubnetIds", {}))["Subnets"]
    return {"id": aws.region, "ids": [entry["SubnetId"] for entry in found]}


def _one_rule(aws: Aws, resource: Resource, direction: str) -> Created:
    inputs = complete(aws, resource, name=None)
    sources = {
        "cidrIpv4": ("IpRanges", "CidrIp"),
        "cidrIpv6": ("Ipv6Ranges", "CidrIpv6"),
        "prefixListId": ("PrefixListIds", "PrefixListId"),
        "referencedSecurityGroupId": ("UserIdGroupPairs", "GroupId"),
    }
    rest = ("description", "fromPort", "ipProtocol", "region", "securityGroupId", "tags", "tagsAll", "toPort")
    refuse_unknown(inputs, (*sources, *rest))
    permission: dict[str, Any] = {
        "IpProtocol": inputs["ipProtocol"],
        "FromPort": inputs.get("fromPort"),
        "ToPort": inputs.get("toPort"),
    }
    for key, (ranges, member) in sources.items():
        if key in inputs:
            permission[ranges] = [{member: inputs[key], "Description": inputs.get("description")}]
    made = _authorize(aws, direction, inputs["securityGroupId"], [permission], tags=inputs["tagsAll"])
    rule_id = made["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    return Created(
        id=rule_id,
        outputs=inputs | {"arn": aws.arn("ec2", f"security-group-rule/{rule_id}"), "securityGroupRuleId": rule_id},
    )


def _authorize(
    aws: Aws,
    direction: str,
    group_id: str,
    permissions: list[dict[str, Any]],
    tags: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    return create(
        aws,
        f"authorize_security_group_{direction}",
        "security-group-rule",
        {"groupId": group_id, "ipPermissions": permissions, "tagsAll": tags},
    )


def _with_rules(aws: Aws, group: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    ec2 = aws.client("ec2")
    if group["IpPermissions"]:
        ec2.revoke_security_group_ingress(GroupId=group["GroupId"], IpPermissions=group["IpPermissions"])
    if group["IpPermissionsEgress"]:
        ec2.revoke_security_group_egress(GroupId=group["GroupId"], IpPermissions=group["IpPermissionsEgress"])
    for direction in ("ingress", "egress"):
        if rules := inputs.get(direction):
            _authorize(aws, direction, group["GroupId"], [_permission(rule, group["GroupId"]) for rule in rules])
    return {"arn": aws.arn("ec2", f"security-group/{group['GroupId']}"), "ownerId": group["OwnerId"]}


def _permission(rule: Mapping[str, Any], group_id: str) -> dict[str, Any]:
    known = ("cidrBlocks", "description", "fromPort", "ipv6CidrBlocks", "prefixListIds", "protocol", "securityGroups")
    refuse_unknown(rule, (*known, "self", "toPort"))
    note = {"Description": rule.get("description")}
    permission = {
        "IpProtocol": rule["protocol"],
        "IpRanges": [{"CidrIp": cidr} | note for cidr in rule.get("cidrBlocks", [])],
        "Ipv6Ranges": [{"CidrIpv6": cidr} | note for cidr in rule.get("ipv6CidrBlocks", [])],
        "PrefixListIds": [{"PrefixListId": entry} | note for entry in rule.get("prefixListIds", [])],
        "UserIdGroupPairs": [
            {"GroupId": source} | note
            for source in [*rule.get("securityGroups", []), *([group_id] if rule.get("self") else [])]
        ],
    }
    # AWS stores no ports for "all traffic", whatever ports are sent
    ports = {} if rule["protocol"] == "-1" else {"FromPort": rule["fromPort"], "ToPort": rule["toPort"]}
    return permission | ports


def _security_group(aws: Aws, group_id: str) -> dict[str, Any]:
    return aws.client("ec2").describe_security_groups(GroupIds=[group_id])["SecurityGroups"][0]


def _default_security_group(aws: Aws, vpc_id: str) -> dict[str, Any]:
    filters = _filters({"vpc-id": vpc_id, "group-name": "default"})
    return aws.client("ec2").describe_security_groups(Filters=filters)["SecurityGroups"][0]


def _main_route_table_id(aws: Aws, vpc_id: str) -> str:
    filters = _filters({"vpc-id": vpc_id, "association.main": "true"})
    return aws.client("ec2").describe_route_tables(Filters=filters)["RouteTables"][0]["RouteTableId"]


def _criteria(inputs: Mapping[str, Any], ids: str, names: Mapping[str, str]) -> dict[str, Any]:
    """Parameters of a describe call: an id, named filters, tags and the program's own filters."""
    given: list[dict[str, Any]] = inputs.get("filters") or []
    tags: dict[str, str] = inputs.get("tags") or {}
    filters = [{"Name": entry["name"], "Values": entry["values"]} for entry in given]
    filters += _filters({f"tag:{key}": value for key, value in tags.items()})
    for key, value in only(inputs, *names).items():
        filters += _filters({names[key]: str(value).lower() if isinstance(value, bool) else value})
    return {"Filters": filters} | ({ids: [inputs["id"]]} if inputs.get("id") else {})


def _filters(values: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"Name": name, "Values": [value]} for name, value in values.items()]


def _one(kind: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    if len(found) != 1:
        raise ValueError(f"exactly one {kind} must match, got {len(found)}")
    return found[0]


def _tags(described: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in described.get("Tags", [])}
