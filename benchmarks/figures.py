"""From runs to figures: medians with their spread, rates, ratios within a round, and fitted curves."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.rounds import Run


@dataclass(frozen=True)
class Figure:
    """The median of some values, with the smallest and the largest of them and their number."""

    median: float
    low: float
    high: float
    count: int


def figure(values: Iterable[float]) -> Figure | None:
    """Return the median and the spread, None of no values."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    return Figure(median(known), min(known), max(known), len(known)) if known else None


def select(runs: Iterable[Run], **wanted: object) -> list[Run]:
    """Return the runs that have these values: ``select(runs, contender="ours", rows=1000)``."""
    return [run for run in runs if all(run[key] == value for key, value in wanted.items())]


def by_round(runs: Iterable[Run], key: str) -> dict[int, float]:
    """Return a figure of each round."""
    return {run["round"]: run[key] for run in runs if run[key] is not None}


def rates(runs: Sequence[Run], rows: int, base: int) -> dict[int, float]:
    """Return rows a second in each round: ``rows`` over the time that they take more than ``base`` rows do.

    Args: runs: of one contender on one case.  Returns: round -> rows a second; rounds without both are left out,
    and so are those where noise made the larger file the faster one.
    """
    long, short = (by_round(select(runs, rows=size), "wall_s") for size in (rows, base))
    longer = {number: time - short.get(number, math.inf) for number, time in long.items()}
    return {number: rows / time for number, time in longer.items() if time > 0}


def ratios(ours: dict[int, float], theirs: dict[int, float]) -> Figure | None:
    """Return ours over theirs, taken within each round and only then summarised."""
    return figure(ours[number] / theirs[number] for number in sorted(ours.keys() & theirs.keys()))


def largest(runs: Iterable[Run]) -> int:
    """Return the number of rows of the largest file."""
    return max(run["rows"] for run in runs)


def slope(points: Sequence[tuple[float, float]], transform: Callable[[float], float] = float) -> float:
    """Fit a line through points by least squares and return its slope.

    Args: transform: applied to both coordinates first; ``math.log`` gives the exponent of a power law.
    """
    xs, ys = ([transform(point[axis]) for point in points] for axis in (0, 1))
    middle_x, middle_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - middle_x) ** 2 for x in xs)
    return sum((x - middle_x) * (y - middle_y) for x, y in zip(xs, ys, strict=True)) / spread
