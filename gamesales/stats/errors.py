"""How far off predictions were, how surely that is known, and whether it changed.

A title that was predicted on many dates is one title: its errors are alike, and counting each as news would make
intervals far too narrow. So they are taken title by title (cluster-robust, with the correction G/(G−1) for G titles:
Liang and Zeger, *Biometrika* 73, 1986; Cameron and Miller, *Journal of Human Resources* 50, 2015).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.stats.error_sums import Gathered, Moments

# 97.5 % point of the normal distribution, for a two-sided 95 % interval.
_Z = 1.959964
# Fewer titles than this say too little for that approximation of an interval.
FEWEST_TITLES = 30
# Differences this small, relatively, are roundings of sums.
_ROUNDING = 1e-9

Change = Literal["up", "down", "within chance", "too few titles"]


@dataclass(frozen=True)
class Figures:
    """How far off some predictions were; a figure that can't be told is None. ``low`` and ``high`` bound 95 %.

    ``bias`` is the mean of predicted minus actual. ``mape_percent`` is over the ``rows_with_earnings`` whose titles
    earned more than 0. ``coverage`` is the share of the ``rows_with_interval`` whose bounds held what was earned;
    ``outside_share`` that of the rows outside the range of training, with the average error inside and outside of it.
    """

    rows: int
    titles: int
    mae: float | None
    mae_low: float | None
    mae_high: float | None
    rmse: float | None
    bias: float | None
    bias_low: float | None
    bias_high: float | None
    mape_percent: float | None
    rows_with_earnings: int
    r2: float | None
    rows_with_interval: int
    coverage: float | None
    coverage_low: float | None
    coverage_high: float | None
    outside_share: float | None
    mae_inside: float | None
    mae_outside: float | None


@dataclass(frozen=True)
class Shift:
    """A figure before and after, and between which bounds the difference lies, 95 % sure; None: too few titles."""

    value_before: float
    value_after: float
    value_difference: float
    difference_low: float | None
    difference_high: float | None
    change: Change


def figures(gathered: Gathered) -> Figures:
    """Work out the figures of what was added up."""
    tally, titles = gathered.tally, gathered.titles
    errors, sizes, rows = tally.errors, tally.inside + tally.outside, tally.errors.rows
    squared = errors.squares / rows + errors.mean**2 if rows else None
    coverage = tally.covered / tally.bounded if tally.bounded else None
    mae_low, mae_high = _interval(sizes.mean, gathered.sizes, gathered.rows)
    bias_low, bias_high = _interval(errors.mean, gathered.errors, gathered.rows)
    coverage_low, coverage_high = (None, None) if coverage is None else wilson(coverage, titles)
    return Figures(
        rows=rows,
        titles=titles,
        mae=sizes.mean_or_none,
        mae_low=None if mae_low is None else max(mae_low, 0.0),
        mae_high=mae_high,
        rmse=None if squared is None else math.sqrt(squared),
        bias=errors.mean_or_none,
        bias_low=bias_low,
        bias_high=bias_high,
        mape_percent=None if tally.shares.mean_or_none is None else 100 * tally.shares.mean,
        rows_with_earnings=tally.shares.rows,
        r2=None if squared is None else _r2(squared, tally.actual),
        rows_with_interval=tally.bounded,
        coverage=coverage,
        coverage_low=coverage_low,
        coverage_high=coverage_high,
        outside_share=tally.outside.rows / rows if rows else None,
        mae_inside=tally.inside.mean_or_none,
        mae_outside=tally.outside.mean_or_none,
    )


def _interval(mean: float, sums: FloatArray, rows: FloatArray) -> tuple[float | None, float | None]:
    titles = int(np.count_nonzero(rows))
    return _bounds(mean, _deviation(_influence(sums, rows), titles)) if titles else (None, None)


def _r2(squared: float, actual: Moments) -> float | None:
    # The variance of equal numbers may be a rounding error.
    return 1 - squared * actual.rows / actual.squares if actual.lowest < actual.highest else None


def wilson(share: float, rows: float) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson, *Journal of the American Statistical Association* 22, 1927).

    Recommended by Brown, Cai and DasGupta, "Interval estimation for a binomial proportion", Statistical Science, 2001.
    Of titles that come several times it is given the titles, not the rows: a bound on how much they can say.
    """
    middle = (share + _Z**2 / (2 * rows)) / (1 + _Z**2 / rows)
    half = _Z * math.sqrt(share * (1 - share) / rows + _Z**2 / (4 * rows**2)) / (1 + _Z**2 / rows)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def error_shift(older: Gathered, newer: Gathered) -> Shift | None:
    """Tell how the average error changed from older to newer predictions; None where one of them has none."""
    return _shift((older.sizes, older.rows), (newer.sizes, newer.rows))


