"""The provider of this machine: it applies the records of the resource types to one local AWS.

Both drivers call it: `local/engine.py` in its own process, `local/plugin.py` for Pulumi's real engine.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar, cast

from botocore.exceptions import BotoCoreError, ClientError

from local import api, changes, tags, types
from local.aws import Aws
from local.changes import Change
from local.costs import Costs, Estimate, Priced, estimate
from local.facts import Facts
from local.observed import observed
from local.properties import Property
from local.record import FUNCTIONS, ResourceType
from local.run import RefusedError, Resource, Run, State

Answered = TypeVar("Answered")

GONE = ("NotFound", "NoSuch", "DoesNotExist", "NonExistent", "ResourceNotFound", "Unknown", "InvalidParameterValue")
"""Parts of AWS's error codes for a resource that does not exist."""


class Provider:
    """Creates, reads, updates and deletes resources in moto, and answers provider functions from it."""

    def __init__(self, aws: Aws, facts: Facts | None = None) -> None:
        self.aws, self.facts = aws, facts

    def check(self, type_: str, inputs: Mapping[str, Any]) -> list[str]:
        """Everything that AWS would refuse about inputs, a line each: `property.path: rule, got value`.

        Each path has at most one line, from the first check that finds a mistake there.
        """
        lines: dict[str, str] = {}
        for line in self._mistakes(type_, inputs):
            lines.setdefault(line.partition(": ")[0], line)
        return list(lines.values())

    def diff(self, type_: str, there: State, inputs: Mapping[str, Any]) -> list[Change]:
        """What changes when a resource gets these inputs.

        Raises:
            RefusedError: naming the changes that the AWS provider refuses to plan, a line each.

        """
        found = changes.between(type_, there, inputs, self._tags(there, inputs))
        if (record := types.of(type_)) is not None and (lines := list(record.not_planned(found, inputs))):
            raise RefusedError("\n".join(lines))
        return found

    def create(self, resource: Resource) -> State:
        """Create a resource.

        Raises:
            RefusedError: naming the resource, the call and AWS's message, or the type that is not known here.

        """
        record = self._record(resource.type, resource.urn)
        self.aws.is_new = False
        made = self._asked(resource.urn, lambda: record.create(self.aws, resource))
        return State(id=made.id, inputs=resource.inputs, outputs={**resource.inputs, **made.outputs})

    def read(self, type_: str, urn: str, there: State) -> State | None:
        """A resource as AWS has it now; None when it does not exist any more.

        Raises:
            RefusedError: as `create`.

        """
        record = self._record(type_, urn)

        def describe() -> Mapping[str, Any] | None:
            try:
                return record.describe(self.aws, there)
            except ClientError as error:
                code = cast("dict[str, Any]", error.response)["Error"]["Code"]
                if any(part in code for part in GONE):
                    return None
                raise

        found = self._asked(urn, describe)
        if found is None:
            return None
        now = observed(found, there.inputs, record.rename, self.aws.default_tags)
        inputs = {**there.inputs, **now}
        outputs = changes.properties(there, inputs)
        if "tags" in now:
            own = there.inputs["tags"]
            outputs["tagsAll"] = {key: tag for key, tag in outputs["tagsAll"].items() if key not in own} | now["tags"]
        return replace(there, inputs=inputs, outputs=outputs)

    def update(self, there: State, resource: Resource) -> State:
        """Change a resource in place.

        Raises:
            RefusedError: as `create`.

        """
        record = self._record(resource.type, resource.urn)
        name = record.name
        # the physical name is kept, also when the provider chose it
        named = {name: there.outputs[name]} if name and name in there.outputs else {}
        new = replace(resource, inputs={**named, **resource.inputs})
        after = self._tags(there, resource.inputs)

        def change() -> Mapping[str, Any]:
            before = there.outputs.get("tagsAll")
            if after is not None and before != after and not record.simulated:
                record.retag(self.aws, there, after, sorted({*(before or ())} - {*after}))
            only_tags = {one.place.partition(".")[0] for one in self.diff(resource.type, there, resource.inputs)}
            return {} if only_tags <= {"tags", "tagsAll"} else record.update(self.aws, there, new)

        made = self._asked(resource.urn, change)
        tagged = {} if after is None else {"tagsAll": after}
        return State(
            id=there.id,
            inputs=resource.inputs,
            outputs={**changes.properties(there, resource.inputs), **made, **tagged},
        )

    def delete(self, type_: str, urn: str, there: State) -> None:
        """Delete a resource; it is no error when it does not exist any more.

        Raises:
            RefusedError: as `create`.

        """
        record = self._record(type_, urn)
        if not record.simulated and self.read(type_, urn, there) is not None:
            self._asked(urn, lambda: record.delete(self.aws, there))

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a provider function.

        Raises:
            RefusedError: naming the function and AWS's message, or the function that is not known here.

        """
        if (function := FUNCTIONS.get(token)) is None:
            raise RefusedError(f"{token}: this provider function is not known here")

        def ask() -> dict[str, Any]:
            return self._asked(token, lambda: function.answer(self.aws, arguments))

        # a function that needs no permission is answered without a call of AWS
        same = function.lasting or (self.aws.is_new and function.needs)
        return self.facts.answer(token, arguments, ask) if self.facts is not None and same else ask()

    def estimate(self, run: Run, part: str | None = None) -> Estimate:
        """The cost of the stack that a run registered, or only of the part with this URN."""

        def vcpus_of(instance_type: str) -> int:
            return self.invoke("aws:ec2/getInstanceType:getInstanceType", {"instanceType": instance_type})[
                "defaultVcpus"
            ]

        return estimate(
            line
            for urn, one in run.registrations.items()
            if one.custom and part in (None, run.top(urn)) and (record := types.of(one.type)) is not None
            for line in record.paid(Priced(resource=one, run=run, vcpus_of=vcpus_of))
        )

    def costs(self, run: Run) -> Costs:
        """The cost of the stack that a run registered, and of each of its parts."""
        return Costs(whole=self.estimate(run), parts={top: self.estimate(run, top) for top in run.parts()})

    def _mistakes(self, type_: str, inputs: Mapping[str, Any]) -> Iterator[str]:
        record = types.of(type_)
        if record is None:
            return
        given = Property("", dict(inputs))
        for path, grammar in record.documents.items():
            yield from api.document_mistakes(given, path, grammar)
        yield from record.refused(given)
        if record.takes is not None:
            yield from api.loosely(api.parameters(*record.takes), inputs, record.rename)
        if type_.startswith(("aws:", "eks:")):
            yield from tags.mistakes(given)

    def _tags(self, there: State, inputs: Mapping[str, Any]) -> dict[str, str] | None:
        """All tags of a resource, the provider's included; None for a type without tags."""
        if "tagsAll" not in there.outputs:
            return None
        return {**self.aws.default_tags, **(inputs.get("tags") or {})}

    def _record(self, type_: str, urn: str) -> ResourceType:
        if (record := types.of(type_)) is None:
            raise RefusedError(f"{urn}: the type {type_} is not known here")
        return record

    def _asked(self, who: str, ask: Callable[[], Answered]) -> Answered:
        try:
            return ask()
        except ClientError as error:
            said = cast("dict[str, Any]", error.response)["Error"]
            raise RefusedError(f"{who}: {error.operation_name}: {said['Code']}: {said['Message']}") from error
        except BotoCoreError as error:
            raise RefusedError(f"{who}: {self.aws.last_call}: {' '.join(str(error).split())}") from error
        except (TypeError, ValueError) as error:
            raise RefusedError(f"{who}: {' '.join(str(error).split())}") from error
