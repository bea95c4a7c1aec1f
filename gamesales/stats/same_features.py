"""Noise that no model can predict, estimated from titles with the same features.

A model gives titles with the same features the same prediction. The differences between their earnings are therefore
errors of any model of these features. Draper and Smith, *Applied Regression Analysis*, Wiley 1998, chapter 2, call
their variance the pure error, and test the lack of fit of a model with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gamesales.arrays import FloatArray, IntArray
from gamesales.stats.clustered import Estimate, clustered_ratio

# The degrees of freedom below which an estimate of the noise is too uncertain.
_MIN_DEGREES = 20


@dataclass(frozen=True)
class NoiseEstimate:
    """The noise, and a test of whether a model has more error than noise.

    Attributes:
        titles: the titles that share their features with another title.
        degrees: the degrees of freedom of ``variance``.
        variance: the pure error, in the squared unit of earnings. It is a lower bound of the expected mean squared
            error of any model of these features.
        f: the F statistic of the lack of fit, about 1 for a model without fault. None if there are too few titles.
        p: the probability of such an ``f`` or a larger one for a model without fault. None if ``f`` is None.
    """

    titles: int
    degrees: int
    variance: Estimate
    f: float | None
    p: float | None


def number_distinct_rows(*tables: FloatArray) -> list[IntArray]:
    """Number distinct rows. Rows with equal values have the same number, also across tables.

    Args:
        *tables: float64 (n, k) each, with the same columns. Missing cells, which are NaN, are equal.

    Returns:
        int64 (n,) for each table, counted from 0.
    """
    numbers = np.zeros(sum(map(len, tables)), np.int64)
    for column in range(tables[0].shape[1]):
        _, value = np.unique(np.concatenate([table[:, column] for table in tables]), return_inverse=True)
        # Below n²: at most n numbers and n values. int64 holds that, and np.unique brings the numbers below n again.
        _, numbers = np.unique(numbers * (int(value.max(initial=0)) + 1) + value.reshape(-1), return_inverse=True)
    return np.split(numbers.reshape(-1), np.cumsum([len(table) for table in tables])[:-1])


def estimate_noise(
    labels: tuple[IntArray, IntArray],
    earnings: tuple[FloatArray, FloatArray],
    predicted: FloatArray,
    scale: FloatArray,
) -> NoiseEstimate | None:
    """Estimate the noise, and test whether the errors of a model exceed it.

    Args:
        labels: int64 (n,) of the training titles and int64 (m,) of the test titles. Titles with the same features have
            the same number.
        earnings: float64 (n,) and (m,).
        predicted: float64 (m,), the predictions for the test titles.
        scale: float64 (n + m,), the usual size of an error, equal for titles with the same features. Errors are divided
            by it for the test. Otherwise the larger errors of expensive titles would fail any model.

    Returns:
        None if too few titles share their features.
    """
    all_labels, all_earnings = np.concatenate(labels), np.concatenate(earnings)
    variance, rows = estimate_pure_error(all_labels, all_earnings), np.bincount(all_labels)
    if variance is None:
        return None
    f, p = _test_lack_of_fit(labels, earnings, predicted, scale)
    return NoiseEstimate(int(rows[rows > 1].sum()), _count_degrees(all_labels), variance, f, p)


def estimate_pure_error(labels: IntArray, earnings: FloatArray) -> Estimate | None:
    """Estimate the variance of earnings among titles with the same features.

    Args:
        labels: int64 (n,); titles with the same features have the same number.
        earnings: float64 (n,).

    Returns:
        The variance, in the squared unit of earnings. None if too few titles share their features.
    """
    if _count_degrees(labels) < _MIN_DEGREES:
        return None
    rows = np.bincount(labels)
    repeated = rows > 1
    return clustered_ratio(_sum_squares(labels, earnings)[repeated], (rows[repeated] - 1).astype(np.float64))


def _test_lack_of_fit(
    labels: tuple[IntArray, IntArray],
    earnings: tuple[FloatArray, FloatArray],
    predicted: FloatArray,
    scale: FloatArray,
) -> tuple[float | None, float | None]:
    """Compare the mean errors of groups of test titles with the noise within groups. Return F and its p-value."""
    from scipy import special

    training = len(labels[0])
    error = (predicted - earnings[1]) / scale[training:]
    pure_error = _sum_squares(labels[0], earnings[0] / scale[:training]).sum() + _sum_squares(labels[1], error).sum()
    degrees = _count_degrees(labels[0]) + _count_degrees(labels[1])
    rows = np.bincount(labels[1])
    sums = np.bincount(labels[1], error)
    used = rows > 0
    if degrees < _MIN_DEGREES or pure_error <= 0:
        return None, None
    f = float((sums[used] ** 2 / rows[used]).mean() / (pure_error / degrees))
    return f, float(special.fdtrc(int(used.sum()), degrees, f))


def _count_degrees(labels: IntArray) -> int:
    """Count the degrees of freedom: rows minus groups."""
    return len(labels) - int(np.count_nonzero(np.bincount(labels)))


def _sum_squares(labels: IntArray, values: FloatArray) -> FloatArray:
    """Sum the squared deviations from the mean of each group."""
    mean = np.bincount(labels, values) / np.maximum(np.bincount(labels), 1)
    return np.asarray(np.bincount(labels, (values - mean[labels]) ** 2), np.float64)
