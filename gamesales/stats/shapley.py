"""Shapley values: how far each column of a title moves its prediction away from the mean prediction.

The value of a set of columns is the mean prediction for titles with these columns of the explained title and all other
columns of a reference title, over the reference titles (Lundberg and Lee 2017, "interventional"). The Shapley value of
a column is its mean contribution over all orders of the columns. Up to 12 columns, all sets are predicted. With more
columns, orders are sampled (Castro et al. 2009), each together with its reverse (Mitchell et al. 2022).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gamesales.arrays import BoolArray, FloatArray, IntArray

# With more columns, the sets of columns are too many to predict them all.
MAX_EXACT_COLUMNS = 12
# Orders that are sampled for each reference title. Each of them is also walked in reverse.
_SAMPLED_ORDERS = 32
# At most about this many cells are predicted at a time, so that memory stays flat.
_CELLS_AT_A_TIME = 1 << 20

Values = npt.NDArray[np.floating[Any]]
# Predicts rows, (n, k) to float64 (n,).
Predict = Callable[[Values], FloatArray]


@dataclass(frozen=True)
class ShapleyValues:
    """The Shapley values of the columns of a title.

    Attributes:
        mean: the mean prediction for the reference titles. With the values, it adds up to the prediction for the title.
        values: float64 (k,), in the unit of the predictions.
        standard_errors: float64 (k,), those of sampled values; None for exact values.
    """

    mean: float
    values: FloatArray
    standard_errors: FloatArray | None


def compute_shapley_values(predict: Predict, title: Values, references: Values) -> ShapleyValues:
    """Compute the Shapley values of a title. The same arguments give the same values.

    Args:
        predict: predicts rows of columns. The prediction for a row must not depend on the other rows.
        title: (k,), the columns of the title.
        references: (r, k), the reference titles.
    """
    compute = _compute_exact_values if len(title) <= MAX_EXACT_COLUMNS else _sample_values
    return compute(predict, title, references)


def _compute_exact_values(predict: Predict, title: Values, references: Values) -> ShapleyValues:
    """Predict all sets of columns. Bit i of the number of a set says whether column i is in the set."""
    columns = len(title)
    sets = np.arange(1 << columns)
    has_column = (sets[:, None] >> np.arange(columns)) & 1 > 0  # (2^k, k)
    worths = np.empty(len(sets))
    step = max(1, _CELLS_AT_A_TIME // references.size)
    for start in range(0, len(sets), step):
        part = has_column[start : start + step]
        worths[start : start + step] = _predict_mixed(predict, title, references, part[:, None]).mean(axis=1)
    sizes = has_column.sum(axis=1)
    # The share of the orders in which exactly the columns of a set come before a column.
    weights = np.array([1 / (columns * math.comb(columns - 1, size)) for size in range(columns)])
    values = np.empty(columns)
    for column in range(columns):
        without = sets[~has_column[:, column]]
        # Subtracted before they are weighted, so that a column without an effect has exactly the value 0.
        values[column] = weights[sizes[without]] @ (worths[without | 1 << column] - worths[without])
    return ShapleyValues(float(worths[0]), values, None)


def _sample_values(predict: Predict, title: Values, references: Values) -> ShapleyValues:
    """Walk from each reference title to the title, column by column, in sampled orders and in their reverse."""
    columns, count = len(title), len(references)
    ranks = sample_ranks(count * _SAMPLED_ORDERS, columns).reshape(count, _SAMPLED_ORDERS, columns)
    step = max(1, _CELLS_AT_A_TIME // (2 * _SAMPLED_ORDERS * (columns + 1) * columns))
    mean, sums, variances = 0.0, np.zeros(columns), np.zeros(columns)
    for start in range(0, count, step):
        part = slice(start, start + step)
        both = np.stack([ranks[part], columns - 1 - ranks[part]], axis=2)  # (r, orders, 2, k)
        taken = both[..., None, :] < np.arange(columns + 1)[:, None]  # (r, orders, 2, k + 1, k)
        walks = _predict_mixed(predict, title, references[part, None, None, None], taken)
        contributions = np.take_along_axis(np.diff(walks, axis=-1), both, axis=-1).mean(axis=2)  # (r, orders, k)
        mean += walks[:, 0, 0, 0].sum()
        sums += contributions.mean(axis=1).sum(axis=0)
        variances += contributions.var(axis=1, ddof=1).sum(axis=0) / _SAMPLED_ORDERS
    return ShapleyValues(float(mean / count), sums / count, np.sqrt(variances) / count)


def sample_ranks(orders: int, columns: int) -> IntArray:
    """Sample orders of columns: the rank of each column in each order, (orders, k).

    Only the bits of the generator are used, because NumPy promises that they never change.
    """
    bits = np.random.PCG64(1).random_raw(orders * columns).reshape(orders, columns)
    return bits.argsort(axis=1, kind="stable").astype(np.int64)


def _predict_mixed(predict: Predict, title: Values, references: Values, taken: BoolArray) -> FloatArray:
    """Predict the title where ``taken`` is set, and the reference titles elsewhere: (…, k) to (…)."""
    rows = np.where(taken, title, references)
    return predict(rows.reshape(-1, len(title))).reshape(rows.shape[:-1])
