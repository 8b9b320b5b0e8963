"""Amazon VPC: networks, routes, endpoints and flow logs, all of them parts of the EC2 API."""

import re
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from local import api
from local.aws import Aws
from local.costs import Line, Priced
from local.edits import Edit, Effect
from local.parameters import call, complete
from local.properties import Property
from local.record import ResourceType, answers
from local.run import Created, Resource, State
from local.types.ec2 import TAGS_OF_EC2, Ec2Resource, described, filters

VPC = "aws:ec2/vpc:Vpc"
SUBNET = "aws:ec2/subnet:Subnet"
ROUTE_TABLE = "aws:ec2/routeTable:RouteTable"

ENDPOINT_PARTS = ("RouteTableIds", "SecurityGroupIds", "SubnetIds")
"""The lists of an endpoint that an update can change."""

PRIVATE_LINK = (
    r"(ec2|ssm)messages|ecr\.(api|dkr)|ecs-(agent|telemetry)|elastic(filesystem|loadbalancing)|email-smtp|evidently"
    r"|execute-api|git-codecommit|kinesis-(firehose|streams)|models|monitoring|s3express|sagemaker\.(api|runtime)"
    r"|(sync-)?states"
)
"""Names of services in VPC endpoints that are not those of their APIs."""
CHINESE_NAMES = (
    r"autoscaling|batch|ebs|ec2|ecr\.(api|dkr)|eks|elasticfilesystem|fsx|kinesis-streams|lambda|monitoring|s3|sqs|states"
    r"|sts|xray"
)
"""Services whose endpoints have names that begin with `cn.com` in China (aws/aws-cdk, `vpc-endpoint.ts`)."""


CUT_OFF = "connections through it to {} break once; what tries again goes on"
QUIET = "deploy when no job loads or saves much, or make sure that jobs try again"


