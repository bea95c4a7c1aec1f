"""The effect of each column on predictions: permutation importance and partial dependence.

Permutation importance is the increase of the mean absolute error when a column is shuffled (Breiman, "Random forests",
*Machine Learning* 45, 2001). Partial dependence is the mean prediction when a column is set to one value for all titles
(Friedman, "Greedy function approximation", *Annals of Statistics* 29, 2001), with the spread over titles (Goldstein,
Kapelner, Bleich and Pitkin, "Peeking inside the black box", *Journal of Computational and Graphical Statistics* 24,
2015). Flags of which exactly one is set are treated together, because no title has two genres.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gamesales.arrays import FloatArray, IntArray
from gamesales.data.categories import OTHER
from gamesales.data.contract import Column, Contract
from gamesales.report.format import format_value
from gamesales.stats.clustered import Estimate, clustered_mean
from gamesales.training.fit import PredictFunction
from gamesales.training.folds import shuffle_rows

# The titles that are used; of more titles, a sample is drawn.
_MAX_SHUFFLED = 20_000
_MAX_SET = 1_000
# Up to this many titles, a column is shuffled this many times. With more titles, one order matters less.
_REPEATS = ((2_000, 20), (_MAX_SHUFFLED, 5))
# A column with more values is set to this many quantiles, and a category to this many of its most frequent values.
_MAX_VALUES = 12
# The quantiles of the changes of predictions, which hold eight of ten titles.
_BAND = (0.1, 0.9)


@dataclass(frozen=True)
class Importance:
    """The increase of the mean absolute error when these columns are shuffled, with its 95% confidence interval."""

    columns: tuple[str, ...]
    rows: int
    repeats: int
    error_change: Estimate


@dataclass(frozen=True)
class Dependence:
    """The predictions with some columns set to each of several values.

    Attributes:
        columns: one column, or the flags of a one-hot set.
        kind: the kind of the column, or ``flags``.
        values: the values of one column, of a category its codes. None is a missing cell, which is last. Empty for
            flags.
        labels: the values as text, or the name of the flag that is set.
        prediction_low: the 10% quantile of the change since the first value.
        prediction_high: the 90% quantile of the change since the first value.
    """

    columns: tuple[str, ...]
    kind: str
    values: tuple[float | None, ...]
    labels: tuple[str, ...]
    rows: int
    prediction_mean: tuple[float, ...]
    prediction_low: tuple[float, ...]
    prediction_high: tuple[float, ...]


def measure_importance(
    contract: Contract,
    predict: PredictFunction,
    features: FloatArray,
    earnings: FloatArray,
    clusters: IntArray,
    one_hot: Sequence[tuple[int, ...]],
    seed: int,
) -> list[Importance]:
    """Shuffle each column, and each one-hot set of flags together.

    Args:
        contract: names the columns.
        predict: from (n, k) to (n,), in the target's unit.
        features: (n, k), n > 0.
        earnings: (n,), in the target's unit.
        clusters: int64 (n,), equal for titles with the same features.
        one_hot: the sets of ``find_one_hot_flags``.
        seed: seeds the orders.

    Returns:
        The importance of each set and each column, the most important first.
    """
    drawn = _draw_rows(len(earnings), _MAX_SHUFFLED, seed)
    features, earnings = features[drawn], earnings[drawn]
    clusters = np.unique(clusters[drawn], return_inverse=True)[1].reshape(-1)
    repeats = next(repeats for max_rows, repeats in _REPEATS if len(drawn) <= max_rows)
    before = np.abs(predict(features) - earnings)
    measured = []
    for columns in [*one_hot, *((index,) for index in range(len(contract.features)))]:
        increase = _measure_increase(predict, features, earnings, before, columns, repeats, seed)
        names = tuple(contract.features[index].name for index in columns)
        measured.append(Importance(names, len(drawn), repeats, clustered_mean(increase, clusters)))
    return sorted(measured, key=lambda importance: -importance.error_change.value)


def _measure_increase(
    predict: PredictFunction,
    features: FloatArray,
    earnings: FloatArray,
    before: FloatArray,
    columns: Sequence[int],
    repeats: int,
    seed: int,
) -> FloatArray:
    """Return the increase of each title's absolute error with some columns shuffled, averaged over the orders."""
    random = np.random.default_rng([seed, 2, *columns])
    shuffled, indices = features.copy(), list(columns)
    total = np.zeros(len(earnings))
    for _ in range(repeats):
        shuffled[:, indices] = features[random.permutation(len(features))][:, indices]
        total += np.abs(predict(shuffled) - earnings) - before  # a column that the network ignores adds exactly 0
    return total / repeats


