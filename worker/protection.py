"""ECS task scale-in protection: on while tasks run, off some time after the last one.

It keeps scale-in and deployments from stopping the ECS task; it does not keep Fargate Spot from reclaiming it. See
"Amazon ECS task scale-in protection endpoint" in the ECS developer guide.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
import urllib.error
import urllib.request

from worker.log import log

EXPIRES_IN_MINUTES = 60
"""A worker that hangs loses its protection after this; ECS allows up to 2,880."""

REASSERT_SECONDS = 1_200.0
TRY_AGAIN_SECONDS = 30.0
_TIMEOUT_SECONDS = 10.0

# the agent is on a link-local address, where no proxy reaches
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Protection:
    """Follows from a thread of its own whether anything runs, so that no task waits for the ECS agent.

    `agent_uri` is `ECS_AGENT_URI`; without it nothing is protected, and the log says so once.
    """

    def __init__(self, agent_uri: str | None, linger_seconds: float) -> None:
        self._url = f"{agent_uri}/task-protection/v1/state" if agent_uri else None
        self._linger_seconds = linger_seconds
        self._changed = threading.Condition()
        self._running = 0
        self._idle_since = float("-inf")
        self._closed = False
        self._on: bool | None = False
        self._reassert_at = 0.0
        self._try_again_at = 0.0
        if self._url is None:
            log("protectionSkipped", reason="ECS_AGENT_URI is not set, the worker is not in ECS")

    def begin(self) -> None:
        """A task starts."""
        with self._changed:
            self._running += 1
            if not self._on:
                self._changed.notify()

    def end(self) -> None:
        """A task has ended."""
        with self._changed:
            self._running -= 1
            self._idle_since = time.monotonic()

    def close(self) -> None:
        """Let `run` return; the protection stays as it is and ends with the ECS task."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def run(self) -> None:
        """Keep the agent's state in step until closed."""
        while True:
            with self._changed:
                if self._closed:
                    return
                if self._url is None:
                    self._changed.wait()
                    continue
                now = time.monotonic()
                wanted = self._running > 0 or now < self._idle_since + self._linger_seconds
                due = wanted != self._on or (wanted and now >= self._reassert_at)
                if not due or now < self._try_again_at:
                    self._changed.wait(0.5)
                    continue
            self._put(self._url, enabled=wanted)

    def _put(self, url: str, *, enabled: bool) -> None:
        state: dict[str, bool | int] = {"ProtectionEnabled": enabled}
        if enabled:
            state["ExpiresInMinutes"] = EXPIRES_IN_MINUTES
        request = urllib.request.Request(  # noqa: S310  the address is ECS's own
            url, json.dumps(state).encode(), {"Content-Type": "application/json"}, method="PUT"
        )
        failure = _ask(request)
        now = time.monotonic()
        if failure is None:
            self._on = enabled
            self._reassert_at = now + REASSERT_SECONDS
            log("protection", enabled=enabled)
        else:
            self._on = None
            self._try_again_at = now + TRY_AGAIN_SECONDS
            log("protectionFailed", level="warning", enabled=enabled, error=failure, retryInSeconds=TRY_AGAIN_SECONDS)


def _ask(request: urllib.request.Request) -> str | None:
    """What went wrong, or None."""
    try:
        with _opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
            answer = response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return f"{error}: {error.read(500).decode(errors='replace')}"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return str(error)
    # 200 does not mean protected: the agent passes on a refusal of ECS as {"failure": {"Reason": ...}}
    return None if '"protection"' in answer else f"the agent answered {answer[:500]}"
