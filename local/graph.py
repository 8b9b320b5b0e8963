"""The stack as an SVG picture: its components, left to right in the order in which they can be created."""

from collections import Counter
from collections.abc import Collection, Mapping
from graphlib import TopologicalSorter
from xml.etree import ElementTree

from local.display import COMPONENT_PREFIX
from local.run import Run

WIDTH, HEIGHT = 176, 64
BETWEEN_COLUMNS, BETWEEN_ROWS, MARGIN = 84, 20, 12
"""Pixels."""
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.name { font-weight: 600 }
.what { fill: #59636e; font-size: 12px }
rect { fill: #f6f8fa; stroke: #818b98 }
path { fill: none; stroke: #818b98 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .what { fill: #9198a1 }
  rect { fill: #151b23; stroke: #656c76 }
  path { stroke: #656c76 }
}
"""


def svg(run: Run) -> str:
    """A box for each component under the stack, and a line to it from each component that it waits for directly."""
    needs = _needs(run)
    columns = _columns(needs)
    tallest = max(len(urns) for urns in columns)
    place = {
        urn: (
            MARGIN + (WIDTH + BETWEEN_COLUMNS) * column,
            MARGIN + (HEIGHT + BETWEEN_ROWS) * (tallest - len(urns) + 2 * row) // 2,
        )
        for column, urns in enumerate(columns)
        for row, urn in enumerate(urns)
    }
    width = 2 * MARGIN + (WIDTH + BETWEEN_COLUMNS) * len(columns) - BETWEEN_COLUMNS
    height = 2 * MARGIN + (HEIGHT + BETWEEN_ROWS) * tallest - BETWEEN_ROWS
    root = ElementTree.Element(
        "svg",
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height}",
        role="img",
    )
    ElementTree.SubElement(root, "title").text = "The parts of the stack, and which waits for which"
    ElementTree.SubElement(root, "style").text = STYLE
    for urn, (right, top) in place.items():
        for need in sorted(_direct(needs, urn)):
            left, start, end = place[need][0] + WIDTH, place[need][1] + HEIGHT // 2, top + HEIGHT // 2
            turn, bend = right - BETWEEN_COLUMNS, right - BETWEEN_COLUMNS // 2
            line = f"M{left} {start} H{turn} C{bend} {start} {bend} {end} {right} {end}"
            ElementTree.SubElement(root, "path", d=line)
    counts = Counter(run.top(urn) for urn, one in run.registrations.items() if one.provided)
    for urn, (left, top) in place.items():
        one = run.registrations[urn]
        box = ElementTree.SubElement(root, "g", transform=f"translate({left} {top})")
        ElementTree.SubElement(box, "rect", width=str(WIDTH), height=str(HEIGHT), rx="6")
        lines = (
            ("name", one.name),
            ("", one.type.removeprefix(COMPONENT_PREFIX)),
            ("what", f"{counts[urn]} resources"),
        )
        for row, (kind, text) in enumerate(lines):
            ElementTree.SubElement(box, "text", {"class": kind}, x="12", y=str(20 + 18 * row)).text = text
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode")


def _needs(run: Run) -> dict[str, set[str]]:
    """Component -> the components that it waits for; a component that waits but holds no resource is left out."""
    needs: dict[str, set[str]] = {}
    for top, members in run.parts().items():
        waits = {run.top(need) for one in members for need in one.dependencies if need in run.registrations} - {top}
        if len(members) > 1 or not waits:
            needs[top] = waits
    return needs


def _columns(needs: Mapping[str, Collection[str]]) -> list[list[str]]:
    """The components that wait for none, then those that wait only for these, and so on."""
    sorter = TopologicalSorter(needs)
    sorter.prepare()
    columns: list[list[str]] = []
    while sorter.is_active():
        ready = sorter.get_ready()
        columns.append(sorted(ready, key=list(needs).index))
        sorter.done(*ready)
    return columns


def _direct(needs: Mapping[str, Collection[str]], urn: str) -> set[str]:
    """The components that a component waits for, without those that another of them waits for."""
    return {one for one in needs[urn] if not any(one in _all(needs, other) for other in needs[urn])}


def _all(needs: Mapping[str, Collection[str]], urn: str) -> set[str]:
    return {*needs[urn], *(far for near in needs[urn] for far in _all(needs, near))}
