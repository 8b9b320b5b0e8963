"""The tables of docs/local.md and docs/policy.md: what each record defines, and the rules of the policy pack."""

from local.record import TYPES, ResourceType
from local.types import kubernetes
from policy.rules import RULES

OWN_METHODS = {"rules": "refused", "read": "describe", "cost": "paid", "work": "work"}
"""Column -> the method that a record overrides if the answer is yes."""


def types() -> str:
    """A row for each resource type, with what its record defines."""
    known = {**dict(sorted(TYPES.items())), **{f"{prefix}:*": one for prefix, one in kubernetes.BY_PREFIX.items()}}
    columns = ("API", "documents", *OWN_METHODS)
    rows = ["| type | held by | " + " | ".join(columns) + " |", "| --- | --- |" + " --- |" * len(columns)]
    rows += [
        f"| `{token}` | {'simulated' if record.simulated else 'moto'} | "
        + " | ".join("yes" if column in _known(record) else "" for column in columns)
        + " |"
        for token, record in known.items()
    ]
    return "\n".join(rows) + "\n"


def rules() -> str:
    """A row for each rule of the policy pack."""
    rows = ["| rule | level | what must hold |", "| --- | --- | --- |"]
    rows += [
        f"| `{rule.name}` | {rule.enforcement_level.value if rule.enforcement_level else ''} | {rule.description} |"
        for rule in RULES
    ]
    return "\n".join(rows) + "\n"


def _known(record: ResourceType) -> set[str]:
    said = {"API": record.takes is not None, "documents": bool(record.documents)} | {
        column: getattr(type(record), method) is not getattr(ResourceType, method)
        for column, method in OWN_METHODS.items()
    }
    said["work"] |= record.ended is not None
    return {column for column, so in said.items() if so}
