"""Amazon EC2 Auto Scaling: groups, and tags on those that EKS creates for node groups, which moto does not create."""

from collections.abc import Mapping
from typing import Any

from local.aws import Aws
from local.edits import Effect
from local.parameters import call, complete
from local.record import ResourceType
from local.run import Created, Resource, State

GROUP = "aws:autoscaling/group:Group"
OF_OTHER_CALLS = ("forceDelete", "suspendedProcesses", "vpcZoneIdentifiers")


class Group(ResourceType, token=GROUP):
    """An Auto Scaling group, without an instance until somebody asks for one."""

    takes = ("autoscaling", "CreateAutoScalingGroup")
    name = "name"
    rename = {"name": "AutoScalingGroupName", "protectFromScaleIn": "NewInstancesProtectedFromScaleIn"}
    refers = {
        "mixedInstancesPolicy.launchTemplate.launchTemplateSpecification.launchTemplateId": (
            "aws:ec2/launchTemplate:LaunchTemplate"
        ),
        "vpcZoneIdentifiers[]": "aws:ec2/subnet:Subnet",
    }
    # who names a launch template needs what starts its instances (EC2 Auto Scaling user guide, "Control Amazon EC2
    # launch template usage")
    needs = (
        "autoscaling:CreateAutoScalingGroup autoscaling:CreateOrUpdateTags autoscaling:DeleteAutoScalingGroup"
        " autoscaling:DeleteTags autoscaling:DescribeAutoScalingGroups autoscaling:DescribeScalingActivities"
        " autoscaling:ResumeProcesses autoscaling:SetInstanceProtection autoscaling:SuspendProcesses"
        " autoscaling:UpdateAutoScalingGroup ec2:CreateTags ec2:DescribeLaunchTemplateVersions ec2:RunInstances"
        " iam:CreateServiceLinkedRole iam:PassRole"
    )
    ended = Effect(
        work="stopped",
        what="its instances end, and the workers on them; their tasks return to the queue",
        first="send no more tasks and deploy when none is in flight",
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        """Create it, and suspend what it is not to do."""
        client, inputs = aws.client("autoscaling"), complete(aws, new, tags=False)
        call(
            client,
            "create_auto_scaling_group",
            inputs,
            rename=self.rename,
            leave=OF_OTHER_CALLS,
            VPCZoneIdentifier=",".join(inputs["vpcZoneIdentifiers"]),
        )
        _suspend(client, inputs["name"], inputs)
        found = _found(client, inputs["name"]) or {}
        return Created(
            id=inputs["name"],
            outputs=inputs | {"arn": found["AutoScalingGroupARN"], "desiredCapacity": found["DesiredCapacity"]},
        )

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any] | None:
        """All of it; None when there is none of its name."""
        found = _found(aws.client("autoscaling"), there.id)
        return (
            None
            if found is None
            else {
                **found,
                "suspendedProcesses": [one["ProcessName"] for one in found["SuspendedProcesses"]],
                "vpcZoneIdentifiers": found["VPCZoneIdentifier"].split(","),
            }
        )

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Change what new instances are like and how many there may be; those that run stay as they are."""
        client = aws.client("autoscaling")
        call(
            client,
            "update_auto_scaling_group",
            new.inputs,
            rename=self.rename,
            leave=(*OF_OTHER_CALLS, "tags"),
            VPCZoneIdentifier=",".join(new.inputs["vpcZoneIdentifiers"]),
        )
        of_group = {"ResourceId": there.id, "ResourceType": "auto-scaling-group"}
        tags = {one["key"]: one for one in new.inputs.get("tags", [])}
        if gone := [one["key"] for one in there.inputs.get("tags", []) if one["key"] not in tags]:
            client.delete_tags(Tags=[{**of_group, "Key": key} for key in gone])
        call(client, "create_or_update_tags", {"tags": [{**of_group, **one} for one in tags.values()]})
        client.resume_processes(AutoScalingGroupName=there.id)
        _suspend(client, there.id, new.inputs)
        return {}

    def delete(self, aws: Aws, there: State) -> None:
        """End its instances and delete it."""
        aws.client("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=there.id, ForceDelete=True)


class Tag(ResourceType, token="aws:autoscaling/tag:Tag"):
    """A tag on an Auto Scaling group."""

    simulated = True
    needs = "autoscaling:CreateOrUpdateTags autoscaling:DeleteTags autoscaling:DescribeTags"

    def create(self, aws: Aws, new: Resource) -> Created:
        del aws
        inputs = new.inputs
        return Created(id=f"{inputs['autoscalingGroupName']},{inputs['tag']['key']}")


def _suspend(client: Any, name: str, inputs: Mapping[str, Any]) -> None:
    if processes := inputs.get("suspendedProcesses"):
        client.suspend_processes(AutoScalingGroupName=name, ScalingProcesses=processes)


def _found(client: Any, name: str) -> dict[str, Any] | None:
    return next(iter(client.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]), None)
