"""Residual analysis: the errors of groups of titles, and what errors depend on.

The errors of a model that learned everything that can be learned are noise, which depends on nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gamesales.arrays import BoolArray, FloatArray, IntArray
from gamesales.diagnostics.groups import Grouping
from gamesales.stats.clustered import Estimate, clustered_mean

# The probability that the report on a faultless model calls any group worse, or the correlation with any column clear.
_FALSE_POSITIVE_RATE = 0.01
# A smaller relative error is not worth reporting, however certain it is.
_MIN_RELATIVE_ERROR = 1.25
_FIFTH = 0.2


@dataclass(frozen=True)
class GroupErrors:
    """The errors of one group of titles.

    Attributes:
        mae: the mean absolute error with its 95% confidence interval.
        bias: the mean error with its 95% confidence interval.
        relative_error: the mean error in units of the typical error for the predicted amount, divided by that of the
            other titles. None if there are no other titles or they have no errors.
        is_worse: whether ``relative_error`` is both significant and large enough to matter.
        interval_coverage: the share of titles that earned an amount within their prediction interval. None without
            intervals.
    """

    grouping: str
    label: str
    rows: int
    mae: Estimate
    bias: Estimate
    relative_error: float | None
    is_worse: bool
    interval_coverage: float | None


def measure_groups(
    groupings: Sequence[Grouping],
    errors: FloatArray,
    typical_errors: FloatArray,
    clusters: IntArray,
    within_interval: BoolArray | None = None,
) -> list[GroupErrors]:
    """Measure the errors of every group of titles.

    Args:
        groupings: how to divide the titles. No group is empty.
        errors: float64 (n,), predicted minus actual.
        typical_errors: float64 (n,), above 0, the typical absolute error for each title's predicted amount.
        clusters: int64 (n,), equal for titles with the same features.
        within_interval: bool (n,), whether a title's earnings lie within its prediction interval.
    """
    sizes = np.abs(errors)
    tests = sum(len(grouping.labels) for grouping in groupings)
    measured = []
    for grouping in groupings:
        for number, label in enumerate(grouping.labels):
            rows = grouping.group_of == number
            relative_error, is_worse = _compare_with_rest(sizes / typical_errors, rows, clusters, tests)
            coverage = None if within_interval is None else float(within_interval[rows].mean())
            mae, bias = (clustered_mean(values[rows], clusters[rows]) for values in (sizes, errors))
            measured.append(
                GroupErrors(grouping.name, label, int(rows.sum()), mae, bias, relative_error, is_worse, coverage)
            )
    return measured


def _compare_with_rest(
    relative: FloatArray, rows: BoolArray, clusters: IntArray, tests: int
) -> tuple[float | None, bool]:
    """Return ``relative_error`` and ``is_worse`` of a group, at a significance level for this number of tests."""
    if rows.all():
        return None, False
    alpha = 2 * _FALSE_POSITIVE_RATE / tests  # the test is one-sided
    group, rest = (clustered_mean(relative[part], clusters[part], alpha) for part in (rows, ~rows))
    if rest.value <= 0:
        return None, False
    relative_error = group.value / rest.value
    if group.low is None or rest.high is None:
        return relative_error, False
    margin = float(np.hypot(group.value - group.low, rest.high - rest.value))
    return relative_error, relative_error >= _MIN_RELATIVE_ERROR and group.value - rest.value > margin


@dataclass(frozen=True)
class Correlation:
    """A correlation coefficient of the errors with a column, or with the row before.

    ``is_clear`` is whether it is significantly different from 0.
    """

    correlated_with: str
    value: float
    is_clear: bool


@dataclass(frozen=True)
class Residuals:
    """Statistics of the errors, predicted minus actual.

    ``bias`` is the mean error with its 95% confidence interval. The fifths of the titles by their predictions have mean
    absolute errors. ``columns`` and ``order`` are correlations of relative errors.
    """

    bias: Estimate
    lowest_fifth: float
    highest_fifth: float
    columns: tuple[Correlation, ...]
    order: Correlation


def measure_residuals(
    names: Sequence[str],
    features: FloatArray,
    errors: FloatArray,
    predicted: FloatArray,
    typical_errors: FloatArray,
    clusters: IntArray,
) -> Residuals:
    """Measure what errors depend on, for n titles in the order of the file. See ``measure_groups``."""
    order = np.argsort(predicted, kind="stable")
    fifth = max(1, math.ceil(len(order) * _FIFTH))
    sizes, relative = np.abs(errors), errors / typical_errors
    return Residuals(
        clustered_mean(errors, clusters),
        float(sizes[order[:fifth]].mean()),
        float(sizes[order[-fifth:]].mean()),
        tuple(
            _correlate(name, column, relative, clusters, _FALSE_POSITIVE_RATE / len(names))
            for name, column in zip(names, features.T, strict=True)
        ),
        _correlate("the row before", relative[:-1], relative[1:], np.arange(len(relative) - 1), _FALSE_POSITIVE_RATE),
    )


def _renumber(clusters: IntArray) -> IntArray:
    """Number clusters from 0 without gaps, (n,)."""
    numbers: IntArray = np.unique(clusters, return_inverse=True)[1].reshape(-1)
    return numbers


def _correlate(
    correlated_with: str, column: FloatArray, errors: FloatArray, clusters: IntArray, alpha: float
) -> Correlation:
    missing = np.isnan(column)
    if missing.any():
        column, errors, clusters = column[~missing], errors[~missing], _renumber(clusters[~missing])
    if len(errors) < 2 or not column.std() or not errors.std():
        return Correlation(correlated_with, 0.0, is_clear=False)
    products = (column - column.mean()) / column.std() * (errors - errors.mean()) / errors.std()
    estimate = clustered_mean(products, clusters, alpha)
    is_clear = estimate.low is not None and estimate.high is not None and not estimate.low <= 0 <= estimate.high
    return Correlation(correlated_with, estimate.value, is_clear)
