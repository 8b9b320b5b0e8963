"""Amazon EC2: launch templates, placement groups, facts about instance types, and what all EC2 resources share."""

import base64
import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, ClassVar

from local.aws import Aws, hex_digits
from local.costs import Line, Priced
from local.parameters import call, complete
from local.record import ResourceType, answers
from local.run import Created, Resource, State
from local.wire import UNKNOWN

TAGS_OF_EC2 = "ec2:CreateTags ec2:DeleteTags"
PLACEMENT_GROUP_HEX_DIGITS = 17
TEMPLATE_DATA = (
    "blockDeviceMappings",
    "capacityReservationSpecification",
    "iamInstanceProfile",
    "imageId",
    "instanceMarketOptions",
    "instanceType",
    "metadataOptions",
    "networkInterfaces",
    "placement",
    "tagSpecifications",
    "userData",
)
"""Inputs of a launch template that describe its instances."""


class Ec2Resource(ResourceType):
    """A resource that EC2 creates, describes, tags and deletes by its id, each kind in the same way."""

    kind: ClassVar[str]
    """Its name in tags and ARNs: `vpc`."""
    plural: ClassVar[str]
    """Its plural in the name of the describing operation: `vpcs`."""
    key: ClassVar[str]
    """The parameter that holds the id: `VpcId`."""
    made_by: ClassVar[str]
    """The operation that creates one: `create_vpc`."""
    ended_by: ClassVar[str]
    """The operation that deletes one: `delete_vpc`."""
    set_later: ClassVar[Collection[str]] = ()
    """Inputs that the creating operation does not accept."""
    computed: ClassVar[Mapping[str, str]] = {}
    """Property -> member of the answer that holds it."""

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new, name=self.name)
        answer = self.asked(aws, inputs, inputs["tagsAll"], rename=self.rename, leave=self.set_later)
        made = answer if self.key in answer else next(one for one in answer.values() if self.key in one)
        computed = {name: made[member] for name, member in self.computed.items()}
        return self.made(aws, made[self.key], inputs | computed)

    def asked(
        self,
        aws: Aws,
        parameters: Mapping[str, Any],
        tags: Mapping[str, str],
        *,
        leave: Collection[str] = (),
        **more: Any,
    ) -> dict[str, Any]:
        """Call the creating operation with these tags; return its answer."""
        specifications = [{"ResourceType": self.kind, "Tags": tags}] if tags else None
        leave = (*leave, "tags", "tagsAll")
        return call(aws.client("ec2"), self.made_by, parameters, leave=leave, TagSpecifications=specifications, **more)

    def made(self, aws: Aws, id_: str, properties: Mapping[str, Any]) -> Created:
        """The created resource, with its ARN."""
        return Created(id=id_, outputs={**properties, "arn": aws.arn("ec2", f"{self.kind}/{id_}")})

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any] | None:
        """The one with its id; EC2 still describes NAT gateways and endpoints for a while after their deletion."""
        found = described(aws, self.plural, **{f"{self.key}s": [there.id]})
        return found[0] if found and found[0].get("State") != "deleted" else None

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Nothing: most kinds can change only their tags in place."""
        del aws, there, new
        return {}

    def retag(self, aws: Aws, there: State, tags: Mapping[str, str], gone: list[str]) -> None:
        ec2 = aws.client("ec2")
        if tags:
            call(ec2, "create_tags", {"resources": [there.id], "tags": tags})
        if gone:
            ec2.delete_tags(Resources=[there.id], Tags=[{"Key": key} for key in gone])

    def delete(self, aws: Aws, there: State) -> None:
        getattr(aws.client("ec2"), self.ended_by)(**{self.key: there.id})


def described(aws: Aws, plural: str, **parameters: Any) -> list[dict[str, Any]]:
    """All of one kind that match the parameters of the describing operation."""
    ec2 = aws.client("ec2")
    operation = f"describe_{plural}"
    answer = getattr(ec2, operation)(**parameters)
    return answer[ec2.meta.method_to_api_mapping[operation].removeprefix("Describe")]


def filters(**values: str) -> list[dict[str, Any]]:
    """Filters of a describing operation: `vpc_id="vpc-1"`."""
    return [{"Name": name.replace("_", "-"), "Values": [value]} for name, value in values.items()]


class LaunchTemplate(Ec2Resource, token="aws:ec2/launchTemplate:LaunchTemplate"):
    """A launch template; each change of its instances makes another version."""

    kind, plural, key = "launch-template", "launch_templates", "LaunchTemplateId"
    made_by, ended_by = "create_launch_template", "delete_launch_template"
    name = "name"
    rename = {
        "name": "LaunchTemplateName",
        **{key: f"LaunchTemplateData.{key}" for key in TEMPLATE_DATA},
        "vpcSecurityGroupIds": "LaunchTemplateData.SecurityGroupIds",
        "LaunchTemplateData.networkInterfaces.securityGroups": "Groups",
    }
    set_later = ("updateDefaultVersion",)
    computed = {"defaultVersion": "DefaultVersionNumber", "latestVersion": "LatestVersionNumber"}
    refers = {
        "iamInstanceProfile.arn": "aws:iam/instanceProfile:InstanceProfile",
        "networkInterfaces[].securityGroups[]": "aws:ec2/securityGroup:SecurityGroup",
        "placement.groupName": "aws:ec2/placementGroup:PlacementGroup",
        "vpcSecurityGroupIds[]": "aws:ec2/securityGroup:SecurityGroup",
    }
    needs = (
        "ec2:CreateLaunchTemplate ec2:CreateLaunchTemplateVersion ec2:DeleteLaunchTemplate ec2:DescribeLaunchTemplates"
        f" ec2:DescribeLaunchTemplateVersions ec2:ModifyLaunchTemplate iam:PassRole {TAGS_OF_EC2}"
    )

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any]:
        """Its latest version, and its tags."""
        [latest] = described(aws, "launch_template_versions", LaunchTemplateId=there.id, Versions=["$Latest"])
        data = latest["LaunchTemplateData"]
        # moto adds the template's own tags to those of its instances, and always describes the template with its first
        # tags
        of_instances = [one for one in data.get("TagSpecifications", []) if one["ResourceType"] != self.kind]
        tags = described(aws, "tags", Filters=filters(resource_id=there.id))
        return {
            **latest,
            "LaunchTemplateData": {**data, "TagSpecifications": of_instances},
            "Tags": [{"Key": one["Key"], "Value": one["Value"]} for one in tags],
        }

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Create another version, and make it the default one if the program wants that."""
        ec2 = aws.client("ec2")
        leave = ("name", "tags", *self.set_later)
        made = call(
            ec2,
            "create_launch_template_version",
            new.inputs,
            rename=self.rename,
            leave=leave,
            launchTemplateId=there.id,
        )
        latest = made["LaunchTemplateVersion"]["VersionNumber"]
        if not new.inputs.get("updateDefaultVersion"):
            return {"latestVersion": latest}
        ec2.modify_launch_template(LaunchTemplateId=there.id, DefaultVersion=str(latest))
        return {"latestVersion": latest, "defaultVersion": latest}

    def paid(self, one: Priced) -> Iterator[Line]:
        """The metrics that the CloudWatch agent sends of its instances, all together as one series each.

        Before a file system that they mount is there, nothing of its user data is known: then without them.
        """
        given = one.resource.inputs.get("userData", "")
        text = "" if given == UNKNOWN else base64.b64decode(given).decode()
        if configured := re.search(r'"measurement": (\[[^]]*\])', text):
            count = len(json.loads(configured[1]))
            environments = one.needing("aws:batch/computeEnvironment:ComputeEnvironment")
            always = any(environment.inputs["computeResources"]["minVcpus"] for environment in environments)
            yield one.line("CloudWatch metric", count if always else 0, count)


