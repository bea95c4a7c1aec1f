"""Train a network, reproducibly: the epoch loop.

An epoch depends only on the seed, on its number, and on the variables of the network and the optimizer. The row order
is drawn from the seed and the number, and random layers keep their generators among the variables. So training can
continue from a ``Snapshot`` in another process and end with the same weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gamesales.arrays import FloatArray, IntArray
from gamesales.errors import InputError
from gamesales.training.network import compile_network
from gamesales.training.train_job import EarlyStopping, TrainingSpec

VariableValues = tuple[npt.NDArray[Any], ...]

# Predicts earnings, float64 (m,), in the target's unit, from features, (m, k), not scaled.
PredictFunction = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class Epoch:
    """An epoch that has ended.

    ``number`` counts from 1 to ``total``. The losses are in scaled units. The learning rate is that of the next step.
    """

    number: int
    total: int
    loss: float
    validation_loss: float | None
    learning_rate: float


@dataclass(frozen=True)
class LossHistory:
    """The losses of each epoch; ``validation_loss`` is empty without validation rows."""

    loss: tuple[float, ...] = ()
    validation_loss: tuple[float, ...] = ()

    def __len__(self) -> int:
        return len(self.loss)

    @property
    def best_epoch(self) -> int:
        """The number of the first epoch with the lowest validation loss; 0 without a finite validation loss."""
        losses = np.array(self.validation_loss)
        return int(np.nanargmin(losses)) + 1 if np.isfinite(losses).any() else 0

    def should_stop(self, stopping: EarlyStopping | None) -> bool:
        """Return whether the loss is not finite, or the validation loss has not improved for ``patience`` epochs."""
        if not self.loss:
            return False
        if not np.isfinite(self.loss[-1]):
            return True
        return stopping is not None and self._count_epochs_since_improvement(stopping) >= stopping.patience

    def _count_epochs_since_improvement(self, stopping: EarlyStopping) -> int:
        """Count the epochs since the validation loss last fell below its minimum by more than ``min_delta``."""
        lowest, epochs = np.inf, 0
        for loss in self.validation_loss:
            improved = loss < lowest - stopping.min_delta
            lowest, epochs = (loss, 0) if improved else (lowest, epochs + 1)
        return epochs


@dataclass(frozen=True)
class Snapshot:
    """The state of training between two epochs.

    ``variables`` has the variables of the network, including its random generators, and of the optimizer.
    ``best_variables`` has the variables of the network after its best epoch, if early stopping restores them.
    """

    history: LossHistory
    variables: VariableValues
    best_variables: VariableValues


def fit(
    network: Any,
    features: FloatArray,
    target: FloatArray,
    spec: TrainingSpec,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    *,
    start: Snapshot | None = None,
    on_snapshot: Callable[[int, Callable[[], Snapshot]], None] = lambda epoch, take_snapshot: None,
) -> LossHistory:
    """Train a network in place on scaled rows, which are shuffled before each epoch.

    Args:
        network: a keras.Sequential from (batch, k) to (batch, 1).
        features: (n, k), scaled.
        target: (n,), scaled.
        spec: the epochs, the loss and the optimizer.
        on_epoch: called as each epoch ends.
        start: the snapshot to continue from. The result is the same as without an interruption.
        on_snapshot: called after ``on_epoch`` with the epoch's number and a function that takes a snapshot.

    Raises:
        InputError: there are too few rows for a validation share, or the loss became infinite.
    """
    training, validation = split_validation(len(target), spec.validation_share, spec.seed)
    x, y = features.astype(np.float32), target.astype(np.float32)[:, None]
    compile_network(network, spec, len(training))
    network.optimizer.build(network.trainable_variables)
    state = _FitState(network, spec, start)
    run_epoch = _compile_epoch(network, x[training], y[training], spec)
    run_validation = _compile_validation(network, x[validation], y[validation], spec) if len(validation) else None
    while state.should_continue:
        number = len(state.history) + 1
        loss = run_epoch(number - 1)
        validation_loss = run_validation() if run_validation else None
        state.record(loss, validation_loss)
        on_epoch(Epoch(number, spec.epochs, loss, validation_loss, float(network.optimizer.learning_rate)))
        on_snapshot(number, state.take_snapshot)
    history = state.history
    if not np.isfinite(history.loss[-1]):
        raise build_divergence_error(history.loss[-1], len(history), spec.epochs)
    state.finish()
    return history


def build_divergence_error(loss: float, epoch: int, epochs: int) -> InputError:
    """Return the error for a loss that is not finite after an epoch, counted from 1."""
    return InputError(
        f"training diverged: the loss is {loss} after epoch {epoch} of {epochs}",
        hint="Lower the learning rate in training.optimizer or training.schedule of the job file",
    )


def split_validation(rows: int, share: float, seed: int) -> tuple[IntArray, IntArray]:
    """Draw the rows to train on and the rows to validate on; see ``hold_out``."""
    return hold_out(np.random.default_rng(seed).permutation(rows), share, "training.validation_share")


def hold_out(order: IntArray, share: float, key: str) -> tuple[IntArray, IntArray]:
    """Hold out the first rows of a random order.

    Args:
        order: int64 (n,), a permutation of the rows.
        share: the share of the rows to hold out, or 0.
        key: the key of ``share`` in the job file, for the error.

    Returns:
        The other rows, int64 (n - m,), and the held-out rows, int64 (m,), both ascending. m is ``share`` of n, rounded.

    Raises:
        InputError: one part would be empty.
    """
    rows = len(order)
    held_out = round(rows * share)
    if share and not 0 < held_out < rows:
        raise InputError(f"{rows} training rows can't be split: {key} is {share}")
    return np.sort(order[held_out:]), np.sort(order[:held_out])


def _compile_epoch(
    network: Any, x: npt.NDArray[np.float32], y: npt.NDArray[np.float32], spec: TrainingSpec
) -> Callable[[int], float]:
    """Return a function that trains for one epoch, given its number from 0, and returns the loss.

    An epoch is one call into TensorFlow, which loops over the batches. Each step is ``train_step`` of Keras, so
    the weights are the same as with ``network.fit``. By default, ``network.fit`` returns to Python after each step,
    which takes longer than a step on few rows.
    """
    import tensorflow as tf

    features, target = tf.constant(x), tf.constant(y)
    full_batches_end = len(x) - len(x) % spec.batch_size

    def train_epoch(seed: Any) -> Any:
        order = draw_epoch_order(len(x), seed)

        def train_step(rows: Any) -> None:
            network.train_step((tf.gather(features, rows), tf.gather(target, rows)))

        def train_full_batch(begin: Any) -> Any:
            train_step(tf.slice(order, [begin], [spec.batch_size]))
            return begin + spec.batch_size

        network.reset_metrics()
        if full_batches_end:  # compiling a loop takes as long without a batch
            tf.while_loop(lambda begin: begin < full_batches_end, train_full_batch, [0], parallel_iterations=1)
        if full_batches_end < len(x):
            train_step(order[full_batches_end:])
        return network.get_metrics_result()["loss"]

    compiled = tf.function(train_epoch, autograph=False)
    return lambda epoch: float(compiled(tf.constant([spec.seed, epoch], tf.int64)))


def draw_epoch_order(rows: int, seed: Any) -> Any:
    """Draw the row order of an epoch, an int32 tensor (rows,), from the seed and the epoch's number, int64 (2,)."""
    import tensorflow as tf

    return tf.random.experimental.stateless_shuffle(tf.range(rows), seed=seed)


