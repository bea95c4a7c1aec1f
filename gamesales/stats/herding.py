"""Choose a few rows that represent many, by kernel herding with the energy distance.

See Chen, Welling and Smola (2010), and Mak and Joseph (2018). The first row is in the middle of all rows. Each further
row is close to all rows, and far from the rows that are already chosen. So the chosen rows have nearly the same
distribution as all rows.
"""

from __future__ import annotations

import numpy as np

from gamesales.arrays import FloatArray, IntArray

# Of more rows, this number is sampled first: the effort grows with its square.
_MOST_CANDIDATES = 5_000
_ROWS_AT_A_TIME = 500


def choose_representatives(values: FloatArray, count: int, seed: int) -> IntArray:
    """Choose rows that represent all rows.

    Args:
        values: (n, k). Each column counts in units of its standard deviation.
        count: the number of rows to choose.
        seed: of the sample, if there are too many rows to compare them all.

    Returns:
        The indices of the chosen rows, ascending: min(count, n) of them.
    """
    rows = np.arange(len(values))
    if len(rows) > _MOST_CANDIDATES:
        rows = np.sort(np.random.default_rng(seed).choice(rows, _MOST_CANDIDATES, replace=False))
    deviations = values.std(axis=0)
    candidates = (values[rows] - values.mean(axis=0)) / np.where(deviations > 0, deviations, 1)
    blocks = range(0, len(rows), _ROWS_AT_A_TIME)
    means = np.concatenate([_measure_distances(candidates, start).mean(axis=1) for start in blocks])
    chosen: list[int] = []
    totals = np.zeros(len(rows))  # the sum of the distances to the chosen rows
    for number in range(min(count, len(rows))):
        scores = means - totals / (number + 1)
        scores[chosen] = np.inf
        chosen.append(int(scores.argmin()))
        totals += _measure_distances(candidates, chosen[-1], 1)[0]
    return np.sort(rows[chosen])


def _measure_distances(candidates: FloatArray, start: int, count: int = _ROWS_AT_A_TIME) -> FloatArray:
    """Return the Euclidean distances of some rows to all rows, (count, n)."""
    part = candidates[start : start + count]
    squares = (part**2).sum(axis=1)[:, None] + (candidates**2).sum(axis=1) - 2 * part @ candidates.T
    distances: FloatArray = np.sqrt(np.maximum(squares, 0))
    return distances
