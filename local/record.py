"""What one record says of a resource type, and the table of all of them.

A record is a class in `local/types/`, one file per AWS service. It holds all that this machine knows of its type: how
it is made, seen, changed and ended in moto, what the SDK calls otherwise than the API, what AWS refuses, which inputs
hold JSON, what it refers to, what its provider needs in IAM, what it costs, and what becomes of running work when it
changes. What replaces it, as the AWS provider plans it, is data beside the records (`local/types/replacements.json`).
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
    """A record; `token` given to a subclass enters it in the table."""

    token: ClassVar[str] = ""
    simulated: ClassVar[bool] = False
    """Whether moto does not hold the type: it is answered with AWS-shaped values, and shown as such."""
    name: ClassVar[str | None] = None
    """The input that holds the physical name, which the provider makes up when it is left out."""
    takes: ClassVar[tuple[str, str] | None] = None
    """Service and operation whose parameters the inputs become: their enums, ranges, lengths and patterns hold."""
    rename: ClassVar[Mapping[str, str]] = {}
    """Dotted path of an input -> its dotted name in the API, where that is another word."""
    documents: ClassVar[Mapping[str, Document]] = {}
    """Path of an input that holds JSON -> its grammar."""
    refers: ClassVar[Mapping[str, str]] = {}
    """Path of an input -> type of the resource that it refers to."""
    needs: ClassVar[str] = ""
    """Actions that the provider calls to make, read, change and delete it, and that AWS asks for besides."""
    ended: ClassVar[Effect | None] = None
    """What becomes of running work when it is deleted, also where another takes its place."""

    def __init_subclass__(cls, *, token: str = "") -> None:
        cls.token = token
        if token:
            TYPES[token] = cls()

    def refused(self, given: Property) -> Iterator[str]:
        """What AWS refuses about inputs, and moto and the API's own model do not, a line each."""
        del given
        yield from ()

    def not_planned(self, changes: Sequence[Change], inputs: Mapping[str, Any]) -> Iterator[str]:
        """What of a change the provider refuses as it plans it, a line each."""
        del changes, inputs
        yield from ()

    def create(self, aws: Aws, new: Resource) -> Created:
        """Make it."""
        raise NotImplementedError

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any] | None:
        """What the API says of it; nothing when it is gone, also by an error that says so."""
        del aws, there
        return {}

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Change it in place, but for its tags; its computed properties.

        Made anew, where that is what the API calls a change; of a simulated type nothing else changes.
        """
        del there
        return {} if self.simulated else self.create(aws, new).outputs

    def retag(self, aws: Aws, there: State, tags: Mapping[str, str], gone: list[str]) -> None:
        """Give it these tags, and take those keys away."""
        raise NotImplementedError

    def delete(self, aws: Aws, there: State) -> None:
        """End it."""
        raise NotImplementedError

    def work(self, edit: Edit) -> Iterator[Effect]:
        """What becomes of running work by an edit; nothing where nothing is yielded."""
        if edit.ends and self.ended is not None:
            yield self.ended

    def paid(self, one: Priced) -> Iterator[Line]:
        """What it is paid for while the stack stands; what is free or paid by use yields nothing."""
        del one
        yield from ()


TYPES: dict[str, ResourceType] = {}
"""Resource type -> its record."""

Answer = Callable[[Aws, Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Function:
    """A provider function that the program asks."""

    answer: Answer
    needs: str
    """Actions that it calls; empty when it needs no permission."""
    lasting: bool
    """Whether its answer depends on nothing that a run does, so that it can be kept."""


FUNCTIONS: dict[str, Function] = {}
"""Provider function -> how it is answered."""


def answers(token: str, *, needs: str = "", lasting: bool = False) -> Callable[[Answer], Answer]:
    """Enter the function that answers a provider function such as `aws:ec2/getInstanceType:getInstanceType`."""

    def enter(answer: Answer) -> Answer:
        FUNCTIONS[token] = Function(answer=answer, needs=needs, lasting=lasting)
        return answer

    return enter


def tag_actions(service: str) -> str:
    """The actions of a service by which the tags of what it holds are read and changed."""
    return " ".join(f"{service}:{action}" for action in ("ListTagsForResource", "TagResource", "UntagResource"))
