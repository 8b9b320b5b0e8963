"""Runs a Pulumi program on Pulumi's mock engine, any number of times in one process, by the rules of the real engine.

Two resources with one URN are refused, as the real engine does and the mocks do not. In a preview every computed value
is unknown.
"""

import asyncio
import contextvars
import logging
import runpy
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, cast
from unittest.mock import patch

import pulumi
from google.protobuf import empty_pb2
from pulumi.runtime import mocks, set_all_config
from pulumi.runtime import settings as pulumi_settings
from pulumi.runtime.proto import resource_pb2, source_pb2
from pulumi.runtime.stack import run_in_stack

from local import eks_cluster
from local.engine_rules import enforced
from local.planned import Planner
from local.provider import Provider
from local.run import STACK_TYPE, RefusedError, Registration, Run, State, Watcher
from local.stack_files import StackFile
from local.wire import plain, referred, struct


class _Mocks(mocks.Mocks):
    """Never called: the monitor does everything itself, because it sees options and parents."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        raise NotImplementedError

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        raise NotImplementedError


class _Monitor(mocks.MockMonitor):
    def __init__(
        self, run: Run, provider: Provider, *, preview: bool, watch: Watcher, planner: Planner | None = None
    ) -> None:
        super().__init__(_Mocks())
        self.run, self.provider, self.preview, self.watch = run, provider, preview, watch
        self.planner = planner
        self.failure: BaseException | None = None
        self.said: pulumi.RunError | None = None
        """The program's own error, which the SDK may hide behind a failed call."""

    def GetDeploymentInfo(self, request: Any) -> Any:  # noqa: N802
        # without references a resource that is passed as an input arrives as its id; with them, a worker thread would
        # wait for ever on a loop that nobody runs
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
        if request.type == STACK_TYPE:
            urn = self.make_urn(request.parent, request.type, request.name)
            return resource_pb2.RegisterResourceResponse(urn=urn)
        with self._stops_the_run():
            registration = Registration(
                urn=self.make_urn(request.parent, request.type, request.name),
                type=request.type,
                name=request.name,
                parent=request.parent,
                custom=request.custom,
                inputs=plain(request.object),
                dependencies=frozenset(request.dependencies),
                property_dependencies={
                    **{key: frozenset(made_of.urns) for key, made_of in request.propertyDependencies.items()},
                    **{key: frozenset(urns) for key, urns in referred(request.object).items()},
                },
                protect=request.protect,
                ignore_changes=tuple(request.ignoreChanges),
                replace_on_changes=tuple(request.replaceOnChanges),
            )
            made = self._register(registration)
            of = resource_pb2.RegisterResourceResponse.PropertyDependencies
            made_of = eks_cluster.made_of(made.outputs) if request.type == eks_cluster.TOKEN else {}
            return resource_pb2.RegisterResourceResponse(
                urn=registration.urn,
                id=made.id,
                object=struct(made.outputs),
                propertyDependencies={key: of(urns=urns) for key, urns in made_of.items()},
            )

    def ReadResource(self, request: Any) -> Any:  # noqa: N802
        raise RefusedError(f"{request.type} {request.name}: a resource that exists already cannot be read here")

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        if f"::{STACK_TYPE}::" in request.urn:
            self.run.exports = plain(request.outputs)
        return empty_pb2.Empty()

    def Invoke(self, request: Any) -> Any:  # noqa: N802
        arguments = plain(request.args)
        # a program may catch this refusal
        if request.tok == "pulumi:pulumi:getResource":
            answer = self.resources[arguments["urn"]]._asdict()
        else:
            answer = self.provider.invoke(request.tok, arguments)
        return resource_pb2.ResourceInvokeResponse(**cast("Any", {"return": struct(answer)}))

    def _register(self, one: Registration) -> State:
        """Record a resource and create it; in a preview its properties are its inputs."""
        if one.urn in self.run.registrations:
            self._refuse(one.urn, "Duplicate resource URN; try giving it a unique name")
        self.run.registrations[one.urn] = one
        self.watch(one, None)
        self._refuse(one.urn, *self.provider.check(one.type, one.inputs))
        made = State(id="", inputs=one.inputs, outputs=one.inputs)
        if one.type == eks_cluster.TOKEN:
            made = replace(made, outputs={**one.inputs, **self._expand(one)})
        elif one.custom and not self.preview:
            made = self.run.created[one.urn] = self.provider.create(one)
            self.watch(one, made)
        elif one.custom and self.planner is not None:
            made = self.planner.plan(one)
        self.resources[one.urn] = self.ResourceRegistration(one.urn, made.id, dict(made.outputs))
        return made

    def _refuse(self, urn: str, *lines: str) -> None:
        """Remember what AWS would refuse; a preview goes on, to find every refusal."""
        self.run.refusals += [(urn, line) for line in lines]
        if lines and not self.preview:
            raise _refused(self.run)

    def _expand(self, component: Registration) -> dict[str, Any]:
        """Register the resources that a remote component creates in its plugin."""

        def register(
            type_: str,
            name: str,
            inputs: Mapping[str, Any],
            made_of: Mapping[str, Iterable[str]],
            parent: str | None = None,
        ) -> eks_cluster.Child:
            child = Registration(
                urn=self.make_urn(parent or component.urn, type_, name),
                type=type_,
                name=name,
                parent=parent or component.urn,
                custom=type_ != eks_cluster.SERVICE_ROLE,
                inputs=inputs,
                dependencies=frozenset(urn for urns in made_of.values() for urn in urns),
                property_dependencies={key: frozenset(urns) for key, urns in made_of.items()},
                protect=component.protect,
            )
            made = self._register(child)
            return eks_cluster.Child(urn=child.urn, id=made.id, outputs=made.outputs)

        def look(urn: str) -> eks_cluster.Child:
            found = self.resources[urn]
            return eks_cluster.Child(urn=urn, id=found.id, outputs=cast("Mapping[str, Any]", found.state))

        given = eks_cluster.Component(
            urn=component.urn,
            name=component.name,
            inputs=component.inputs,
            made_of=component.property_dependencies,
        )
        aws = self.provider.aws
        return eks_cluster.expand(given, register, look, region=aws.region, partition=aws.partition)

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
    provider: Provider,
    *,
    preview: bool,
    watch: Watcher | None = None,
    planner: Planner | None = None,
    config: Mapping[str, str] | None = None,
    project: str = "project",
    stack: str = "stack",
) -> Run:
    """Run a program: that of a stack file, or a function. Errors of the program are in the result, not raised.

    With a planner, a preview plans the changes to the resources of an earlier run.
    """
    if isinstance(program, StackFile):
        project, stack, config = program.project, program.stack, program.config
        program = partial(_run_path, str(program.program))
    result = Run()
    monitor = _Monitor(
        result, provider, preview=preview, watch=watch or (lambda _registration, _state: None), planner=planner
    )
    # in a context of its own, so that Pulumi's context variables end with the run
    contextvars.copy_context().run(_run, program, monitor, result, config or {}, project, stack)
    if planner is not None and result.error is None:
        planner.finish(result)
    return result


