"""Where images come from: what their names mean, the cache, and what the cluster's software pulls."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from components import images
from components.cluster import GpuClusterSettings, RunningCluster
from components.cluster.charts import AUTOSCALER_IMAGES, CHARTS, images_of
from components.iam import Account
from components.network import Zones
from local.run import Run
from tests.conftest import RunStack
from tests.support import all_of, one_of
from tools import images as tools_images

MistakesIn = Callable[[dict[str, Any]], list[str]]
RULE = "aws:ecr/pullThroughCacheRule:PullThroughCacheRule"
TEMPLATE = "aws:ecr/repositoryCreationTemplate:RepositoryCreationTemplate"
RELEASE = "kubernetes:helm.sh/v3:Release"
SECRET = "arn:aws:secretsmanager:us-west-2:123456789012:secret:ecr-pullthroughcache/github-AbCdEf"
MIRROR = "123456789012.dkr.ecr.us-west-2.amazonaws.com/mirror"
GROUPS: dict[str, Any] = {
    "gpu": {},
    "fast": {"instanceTypes": ["p5.48xlarge"], "efa": True, "maxSize": 2},
    "neuron": {"instanceTypes": ["trn1.32xlarge"], "maxSize": 1},
}
EKS: dict[str, Any] = {"gpuNodeGroups": GROUPS, "kueue": True, "trainer": True}


@pytest.fixture(scope="module")
def cached(run_sections: RunStack) -> Run:
    return run_sections(
        {
            "artifacts": {"registrySecrets": {"ghcr.io": SECRET}},
            "batch": {"own": {"image": "repository:train-1"}, "hub": {"image": "pytorch/pytorch:2.8.0"}, "aws": {}},
            "eks": EKS,
        },
        preview=False,
    )


def own(run: Run) -> str:
    return run.exports["image_repository_url"]


def image_of(run: Run, queue: str) -> str:
    definition = one_of(run, "aws:batch/jobDefinition:JobDefinition", queue)
    return json.loads(definition.inputs["containerProperties"])["image"]


@pytest.mark.parametrize(
    ("image", "whole"),
    [
        ("python:3.13", "docker.io/library/python:3.13"),
        ("pytorch/pytorch", "docker.io/pytorch/pytorch"),
        ("quay.io/a/b:1", "quay.io/a/b:1"),
        ("localhost/a", "localhost/a"),
        ("host:5000/a", "host:5000/a"),
    ],
)
def test_a_name_without_a_registry_is_of_docker_hub(image: str, whole: str) -> None:
    assert images.full(image) == whole


def test_the_name_repository_stands_for_the_stacks_own(cached: Run) -> None:
    assert image_of(cached, "own") == f"{own(cached)}:train-1"


def test_what_ecr_can_cache_comes_through_it_and_the_rest_as_it_is_named(cached: Run) -> None:
    assert image_of(cached, "aws") == f"{own(cached)}/public/deep-learning-containers/pytorch:2.13-cu133-amzn2023"
    # Docker Hub only with a secret
    assert image_of(cached, "hub") == "pytorch/pytorch:2.8.0"
    repository = own(cached).partition("/")[2]
    assert {
        (one.inputs["upstreamRegistryUrl"], one.inputs["ecrRepositoryPrefix"], one.inputs.get("credentialArn"))
        for one in all_of(cached, RULE).values()
    } == {
        ("public.ecr.aws", f"{repository}/public", None),
        ("registry.k8s.io", f"{repository}/k8s", None),
        ("ghcr.io", f"{repository}/ghcr", SECRET),
    }
    assert cached.exports["image_cache_urls"]["registry.k8s.io"] == f"{own(cached)}/k8s"


def test_a_prefix_fits_into_what_ecr_takes(cached: Run) -> None:
    assert all(len(one.inputs["ecrRepositoryPrefix"]) <= 30 for one in all_of(cached, RULE).values())
    # as long as the name that the provider makes up
    assert all(len(f"artifacts-1234567/{one.prefix}") <= 30 for one in images.UPSTREAMS.values())


def test_repositories_of_the_cache_let_go_of_what_lost_its_tag(cached: Run) -> None:
    (template,) = all_of(cached, TEMPLATE).values()
    assert template.inputs["prefix"] == own(cached).partition("/")[2]
    assert template.inputs["appliedFors"] == ["PULL_THROUGH_CACHE"]
    # with tags ECR would want a role to make repositories with
    assert "resourceTags" not in template.inputs
    assert json.loads(template.inputs["lifecyclePolicy"])["rules"][0]["selection"]["tagStatus"] == "untagged"


def test_a_stack_that_pulls_nothing_public_has_no_cache(run_sections: RunStack) -> None:
    run = run_sections({"batch": {"own": {"image": "repository:train-1"}}}, preview=False)
    assert not all_of(run, RULE)
    assert not all_of(run, TEMPLATE)
    assert "image_cache_urls" not in run.exports
    policies = all_of(run, "aws:iam/rolePolicy:RolePolicy")
    assert [name for name, one in policies.items() if "ecr:CreateRepository" in one.inputs["policy"]] == []


@pytest.mark.parametrize("partition", ["aws-cn", "aws-us-gov"])
def test_where_caches_are_not_proven_images_come_as_they_are_named(partition: str) -> None:
    account = Account(id="123456789012", partition=partition, region="somewhere-1")
    assert images.to_cache([images.TRAINING_IMAGE], {}, account) == []


def test_a_secret_that_ecr_would_not_take_is_refused(mistakes_in: MistakesIn) -> None:
    arn = "arn:aws:secretsmanager:us-west-2:123456789012:secret:github-AbCdEf"
    (line,) = mistakes_in({"artifacts": {"registrySecrets": {"ghcr.io": arn}}})
    assert line.startswith("artifacts.registrySecrets.ghcr.io: must be the ARN of a Secrets Manager secret whose name")
    (line,) = mistakes_in({"artifacts": {"registrySecrets": {"nvcr.io": SECRET}}})
    assert line.startswith("artifacts.registrySecrets.nvcr.io")


def test_a_queue_over_efa_whose_image_is_known_to_have_none_is_warned_of(run_sections: RunStack) -> None:
    queue = {"instanceTypes": ["p5.48xlarge"], "efa": True, "capacity": ["onDemand"]}
    run = run_sections(
        {"batch": {"hub": queue | {"image": "pytorch/pytorch:2.8.0"}, "aws": queue, "quiet": {"image": "python:3.13"}}}
    )
    (line,) = [one for one in run.messages if "libfabric" in one]
    assert line.endswith(
        "batch.hub.image: pytorch/pytorch:2.8.0 holds neither libfabric nor aws-ofi-nccl, so NCCL fails in its jobs;"
        f" build it on {images.TRAINING_IMAGE}"
    )


def test_each_chart_takes_its_images_through_the_cache_where_ecr_has_one(cached: Run) -> None:
    values = {name: one.inputs["values"] for name, one in all_of(cached, RELEASE).items()}
    k8s, ghcr = f"{own(cached)}/k8s", f"{own(cached)}/ghcr"
    assert values["training-cluster-autoscaler"]["image"] == {
        "tag": AUTOSCALER_IMAGES["1.35"],
        "repository": f"{k8s}/autoscaling/cluster-autoscaler",
    }
    manager = values["training-kueue"]["controllerManager"]["manager"]
    assert manager["image"] == {"repository": f"{k8s}/kueue/kueue"}
    trainer = "kubeflow/trainer/trainer-controller-manager"
    assert values["training-trainer"]["image"] == {"registry": ghcr, "repository": trainer}
    assert values["training-trainer"]["jobset"]["image"] == {"registry": k8s, "repository": "jobset/jobset"}
    neuron = values["training-neuron-device-plugin"]["devicePlugin"]["image"]
    assert neuron == {"repository": f"{own(cached)}/public/neuron/neuron-device-plugin"}
    # ECR caches no nvcr.io
    assert "image" not in values["training-device-plugin"]
    runtime = one_of(
        cached, "kubernetes:trainer.kubeflow.org/v1alpha1:ClusterTrainingRuntime", "training-torch-distributed"
    )
    assert f'"image": "{own(cached)}/public/deep-learning-containers/pytorch:' in json.dumps(runtime.inputs["spec"])


def test_with_a_registry_of_ones_own_every_image_of_the_software_comes_from_there(run_sections: RunStack) -> None:
    run = run_sections({"eks": EKS | {"imageRegistry": MIRROR}}, preview=False)
    assert not all_of(run, RULE)
    for name, release in all_of(run, RELEASE).items():
        chart = CHARTS[name.removeprefix("training-")]
        for image in chart.images:
            found: Any = release.inputs["values"]
            for key in image.values.split("."):
                found = found[key]
            path = image.name.partition("/")[2].partition(":")[0]
            there = f"{found['registry']}/{found['repository']}" if image.apart else found["repository"]
            assert there == f"{MIRROR}/{path}"
    runtime = one_of(
        run, "kubernetes:trainer.kubeflow.org/v1alpha1:ClusterTrainingRuntime", "training-torch-distributed"
    )
    assert f'"{MIRROR}/deep-learning-containers/pytorch:2.13-cu133-amzn2023"' in json.dumps(runtime.inputs["spec"])


def test_efas_device_plugin_comes_from_the_region(cached: Run) -> None:
    values = one_of(cached, RELEASE, "training-efa-device-plugin").inputs["values"]
    there = "602401143452.dkr.ecr.us-west-2.amazonaws.com"
    assert values["image"] == {"repository": f"{there}/eks/aws-efa-k8s-device-plugin"}
    assert images.ADDONS_REGISTRIES["us-gov-west-1"] == "013241004608.dkr.ecr.us-gov-west-1.amazonaws.com"
    assert images.ADDONS_REGISTRIES["cn-north-1"] == "918309763551.dkr.ecr.cn-north-1.amazonaws.com.cn"


def test_a_region_whose_registry_is_not_known_needs_one_of_ones_own() -> None:
    settings = GpuClusterSettings.model_validate({"gpuNodeGroups": {"fast": GROUPS["fast"]}})
    mistake = next(settings.preflight("eks", {}, Zones(), RunningCluster(), "mars-north-1"))
    assert (mistake.path, mistake.rule) == (
        "eks.imageRegistry",
        "is required in mars-north-1 with efa, because no registry of EFA's device plugin there is known",
    )


@pytest.mark.parametrize("chart", sorted(CHARTS))
def test_every_image_of_a_chart_has_a_registry_and_a_tag(chart: str) -> None:
    assert CHARTS[chart].images
    for image in images_of(chart, "1.35"):
        assert images.full(image) == image
        assert ":" in image.rpartition("/")[2]


def test_the_list_names_every_image_of_every_chart_as_it_is_pulled_in_the_region() -> None:
    listed = [image for _, image in tools_images.needed("1.36", "eu-south-2")]
    assert f"registry.k8s.io/autoscaling/cluster-autoscaler:{AUTOSCALER_IMAGES['1.36']}" in listed
    assert any(one.startswith("455263428931.dkr.ecr.eu-south-2.amazonaws.com/eks/aws-efa") for one in listed)
    assert len(listed) == sum(len(chart.images) for chart in CHARTS.values()) + 1
    assert set(tools_images.NEEDED_BY) == set(CHARTS)


def test_the_script_copies_each_image_to_where_the_cluster_takes_it_from(run_sections: RunStack) -> None:
    lines = list(tools_images.main(["--to", MIRROR, "--with", "skopeo"]))
    copied = {line.split()[4].removeprefix("docker://") for line in lines if line.startswith("skopeo copy --all")}
    run = run_sections({"eks": EKS | {"imageRegistry": MIRROR}}, preview=False)
    values = json.dumps([one.inputs["values"] for one in all_of(run, RELEASE).values()])
    for image in copied:
        path = image.removeprefix(f"{MIRROR}/").partition(":")[0]
        assert path in values or "deep-learning-containers" in path
        assert any(f"create-repository --region us-west-2 --repository-name mirror/{path} " in line for line in lines)
    assert len(copied) == len(tools_images.needed("1.35", "us-west-2"))


def test_a_registry_outside_ecr_is_neither_signed_in_to_nor_given_repositories() -> None:
    lines = list(tools_images.main(["--to", "registry.example.com/mirror/"]))
    assert not any("create-repository" in line for line in lines)
    assert not any("registry.example.com" in line for line in lines if "login" in line)
    assert any(line.endswith(" registry.example.com/mirror/kueue/kueue:v0.20.0") for line in lines)
