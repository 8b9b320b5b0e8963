"""What a deployment would change: an earlier stack file is deployed to a local AWS, then the current one is previewed.

Both use the program as it is now. Pulumi's own engine plans the changes where its CLI is installed, `local/planned.py`
where it is not.
"""

import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pulumi

from local import engine, interrupt, stack_files, types
from local.aws import Aws
from local.changes import place_of
from local.clis import WHERE_FROM, CliError, Engine
from local.edits import WORK, Edit, Effect, Operation
from local.planned import Planner
from local.provider import Provider
from local.run import PROVIDER_PREFIX, RefusedError, Run
from local.stack_files import StackFile
from local.wire import plain
from stack_file.reading import WrongStackFileError

OPERATIONS: Mapping[str, Operation] = {
    "create": "create",
    "update": "update",
    "replace": "replace",
    "delete": "delete",
}
"""The engine's step -> operation. A replacement has more steps, which are not counted."""
DONE: Mapping[Operation, str] = {
    "create": "created",
    "update": "updated",
    "replace": "replaced",
    "delete": "deleted",
}
TAGS_ALONE = ("tagsAll",)
OF_THE_END = ("preview failed", "an unhandled error occurred", "update failed")
"""Parts of the engine's errors that only say that there was another error."""
OF_PROTECTION = ("because it is protected", "marked for protection")
"""Parts of the errors by which the engine refuses to delete or replace a protected resource."""
PROTECTED = Effect(
    work="refused",
    what="is protected against deletion",
    first="keep it; to delete it, deploy `protect: false` before",
)


class EarlierError(Exception):
    """The earlier stack file does not exist, or cannot be read."""


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """The stack file that is deployed first."""

    name: str
    """Where it comes from, for messages."""
    text: str
    stack: StackFile
    """Its content."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a deployment would change."""

    edits: Sequence[Edit]
    protected: frozenset[str] = field(default_factory=frozenset[str])
    """URNs of protected resources that would be deleted or replaced."""
    mistakes: Sequence[str] = ()
    """Other errors of the engine, a line each."""

    def effects(self) -> dict[Effect, list[Edit]]:
        """Effect on running work -> edits that cause it, the worst last. With a refused edit nothing else happens."""
        refused = [one for one in self.edits if one.urn in self.protected]
        if refused:
            return {PROTECTED: refused}
        found: dict[Effect, list[Edit]] = {}
        for edit in self.edits:
            record = types.of(edit.type)
            for effect in record.work(edit) if record is not None else ():
                found.setdefault(effect, []).append(edit)
        order = list(WORK)
        return dict(sorted(found.items(), key=lambda one: order.index(one[0].work)))


def earlier(project: Path, stack: str, named: str) -> Earlier:
    """Read a file, or the stack file in a git revision.

    Raises:
        EarlierError: when `named` is neither a file nor a revision, or cannot be read.

    """
    file = f"Pulumi.{stack}.yaml"
    if Path(named).is_file():
        return _read(project, stack, named, Path(named).read_text(encoding="utf-8"))
    commit = _git(project, "rev-parse", "--verify", "--short", "--end-of-options", f"{named}^{{commit}}")
    if commit is None:
        raise EarlierError(f"--against {named}: is neither a file nor a revision that git knows here")
    text = _git(project, "show", f"{commit}:./{file}")
    if text is None:
        raise EarlierError(f"--against {named}: {file} is not in commit {commit}")
    return _read(project, stack, f"{file} of {named}" + ("" if named == commit else f" ({commit})"), text)


def planned(stack: StackFile, before: Earlier, aws: Aws) -> Plan:
    """Plan the deployment of a stack file over the stack of an earlier one.

    Raises:
        CliError: when the earlier one cannot be deployed.

    """
    if shutil.which("pulumi") is None:
        there = engine.run(before.stack, Provider(_tagging(aws, before.stack)), preview=False)
        if there.error is not None:
            raise CliError(f"{before.name}: {there.error}")
        return beside(there, stack, aws)
    with (
        TemporaryDirectory(prefix="local-") as folder,
        interrupt.undone(lambda: shutil.rmtree(folder, ignore_errors=True)),
    ):
        cli = Engine(Path(folder))
        cli.prepare(stack.program, aws, stack.stack)
        file = Path(folder) / "earlier.yaml"
        file.write_text(before.text, encoding="utf-8")
        cli.configure(stack.stack, file)
        up = cli.run("up", "--stack", stack.stack, "--yes", "--skip-preview", "--suppress-progress", "--color", "never")
        if up.returncode != 0:
            raise CliError("\n".join(f"{before.name}: {line}" for line in _errors(up.stdout + up.stderr)))
        cli.configure(stack.stack, stack.program / f"Pulumi.{stack.stack}.yaml")
        return previewed(cli, stack.stack)


def beside(there: Run, stack: StackFile, aws: Aws) -> Plan:
    """Plan, without a CLI, the deployment of a stack file over what an earlier run created."""
    provider = Provider(_tagging(aws, stack))
    planner = Planner(provider, there)
    run = engine.run(stack, provider, preview=True, planner=planner)
    if run.error is not None and not isinstance(run.error, pulumi.RunError | RefusedError):
        # an error of the program itself, not of the stack file
        raise run.error
    return Plan(
        edits=planner.edits,
        protected=frozenset(planner.protected),
        mistakes=str(run.error).splitlines() if run.error is not None else (),
    )


def _tagging(aws: Aws, stack: StackFile) -> Aws:
    """The same AWS, with the default tags of a stack file."""
    return Aws(aws.region, stack.default_tags, endpoint_url=aws.endpoint_url)


