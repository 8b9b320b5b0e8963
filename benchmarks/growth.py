"""How the time of an evaluation grows with the number of resources, as a picture."""

import statistics
from pathlib import Path

from benchmarks.program import ROOT, SIZES, Program

PICTURE = ROOT / "docs" / "growth.svg"
WIDTH, HEIGHT, LEFT, BELOW = 560, 280, 64, 44


def measure(program: Program, runs: int) -> list[tuple[int, float]]:
    """Number of resources and processor seconds of a preview, the median of so many, for stacks that grow."""
    return [_measure(program, size, runs) for size in SIZES]


def _measure(program: Program, size: tuple[int, int, int], runs: int) -> tuple[int, float]:
    stack = program.sized(size)
    resources, seconds = zip(*(program.timed(stack) for _ in range(runs)), strict=True)
    return resources[0], statistics.median(seconds)


def draw(grown: list[tuple[int, float]], path: Path = PICTURE) -> None:
    """Write the picture, an SVG."""
    most, longest = max(count for count, _ in grown), max(seconds for _, seconds in grown)
    points = [
        (LEFT + (WIDTH - LEFT - 24) * count / most, HEIGHT - BELOW - (HEIGHT - BELOW - 24) * seconds / longest)
        for count, seconds in grown
    ]
    text = 'font-family="sans-serif" font-size="13" fill="#24292f"'
    marks = ""
    for (x, y), (count, seconds) in zip(points, grown, strict=True):
        # right of the line is room for the first points, left of it for the others
        dx, dy, anchor = (8, 14, "start") if x < WIDTH / 2 else (-8, -6, "end")
        marks += (
            f'<circle cx="{x:.0f}" cy="{y:.0f}" r="4" fill="#0969da"/>'
            f'<text x="{x + dx:.0f}" y="{y + dy:.0f}" text-anchor="{anchor}" {text}>{count}: {seconds:.2f} s</text>'
        )
    line = " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
        "<title>Processor seconds of a preview, by the number of resources</title>"
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
        f'<path d="M{LEFT} 16V{HEIGHT - BELOW}H{WIDTH - 16}" fill="none" stroke="#57606a"/>'
        f'<polyline points="{line}" fill="none" stroke="#0969da" stroke-width="2"/>{marks}'
        f'<text x="{WIDTH // 2}" y="{HEIGHT - 14}" text-anchor="middle" {text}>resources</text>'
        f'<text x="16" y="{HEIGHT // 2}" transform="rotate(-90 16 {HEIGHT // 2})" text-anchor="middle" {text}>'
        "processor seconds</text></svg>\n",
        encoding="utf-8",
    )
