"""What a task is to `train` is what it is to the worker: neither may import the other."""

import json
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.tasks import task
from worker import settings
from worker import task as worker

KEYS = st.sampled_from([*task.FIELDS, "when"])
TEXTS = st.one_of(
    st.text(max_size=5),
    st.sampled_from(["", "a b", "\0", "\ud800", "é", "AWS_SESSION_TOKEN", "WORKER_A", "A_1", "1A", "x" * 131_072]),
)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 50_000),
    TEXTS,
    st.lists(TEXTS, max_size=3),
    st.dictionaries(TEXTS, st.one_of(TEXTS, st.integers()), max_size=3),
)
RIGHT = {"id": "prepare-7", "command": ["python", "prepare.py"], "env": {"SHARD": "7"}, "timeoutSeconds": 900}


def taken(body: str, longest_seconds: int) -> bool:
    """Whether the worker takes a body."""
    try:
        worker.parse(body, max_task_seconds=longest_seconds)
    except worker.BadTaskError:
        return False
    return True


def sent(given: Any, longest_seconds: int) -> bool:
    """Whether `train` sends it."""
    wrong = [*task.mistakes(given, longest_seconds=longest_seconds), *task.size_mistakes(task.body(given))]
    # each can be printed
    "".join(wrong).encode()
    return not wrong


@hypothesis.settings(deadline=None)
@given(st.dictionaries(KEYS, VALUES), st.sampled_from([60, 43_080]))
def test_what_the_worker_takes_is_sent_and_nothing_else(changes: dict[str, Any], longest_seconds: int) -> None:
    for given_ in (changes, RIGHT | changes, {**RIGHT, "timeoutSeconds": 60}):
        assert sent(given_, longest_seconds) == taken(task.body(given_), longest_seconds), given_


@pytest.mark.parametrize("given_", [[], "text", 1, None])
def test_what_is_no_object_is_no_task(given_: Any) -> None:
    assert not sent(given_, 60)
    assert not taken(json.dumps(given_), 60)


@pytest.mark.parametrize(("characters", "is_sent"), [(100_000, True), (131_070, False)])
def test_a_body_is_as_large_as_the_worker_takes_it(characters: int, is_sent: bool) -> None:
    words = ["x" * characters, "y" * characters]
    assert sent(RIGHT | {"command": words}, 900) is taken(task.body(RIGHT | {"command": words}), 900) is is_sent


def test_the_limits_are_the_workers() -> None:
    assert task.LARGEST_BODY_BYTES == worker.MAX_BODY_BYTES
    assert settings.CEILING_SECONDS - settings.CEILING_MARGIN_SECONDS == task.LONGEST_SECONDS
