"""The figures of a version's page: a few in large type, and the table that compares with the baselines."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.report.format import Metrics, finite, fraction, money, percent, scientific, signed_money

# 97.5 % point of the normal distribution, for a two-sided 95 % interval.
_Z = 1.96

# Fewer titles than this say too little for that approximation of an interval.
_ENOUGH_FOR_INTERVAL = 30


@dataclass(frozen=True)
class Highlight:
    """One large figure, what it is, and a remark."""

    label: str
    value: str
    remark: str


def highlights(actual: FloatArray, predicted: FloatArray, interval: Sequence[float] | None = None) -> list[Highlight]:
    """Sum up the errors in four figures that need no statistics to be understood.

    Args: interval: 95 % bounds of the average error, where they are known better than from these errors alone.
    """
    if not actual.size:
        return []
    errors = predicted - actual
    sizes = np.abs(errors)
    half, most = np.quantile(sizes, [0.5, 0.9])
    worst = int(np.argmax(sizes))
    lean = float(errors.mean())
    said, earned = money(float(predicted[worst])), money(float(actual[worst]))
    direction = "too high" if lean > 0 else "too low" if lean < 0 else "neither high nor low"
    return [
        Highlight("Off on average", money(float(sizes.mean())), _sure(*interval) if interval else _interval(sizes)),
        Highlight("Nine in ten within", money(float(most)), f"half of them within {money(float(half))}"),
        Highlight("Furthest off", money(float(sizes[worst])), f"said {said}, earned {earned}"),
        Highlight("Leans by", signed_money(lean), f"{direction}, all titles together"),
    ]


def _interval(sizes: FloatArray) -> str:
    """Give the 95 % interval of the average error, by the normal approximation."""
    if sizes.size < _ENOUGH_FOR_INTERVAL:
        return "too few titles to say how surely"
    margin = _Z * float(sizes.std(ddof=1)) / math.sqrt(sizes.size)
    low, high = float(sizes.mean()) - margin, float(sizes.mean()) + margin
    return _sure(max(low, 0.0), high)


def _sure(low: float, high: float) -> str:
    return f"95\u00a0% sure: {money(low)} to {money(high)}"


@dataclass(frozen=True)
class Column:
    """A figure that versions are compared by."""

    key: str
    heading: str
    name: str
    write: Callable[[float | None], str]
    best: Callable[[Sequence[float]], float]


COLUMNS = (
    Column("mae", "Average error", "MAE", money, min),
    Column("rmse", "Large errors count more", "RMSE", money, min),
    Column("mape_percent", "Share of earnings", "MAPE", percent, min),
    Column("r2", "Variance explained", "R²", fraction, max),
    Column("scaled_mse", "What training minimizes", "scaled MSE", scientific, min),
)


@dataclass(frozen=True)
class Cell:
    """A written figure, and whether nobody has a better one."""

    text: str
    best: bool


@dataclass(frozen=True)
class Row:
    """One line of the comparison; ``bar`` is its average error in percent of the largest."""

    who: str
    cells: Sequence[Cell]
    bar: float


def compare(metrics: Metrics) -> list[Row]:
    """Set the version against the baselines, best figures marked."""
    best = {column.key: _best(column, metrics) for column in COLUMNS}
    longest = max((mae for of in metrics.values() if finite(mae := of.get("mae"))), default=0.0)
    return [
        Row(who, [_cell(column, of, best[column.key]) for column in COLUMNS], _bar(of, longest))
        for who, of in metrics.items()
    ]


def _best(column: Column, metrics: Metrics) -> str | None:
    """Write the best figure of a column; figures that read the same are equally good."""
    figures = [value for of in metrics.values() if finite(value := of.get(column.key))]
    return column.write(column.best(figures)) if figures else None


def _cell(column: Column, figures: Mapping[str, float | None], best: str | None) -> Cell:
    text = column.write(figures.get(column.key))
    return Cell(text, best=text == best)


def _bar(figures: Mapping[str, float | None], longest: float) -> float:
    mae = figures.get("mae")
    return round(100 * mae / longest, 1) if finite(mae) and longest > 0 else 0.0
