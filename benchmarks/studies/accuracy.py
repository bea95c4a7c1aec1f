"""Which network is the best, and which training? The record of experiments behind ``jobs/train.toml``.

Each candidate has five-fold cross-validations of a file, plain and grouped by the features, with five seeds; and forty
networks that are trained on the shipped training titles, and measured on the shipped test titles.
"""

import os
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from benchmarks.measure import ROOT
from benchmarks.studies.many import Recipe, Rows, train_networks
from gamesales.arrays import FloatArray, IntArray
from gamesales.data.contract import Contract
from gamesales.data.labeled_titles import read_titles
from gamesales.data.simulate import compute_expected_earnings
from gamesales.training.folds import make_grouped_folds, make_plain_folds

FOLDS = 5
SEEDS = range(5)
NETWORKS = 40
CONTRACT = ROOT / "data/contract.toml"

DEFAULT = Recipe.of_default_job()
COURSE = Recipe((50, 100, 50), "relu", 50, 32, 0.001, decays=False)
SHORT = Recipe((32, 32), "silu", 200, 32, 0.01)
CANDIDATES = (
    COURSE,
    replace(COURSE, epochs=200, learning_rate=0.01, decays=True),
    *(replace(SHORT, activation=activation) for activation in ("relu", "tanh", "softplus", "gelu", "silu")),
    *(replace(SHORT, hidden=hidden) for hidden in ((64,), (16, 16), (64, 64), (50, 100, 50))),
    *(replace(SHORT, epochs=400, batch_size=batch_size) for batch_size in (32, 64, 16)),
    *(replace(DEFAULT, learning_rate=rate) for rate in (0.01, 0.03, 0.05)),
    *(replace(DEFAULT, hidden=hidden) for hidden in ((8, 8), (8, 8, 8), (16, 16))),
    replace(DEFAULT, hidden=(16, 16), epochs=400),
    *(replace(DEFAULT, hidden=hidden) for hidden in ((32, 32), (24, 24, 24))),
    replace(DEFAULT, epochs=400),
    DEFAULT,
)


def build_lines() -> Iterator[str]:
    """Yield the table: a candidate per row, with its errors as scaled MSE in units of 1e-5."""
    past, test = read_rows("data/sales_data_training.csv"), read_rows("data/sales_data_test.csv")
    span = float(np.ptp(past[1]))
    names = Contract.from_toml(CONTRACT).feature_names
    formulas = [compute_expected_earnings(dict(zip(names, rows[0].T, strict=True))) for rows in (past, test)]
    errors = [compute_error(formula, rows[1], span) for formula, rows in zip(formulas, (past, test), strict=True)]
    yield f"the formula itself: {errors[0]:.2f} on the training titles, {errors[1]:.2f} on the test titles\n"
    path = os.environ.get("TITLES")
    files = {"simulated store": past} | ({"`TITLES`": read_rows(path)} if path else {})
    columns = [f"{kind}, {name}" for name in files for kind in ("plain", "grouped")]
    yield f"| network | weights | epochs, batch, rate | {' | '.join(columns)} | test titles, {NETWORKS} networks |"
    yield f"|---|---|---|{'---|' * (len(columns) + 1)}"
    for recipe in CANDIDATES:
        errors = [cross_validate(recipe, rows, grouped) for rows in files.values() for grouped in (False, True)]
        cells = [f"{np.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})" for values in errors]
        networks = train_networks(recipe, [past] * NETWORKS, 1)
        tested = sorted(compute_error(predict(test[0]), test[1], span) for predict in networks)
        cells.append(f"{np.median(tested):.2f} ({tested[0]:.2f} to {tested[-1]:.2f})")
        yield f"| {describe_recipe(recipe)} | {' | '.join(cells)} |"


def cross_validate(recipe: Recipe, rows: Rows, grouped: bool) -> list[float]:
    """Return the error of each seed's cross-validation, as scaled MSE in units of 1e-5."""
    features, earnings = rows
    folds: list[IntArray] = []
    for seed in SEEDS:
        folds += make_grouped_folds(features, FOLDS, seed) if grouped else make_plain_folds(len(features), FOLDS, seed)
    others = [np.setdiff1d(np.arange(len(earnings)), fold) for fold in folds]
    networks = train_networks(recipe, [(features[rest], earnings[rest]) for rest in others], 1)
    predicted = np.empty((len(SEEDS), len(earnings)))
    for place, (fold, predict) in enumerate(zip(folds, networks, strict=True)):
        predicted[place // FOLDS, fold] = predict(features[fold])
    return [compute_error(row, earnings, float(np.ptp(earnings))) for row in predicted]


def compute_error(predicted: FloatArray, earnings: FloatArray, span: float) -> float:
    return 1e5 * float(np.mean(((predicted - earnings) / span) ** 2))


def describe_recipe(recipe: Recipe) -> str:
    rate = f"{recipe.learning_rate:g}{'' if recipe.decays else ', constant'}"
    suffix = {DEFAULT: ", **default job**", COURSE: ", course"}.get(recipe, "")
    name = f"{'-'.join(map(str, recipe.hidden))}, {recipe.activation}{suffix}"
    return f"{name} | {recipe.parameters:,} | {recipe.epochs}, {recipe.batch_size}, {rate}"


def read_rows(path: str) -> Rows:
    titles = read_titles(ROOT / path, Contract.from_toml(CONTRACT))
    return titles.features, titles.earnings
