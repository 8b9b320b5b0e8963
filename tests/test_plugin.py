"""The provider as a plugin of the real engine, called as the engine calls it."""

import json
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, cast

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, resource_pb2, resource_pb2_grpc

from local.aws import Aws
from local.plugin import Plugin, version_of
from local.wire import UNKNOWN, plain, struct
from tests.conftest import DEFAULT_TAGS, REGION

QUEUE = "aws:sqs/queue:Queue"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
NAMESPACE = "kubernetes:core/v1:Namespace"


def urn(type_: str, name: str) -> str:
    return f"urn:pulumi:stack::project::{type_}::{name}"


@contextmanager
def served(add: str, servicer: object, module: Any) -> Generator[str]:
    """The address of a service in this process."""
    server: Any = grpc.server(ThreadPoolExecutor(4))
    getattr(module, add)(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


@contextmanager
def plugin_of(package: str, aws: Aws) -> Generator[Any]:
    plugin = Plugin(package, aws.endpoint_url)
    with (
        served("add_ResourceProviderServicer_to_server", plugin, provider_pb2_grpc) as address,
        grpc.insecure_channel(address) as channel,
    ):
        yield provider_pb2_grpc.ResourceProviderStub(channel)


@pytest.fixture
def plugin(aws: Aws) -> Iterator[Any]:
    """The plugin `aws`, configured as the engine does it: what is no text comes as JSON."""
    tags = '{"tags":' + str(DEFAULT_TAGS).replace("'", '"') + "}"
    with plugin_of("aws", aws) as plugin:
        plugin.Configure(provider_pb2.ConfigureRequest(args=struct({"region": REGION, "defaultTags": tags})))
        yield plugin


def created(plugin: Any, type_: str, name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What the engine knows of a resource after its creation, as fields of its next calls."""
    made = plugin.Create(
        provider_pb2.CreateRequest(urn=urn(type_, name), type=type_, name=name, properties=struct(inputs))
    )
    return {
        "id": made.id,
        "urn": urn(type_, name),
        "type": type_,
        "name": name,
        "olds": made.properties,
        "old_inputs": struct(inputs),
    }


def read(plugin: Any, there: Mapping[str, Any]) -> Any:
    same = {key: there[key] for key in ("id", "urn", "type", "name")}
    return plugin.Read(provider_pb2.ReadRequest(**same, properties=there["olds"], inputs=there["old_inputs"]))


@contextmanager
def refused(line: str) -> Generator[None]:
    with pytest.raises(grpc.RpcError) as error:
        yield
    assert cast("Any", error.value).details() == line


@pytest.mark.parametrize("package", ["aws", "kubernetes", "eks"])
def test_a_plugin_has_the_version_of_its_sdk_and_takes_part_in_previews(package: str, aws: Aws) -> None:
    with plugin_of(package, aws) as plugin:
        assert plugin.GetPluginInfo(empty_pb2.Empty()).version == version_of(package)
        greeting = plugin.Handshake(provider_pb2.ProviderHandshakeRequest(engine_address="127.0.0.1:1"))
        configured = plugin.Configure(provider_pb2.ConfigureRequest(args=struct({"region": REGION})))
        assert configured.supportsPreview
        # the engine refuses components of a plugin without secrets, and a role is handed to one as a resource
        assert greeting.accept_secrets == configured.acceptSecrets == (package == "eks")
        assert greeting.accept_resources == configured.acceptResources == (package == "eks")


def test_a_provider_without_a_region_is_refused(aws: Aws) -> None:
    with plugin_of("aws", aws) as plugin, refused("aws:region: is required, got nothing"):
        plugin.Configure(provider_pb2.ConfigureRequest())


def test_what_aws_would_refuse_names_the_property(plugin: Any) -> None:
    news = struct({"visibilityTimeoutSeconds": 50_000, "tags": {"aws:mine": "1"}})
    answer = plugin.Check(provider_pb2.CheckRequest(urn=urn(QUEUE, "q"), type=QUEUE, name="q", news=news))
    assert {one.property: one.reason for one in answer.failures} == {
        "visibilityTimeoutSeconds": "expected to be in the range (0 - 43200), got 50000",
        "tags.aws:mine": "Tag keys starting with 'aws:' are reserved for internal use, got 'aws:mine'",
    }


def test_a_preview_of_a_new_resource_makes_nothing(plugin: Any, aws: Aws) -> None:
    before = aws.client("sqs").list_queues().get("QueueUrls", [])
    inputs = struct({"name": "not-made", "kmsMasterKeyId": UNKNOWN})
    request = provider_pb2.CreateRequest(urn=urn(QUEUE, "q"), type=QUEUE, name="q", properties=inputs, preview=True)
    answer = plugin.Create(request)
    assert (answer.id, answer.properties) == ("", inputs)
    assert aws.client("sqs").list_queues().get("QueueUrls", []) == before


def test_a_resource_is_made_seen_changed_and_ended(plugin: Any, aws: Aws) -> None:
    there = created(plugin, QUEUE, "lived", {"visibilityTimeoutSeconds": 30})
    sqs = aws.client("sqs")
    assert read(plugin, there).inputs == there["old_inputs"]
    sqs.set_queue_attributes(QueueUrl=there["id"], Attributes={"VisibilityTimeout": "40"})
    assert plain(read(plugin, there).inputs) == {"visibilityTimeoutSeconds": 40}
    now = plugin.Update(provider_pb2.UpdateRequest(**there, news=struct({"visibilityTimeoutSeconds": 50})))
    attributes = sqs.get_queue_attributes(QueueUrl=there["id"], AttributeNames=["All"])["Attributes"]
    assert attributes["VisibilityTimeout"] == "50"
    assert plain(now.properties)["arn"] == attributes["QueueArn"]
    known = {key: there[key] for key in ("id", "urn", "type", "name", "old_inputs")}
    plugin.Delete(provider_pb2.DeleteRequest(**known, properties=now.properties))
    assert read(plugin, there).id == ""


def test_a_change_in_place_is_told_by_its_path(plugin: Any) -> None:
    there = created(plugin, GROUP, "told", {"description": "it", "tags": {"a": "1", "kubernetes.io/role": "elb"}})
    news = struct({"description": "it", "tags": {"a": "2", "b": "1"}})
    answer = plugin.Diff(provider_pb2.DiffRequest(**there, news=news))
    kinds = provider_pb2.PropertyDiff
    assert {path: one.kind for path, one in answer.detailedDiff.items()} == {
        "tags.a": kinds.UPDATE,
        "tags.b": kinds.ADD,
        'tags["kubernetes.io/role"]': kinds.DELETE,
    }
    assert (answer.diffs, answer.replaces, answer.deleteBeforeReplace) == (["tags", "tagsAll"], [], False)
    assert plugin.Diff(provider_pb2.DiffRequest(**there, news=there["old_inputs"])).changes == answer.DIFF_NONE


@pytest.mark.parametrize(
    ("before", "after", "first"),
    [
        ({}, {}, False),
        ({"name": "kept-name"}, {"name": "kept-name"}, True),
        ({"name": "old-name"}, {"name": "new-name"}, False),
    ],
)
def test_a_name_that_is_kept_has_to_become_free_before_a_replacement(
    plugin: Any, before: dict[str, Any], after: dict[str, Any], first: bool
) -> None:
    there = created(plugin, GROUP, "replaced", {"description": "one", **before})
    answer = plugin.Diff(provider_pb2.DiffRequest(**there, news=struct({"description": "two", **after})))
    assert "description" in answer.replaces
    assert answer.detailedDiff["description"].kind == provider_pb2.PropertyDiff.UPDATE_REPLACE
    assert answer.deleteBeforeReplace is first


def test_a_preview_of_a_change_knows_what_stays_and_not_what_aws_computes_anew(plugin: Any) -> None:
    type_ = "aws:ec2/launchTemplate:LaunchTemplate"
    there = created(plugin, type_, "previewed", {"instanceType": "g5.xlarge"})
    news = struct({"instanceType": "g6.12xlarge"})
    planned = plain(plugin.Update(provider_pb2.UpdateRequest(**there, news=news, preview=True)).properties)
    assert planned["latestVersion"] == UNKNOWN
    assert planned["arn"] == plain(there["olds"])["arn"]
    assert planned["instanceType"] == "g6.12xlarge"


def test_what_aws_refuses_is_one_line_without_the_resource_which_the_engine_names(plugin: Any) -> None:
    with refused("CreateSubnet: InvalidVpcID.NotFound: VpcID vpc-1 does not exist."):
        created(plugin, "aws:ec2/subnet:Subnet", "nowhere", {"vpcId": "vpc-1", "cidrBlock": "10.0.0.0/24"})


def test_a_function_is_answered(plugin: Any) -> None:
    answer = plugin.Invoke(provider_pb2.InvokeRequest(tok="aws:index/getRegion:getRegion"))
    assert plain(getattr(answer, "return"))["region"] == REGION
    with refused("this provider function is not known here"):
        plugin.Invoke(provider_pb2.InvokeRequest(tok="aws:index/getNothing:getNothing"))


class Monitor(resource_pb2_grpc.ResourceMonitorServicer):
    """A resource monitor that remembers what is registered, and knows nothing of it, as in a preview."""

    def __init__(self) -> None:
        self.registered: list[Any] = []
        self.outputs: dict[str, dict[str, Any]] = {}

    def RegisterResource(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        self.registered.append(request)
        return resource_pb2.RegisterResourceResponse(urn=urn(request.type, request.name), object=request.object)

    def RegisterResourceOutputs(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        self.outputs[request.urn] = plain(request.outputs)
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        answer = struct({"region": REGION, "partition": "aws"})
        return resource_pb2.ResourceInvokeResponse(**cast("Any", {"return": answer}))


def test_a_cluster_is_a_component_over_a_family_of_the_same_provider(aws: Aws) -> None:
    monitor, type_ = Monitor(), "eks:index:Cluster"
    inputs = {
        "accessEntries": {"admins": {"principalArn": UNKNOWN}},
        "authenticationMode": "API",
        "createInstanceRole": False,
        "privateSubnetIds": UNKNOWN,
        "skipDefaultNodeGroup": True,
        "skipDefaultSecurityGroups": True,
    }
    subnet, provider = urn("aws:ec2/subnet:Subnet", "a"), f"{urn('pulumi:providers:aws', 'mine')}::id"
    made_of = provider_pb2.ConstructRequest.PropertyDependencies(urns=[subnet])
    with (
        served("add_ResourceMonitorServicer_to_server", monitor, resource_pb2_grpc) as address,
        plugin_of("eks", aws) as plugin,
    ):
        made = plugin.Construct(
            provider_pb2.ConstructRequest(
                type=type_,
                name="training",
                parent=urn("test:index:Parent", "parent"),
                inputs=struct(inputs),
                inputDependencies={"privateSubnetIds": made_of},
                providers={"aws": provider},
                protect=True,
                dryRun=True,
                monitorEndpoint=address,
            )
        )
    itself, *family = monitor.registered
    assert (itself.type, itself.parent, itself.custom) == (type_, urn("test:index:Parent", "parent"), False)
    assert {(one.type.split("/")[0], one.name) for one in family} == {
        ("eks:index:ServiceRole", "training-eksRole"),
        ("aws:iam", "training-eksRole-role"),
        ("aws:iam", "training-eksRole-4b490823"),
        ("aws:eks", "training-eksCluster"),
        ("aws:eks", "training-kube-proxy"),
        ("aws:eks", "training-vpc-cni"),
        ("aws:eks", "training-admins"),
        ("pulumi:providers:kubernetes", "training-eks-k8s"),
    }
    own_role = next(one for one in family if one.type == "eks:index:ServiceRole")
    role = urn("eks:index:ServiceRole", "training-eksRole")
    assert {(one.parent, one.protect) for one in family} == {(made.urn, True), (role, True)}
    assert [one for one in family if not one.custom] == [own_role]
    assert {(one.provider, one.version) for one in family if one.type.startswith("aws:")} == {
        (provider, version_of("aws"))
    }
    cluster = next(one for one in family if one.name == "training-eksCluster")
    assert cluster.propertyDependencies["vpcConfig"].urns == [subnet]
    assert plain(cluster.object)["vpcConfig"]["subnetIds"] == UNKNOWN
    assert plain(made.state)["kubeconfigJson"] == UNKNOWN
    assert monitor.outputs == {made.urn: plain(made.state)}
    assert made.stateDependencies["kubeconfigJson"].urns == [urn("aws:eks/cluster:Cluster", "training-eksCluster")]


def test_a_component_that_is_not_known_is_refused(aws: Aws) -> None:
    with plugin_of("eks", aws) as plugin, refused("the type eks:index:NodeGroup is not known here"):
        plugin.Construct(provider_pb2.ConstructRequest(type="eks:index:NodeGroup", monitorEndpoint="127.0.0.1:1"))


def test_what_goes_through_the_api_of_a_cluster_that_is_gone_is_refused(aws: Aws) -> None:
    arguments = ["--region", REGION, "eks", "get-token", "--cluster-name", "gone"]
    kubeconfig = json.dumps({"users": [{"user": {"exec": {"args": arguments}}}]})
    given = {"metadata": {"name": "training"}}
    with plugin_of("kubernetes", aws) as plugin:
        there = created(plugin, NAMESPACE, "training", given)
        plugin.Configure(provider_pb2.ConfigureRequest(args=struct({"kubeconfig": kubeconfig})))
        for call in (lambda: created(plugin, NAMESPACE, "training", given), lambda: read(plugin, there)):
            with pytest.raises(grpc.RpcError, match="configured Kubernetes cluster is unreachable"):
                call()
        request = provider_pb2.CreateRequest(urn=urn(NAMESPACE, "training"), properties=struct(given), preview=True)
        assert plain(plugin.Create(request).properties) == given
