"""The stack as a picture: its components and what each waits for, in Mermaid's words."""

from local.engine import Run


def mermaid(run: Run) -> str:
    """A flowchart of the components under the stack, an arrow from each to what it depends on."""
    nodes = {urn: f"n{index}" for index, urn in enumerate(_tops(run))}
    arrows = {
        (nodes[_top(run, urn)], nodes[_top(run, dependency)])
        for urn, one in run.registrations.items()
        for dependency in one.dependencies
        if dependency in run.registrations
    }
    return "\n".join(
        [
            "flowchart LR",
            *(
                f'  {node}["{run.registrations[urn].name}<br/>{run.registrations[urn].type.rsplit(":", 1)[-1]}"]'
                for urn, node in nodes.items()
            ),
            *(f"  {one} --> {other}" for one, other in sorted(arrows) if one != other),
        ]
    )


def _tops(run: Run) -> list[str]:
    return [urn for urn, one in run.registrations.items() if one.is_top]


def _top(run: Run, urn: str) -> str:
    while not run.registrations[urn].is_top:
        urn = run.registrations[urn].parent
    return urn