def _compile_validation(
    network: Any, x: npt.NDArray[np.float32], y: npt.NDArray[np.float32], spec: TrainingSpec
) -> Callable[[], float]:
    """Return a function that computes the loss on the validation rows."""
    import tensorflow as tf

    features, target = tf.constant(x), tf.constant(y)

    def validate() -> Any:
        def test_batch(begin: Any) -> Any:
            end = begin + spec.batch_size
            network.test_step((features[begin:end], target[begin:end]))
            return end

        network.reset_metrics()
        tf.while_loop(lambda begin: begin < len(x), test_batch, [0], parallel_iterations=1)
        return network.get_metrics_result()["loss"]

    compiled = tf.function(validate, autograph=False)
    return lambda: float(compiled())


class _FitState:
    """The losses so far, and the best weights if early stopping restores them."""

    def __init__(self, network: Any, spec: TrainingSpec, start: Snapshot | None) -> None:
        self._network, self._spec = network, spec
        self._restores_best = spec.early_stopping is not None and spec.early_stopping.restore_best
        self.history = start.history if start else LossHistory()
        self._best_variables: VariableValues = start.best_variables if start else ()
        if start:
            _assign_values(self._variables, start.variables)

    @property
    def should_continue(self) -> bool:
        return len(self.history) < self._spec.epochs and not self.history.should_stop(self._spec.early_stopping)

    def record(self, loss: float, validation_loss: float | None) -> None:
        added = () if validation_loss is None else (validation_loss,)
        self.history = LossHistory((*self.history.loss, loss), (*self.history.validation_loss, *added))
        if self._restores_best and self.history.best_epoch == len(self.history):
            self._best_variables = _copy_values(self._network.variables)

    def take_snapshot(self) -> Snapshot:
        return Snapshot(self.history, _copy_values(self._variables), self._best_variables)

    def finish(self) -> None:
        """Set the final weights: averaged if the optimizer averages, and the best weights if they are restored."""
        self._network.optimizer.finalize_variable_values(self._network.trainable_weights)
        if self._best_variables:
            _assign_values(self._network.variables, self._best_variables)

    @property
    def _variables(self) -> list[Any]:
        return [*self._network.variables, *self._network.optimizer.variables]


def _copy_values(variables: Sequence[Any]) -> VariableValues:
    # Without the copy, an array may share the memory of its variable.
    return tuple(variable.numpy().copy() for variable in variables)


def _assign_values(variables: Sequence[Any], values: VariableValues) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
