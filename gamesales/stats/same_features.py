"""Titles with the same features, twins, and what they give away: the noise that no model can predict.

Twins get the same prediction, so what their earnings differ by is the error of any model that knows these features
alone: the pure error of Draper and Smith, *Applied Regression Analysis*, Wiley 1998, chapter 2, and beside it their
test of lack of fit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gamesales.arrays import FloatArray, IntArray
from gamesales.stats.clustered import Estimate, ratio

# Fewer differences between twins than these say nothing of use about noise.
_FEWEST_DIFFERENCES = 20


@dataclass(frozen=True)
class Noise:
    """What titles with the same features differ by.

    ``titles`` have a twin; ``variance`` is the pure error, in squared dollars: no model has a lower mean squared
    error, but by luck. ``f`` is the mean square of what test titles with the same features miss by together, in units
    of the noise: 1 for a model without fault, and ``p`` how often chance gives so much to one; None: too few twins.
    """

    titles: int
    degrees: int
    variance: Estimate
    f: float | None
    p: float | None


def label(*tables: FloatArray) -> list[IntArray]:
    """Number distinct rows: rows have the same number where all their values are equal, in one table or in several.

    Args: tables: (n, k) each, of the same columns, finite.  Returns: int64 (n,) for each, from 0.
    """
    numbers = np.zeros(sum(map(len, tables)), np.int64)
    for column in range(tables[0].shape[1]):
        _, value = np.unique(np.concatenate([table[:, column] for table in tables]), return_inverse=True)
        # Of at most n numbers and n values: below n², which int64 holds, and below n again after this.
        _, numbers = np.unique(numbers * (int(value.max(initial=0)) + 1) + value.reshape(-1), return_inverse=True)
    return np.split(numbers.reshape(-1), np.cumsum([len(table) for table in tables])[:-1])


def noise(
    labels: tuple[IntArray, IntArray],
    earnings: tuple[FloatArray, FloatArray],
    predicted: FloatArray,
    scale: FloatArray,
) -> Noise | None:
    """Estimate the noise from twins, and test whether a model's errors hold more than noise.

    Args:
        labels: of the training and of the test titles, int64 (n,) and (m,): the same where features are.
        earnings: (n,) and (m,).
        predicted: (m,), what the model says of the test titles.
        scale: how large errors are as a rule, US dollars, (n + m,), alike for twins. Where dear titles miss by more
            dollars, an F test of dollars would find fault with any model.

    Returns: None where there are too few twins.
    """
    both, earned = np.concatenate(labels), np.concatenate(earnings)
    variance, rows = pure_error(both, earned), np.bincount(both)
    if variance is None:
        return None
    f, p = _lack_of_fit(labels, earnings, predicted, scale)
    return Noise(int(rows[rows > 1].sum()), _degrees(both), variance, f, p)


def pure_error(labels: IntArray, earnings: FloatArray) -> Estimate | None:
    """Return the variance of earnings within titles with the same features, squared dollars; None: too few twins.

    Args: labels: int64 (n,), alike for titles with the same features; earnings: (n,).
    """
    if _degrees(labels) < _FEWEST_DIFFERENCES:
        return None
    rows = np.bincount(labels)
    known = rows > 1
    return ratio(_within(labels, earnings)[known], (rows[known] - 1).astype(np.float64))


def _lack_of_fit(
    labels: tuple[IntArray, IntArray],
    earnings: tuple[FloatArray, FloatArray],
    predicted: FloatArray,
    scale: FloatArray,
) -> tuple[float | None, float | None]:
    """Compare twins' mean errors on the test titles with the noise inside of twins of either file."""
    from scipy import special

    training = len(labels[0])
    error = (predicted - earnings[1]) / scale[training:]
    pure = _within(labels[0], earnings[0] / scale[:training]).sum() + _within(labels[1], error).sum()
    degrees = _degrees(labels[0]) + _degrees(labels[1])
    rows = np.bincount(labels[1])
    sums = np.bincount(labels[1], error)
    kinds = rows > 0
    if degrees < _FEWEST_DIFFERENCES or pure <= 0:
        return None, None
    f = float((sums[kinds] ** 2 / rows[kinds]).mean() / (pure / degrees))
    return f, float(special.fdtrc(int(kinds.sum()), degrees, f))


def _degrees(labels: IntArray) -> int:
    return len(labels) - int(np.count_nonzero(np.bincount(labels)))


def _within(labels: IntArray, values: FloatArray) -> FloatArray:
    """Sum up the squared distances from their mean of the values with each label."""
    mean = np.bincount(labels, values) / np.maximum(np.bincount(labels), 1)
    return np.asarray(np.bincount(labels, (values - mean[labels]) ** 2), np.float64)
