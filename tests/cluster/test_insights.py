"""Container Insights on the cluster: the add-on, what it may do, and the logs that it writes."""

import json
from typing import Any

import pytest

from local.run import Run
from tests.cluster.support import ADDON
from tests.conftest import RunStack
from tests.observability.support import widgets
from tests.support import all_of, one_of

LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
NAME = "training-insights"
KINDS = ("application", "performance")


@pytest.fixture(scope="module")
def watched(run_sections: RunStack) -> Run:
    eks: dict[str, Any] = {"containerInsights": True, "gpuNodeGroups": {"gpu": {}}}
    return run_sections({"eks": eks, "logs": {"retentionDays": 7}}, preview=False)


def addon(run: Run) -> dict[str, Any]:
    return dict(one_of(run, ADDON, NAME).inputs)


def test_a_cluster_has_it_only_where_the_stack_file_says_so(watched: Run, run_sections: RunStack) -> None:
    assert addon(watched)["addonName"] == "amazon-cloudwatch-observability"
    without = run_sections({"eks": {}})
    assert NAME not in all_of(without, ADDON)
    assert not any("containerinsights" in str(one.inputs) for one in all_of(without, LOG_GROUP).values())


def test_logs_of_trainings_pods_and_of_nothing_else_are_written(watched: Run) -> None:
    values = json.loads(addon(watched)["configurationValues"])
    files = values["containerLogs"]["fluentBit"]["config"]["extraFiles"]
    read = {name: [line.split()[1] for line in text.splitlines() if "Path" in line] for name, text in files.items()}
    assert read == {
        "application-log.conf": ["/var/log/containers/*_training_*.log"],
        "dataplane-log.conf": [],
        "host-log.conf": [],
    }


def test_its_log_groups_are_there_first_with_the_retention_of_the_stack(watched: Run) -> None:
    cluster = watched.exports["eks_cluster_name"]
    for kind in KINDS:
        group = one_of(watched, LOG_GROUP, f"{NAME}-{kind}")
        assert group.inputs["name"] == f"/aws/containerinsights/{cluster}/{kind}"
        assert group.inputs["retentionInDays"] == 7
        assert group.urn in one_of(watched, ADDON, NAME).dependencies
    assert "auto_create_group   false" in addon(watched)["configurationValues"]


def test_its_role_writes_to_these_log_groups_and_makes_none(watched: Run) -> None:
    (association,) = addon(watched)["podIdentityAssociations"]
    role = watched.created[one_of(watched, "aws:iam/role:Role", NAME).urn].outputs["arn"]
    assert association == {"serviceAccount": "cloudwatch-agent", "roleArn": role}
    document = json.loads(one_of(watched, "aws:iam/rolePolicy:RolePolicy", NAME).inputs["policy"])
    (written,) = [one for one in document["Statement"] if "logs:PutLogEvents" in one["Action"]]
    groups = [watched.created[one_of(watched, LOG_GROUP, f"{NAME}-{kind}").urn].outputs["arn"] for kind in KINDS]
    assert written["Resource"] == [f"{arn}:*" for arn in groups]
    assert "logs:CreateLogGroup" not in str(document)


def test_the_dashboard_shows_the_gpus_of_nodes(watched: Run) -> None:
    titles = [one["properties"]["title"] for one in widgets(watched)]
    assert "GPUs of EKS: use in percent" in titles