def _run(
    body: Callable[[], None], monitor: _Monitor, result: Run, config: Mapping[str, str], project: str, stack: str
) -> None:
    loop = asyncio.new_event_loop()
    # after a failure many Outputs hold the same error, which nobody reads there: the run's result has it
    loop.set_exception_handler(lambda _loop, _context: None)
    # one worker thread: the order is the same every time
    executor = ThreadPoolExecutor(1, thread_name_prefix="local")
    loop.set_default_executor(executor)
    asyncio.set_event_loop(loop)
    pulumi_settings.ROOT.set(cast("Any", object()))  # otherwise set_mocks makes a second Stack
    mocks.set_mocks(
        monitor.mocks, project=project, stack=stack, preview=monitor.preview, monitor=monitor, logger=_logger(result)
    )
    pulumi_settings.ROOT.set(None)
    # set_mocks does not reset these, which an earlier run has set
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
            # only the real engine reports the line that creates a resource; to find it takes a seventh of a run
            patch.object(pulumi.runtime.resource, "_get_stack_trace", source_pb2.StackTrace),
            enforced(preview=monitor.preview) as prepare,
        ):

            def program() -> None:
                prepare()
                try:
                    body()
                except pulumi.RunError as error:
                    monitor.said = error
                    raise

            loop.run_until_complete(run_in_stack(program))
        if result.refusals:
            result.error = _refused(result)
    except KeyboardInterrupt as error:
        # the SDK waits for what the program still registers before it lets an interrupt through
        monitor.failure = error
        raise
    except Exception as error:
        # the program's own error says more than the failed call; Ctrl-C is not a failure
        said = monitor.said if not isinstance(monitor.failure, KeyboardInterrupt) else None
        result.error = said or monitor.failure or error
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()
        asyncio.set_event_loop(None)


def _refused(run: Run) -> RefusedError:
    return RefusedError("\n".join(f"{urn}: {line}" for urn, line in run.refusals))


def _run_path(path: str) -> None:
    runpy.run_path(path, run_name="__main__")


def _logger(result: Run) -> logging.Logger:
    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            result.messages.append(record.getMessage())

    logger = logging.Logger("pulumi", logging.WARNING)
    logger.addHandler(Keep())
    return logger
