"""Files that a training writes after its epochs: checkpoints to resume from, and TensorBoard logs.

A checkpoint is ``DIR/<identity>.npz``. The identity is a digest of all that the weights depend on, so a changed job or
another release finds no file, and many jobs can share a folder.

The losses for TensorBoard go to ``DIR/train`` and ``DIR/validation``, as with the callback of Keras, so that one chart
shows both: ``tensorboard --logdir DIR``.
"""

from __future__ import annotations

import hashlib
import json
import platform
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import numpy as np

from gamesales.data.contract import Contract
from gamesales.data.files import make_folder, replace_file
from gamesales.data.labeled_titles import LabeledTitles
from gamesales.errors import InputError, UsageError
from gamesales.training.fit import Epoch, LossHistory, Snapshot, VariableValues
from gamesales.training.keras_objects import load_keras
from gamesales.training.train_job import TrainJob

# Increase when the file format changes, or when the same training gives other weights.
_FORMAT = 2
# The packages that affect a version. TensorFlow has one of two names.
_PACKAGES = (
    "gamesales",
    "tensorflow",
    "tensorflow-cpu",
    "keras",
    "tf2onnx",
    "onnxruntime",
    "scikit-learn",
    "numpy",
)


def list_software_releases() -> dict[str, str]:
    """Return the releases of Python and of the installed packages that affect a version."""
    releases = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            releases[package] = version(package)
        except ModuleNotFoundError:
            continue
    return releases


def open_folder(folder: Path, content: str, option: str) -> None:
    """Make a folder if it does not exist.

    Raises:
        UsageError: the folder is a file. The error names the content of the folder, and the option that gives it.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; expected a folder for {content}", hint=f"Give another {option}")
    make_folder(folder)


def compute_identity(job: TrainJob, contract: Contract, titles: LabeledTitles) -> str:
    """Compute a digest of all that the weights after an epoch depend on, 64 hex digits."""
    document = {
        "format": _FORMAT,
        "titles": titles.sha256,
        "rows": hashlib.sha256(titles.rows.tobytes()).hexdigest(),  # a job may hold out some rows
        "contract": contract.as_json(),
        "network": job.network.model_dump(mode="json"),
        "training": job.training.model_dump(mode="json"),
        "software": list_software_releases(),
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class TrainingCheckpoint:
    """The checkpoint file of one training. Each write replaces the whole file.

    Without a path, nothing is read or written.
    """

    path: Path | None
    epochs_between: int

    @classmethod
    def open(
        cls, folder: Path | None, epochs_between: int, job: TrainJob, contract: Contract, titles: LabeledTitles
    ) -> Self:
        """Return the checkpoint of a training, and make its folder.

        Args:
            folder: the folder of checkpoints; None for no checkpoint.
            epochs_between: the number of epochs between two writes.
            job: the training job.
            contract: the contract of the titles.
            titles: the titles that the network is trained on.

        Raises:
            UsageError: the folder is a file.
        """
        if folder is None:
            return cls(None, epochs_between)
        open_folder(folder, "checkpoints", "--checkpoint")
        return cls(folder / f"{compute_identity(job, contract, titles)}.npz", epochs_between)

    def read(self) -> Snapshot | None:
        """Return the last snapshot of an interrupted training, or None without one.

        Raises:
            InputError: the file is damaged.
        """
        if self.path is None or not self.path.exists():
            return None
        try:
            # NumPy does not close a damaged file that it opened itself.
            with self.path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                history = LossHistory(*(tuple(file[key].tolist()) for key in ("loss", "validation_loss")))
                return Snapshot(history, _read_values(file, "variables"), _read_values(file, "best"))
        except (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(
                f"the checkpoint {self.path} can't be read: {error}", hint="Delete it; training then starts over"
            ) from None

    def save_if_due(self, epoch: int, take_snapshot: Callable[[], Snapshot]) -> None:
        """Write a snapshot after every ``epochs_between`` epochs."""
        if self.path is None or epoch % self.epochs_between:
            return
        snapshot = take_snapshot()
        arrays: dict[str, Any] = {
            "loss": snapshot.history.loss,
            "validation_loss": snapshot.history.validation_loss,
        }
        for name, values in {"variables": snapshot.variables, "best": snapshot.best_variables}.items():
            arrays |= {name: len(values), **{f"{name}_{index}": array for index, array in enumerate(values)}}
        with replace_file(self.path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)

    def remove(self) -> None:
        """Remove the file. The folder stays, because it may hold other checkpoints."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def _read_values(file: np.lib.npyio.NpzFile, name: str) -> VariableValues:
    return tuple(file[f"{name}_{index}"] for index in range(int(file[name])))


@contextmanager
def log_to_tensorboard(folder: Path | None, on_epoch: Callable[[Epoch], None]) -> Iterator[Callable[[Epoch], None]]:
    """Yield a function that logs an epoch and then calls ``on_epoch``; without a folder, yield ``on_epoch``.

    Raises:
        UsageError: the folder is a file.
    """
    if folder is None:
        yield on_epoch
        return
    open_folder(folder, "TensorBoard logs", "--tensorboard")
    load_keras()  # sets up TensorFlow
    import tensorflow as tf

    # tf.summary.scalar would need the package tensorboard. This metadata makes a summary a line chart.
    summary = tf.compat.v1.SummaryMetadata
    metadata = summary(plugin_data=summary.PluginData(plugin_name="scalars"))
    writers: dict[str, Any] = {}

    def write_scalar(run: str, tag: str, value: float, epoch: int) -> None:
        if run not in writers:
            writers[run] = tf.summary.create_file_writer(str(folder / run))
        with writers[run].as_default():
            tf.summary.write(tag, tf.constant(value), step=epoch, metadata=metadata)
        writers[run].flush()

    def log_epoch(epoch: Epoch) -> None:
        write_scalar("train", "epoch_loss", epoch.loss, epoch.number)
        write_scalar("train", "epoch_learning_rate", epoch.learning_rate, epoch.number)
        if epoch.validation_loss is not None:
            write_scalar("validation", "epoch_loss", epoch.validation_loss, epoch.number)
        on_epoch(epoch)

    try:
        yield log_epoch
    finally:
        for writer in writers.values():
            writer.close()
