"""What is left of the errors: do they lean, grow with the prediction, or go with a column or the order of the file?

Of a version that learnt all there is to learn, errors are noise: they go with nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gamesales.arrays import FloatArray, IntArray
from gamesales.stats import clustered as means

# How often a report on faultless errors says that they go with some column, over all columns.
_DOUBT = 0.01
_FIFTH = 0.2


@dataclass(frozen=True)
class Correlation:
    """How errors go with something, from -1 to 1, and whether that is more than chance explains."""

    of: str
    value: float
    is_clear: bool


@dataclass(frozen=True)
class Residuals:
    """The checks of some errors, predicted minus actual.

    ``bias`` is their mean with 95 % bounds. ``lowest_fifth`` and ``highest_fifth`` are the average errors
    of the fifths of titles with the lowest and the highest predictions. ``columns`` and ``order`` are correlations of
    the errors, in units of what is usual for their size, with each column, and with the error of the row before.
    """

    bias: means.Estimate
    lowest_fifth: float
    highest_fifth: float
    columns: tuple[Correlation, ...]
    order: Correlation


def check(
    names: Sequence[str],
    features: FloatArray,
    errors: FloatArray,
    predicted: FloatArray,
    scale: FloatArray,
    clusters: IntArray,
) -> Residuals:
    """Check errors, in the order of their file.

    Args: features: (n, k); errors, predicted, scale: float64 (n,), the last above 0; clusters: int64 (n,).
    """
    order = np.argsort(predicted, kind="stable")
    fifth = max(1, math.ceil(len(order) * _FIFTH))
    sizes, relative = np.abs(errors), errors / scale
    return Residuals(
        means.mean(errors, clusters),
        float(sizes[order[:fifth]].mean()),
        float(sizes[order[-fifth:]].mean()),
        tuple(
            _correlation(name, column, relative, clusters, _DOUBT / len(names))
            for name, column in zip(names, features.T, strict=True)
        ),
        _correlation("the row before", relative[:-1], relative[1:], np.arange(len(relative) - 1), _DOUBT),
    )


def _correlation(of: str, column: FloatArray, errors: FloatArray, clusters: IntArray, doubt: float) -> Correlation:
    if len(errors) < 2 or not column.std() or not errors.std():
        return Correlation(of, 0.0, is_clear=False)
    products = (column - column.mean()) / column.std() * (errors - errors.mean()) / errors.std()
    found = means.mean(products, clusters, doubt)
    is_clear = found.low is not None and found.high is not None and not found.low <= 0 <= found.high
    return Correlation(of, found.value, is_clear)
