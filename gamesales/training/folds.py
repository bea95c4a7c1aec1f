"""K-fold: cut titles into folds, predict each title out of fold, and measure the errors.

The out-of-fold prediction of a title comes from a network that was trained on the other folds. Plain folds draw each
row by itself. Grouped folds keep rows with the same features together, because the error on a title says little about
new titles when a title with the same features was in training.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np

from gamesales.arrays import FloatArray, IntArray
from gamesales.data.labeled_titles import LabeledTitles
from gamesales.errors import InputError
from gamesales.stats.bootstrap import LEVELS_95, cluster_bootstrap_percentiles, derive_seed
from gamesales.stats.metrics import compute_metrics
from gamesales.training.fit import PredictFunction
from gamesales.training.scaling import Scaling

FoldKind = Literal["plain", "grouped"]
FOLD_KINDS: tuple[FoldKind, ...] = get_args(FoldKind)


def make_folds(titles: LabeledTitles, kind: FoldKind, count: int, seed: int) -> list[IntArray]:
    """Cut titles into plain or grouped folds.

    Returns:
        The rows of each fold, int64 (m,).

    Raises:
        InputError: there are fewer titles, or fewer distinct titles, than folds.
    """
    if kind == "grouped":
        return make_grouped_folds(titles.features, count, seed)
    return make_plain_folds(len(titles), count, seed)


def make_plain_folds(rows: int, count: int, seed: int) -> list[IntArray]:
    """Cut rows at random into folds whose sizes differ by one row at most. See ``make_folds``."""
    _require_enough(rows, "training rows", count)
    return np.array_split(shuffle_rows(rows, seed), count)


def make_grouped_folds(features: FloatArray, count: int, seed: int) -> list[IntArray]:
    """Cut rows at random into folds of about equal size, with rows of the same features in the same fold.

    The largest groups are dealt first, each to the fold that has the fewest rows. Groups of the same size are dealt in
    random order. See ``make_folds``.
    """
    group_of_row = number_groups(features)
    sizes = np.bincount(group_of_row)
    _require_enough(len(sizes), "distinct training rows", count)
    order = shuffle_rows(len(sizes), seed)
    order = order[np.argsort(-sizes[order], kind="stable")]
    smallest_folds, fold_of_group = [(0, fold) for fold in range(count)], np.empty(len(sizes), np.int64)
    for group in order:
        rows, fold = smallest_folds[0]
        fold_of_group[group] = fold
        heapq.heapreplace(smallest_folds, (rows + int(sizes[group]), fold))
    fold_of_row = fold_of_group[group_of_row]
    return [np.flatnonzero(fold_of_row == fold) for fold in range(count)]


def number_groups(features: FloatArray) -> IntArray:
    """Number the rows of features (n, k) by their values, from 0: int64 (n,). Missing cells are equal."""
    values = np.where(np.isnan(features), np.inf, features)  # np.unique never merges rows with NaN
    return np.asarray(np.unique(values, axis=0, return_inverse=True)[1].reshape(-1), np.int64)


def shuffle_rows(rows: int, seed: int) -> IntArray:
    """Draw an order of rows, int64 (n,), that is independent of the order that draws the validation rows."""
    return np.random.default_rng([seed, 1]).permutation(rows)


def list_other_rows(rows: int, folds: Sequence[IntArray]) -> list[IntArray]:
    """Return the rows outside of each fold, ascending."""
    return [np.setdiff1d(np.arange(rows), fold) for fold in folds]


def predict_out_of_fold(
    networks: Sequence[PredictFunction], features: FloatArray, folds: Sequence[IntArray]
) -> FloatArray:
    """Predict each row by a network that was trained on the other folds.

    Args:
        networks: the network of each fold.
        features: (n, k), not scaled.
        folds: the rows of each fold. Rows in no fold are not predicted.

    Returns:
        Predictions, float64 (n,), in the target's unit.
    """
    predicted = np.empty(len(features), np.float64)
    for predict, fold in zip(networks, folds, strict=True):
        predicted[fold] = predict(features[fold])
    return predicted


def predict_kfold(
    networks: Sequence[PredictFunction], titles: LabeledTitles, folds: Sequence[IntArray], kind: FoldKind
) -> FloatArray:
    """Predict n titles out of fold by the network of each fold: float64 (n,), in the target's unit.

    Raises:
        InputError: a prediction is not a finite number.
    """
    predicted = predict_out_of_fold(networks, titles.features, folds)
    if not np.isfinite(predicted).all():
        count = np.count_nonzero(~np.isfinite(predicted))
        raise InputError(f"{count:,} predictions of {kind} k-fold are not finite numbers")
    return predicted


def measure_kfold(
    titles: LabeledTitles,
    predicted: FloatArray,
    kind: FoldKind,
    folds: Sequence[IntArray],
    labels: IntArray,
    scaling: Scaling,
    baselines: Mapping[str, FloatArray],
) -> dict[str, Any]:
    """Compute the metrics of out-of-fold predictions, and of the baselines on the same folds.

    Args:
        titles: n titles.
        predicted: out-of-fold predictions, float64 (n,), in the target's unit.
        kind: the kind of the folds.
        folds: the rows of each fold.
        labels: int64 (n,), equal for titles with the same features. The bootstrap draws these titles together.
        scaling: scales ``scaled_mse``.
        baselines: out-of-fold predictions of each baseline, float64 (n,), in the target's unit.

    Returns:
        A document for JSON. ``intervals`` has 95% confidence intervals. ``folds_mae`` has the mean absolute error of
        each fold.
    """
    actual = titles.earnings
    return {
        "kind": kind,
        "folds": len(folds),
        "rows": len(titles),
        "metrics": compute_metrics(actual, predicted, scaling.target_scale),
        "intervals": bootstrap_confidence_intervals(titles, predicted - actual, labels, scaling),
        "folds_mae": measure_folds_mae(predicted - actual, folds),
        "baselines": {
            name: compute_metrics(actual, values, scaling.target_scale) for name, values in baselines.items()
        },
    }


def measure_folds_mae(errors: FloatArray, folds: Sequence[IntArray]) -> list[float]:
    """Compute the mean absolute error of each fold."""
    return [float(np.abs(errors[fold]).mean()) for fold in folds]


def bootstrap_confidence_intervals(
    titles: LabeledTitles, errors: FloatArray, labels: IntArray, scaling: Scaling
) -> dict[str, list[float]]:
    """Compute 95% confidence intervals of the mean absolute error and of the scaled mean squared error.

    Args:
        titles: n titles; their file seeds the bootstrap.
        errors: float64 (n,), or (s, n) from s seeds, which are averaged title by title.
        labels: int64 (n,), equal for titles with the same features. The bootstrap draws these titles together.
        scaling: scales ``scaled_mse``.
    """
    seed, errors = derive_seed(titles.sha256), np.atleast_2d(errors)
    absolute, squared = np.abs(errors), (errors * scaling.target_scale) ** 2
    return {
        "mae": cluster_bootstrap_percentiles(absolute.mean(axis=0), labels, LEVELS_95, seed),
        "scaled_mse": cluster_bootstrap_percentiles(squared.mean(axis=0), labels, LEVELS_95, seed),
    }


def _require_enough(available: int, unit: str, count: int) -> None:
    if available < count:
        raise InputError(f"{available} {unit} can't be cut into {count} folds", hint="Use fewer folds")
