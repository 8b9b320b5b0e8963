"""What tests of `train` share: AWS as it answered once, where moto does not do what is asked."""

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from botocore.validate import ParamValidator

from client.account import Account

Answer = Mapping[str, Any] | BaseException
Train = Callable[..., tuple[int, list[str], list[str]]]
"""Runs a command: its exit status, and the lines of standard output and of standard error."""
TrainWith = Callable[..., Train]
"""Makes that, with the outputs of a stack and the words that begin each command."""
Answers = Sequence[Answer] | Callable[[dict[str, Any]], Answer]


class Recorded:
    """Answers that take the place of AWS's, each of the shape that botocore's models give it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        """Operation and parameters of every call, those that moto answers too."""
        self._answers: dict[str, tuple[int, Answers]] = {}
        make = Account.client

        def client(account: Account, service: str) -> Any:
            made = make(account, service)
            for event, what in (("provide-client-params", self._note), ("before-call", self._answer)):
                made.meta.events.register(f"{event}.*", what, unique_id=f"recorded-{event}")
            return made

        monkeypatch.setattr(Account, "client", client)

    def answer(self, operation: str, answers: Answers) -> None:
        """Answer an operation so: one after the other, the last again and again; or by its parameters."""
        self._answers[operation] = len(self.calls(operation)), answers

    def calls(self, operation: str) -> list[dict[str, Any]]:
        """With which parameters an operation was asked for."""
        return [parameters for name, parameters in self.asked if name == operation]

    def _note(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        self.asked.append((model.name, params))

    def _answer(self, model: Any, **_: Any) -> Any:
        if model.name not in self._answers:
            return None
        before, answers = self._answers[model.name]
        calls = self.calls(model.name)[before:]
        answer = answers(calls[-1]) if callable(answers) else answers[min(len(calls), len(answers)) - 1]
        if isinstance(answer, BaseException):
            raise answer
        if "Error" in answer:
            return SimpleNamespace(status_code=400), {"Error": answer["Error"], "ResponseMetadata": {}}
        report = cast("Any", ParamValidator()).validate(answer, model.output_shape)
        assert not report.has_errors(), report.generate_report()
        return SimpleNamespace(status_code=200), {**answer, "ResponseMetadata": {}}


def error(code: str, message: str = "") -> Answer:
    """An answer by which AWS refuses."""
    return {"Error": {"Code": code, "Message": message}}
