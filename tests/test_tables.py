"""The table of docs/local.md says of a type what its record has."""

from collections.abc import Iterator

import pytest

from local.costs import Line, Priced
from local.edits import Effect
from local.properties import Property
from local.record import TYPES, ResourceType
from policy.rules import RULES
from tools import tables


class Plain(ResourceType):
    """A record that says nothing but what its end does."""

    simulated = True
    ended = Effect(work="lost", what="it is gone", first="copy it")


class Checked(ResourceType):
    """A record that says what a table shows, some of it by its base."""

    takes = ("sqs", "CreateQueue")

    def refused(self, given: Property) -> Iterator[str]:
        yield from given.required("name")


class Paid(Checked):
    def paid(self, one: Priced) -> Iterator[Line]:
        yield one.line("queue")


def test_a_row_says_what_a_record_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "TYPES", {"b": Paid(), "a": Plain()})
    _, _, *rows = tables.types().splitlines()
    assert rows[:2] == [
        "| `a` | simulated |  |  |  |  |  | yes |",
        "| `b` | moto | yes |  | yes |  | yes |  |",
    ]


def test_every_type_and_every_rule_has_a_row() -> None:
    types, rules = tables.types().splitlines(), tables.rules().splitlines()
    assert {row.split("`")[1] for row in types[2:]} == {*TYPES, "kubernetes:*", "pulumi:*"}
    assert [row.split("`")[1] for row in rules[2:]] == [rule.name for rule in RULES]