def bias_shift(older: Gathered, newer: Gathered) -> Shift | None:
    """Tell how the bias changed from older to newer predictions; None where one of them has none."""
    return _shift((older.errors, older.rows), (newer.errors, newer.rows))


def against_holdout(newest: Gathered, rows: int, holdout: Mapping[str, float | None]) -> Shift | None:
    """Compare the average error of predictions with that on other titles, of which only the figures are known.

    The sizes of errors have variance RMSE² − MAE², so that the holdout's own uncertainty follows from its figures.

    Args: rows: of the holdout. holdout: its ``mae`` and ``rmse``.
    Returns: None where there is nothing to compare.
    """
    before, spread = holdout.get("mae"), holdout.get("rmse")
    if not newest.titles or before is None or spread is None or not rows:
        return None
    ours = _deviation(_influence(newest.sizes, newest.rows), newest.titles)
    its_own = math.sqrt(max(spread**2 - before**2, 0.0) / rows)
    known = ours is not None and rows >= FEWEST_TITLES
    return _judged(before, _ratio(newest.sizes, newest.rows), math.hypot(ours or 0.0, its_own) if known else None)


def _shift(older: tuple[FloatArray, FloatArray], newer: tuple[FloatArray, FloatArray]) -> Shift | None:
    if not older[1].any() or not newer[1].any():
        return None
    # A title that is in both weighs by what it changed.
    influence = _influence(*newer) - _influence(*older)
    enough = min(np.count_nonzero(rows) for _, rows in (older, newer)) >= FEWEST_TITLES
    deviation = _deviation(influence, int(np.count_nonzero(older[1] + newer[1]))) if enough else None
    return _judged(_ratio(*older), _ratio(*newer), deviation)


def _judged(before: float, after: float, deviation: float | None) -> Shift:
    difference = after - before
    low, high = _bounds(difference, deviation)
    if low is None or high is None:
        return Shift(before, after, difference, None, None, "too few titles")
    still = abs(difference) <= _ROUNDING * max(abs(before), abs(after)) or low <= 0 <= high
    return Shift(before, after, difference, low, high, "within chance" if still else "up" if low > 0 else "down")


def _ratio(sums: FloatArray, rows: FloatArray) -> float:
    return float(sums.sum() / rows.sum())


def _influence(sums: FloatArray, rows: FloatArray) -> FloatArray:
    """Return how far each title pulls the mean Σ sums / Σ rows; float64 (titles,), 0 for those that never came."""
    influence: FloatArray = (sums - _ratio(sums, rows) * rows) / rows.sum()
    return influence


def _deviation(influence: FloatArray, titles: int) -> float | None:
    """Return the standard deviation of a mean from its titles' influences; None for too few titles."""
    if titles < FEWEST_TITLES:
        return None
    return math.sqrt(float((influence**2).sum()) * titles / (titles - 1))


def _bounds(value: float, deviation: float | None) -> tuple[float | None, float | None]:
    return (None, None) if deviation is None else (value - _Z * deviation, value + _Z * deviation)
