"""Task protection against an ECS agent that answers, refuses and comes back."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator

import pytest

from tests.worker_support import Agent, wait_until
from worker import protection
from worker.protection import Protection


@contextlib.contextmanager
def running(uri: str, linger_seconds: float = 0) -> Generator[Protection]:
    guard = Protection(uri, linger_seconds)
    thread = threading.Thread(target=guard.run)
    thread.start()
    try:
        yield guard
    finally:
        guard.close()
        thread.join()


def states(agent: Agent) -> list[bool]:
    return [asked["ProtectionEnabled"] for asked in agent.asked]


def test_the_agent_is_asked_past_any_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    agent = Agent()
    with agent.listen() as uri, running(uri) as guard:
        guard.begin()
        wait_until(lambda: states(agent) == [True], 5, "the protection")


def test_an_idle_worker_asks_nothing() -> None:
    agent = Agent()
    with agent.listen() as uri, running(uri):
        threading.Event().wait(0.2)
    assert agent.asked == []


def test_the_protection_is_renewed_before_it_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protection, "REASSERT_SECONDS", 0.2)
    assert protection.EXPIRES_IN_MINUTES <= 2_880
    agent = Agent()
    with agent.listen() as uri, running(uri) as guard:
        guard.begin()
        wait_until(lambda: states(agent)[:3] == [True] * 3, 10, "two renewals")
        guard.end()
        wait_until(lambda: states(agent)[-1] is False, 5, "the end of the protection")


def test_the_protection_lasts_until_the_last_task_has_ended() -> None:
    agent = Agent()
    with agent.listen() as uri, running(uri) as guard:
        guard.begin()
        guard.begin()
        wait_until(lambda: states(agent) == [True], 5, "the protection")
        guard.end()
        threading.Event().wait(1.2)
        assert states(agent) == [True]
        guard.end()
        wait_until(lambda: states(agent) == [True, False], 5, "the end of the protection")


def test_a_refusal_is_tried_again_and_leaves_no_protection_behind(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(protection, "TRY_AGAIN_SECONDS", 0.2)
    agent = Agent()
    agent.refuses = True
    with agent.listen() as uri, running(uri) as guard:
        guard.begin()
        wait_until(lambda: len(agent.asked) >= 2, 5, "another try")
        # the agent may have acted although it answered with a failure, so an idle worker takes it back
        agent.refuses = False
        guard.end()
        wait_until(lambda: states(agent)[-1] is False, 5, "the end of the protection")
    assert "TASK_NOT_VALID" in capsys.readouterr().out


def test_an_agent_that_is_not_there_is_only_logged(capsys: pytest.CaptureFixture[str]) -> None:
    with running("http://127.0.0.1:9") as guard:
        guard.begin()
        wait_until(lambda: "protectionFailed" in capsys.readouterr().out, 5, "a line in the log")
