"""Which resource types are held by what and checked by what: the table of docs/local.md."""

from local import checks
from local.aws import CREATE, SIMULATED
from local.cloud import BY_PREFIX

SHOWN = ("shape", "documents", "values", "references", "limits")


def table() -> str:
    """A row per type that can be created here."""
    rows = ["| type | held by | " + " | ".join(SHOWN) + " |", "| --- | --- |" + " --- |" * len(SHOWN)]
    for type_ in sorted(CREATE):
        covered = checks.coverage(type_)
        held = "simulated" if type_ in SIMULATED else "its parts" if type_.startswith("eks:") else "moto"
        rows.append(f"| `{type_}` | {held} | " + " | ".join("yes" if one in covered else "" for one in SHOWN) + " |")
    rows += [
        f"| `{prefix}*` | {'nothing' if prefix.startswith('pulumi:') else 'simulated'} | yes |"
        + "  |" * (len(SHOWN) - 1)
        for prefix in BY_PREFIX
    ]
    return "\n".join(rows) + "\n"
