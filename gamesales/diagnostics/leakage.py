"""Statistics of leakage: columns made from the earnings, titles that occur twice, and shifts between samples.

Many titles have the same features, because ratings come in half stars and there are three prices. Equal earnings may
also be chance, because earnings may come in steps. So the number of titles with equal features and earnings is compared
with the number of matches after earnings are shifted by a common difference. Chance gives about as many matches in
both cases.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gamesales.arrays import BoolArray, FloatArray, IntArray
from gamesales.scoring.drift import Profile, count_bins
from gamesales.stats.psi import compute_psi

# The share and the number of copies above which they matter.
_MIN_SHARE, _MIN_COPIES = 0.01, 3
# Chance does not explain more than this many times the matches after a shift.
_MIN_RATIO = 2
# The most common differences, which earnings are shifted by.
_SHIFTS = 5
# Of more titles, a sample is shifted.
_MAX_SHIFTED = 50_000
# A column is cut into bins when it is compared with the order of the earnings.
_MAX_BINS, _ROWS_PER_BIN = 100, 5


class CopyFinder:
    """Counts titles whose features and earnings equal those of a training title.

    Attributes:
        repeats: the number of training titles that equal an earlier training title.
        repeated: the number of training titles that equal any other training title.
    """

    def __init__(self, clusters: IntArray, earnings: FloatArray) -> None:
        """Index the training titles.

        Args:
            clusters: int64 (n,), equal for titles with the same features.
            earnings: float64 (n,).
        """
        self._earnings, positions = np.unique(earnings, return_inverse=True)
        self._keys, rows = np.unique(self._make_keys(clusters, positions.reshape(-1)), return_counts=True)
        self.repeats = int((rows - 1).sum())
        self.repeated = int(rows[rows > 1].sum())
        self._shifts = _find_common_differences(clusters, earnings)

    def count(self, clusters: IntArray, earnings: FloatArray, shift: float = 0.0) -> int:
        """Count the titles that equal a training title after ``shift`` is added to their earnings."""
        shifted = earnings + shift
        positions = np.minimum(np.searchsorted(self._earnings, shifted), len(self._earnings) - 1)
        equal = self._earnings[positions] == shifted
        return int(_contains(self._keys, self._make_keys(clusters[equal], positions[equal])).sum())

    def exceeds_chance(self, copies: int, clusters: IntArray, earnings: FloatArray) -> bool:
        """Return whether some titles have more copies than chance explains, and enough to matter."""
        if copies <= max(_MIN_COPIES, _MIN_SHARE * len(earnings)):
            return False
        return copies > _MIN_RATIO * self._count_by_chance(clusters, earnings)

    def _count_by_chance(self, clusters: IntArray, earnings: FloatArray) -> float:
        """Return the largest number of matches after any of the common shifts."""
        step = -(-len(earnings) // _MAX_SHIFTED)
        sample = clusters[::step], earnings[::step]
        # A step of 316.67 dollars, rounded, is sometimes 316 and sometimes 317.
        nearby = ([shift - 1, shift, shift + 1] for shift in self._shifts)
        counts = (sum(self.count(*sample, shift) for shift in shifts if shift) for shifts in nearby)
        return step * max(counts, default=0)

    def _make_keys(self, clusters: IntArray, positions: IntArray) -> IntArray:
        return clusters * len(self._earnings) + positions


def _contains(ascending: IntArray, values: IntArray) -> BoolArray:
    """Return which values are in a sorted array. ``np.isin`` would sort it again."""
    positions = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    return np.asarray(ascending[positions] == values)


def _find_common_differences(clusters: IntArray, earnings: FloatArray) -> FloatArray:
    """Return the most common differences between consecutive titles with the same features, with both signs."""
    order = np.argsort(clusters, kind="stable")
    differences, same_features = np.diff(earnings[order]), np.diff(clusters[order]) == 0
    distinct, counts = np.unique(np.abs(differences[same_features & (differences != 0)]), return_counts=True)
    common = distinct[np.argsort(-counts, kind="stable")[:_SHIFTS]]
    return np.concatenate([common, -common])


def compute_rank_r2(values: FloatArray, earnings: FloatArray, *, is_category: bool = False) -> float:
    """Return the adjusted share of the variance of the earnings' ranks that a column in bins explains.

    Args:
        values: (n,). NaN is a missing cell.
        earnings: (n,).
        is_category: whether the values are codes, whose order means nothing. Each code is a bin.

    Returns:
        1 if the earnings are a function of the column, about 0 for noise.
    """
    rows = len(values)
    distinct, bins = np.unique(values, return_inverse=True)
    max_bins = min(_MAX_BINS, rows // _ROWS_PER_BIN)
    if len(distinct) > max_bins and not is_category:
        bins = np.empty(rows, np.int64)
        bins[np.argsort(values, kind="stable")] = np.arange(rows) * max(max_bins, 1) // rows
    bins = bins.reshape(-1)
    used = int(np.count_nonzero(np.bincount(bins)))
    rank = np.unique(earnings, return_inverse=True)[1].reshape(-1).astype(np.float64)
    total = float(((rank - rank.mean()) ** 2).sum())
    if not total or used >= rows - 1:
        return 0.0
    counts = np.maximum(np.bincount(bins), 1)
    within = float(((rank - (np.bincount(bins, rank) / counts)[bins]) ** 2).sum())
    return 1 - within / (rows - used) / (total / (rows - 1))


def compare_distributions(profile: Mapping[str, Any], test: FloatArray) -> tuple[float, float]:
    """Compare the distributions of a column in two samples.

    Args:
        profile: the profile of the column in the training titles; see ``profile_features``.
        test: (m,). NaN is a missing cell.

    Returns:
        The population stability index over the bins of the profile, and the p-value of the chi-squared test of two
        samples.
    """
    from scipy import special

    binned = Profile.from_manifest(profile)
    if binned is None or len(binned.counts) < 2:
        return 0.0, 1.0
    after = count_bins(binned, test)
    used = binned.counts + after > 0  # a bin for missing cells or unseen values may be empty
    before, after = binned.counts[used], after[used]
    bins, both = len(before), before + after
    if bins < 2:
        return 0.0, 1.0
    statistic = sum(
        float(((counts - both * counts.sum() / both.sum()) ** 2 / (both * counts.sum() / both.sum())).sum())
        for counts in (before, after)
    )
    return compute_psi(after, before), float(special.chdtrc(bins - 1, statistic))