class PlacementGroup(ResourceType, token="aws:ec2/placementGroup:PlacementGroup"):
    """A placement group, which moto does not have."""

    simulated = True
    name = "name"
    needs = f"ec2:CreatePlacementGroup ec2:DeletePlacementGroup ec2:DescribePlacementGroups {TAGS_OF_EC2}"

    def create(self, aws: Aws, new: Resource) -> Created:
        """Its id is its name."""
        inputs = complete(aws, new)
        name = inputs["name"]
        return Created(
            id=name,
            outputs=inputs
            | {
                "arn": aws.arn("ec2", f"placement-group/{name}"),
                "placementGroupId": f"pg-{hex_digits(PLACEMENT_GROUP_HEX_DIGITS)}",
            },
        )


@answers(
    "aws:ec2/getLaunchTemplate:getLaunchTemplate",
    needs="ec2:DescribeLaunchTemplates ec2:DescribeLaunchTemplateVersions",
)
def get_launch_template(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The latest version of a launch template, with the properties that the program uses."""
    [latest] = described(aws, "launch_template_versions", LaunchTemplateId=inputs["id"], Versions=["$Latest"])
    data = latest["LaunchTemplateData"]
    target = data.get("CapacityReservationSpecification", {}).get("CapacityReservationTarget")
    return {
        "blockDeviceMappings": [
            {"deviceName": one["DeviceName"], "ebs": [{"volumeSize": one["Ebs"]["VolumeSize"]}]}
            for one in data.get("BlockDeviceMappings", [])
        ],
        "capacityReservationSpecifications": [
            {"capacityReservationTargets": [{"capacityReservationId": target["CapacityReservationId"]}]}
        ]
        if target
        else [],
        "id": inputs["id"],
        "instanceType": data.get("InstanceType", ""),
        "latestVersion": latest["VersionNumber"],
        "name": latest["LaunchTemplateName"],
    }


@answers("aws:ec2/getInstanceType:getInstanceType", needs="ec2:DescribeInstanceTypes", lasting=True)
def get_instance_type(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """An instance type, with the properties that the program uses."""
    name = inputs["instanceType"]
    [found] = described(aws, "instance_types", InstanceTypes=[name])
    network = found["NetworkInfo"]
    result = {
        "defaultVcpus": found["VCpuInfo"]["DefaultVCpus"],
        "efaMaximumInterfaces": network.get("EfaInfo", {}).get("MaximumEfaInterfaces"),
        "efaSupported": network["EfaSupported"],
        "gpuses": [
            {
                "count": gpu["Count"],
                "manufacturer": gpu["Manufacturer"],
                "memorySize": gpu.get("MemoryInfo", {}).get("SizeInMiB"),
                "name": gpu["Name"],
            }
            for gpu in found.get("GpuInfo", {}).get("Gpus", [])
        ],
        "id": name,
        "instanceStorageSupported": found["InstanceStorageSupported"],
        "instanceType": name,
        "maximumIpv4AddressesPerInterface": network["Ipv4AddressesPerInterface"],
        "maximumNetworkCards": network["MaximumNetworkCards"],
        "maximumNetworkInterfaces": network["MaximumNetworkInterfaces"],
        "memorySize": found["MemoryInfo"]["SizeInMiB"],
        "neuronDevices": [
            {
                "coreCount": device.get("CoreInfo", {}).get("Count"),
                "coreVersion": device.get("CoreInfo", {}).get("Version"),
                "count": device["Count"],
                "memorySize": device.get("MemoryInfo", {}).get("SizeInMiB"),
                "name": device.get("Name"),
            }
            for device in found.get("NeuronInfo", {}).get("NeuronDevices", [])
        ],
        "supportedArchitectures": found["ProcessorInfo"]["SupportedArchitectures"],
        "supportedUsagesClasses": found["SupportedUsageClasses"],
        "totalInstanceStorage": found.get("InstanceStorageInfo", {}).get("TotalSizeInGB"),
    }
    return {key: value for key, value in result.items() if value is not None}


@answers(
    "aws:ec2/getInstanceTypeOfferings:getInstanceTypeOfferings", needs="ec2:DescribeInstanceTypeOfferings", lasting=True
)
def get_instance_type_offerings(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Which instance types are offered where: three lists, whose entries of one index belong together."""
    found = call(aws.client("ec2"), "describe_instance_type_offerings", inputs)["InstanceTypeOfferings"]
    return {
        "id": aws.region,
        "instanceTypes": [offer["InstanceType"] for offer in found],
        "locationTypes": [offer["LocationType"] for offer in found],
        "locations": [offer["Location"] for offer in found],
    }
