"""What a run registered for the scaling of a fleet, as the simulator takes it."""

from local.run import Run
from tests.scaling.fleet import Scaled
from tests.support import one_of

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"


def scaled(run: Run, fleet: str = "workers") -> Scaled:
    """The one alarm and the one policy of a fleet."""
    alarm = one_of(run, ALARM, f"{fleet}-size").inputs
    policy = one_of(run, "aws:appautoscaling/policy:Policy", f"{fleet}-size")
    target = one_of(run, "aws:appautoscaling/target:Target", fleet)
    assert alarm["alarmActions"] == [run.created[policy.urn].outputs["arn"]]
    dimensions = {one["id"]: one["metric"]["dimensions"] for one in alarm["metricQueries"] if "metric" in one}
    return Scaled(
        alarm=alarm,
        policy=policy.inputs,
        least=int(target.inputs["minCapacity"]),
        most=int(target.inputs["maxCapacity"]),
        queue=dimensions["waiting"],
        service=dimensions["running"],
    )
