"""What AWS refuses and neither Pulumi's mocks nor moto do, known from a resource's inputs alone.

Nothing here asks AWS, so a preview is as strict as a deployment, but for what depends on values that are not known yet.
"""

from collections.abc import Iterator

from local.checks import api, documents, limits, references, shape
from local.checks.references import Known
from local.checks.services import TABLE
from local.engine import Registration

__all__ = ["Known", "coverage", "problems"]


def problems(registration: Registration, known: Known) -> list[str]:
    """Everything that is wrong with a resource, a line each: `property.path: rule, got value`.

    A path has one line, by the first check that has something to say of it. Call it before the resource is created;
    `known.add` is to be called after.
    """
    if not registration.custom:
        return []
    found = list(shape.mistakes(registration.type, registration.inputs))
    found += shape.ignored_nowhere(registration.type, registration.ignore_changes)
    if not found:
        # the other checks rely on the shape
        found = list(_contents(registration, known))
    lines: dict[str, str] = {}
    for line in found:
        lines.setdefault(line if line.startswith("ignore_changes: ") else line.partition(": ")[0], line)
    return list(lines.values())


def coverage(type_: str) -> list[str]:
    """Which checks apply to a resource type: shape, documents, values, references, limits."""
    checks = TABLE.get(type_)
    declared = shape.args_class(type_)
    names = () if declared is None else shape.properties(declared)
    return [
        name
        for name, applies in (
            ("shape", declared is not None),
            ("documents", checks is not None and bool(checks.documents)),
            ("values", checks is not None and (checks.api is not None or bool(checks.values))),
            (
                "references",
                any(references.may_refer(type_, name) for name in (*names, *(checks.documents if checks else ()))),
            ),
            (
                "limits",
                (checks is not None and bool(checks.limits)) or "tags" in names,
            ),
        )
        if applies
    ]


def _contents(registration: Registration, known: Known) -> Iterator[str]:
    inputs = registration.inputs
    checks = TABLE.get(registration.type)
    if checks is not None:
        yield from documents.mistakes(checks.documents, inputs)
        for rule in (*checks.values, *checks.limits):
            yield from rule(inputs, known)
        if checks.api is not None:
            yield from api.loosely(api.parameters(*checks.api), inputs, checks.rename)
    yield from limits.mistakes(registration.type, inputs)
    yield from references.mistakes(registration.type, inputs, known)
