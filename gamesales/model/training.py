"""Fitting a network, reproducibly, with each epoch told as it ends.

What an epoch does depends on the seed, its number and the network's and optimizer's variables, and on nothing else: the
order of its rows is drawn anew from seed and number, and random layers keep their generators among the variables. So
training can go on from a ``Snapshot`` in another process, to the same weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gamesales.errors import InputError
from gamesales.model.network import compile_network, load_keras
from gamesales.model.spec import EarlyStopping, TrainingSpec

Arrays = tuple[npt.NDArray[Any], ...]


@dataclass(frozen=True)
class Epoch:
    """One epoch's end: its number from 1, how many there will be, the losses in scaled units, and the next rate."""

    number: int
    of: int
    loss: float
    validation_loss: float | None
    learning_rate: float


@dataclass(frozen=True)
class History:
    """The losses of each epoch; ``validation_loss`` is empty without validation rows."""

    loss: tuple[float, ...] = ()
    validation_loss: tuple[float, ...] = ()

    def __len__(self) -> int:
        return len(self.loss)

    @property
    def best(self) -> int:
        """The number of the epoch with the lowest validation loss, the first of several; 0 if there is none."""
        losses = np.array(self.validation_loss)
        return int(np.nanargmin(losses)) + 1 if np.isfinite(losses).any() else 0

    def is_over(self, stopping: EarlyStopping | None) -> bool:
        """Whether training ends here: it diverged, or has waited long enough for a better validation loss."""
        if not self.loss:
            return False
        return not np.isfinite(self.loss[-1]) or (stopping is not None and self._waited(stopping) >= stopping.patience)

    def _waited(self, stopping: EarlyStopping) -> int:
        """Count the epochs since the last that was better than all before it, by more than ``min_delta``."""
        lowest, since = np.inf, 0
        for loss in self.validation_loss:
            better = loss < lowest - stopping.min_delta
            lowest, since = (loss, 0) if better else (lowest, since + 1)
        return since


@dataclass(frozen=True)
class Snapshot:
    """Training between two epochs.

    ``variables`` are the network's, random generators included, and the optimizer's; ``best`` is what the best epoch
    left of the network's, and empty where nobody will ask for it.
    """

    history: History
    variables: Arrays
    best: Arrays


def fit(
    network: Any,
    features: npt.NDArray[np.float64],
    target: npt.NDArray[np.float64],
    spec: TrainingSpec,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    *,
    start: Snapshot | None = None,
    on_snapshot: Callable[[int, Callable[[], Snapshot]], None] = lambda epoch, snapshot: None,
) -> History:
    """Train a network in place on scaled rows, shuffled before every epoch.

    Args:
        network: from (batch, k) to (batch, 1).
        features: (n, k), scaled.
        target: (n,), scaled.
        spec: how.
        on_epoch: called as each epoch ends.
        start: where to go on; training that was not interrupted has the same end.
        on_snapshot: called after ``on_epoch`` with the epoch's number and how to take a snapshot.

    Raises: InputError: too few rows to hold any back, or the loss became infinite; no epoch follows that.
    """
    training, validation = split(len(target), spec.validation_share, spec.seed)
    x, y = features.astype(np.float32), target.astype(np.float32)[:, None]
    compile_network(network, spec, len(training))
    network.optimizer.build(network.trainable_variables)
    course = _course(network, spec, on_epoch, on_snapshot, start)
    if len(course.history) < spec.epochs and not course.history.is_over(spec.early_stopping):
        network.fit(
            _epochs(x[training], y[training], spec, len(course.history)),
            initial_epoch=len(course.history),
            epochs=spec.epochs,
            steps_per_epoch=-(-len(training) // spec.batch_size),
            validation_data=(x[validation], y[validation]) if len(validation) else None,
            validation_batch_size=spec.batch_size,
            shuffle=False,  # as each epoch's batches are already
            verbose=0,
            callbacks=[course],
        )
    history: History = course.history
    if not np.isfinite(history.loss[-1]):
        raise InputError(
            f"training diverged: the loss is {history.loss[-1]} after epoch {len(history)} of {spec.epochs}",
            hint="Lower the learning rate in training.optimizer or training.schedule of the job file",
        )
    if course.best:
        _assign(network.variables, course.best)
    return history


def split(rows: int, share: float, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Draw which rows train and which validate, each in file order.

    Returns: int64 (n - m,) and (m,), where m is ``share`` of n, rounded.
    """
    held_back = round(rows * share)
    if share and not 0 < held_back < rows:
        raise InputError(f"{rows} training rows can't be split: training.validation_share is {share}")
    order = np.random.default_rng(seed).permutation(rows)
    return np.sort(order[held_back:]), np.sort(order[:held_back])


def _epochs(x: npt.NDArray[np.float32], y: npt.NDArray[np.float32], spec: TrainingSpec, done: int) -> Any:
    """Return the batches of all epochs to come, one after the other, as a tf.data.Dataset."""
    import tensorflow as tf

    features, target = tf.constant(x), tf.constant(y)

    def batches(epoch: Any) -> Any:
        seed = tf.stack([tf.constant(spec.seed, tf.int64), epoch])
        order = tf.random.experimental.stateless_shuffle(tf.range(len(x)), seed=seed)
        rows = tf.gather(features, order), tf.gather(target, order)
        return tf.data.Dataset.from_tensor_slices(rows).batch(spec.batch_size)

    return tf.data.Dataset.range(done, spec.epochs).flat_map(batches)


def _course(
    network: Any,
    spec: TrainingSpec,
    on_epoch: Callable[[Epoch], None],
    on_snapshot: Callable[[int, Callable[[], Snapshot]], None],
    start: Snapshot | None,
) -> Any:
    """Make the callback that keeps the history and the best weights, tells, and ends training early."""
    keras = load_keras()
    keeps_best = spec.early_stopping is not None and spec.early_stopping.restore_best

    class Course(keras.callbacks.Callback):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.history = start.history if start else History()
            self.best: Arrays = start.best if start else ()
            if start:
                _assign(self.variables(), start.variables)

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            logs = logs or {}
            validation = logs.get("val_loss")
            told = () if validation is None else (validation,)
            self.history = History((*self.history.loss, logs["loss"]), (*self.history.validation_loss, *told))
            if keeps_best and self.history.best == epoch + 1:
                self.best = _values(network.variables)
            rate = float(network.optimizer.learning_rate)
            on_epoch(Epoch(epoch + 1, spec.epochs, logs["loss"], validation, rate))
            self.model.stop_training = self.history.is_over(spec.early_stopping)
            on_snapshot(epoch + 1, self.snapshot)

        def snapshot(self) -> Snapshot:
            return Snapshot(self.history, _values(self.variables()), self.best)

        def variables(self) -> list[Any]:
            return [*network.variables, *network.optimizer.variables]

    return Course()


def _values(variables: Sequence[Any]) -> Arrays:
    return tuple(variable.numpy().copy() for variable in variables)  # or TensorFlow's own memory might be shared


def _assign(variables: Sequence[Any], values: Arrays) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