def previewed(cli: Engine, stack: str) -> Plan:
    """The plan of the engine's preview.

    Raises:
        CliError: when the preview prints no plan.

    """
    preview = cli.run("preview", "--stack", stack, "--json")
    try:
        document: dict[str, Any] = json.loads(preview.stdout)
    except ValueError:
        raise CliError("\n".join(_errors(preview.stdout + preview.stderr))) from None
    wrong = [one for one in document.get("diagnostics") or () if one["severity"] == "error"]
    protected = frozenset(
        one["urn"] for one in wrong if "urn" in one and any(words in one["message"] for words in OF_PROTECTION)
    )
    return Plan(
        edits=list(edits(document.get("steps") or ())),
        protected=protected,
        mistakes=[
            line.strip()
            for one in wrong
            if one.get("urn") not in protected and not any(words in one["message"] for words in OF_THE_END)
            for line in one["message"].removeprefix("error: ").splitlines()
            if line.strip()
        ],
    )


def lines(plan: Plan) -> Iterator[str]:
    """The plan in lines; resources of one type with the same changes share a line."""
    for operation, done in DONE.items():
        edits = [one for one in plan.edits if one.operation == operation]
        if not edits:
            continue
        tags = [one for one in edits if one.changed == TAGS_ALONE]
        yield f"{done}: {len(edits)}" + (f", {len(tags)} of them in their tags alone" if tags else "")
        together: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        for one in edits:
            if one.changed != TAGS_ALONE:
                together.setdefault((one.type, one.changed), []).append(one.name)
        for (type_, changed), names in sorted(together.items()):
            yield f"  {type_} {', '.join(sorted(names))}" + (f": {', '.join(changed)}" if changed else "")
    if not plan.edits:
        yield "nothing would change"


def by() -> str:
    """The engine that made the plan, for messages."""
    return (
        "Pulumi's engine"
        if shutil.which("pulumi")
        else f"Pulumi's mock engine (with its CLI on the PATH its own does: {WHERE_FROM})"
    )


def work_lines(plan: Plan) -> Iterator[str]:
    """What happens to running work, and what to do before the deployment; the worst last."""
    effects = plan.effects()
    if not effects:
        yield "running work: nothing happens to it"
        return
    yield "running work:"
    for effect, edits in effects.items():
        yield f"  {effect.work}: {_names(edits)}: {effect.what}"
        if effect.first:
            yield f"    first: {effect.first}"


def document(plan: Plan) -> dict[str, Any]:
    """The whole plan as data."""
    return {
        **{
            done: [
                {"urn": one.urn, "type": one.type, "name": one.name, "changed": [*one.changed]}
                for one in plan.edits
                if one.operation == operation
            ]
            for operation, done in DONE.items()
        },
        "work": [
            {"work": effect.work, "what": effect.what, "first": effect.first, "urns": [one.urn for one in edits]}
            for effect, edits in plan.effects().items()
        ],
    }


def _read(project: Path, stack: str, name: str, text: str) -> Earlier:
    with TemporaryDirectory(prefix="local-") as folder:
        shutil.copy(project / "Pulumi.yaml", folder)
        (Path(folder) / f"Pulumi.{stack}.yaml").write_text(text, encoding="utf-8")
        try:
            read = stack_files.read(Path(folder), stack)
        except WrongStackFileError as error:
            raise EarlierError("\n".join(f"{name}: {line}" for line in str(error).splitlines())) from None
    if read.mistakes:
        raise EarlierError("\n".join(f"{name}: {one}" for one in read.mistakes))
    if read.document is not None:
        read.document.name = name
    return Earlier(name=name, text=text, stack=replace(read, program=project))


def edits(steps: Iterable[Mapping[str, Any]]) -> Iterator[Edit]:
    """The steps of a preview that create, change or delete a resource in the cloud."""
    for step in steps:
        state: Mapping[str, Any] = step.get("newState") or step["oldState"]
        operation = OPERATIONS.get(step["op"])
        if operation is None or not state.get("custom") or state["type"].startswith(PROVIDER_PREFIX):
            continue
        details = {place_of(path) for path in step.get("detailedDiff") or ()}
        # changes that are in no input, such as the provider's own tags
        tops = {one.partition(".")[0] for one in details}
        changed = details | {one for one in step.get("diffReasons") or () if one not in tops}
        yield Edit(
            urn=step["urn"],
            type=state["type"],
            name=step["urn"].rpartition("::")[2],
            operation=operation,
            changed=tuple(sorted(changed - {*TAGS_ALONE} or changed)),
            ignored=tuple(state.get("ignoreChanges") or ()),
            before={} if operation == "create" else plain(step["oldState"].get("inputs") or {}),
            after={} if operation == "delete" else plain(step["newState"].get("inputs") or {}),
        )


def _names(edits: Iterable[Edit]) -> str:
    return ", ".join(sorted({f"{short(one.type)} {one.name}" for one in edits}))


def short(type_: str) -> str:
    """A resource type without its package and module."""
    return type_.rpartition(":")[2]


def _errors(said: str) -> list[str]:
    """The errors in the output of the CLI."""
    found = [
        line.partition("error: ")[2].strip()
        for line in said.splitlines()
        if "error: " in line and not any(words in line for words in OF_THE_END)
    ]
    return list(dict.fromkeys(found)) or [" ".join(said.split()) or "the Pulumi CLI says nothing"]


def _git(project: Path, *arguments: str) -> str | None:
    """The output of git; None when git fails or is not installed."""
    try:
        asked = subprocess.run(["git", *arguments], cwd=project, capture_output=True, text=True)
    except OSError:
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None
