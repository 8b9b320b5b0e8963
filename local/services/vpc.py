"""Amazon VPC: networks, routes, endpoints, security groups and flow logs, all of them parts of the EC2 API."""

import zlib
from collections.abc import Collection, Mapping
from typing import Any

from local.aws import Aws, Created, Resource, answers, creates
from local.services._params import call, complete, only, refuse_unknown

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


@creates("aws:ec2/vpc:Vpc")
def vpc(aws: Aws, resource: Resource) -> Created:
    """A VPC with the DNS attributes that AWS sets in calls of their own."""
    ec2 = aws.client("ec2")
    inputs = complete(aws, resource, name=None)
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


@creates("aws:ec2/subnet:Subnet")
def subnet(aws: Aws, resource: Resource) -> Created:
    """A subnet with the launch attributes that AWS sets in calls of their own."""
    ec2 = aws.client("ec2")
    inputs = complete(aws, resource, name=None)
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


@creates("aws:ec2/internetGateway:InternetGateway")
def internet_gateway(aws: Aws, resource: Resource) -> Created:
    """An internet gateway, attached to its VPC."""
    inputs = complete(aws, resource, name=None)
    made = create(aws, "create_internet_gateway", "internet-gateway", inputs, leave=("vpcId",))["InternetGateway"]
    gateway_id = made["InternetGatewayId"]
    if "vpcId" in inputs:
        call(aws.client("ec2"), "attach_internet_gateway", only(inputs, "vpcId"), internetGatewayId=gateway_id)
    return Created(
        id=gateway_id,
        outputs=inputs | {"arn": aws.arn("ec2", f"internet-gateway/{gateway_id}"), "ownerId": made["OwnerId"]},
    )


@creates("aws:ec2/eip:Eip")
def eip(aws: Aws, resource: Resource) -> Created:
    """An Elastic IP address, associated when the program says with what."""
    inputs = complete(aws, resource, name=None)
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


@creates("aws:ec2/natGateway:NatGateway")
def nat_gateway(aws: Aws, resource: Resource) -> Created:
    """A NAT gateway."""
    inputs = complete(aws, resource, name=None)
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


@creates("aws:ec2/routeTable:RouteTable")
def route_table(aws: Aws, resource: Resource) -> Created:
    """A route table with its inline routes."""
    ec2 = aws.client("ec2")
    inputs = complete(aws, resource, name=None)
    made = create(aws, "create_route_table", "route-table", inputs, leave=("routes", "propagatingVgws"))["RouteTable"]
    table_id = made["RouteTableId"]
    for inline in inputs.get("routes", []):
        call(ec2, "create_route", inline, rename=ROUTE_NAMES, routeTableId=table_id)
    for gateway in inputs.get("propagatingVgws", []):
        ec2.enable_vgw_route_propagation(RouteTableId=table_id, GatewayId=gateway)
    return Created(
        id=table_id, outputs=inputs | {"arn": aws.arn("ec2", f"route-table/{table_id}"), "ownerId": made["OwnerId"]}
    )


@creates("aws:ec2/route:Route")
def route(aws: Aws, resource: Resource) -> Created:
    """A route; the provider makes its id of the table and a checksum of the destination."""
    inputs = resource.inputs
    call(aws.client("ec2"), "create_route", inputs, rename=ROUTE_NAMES)
    keys = ("destinationCidrBlock", "destinationIpv6CidrBlock", "destinationPrefixListId")
    [destination] = only(inputs, *keys).values()
    return Created(
        id=f"r-{inputs['routeTableId']}{zlib.crc32(destination.encode())}",
        outputs={"origin": "CreateRoute", "state": "active"},
    )


@creates("aws:ec2/routeTableAssociation:RouteTableAssociation")
def route_table_association(aws: Aws, resource: Resource) -> Created:
    """The route table of a subnet or gateway."""
    return Created(id=call(aws.client("ec2"), "associate_route_table", resource.inputs)["AssociationId"])


