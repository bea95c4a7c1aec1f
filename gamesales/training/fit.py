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

from gamesales.arrays import FloatArray, IntArray
from gamesales.data.contract import Contract
from gamesales.errors import InputError
from gamesales.training.folds import Learn, Predict
from gamesales.training.network import build_network, compile_network, seed_everything
from gamesales.training.scaling import fit_scaler
from gamesales.training.spec import EarlyStopping, NetworkSpec, TrainingSpec
from gamesales.training.train_job import TrainJob

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
    features: FloatArray,
    target: FloatArray,
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
    course = _Course(network, spec, start)
    learn = _learning(network, x[training], y[training], spec)
    watch = _watching(network, x[validation], y[validation], spec) if len(validation) else None
    while course.goes_on:
        number = len(course.history) + 1
        loss = learn(number - 1)
        validation_loss = watch() if watch else None
        course.note(loss, validation_loss)
        on_epoch(Epoch(number, spec.epochs, loss, validation_loss, float(network.optimizer.learning_rate)))
        on_snapshot(number, course.snapshot)
    history = course.history
    if not np.isfinite(history.loss[-1]):
        raise InputError(
            f"training diverged: the loss is {history.loss[-1]} after epoch {len(history)} of {spec.epochs}",
            hint="Lower the learning rate in training.optimizer or training.schedule of the job file",
        )
    course.finish()
    return history


def split(rows: int, share: float, seed: int) -> tuple[IntArray, IntArray]:
    """Draw which rows train and which validate, each in file order.

    Returns: int64 (n - m,) and (m,), where m is ``share`` of n, rounded.
    """
    held_back = round(rows * share)
    if share and not 0 < held_back < rows:
        raise InputError(f"{rows} training rows can't be split: training.validation_share is {share}")
    order = np.random.default_rng(seed).permutation(rows)
    return np.sort(order[held_back:]), np.sort(order[:held_back])


def _learning(
    network: Any, x: npt.NDArray[np.float32], y: npt.NDArray[np.float32], spec: TrainingSpec
) -> Callable[[int], float]:
    """Return what learns from all rows once: given the epoch's number from 0, it returns the loss.

    An epoch is one call into TensorFlow, its steps a loop in there. Each step is Keras's own, so the weights are those
    of ``network.fit``; that comes back to Python after each step, which takes longer than a step of so few rows.
    """
    import tensorflow as tf

    features, target = tf.constant(x), tf.constant(y)
    full = len(x) - len(x) % spec.batch_size

    def learn(seed: Any) -> Any:
        order = draw_order(len(x), seed)

        def step(rows: Any) -> None:
            network.train_step((tf.gather(features, rows), tf.gather(target, rows)))

        def full_batch(begin: Any) -> Any:
            step(tf.slice(order, [begin], [spec.batch_size]))
            return begin + spec.batch_size

        network.reset_metrics()
        tf.while_loop(lambda begin: begin < full, full_batch, [0], parallel_iterations=1)
        if full < len(x):
            step(order[full:])
        return network.get_metrics_result()["loss"]

    compiled = tf.function(learn, autograph=False)
    return lambda epoch: float(compiled(tf.constant([spec.seed, epoch], tf.int64)))


def draw_order(rows: int, seed: Any) -> Any:
    """Draw the order in which an epoch takes its rows, an int32 tensor (rows,), from the seed and its number."""
    import tensorflow as tf

    return tf.random.experimental.stateless_shuffle(tf.range(rows), seed=seed)


def _watching(
    network: Any, x: npt.NDArray[np.float32], y: npt.NDArray[np.float32], spec: TrainingSpec
) -> Callable[[], float]:
    """Return what takes the loss on rows that are not learnt from."""
    import tensorflow as tf

    features, target = tf.constant(x), tf.constant(y)

    def watch() -> Any:
        def batch(begin: Any) -> Any:
            end = begin + spec.batch_size
            network.test_step((features[begin:end], target[begin:end]))
            return end

        network.reset_metrics()
        tf.while_loop(lambda begin: begin < len(x), batch, [0], parallel_iterations=1)
        return network.get_metrics_result()["loss"]

    compiled = tf.function(watch, autograph=False)
    return lambda: float(compiled())


class _Course:
    """How a training went so far, with the best weights if they are to come back."""

    def __init__(self, network: Any, spec: TrainingSpec, start: Snapshot | None) -> None:
        self._network, self._spec = network, spec
        self._keeps_best = spec.early_stopping is not None and spec.early_stopping.restore_best
        self.history = start.history if start else History()
        self._best: Arrays = start.best if start else ()
        if start:
            _assign(self._variables(), start.variables)

    @property
    def goes_on(self) -> bool:
        return len(self.history) < self._spec.epochs and not self.history.is_over(self._spec.early_stopping)

    def note(self, loss: float, validation_loss: float | None) -> None:
        told = () if validation_loss is None else (validation_loss,)
        self.history = History((*self.history.loss, loss), (*self.history.validation_loss, *told))
        if self._keeps_best and self.history.best == len(self.history):
            self._best = _values(self._network.variables)

    def snapshot(self) -> Snapshot:
        return Snapshot(self.history, _values(self._variables()), self._best)

    def finish(self) -> None:
        """Leave the network with the weights that are to stay."""
        self._network.optimizer.finalize_variable_values(self._network.trainable_weights)
        if self._best:
            _assign(self._network.variables, self._best)

    def _variables(self) -> list[Any]:
        return [*self._network.variables, *self._network.optimizer.variables]


def _values(variables: Sequence[Any]) -> Arrays:
    return tuple(variable.numpy().copy() for variable in variables)  # or TensorFlow's own memory might be shared


def _assign(variables: Sequence[Any], values: Arrays) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def learner(job: TrainJob, contract: Contract) -> Learn:
    """Return what trains a network of a job on the features and the earnings that it is given."""
    return lambda features, earnings: learn(job.network, job.training, contract, features, earnings)


def learn(
    network: NetworkSpec,
    training: TrainingSpec,
    contract: Contract,
    features: FloatArray,
    earnings: FloatArray,
) -> Predict:
    """Train a network on some titles exactly as one that is published: scaled by these titles alone, from the seed.

    Args:
        network: its layers.
        training: how it learns.
        contract: of the titles.
        features: (n, k), in their own units.
        earnings: (n,).

    Returns: what predicts dollars, float64 (m,), from features, (m, k).
    """
    _, scaling = fit_scaler(contract.feature_names, contract.target.name, features, earnings)
    seed_everything(training.seed)
    made = build_network(network, features.shape[1])
    fit(made, scaling.scale_features(features), scaling.scale_target(earnings), training)

    def predict(values: FloatArray) -> FloatArray:
        scaled = made(scaling.scale_features(values).astype(np.float32), training=False)
        return scaling.unscale_target(np.asarray(scaled)[:, 0])

    return predict
