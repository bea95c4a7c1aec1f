"""How well do 100 reference titles stand for all training titles when predictions are explained?

The titles are the shipped titles, and the network is that of the default job. The errors are those of the mean
prediction and of the Shapley values, compared with all training titles as references.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.measure import ROOT
from benchmarks.studies import format_row
from benchmarks.studies.many import Recipe, train_networks
from gamesales.arrays import FloatArray, IntArray
from gamesales.data.contract import Contract
from gamesales.data.labeled_titles import LabeledTitles, read_titles
from gamesales.stats.herding import choose_representatives
from gamesales.stats.shapley import compute_shapley_values

COUNT, EXPLAINED, SEEDS = 100, 25, 10
SMALLER = (50, 25)
_SAMPLES = 200

Choose = Callable[[np.random.Generator], IntArray]  # returns the rows of reference titles


def build_lines() -> Iterator[str]:
    """Yield the mean prediction and the mean effect of the text, and then the table."""
    contract = Contract.from_toml(ROOT / "data/contract.toml")
    training, test = (_read(f"data/sales_data_{name}.csv", contract) for name in ("training", "test"))
    (network,) = train_networks(Recipe.of_default_job(), [(training.features, training.earnings)], seed=1)
    titles = test.features[np.random.default_rng(3).choice(len(test), EXPLAINED, replace=False)]

    def predict(rows: FloatArray) -> FloatArray:
        return np.maximum(network(rows), 0.0)

    def explain(references: FloatArray) -> tuple[float, FloatArray]:
        results = [compute_shapley_values(predict, title, references) for title in titles]
        return results[0].mean, np.array([result.values for result in results])

    mean, effects = explain(training.features)
    yield f"mean prediction ${mean:,.0f}, mean absolute effect ${np.abs(effects).mean():,.0f}\n"
    yield format_row(["choice", "mean prediction off by", "root mean square error of an effect"])
    yield "|---|---:|---:|"
    for name, choose in list_choices(training.features, predict(training.features)).items():
        errors = []
        for seed in range(SEEDS if name.startswith("random") else 1):
            chosen_mean, chosen = explain(training.features[choose(np.random.default_rng(seed))])
            errors.append((abs(chosen_mean - mean), np.sqrt(((chosen - effects) ** 2).mean())))
        yield format_row([name, *(f"${error:,.0f}" for error in np.mean(errors, axis=0))])


def list_choices(features: FloatArray, predictions: FloatArray) -> dict[str, Choose]:
    """Return ways to choose reference titles, by name. ``features`` are (n, k), and ``predictions`` are (n,)."""
    both = np.column_stack([features, predictions])
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    order = np.argsort(predictions, kind="stable")

    def choose_at_random(random: np.random.Generator) -> IntArray:
        return random.choice(len(features), COUNT, replace=False)

    def choose_best_sample(random: np.random.Generator) -> IntArray:
        columns = (both - both.mean(axis=0)) / both.std(axis=0)
        samples = [choose_at_random(random) for _ in range(_SAMPLES)]
        return min(samples, key=lambda rows: float((columns[rows].mean(axis=0) ** 2).sum()))

    def choose_nearest_to_centers(random: np.random.Generator) -> IntArray:
        from sklearn.cluster import KMeans

        centers = KMeans(COUNT, n_init=1, random_state=int(random.integers(1 << 31))).fit(scaled).cluster_centers_
        return np.array([((scaled - center) ** 2).sum(axis=1).argmin() for center in centers])

    def choose_quantiles(_: np.random.Generator) -> IntArray:
        return order[((np.arange(COUNT) + 0.5) * len(order) / COUNT).astype(int)]

    def herd(values: FloatArray, count: int = COUNT) -> Choose:
        return lambda _: choose_representatives(values, count, seed=1)

    return {
        f"random (mean of {SEEDS} seeds)": choose_at_random,
        f"the best of {_SAMPLES} random samples, by means": choose_best_sample,
        "k-means, nearest titles": choose_nearest_to_centers,
        "quantiles of the prediction": choose_quantiles,
        "herding over the features": herd(features),
        "herding over features and prediction": herd(both),
        **{f"the same, {count} titles": herd(both, count) for count in SMALLER},
    }


def _read(path: str, contract: Contract) -> LabeledTitles:
    return read_titles(Path(ROOT / path), contract)
