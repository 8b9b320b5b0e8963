"""The local provider as a plugin of Pulumi's real engine.

Run by the engine as `python -m local.plugin aws|kubernetes|eks ENGINE`: prints its port, and serves until the engine
ends it by SIGINT, or has ended itself. It uses the AWS at `AWS_ENDPOINT_URL`.
"""

import json
import os
import signal
import sys
from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, NoReturn, cast

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import (
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
    resource_pb2,
    resource_pb2_grpc,
)

from local import changes, eks_cluster, types
from local.aws import Aws
from local.changes import Change
from local.provider import Provider
from local.run import RefusedError, Resource, State
from local.wire import plain, referred, struct

PACKAGES = ("aws", "kubernetes", "eks")
"""Packages that have a plugin."""
CALLS_AT_ONCE = 1
"""moto, too, was made for one caller at a time."""
MESSAGE_OPTIONS = [("grpc.max_receive_message_length", 400 << 20), ("grpc.max_send_message_length", 400 << 20)]
"""As the SDKs set them."""
ENGINE_SECONDS = 5
"""How often a plugin checks that its engine still runs."""
KINDS = {
    "added": (provider_pb2.PropertyDiff.ADD, provider_pb2.PropertyDiff.ADD_REPLACE),
    "removed": (provider_pb2.PropertyDiff.DELETE, provider_pb2.PropertyDiff.DELETE_REPLACE),
}
"""Kind of change -> the engine's name for it, without and with a replacement; all others are updates."""
UPDATES = (provider_pb2.PropertyDiff.UPDATE, provider_pb2.PropertyDiff.UPDATE_REPLACE)


def version_of(package: str) -> str:
    """The version of a package's SDK, which asks for a plugin of the same version."""
    return version(f"pulumi_{package}")


