"""Evaluate predictions on a file, and profile columns for drift."""

from __future__ import annotations

from typing import Any

import numpy as np

from gamesales.arrays import FloatArray, IntArray
from gamesales.data.files import escape_surrogates
from gamesales.data.labeled_titles import LabeledTitles
from gamesales.stats.bootstrap import LEVELS_95, count_resamples, derive_seed
from gamesales.stats.metrics import compute_metrics
from gamesales.stats.same_features import number_distinct_rows
from gamesales.training.folds import bootstrap_confidence_intervals
from gamesales.training.scaling import Scaling

# The maximum number of bins in a profile: deciles, as usual for the population stability index.
BINS = 10


def evaluate_predictions(titles: LabeledTitles, predicted: FloatArray, scaling: Scaling) -> dict[str, Any]:
    """Compute what the log keeps of an evaluation: the metrics and their confidence intervals.

    Titles with the same features are drawn together, as for the report of a version, so both have the same intervals.

    Args:
        titles: n titles with their earnings.
        predicted: float64 (n,), in the target's unit, finite.
        scaling: scales ``scaled_mse``.
    """
    (clusters,) = number_distinct_rows(titles.features)
    distinct = int(clusters.max()) + 1
    return {
        "data": escape_surrogates(str(titles.path)),
        "data_sha256": titles.sha256,
        "rows": len(titles),
        "rejected": len(titles.rejected),
        "metrics": compute_metrics(titles.earnings, predicted, scaling.target_scale),
        "intervals": bootstrap_confidence_intervals(titles, predicted - titles.earnings, clusters, scaling),
        "resampling": {
            "levels": list(LEVELS_95),
            "resamples": count_resamples(distinct),
            "seed": derive_seed(titles.sha256),
            "clusters": distinct,
        },
    }


def profile_columns(names: tuple[str, ...], features: FloatArray) -> list[dict[str, Any]]:
    """Compute the profile of each training feature, (n, k), with which scoring compares new titles."""
    return [profile_column(name, column) for name, column in zip(names, features.T, strict=True)]


def profile_column(name: str, values: FloatArray) -> dict[str, Any]:
    """Compute the profile of a column: its range, its moments, and the number of rows in each bin.

    The values are float64 (n,), finite, n > 0.

    Returns:
        ``name``; ``minimum``, ``maximum``, ``mean`` and ``standard_deviation``, in the unit of the column; ``edges``,
        the b - 1 inner edges of the bins, ascending; ``counts``, the rows in each of the b bins, at least 1. Bin j has
        the values with ``edges[j-1] <= x < edges[j]``.
    """
    distinct, rows = np.unique(values, return_counts=True)
    edges = _compute_edges(distinct, rows)
    return {
        "name": name,
        "minimum": float(values.min()),
        "maximum": float(values.max()),
        "mean": float(values.mean()),
        "standard_deviation": float(values.std()),
        "edges": edges.tolist(),
        "counts": np.bincount(np.searchsorted(edges, values, side="right")).tolist(),
    }


def _compute_edges(distinct: FloatArray, rows: IntArray) -> FloatArray:
    """Compute the edges of the bins: a bin for each distinct value, or with many values, bins of about equal rows.

    An edge is halfway between two distinct values. So it is never a value, and rounding to float32 moves no value to
    another bin.
    """
    last = np.arange(len(distinct) - 1)  # the index of the last value of each bin except the highest
    if len(distinct) > BINS:
        cumulative = np.cumsum(rows)[:-1]
        quantiles = np.arange(1, BINS) * rows.sum() / BINS
        last = np.unique([int(np.abs(cumulative - quantile).argmin()) for quantile in quantiles])
    below, above = distinct[last], distinct[last + 1]
    halfway = (below + above) / 2
    # There is no number halfway between two adjacent floating-point numbers.
    return np.where(halfway > below, halfway, above)
