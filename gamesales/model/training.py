"""Fitting a network, reproducibly, with each epoch told as it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gamesales.errors import InputError
from gamesales.model.network import compile_network, load_keras
from gamesales.model.spec import TrainingSpec


@dataclass(frozen=True)
class Epoch:
    """One epoch's end: its number from 1, how many there will be, and the losses in scaled units."""

    number: int
    of: int
    loss: float
    validation_loss: float | None


@dataclass(frozen=True)
class History:
    """The losses of each epoch; ``validation_loss`` is empty without validation rows."""

    loss: tuple[float, ...]
    validation_loss: tuple[float, ...]


def fit(
    network: Any,
    features: npt.NDArray[np.float64],
    target: npt.NDArray[np.float64],
    spec: TrainingSpec,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> History:
    """Train a network in place on scaled rows, shuffled before every epoch.

    Args: features: (n, k) scaled; target: (n,) scaled.
    Raises: InputError: too few rows to hold any back, or the loss became infinite; no epoch follows that.
    """
    training, validation = split(len(target), spec.validation_share, spec.seed)
    x, y = features.astype(np.float32), target.astype(np.float32)[:, None]
    compile_network(network, spec, len(training))
    result = network.fit(
        x[training],
        y[training],
        epochs=spec.epochs,
        batch_size=spec.batch_size,
        shuffle=True,
        validation_data=(x[validation], y[validation]) if len(validation) else None,
        verbose=0,
        callbacks=[_teller(spec.epochs, on_epoch)],
    )
    history = History(tuple(result.history["loss"]), tuple(result.history.get("val_loss", ())))
    if not np.isfinite(history.loss[-1]):
        raise InputError(
            f"training diverged: the loss is {history.loss[-1]} after epoch {len(history.loss)} of {spec.epochs}",
            hint="Lower the learning rate in training.optimizer or training.schedule of the job file",
        )
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


def _teller(epochs: int, on_epoch: Callable[[Epoch], None]) -> Any:
    keras = load_keras()

    class Teller(keras.callbacks.Callback):  # type: ignore[misc, name-defined]
        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            logs = logs or {}
            on_epoch(Epoch(epoch + 1, epochs, logs["loss"], logs.get("val_loss")))
            if not np.isfinite(logs["loss"]):
                self.model.stop_training = True

    return Teller()
