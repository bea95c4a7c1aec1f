"""Do prediction intervals hold the share of titles that they promise? Asked over many random divisions of a file.

Each division trains the network of the default job, and calibrates it, as ``gamesales train`` does; what is held back
then says how many titles the intervals hold. The network is that of ``jobs/train.toml``, in NumPy: dense layers, silu,
Adam and its schedule, some thirty times faster than Keras on so few titles.
"""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from benchmarks.assets import ROOT
from gamesales.data.contract import Contract
from gamesales.jobs.titles import Titles, read_titles
from gamesales.model import calibration, folds
from gamesales.scoring.intervals import Interval

DIVISIONS = 100
# Titles that each division holds back; the others train.
HELD_BACK = 0.2
COVERAGES = (0.8, 0.9, 0.95)
FOLDS = 5
CALIBRATION_SHARE = 0.2


def lines() -> Iterator[str]:
    """Yield the rows of the table: for each file and method, coverage and width over the divisions."""
    yield f"{DIVISIONS} divisions, {100 * HELD_BACK:.0f} % held back\n"
    yield "| titles | method | asked | held, mean | least to most | median width |"
    yield "|---|---|---|---|---|---|"
    files = {"the simulated store's": "data/sales_data_training.csv", "those of `TITLES`": os.environ.get("TITLES")}
    for name, path in files.items():
        if not path:
            continue
        titles = read_titles(ROOT / path, Contract.from_toml(ROOT / "data/contract.toml"))
        for method in ("cv", "split"):
            found = [_division(titles, method, seed) for seed in range(DIVISIONS)]
            for place, coverage in enumerate(COVERAGES):
                held, width = np.array(found)[:, place].T
                yield (
                    f"| {name} | {method} | {100 * coverage:.0f} % | {100 * held.mean():.1f} % "
                    f"| {100 * held.min():.1f} % to {100 * held.max():.1f} % | ${np.median(width):,.0f} |"
                )


def _division(titles: Titles, method: str, seed: int) -> list[tuple[float, float]]:
    """Return, for each coverage, the share that is held and the median width in dollars."""
    past, test = map(titles.take, calibration.set_aside(len(titles), HELD_BACK, seed + 1_000))
    if method == "split":
        learnt, aside = map(past.take, calibration.set_aside(len(past), CALIBRATION_SHARE, seed))
        predict = learn(learnt.features, learnt.earnings_usd, seed)
        scale = calibration.fit_scale(predict(learnt.features), learnt.earnings_usd)
        predicted, actual = predict(aside.features), aside.earnings_usd
    else:
        predict, actual = learn(past.features, past.earnings_usd, seed), past.earnings_usd
        parts = folds.cut(len(past), FOLDS, seed)
        predicted = folds.out_of_fold(lambda x, y: learn(x, y, seed), past.features, actual, parts)
        scale = calibration.fit_scale(predicted, actual)
    found = calibration.scores(predicted, actual, *scale)
    answers = predict(test.features)
    results = []
    for coverage in COVERAGES:
        interval = Interval(coverage, *scale, calibration.conformal_quantile(found, coverage), whole_dollars=True)
        low, high = interval.bounds(answers)
        results.append((float(interval.holds(answers, test.earnings_usd).mean()), float(np.median(high - low))))
    return results


def learn(features: np.ndarray, earnings_usd: np.ndarray, seed: int) -> folds.Predict:
    """Train the default job's network in NumPy; returns what predicts dollars from features."""
    lowest, span = features.min(0), np.ptp(features, 0)
    bottom, top = earnings_usd.min(), earnings_usd.max()
    network = Network(features.shape[1], np.random.default_rng(seed))
    network.fit((features - lowest) / np.where(span > 0, span, 1), (earnings_usd - bottom) / (top - bottom))
    return lambda values: bottom + (top - bottom) * network.predict((values - lowest) / np.where(span > 0, span, 1))


class Network:
    """Dense layers with silu between them, float32, initialised as Keras does (Glorot's uniform; biases 0)."""

    def __init__(self, features: int, random: np.random.Generator) -> None:
        job = tomllib.loads((ROOT / "jobs/train.toml").read_text(encoding="utf-8"))
        self.training, self.random = job["training"], random
        sizes = [features, *(layer["units"] for layer in job["network"]["layers"])]
        shapes = [shape for before, after in pairwise(sizes) for shape in ((before, after), (after,))]
        self.flat = np.zeros(sum(map(math.prod, shapes)), np.float32)
        ends = np.cumsum([math.prod(shape) for shape in shapes])
        self.weights = [part.reshape(shape) for part, shape in zip(np.split(self.flat, ends[:-1]), shapes, strict=True)]
        for weight in self.weights[::2]:
            limit = np.sqrt(6 / sum(weight.shape))
            weight[:] = random.uniform(-limit, limit, weight.shape)

    def fit(self, x: np.ndarray, y: np.ndarray) -> None:
        """Adam in shuffled batches, its rate falling by half a cosine."""
        x, y = x.astype(np.float32), y.astype(np.float32)[:, None]
        schedule, size, step = self.training["schedule"], self.training["batch_size"], 0
        last = schedule["decay_epochs"] * -(-len(y) // size)
        mean, square = np.zeros_like(self.flat), np.zeros_like(self.flat)
        for _ in range(self.training["epochs"]):
            order = self.random.permutation(len(y))
            for batch in np.split(order, range(size, len(order), size)):
                slope = self.slope(x[batch], y[batch])
                rate = schedule["initial_learning_rate"] * (1 + math.cos(math.pi * min(step / last, 1))) / 2
                step += 1
                rate *= math.sqrt(1 - 0.999**step) / (1 - 0.9**step)
                mean += 0.1 * (slope - mean)
                square += 0.001 * (slope**2 - square)
                self.flat -= rate * mean / (np.sqrt(square) + 1e-7)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return (n,) for (n, k), scaled."""
        return self._forward(x.astype(np.float32))[-1][:, 0].astype(np.float64)

    def _forward(self, x: np.ndarray) -> list[np.ndarray]:
        """Return what goes into each layer and what comes out last, before their activations but for the first."""
        passed = [x]
        for place in range(0, len(self.weights), 2):
            values = passed[-1] if place == 0 else passed[-1] * _sigmoid(passed[-1])
            passed.append(values @ self.weights[place] + self.weights[place + 1])
        return passed

    def slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the derivative of the mean squared error by every weight, in one row."""
        passed = self._forward(x)
        back, slopes = 2 * (passed[-1] - y) / len(y), []
        for place in range(len(self.weights) - 2, -1, -2):
            before = passed[place // 2]
            chance = _sigmoid(before)
            values = before if place == 0 else before * chance
            slopes += [back.sum(0), values.T @ back]
            back = back @ self.weights[place].T * (chance + before * chance * (1 - chance))
        return np.concatenate([slope.ravel() for slope in slopes[::-1]])


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))
