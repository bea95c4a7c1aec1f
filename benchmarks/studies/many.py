"""Training many small networks at once, for studies that need hundreds.

Dense layers, one activation between them, Adam in shuffled batches with a rate that falls by half a cosine, the mean
squared error: what `jobs/train.toml` says, and Keras does one network at a time. Here the networks share each step: a
batch of matrices is multiplied, one for each network, and TensorFlow compiles the epoch. Networks differ in their first
weights, in the order of their rows, and in their rows.
"""

from __future__ import annotations

import math
import tomllib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Self

import numpy as np

from benchmarks.assets import ROOT
from gamesales.training.folds import FloatArray, Predict
from gamesales.training.network import load_keras

Rows = tuple[FloatArray, FloatArray]
# Adam's, as Keras has them.
_MEAN, _SQUARE, _TINY = 0.9, 0.999, 1e-7


@dataclass(frozen=True)
class Recipe:
    """A network and how it learns: the units of its hidden layers, their activation, and the training."""

    hidden: tuple[int, ...]
    activation: str
    epochs: int
    batch_size: int
    learning_rate: float
    falls: bool = True

    @classmethod
    def of_default_job(cls) -> Self:
        """Return what ``jobs/train.toml`` says."""
        job = tomllib.loads((ROOT / "jobs/train.toml").read_text(encoding="utf-8"))
        *hidden, _ = job["network"]["layers"]
        (activation,) = {layer["activation"] for layer in hidden}
        training, schedule = job["training"], job["training"]["schedule"]
        told = schedule["name"], schedule["decay_epochs"], training["optimizer"]["name"], training["loss"]
        assert told == ("CosineDecay", training["epochs"], "Adam", "mean_squared_error"), told
        units = tuple(layer["units"] for layer in hidden)
        return cls(units, activation, training["epochs"], training["batch_size"], schedule["initial_learning_rate"])

    def __str__(self) -> str:
        return "-".join(map(str, self.hidden))

    @property
    def parameters(self) -> int:
        """The weights of a network on nine features."""
        return sum((before + 1) * after for before, after in pairwise((9, *self.hidden, 1)))

    def with_(self, **changes: Any) -> Self:
        """Return another, changed in some of its fields."""
        return replace(self, **changes)


def learn(recipe: Recipe, sets: Sequence[Rows], seed: int) -> list[Predict]:
    """Train a network on each set of titles, scaled by these alone.

    Args: sets: features (n, k) and earnings (n,) of each, in their own units; n may differ.
    Returns: for each set what predicts dollars, (m,), from features, (m, k).
    """
    alike = defaultdict(list)
    for place, (_, earnings) in enumerate(sets):
        alike[len(earnings)].append(place)
    learnt: dict[int, Predict] = {}
    for places in alike.values():
        scaled = [_scale(*sets[place]) for place in places]
        features, target = (np.stack(parts).astype(np.float32) for parts in zip(*scaled, strict=True))
        weights = _fit(recipe, features, target[..., None], np.random.default_rng([seed, len(target[0])]))
        for number, place in enumerate(places):
            learnt[place] = _predictor(recipe, [weight[number] for weight in weights], *sets[place])
    return [learnt[place] for place in range(len(sets))]


def _scale(features: FloatArray, earnings: FloatArray) -> Rows:
    span = np.ptp(features, 0)
    scaled = (features - features.min(0)) / np.where(span > 0, span, 1)
    return scaled, (earnings - earnings.min()) / np.ptp(earnings)


def _predictor(recipe: Recipe, weights: list[Any], features: FloatArray, earnings: FloatArray) -> Predict:
    lowest, span = features.min(0), np.ptp(features, 0)
    bottom, reach = earnings.min(), np.ptp(earnings)

    def predict(values: FloatArray) -> FloatArray:
        scaled = ((values - lowest) / np.where(span > 0, span, 1)).astype(np.float32)
        found: FloatArray = _forward(recipe, weights, scaled).numpy()[:, 0].astype(np.float64)
        return bottom + reach * found

    return predict


