"""Teams: what one section gives each of them, on the cluster, in Batch, in the bucket, and in its budget."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from local.run import Run
from tests.cluster.support import ACCESS_ENTRY, ACCESS_POLICY, KUEUE, needs
from tests.conftest import RunStack
from tests.support import all_of, one_of

MistakesIn = Callable[[Mapping[str, Any]], list[str]]
ADMIN, VISION, BOTH = (f"arn:aws:iam::111122223333:role/{name}" for name in ("admin", "vision", "both"))
SECTIONS: dict[str, Any] = {
    "batch": {"shared": {"fairShareByTeam": True}},
    "eks": {
        "adminPrincipalArns": [ADMIN],
        "gpuNodeGroups": {"small": {"maxSize": 2}, "large": {"instanceTypes": ["p5.48xlarge"], "maxSize": 1}},
        "kueue": True,
    },
    "teams": {
        "vision": {"weight": 4, "principalArns": [VISION, BOTH], "monthlyBudgetUsd": 5000},
        "language": {"principalArns": [BOTH]},
    },
    "protect": True,
}


@pytest.fixture(scope="module")
def deployed(run_sections: RunStack) -> Run:
    return run_sections(SECTIONS, preview=False)


def spec(run: Run, kind: str, name: str) -> dict[str, Any]:
    return one_of(run, f"{KUEUE}:{kind}", name).inputs["spec"]


def test_teams_share_all_of_a_node_group_by_their_weight(deployed: Run) -> None:
    (pool,) = spec(deployed, "Cohort", "training-small-cohort")["resourceGroups"]
    (flavor,) = pool["flavors"]
    assert {one["name"]: one["nominalQuota"] for one in flavor["resources"]}["nvidia.com/gpu"] == "8"
    weights: dict[str, str] = {}
    for name in ("training-vision.small-queue", "training-language.small-queue", "training-small-queue"):
        queue = spec(deployed, "ClusterQueue", name)
        assert queue["cohortName"] == "small"
        (group,) = queue["resourceGroups"]
        # borrowed, all of it, so that nothing is kept for who has no job
        assert [one["nominalQuota"] for one in group["flavors"][0]["resources"]] == ["0"] * 3
        assert "borrowingLimit" not in json.dumps(group)
        assert queue["preemption"]["reclaimWithinCohort"] == "Any"
        namespace = queue["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        weights[namespace] = queue["fairSharing"]["weight"]
    # what is no team's has what the teams leave
    assert weights == {"team-vision": "4", "team-language": "1", "training": "0"}


def test_a_job_that_names_no_queue_waits_for_the_smallest_nodes(deployed: Run) -> None:
    queues = {
        one.inputs["metadata"]["name"]: one.inputs["spec"]["clusterQueue"]
        for one in all_of(deployed, f"{KUEUE}:LocalQueue").values()
        if one.inputs["metadata"]["namespace"] == "team-vision"
    }
    assert queues == {"default": "vision.small", "small": "vision.small", "large": "vision.large"}


def test_without_teams_a_group_has_its_own_quota(run_sections: RunStack) -> None:
    run = run_sections({"eks": {"kueue": True}})
    assert not all_of(run, f"{KUEUE}:Cohort")
    assert set(spec(run, "ClusterQueue", "training-gpu-queue")) == {"namespaceSelector", "resourceGroups"}
    assert "team_namespaces" not in run.exports


def test_the_jobs_of_a_team_have_an_identity_of_their_own(deployed: Run) -> None:
    association = one_of(deployed, "aws:eks/podIdentityAssociation:PodIdentityAssociation", "training-vision-trainer")
    account = one_of(deployed, "kubernetes:core/v1:ServiceAccount", "training-vision-trainer").inputs["metadata"]
    assert (association.inputs["namespace"], association.inputs["serviceAccount"]) == ("team-vision", "trainer")
    assert (account["namespace"], account["name"]) == ("team-vision", "trainer")


def test_the_checkpoints_of_a_team_expire_as_all_others(deployed: Run) -> None:
    lifecycle = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
    rules = one_of(deployed, lifecycle, "artifacts").inputs["rules"]
    days = {one["filter"]["prefix"]: one["expiration"].get("days") for one in rules if "expiration" in one}
    assert days["teams/vision/checkpoints/"] == days["teams/language/checkpoints/"] == days["checkpoints/"] == 90


def test_people_of_a_team_run_jobs_in_its_namespace_and_administer_nothing(deployed: Run) -> None:
    groups = {one.inputs["principalArn"]: one.inputs.get("kubernetesGroups") for one in entries(deployed)}
    assert groups == {ADMIN: None, VISION: ["team-vision"], BOTH: ["team-language", "team-vision"]}
    assert [one.inputs["principalArn"] for one in all_of(deployed, ACCESS_POLICY).values()] == [ADMIN]
    rbac = "kubernetes:rbac.authorization.k8s.io/v1"
    binding = one_of(deployed, f"{rbac}:RoleBinding", "training-vision").inputs
    role = one_of(deployed, f"{rbac}:Role", "training-vision").inputs
    assert binding["metadata"]["namespace"] == role["metadata"]["namespace"] == "team-vision"
    assert [one["name"] for one in binding["subjects"]] == ["team-vision"]
    made = {resource for rule in role["rules"] if "create" in rule["verbs"] for resource in rule["resources"]}
    assert {"jobs", "trainjobs", "configmaps"} <= made
    # a pod that they make themselves would go round the queues
    assert not made & {"pods", "deployments", "localqueues", "roles", "rolebindings", "serviceaccounts"}


def entries(run: Run) -> list[Any]:
    return list(all_of(run, ACCESS_ENTRY).values())


def test_a_teams_namespace_lets_no_pod_onto_its_node_and_nothing_in_from_outside(deployed: Run) -> None:
    namespace = one_of(deployed, "kubernetes:core/v1:Namespace", "training-vision").inputs["metadata"]
    assert namespace["labels"] == {"pod-security.kubernetes.io/enforce": "baseline"}
    quota = one_of(deployed, "kubernetes:core/v1:ResourceQuota", "training-vision").inputs["spec"]["hard"]
    assert quota == {"services.loadbalancers": "0", "services.nodeports": "0"}


def test_a_protected_stack_keeps_its_teams_and_a_team_can_be_taken_out(deployed: Run) -> None:
    guard = one_of(deployed, "kubernetes:core/v1:ServiceAccount", "training-trainer")
    assert guard.protect
    for name in ("training-vision", "training-language"):
        namespace = one_of(deployed, "kubernetes:core/v1:Namespace", name)
        assert namespace.urn in needs(deployed, guard)
        assert not namespace.protect
        queues = {one.urn for one in all_of(deployed, f"{KUEUE}:ClusterQueue").values() if f"{name}." in one.urn}
        assert len(queues) == 2
        assert queues <= needs(deployed, namespace)


def test_each_team_has_a_share_of_a_job_queue_and_more_weight_is_more(deployed: Run) -> None:
    policy = one_of(deployed, "aws:batch/schedulingPolicy:SchedulingPolicy", "shared").inputs["fairSharePolicy"]
    weights = {one["shareIdentifier"]: one["weightFactor"] for one in policy["shareDistributions"]}
    # to Batch a lower number is more
    assert weights == {"vision": 0.25, "language": 1}


def test_a_budget_counts_what_is_tagged_with_the_team(deployed: Run) -> None:
    (budget,) = all_of(deployed, "aws:budgets/budget:Budget").values()
    assert budget.inputs["limitAmount"] == "5000.00"
    assert budget.inputs["costFilters"] == [{"name": "TagKeyValue", "values": ["user:Team$vision"]}]


def test_the_outputs_say_what_a_team_needs(deployed: Run) -> None:
    assert deployed.exports["team_namespaces"] == {"vision": "team-vision", "language": "team-language"}
    assert set(deployed.exports["team_policy_arns"]) == {"vision", "language"}


@pytest.mark.parametrize(
    ("sections", "line"),
    [
        (
            {"teams": {"vision": {}}, "batch": {"single": {}}},
            (
                "teams: must come with eks or a job queue with fairShareByTeam, as there is nothing else to share,"
                " got ['vision']"
            ),
        ),
        (
            {"teams": {"vision": {}}, "eks": {}},
            "eks.kueue: must be true with teams, who share its nodes by it, got false",
        ),
        (
            {"batch": {"single": {"fairShareByTeam": True}}},
            "batch.single.fairShareByTeam: must be false without teams, got true",
        ),
        (
            {
                "teams": {"vision": {}},
                "batch": {"single": {"fairShareByTeam": True, "fairShare": {"vision": 1}}},
            },
            ("batch.single.fairShareByTeam: must be false together with fairShare, which names all shares, got true"),
        ),
        (
            {"teams": {"computer-vision": {}}, "batch": {"single": {"fairShareByTeam": True}}},
            (
                "teams.computer-vision: must be letters and digits with batch.single.fairShareByTeam, since a share of"
                " Batch has no other name, got 'computer-vision'"
            ),
        ),
        (
            {"teams": {"vision": {"principalArns": [VISION]}}, "batch": {"single": {"fairShareByTeam": True}}},
            (
                "teams.vision.principalArns: must be left out without eks, the only part that they get rights in, got"
                f" ['{VISION}']"
            ),
        ),
        (
            {"teams": {"vision": {"principalArns": [VISION, VISION]}}, "eks": {"kueue": True}},
            f"teams.vision.principalArns: must name each once, got ['{VISION}', '{VISION}']",
        ),
        (
            {"teams": {"vision": {"weight": 0}}, "eks": {"kueue": True}},
            "teams.vision.weight: must be at least 1, got 0",
        ),
        (
            {"teams": {"Vision": {}}, "eks": {"kueue": True}},
            (
                "teams.Vision: must be a name of small letters, digits and hyphens that begins with a letter, such as"
                " gpu-2, got 'Vision'"
            ),
        ),
    ],
)
def test_what_teams_cannot_share_is_one_line(sections: dict[str, Any], line: str, mistakes_in: MistakesIn) -> None:
    assert mistakes_in(sections) == [line]
