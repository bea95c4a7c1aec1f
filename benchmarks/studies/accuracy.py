"""Which network, and how trained? The record of experiments behind ``jobs/train.toml`` and the course beside it.

For each candidate: five-fold cross-validation of a file, plain and grouped by the features, with five seeds that cut
anew; and forty networks that learn the shipped training titles, on the shipped test titles.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.assets import ROOT
from benchmarks.studies.many import Recipe, Rows, learn
from gamesales.data.contract import Contract
from gamesales.data.labeled_titles import read_titles
from gamesales.data.simulate import expected_earnings
from gamesales.training import folds

FOLDS = 5
SEEDS = range(5)
NETWORKS = 40

DEFAULT = Recipe.of_default_job()
COURSE = Recipe((50, 100, 50), "relu", 50, 32, 0.001, falls=False)
SHORT = Recipe((32, 32), "silu", 200, 32, 0.01)
CANDIDATES = (
    COURSE,
    COURSE.with_(epochs=200, learning_rate=0.01, falls=True),
    *(SHORT.with_(activation=activation) for activation in ("relu", "tanh", "softplus", "gelu", "silu")),
    SHORT.with_(hidden=(64,)),
    SHORT.with_(hidden=(16, 16)),
    SHORT.with_(hidden=(64, 64)),
    SHORT.with_(hidden=(50, 100, 50)),
    SHORT.with_(epochs=400),
    SHORT.with_(epochs=400, batch_size=64),
    SHORT.with_(epochs=400, batch_size=16),
    DEFAULT.with_(learning_rate=0.01),
    DEFAULT.with_(learning_rate=0.03),
    DEFAULT.with_(learning_rate=0.05),
    DEFAULT.with_(hidden=(8, 8)),
    DEFAULT.with_(hidden=(8, 8, 8)),
    DEFAULT.with_(hidden=(16, 16)),
    DEFAULT.with_(hidden=(16, 16), epochs=400),
    DEFAULT.with_(hidden=(32, 32)),
    DEFAULT.with_(hidden=(24, 24, 24)),
    DEFAULT.with_(epochs=400),
    DEFAULT,
)

Cut = Callable[[int], list[folds.IntArray]]


def lines() -> Iterator[str]:
    """Yield the table: a candidate a row, its errors as scaled MSE in units of 1e-5."""
    past, test = _titles("data/sales_data_training.csv"), _titles("data/sales_data_test.csv")
    span = float(np.ptp(past[1]))
    best = [1e5 * _error(_formula(features), earnings, span) for features, earnings in (past, test)]
    yield f"the formula itself: {best[0]:.2f} on the training titles, {best[1]:.2f} on the test titles\n"
    named = os.environ.get("TITLES")
    files = {"the simulated store": past} | ({"`TITLES`": _titles(named)} if named else {})
    cut = [f"{kind}, {name}" for name in files for kind in ("plain", "grouped")]
    yield f"| network | weights | epochs, batch, rate | {' | '.join(cut)} | test titles, {NETWORKS} networks |"
    yield f"|---|---|---|{'---|' * (len(cut) + 1)}"
    for recipe in CANDIDATES:
        crossed = [cross_validated(recipe, rows, grouped) for rows in files.values() for grouped in (False, True)]
        cells = [f"{np.mean(found):.2f} ({min(found):.2f} to {max(found):.2f})" for found in crossed]
        held = sorted(1e5 * _error(predict(test[0]), test[1], span) for predict in learn(recipe, [past] * NETWORKS, 1))
        cells.append(f"{np.median(held):.2f} ({held[0]:.2f} to {held[-1]:.2f})")
        yield f"| {_described(recipe)} | {' | '.join(cells)} |"


def cross_validated(recipe: Recipe, rows: Rows, grouped: bool) -> list[float]:
    """Return the error of each seed's cross-validation, scaled by the range of all titles, in units of 1e-5."""
    features, earnings = rows
    everything = np.arange(len(earnings))
    cuts = [
        folds.cut_grouped(features, FOLDS, seed) if grouped else folds.cut(len(features), FOLDS, seed) for seed in SEEDS
    ]
    parts = [part for cut in cuts for part in cut]
    others = [np.setdiff1d(everything, part) for part in parts]
    learnt = learn(recipe, [(features[rest], earnings[rest]) for rest in others], 1)
    span, found = float(np.ptp(earnings)), np.empty((len(SEEDS), len(earnings)))
    for place, (part, predict) in enumerate(zip(parts, learnt, strict=True)):
        found[place // FOLDS, part] = predict(features[part])
    return [1e5 * _error(predicted, earnings, span) for predicted in found]


def _formula(features: folds.FloatArray) -> folds.FloatArray:
    """Return what titles earn on average in the simulated store, (n,), from (n, k)."""
    names = Contract.from_toml(_CONTRACT).feature_names
    return expected_earnings(dict(zip(names, features.T, strict=True)))


def _error(predicted: folds.FloatArray, earnings: folds.FloatArray, span: float) -> float:
    return float(np.mean(((predicted - earnings) / span) ** 2))


def _described(recipe: Recipe) -> str:
    rate = f"{recipe.learning_rate:g}{'' if recipe.falls else ', constant'}"
    name = f"{recipe}, {recipe.activation}{', **default job**' if recipe == DEFAULT else ''}"
    name += ", the course's" if recipe == COURSE else ""
    return f"{name} | {recipe.parameters:,} | {recipe.epochs}, {recipe.batch_size}, {rate}"


_CONTRACT = ROOT / "data/contract.toml"


def _titles(path: str) -> Rows:
    titles = read_titles(ROOT / path, Contract.from_toml(_CONTRACT))
    return titles.features, titles.earnings
