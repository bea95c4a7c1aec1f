"""What chance does to a mean: the percentile bootstrap, seeded so that the same rows give the same figures again.

Efron and Tibshirani, An Introduction to the Bootstrap, Chapman & Hall 1993: chapter 13 for percentiles of resampled
means, chapter 5 for the standard error of a mean. Of many rows the mean is so nearly normal that resampling it would
only take time: beyond ``MOST_ROWS`` the percentiles are those of the normal distribution with that standard error.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from gamesales.arrays import FloatArray, IntArray

RESAMPLES = 10_000
# More rows than these are not resampled, which would take seconds.
MOST_ROWS = 10_000
# Numbers drawn at a time: 8 MiB of them.
_DRAWN = 2**20


def seed_from(digest: str) -> int:
    """Make a seed of a file's SHA-256: its first 48 bits, which any reader of JSON keeps exactly."""
    return int(digest[:12], 16)


def resamples_of(rows: int) -> int:
    """Return how often the mean of so many rows is resampled; 0: it is taken to be normal."""
    return RESAMPLES if rows <= MOST_ROWS else 0


def mean_percentiles(values: FloatArray, levels: Sequence[float], seed: int) -> list[float]:
    """Return percentiles of the mean under resampling.

    Args: values: float64 (n,), n > 0; levels: between 0 and 1, such as 0.975.
    """
    if resamples_of(len(values)):
        return [float(one) for one in np.quantile(_means(values, seed), levels)]
    normal = NormalDist(float(values.mean()), float(values.std()) / len(values) ** 0.5)
    return [normal.inv_cdf(level) if normal.stdev else normal.mean for level in levels]


def clustered_percentiles(values: FloatArray, clusters: IntArray, levels: Sequence[float], seed: int) -> list[float]:
    """Return percentiles of the mean where whole clusters of rows are drawn, not rows.

    Rows that are alike, such as titles with the same features, are one piece of news: Davison and Hinkley, Bootstrap
    Methods and their Application, Cambridge 1997, chapter 3.8.

    Args: values: float64 (n,), n > 0; clusters: int64 (n,), the same where rows are alike; levels: between 0 and 1.
    """
    _, place, rows = np.unique(clusters, return_inverse=True, return_counts=True)
    sums = np.bincount(place.reshape(-1), values)
    if resamples_of(len(rows)):
        random = np.random.default_rng(seed)
        means = np.empty(RESAMPLES)
        at_once = max(1, _DRAWN // len(rows))
        for start in range(0, RESAMPLES, at_once):
            drawn = random.integers(0, len(rows), (min(at_once, RESAMPLES - start), len(rows)), np.int32)
            means[start : start + at_once] = sums[drawn].sum(axis=1) / rows[drawn].sum(axis=1)
        return [float(one) for one in np.quantile(means, levels)]
    mean = float(values.mean())
    normal = NormalDist(mean, float(((sums - rows * mean) ** 2).sum() ** 0.5 / len(values)))
    return [normal.inv_cdf(level) if normal.stdev else normal.mean for level in levels]


def _means(values: FloatArray, seed: int) -> FloatArray:
    """Draw as many rows as there are, with replacement, and take their mean: ``RESAMPLES`` times."""
    random = np.random.default_rng(seed)
    rows = len(values)
    means = np.empty(RESAMPLES)
    at_once = max(1, _DRAWN // rows)
    for start in range(0, RESAMPLES, at_once):
        drawn = random.integers(0, rows, (min(at_once, RESAMPLES - start), rows), np.int32)
        means[start : start + at_once] = values[drawn].mean(axis=1)
    return means
