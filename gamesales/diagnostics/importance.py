"""What a version makes of each column, in dollars: permutation importance and partial dependence.

Importance is by how much the average error grows when a column is shuffled among the titles, so that it tells nothing
about its own any more: Breiman, "Random forests", *Machine Learning* 45, 2001. Dependence is what the version predicts
on average with a column set to one value for all titles (Friedman, "Greedy function approximation", *Annals of
Statistics* 29, 2001), with the spread over single titles (Goldstein, Kapelner, Bleich and Pitkin, "Peeking inside the
black box", *Journal of Computational and Graphical Statistics* 24, 2015). Flags of which one is always set are taken
together: there is no title of two genres.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gamesales.arrays import FloatArray, IntArray
from gamesales.data.contract import Contract
from gamesales.diagnostics import groups as families
from gamesales.stats import clustered as means
from gamesales.training.folds import Predict, shuffled

# Titles that are shuffled, and titles whose column is set; of more, so many are drawn.
MOST_SHUFFLED = 20_000
MOST_SET = 1_000
# A column is shuffled so often; the more titles, the less one order matters.
_REPEATS_OF = ((2_000, 20), (MOST_SHUFFLED, 5))
# A column of more values than this is set to so many quantiles.
_MOST_VALUES = 12
# Eight of ten titles lie within.
BAND = (0.1, 0.9)


@dataclass(frozen=True)
class Importance:
    """By how many dollars the average error grows when these columns are shuffled, with 95 % bounds."""

    columns: tuple[str, ...]
    rows: int
    repeats: int
    error_change: means.Estimate


@dataclass(frozen=True)
class Dependence:
    """What a version predicts with some columns set to each of some values.

    ``values`` are those of one column, ``labels`` how they are read; of several flags, labels are the names of those
    set. ``mean`` is the average prediction; ``low`` and ``high`` are by how many dollars single titles
    change since the first value: the 10 % and the 90 % point.
    """

    columns: tuple[str, ...]
    kind: str
    values: tuple[float, ...]
    labels: tuple[str, ...]
    rows: int
    prediction_mean: tuple[float, ...]
    prediction_low: tuple[float, ...]
    prediction_high: tuple[float, ...]


def importance(
    contract: Contract,
    predict: Predict,
    titles: tuple[FloatArray, FloatArray],
    clusters: IntArray,
    groups: Sequence[tuple[int, ...]],
    seed: int,
) -> list[Importance]:
    """Shuffle each column in turn, and each group of flags together; the most important first.

    Args:
        contract: names the columns.
        predict: (n, k) to (n,), US dollars.
        titles: features (n, k) and what they earned, (n,), n > 0.
        clusters: int64 (n,), alike for titles with the same features.
        groups: see ``families.one_hot``.
        seed: the same seed, the same orders.
    """
    drawn = some(len(titles[1]), MOST_SHUFFLED, seed)
    features, earned, clusters = titles[0][drawn], titles[1][drawn], np.unique(clusters[drawn], return_inverse=True)[1]
    repeats = next(times for rows, times in _REPEATS_OF if len(drawn) <= rows)
    before = np.abs(predict(features) - earned)
    found = []
    for columns in [*groups, *((place,) for place in range(len(contract.features)))]:
        grown = _grown(predict, features, earned, before, columns, repeats, seed)
        names = tuple(contract.features[place].name for place in columns)
        found.append(Importance(names, len(drawn), repeats, means.mean(grown, clusters.reshape(-1))))
    return sorted(found, key=lambda one: -one.error_change.value)


def _grown(
    predict: Predict,
    features: FloatArray,
    earned: FloatArray,
    before: FloatArray,
    columns: Sequence[int],
    repeats: int,
    seed: int,
) -> FloatArray:
    """Return by how much each title's error grows with some columns shuffled, on average over the orders."""
    random = np.random.default_rng([seed, 2, *columns])
    shuffled_features, places = features.copy(), list(columns)
    total = np.zeros(len(earned))
    for _ in range(repeats):
        shuffled_features[:, places] = features[random.permutation(len(features))][:, places]
        total += np.abs(predict(shuffled_features) - earned) - before  # what is not looked at adds exactly 0
    return total / repeats


def dependence(
    contract: Contract, predict: Predict, features: FloatArray, groups: Sequence[tuple[int, ...]], seed: int
) -> list[Dependence]:
    """Set each column, or each group of flags, to each of its values in turn.

    Args: predict: (n, k) to (n,), US dollars; features: (n, k), n > 0; groups: see ``families.one_hot``.
    """
    base = features[some(len(features), MOST_SET, seed)]
    grouped = {place for group in groups for place in group}
    found = [_of_group(contract, predict, base, group) for group in groups]
    for place, column in enumerate(contract.features):
        if place not in grouped:
            values = _values(features[:, place])
            labels = tuple(
                ("yes" if value else "no") if column.kind == "flag" else families.written(value, column)
                for value in values
            )
            lines = np.stack([predict(made) for made in _set(base, place, values)])
            found.append(_dependence((column.name,), column.kind, tuple(map(float, values)), labels, lines))
    return found


def _of_group(contract: Contract, predict: Predict, base: FloatArray, group: Sequence[int]) -> Dependence:
    lines, made = [], base.copy()
    for place in group:
        made[:, list(group)] = 0.0
        made[:, place] = 1.0
        lines.append(predict(made))
    names = tuple(contract.features[place].name for place in group)
    return _dependence(names, "flags", (), names, np.stack(lines))


def _dependence(
    columns: tuple[str, ...], kind: str, values: tuple[float, ...], labels: tuple[str, ...], lines: FloatArray
) -> Dependence:
    low, high = np.quantile(lines - lines[0], BAND, axis=1)
    centers = lines.mean(axis=1)
    return Dependence(
        columns, kind, values, labels, lines.shape[1], *(tuple(one.tolist()) for one in (centers, low, high))
    )


def _values(column: FloatArray) -> FloatArray:
    distinct = np.unique(column)
    if len(distinct) <= _MOST_VALUES:
        return distinct
    return np.unique(np.quantile(column, np.linspace(0, 1, _MOST_VALUES)))


def _set(base: FloatArray, place: int, values: FloatArray) -> Iterator[FloatArray]:
    made = base.copy()
    for value in values:
        made[:, place] = value
        yield made


def some(rows: int, most: int, seed: int) -> IntArray:
    """Draw so many of the rows, in file order; all of them, where they are not more."""
    return np.sort(shuffled(rows, seed)[:most]) if rows > most else np.arange(rows)
