"""Train several networks of the same layers at once, as a stack: each weight has one more axis, the network.

A step on a small batch is too little work for a library call. A step of the stack takes one call for all networks, so
sixteen networks take little longer than one. Each network has its own titles, seed, order of rows and learning rates,
and gets the weights that it would get alone, up to the rounding of sums. Dropout draws other numbers in a stack. A
network with fewer batches than others waits at the end of each epoch: its rates of change are 0 there.

Adam is written out here, because the optimizers of Keras have one count of steps for all of their variables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from gamesales.arrays import FloatArray
from gamesales.errors import InputError
from gamesales.training.encoding import ENCODER, Encoding, encode, read_encoding, remove_encoder
from gamesales.training.fit import build_divergence_error, draw_epoch_order, split_validation
from gamesales.training.keras_objects import load_keras, seed_everything
from gamesales.training.network import make_layers, make_optimizer
from gamesales.training.train_job import LayerSpec, NetworkSpec, TrainingSpec

# The weights of a network in the order of Keras.
Weights = list[npt.NDArray[Any]]

# The arguments of a layer, an optimizer and a regularizer that a stack can apply.
_DENSE_ARGUMENTS = {"units", "activation", "kernel_regularizer", "kernel_initializer", "bias_initializer", "name"}
_ADAM_ARGUMENTS = {"learning_rate", "beta_1", "beta_2", "epsilon"}
_REGULARIZERS = {"l1", "l2", "l1l2", "l1_l2"}
# Losses that are the mean of a loss for each title.
_LOSSES = {"mse", "mae", "mean_squared_error", "mean_absolute_error", "huber", "log_cosh"}
# XLA takes about a second to compile a stack, which pays off for much work: the number of steps, times the weights of
# the stack and this number for the step itself. Tests may change the limit.
_STEP_WORK = 10_000
MIN_COMPILED_WORK = 170_000_000
# A call of TensorFlow can't be interrupted, so it is to take less than a second.
_STEPS_PER_CALL = 2_000


@dataclass(frozen=True)
class ScaledTitles:
    """Titles to train a network on, and how to train it.

    ``features`` is float64 (n, k), and ``target`` is float64 (n,), both scaled.
    """

    features: FloatArray
    target: FloatArray
    training: TrainingSpec


def can_stack(network: NetworkSpec, training: TrainingSpec) -> bool:
    """Return whether networks can be trained as a stack: dense layers, dropout, Adam, and a loss for each title."""
    optimizer, loss = training.optimizer, training.loss
    return (
        all(map(_can_stack_layer, network.layers[1:] if network.layers[0].layer == ENCODER else network.layers))
        and optimizer.name == "Adam"
        and optimizer.arguments.keys() <= _ADAM_ARGUMENTS
        and loss.name in _LOSSES
        and not loss.arguments
        and training.early_stopping is None
    )


def _can_stack_layer(layer: LayerSpec) -> bool:
    if layer.layer == "Dropout":
        return layer.arguments.keys() <= {"rate", "name"}
    return layer.layer == "Dense" and _can_stack_dense(layer.arguments)


def _can_stack_dense(arguments: Mapping[str, Any]) -> bool:
    regularizer = arguments.get("kernel_regularizer") or "l2"
    if isinstance(regularizer, dict):
        regularizer = regularizer.get("class_name", regularizer.get("name"))
    return (
        arguments.keys() <= _DENSE_ARGUMENTS
        and isinstance(arguments.get("activation", ""), str)
        and str(regularizer).lower() in _REGULARIZERS
    )


def fit_stack(network: NetworkSpec, titles: Sequence[ScaledTitles]) -> list[Weights | InputError]:
    """Train a network for each of several sets of titles.

    Args:
        network: the layers; see ``can_stack``.
        titles: the titles of each network. Only the seed of the training may differ.

    Returns:
        The weights of each network, or the error if its training diverged.
    """
    load_keras()  # sets up TensorFlow
    import tensorflow as tf

    # A matrix product of a single network sums in another order, so a single network is trained twice.
    stack = _Stack(network, titles if len(titles) > 1 else [*titles, *titles])
    train = tf.function(stack.train_epochs, autograph=False)
    epochs, state = stack.training.epochs, stack.initial_state
    for first in range(0, epochs, stack.epochs_per_call):
        state = train(tf.constant(first), tf.constant(min(first + stack.epochs_per_call, epochs)), *state)
    values, finite_epochs, losses = state
    weights = [value.numpy() for value in stack.split_weights(values[0])]
    return [
        [stacked[index] for stacked in weights] if done == epochs else build_divergence_error(loss, done + 1, epochs)
        for index, (done, loss) in enumerate(zip(finite_epochs.numpy().tolist(), losses.numpy().tolist(), strict=True))
    ][: len(titles)]


class _Stack:
    """The data and the steps of a stack of s networks, whose epochs have up to b batches of r rows.

    The state of training is ``(values, finite_epochs, losses)``. The values are the weights, and the first and second
    moments of Adam. A network is trained until its loss is not finite: ``finite_epochs``, int32 (s,), counts its epochs
    before, and ``losses``, (s,), has its last loss.
    """

    def __init__(self, network: NetworkSpec, titles: Sequence[ScaledTitles]) -> None:
        import tensorflow as tf

        self.training = spec = titles[0].training
        parts = [split_validation(len(part.target), spec.validation_share, part.training.seed)[0] for part in titles]
        self._seeds, self._rows = [part.training.seed for part in titles], list(map(len, parts))
        batches = [-(-rows // spec.batch_size) for rows in self._rows]
        self._batches = max(batches)
        self.epochs_per_call = max(1, _STEPS_PER_CALL // self._batches)
        encoding, network = read_encoding(network), remove_encoder(network)
        features = [_encode(part.features[rows], encoding) for part, rows in zip(titles, parts, strict=True)]
        targets = [part.target[rows, None] for part, rows in zip(titles, parts, strict=True)]
        self._features, self._target = (tf.constant(_pad_rows(arrays)) for arrays in (features, targets))
        # (b, s, r): 1 for a row, 0 for padding.
        is_row = np.stack([np.arange(self._batches * spec.batch_size) < rows for rows in self._rows])
        is_row = is_row.reshape(len(titles), self._batches, spec.batch_size).swapaxes(0, 1).astype(np.float32)
        self._is_step = is_row[:, :, 0]  # (b, s)
        self._row_weights = tf.constant(is_row / np.maximum(is_row.sum(axis=2, keepdims=True), 1))
        self._layers, weights = self._build(network, features[0].shape[1])
        self._loss = load_keras().losses.get(spec.loss.name)
        # Schedules count steps, so they depend on the number of rows.
        self._adam_of_rows = {rows: make_optimizer(spec, rows) for rows in dict.fromkeys(self._rows)}
        self._adam = self._adam_of_rows[self._rows[0]]
        zeros = tf.zeros_like(weights)
        self.initial_state = (weights, zeros, zeros), tf.zeros(len(titles), tf.int32), tf.zeros(len(titles))
        is_compiled = spec.epochs * self._batches * (_STEP_WORK + zeros.shape.num_elements()) >= MIN_COMPILED_WORK
        self._train_epoch = tf.function(self._take_steps, autograph=False, jit_compile=is_compiled)

    def _build(self, network: NetworkSpec, features: int) -> tuple[list[Any], Any]:
        """Return the layers of Keras, and the initial weights of each network, (s, w)."""
        import tensorflow as tf

        layers, initial, self._shapes = [], dict[int, FloatArray](), list[tuple[int, ...]]()
        for seed in dict.fromkeys(self._seeds):
            seed_everything(seed)
            layers = make_layers(network)
            dense_layers = [layer for layer in layers if not _is_dropout(layer)]
            widths = pairwise([features, *(layer.units for layer in dense_layers)])
            self._shapes = [shape for before, after in widths for shape in ((before, after), (after,))]
            initializers = [
                item for layer in dense_layers for item in (layer.kernel_initializer, layer.bias_initializer)
            ]
            values = [make(shape, "float32") for make, shape in zip(initializers, self._shapes, strict=True)]
            initial[seed] = np.concatenate([np.ravel(value) for value in values])
        return layers, tf.constant(np.stack([initial[seed] for seed in self._seeds]))

    def train_epochs(self, first: Any, end: Any, values: Any, finite_epochs: Any, losses: Any) -> Any:
        """Train from one epoch to before another, counted from 0, and return the next state."""
        import tensorflow as tf

        def train_epoch(epoch: Any, values: Any, finite_epochs: Any, losses: Any) -> Any:
            seed = tf.stack([tf.constant(self._seeds[0], tf.int64), tf.cast(epoch, tf.int64)])
            values, new_losses = self._train_epoch(values, *self._draw_batches(tf.cast(epoch, tf.int64)), seed)
            is_running = finite_epochs == epoch
            losses = tf.where(is_running, new_losses, losses)
            finite_epochs += tf.cast(is_running & tf.math.is_finite(losses), tf.int32)
            return epoch + 1, values, finite_epochs, losses

        def should_continue(epoch: Any, _values: Any, finite_epochs: Any, _losses: Any) -> Any:
            return (epoch < end) & tf.reduce_any(finite_epochs == epoch)

        state = (first, values, finite_epochs, losses)
        return tf.while_loop(should_continue, train_epoch, state, parallel_iterations=1)[1:]

    def _draw_batches(self, epoch: Any) -> tuple[Any, Any, Any]:
        """Draw the batches of an epoch: features (b, s, r, k), target (b, s, r, 1), and step sizes of Adam (b, s)."""
        import tensorflow as tf

        padded = self._batches * self.training.batch_size
        orders = [
            tf.pad(draw_epoch_order(rows, tf.stack([tf.constant(seed, tf.int64), epoch])), [[0, padded - rows]])
            for seed, rows in zip(self._seeds, self._rows, strict=True)
        ]
        shape = (len(orders), self._batches, self.training.batch_size)
        order = tf.transpose(tf.reshape(tf.stack(orders), shape), (1, 0, 2))  # (b, s, r)
        network = tf.range(len(orders))[None, :, None]
        place = tf.stack([tf.broadcast_to(network, order.shape), order], axis=-1)
        sizes = {rows: self._compute_step_sizes(epoch, rows) for rows in dict.fromkeys(self._rows)}
        step_sizes = tf.stack([sizes[rows] for rows in self._rows], axis=1)
        step_sizes = tf.where(self._is_step > 0, step_sizes, 0.0)
        return tf.gather_nd(self._features, place), tf.gather_nd(self._target, place), step_sizes

    def _compute_step_sizes(self, epoch: Any, rows: int) -> Any:
        """Compute the learning rate times the bias correction for each step of an epoch of a network: (b,)."""
        import tensorflow as tf

        adam = self._adam_of_rows[rows]
        first = tf.cast(epoch, tf.int32) * -(-rows // self.training.batch_size)
        steps = first + tf.range(self._batches)
        rate = adam._learning_rate  # noqa: SLF001  the property is the rate of the next step alone
        rates = tf.vectorized_map(rate, steps) if callable(rate) else tf.fill(steps.shape, rate.value)
        number = tf.cast(steps + 1, tf.float32)
        corrections = tf.sqrt(1 - tf.pow(adam.beta_2, number)) / (1 - tf.pow(adam.beta_1, number))
        return tf.reshape(tf.cast(rates, tf.float32), [-1]) * corrections

    def _take_steps(self, values: Any, features: Any, target: Any, step_sizes: Any, seed: Any) -> tuple[Any, Any]:
        """Take the steps of an epoch. Returns the new values and the loss of each network, (s,).

        ``seed``, int64 (2,), seeds the dropout of the epoch.
        """
        import tensorflow as tf

        adam = self._adam

        def step(batch: Any, values: Any, losses: Any) -> tuple[Any, Any, Any]:
            flat, mean, square = values
            weights = self.split_weights(flat)
            with tf.GradientTape() as tape:
                tape.watch(weights)
                title_losses = self._loss(target[batch], self._predict(weights, features[batch], (seed, batch)))
                means = tf.reduce_sum(title_losses * self._row_weights[batch], axis=1)
                loss = tf.reduce_sum(means) + self._compute_penalty(weights)
            gradients = tape.gradient(loss, weights)
            gradient = tf.concat([tf.reshape(part, [len(self._rows), -1]) for part in gradients], axis=1)
            # Without networks that wait, fewer operations do.
            is_step = 1.0 if self._is_step.all() else tf.constant(self._is_step)[batch, :, None]
            mean += (gradient - mean) * (is_step * (1 - adam.beta_1))
            square += (gradient * gradient - square) * (is_step * (1 - adam.beta_2))
            flat -= mean * step_sizes[batch, :, None] / (tf.sqrt(square) + adam.epsilon)
            return batch + 1, (flat, mean, square), losses + means

        start = (0, values, tf.zeros(len(self._rows)))
        _, values, losses = tf.while_loop(lambda batch, *_: batch < self._batches, step, start, parallel_iterations=1)
        return values, losses

    def split_weights(self, flat: Any) -> list[Any]:
        """Cut the weights of each network, (s, w), into kernels and biases."""
        import tensorflow as tf

        parts = tf.split(flat, [int(np.prod(shape)) for shape in self._shapes], axis=1)
        return [tf.reshape(part, (-1, *shape)) for part, shape in zip(parts, self._shapes, strict=True)]

    def _predict(self, weights: Sequence[Any], values: Any, seed: tuple[Any, Any]) -> Any:
        """Apply the layers in training: (s, r, k) to (s, r, 1). ``seed`` is that of the epoch, and the batch."""
        remaining = iter(zip(weights[::2], weights[1::2], strict=True))
        for index, layer in enumerate(self._layers):
            if _is_dropout(layer):
                values = _drop(values, layer.rate, seed, index)
            else:
                kernel, bias = next(remaining)
                values = layer.activation(values @ kernel + bias[:, None])
        return values

    def _compute_penalty(self, kernels_and_biases: Sequence[Any]) -> Any:
        """Sum the penalties of all networks. They are sums over weights, so each network gets its own gradient."""
        pairs = zip([layer for layer in self._layers if not _is_dropout(layer)], kernels_and_biases[::2], strict=True)
        return sum(layer.kernel_regularizer(kernel) for layer, kernel in pairs if layer.kernel_regularizer)


def _is_dropout(layer: Any) -> bool:
    return type(layer).__name__ == "Dropout"


def _drop(values: Any, rate: float, seed: tuple[Any, Any], index: int) -> Any:
    """Set a share of the values to 0, and scale the others so that the mean stays. ``index`` is that of the layer."""
    import tensorflow as tf

    epoch_seed, batch = seed
    fold_in = tf.random.experimental.stateless_fold_in
    layer_seed = fold_in(fold_in(epoch_seed, tf.cast(batch, tf.int64)), tf.constant(index, tf.int64))
    draws = tf.random.stateless_uniform(tf.shape(values), layer_seed, alg="philox")
    return tf.where(draws >= rate, values / (1 - rate), 0.0)


def _encode(features: FloatArray, encoding: Encoding | None) -> FloatArray:
    """Encode the features (n, k) as the first layer does; without an encoding, they stay as they are."""
    return features if encoding is None else np.asarray(encode(encoding, features.astype(np.float32)))


def _pad_rows(arrays: Sequence[FloatArray]) -> npt.NDArray[np.float32]:
    """Stack arrays of different lengths, with rows of 0 after the last row: float32 (s, rows, columns)."""
    padded = np.zeros((len(arrays), max(map(len, arrays)), arrays[0].shape[1]), np.float32)
    for row, array in zip(padded, arrays, strict=True):
        row[: len(array)] = array
    return padded
