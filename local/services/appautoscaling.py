"""Application Auto Scaling: scalable targets and their policies."""

from local.aws import Aws, Created, Resource, creates
from local.services._params import call, complete


@creates("aws:appautoscaling/target:Target")
def target(aws: Aws, resource: Resource) -> Created:
    """What is scaled, and between which limits."""
    scaling = aws.client("application-autoscaling")
    inputs = complete(aws, resource, name=None)
    call(scaling, "register_scalable_target", inputs)
    described = call(
        scaling,
        "describe_scalable_targets",
        {"serviceNamespace": inputs["serviceNamespace"], "scalableDimension": inputs["scalableDimension"]},
        resourceIds=[inputs["resourceId"]],
    )["ScalableTargets"][0]
    return Created(id=inputs["resourceId"], outputs=inputs | {"arn": described["ScalableTargetARN"]})


@creates("aws:appautoscaling/policy:Policy")
def policy(aws: Aws, resource: Resource) -> Created:
    """A scaling policy; the provider takes it for step scaling when the program does not say which kind it is."""
    inputs = {"policyType": "StepScaling"} | complete(aws, resource, tags=False)
    scaling = aws.client("application-autoscaling")
    made = call(scaling, "put_scaling_policy", inputs, rename={"name": "PolicyName"})
    alarms = [alarm["AlarmARN"] for alarm in made.get("Alarms", [])]
    return Created(id=inputs["name"], outputs=inputs | {"arn": made["PolicyARN"], "alarmArns": alarms})
