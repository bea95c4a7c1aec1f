"""Residual analysis: whether errors are biased, grow with the prediction, or depend on a column or on the row order.

The errors of a model that learned everything that can be learned are noise, which depends on nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gamesales.arrays import FloatArray, IntArray
from gamesales.stats.clustered import Estimate, clustered_mean

# The probability that the report on a faultless model calls the correlation with any column clear.
_FALSE_POSITIVE_RATE = 0.01
_FIFTH = 0.2


@dataclass(frozen=True)
class Correlation:
    """A correlation coefficient of the errors, from -1 to 1.

    Attributes:
        of: the column, or the error of the row before.
        value: the coefficient.
        is_clear: whether it is significantly different from 0.
    """

    of: str
    value: float
    is_clear: bool


@dataclass(frozen=True)
class Residuals:
    """Statistics of the errors, predicted minus actual.

    Attributes:
        bias: the mean error with its 95% confidence interval.
        lowest_fifth: the mean absolute error of the fifth of the titles with the lowest predictions.
        highest_fifth: the mean absolute error of the fifth of the titles with the highest predictions.
        columns: the correlation of relative errors with each column.
        order: the correlation of relative errors with the relative error of the row before.
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
    """Measure what errors depend on.

    Args:
        names: the names of the k columns.
        features: (n, k), in the order of the file.
        errors: float64 (n,), predicted minus actual.
        predicted: float64 (n,).
        typical_errors: float64 (n,), above 0, the typical absolute error for each title's predicted amount.
        clusters: int64 (n,), equal for titles with the same features.
    """
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


def _correlate(of: str, column: FloatArray, errors: FloatArray, clusters: IntArray, alpha: float) -> Correlation:
    if len(errors) < 2 or not column.std() or not errors.std():
        return Correlation(of, 0.0, is_clear=False)
    products = (column - column.mean()) / column.std() * (errors - errors.mean()) / errors.std()
    estimate = clustered_mean(products, clusters, alpha)
    is_clear = estimate.low is not None and estimate.high is not None and not estimate.low <= 0 <= estimate.high
    return Correlation(of, estimate.value, is_clear)