class Vpc(Ec2Resource, token=VPC):
    """A VPC, with the route table, security group and ACL that AWS creates in it."""

    kind, plural, key = "vpc", "vpcs", "VpcId"
    made_by, ended_by = "create_vpc", "delete_vpc"
    set_later = ("enableDnsHostnames", "enableDnsSupport")
    ended = Effect(
        work="refused",
        what="AWS does not delete a VPC that is in use; the control plane and others cannot move to another one",
        first="deploy a second stack with the new network, and move the work there",
    )
    needs = (
        "ec2:CreateVpc ec2:DeleteVpc ec2:DescribeNetworkAcls ec2:DescribeRouteTables ec2:DescribeSecurityGroups"
        f" ec2:DescribeVpcAttribute ec2:DescribeVpcs ec2:ModifyVpcAttribute {TAGS_OF_EC2}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        """Create it, then set its attributes, each by a call of its own."""
        made = super().create(aws, new)
        self._set(aws, made.id, new)
        return made

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any] | None:
        """The VPC, with its attributes."""
        found = super().describe(aws, there)
        ec2 = aws.client("ec2")
        attributes: dict[str, Any] = {}
        for name in self.set_later if found else ():
            answer = ec2.describe_vpc_attribute(VpcId=there.id, Attribute=name)
            attributes[name] = answer[name[0].upper() + name[1:]]["Value"]
        return found and {**found, **attributes}

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Set its attributes."""
        self._set(aws, there.id, new)
        return {}

    def delete(self, aws: Aws, there: State) -> None:
        """Delete it and its ACL, which moto keeps; before that, another ACL must take over the subnets."""
        ec2 = aws.client("ec2")
        [default] = described(aws, "vpcs", Filters=filters(is_default="true"))
        acl, other = self._acl(aws, there.id), self._acl(aws, default["VpcId"])["NetworkAclId"]
        ec2.delete_vpc(VpcId=there.id)
        for one in acl["Associations"]:
            ec2.replace_network_acl_association(AssociationId=one["NetworkAclAssociationId"], NetworkAclId=other)
        ec2.delete_network_acl(NetworkAclId=acl["NetworkAclId"])

    def _set(self, aws: Aws, vpc_id: str, new: Resource) -> None:
        for key in self.set_later:
            if key in new.inputs:
                call(aws.client("ec2"), "modify_vpc_attribute", {key: new.inputs[key]}, vpcId=vpc_id)

    def _acl(self, aws: Aws, vpc_id: str) -> dict[str, Any]:
        [found] = described(aws, "network_acls", Filters=filters(vpc_id=vpc_id, default="true"))
        return found


class Subnet(Ec2Resource, token=SUBNET):
    """A subnet."""

    kind, plural, key = "subnet", "subnets", "SubnetId"
    made_by, ended_by = "create_subnet", "delete_subnet"
    ended = Effect(
        work="refused",
        what="AWS does not delete a subnet in which something runs; the deployment waits 20 minutes and fails",
        first="deploy when no node, instance or worker is in it",
    )
    refers = {"vpcId": VPC}
    needs = (
        "ec2:CreateSubnet ec2:DeleteSubnet ec2:DescribeNetworkInterfaces ec2:DescribeSubnets"
        f" ec2:ModifySubnetAttribute {TAGS_OF_EC2}"
    )


class InternetGateway(Ec2Resource, token="aws:ec2/internetGateway:InternetGateway"):
    """An internet gateway, attached to its VPC."""

    kind, plural, key = "internet-gateway", "internet_gateways", "InternetGatewayId"
    made_by, ended_by = "create_internet_gateway", "delete_internet_gateway"
    set_later = ("vpcId",)
    rename = {"vpcId": "Attachment.VpcId"}
    refers = {"vpcId": VPC}
    needs = (
        "ec2:AttachInternetGateway ec2:CreateInternetGateway ec2:DeleteInternetGateway ec2:DescribeInternetGateways"
        f" ec2:DetachInternetGateway {TAGS_OF_EC2}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        """Create it and attach it."""
        made = super().create(aws, new)
        aws.client("ec2").attach_internet_gateway(InternetGatewayId=made.id, VpcId=new.inputs["vpcId"])
        return made

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any] | None:
        """The gateway, and the VPC that it is attached to."""
        found = super().describe(aws, there)
        return found and {**found, "Attachment": next(iter(found["Attachments"]), {"VpcId": ""})}

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Attach it to another VPC."""
        self._detach(aws, there)
        aws.client("ec2").attach_internet_gateway(InternetGatewayId=there.id, VpcId=new.inputs["vpcId"])
        return {}

    def delete(self, aws: Aws, there: State) -> None:
        """Detach it, then delete it."""
        self._detach(aws, there)
        super().delete(aws, there)

    def _detach(self, aws: Aws, there: State) -> None:
        [found] = described(aws, self.plural, InternetGatewayIds=[there.id])
        for one in found["Attachments"]:
            aws.client("ec2").detach_internet_gateway(InternetGatewayId=there.id, VpcId=one["VpcId"])


class Eip(Ec2Resource, token="aws:ec2/eip:Eip"):
    """An Elastic IP address."""

    kind, plural, key = "elastic-ip", "addresses", "AllocationId"
    made_by, ended_by = "allocate_address", "release_address"
    computed = {"allocationId": "AllocationId", "publicIp": "PublicIp"}
    needs = (
        "ec2:AllocateAddress ec2:DescribeAddresses ec2:DescribeAddressesAttribute ec2:DisassociateAddress"
        f" ec2:ReleaseAddress {TAGS_OF_EC2}"
    )

    def paid(self, one: Priced) -> Iterator[Line]:
        """Every public address costs, also when it is in use."""
        yield one.line("public IPv4 address")


class NatGateway(Ec2Resource, token="aws:ec2/natGateway:NatGateway"):
    """A NAT gateway."""

    kind, plural, key = "natgateway", "nat_gateways", "NatGatewayId"
    made_by, ended_by = "create_nat_gateway", "delete_nat_gateway"
    ended = Effect(work="waits", what=CUT_OFF.format("the internet"), first=QUIET)
    refers = {"allocationId": "aws:ec2/eip:Eip", "subnetId": SUBNET}
    needs = f"ec2:CreateNatGateway ec2:DeleteNatGateway ec2:DescribeNatGateways {TAGS_OF_EC2}"

    def delete(self, aws: Aws, there: State) -> None:
        """Delete it, free its address and delete its network interface: moto does only the first."""
        ec2 = aws.client("ec2")
        super().delete(aws, there)
        for one in described(aws, self.plural, NatGatewayIds=[there.id])[0]["NatGatewayAddresses"]:
            ec2.disassociate_address(AssociationId=one["AssociationId"])
            ec2.delete_network_interface(NetworkInterfaceId=one["NetworkInterfaceId"])

    def paid(self, one: Priced) -> Iterator[Line]:
        """A NAT gateway costs per hour, and by traffic."""
        yield one.line("NAT gateway")


class RouteTable(Ec2Resource, token=ROUTE_TABLE):
    """A route table with its inline routes."""

    kind, plural, key = "route-table", "route_tables", "RouteTableId"
    made_by, ended_by = "create_route_table", "delete_route_table"
    set_later = ("routes",)
    refers = {"routes[].gatewayId": "aws:ec2/internetGateway:InternetGateway", "vpcId": VPC}
    needs = (
        "ec2:CreateRoute ec2:CreateRouteTable ec2:DeleteRoute ec2:DeleteRouteTable ec2:DescribeRouteTables"
        f" ec2:DisassociateRouteTable ec2:ReplaceRoute {TAGS_OF_EC2}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        """Create it, then its routes."""
        made = super().create(aws, new)
        self._add_routes(aws, made.id, new)
        return made

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any] | None:
        """The table with its routes, but not the route inside its VPC nor those that name no address range."""
        found = super().describe(aws, there)
        routes = [
            {**route, "cidrBlock": route["DestinationCidrBlock"]}
            for route in (found or {}).get("Routes", ())
            if "DestinationCidrBlock" in route and route.get("GatewayId") != "local"
        ]
        return found and {**found, "Routes": routes}

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Remove its inline routes and add those of the program."""
        for route in there.inputs.get("routes", ()):
            aws.client("ec2").delete_route(RouteTableId=there.id, DestinationCidrBlock=route["cidrBlock"])
        self._add_routes(aws, there.id, new)
        return {}

    def _add_routes(self, aws: Aws, table_id: str, new: Resource) -> None:
        rename = {"cidrBlock": "DestinationCidrBlock"}
        for route in new.inputs.get("routes", ()):
            call(aws.client("ec2"), "create_route", route, rename=rename, routeTableId=table_id)


class Route(ResourceType, token="aws:ec2/route:Route"):
    """A route; its id is made from the table and a checksum of the destination, as in the provider."""

    refers = {"natGatewayId": "aws:ec2/natGateway:NatGateway", "routeTableId": ROUTE_TABLE}
    needs = "ec2:CreateRoute ec2:DeleteRoute ec2:DescribeRouteTables ec2:ReplaceRoute"
    ended = Effect(work="waits", what=CUT_OFF.format("the internet"), first=QUIET)

    def work(self, edit: Edit) -> Iterator[Effect]:
        """Connections break: through another gateway they have another address."""
        yield from super().work(edit)
        if edit.touches("natGatewayId"):
            yield Effect(work="waits", what=CUT_OFF.format("the internet"), first=QUIET)

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = new.inputs
        call(aws.client("ec2"), "create_route", inputs)
        destination = inputs["destinationCidrBlock"]
        return Created(
            id=f"r-{inputs['routeTableId']}{zlib.crc32(destination.encode())}",
            outputs={"origin": "CreateRoute", "state": "active"},
        )

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any] | None:
        """The route to its destination in its table."""
        [table] = described(aws, "route_tables", RouteTableIds=[there.inputs["routeTableId"]])
        destination = there.inputs["destinationCidrBlock"]
        return next((one for one in table["Routes"] if one.get("DestinationCidrBlock") == destination), None)

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Replace its target."""
        call(aws.client("ec2"), "replace_route", new.inputs)
        return {}

    def delete(self, aws: Aws, there: State) -> None:
        keys = ("routeTableId", "destinationCidrBlock")
        call(aws.client("ec2"), "delete_route", {key: there.inputs[key] for key in keys})


class RouteTableAssociation(ResourceType, token="aws:ec2/routeTableAssociation:RouteTableAssociation"):
    """The route table of a subnet."""

    refers = {"routeTableId": ROUTE_TABLE, "subnetId": SUBNET}
    needs = (
        "ec2:AssociateRouteTable ec2:DescribeRouteTables ec2:DisassociateRouteTable ec2:ReplaceRouteTableAssociation"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        return Created(id=call(aws.client("ec2"), "associate_route_table", new.inputs)["AssociationId"])

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any] | None:
        """The association of the subnet; with another table it has another id."""
        subnet_id = there.inputs["subnetId"]
        found = described(aws, "route_tables", Filters=filters(**{"association.subnet-id": subnet_id}))
        associations = (one for table in found for one in table["Associations"])
        return next((one for one in associations if one.get("SubnetId") == subnet_id), None)

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Give the subnet another table."""
        found = self.describe(aws, there) or {}
        aws.client("ec2").replace_route_table_association(
            AssociationId=found["RouteTableAssociationId"], RouteTableId=new.inputs["routeTableId"]
        )
        return {}

    def delete(self, aws: Aws, there: State) -> None:
        """The subnet then has the main table."""
        found = self.describe(aws, there) or {}
        aws.client("ec2").disassociate_route_table(AssociationId=found["RouteTableAssociationId"])


class VpcEndpoint(Ec2Resource, token="aws:ec2/vpcEndpoint:VpcEndpoint"):
    """A VPC's access to an AWS service: a gateway in its route tables, or interfaces in its subnets."""

    kind, plural, key = "vpc-endpoint", "vpc_endpoints", "VpcEndpointId"
    made_by = "create_vpc_endpoint"
    refers = {
        "routeTableIds[]": ROUTE_TABLE,
        "securityGroupIds[]": "aws:ec2/securityGroup:SecurityGroup",
        "subnetIds[]": SUBNET,
        "vpcId": VPC,
    }
    ended = Effect(work="waits", what=CUT_OFF.format("the AWS service"), first=QUIET)
    needs = (
        "ec2:CreateVpcEndpoint ec2:DeleteVpcEndpoints ec2:DescribeManagedPrefixLists ec2:DescribePrefixLists"
        # for the private name of an interface endpoint
        f" ec2:DescribeVpcEndpoints ec2:ModifyVpcEndpoint route53:AssociateVPCWithHostedZone {TAGS_OF_EC2}"
    )

    def refused(self, given: Property) -> Iterator[str]:
        """A service without an endpoint; most endpoints have the name of the service's API."""
        for one in given.select("serviceName"):
            if not has_endpoint(one.value):
                yield one.wrong(f"The Vpc Endpoint Service '{one.value}' does not exist")

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any] | None:
        """The endpoint, with the ids of its security groups."""
        found = super().describe(aws, there)
        return found and {**found, "SecurityGroupIds": [group["GroupId"] for group in found.get("Groups", [])]}

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Add what is new in its lists and remove what is not there any more."""
        ec2 = aws.client("ec2")
        changes: dict[str, Any] = {"privateDnsEnabled": new.inputs.get("privateDnsEnabled")}
        for part in ENDPOINT_PARTS:
            key = part[0].lower() + part[1:]
            before, after = set(there.inputs.get(key, ())), set(new.inputs.get(key, ()))
            changes |= {f"add{part}": sorted(after - before), f"remove{part}": sorted(before - after)}
        call(ec2, "modify_vpc_endpoint", changes, vpcEndpointId=there.id)
        # AWS updates the routes of a gateway, moto keeps those from the creation
        prefix_list = _prefix_list(aws, new.inputs["serviceName"])
        for table_id in changes["addRouteTableIds"]:
            ec2.create_route(RouteTableId=table_id, DestinationPrefixListId=prefix_list, GatewayId=there.id)
        for table_id in changes["removeRouteTableIds"]:
            ec2.delete_route(RouteTableId=table_id, DestinationPrefixListId=prefix_list)
        return {}

    def delete(self, aws: Aws, there: State) -> None:
        aws.client("ec2").delete_vpc_endpoints(VpcEndpointIds=[there.id])

    def paid(self, one: Priced) -> Iterator[Line]:
        """An interface endpoint costs in each of its zones; a gateway endpoint is free."""
        if one.resource.inputs["vpcEndpointType"] == "Interface":
            yield one.line("interface endpoint", len(one.resource.inputs["subnetIds"]))


class FlowLog(Ec2Resource, token="aws:ec2/flowLog:FlowLog"):
    """A flow log of a VPC."""

    kind, plural, key = "vpc-flow-log", "flow_logs", "FlowLogId"
    made_by = "create_flow_logs"
    rename = {"iamRoleArn": "DeliverLogsPermissionArn", "vpcId": "ResourceId"}
    refers = {"iamRoleArn": "aws:iam/role:Role", "logDestination": "aws:cloudwatch/logGroup:LogGroup", "vpcId": VPC}
    needs = (
        "ec2:CreateFlowLogs ec2:DeleteFlowLogs ec2:DescribeFlowLogs iam:PassRole logs:CreateLogDelivery"
        f" logs:DeleteLogDelivery {TAGS_OF_EC2}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new, name=None)
        answer = self.asked(
            aws,
            {**inputs, "resourceIds": [inputs["vpcId"]], "resourceType": "VPC"},
            inputs["tagsAll"],
            rename=self.rename,
            leave=("vpcId",),
        )
        if failures := answer.get("Unsuccessful"):
            raise ValueError(f"vpcId: {failures[0]['Error']['Message']}")
        return self.made(aws, answer["FlowLogIds"][0], inputs)

    def delete(self, aws: Aws, there: State) -> None:
        aws.client("ec2").delete_flow_logs(FlowLogIds=[there.id])


def has_endpoint(service_name: str) -> bool:
    """Whether there is an AWS service with this name of its endpoints; most have the name of their API."""
    found = re.fullmatch(r"(cn\.)?com\.amazonaws\.([a-z]{2}(?:-[a-z]+)+-\d)\.(.+)", service_name)
    if found is None:
        return False
    chinese, region, service = found.groups()
    gateway = service == "s3" and not chinese
    if not gateway and bool(chinese) != (region.startswith("cn-") and bool(re.fullmatch(CHINESE_NAMES, service))):
        return False
    return (api.MODELS / service.removesuffix("-fips")).is_dir() or bool(re.fullmatch(PRIVATE_LINK, service))


@answers("aws:ec2/getVpcEndpointService:getVpcEndpointService", needs="ec2:DescribeVpcEndpointServices", lasting=True)
def get_vpc_endpoint_service(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The one endpoint service whose name is among those that are filtered for, in every zone."""
    names = [name for one in inputs["filters"] if one["name"] == "service-name" for name in one["values"]]
    found = [name for name in names if has_endpoint(name)]
    if len(found) != 1:
        raise ValueError("no matching EC2 VPC Endpoint Service found")
    zones = aws.client("ec2").describe_availability_zones()["AvailabilityZones"]
    return {
        "availabilityZones": sorted(zone["ZoneName"] for zone in zones),
        "id": found[0],
        "serviceName": found[0],
    }


@answers("aws:ec2/getVpc:getVpc", needs="ec2:DescribeRouteTables ec2:DescribeVpcAttribute ec2:DescribeVpcs")
def get_vpc(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The VPC with this id."""
    [found] = described(aws, "vpcs", VpcIds=[inputs["id"]])
    return {
        "arn": aws.arn("ec2", f"vpc/{inputs['id']}"),
        "cidrBlock": found["CidrBlock"],
        "id": inputs["id"],
        "tags": {tag["Key"]: tag["Value"] for tag in found.get("Tags", [])},
    }


@answers("aws:ec2/getVpcs:getVpcs", needs="ec2:DescribeVpcs")
def get_vpcs(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The ids of all VPCs that match the filters."""
    found = call(aws.client("ec2"), "describe_vpcs", inputs)["Vpcs"]
    return {"id": aws.region, "ids": [entry["VpcId"] for entry in found]}


@answers("aws:ec2/getSubnet:getSubnet", needs="ec2:DescribeSubnets")
def get_subnet(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The subnet with this id."""
    [found] = described(aws, "subnets", SubnetIds=[inputs["id"]])
    return {
        "arn": found["SubnetArn"],
        "availabilityZone": found["AvailabilityZone"],
        "cidrBlock": found["CidrBlock"],
        "id": inputs["id"],
        "vpcId": found["VpcId"],
    }


@answers("aws:ec2/getSubnets:getSubnets", needs="ec2:DescribeSubnets")
def get_subnets(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The ids of all subnets that match the filters."""
    found = call(aws.client("ec2"), "describe_subnets", inputs)["Subnets"]
    return {"id": aws.region, "ids": [entry["SubnetId"] for entry in found]}


@answers("aws:ec2/getEips:getEips", needs="ec2:DescribeAddresses")
def get_eips(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The ids and addresses of all elastic IP addresses that match the filters."""
    found = call(aws.client("ec2"), "describe_addresses", inputs)["Addresses"]
    return {
        "allocationIds": [one["AllocationId"] for one in found],
        "id": aws.region,
        "publicIps": [one["PublicIp"] for one in found],
    }


@answers("aws:ec2/getNatGateways:getNatGateways", needs="ec2:DescribeNatGateways")
def get_nat_gateways(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The ids of all NAT gateways that match the filters."""
    wanted = [{"Name": one["name"], "Values": one["values"]} for one in inputs.get("filters") or ()]
    if "vpcId" in inputs:
        wanted += filters(vpc_id=inputs["vpcId"])
    found = aws.client("ec2").describe_nat_gateways(Filter=wanted)["NatGateways"]
    return {"id": aws.region, "ids": [one["NatGatewayId"] for one in found]}


def _prefix_list(aws: Aws, service_name: str) -> str | None:
    """The prefix list of a gateway endpoint, which has the name of its service."""
    lists = described(aws, "prefix_lists", Filters=filters(prefix_list_name=service_name))
    return lists[0]["PrefixListId"] if lists else None
