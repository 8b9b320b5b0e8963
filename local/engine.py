"""A Pulumi program on Pulumi's own mock engine, any number of times in one process, under the real engine's rules.

What the mocks let through and the real engine refuses is refused here: two resources with one URN. What creates a
resource or answers a provider function is a `Cloud`; without one the run is a preview and every computed value is
unknown.
"""

import asyncio
import contextvars
import logging
import runpy
import signal
import threading
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import FrameType
from typing import Any, Protocol, cast
from unittest.mock import patch

import pulumi
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime import mocks, rpc, set_all_config
from pulumi.runtime import settings as pulumi_settings
from pulumi.runtime.proto import resource_pb2, source_pb2
from pulumi.runtime.stack import run_in_stack

from local.aws import Child, Created, Resource
from local.engine_rules import RefusedError, enforced
from local.stack_files import StackFile

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105
RESOURCE_REFERENCE = "5cf8f73096256a8f31e491e813e4eb8e"
STACK_TYPE = "pulumi:pulumi:Stack"
PROVIDER_PREFIX = "pulumi:providers:"


class Cloud(Protocol):
    """What stands where the providers stand."""

    def begin(self, config: Mapping[str, str]) -> None:
        """A program runs with this configuration."""
        ...

    def wrong_with(self, registration: "Registration") -> list[str]:
        """What AWS would refuse about a resource, a line each, before it is created."""
        ...

    def create(self, resource: Resource) -> Created:
        """Create a resource."""
        ...

    def made(self, registration: "Registration", created: Created | None) -> None:
        """A resource was registered, and created unless this is a preview."""
        ...

    def answer(self, token: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a provider function."""
        ...


@dataclass(frozen=True, kw_only=True)
class Registration:
    """A resource that the program registered, with its options."""

    urn: str
    type: str
    name: str
    parent: str
    """URN of its parent; the stack's for a resource without one."""
    custom: bool
    """Whether a provider stands behind it; False for a component of this program."""
    provided: bool
    """Whether a provider makes something of it in the cloud; False for a component and for a provider itself."""
    inputs: Mapping[str, Any]
    """Inputs under the provider's names, whole numbers as int, unknown ones as `UNKNOWN`."""
    dependencies: frozenset[str]
    """URNs of what must exist before it."""
    property_dependencies: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    """Input -> URNs of the resources that its value is made of."""
    protect: bool
    ignore_changes: tuple[str, ...]
    replace_on_changes: tuple[str, ...] = ()

    @property
    def is_top(self) -> bool:
        """Whether it stands right under the stack."""
        return f"::{STACK_TYPE}::" in self.parent


@dataclass(kw_only=True)
class Run:
    """What a program did."""

    registrations: dict[str, Registration] = field(default_factory=dict[str, Registration])
    """URN -> resource, in the order of registration."""
    created: dict[str, Created] = field(default_factory=dict[str, Created])
    """URN -> what the cloud gave back; empty in a preview."""
    exports: dict[str, Any] = field(default_factory=dict[str, Any])
    """What the stack exports."""
    messages: list[str] = field(default_factory=list[str])
    """Warnings of the program and its SDKs."""
    error: BaseException | None = None
    """What ended the run before its time."""


UNKNOWN = rpc.UNKNOWN
"""Stands for a value that is known only after creation."""

Watcher = Callable[[Registration, Created | None], None]
"""Called with each resource when it is registered (None) and when it is created."""


class _Mocks(mocks.Mocks):
    """The monitor does it all itself: it sees options and parents, which these calls do not."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        raise NotImplementedError

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        raise NotImplementedError


class _Monitor(mocks.MockMonitor):
    def __init__(self, run: Run, cloud: Cloud, *, preview: bool, watch: Watcher) -> None:
        super().__init__(_Mocks())
        self.run, self.cloud, self.preview, self.watch = run, cloud, preview, watch
        self.failure: BaseException | None = None

    def GetDeploymentInfo(self, request: Any) -> Any:  # noqa: N802
        # without references a resource that is passed as an input arrives as its id, and no worker thread waits
        # for ever on a loop that nobody runs
        info = super().GetDeploymentInfo(request)
        kept = [
            feature
            for feature in info.supportedFeatures
            if feature != resource_pb2.RESOURCE_MONITOR_FEATURE_RESOURCE_REFERENCES
        ]
        return resource_pb2.DeploymentInfo(supportedFeatures=kept)

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        # as the engine does: the whole chain of parent types, without the stack and without parents' names
        parent_type = parent.split("::")[2] if parent else STACK_TYPE
        chain = type_ if parent_type == STACK_TYPE else f"{parent_type}${type_}"
        return f"urn:pulumi:{pulumi.get_stack()}::{pulumi.get_project()}::{chain}::{name}"

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == STACK_TYPE:
            return resource_pb2.RegisterResourceResponse(urn=urn)
        with self._stops_the_run():
            if urn in self.run.registrations:
                raise RefusedError(f"{urn}: Duplicate resource URN; try giving it a unique name")
            registration = Registration(
                urn=urn,
                type=request.type,
                name=request.name,
                parent=request.parent,
                custom=request.custom or request.remote,
                provided=request.custom and not request.type.startswith(PROVIDER_PREFIX),
                inputs=_plain(json_format.MessageToDict(request.object)),
                dependencies=frozenset(request.dependencies),
                property_dependencies={
                    key: frozenset(made_of.urns) for key, made_of in request.propertyDependencies.items()
                },
                protect=request.protect,
                ignore_changes=tuple(request.ignoreChanges),
                replace_on_changes=tuple(request.replaceOnChanges),
            )
            self.run.registrations[urn] = registration
            self.watch(registration, None)
            if wrong := self.cloud.wrong_with(registration):
                raise RefusedError("\n".join(f"{urn}: {line}" for line in wrong))
            created = self._create(registration) if registration.custom else Created(id="")
            self.cloud.made(registration, None if self.preview else created)
            outputs = {**registration.inputs, **created.outputs}
            for child in created.children:
                outputs |= self._adopt(urn, child)
            self.resources[urn] = self.ResourceRegistration(urn, created.id, outputs)
            return resource_pb2.RegisterResourceResponse(urn=urn, id=created.id, object=_struct(outputs))

    def ReadResource(self, request: Any) -> Any:  # noqa: N802
        raise RefusedError(f"{request.type} {request.name}: a resource that exists already cannot be read here")

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        if f"::{STACK_TYPE}::" in request.urn:
            self.run.exports = _plain(json_format.MessageToDict(request.outputs))
        return empty_pb2.Empty()

    def Invoke(self, request: Any) -> Any:  # noqa: N802
        arguments = _plain(json_format.MessageToDict(request.args))
        with self._stops_the_run():
            if request.tok == "pulumi:pulumi:getResource":
                answer = self.resources[arguments["urn"]]._asdict()
            else:
                answer = self.cloud.answer(request.tok, arguments)
            return resource_pb2.ResourceInvokeResponse(**cast("Any", {"return": _struct(answer)}))

    def _create(self, registration: Registration) -> Created:
        if self.preview:
            return Created(id="")
        created = self.cloud.create(
            Resource(urn=registration.urn, type=registration.type, name=registration.name, inputs=registration.inputs)
        )
        self.run.created[registration.urn] = created
        self.watch(registration, created)
        return created

    def _adopt(self, parent: str, child: Child) -> dict[str, Any]:
        """Enter a resource that a remote component made; the output of the component that refers to it."""
        registration = Registration(
            urn=self.make_urn(parent, child.type, child.name),
            type=child.type,
            name=child.name,
            parent=parent,
            custom=True,
            provided=not child.type.startswith(PROVIDER_PREFIX),
            inputs={},
            dependencies=frozenset(),
            protect=False,
            ignore_changes=(),
        )
        urn, created = registration.urn, child.created
        self.run.registrations[urn], self.run.created[urn] = registration, created
        self.resources[urn] = self.ResourceRegistration(urn, created.id, dict(created.outputs))
        self.cloud.made(registration, created)
        self.watch(registration, None)
        self.watch(registration, created)
        reference = {SIGNATURE: RESOURCE_REFERENCE, "urn": urn, "id": created.id, "packageVersion": ""}
        return {child.output: reference} if child.output else {}

    @contextmanager
    def _stops_the_run(self) -> Generator[None]:
        """Remember the first failure, which the SDK may hide behind a later one, and start nothing after it."""
        if self.failure is not None:
            raise self.failure
        try:
            yield
        except BaseException as error:
            self.failure = error
            raise


def run(
    program: StackFile | Callable[[], None],
    cloud: Cloud,
    *,
    preview: bool,
    watch: Watcher | None = None,
    config: Mapping[str, str] | None = None,
    project: str = "project",
    stack: str = "stack",
) -> Run:
    """Run a program: that of a stack file, or a function. Errors of the program are in the result, not raised."""
    if isinstance(program, StackFile):
        project, stack, config = program.project, program.stack, program.config
        program = partial(_run_path, str(program.program))
    result = Run()
    cloud.begin(config or {})
    monitor = _Monitor(result, cloud, preview=preview, watch=watch or (lambda _registration, _created: None))
    # its own context: what Pulumi keeps in context variables ends with the run
    contextvars.copy_context().run(_run, program, monitor, result, config or {}, project, stack)
    return result


def _run(
    body: Callable[[], None], monitor: _Monitor, result: Run, config: Mapping[str, str], project: str, stack: str
) -> None:
    loop = asyncio.new_event_loop()
    # after a failure many Outputs hold the same error and nobody asks them: the run's result has it
    loop.set_exception_handler(lambda _loop, _context: None)
    # one worker thread: the order is the same every time
    executor = ThreadPoolExecutor(1, thread_name_prefix="local")
    loop.set_default_executor(executor)
    asyncio.set_event_loop(loop)
    pulumi_settings.ROOT.set(cast("Any", object()))  # keeps set_mocks from making a Stack beside run_in_stack's
    mocks.set_mocks(
        monitor.mocks, project=project, stack=stack, preview=monitor.preview, monitor=monitor, logger=_logger(result)
    )
    pulumi_settings.ROOT.set(None)
    # set_mocks leaves these of an earlier run as they were
    for name, fresh in {
        "outputs": set[Any](),
        "lock": threading.Lock(),
        "package_refs": dict[str, Any](),
        "base_providers_by_ref": dict[str, Any](),
    }.items():
        setattr(pulumi_settings.SETTINGS, name, fresh)
    set_all_config(dict(config), [])
    try:
        with (
            # where a resource is made is for the real engine to say; to find it out takes a seventh of a run
            patch.object(pulumi.runtime.resource, "_get_stack_trace", source_pb2.StackTrace),
            _interruptible(monitor),
            enforced(preview=monitor.preview) as prepare,
        ):

            def program() -> None:
                prepare()
                body()

            loop.run_until_complete(run_in_stack(program))
    except Exception as error:
        result.error = monitor.failure or error
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()
        asyncio.set_event_loop(None)


def _run_path(path: str) -> None:
    runpy.run_path(path, run_name="__main__")


@contextmanager
def _interruptible(monitor: _Monitor) -> Generator[None]:
    """Let Ctrl-C fail what the program still waits for: the SDK waits for that before it lets an interrupt through."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        monitor.failure = KeyboardInterrupt()
        signal.default_int_handler(number, frame)

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _logger(result: Run) -> logging.Logger:
    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            result.messages.append(record.getMessage())

    logger = logging.Logger("pulumi", logging.WARNING)
    logger.addHandler(Keep())
    return logger


def _struct(properties: Mapping[str, Any]) -> struct_pb2.Struct:
    return json_format.ParseDict(dict(properties), struct_pb2.Struct())


def _plain(value: Any) -> Any:
    """Wire values as a person writes them: a secret is its value, and a whole number is an int again."""
    match value:
        case {"value": inner} if value.get(SIGNATURE) == SECRET_SIGNATURE:
            return _plain(inner)
        case dict():
            return {key: _plain(one) for key, one in cast("dict[str, Any]", value).items()}
        case list():
            return [_plain(one) for one in cast("list[Any]", value)]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value