class Plugin(provider_pb2_grpc.ResourceProviderServicer):
    """One package of the provider; its methods are the engine's calls."""

    def __init__(self, package: str, endpoint_url: str) -> None:
        self.package, self.endpoint_url = package, endpoint_url
        # only `aws` is configured with a region; the other packages never ask this AWS
        self.provider = Provider(Aws("us-east-1", endpoint_url=endpoint_url))
        self.cluster: tuple[Aws, str] | None = None
        """The EKS cluster whose Kubernetes API is used: where it is, and its name."""

    def Handshake(self, request: Any, context: Any) -> Any:
        # references and secrets are declined where the engine allows that, so that all values arrive as plain data
        takes = self.package == "eks"
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=takes, accept_resources=takes)

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=version_of(self.package))

    def GetSchema(self, request: Any, context: Any) -> Any:
        schema = {"name": self.package, "version": version_of(self.package)}
        return provider_pb2.GetSchemaResponse(schema=json.dumps(schema))

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        same = plain(request.old_inputs) == plain(request.news)
        changes = provider_pb2.DiffResponse.DIFF_NONE if same else provider_pb2.DiffResponse.DIFF_SOME
        return provider_pb2.DiffResponse(changes=changes)

    def Configure(self, request: Any, context: Any) -> Any:
        given = plain(request.args)
        if self.package == "aws":
            if not given.get("region"):
                _refuse(context, "aws:region: is required, got nothing")
            # a value that is not text arrives as JSON
            tags = json.loads(given.get("defaultTags", "{}")).get("tags")
            self.provider = Provider(Aws(given["region"], tags, endpoint_url=self.endpoint_url))
        if self.package == "kubernetes" and isinstance(kubeconfig := given.get("kubeconfig"), str):
            region, name = eks_cluster.asked(kubeconfig)
            self.cluster = Aws(region, endpoint_url=self.endpoint_url), name
        takes = self.package == "eks"
        return provider_pb2.ConfigureResponse(supportsPreview=True, acceptSecrets=takes, acceptResources=takes)

    def Check(self, request: Any, context: Any) -> Any:
        lines = self.provider.check(request.type, plain(request.news))
        parts = [line.partition(": ") for line in lines]
        failures = [provider_pb2.CheckFailure(property=path, reason=reason) for path, _, reason in parts]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:
        there, inputs = _state(request), plain(request.news)
        with _said(request.urn, context):
            found = self.provider.diff(request.type, there, inputs)
        replaces = [_top(one) for one in found if one.replaces]
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if found else provider_pb2.DiffResponse.DIFF_NONE,
            diffs=sorted({_top(one) for one in found}),
            replaces=sorted(set(replaces)),
            # the provider's tags are no input, so the engine has nothing to show of them
            detailedDiff={one.path: _detail(one) for one in found if one.path != "tagsAll"},
            hasDetailedDiff=True,
            # two resources cannot have one name, so a name that the program gives and keeps must become free first
            deleteBeforeReplace=bool(replaces) and _keeps_its_name(request.type, there, inputs),
        )

    def Create(self, request: Any, context: Any) -> Any:
        inputs = plain(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=struct(inputs))
        with self._asking(request.urn, context):
            made = self.provider.create(_resource(request, inputs))
            return provider_pb2.CreateResponse(id=made.id, properties=struct(made.outputs))

    def Read(self, request: Any, context: Any) -> Any:
        there = State(id=request.id, inputs=plain(request.inputs), outputs=plain(request.properties))
        with self._asking(request.urn, context):
            if not there.outputs:
                raise RefusedError("a resource that exists already cannot be read here")
            now = self.provider.read(request.type, request.urn, there)
            if now is None:
                return provider_pb2.ReadResponse()
            return provider_pb2.ReadResponse(id=now.id, inputs=struct(now.inputs), properties=struct(now.outputs))

    def Update(self, request: Any, context: Any) -> Any:
        there, inputs = _state(request), plain(request.news)
        if request.preview:
            found = self.provider.diff(request.type, there, inputs)
            planned = changes.planned(request.type, there, inputs, found)
            return provider_pb2.UpdateResponse(properties=struct(planned))
        with self._asking(request.urn, context):
            now = self.provider.update(there, _resource(request, inputs))
            return provider_pb2.UpdateResponse(properties=struct(now.outputs))

    def Delete(self, request: Any, context: Any) -> Any:
        there = State(id=request.id, inputs=plain(request.old_inputs), outputs=plain(request.properties))
        with self._asking(request.urn, context):
            self.provider.delete(request.type, request.urn, there)
        return empty_pb2.Empty()

    @contextmanager
    def _asking(self, urn: str, context: Any) -> Generator[None]:
        """Let the engine show a refusal; a Kubernetes API whose cluster does not exist any more refuses everything."""
        with _said(urn, context):
            if self.cluster is not None:
                aws, name = self.cluster
                if name not in aws.client("eks").list_clusters()["clusters"]:
                    raise RefusedError("configured Kubernetes cluster is unreachable")
            yield

    def Invoke(self, request: Any, context: Any) -> Any:
        with _said(request.tok, context):
            answer = self.provider.invoke(request.tok, plain(request.args))
            return provider_pb2.InvokeResponse(**cast("Any", {"return": struct(answer)}))

    def Construct(self, request: Any, context: Any) -> Any:
        with grpc.insecure_channel(request.monitorEndpoint, options=MESSAGE_OPTIONS) as channel:
            monitor = resource_pb2_grpc.ResourceMonitorStub(channel)
            try:
                with _said("", context):
                    return _construct(request, monitor)
            except grpc.RpcError as error:
                # the engine itself shows which resource failed
                _refuse(context, cast("Any", error).details())

    def Cancel(self, request: Any, context: Any) -> Any:
        # each call is short, so the engine can wait for those that run
        return empty_pb2.Empty()


