"""A mean, and how surely it is known, where rows come in clusters that are alike.

Titles with the same features get the same prediction: their errors are alike, and counting each as news would make
intervals too narrow. So errors are summed up by cluster before their spread is taken (Liang and Zeger, *Biometrika* 73,
1986), with the correction G/(G−1) for G clusters and Student's t with G−1 degrees of freedom.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gamesales.arrays import FloatArray, IntArray

# Of fewer clusters the spread is hardly known.
FEWEST = 8


@dataclass(frozen=True)
class Estimate:
    """A figure, and the bounds that hold the true one so surely as was asked; None: too few rows to tell."""

    value: float
    low: float | None
    high: float | None


def mean(values: FloatArray, clusters: IntArray, doubt: float = 0.05) -> Estimate:
    """Return the mean of some values with its interval.

    Args: values: float64 (n,), n > 0; clusters: int64 (n,), from 0, alike where rows are; doubt: the share of such
        intervals that miss.
    """
    rows = np.bincount(clusters).astype(np.float64)
    sums = np.asarray(np.bincount(clusters, values), np.float64)
    there = rows > 0
    return ratio(sums[there], rows[there], doubt)


def ratio(sums: FloatArray, weights: FloatArray, doubt: float = 0.05) -> Estimate:
    """Return Σ sums / Σ weights with its interval; the clusters, float64 (g,) each, are independent of each other."""
    value = float(sums.sum() / weights.sum())
    spread = deviation(sums, weights)
    if spread is None:
        return Estimate(value, None, None)
    half = quantile(len(sums) - 1, doubt) * spread
    return Estimate(value, value - half, value + half)


def deviation(sums: FloatArray, weights: FloatArray) -> float | None:
    """Return the standard error of Σ sums / Σ weights; None: too few clusters."""
    clusters = len(sums)
    if clusters < FEWEST:
        return None
    influence = (sums - weights * (sums.sum() / weights.sum())) / weights.sum()
    return math.sqrt(clusters / (clusters - 1) * float(influence @ influence))


def quantile(degrees: int, doubt: float) -> float:
    """Return how many standard errors an interval reaches to either side, by Student's t."""
    from scipy import special

    return float(special.stdtrit(degrees, 1 - doubt / 2))
