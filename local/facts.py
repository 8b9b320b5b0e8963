"""Moto's answers about its account, quotas, region and instance types, kept from one run to the next.

They are the same every time, and a preview asks nothing else: so the second preview need not wait for moto to start.
"""

import json
import os
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast


class Facts:
    """The answers for one region, in a file whose name changes with moto and our answering code; empty without it."""

    def __init__(self, folder: Path, region: str) -> None:
        here = Path(__file__).parent
        answered_by = [here / "moto_gaps.py", *sorted((here / "types").glob("*.py"))]
        made_by = [version("moto").encode(), *(path.read_bytes() for path in answered_by)]
        self._path = folder / f"facts-{region}-{zlib.crc32(b''.join(made_by)):08x}.json"
        self._known: dict[str, dict[str, Any]] = {}
        with suppress(OSError, ValueError):
            if isinstance(found := json.loads(self._path.read_text(encoding="utf-8")), dict):
                self._known = cast("dict[str, dict[str, Any]]", found)

    def __bool__(self) -> bool:
        return bool(self._known)

    def answer(self, token: str, arguments: Mapping[str, Any], ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The answer of a provider function; `ask` is called only when the answer is not known."""
        question = json.dumps([token, arguments], sort_keys=True)
        if question not in self._known:
            self._known[question] = ask()
            self._keep()
        return self._known[question]

    def _keep(self) -> None:
        # a folder that cannot be written is no error; another run may read the file at this moment
        with suppress(OSError):
            self._path.parent.mkdir(exist_ok=True)
            new = self._path.with_suffix(f".{os.getpid()}")
            new.write_text(json.dumps(self._known), encoding="utf-8")
            new.replace(self._path)