def _construct(request: Any, monitor: Any) -> Any:
    """Register a remote component and its family as the component's own plugin does."""
    if request.type != eks_cluster.TOKEN:
        raise RefusedError(f"the type {request.type} is not known here")
    made_of = {key: list(one.urns) for key, one in request.inputDependencies.items()}
    made_of |= referred(request.inputs)
    itself = monitor.RegisterResource(
        resource_pb2.RegisterResourceRequest(
            type=request.type,
            name=request.name,
            parent=request.parent,
            object=request.inputs,
            protect=request.protect,
            dependencies=request.dependencies,
            propertyDependencies=_property_dependencies(made_of),
            providers=request.providers,
            aliases=request.aliases,
            supportsPartialValues=True,
        )
    )

    def register(
        type_: str,
        name: str,
        inputs: Mapping[str, Any],
        made_of: Mapping[str, Iterable[str]],
        parent: str | None = None,
    ) -> eks_cluster.Child:
        package = type_.removeprefix("pulumi:providers:").partition(":")[0]
        made = monitor.RegisterResource(
            resource_pb2.RegisterResourceRequest(
                type=type_,
                name=name,
                parent=parent or itself.urn,
                custom=type_ != eks_cluster.SERVICE_ROLE,
                object=struct(inputs),
                protect=request.protect,
                dependencies=sorted({urn for urns in made_of.values() for urn in urns}),
                propertyDependencies=_property_dependencies(made_of),
                provider=request.providers.get(package, "") if type_.startswith(f"{package}:") else "",
                version=version_of(package),
                supportsPartialValues=True,
            )
        )
        return eks_cluster.Child(urn=made.urn, id=made.id, outputs=plain(made.object))

    def look(urn: str) -> eks_cluster.Child:
        asked = resource_pb2.ResourceInvokeRequest(tok="pulumi:pulumi:getResource", args=struct({"urn": urn}))
        found = plain(getattr(monitor.Invoke(asked), "return"))
        return eks_cluster.Child(urn=urn, id=found["id"], outputs=found["state"])

    def ask(function: str) -> dict[str, Any]:
        asked = resource_pb2.ResourceInvokeRequest(
            tok=f"aws:index/{function}:{function}",
            provider=request.providers.get("aws", ""),
            version=version_of("aws"),
            parent=itself.urn,
        )
        return plain(getattr(monitor.Invoke(asked), "return"))

    outputs = eks_cluster.expand(
        eks_cluster.Component(urn=itself.urn, name=request.name, inputs=plain(request.inputs), made_of=made_of),
        register,
        look,
        region=ask("getRegion")["region"],
        partition=ask("getPartition")["partition"],
    )
    state = struct(outputs)
    monitor.RegisterResourceOutputs(resource_pb2.RegisterResourceOutputsRequest(urn=itself.urn, outputs=state))
    of = provider_pb2.ConstructResponse.PropertyDependencies
    return provider_pb2.ConstructResponse(
        urn=itself.urn,
        state=state,
        stateDependencies={key: of(urns=urns) for key, urns in eks_cluster.made_of(outputs).items()},
    )


def _property_dependencies(made_of: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    of = resource_pb2.RegisterResourceRequest.PropertyDependencies
    return {key: of(urns=sorted(urns)) for key, urns in made_of.items()}


def _resource(request: Any, inputs: Mapping[str, Any]) -> Resource:
    return Resource(urn=request.urn, type=request.type, name=request.name, inputs=inputs)


def _state(request: Any) -> State:
    return State(id=request.id, inputs=plain(request.old_inputs), outputs=plain(request.olds))


def _keeps_its_name(type_: str, there: State, inputs: Mapping[str, Any]) -> bool:
    record = types.of(type_)
    name = record.name if record is not None else None
    return name is not None and name in inputs and inputs[name] == there.inputs.get(name)


def _top(change: Change) -> str:
    return change.place.partition(".")[0]


def _detail(change: Change) -> provider_pb2.PropertyDiff:
    return provider_pb2.PropertyDiff(kind=KINDS.get(change.kind, UPDATES)[change.replaces], inputDiff=True)


@contextmanager
def _said(who: str, context: Any) -> Generator[None]:
    """Let the engine show a refusal, without the name of the resource or function, which the engine adds."""
    try:
        yield
    except RefusedError as error:
        _refuse(context, str(error).removeprefix(f"{who}: "))


def _refuse(context: Any, message: str) -> NoReturn:
    context.abort(grpc.StatusCode.UNKNOWN, message)
    raise AssertionError("abort raises")


def serve(plugin: Plugin) -> None:
    """Serve the engine until it ends."""
    server: Any = grpc.server(ThreadPoolExecutor(CALLS_AT_ONCE), options=MESSAGE_OPTIONS)
    cast("Any", provider_pb2_grpc).add_ResourceProviderServicer_to_server(plugin, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    signal.signal(signal.SIGINT, lambda _number, _frame: os._exit(0))
    print(port, flush=True)
    engine = os.getppid()
    while server.wait_for_termination(ENGINE_SECONDS):
        if os.getppid() != engine:
            return


if __name__ == "__main__":
    serve(Plugin(sys.argv[1], os.environ["AWS_ENDPOINT_URL"]))
