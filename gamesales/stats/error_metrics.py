"""Error metrics with confidence intervals, and whether an error changed.

A title may be predicted on many dates. Its errors are alike, so intervals that treat its rows as independent are far
too narrow. The intervals here are cluster-robust, with titles as clusters and the correction G/(G−1) for G titles
(Liang and Zeger, *Biometrika* 73, 1986; Cameron and Miller, *Journal of Human Resources* 50, 2015).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.stats.clustered import MIN_TITLES, Z_95, compute_influences, wilson_interval
from gamesales.stats.error_sums import Moments, TitleSums

# Relative differences up to this size are rounding errors of sums.
_ROUNDING = 1e-9

Change = Literal["up", "down", "within chance", "too few titles"]


@dataclass(frozen=True)
class ErrorMetrics:
    """Error metrics of predictions, in the unit of the target. A metric that can't be computed is None.

    ``…_low`` and ``…_high`` bound a 95% confidence interval.

    Attributes:
        rows: the number of predictions.
        titles: the number of distinct titles.
        bias: the mean of predicted minus actual.
        mape_percent: the mean relative error, in percent, of the ``rows_with_earnings``.
        rows_with_earnings: the predictions of titles that earned more than 0.
        rows_with_interval: the predictions with a prediction interval.
        coverage: the share of the ``rows_with_interval`` whose interval contains the actual earnings.
        outside_share: the share of the rows outside the training range.
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
class MetricChange:
    """A metric before and after, and the 95% confidence interval of the difference.

    ``difference_low`` and ``difference_high`` are None if there are too few titles.
    """

    value_before: float
    value_after: float
    value_difference: float
    difference_low: float | None
    difference_high: float | None
    change: Change


def compute_error_metrics(sums: TitleSums) -> ErrorMetrics:
    """Compute the error metrics of all predictions that were added to the sums."""
    totals, titles = sums.totals, sums.titles
    errors, absolute, rows = totals.errors, totals.inside + totals.outside, totals.errors.rows
    mean_square = errors.squares / rows + errors.mean**2 if rows else None
    coverage = totals.covered / totals.with_interval if totals.with_interval else None
    mae_low, mae_high = _compute_interval(absolute.mean, sums.absolute_errors, sums.rows)
    bias_low, bias_high = _compute_interval(errors.mean, sums.errors, sums.rows)
    coverage_low, coverage_high = (None, None) if coverage is None else wilson_interval(coverage, titles)
    return ErrorMetrics(
        rows=rows,
        titles=titles,
        mae=absolute.mean_or_none,
        mae_low=None if mae_low is None else max(mae_low, 0.0),
        mae_high=mae_high,
        rmse=None if mean_square is None else math.sqrt(mean_square),
        bias=errors.mean_or_none,
        bias_low=bias_low,
        bias_high=bias_high,
        mape_percent=None if totals.relative.mean_or_none is None else 100 * totals.relative.mean,
        rows_with_earnings=totals.relative.rows,
        r2=None if mean_square is None else _compute_r2(mean_square, totals.actual),
        rows_with_interval=totals.with_interval,
        coverage=coverage,
        coverage_low=coverage_low,
        coverage_high=coverage_high,
        outside_share=totals.outside.rows / rows if rows else None,
        mae_inside=totals.inside.mean_or_none,
        mae_outside=totals.outside.mean_or_none,
    )


def compare_mae(older: TitleSums, newer: TitleSums) -> MetricChange | None:
    """Compare the mean absolute errors of older and newer predictions. None if one of them has no predictions."""
    return _compare_means((older.absolute_errors, older.rows), (newer.absolute_errors, newer.rows))


def compare_bias(older: TitleSums, newer: TitleSums) -> MetricChange | None:
    """Compare the bias of older and newer predictions. None if one of them has no predictions."""
    return _compare_means((older.errors, older.rows), (newer.errors, newer.rows))


def compare_with_holdout(newest: TitleSums, rows: int, holdout: Mapping[str, float | None]) -> MetricChange | None:
    """Compare the mean absolute error of predictions with the error on a holdout, of which only metrics are recorded.

    The variance of absolute errors is RMSE² − MAE², so the uncertainty on the holdout follows from its metrics.

    Args:
        newest: the sums of the predictions.
        rows: the rows of the holdout.
        holdout: the metrics ``mae`` and ``rmse`` of the holdout.

    Returns:
        The change from the holdout to the predictions. None if there is nothing to compare.
    """
    before, rmse = holdout.get("mae"), holdout.get("rmse")
    if not newest.titles or before is None or rmse is None or not rows:
        return None
    newest_error = _compute_standard_error(compute_influences(newest.absolute_errors, newest.rows), newest.titles)
    holdout_error = math.sqrt(max(rmse**2 - before**2, 0.0) / rows)
    enough = newest_error is not None and rows >= MIN_TITLES
    standard_error = math.hypot(newest_error or 0.0, holdout_error) if enough else None
    return _describe_change(before, _compute_mean(newest.absolute_errors, newest.rows), standard_error)


def _compare_means(older: tuple[FloatArray, FloatArray], newer: tuple[FloatArray, FloatArray]) -> MetricChange | None:
    """Compare two means. Each argument has the sums and the rows of each title."""
    if not older[1].any() or not newer[1].any():
        return None
    # Errors of a title in both periods are correlated: its influence on the difference is the difference of influences.
    influences = compute_influences(*newer) - compute_influences(*older)
    enough = min(np.count_nonzero(rows) for _, rows in (older, newer)) >= MIN_TITLES
    titles = int(np.count_nonzero(older[1] + newer[1]))
    standard_error = _compute_standard_error(influences, titles) if enough else None
    return _describe_change(_compute_mean(*older), _compute_mean(*newer), standard_error)


def _describe_change(before: float, after: float, standard_error: float | None) -> MetricChange:
    difference = after - before
    low, high = _compute_bounds(difference, standard_error)
    if low is None or high is None:
        return MetricChange(before, after, difference, None, None, "too few titles")
    same = abs(difference) <= _ROUNDING * max(abs(before), abs(after)) or low <= 0 <= high
    change: Change = "within chance" if same else "up" if low > 0 else "down"
    return MetricChange(before, after, difference, low, high, change)


def _compute_interval(mean: float, sums: FloatArray, rows: FloatArray) -> tuple[float | None, float | None]:
    titles = int(np.count_nonzero(rows))
    if not titles:
        return None, None
    return _compute_bounds(mean, _compute_standard_error(compute_influences(sums, rows), titles))


def _compute_standard_error(influences: FloatArray, titles: int) -> float | None:
    """Compute the standard error of a mean from the influences of its titles. None if there are too few titles.

    ``clustered.clustered_ratio`` rounds the last bits differently. Results of both are stored, so both stay.
    """
    if titles < MIN_TITLES:
        return None
    return math.sqrt(float((influences**2).sum()) * titles / (titles - 1))


def _compute_bounds(value: float, standard_error: float | None) -> tuple[float | None, float | None]:
    return (None, None) if standard_error is None else (value - Z_95 * standard_error, value + Z_95 * standard_error)


def _compute_mean(sums: FloatArray, rows: FloatArray) -> float:
    return float(sums.sum() / rows.sum())


def _compute_r2(mean_square: float, actual: Moments) -> float | None:
    # The variance of equal numbers may be a rounding error instead of 0.
    return 1 - mean_square * actual.rows / actual.squares if actual.lowest < actual.highest else None
