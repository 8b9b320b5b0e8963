"""A check, what it found, and how many are made at once."""

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, cast

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from client.account import AT_ONCE, asking, code_of, is_denied

CREDENTIALS = {
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
"""Errors that every further call would end in as well."""


class State(StrEnum):
    """What became of a check, the worst first."""

    FAILED = "failed"
    WARNING = "warning"
    NOT_CHECKED = "not checked"
    PASSED = "passed"


@dataclass(frozen=True)
class Finding:
    """Something that a check came upon."""

    state: State
    reason: str


@dataclass(frozen=True)
class Check:
    """Something that should hold; it passes when nothing is found against it."""

    name: str
    """The part of the stack that it is about."""
    what: str
    """What should hold, as a clause."""
    find: Callable[[], Iterable[Finding]]


@dataclass(frozen=True)
class Result:
    """A check and what was found."""

    check: Check
    findings: Sequence[Finding]

    @property
    def state(self) -> State:
        """The worst of what was found."""
        return min((one.state for one in self.findings), key=list(State).index, default=State.PASSED)

    @property
    def reason(self) -> str:
        """What was found, as one line."""
        return "; ".join(one.reason for one in self.findings)


class Patience:
    """How long what takes time may take, and whether anybody still waits for it."""

    def __init__(self, seconds: float, say: Callable[[str, str], None]) -> None:
        """`say` takes the name of what is waited for, and how it stands."""
        self.seconds = seconds
        self.say = say
        self.ended = threading.Event()

    def tries(self, every_seconds: float) -> Iterator[None]:
        """A turn at once, and one every so many seconds until the time is up or nobody waits any more."""
        until = time.monotonic() + self.seconds
        while not self.ended.is_set():
            yield
            if (left := until - time.monotonic()) <= 0:
                return
            self.ended.wait(min(every_seconds, left))


failed = partial(Finding, State.FAILED)
"""What makes a check fail."""
warning = partial(Finding, State.WARNING)
"""What somebody should look at though it works."""
not_checked = partial(Finding, State.NOT_CHECKED)
"""Why it cannot be said whether something holds."""
passed = partial(Finding, State.PASSED)
"""What is worth saying of something that holds."""


def missing(what: str) -> Finding:
    """That AWS does not know something."""
    return failed(f"{what} does not exist; `pulumi refresh` takes note of it, `pulumi up` makes it again")


def make(checks: Sequence[Check], patience: Patience) -> Generator[Result]:
    """Make checks beside each other; the results come in the checks' order.

    Whatever ends it early, those under way are told and waited for, so that they clear up behind themselves.

    Raises:
        TrainError: when AWS cannot be asked at all.

    """
    with asking(), ThreadPoolExecutor(AT_ONCE) as pool:
        made = [pool.submit(_findings, check) for check in checks]
        try:
            for check, findings in zip(checks, made, strict=True):
                yield Result(check, findings.result())
        finally:
            patience.ended.set()
            pool.shutdown(cancel_futures=True)


def _findings(check: Check) -> list[Finding]:
    try:
        return list(check.find())
    except ClientError as error:
        if code_of(error) in CREDENTIALS:
            raise
        return [_said(error)]
    except ParamValidationError as error:
        return [failed(" ".join(str(error).split()))]
    except BotoCoreError:
        raise
    except Exception as error:
        # a line like any other, so that the others are still shown
        return [failed(f"AWS answered what is not understood here: {type(error).__name__}: {error}")]


def _said(error: ClientError) -> Finding:
    """What AWS said, with what may be done about it."""
    code, operation = code_of(error), cast("str", error.operation_name)
    message = " ".join(str(cast("dict[str, Any]", error.response)["Error"].get("Message", "")).split())
    if code == "404" or any(word in code for word in ("NotFound", "NoSuch", "NonExistent")):
        return missing(f"{code}: it")
    if is_denied(code):
        return failed(f"the caller may not use {operation}: {message}")
    return failed(f"{operation}: {code}: {message}")