@creates("aws:ec2/vpcEndpoint:VpcEndpoint")
def vpc_endpoint(aws: Aws, resource: Resource) -> Created:
    """A VPC endpoint of any kind; `autoAccept` has nothing to accept within one account."""
    ec2 = aws.client("ec2")
    inputs = complete(aws, resource, name=None)
    inputs.setdefault("vpcEndpointType", "Gateway")
    made = create(
        aws, "create_vpc_endpoint", "vpc-endpoint", inputs, rename={"policy": "PolicyDocument"}, leave=("autoAccept",)
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


@creates("aws:ec2/securityGroup:SecurityGroup")
def security_group(aws: Aws, resource: Resource) -> Created:
    """A security group with exactly the rules of the program: the provider revokes the egress rule that AWS adds."""
    inputs = complete(aws, resource)
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


@creates("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup")
def default_security_group(aws: Aws, resource: Resource) -> Created:
    """The group that a VPC is born with, taken over: all its rules go, those of the program come."""
    inputs = complete(aws, resource, name=None)
    group = _default_security_group(aws, inputs["vpcId"])
    if inputs["tagsAll"]:
        call(aws.client("ec2"), "create_tags", {"resources": [group["GroupId"]], "tags": inputs["tagsAll"]})
    return Created(
        id=group["GroupId"],
        outputs=inputs | {"name": group["GroupName"]} | _with_rules(aws, group, inputs),
    )


@creates("aws:ec2/securityGroupRule:SecurityGroupRule")
def security_group_rule(aws: Aws, resource: Resource) -> Created:
    """A rule in the older form, with lists of sources; pulumi-eks makes these."""
    inputs = resource.inputs
    group_id = inputs["securityGroupId"]
    rule = {key: value for key, value in inputs.items() if key not in ("type", "region", "securityGroupId")}
    if source := rule.pop("sourceSecurityGroupId", None):
        rule["securityGroups"] = [source]
    made = _authorize(aws, inputs["type"], group_id, [_permission(rule, group_id)])
    return Created(
        id=f"sgrule-{zlib.crc32(resource.urn.encode())}",
        outputs={"securityGroupRuleId": made["SecurityGroupRules"][0]["SecurityGroupRuleId"]},
    )


@creates("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
def ingress_rule(aws: Aws, resource: Resource) -> Created:
    """One rule for what may come in."""
    return _one_rule(aws, resource, "ingress")


@creates("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")
def egress_rule(aws: Aws, resource: Resource) -> Created:
    """One rule for what may go out."""
    return _one_rule(aws, resource, "egress")


@creates("aws:ec2/flowLog:FlowLog")
def flow_log(aws: Aws, resource: Resource) -> Created:
    """A flow log of whatever the program names as its source."""
    inputs = complete(aws, resource, name=None)
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


@answers("aws:ec2/getVpc:getVpc")
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


@answers("aws:ec2/getSubnet:getSubnet")
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


@answers("aws:ec2/getSubnets:getSubnets")
def get_subnets(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The ids of all subnets that fit."""
    found = aws.client("ec2").describe_subnets(**_criteria(inputs, "SubnetIds", {}))["Subnets"]
    return {"id": aws.region, "ids": [entry["SubnetId"] for entry in found]}


@answers("aws:ec2/getSecurityGroup:getSecurityGroup")
def get_security_group(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The one security group that fits."""
    names = {"name": "group-name", "vpcId": "vpc-id"}
    groups = aws.client("ec2").describe_security_groups(**_criteria(inputs, "GroupIds", names))["SecurityGroups"]
    found = _one("security group", groups)
    return {
        "arn": found["SecurityGroupArn"],
        "description": found["Description"],
        "id": found["GroupId"],
        "name": found["GroupName"],
        "tags": _tags(found),
        "vpcId": found["VpcId"],
    }


@answers("aws:vpc/getSecurityGroupRules:getSecurityGroupRules")
def get_security_group_rules(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The ids of all rules that fit."""
    found = aws.client("ec2").describe_security_group_rules(**_criteria(inputs, "SecurityGroupRuleIds", {}))
    return {"id": aws.region, "ids": [rule["SecurityGroupRuleId"] for rule in found["SecurityGroupRules"]]}


@answers("aws:vpc/getSecurityGroupRule:getSecurityGroupRule")
def get_security_group_rule(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The one rule that fits."""
    rule_id = inputs["securityGroupRuleId"]
    found = aws.client("ec2").describe_security_group_rules(SecurityGroupRuleIds=[rule_id])["SecurityGroupRules"][0]
    answer = {
        "arn": aws.arn("ec2", f"security-group-rule/{rule_id}"),
        "cidrIpv4": found.get("CidrIpv4"),
        "cidrIpv6": found.get("CidrIpv6"),
        "description": found.get("Description"),
        "fromPort": found["FromPort"],
        "id": rule_id,
        "ipProtocol": found["IpProtocol"],
        "isEgress": found["IsEgress"],
        "prefixListId": found.get("PrefixListId"),
        "referencedSecurityGroupId": found.get("ReferencedGroupInfo", {}).get("GroupId"),
        "securityGroupId": found["GroupId"],
        "securityGroupRuleId": rule_id,
        "tags": _tags(found),
        "toPort": found["ToPort"],
    }
    return {key: value for key, value in answer.items() if value is not None}


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
