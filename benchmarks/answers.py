"""The floor of `pulumi up`: plugins that speak the engine's protocol as ours do, and whose answers are there already.

The engine starts them as `python -m benchmarks.answers FILE PACKAGE ENGINE`. They check nothing, and what they create
has the outputs that the file holds for its URN.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local import engine
from local.aws import Aws
from local.facts import Facts
from local.plugin import Plugin, serve
from local.provider import Provider
from local.run import Resource, State
from local.stack_files import StackFile


def record(stack: StackFile, facts: Facts, file: Path) -> None:
    """Deploy a stack to an AWS of its own, and write what its provider answers."""
    with Aws(stack.region, stack.default_tags) as aws:
        provider = _Recorder(aws, facts)
        run = engine.run(stack, provider, preview=False)
        if run.error is not None:
            raise run.error
    created = {urn: (state.id, state.outputs) for urn, state in run.created.items()}
    file.write_text(json.dumps({"created": created, "answers": provider.answers}), encoding="utf-8")


class _Recorder(Provider):
    def __init__(self, aws: Aws, facts: Facts) -> None:
        super().__init__(aws, facts)
        self.answers: dict[str, Any] = {}

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        answer = self.answers[_question(token, arguments)] = super().invoke(token, arguments)
        return answer


class _Answers(Provider):
    def __init__(self, aws: Aws, recorded: Mapping[str, Any]) -> None:
        super().__init__(aws)
        self._created, self._answers = recorded["created"], recorded["answers"]

    def check(self, type_: str, inputs: Mapping[str, Any]) -> list[str]:
        del type_, inputs
        return []

    def create(self, resource: Resource) -> State:
        made, outputs = self._created[resource.urn]
        return State(id=made, inputs=resource.inputs, outputs=outputs)

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return self._answers[_question(token, arguments)]


class _Plugin(Plugin):
    def __init__(self, package: str, recorded: Mapping[str, Any]) -> None:
        super().__init__(package, "")
        self._recorded = recorded

    def Configure(self, request: Any, context: Any) -> Any:
        configured = super().Configure(request, context)
        self.provider = _Answers(self.provider.aws, self._recorded)
        # no cluster is asked for, either
        self.cluster = None
        return configured


def _question(token: str, arguments: Mapping[str, Any]) -> str:
    return json.dumps([token, arguments], sort_keys=True)


if __name__ == "__main__":
    serve(_Plugin(sys.argv[2], json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
