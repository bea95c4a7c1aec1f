"""Split the rows of a table into a training and a test part, reproducibly.

Rows of one group are in the same part. The groups of the test part are random, by a seed, or have the newest dates.
"""

from __future__ import annotations

import numpy as np

from gamesales.arrays import BoolArray, FloatArray, IntArray
from gamesales.errors import InputError


def split_at_random(groups: IntArray, share: float, seed: int) -> BoolArray:
    """Choose the rows of the test part by groups in a random order, until the part is as large as it should be.

    Args:
        groups: int64 (n,), the number of each row's group.
        share: the share of the rows in the test part, above 0 and below 1.
        seed: the seed of the order.

    Returns:
        bool (n,), True for the rows of the test part.

    Raises:
        InputError: there are fewer than two groups.
    """
    sizes = np.bincount(groups)
    used = np.flatnonzero(sizes)
    _require_groups(len(used))
    order = used[np.random.default_rng(seed).permutation(len(used))]
    return np.isin(groups, order[: _count_groups(sizes[order], share)])


def split_by_date(dates: FloatArray, share: float) -> BoolArray:
    """Choose the rows with the newest dates for the test part. Rows of one date, and rows without one, stay together.

    Args:
        dates: float64 (n,), days or other numbers that grow with time. NaN is a row without a date, for training.
        share: the share of the rows in the test part, above 0 and below 1.

    Returns:
        bool (n,), True for the rows of the test part.

    Raises:
        InputError: there are fewer than two dates.
    """
    present = ~np.isnan(dates)
    distinct, sizes = np.unique(dates[present], return_counts=True)
    _require_groups(len(distinct))
    share_of_dated = min(share * len(dates) / int(np.count_nonzero(present)), 1.0)
    oldest = distinct[-_count_groups(sizes[::-1], share_of_dated)]
    return np.asarray(present & (np.where(present, dates, -np.inf) >= oldest), bool)


def _require_groups(count: int) -> None:
    if count < 2:
        raise InputError(
            f"the table can't be split: expected rows of two or more groups or dates, received {count}",
            hint="Split by another column, or at random: without --split-by and --split-date",
        )


def _count_groups(sizes: IntArray, share: float) -> int:
    """Return the number of leading groups whose rows are closest to a share. Each part gets a group."""
    totals = np.cumsum(sizes)
    closest = int(np.argmin(np.abs(totals - share * totals[-1])))
    return min(closest + 1, len(sizes) - 1)
