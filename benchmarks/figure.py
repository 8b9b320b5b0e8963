"""A figure: what was measured over what it is compared with, a floor that does the same without this project's code."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Ratios of one run, in which the measured and the floor took turns."""

    name: str
    """What was measured."""
    floor: str
    """What it is compared with."""
    unit: str
    """The unit of both."""
    most: float
    """The bound of the ratio; above it `make bench` fails."""
    pairs: Sequence[tuple[float, float]]
    """The measured and the floor, in the order in which they were taken."""

    @cached_property
    def ratios(self) -> list[float]:
        """The ratio of each pair, rising."""
        return sorted(measured / floor for measured, floor in self.pairs)

    @property
    def ratio(self) -> float:
        """The median of the ratios."""
        return statistics.median(self.ratios)

    @property
    def holds(self) -> bool:
        """Whether the ratio keeps its bound."""
        return self.ratio <= self.most

    def medians(self) -> tuple[float, float]:
        """The median of the measured and that of the floor."""
        measured, floor = zip(*self.pairs, strict=True)
        return statistics.median(measured), statistics.median(floor)


def in_turns(runs: int, measured: Callable[[], float], floor: Callable[[], float]) -> list[tuple[float, float]]:
    """Measure both by turns, after one turn that does not count."""
    measured()
    floor()
    return [(measured(), floor()) for _ in range(runs)]
