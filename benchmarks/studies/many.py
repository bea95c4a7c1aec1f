"""Train many small networks together, for studies that need hundreds.

The networks have Dense layers with one activation between them. They are trained with Adam on the mean squared error in
shuffled batches, with a rate that falls by half a cosine, as Keras trains the network of ``jobs/train.toml``. Here the
networks share each step: a matrix product has one matrix per network, and TensorFlow compiles the epoch. Networks
differ in their first weights, in the order of their rows, and in their rows.
"""

import math
import tomllib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np

from benchmarks.measure import ROOT
from gamesales.arrays import FloatArray
from gamesales.training.fit import PredictFunction
from gamesales.training.keras_objects import load_keras

Rows = tuple[FloatArray, FloatArray]  # features (n, k) and earnings (n,)
# The constants of Adam in Keras.
_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7


@dataclass(frozen=True)
class Recipe:
    """The units of the hidden layers, their activation, and the training."""

    hidden: tuple[int, ...]
    activation: str
    epochs: int
    batch_size: int
    learning_rate: float
    decays: bool = True

    @classmethod
    def of_default_job(cls) -> Self:
        job = tomllib.loads((ROOT / "jobs/train.toml").read_text(encoding="utf-8"))
        *hidden, _ = job["network"]["layers"]
        (activation,) = {layer["activation"] for layer in hidden}
        training, schedule = job["training"], job["training"]["schedule"]
        values = schedule["name"], schedule["decay_epochs"], training["optimizer"]["name"], training["loss"]
        assert values == ("CosineDecay", training["epochs"], "Adam", "mean_squared_error"), values
        units = tuple(layer["units"] for layer in hidden)
        return cls(units, activation, training["epochs"], training["batch_size"], schedule["initial_learning_rate"])

    @property
    def parameters(self) -> int:
        return sum((inputs + 1) * units for inputs, units in pairwise((9, *self.hidden, 1)))


def train_networks(recipe: Recipe, sets: Sequence[Rows], seed: int) -> list[PredictFunction]:
    """Train a network on each set of titles, scaled by the set; return functions from features to earnings."""
    by_size = defaultdict(list)
    for place, (_, earnings) in enumerate(sets):
        by_size[len(earnings)].append(place)
    networks: dict[int, PredictFunction] = {}
    for places in by_size.values():
        scaled = [_scale(*sets[place]) for place in places]
        features, target = (np.stack(parts).astype(np.float32) for parts in zip(*scaled, strict=True))
        weights = _fit(recipe, features, target[..., None], np.random.default_rng([seed, len(target[0])]))
        for number, place in enumerate(places):
            networks[place] = _make_predictor(recipe, [weight[number] for weight in weights], *sets[place])
    return [networks[place] for place in range(len(sets))]


def _scale(features: FloatArray, earnings: FloatArray) -> Rows:
    span = np.ptp(features, 0)
    scaled = (features - features.min(0)) / np.where(span > 0, span, 1)
    return scaled, (earnings - earnings.min()) / np.ptp(earnings)


def _make_predictor(recipe: Recipe, weights: list[Any], features: FloatArray, earnings: FloatArray) -> PredictFunction:
    low, span = features.min(0), np.ptp(features, 0)
    target_low, target_span = earnings.min(), np.ptp(earnings)

    def predict(values: FloatArray) -> FloatArray:
        scaled = ((values - low) / np.where(span > 0, span, 1)).astype(np.float32)
        predicted: FloatArray = _apply(recipe, weights, scaled).numpy()[:, 0].astype(np.float64)
        return target_low + target_span * predicted

    return predict


def _apply(recipe: Recipe, weights: Sequence[Any], values: Any) -> Any:
    """Apply the layers of many networks, (e, n, k) to (e, n, 1), or of a single network, (n, k) to (n, 1)."""
    import tensorflow as tf

    activation = getattr(tf.nn, recipe.activation)
    *hidden, (kernel, bias) = zip(weights[::2], weights[1::2], strict=True)
    for weight, offset in hidden:
        values = activation(tf.matmul(values, weight) + offset)
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
    state = [list(map(tf.constant, weights)), *([tf.zeros_like(weight) for weight in weights] for _ in range(2))]
    steps = -(-rows // recipe.batch_size)
    epoch = _make_epoch(recipe, tf.constant(features), tf.constant(target), steps)
    epoch = tf.function(epoch, jit_compile=True, autograph=False)
    for number in range(recipe.epochs):
        order = random.permuted(np.tile(np.arange(rows, dtype=np.int32), (networks, 1)), axis=1)
        state = epoch(tf.constant(order), tf.constant(float(number * steps)), *state)
    return [weight.numpy() for weight in state[0]]


def _make_epoch(recipe: Recipe, features: Any, target: Any, steps: int) -> Any:
    """Return a function that trains on all rows once, in an order (e, n)."""
    import tensorflow as tf

    def step(rows: Any, count: Any, weights: Any, means: Any, squares: Any) -> Any:
        x, y = (tf.gather(values, rows, batch_dims=1) for values in (features, target))
        with tf.GradientTape() as tape:
            tape.watch(weights)
            loss = tf.reduce_sum(tf.reduce_mean((_apply(recipe, weights, x) - y) ** 2, axis=[1, 2]))
        gradients = tape.gradient(loss, weights)
        done = count / (steps * recipe.epochs)
        rate = recipe.learning_rate * ((1 + tf.cos(math.pi * done)) / 2 if recipe.decays else 1.0)
        rate *= tf.sqrt(1 - _BETA_2 ** (count + 1)) / (1 - _BETA_1 ** (count + 1))
        means = [_BETA_1 * mean + (1 - _BETA_1) * gradient for mean, gradient in zip(means, gradients, strict=True)]
        squares = [
            _BETA_2 * square + (1 - _BETA_2) * gradient**2 for square, gradient in zip(squares, gradients, strict=True)
        ]
        moves = [rate * mean / (tf.sqrt(square) + _EPSILON) for mean, square in zip(means, squares, strict=True)]
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