def _forward(recipe: Recipe, weights: Sequence[Any], values: Any) -> Any:
    """Run the layers: of each network its own rows, (e, n, k) to (e, n, 1), or of one, (n, k) to (n, 1)."""
    import tensorflow as tf

    activation = getattr(tf.nn, recipe.activation)
    *hidden, (kernel, bias) = zip(weights[::2], weights[1::2], strict=True)
    for weight, shift in hidden:
        values = activation(tf.matmul(values, weight) + shift)
    return tf.matmul(values, kernel) + bias


def _fit(recipe: Recipe, features: Any, target: Any, random: np.random.Generator) -> list[Any]:
    """Train from Glorot's uniform weights: (e, n, k) and (e, n, 1) to kernels (e, i, o) and biases (e, 1, o)."""
    load_keras()
    import tensorflow as tf

    networks, rows, columns = features.shape
    weights = []
    for before, after in pairwise((columns, *recipe.hidden, 1)):
        limit = math.sqrt(6 / (before + after))
        weights.append(random.uniform(-limit, limit, (networks, before, after)).astype(np.float32))
        weights.append(np.zeros((networks, 1, after), np.float32))
    state = [list(map(tf.constant, weights)), *([tf.zeros_like(one) for one in weights] for _ in range(2))]
    steps = -(-rows // recipe.batch_size)
    epoch = tf.function(
        _epoch(recipe, tf.constant(features), tf.constant(target), steps), jit_compile=True, autograph=False
    )
    for number in range(recipe.epochs):
        order = random.permuted(np.tile(np.arange(rows, dtype=np.int32), (networks, 1)), axis=1)
        state = epoch(tf.constant(order), tf.constant(float(number * steps)), *state)
    return [weight.numpy() for weight in state[0]]


def _epoch(recipe: Recipe, features: Any, target: Any, steps: int) -> Any:
    """Return what takes all rows once, in the order given: (e, n)."""
    import tensorflow as tf

    def step(rows: Any, count: Any, weights: Any, means: Any, squares: Any) -> Any:
        x, y = (tf.gather(values, rows, batch_dims=1) for values in (features, target))
        with tf.GradientTape() as tape:
            tape.watch(weights)
            loss = tf.reduce_sum(tf.reduce_mean((_forward(recipe, weights, x) - y) ** 2, axis=[1, 2]))
        slopes = tape.gradient(loss, weights)
        done = count / (steps * recipe.epochs)
        rate = recipe.learning_rate * ((1 + tf.cos(math.pi * done)) / 2 if recipe.falls else 1.0)
        rate *= tf.sqrt(1 - _SQUARE ** (count + 1)) / (1 - _MEAN ** (count + 1))
        means = [_MEAN * mean + (1 - _MEAN) * slope for mean, slope in zip(means, slopes, strict=True)]
        squares = [_SQUARE * square + (1 - _SQUARE) * slope**2 for square, slope in zip(squares, slopes, strict=True)]
        moves = [rate * mean / (tf.sqrt(square) + _TINY) for mean, square in zip(means, squares, strict=True)]
        return [weight - move for weight, move in zip(weights, moves, strict=True)], means, squares

    def epoch(order: Any, before: Any, weights: Any, means: Any, squares: Any) -> Any:
        size, full = recipe.batch_size, order.shape[1] // recipe.batch_size

        def batch(number: Any, *state: Any) -> Any:
            rows = tf.slice(order, [0, number * size], [order.shape[0], size])
            return number + 1, *step(rows, before + tf.cast(number, tf.float32), *state)

        _, *state = tf.while_loop(lambda number, *_: number < full, batch, (0, weights, means, squares))
        if full < steps:
            state = step(order[:, full * size :], before + float(full), *state)
        return state

    return epoch
