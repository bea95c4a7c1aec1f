"""Confidence bounds of a mean by the percentile bootstrap. It is seeded: the same rows give the same bounds again.

Efron and Tibshirani, *An Introduction to the Bootstrap*, Chapman & Hall 1993: chapter 13 for the percentiles of
resampled means, chapter 5 for the standard error of a mean. The mean of many rows is nearly normal. Above
``MAX_RESAMPLED_ROWS`` rows, the bounds are the percentiles of a normal distribution, which takes less time.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from gamesales.arrays import FloatArray, IntArray

# The percentiles that bound a two-sided 95% interval.
LEVELS_95 = (0.025, 0.975)
RESAMPLES = 10_000
# Resampling more rows takes seconds.
MAX_RESAMPLED_ROWS = 10_000
# Random numbers drawn at a time: 8 MiB.
_NUMBERS_PER_DRAW = 2**20


def derive_seed(digest: str) -> int:
    """Derive a seed from the SHA-256 of a file: its first 48 bits, which every JSON reader keeps exactly."""
    return int(digest[:12], 16)


def count_resamples(rows: int) -> int:
    """Return the number of resamples for the mean of some rows. 0 means that a normal distribution is used."""
    return RESAMPLES if rows <= MAX_RESAMPLED_ROWS else 0


def bootstrap_percentiles(values: FloatArray, levels: Sequence[float], seed: int) -> list[float]:
    """Compute percentiles of the resampled mean of independent rows.

    Args:
        values: float64 (n,), n > 0.
        levels: between 0 and 1, such as 0.975.
        seed: the seed of the resampling.

    Returns:
        A percentile for each level, in the unit of ``values``.
    """
    if count_resamples(len(values)):
        return _take_quantiles(_resample_means(values, None, seed), levels)
    # The last bits of this standard error are those of stored intervals: another formula would change them.
    return _compute_normal_percentiles(float(values.mean()), float(values.std()) / len(values) ** 0.5, levels)


def cluster_bootstrap_percentiles(
    values: FloatArray, clusters: IntArray, levels: Sequence[float], seed: int
) -> list[float]:
    """Compute percentiles of the resampled mean of clustered rows, by drawing whole clusters.

    Rows of a cluster, such as titles with the same features, are not independent: Davison and Hinkley, *Bootstrap
    Methods and their Application*, Cambridge 1997, chapter 3.8.

    Args:
        values: float64 (n,), n > 0.
        clusters: int64 (n,); rows of the same cluster have the same number.
        levels: between 0 and 1, such as 0.975.
        seed: the seed of the resampling.

    Returns:
        A percentile for each level, in the unit of ``values``.
    """
    _, cluster_of_row, rows = np.unique(clusters, return_inverse=True, return_counts=True)
    sums = np.asarray(np.bincount(cluster_of_row.reshape(-1), values), np.float64)
    if count_resamples(len(rows)):
        return _take_quantiles(_resample_means(sums, rows, seed), levels)
    mean = float(values.mean())
    return _compute_normal_percentiles(mean, float(((sums - rows * mean) ** 2).sum() ** 0.5 / len(values)), levels)


def _resample_means(sums: FloatArray, rows: IntArray | None, seed: int) -> FloatArray:
    """Draw clusters with replacement, as many as there are, and take the mean of their rows, ``RESAMPLES`` times.

    ``sums``, float64 (g,), and ``rows``, int64 (g,), are those of each cluster. Without ``rows``, a cluster is one row.
    """
    random = np.random.default_rng(seed)
    clusters = len(sums)
    means = np.empty(RESAMPLES)
    step = max(1, _NUMBERS_PER_DRAW // clusters)
    for start in range(0, RESAMPLES, step):
        drawn = random.integers(0, clusters, (min(step, RESAMPLES - start), clusters), np.int32)
        drawn_rows = clusters if rows is None else rows[drawn].sum(axis=1)
        means[start : start + step] = sums[drawn].sum(axis=1) / drawn_rows
    return means


def _take_quantiles(means: FloatArray, levels: Sequence[float]) -> list[float]:
    return [float(quantile) for quantile in np.quantile(means, levels)]


def _compute_normal_percentiles(mean: float, standard_error: float, levels: Sequence[float]) -> list[float]:
    normal = NormalDist(mean, standard_error)
    return [normal.inv_cdf(level) if normal.stdev else normal.mean for level in levels]
