"""From runs to figures: medians with their spread, rates, ratios within a round, and fitted curves.

What was measured in one unit has as its spread the smallest and the largest of all rounds. A ratio is a claim, so it
has an interval in which the true one lies nineteen times in twenty, as Student (1908) gives it for the mean of few
values; of their logarithms, because 2 and 1/2 are equally far from 1. Few rounds make it wide, as they should: the
smallest and the largest of four hold the true ratio only seven times in eight.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import mean, median, stdev

from benchmarks.rounds import Run

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Figure:
    """The median of some values, with its spread from ``low`` to ``high`` and their number."""

    median: float
    low: float
    high: float
    count: int


def figure(values: Iterable[float]) -> Figure | None:
    """Return the median with the smallest and the largest value, None of no values."""
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
    """Return ours over theirs, taken within each round and only then summarised, with the interval of the true one."""
    return with_interval([ours[number] / theirs[number] for number in sorted(ours.keys() & theirs.keys())])


def with_interval(values: Sequence[float]) -> Figure | None:
    """Return the median of values with the interval of their mean on a log scale, None of no values.

    What is not finite, or not above 0, is left out.
    """
    known = [value for value in values if math.isfinite(value) and value > 0]
    plain = figure(known)
    if plain is None or plain.count == 1:
        return plain
    from scipy.special import stdtrit

    logs = [math.log(value) for value in known]
    half = float(stdtrit(len(logs) - 1, (1 + CONFIDENCE) / 2)) * stdev(logs) / math.sqrt(len(logs))
    low, high = math.exp(mean(logs) - half), math.exp(mean(logs) + half)
    # Of many rounds with several far off to one side, the mean's interval may end short of the median.
    return Figure(plain.median, min(low, plain.median), max(high, plain.median), plain.count)


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
