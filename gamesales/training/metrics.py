"""How far off a version is, in scaled units and in dollars, and how far off simpler ways are."""

from __future__ import annotations

from typing import Any

import numpy as np

from gamesales.arrays import FloatArray, IntArray
from gamesales.training.scaling import Scaling

Metrics = dict[str, float | None]

# The most bins of a column's profile: deciles, as is customary for the population stability index.
BINS = 10


def metrics(actual: FloatArray, predicted: FloatArray, scaling: Scaling) -> Metrics:
    """Compare predictions with actual earnings.

    Args: actual, predicted: float64 (n,).
    Returns: ``scaled_mse`` (unitless, the course's figure), ``mae``, ``rmse``, ``r2`` (None if all actual
        values are equal), ``mape_percent`` (None if an actual value is 0).
    """
    error = predicted - actual
    squared = float(np.mean(error**2))
    varies = actual.min() < actual.max()  # the variance of equal numbers may be a rounding error
    variance = float(np.var(actual)) if varies else 0.0
    return {
        "scaled_mse": squared * float(scaling.scale[-1]) ** 2,
        "mae": float(np.mean(np.abs(error))),
        "rmse": squared**0.5,
        "r2": 1 - squared / variance if variance > 0 else None,
        "mape_percent": float(np.mean(np.abs(error / actual))) * 100 if (actual != 0).all() else None,
    }


def baseline_predictions(
    features: FloatArray, earnings: FloatArray, test: FloatArray, seed: int
) -> dict[str, FloatArray]:
    """Predict the test titles the simpler ways, each with scikit-learn's defaults.

    Args: features: (n, k); earnings: (n,); test: (m, k), all in their own units.
    Returns: name to float64 (m,), US dollars, best first as a rule.
    """
    from sklearn.dummy import DummyRegressor
    from sklearn.ensemble import GradientBoostingRegressor
    from sklearn.linear_model import LinearRegression

    baselines: dict[str, Any] = {
        "gradient boosting": GradientBoostingRegressor(random_state=seed),
        "linear regression": LinearRegression(),
        "mean of training": DummyRegressor(),
    }
    return {
        name: np.asarray(model.fit(features, earnings).predict(test), np.float64) for name, model in baselines.items()
    }


def training_profile(names: tuple[str, ...], features: FloatArray) -> list[dict[str, Any]]:
    """Describe each feature as training saw it; scoring compares new titles with it. Args: features: (n, k)."""
    return [column_profile(name, column) for name, column in zip(names, features.T, strict=True)]


def column_profile(name: str, values: FloatArray) -> dict[str, Any]:
    """Describe a column: its range, its moments, and how many rows fall in each of its bins.

    Args: values: float64 (n,), finite, n > 0.
    Returns: ``name``, ``minimum``, ``maximum``, ``mean``, ``standard_deviation``, in the column's unit; ``edges``, the
        b - 1 inner edges of its bins, ascending; ``counts``, the rows in each of the b bins, none of them empty. Bin j
        holds ``edges[j-1] <= x < edges[j]``.
    """
    distinct, rows = np.unique(values, return_counts=True)
    edges = _edges(distinct, rows)
    return {
        "name": name,
        "minimum": float(values.min()),
        "maximum": float(values.max()),
        "mean": float(values.mean()),
        "standard_deviation": float(values.std()),
        "edges": edges.tolist(),
        "counts": np.bincount(np.searchsorted(edges, values, side="right")).tolist(),
    }


def _edges(distinct: FloatArray, rows: IntArray) -> FloatArray:
    """Cut a column into a bin for each distinct value, or where these are many, into bins of about equal rows.

    Args: distinct: (d,), ascending; rows: (d,), how many have each value.
    Returns: (b-1,), ascending, halfway between two neighbours among the values: so an edge lies on no value, and
        rounding to float32 moves no value over one.
    """
    last = np.arange(len(distinct) - 1)  # the last value of each bin but the highest
    if len(distinct) > BINS:
        up_to = np.cumsum(rows)[:-1]
        quantiles = np.arange(1, BINS) * rows.sum() / BINS
        last = np.unique([int(np.abs(up_to - quantile).argmin()) for quantile in quantiles])
    below, above = distinct[last], distinct[last + 1]
    halfway = (below + above) / 2
    # Between two floating-point numbers next to each other there is no third.
    return np.where(halfway > below, halfway, above)
