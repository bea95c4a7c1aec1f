"""Means of clustered rows, with cluster-robust confidence intervals.

Titles with the same features get the same prediction, so their errors are alike. Intervals that treat such rows as
independent are too narrow. Here errors are summed per cluster before their spread is taken (Liang and Zeger,
*Biometrika* 73, 1986), with the correction G/(G-1) for G clusters and Student's t with G-1 degrees of freedom.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gamesales.arrays import FloatArray, IntArray

# The spread of fewer clusters is too uncertain for an interval.
MIN_CLUSTERS = 8


@dataclass(frozen=True)
class Estimate:
    """A value with its confidence interval. ``low`` and ``high`` are None if there are too few clusters."""

    value: float
    low: float | None
    high: float | None


def clustered_mean(values: FloatArray, clusters: IntArray, alpha: float = 0.05) -> Estimate:
    """Estimate a mean with its confidence interval.

    Args:
        values: float64 (n,), n > 0.
        clusters: int64 (n,), 0 or more; rows of the same cluster have the same number.
        alpha: the share of intervals that miss the true mean, 0.05 for a 95% interval.

    Returns:
        The mean and its interval, in the unit of ``values``.
    """
    rows = np.bincount(clusters).astype(np.float64)
    sums = np.asarray(np.bincount(clusters, values), np.float64)
    used = rows > 0
    return clustered_ratio(sums[used], rows[used], alpha)


def clustered_ratio(sums: FloatArray, weights: FloatArray, alpha: float = 0.05) -> Estimate:
    """Estimate the ratio Σ sums / Σ weights with its confidence interval.

    Args:
        sums: float64 (g,), one sum for each independent cluster.
        weights: float64 (g,).
        alpha: the share of intervals that miss the true ratio.

    Returns:
        The ratio and its interval.
    """
    value = float(sums.sum() / weights.sum())
    clusters = len(sums)
    if clusters < MIN_CLUSTERS:
        return Estimate(value, None, None)
    influences = compute_influences(sums, weights)
    standard_error = math.sqrt(clusters / (clusters - 1) * float(influences @ influences))
    margin = student_t_quantile(clusters - 1, alpha) * standard_error
    return Estimate(value, value - margin, value + margin)


def compute_influences(sums: FloatArray, weights: FloatArray) -> FloatArray:
    """Compute how much each cluster changes the ratio Σ sums / Σ weights.

    Args:
        sums: float64 (g,).
        weights: float64 (g,), not all of them 0. A cluster with sum and weight 0 has influence 0.

    Returns:
        float64 (g,). The sum of the squares, with the correction G/(G-1), is the variance of the ratio.
    """
    influences: FloatArray = (sums - weights * (sums.sum() / weights.sum())) / weights.sum()
    return influences


def student_t_quantile(degrees: int, alpha: float) -> float:
    """Return the half width of a two-sided interval in standard errors, by Student's t distribution.

    Args:
        degrees: the degrees of freedom.
        alpha: the share of intervals that miss the true value.
    """
    from scipy import special

    return float(special.stdtrit(degrees, 1 - alpha / 2))
