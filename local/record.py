"""The base class of the records of resource types, and the table of all records.

A record is a class in `local/types/`, one file per AWS service. It holds all that `local` knows about its type: how to
create, read, update and delete it in moto, which names differ in the API, what AWS refuses, which inputs hold JSON,
what it refers to, which IAM actions its provider needs, what it costs, and what a change of it does to running work.
Which changes replace it in the AWS provider's plan is data beside the records (`local/types/replacements.json`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from local.aws import Aws
from local.changes import Change
from local.costs import Line, Priced
from local.edits import Edit, Effect
from local.properties import Property
from local.run import Created, Resource, State

Document = Callable[[Any, str], Iterator[str]]
"""Yields a line for each mistake in a parsed JSON document that is the value of an input at a path."""


class ResourceType:
    """A record; a subclass with a `token` is added to the table."""

    token: ClassVar[str] = ""
    simulated: ClassVar[bool] = False
    """Whether moto lacks the type: its values are then invented in AWS's form, and it is shown as simulated."""
    name: ClassVar[str | None] = None
    """The input that holds the physical name, which the provider invents when the input is left out."""
    takes: ClassVar[tuple[str, str] | None] = None
    """Service and operation whose parameters the inputs become; its enums, ranges, lengths and patterns are checked."""
    rename: ClassVar[Mapping[str, str]] = {}
    """Dotted path of an input -> its dotted name in the API, where the two differ."""
    documents: ClassVar[Mapping[str, Document]] = {}
    """Path of an input that holds JSON -> the check of its content."""
    refers: ClassVar[Mapping[str, str]] = {}
    """Path of an input -> type of the resource that it refers to."""
    needs: ClassVar[str] = ""
    """IAM actions that the provider needs to create, read, update and delete it, with those that AWS also checks."""
    ended: ClassVar[Effect | None] = None
    """What happens to running work when it is deleted or replaced."""

    def __init_subclass__(cls, *, token: str = "") -> None:
        cls.token = token
        if token:
            TYPES[token] = cls()

    def refused(self, given: Property) -> Iterator[str]:
        """Inputs that AWS refuses, but neither moto nor the API's model does, a line each."""
        del given
        yield from ()

    def not_planned(self, changes: Sequence[Change], inputs: Mapping[str, Any]) -> Iterator[str]:
        """Changes that the provider refuses to plan, a line each."""
        del changes, inputs
        yield from ()

    def create(self, aws: Aws, new: Resource) -> Created:
        """Create the resource."""
        raise NotImplementedError

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any] | None:
        """What the API returns for it. When it does not exist any more: None, or an error that says so."""
        del aws, there
        return {}

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Update the resource in place, without its tags; return its computed properties.

        As written here: create it again, for APIs that update in this way; of a simulated type nothing changes but
        inputs.
        """
        del there
        return {} if self.simulated else self.create(aws, new).outputs

    def retag(self, aws: Aws, there: State, tags: Mapping[str, str], gone: list[str]) -> None:
        """Set these tags, and remove the keys in `gone`."""
        raise NotImplementedError

    def delete(self, aws: Aws, there: State) -> None:
        """Delete the resource."""
        raise NotImplementedError

    def work(self, edit: Edit) -> Iterator[Effect]:
        """What an edit does to running work; nothing is yielded when it does nothing."""
        if edit.ends and self.ended is not None:
            yield self.ended

    def paid(self, one: Priced) -> Iterator[Line]:
        """What the resource costs while it exists; what is free or paid by use yields nothing."""
        del one
        yield from ()


TYPES: dict[str, ResourceType] = {}
"""Resource type -> its record."""

Answer = Callable[[Aws, Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Function:
    """A provider function that the program calls."""

    answer: Answer
    needs: str
    """IAM actions that it needs; empty when it needs no permission."""
    lasting: bool
    """Whether its answer can be kept, because nothing that a run does changes it."""


FUNCTIONS: dict[str, Function] = {}
"""Provider function -> how it is answered."""


def answers(token: str, *, needs: str = "", lasting: bool = False) -> Callable[[Answer], Answer]:
    """Register the function that answers a provider function such as `aws:ec2/getInstanceType:getInstanceType`."""

    def enter(answer: Answer) -> Answer:
        FUNCTIONS[token] = Function(answer=answer, needs=needs, lasting=lasting)
        return answer

    return enter


def tag_actions(service: str) -> str:
    """The actions of a service that read and change the tags of its resources."""
    return " ".join(f"{service}:{action}" for action in ("ListTagsForResource", "TagResource", "UntagResource"))