def measure_dependence(
    contract: Contract, predict: PredictFunction, features: FloatArray, one_hot: Sequence[tuple[int, ...]], seed: int
) -> list[Dependence]:
    """Set each one-hot set of flags, and each other column, to each of its values. See ``measure_importance``."""
    base = features[_draw_rows(len(features), _MAX_SET, seed)]
    in_a_set = {index for flags in one_hot for index in flags}
    measured = [_set_flags(contract, predict, base, flags) for flags in one_hot]
    for index, column in enumerate(contract.features):
        if index in in_a_set:
            continue
        values = _choose_values(features[:, index], column)
        numbers = tuple(None if math.isnan(value) else value for value in values.tolist())
        labels = tuple(
            ("yes" if value else "no") if column.kind == "flag" and value is not None else format_value(cell, column)
            for value, cell in zip(numbers, values, strict=True)
        )
        predictions = np.stack([predict(changed) for changed in _set_column(base, index, values)])
        measured.append(_summarize((column.name,), column.kind, numbers, labels, predictions))
    return measured


def _choose_values(cells: FloatArray, column: Column) -> FloatArray:
    """Choose the values that a column is set to: its most frequent codes, or its values or their quantiles, and NaN."""
    if column.kind == "category":
        codes, rows = np.unique(cells, return_counts=True)
        most_frequent = codes[np.argsort(-rows, kind="stable")][:_MAX_VALUES]
        return np.concatenate([most_frequent[most_frequent != OTHER], most_frequent[most_frequent == OTHER]])
    missing = np.isnan(cells)
    values = np.unique(cells[~missing])
    if len(values) > _MAX_VALUES:
        # A quantile of dates is one of them, not a time between two.
        method: Any = "nearest" if column.kind == "date" else "linear"
        values = np.unique(np.quantile(cells[~missing], np.linspace(0, 1, _MAX_VALUES), method=method))
    return np.append(values, np.nan) if missing.any() else values


def _set_flags(contract: Contract, predict: PredictFunction, base: FloatArray, flags: tuple[int, ...]) -> Dependence:
    predictions, changed = [], base.copy()
    for index in flags:
        changed[:, list(flags)] = 0.0
        changed[:, index] = 1.0
        predictions.append(predict(changed))
    names = tuple(contract.features[index].name for index in flags)
    return _summarize(names, "flags", (), names, np.stack(predictions))


def _set_column(base: FloatArray, index: int, values: FloatArray) -> Iterator[FloatArray]:
    changed = base.copy()
    for value in values:
        changed[:, index] = value
        yield changed


def _summarize(
    columns: tuple[str, ...],
    kind: str,
    values: tuple[float | None, ...],
    labels: tuple[str, ...],
    predictions: FloatArray,
) -> Dependence:
    """Summarize predictions of shape (values, titles)."""
    low, high = np.quantile(predictions - predictions[0], _BAND, axis=1)
    statistics = (tuple(statistic.tolist()) for statistic in (predictions.mean(axis=1), low, high))
    return Dependence(columns, kind, values, labels, predictions.shape[1], *statistics)


def _draw_rows(rows: int, max_rows: int, seed: int) -> IntArray:
    """Draw at most ``max_rows`` rows, in file order."""
    return np.sort(shuffle_rows(rows, seed)[:max_rows]) if rows > max_rows else np.arange(rows)
