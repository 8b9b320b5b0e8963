"""`train cluster nodes`: the instances of the node groups."""

from pathlib import Path

from client import instances, show, stack
from client.cluster import kubeconfig

COLUMNS = {
    "group": "node group",
    "instance": "instance",
    "type": "type",
    "zone": "zone",
    "state": "state",
    "since": "since",
    "capacity": "capacity",
}


def run(name: str | None, path: Path | None, *, as_json: bool) -> int:
    """Show the nodes that there are, by node group.

    Raises:
        TrainError: when the stack has no cluster.

    """
    with stack.opened(name, path) as opened:
        kubeconfig.of(opened)
        rows = [
            {
                "group": group,
                "instance": one["InstanceId"],
                "type": one["InstanceType"],
                "zone": one["Placement"]["AvailabilityZone"],
                "state": one["State"]["Name"],
                "since": f"{one['LaunchTime']:%Y-%m-%dT%H:%M:%SZ}",
                "capacity": one.get("InstanceLifecycle", "on-demand"),
            }
            for group, one in instances.of_cluster(opened)
        ]
    show.rows(sorted(rows, key=lambda row: (row["group"], row["instance"])), COLUMNS, as_json=as_json)
    return 0
