"""Means of clustered rows, with cluster-robust confidence intervals, and the confidence interval of a share.

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
# The normal approximation of an interval needs at least these titles.
MIN_TITLES = 30
# The 97.5% quantile of the normal distribution, for a two-sided 95% interval.
Z_95 = 1.959964


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


def wilson_interval(share: float, rows: float) -> tuple[float, float]:
    """Compute the 95% confidence interval of a share.

    Wilson, *Journal of the American Statistical Association* 22, 1927. Recommended by Brown, Cai and DasGupta,
    "Interval estimation for a binomial proportion", *Statistical Science*, 2001.

    Args:
        share: 0 to 1.
        rows: the number of independent rows. Where titles have several rows, give the number of titles: the interval is
            then wide enough even if all rows of a title are alike.

    Returns:
        The lower and the upper bound, 0 to 1.
    """
    middle = (share + Z_95**2 / (2 * rows)) / (1 + Z_95**2 / rows)
    half = Z_95 * math.sqrt(share * (1 - share) / rows + Z_95**2 / (4 * rows**2)) / (1 + Z_95**2 / rows)
    return max(middle - half, 0.0), min(middle + half, 1.0)
