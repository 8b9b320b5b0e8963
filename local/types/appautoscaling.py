"""Application Auto Scaling: scalable targets and their policies."""

from collections.abc import Mapping
from typing import Any

from local.aws import Aws
from local.parameters import call, complete
from local.record import ResourceType, tag_actions
from local.run import Created, Resource, State

TARGET = "aws:appautoscaling/target:Target"
KEYS = ("serviceNamespace", "resourceId", "scalableDimension")
"""The inputs that identify a target."""


class Target(ResourceType, token=TARGET):
    """A scalable target: what is scaled, and between which limits."""

    refers = {"resourceId": "aws:ecs/service:Service"}
    needs = (
        "application-autoscaling:DeregisterScalableTarget application-autoscaling:DescribeScalableTargets"
        " application-autoscaling:RegisterScalableTarget ecs:DescribeServices ecs:UpdateService"
        f" iam:CreateServiceLinkedRole {tag_actions('application-autoscaling')}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new, name=None)
        made = call(aws.client("application-autoscaling"), "register_scalable_target", inputs)
        return Created(id=inputs["resourceId"], outputs=inputs | {"arn": made["ScalableTargetARN"]})

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any] | None:
        namespace, resource_id, dimension = (there.inputs[key] for key in KEYS)
        found = aws.client("application-autoscaling").describe_scalable_targets(
            ServiceNamespace=namespace, ResourceIds=[resource_id], ScalableDimension=dimension
        )["ScalableTargets"]
        return next(iter(found), None)

    def retag(self, aws: Aws, there: State, tags: Mapping[str, str], gone: list[str]) -> None:
        """Nothing: moto keeps no tags of a target."""

    def delete(self, aws: Aws, there: State) -> None:
        named = {key: there.inputs[key] for key in KEYS}
        call(aws.client("application-autoscaling"), "deregister_scalable_target", named)


class Policy(ResourceType, token="aws:appautoscaling/policy:Policy"):
    """A scaling policy; step scaling, as in the provider, unless the program says which kind it is."""

    name = "name"
    rename = {"name": "PolicyName"}
    refers = {"resourceId": TARGET}
    needs = (
        "application-autoscaling:DeleteScalingPolicy application-autoscaling:DescribeScalingPolicies"
        " application-autoscaling:PutScalingPolicy"
        # AWS asks these of the caller who creates the policy (Application Auto Scaling user guide, "Additional IAM
        # permissions")
        " cloudwatch:DeleteAlarms cloudwatch:DescribeAlarms cloudwatch:PutMetricAlarm"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = {"policyType": "StepScaling"} | complete(aws, new, tags=False)
        made = call(aws.client("application-autoscaling"), "put_scaling_policy", inputs, rename=self.rename)
        alarms = [alarm["AlarmARN"] for alarm in made.get("Alarms", [])]
        return Created(id=inputs["name"], outputs=inputs | {"arn": made["PolicyARN"], "alarmArns": alarms})

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any] | None:
        named = {key: there.inputs[key] for key in KEYS}
        found = call(aws.client("application-autoscaling"), "describe_scaling_policies", named)["ScalingPolicies"]
        return next((one for one in found if one["PolicyName"] == there.id), None)

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Put it again under its ARN; moto creates new alarms and leaves the old ones, which are deleted here."""
        before = [arn.partition(":alarm:")[2] for arn in there.outputs["alarmArns"]]
        outputs = self.create(aws, new).outputs
        if before:
            aws.client("cloudwatch").delete_alarms(AlarmNames=before)
        return {"alarmArns": outputs["alarmArns"]}

    def delete(self, aws: Aws, there: State) -> None:
        """Delete it with its alarms."""
        named = {key: there.inputs[key] for key in KEYS}
        call(aws.client("application-autoscaling"), "delete_scaling_policy", named, policyName=there.id)
