"""Two results beside each other: whether each ratio that both show is the same within the intervals that both print.

The intervals of both, see ``figures.py``, must overlap. Of two calls of four rounds each that measure the same thing,
they miss each other by chance alone once in about 200 times, and more often if a whole call fell into a bad hour.
A ratio that either took only once has no interval to judge by.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks import suites
from benchmarks.figures import Figure
from benchmarks.show import spread

# Suite, table, row and column.
Place = tuple[str, str, str, str]
Results = dict[str, Any]


@dataclass(frozen=True)
class Pair:
    """One ratio in two results."""

    place: Place
    first: Figure
    second: Figure
    text: Callable[[float], str]

    @property
    def judged(self) -> bool:
        """Whether both have an interval."""
        return min(self.first.count, self.second.count) > 1

    @property
    def agrees(self) -> bool:
        """Whether the intervals overlap."""
        return max(self.first.low, self.second.low) <= min(self.first.high, self.second.high)

    @property
    def medians_within(self) -> int:
        """How many of the two medians lie within the other's interval."""
        one, other = self.first, self.second
        return (other.low <= one.median <= other.high) + (one.low <= other.median <= one.high)

    def __str__(self) -> str:
        verdict = ("agrees" if self.agrees else "DISAGREES") if self.judged else "once"
        figures = " and ".join(spread(one, self.text) for one in (self.first, self.second))
        return f"{verdict:<9}  {figures}: {'; '.join(self.place)}"


def pairs(first: Results, second: Results) -> list[Pair]:
    """Pair the ratios that both results show, in the order of the first."""
    mine, others = ratios_of(first), ratios_of(second)
    return [Pair(place, one, others[place][0], text) for place, (one, text) in mine.items() if place in others]


def summary(found: list[Pair]) -> str:
    """Count, in one line."""
    judged = [pair for pair in found if pair.judged]
    agreeing = sum(pair.agrees for pair in judged)
    within = sum(pair.medians_within for pair in judged)
    once = f"; {len(found) - len(judged)} taken only once are not judged" if len(judged) < len(found) else ""
    return (
        f"{agreeing} of {len(judged)} ratios agree; {within} of {2 * len(judged)} medians lie in the other's interval"
        f"{once}"
    )


def agree(found: list[Pair]) -> bool:
    """Tell whether there is something to judge, and none of it disagrees."""
    judged = [pair for pair in found if pair.judged]
    return bool(judged) and all(pair.agrees for pair in judged)


def alone(first: Results, second: Results) -> list[Place]:
    """Return the places of the ratios that only one of the results shows."""
    return sorted(ratios_of(first).keys() ^ ratios_of(second).keys())


def ratios_of(results: Results) -> dict[Place, tuple[Figure, Callable[[float], str]]]:
    """Return every ratio of every table, and how it is told, save those of something to itself: always 1."""
    return {
        (name, table.heading, row, column): (ratio.figure, ratio.text)
        for name in suites.NAMES
        if name in results["suites"]
        for table in suites.load(name).show(results["suites"][name]).tables
        for row, column, ratio in table.ratios()
        if ratio.figure and not ratio.figure.low == ratio.figure.high == 1.0
    }
