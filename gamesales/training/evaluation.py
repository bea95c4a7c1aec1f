"""Evaluate predictions on a file, and profile columns for drift."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gamesales.arrays import FloatArray, IntArray
from gamesales.data.categories import list_codes
from gamesales.data.contract import Column, Contract
from gamesales.data.files import escape_surrogates
from gamesales.data.labeled_titles import LabeledTitles
from gamesales.stats.amounts import DOLLARS, record_unit
from gamesales.stats.bootstrap import LEVELS_95, count_resamples, derive_seed
from gamesales.stats.metrics import compute_metrics
from gamesales.stats.same_features import number_distinct_rows
from gamesales.training.folds import bootstrap_confidence_intervals
from gamesales.training.scaling import Scaling

# The maximum number of bins in a profile: deciles, as usual for the population stability index.
BINS = 10
# A category has a bin for each of its most frequent values.
_CODE_BINS = 20


def evaluate_predictions(
    titles: LabeledTitles, predicted: FloatArray, scaling: Scaling, unit: str = DOLLARS
) -> dict[str, Any]:
    """Compute what the log keeps of an evaluation: the metrics and their confidence intervals.

    Titles with the same features are drawn together, as for the report of a version, so both have the same intervals.

    Args:
        titles: n titles with their earnings.
        predicted: float64 (n,), in the target's unit, finite.
        scaling: scales ``scaled_mse``.
        unit: the target's unit. The log leaves out dollars.
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
        **record_unit(unit),
    }


def profile_columns(names: Sequence[str], features: FloatArray) -> list[dict[str, Any]]:
    """Compute the profile of each column of numbers, (n, k), with which scoring compares new titles."""
    return [profile_column(name, column) for name, column in zip(names, features.T, strict=True)]


def profile_features(contract: Contract, features: FloatArray) -> list[dict[str, Any]]:
    """Compute the profile of each training feature, (n, k), which may be codes, and have missing cells."""
    return [_profile_feature(column, values) for column, values in zip(contract.features, features.T, strict=True)]


def _profile_feature(column: Column, values: FloatArray) -> dict[str, Any]:
    if column.kind == "category":
        profile = profile_column(column.name, values, _list_code_edges(column))
        unseen = np.setdiff1d(np.arange(values.min(), values.max()), values)
        return profile | ({"unseen_codes": unseen.tolist()} if len(unseen) else {})
    if not column.may_be_missing:
        return profile_column(column.name, values)
    present = values[~np.isnan(values)]
    profile = profile_column(column.name, present if len(present) else np.zeros(1))
    return {**profile, "counts": [*profile["counts"], len(values) - len(present)]}


def _list_code_edges(column: Column) -> FloatArray:
    """Return the edges between the codes: a bin for other values, for each frequent value, and for the rare ones."""
    values, codes = len(column.values), len(list_codes(column))
    last = [values] if codes > values + 1 else []  # the last bin has the missing cells
    return np.array([*range(min(values + (values > _CODE_BINS), _CODE_BINS + 1)), *last]) + 0.5


def profile_column(name: str, values: FloatArray, edges: FloatArray | None = None) -> dict[str, Any]:
    """Compute the profile of a column: its range, its moments, and the number of rows in each bin.

    The values are float64 (n,), finite, n > 0. By default, the edges are about deciles.

    Returns:
        ``name``; ``minimum``, ``maximum``, ``mean`` and ``standard_deviation``, in the unit of the column; ``edges``,
        the b - 1 inner edges of the bins, ascending; ``counts``, the rows in each of the b bins, at least 1. Bin j has
        the values with ``edges[j-1] <= x < edges[j]``.
    """
    edges = _compute_edges(*np.unique(values, return_counts=True)) if edges is None else np.unique(edges)
    return {
        "name": name,
        "minimum": float(values.min()),
        "maximum": float(values.max()),
        "mean": float(values.mean()),
        "standard_deviation": float(values.std()),
        "edges": edges.tolist(),
        "counts": np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1).tolist(),
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
