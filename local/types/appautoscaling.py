"""Application Auto Scaling: scalable targets and their policies."""

from local.aws import Aws
from local.parameters import call, complete
from local.record import ResourceType, tag_actions
from local.run import Created, Resource


class Target(ResourceType, token="aws:appautoscaling/target:Target"):
    """What is scaled, and between which limits."""

    needs = (
        "application-autoscaling:DeregisterScalableTarget application-autoscaling:DescribeScalableTargets"
        " application-autoscaling:RegisterScalableTarget ecs:DescribeServices ecs:UpdateService"
        f" iam:CreateServiceLinkedRole {tag_actions('application-autoscaling')}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        scaling = aws.client("application-autoscaling")
        inputs = complete(aws, new, name=None)
        call(scaling, "register_scalable_target", inputs)
        described = call(
            scaling,
            "describe_scalable_targets",
            {"serviceNamespace": inputs["serviceNamespace"], "scalableDimension": inputs["scalableDimension"]},
            resourceIds=[inputs["resourceId"]],
        )["ScalableTargets"][0]
        return Created(id=inputs["resourceId"], outputs=inputs | {"arn": described["ScalableTargetARN"]})


class Policy(ResourceType, token="aws:appautoscaling/policy:Policy"):
    """A scaling policy; the provider takes it for step scaling when the program does not say which kind it is."""

    name = "name"
    needs = (
        "application-autoscaling:DeleteScalingPolicy application-autoscaling:DescribeScalingPolicies"
        " application-autoscaling:PutScalingPolicy"
        # asked of whoever makes the policy (Application Auto Scaling user guide, "Additional IAM permissions")
        " cloudwatch:DeleteAlarms cloudwatch:DescribeAlarms cloudwatch:PutMetricAlarm"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = {"policyType": "StepScaling"} | complete(aws, new, tags=False)
        scaling = aws.client("application-autoscaling")
        made = call(scaling, "put_scaling_policy", inputs, rename={"name": "PolicyName"})
        alarms = [alarm["AlarmARN"] for alarm in made.get("Alarms", [])]
        return Created(id=inputs["name"], outputs=inputs | {"arn": made["PolicyARN"], "alarmArns": alarms})
