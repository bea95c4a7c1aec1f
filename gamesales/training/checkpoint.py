"""Training checkpoints: the file from which a killed training continues.

The file is ``DIR/<identity>.npz``. The identity is a digest of all that the weights depend on: the titles, the
contract, the network, the training and the software. A changed job or another release finds no file, and many jobs can
share a folder.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from gamesales.data.contract import Contract
from gamesales.data.files import make_folder, replace_file
from gamesales.data.labeled_titles import LabeledTitles
from gamesales.errors import InputError, UsageError
from gamesales.training.fit import LossHistory, Snapshot, VariableValues
from gamesales.training.provenance import list_software_releases
from gamesales.training.train_job import TrainJob

# Increase when the file format changes, or when the same training gives other weights.
_FORMAT = 2
_DEFAULT_INTERVAL = 10


@dataclass(frozen=True)
class TrainingCheckpointOptions:
    """The folder of the checkpoints, and the number of epochs between two of them."""

    folder: Path
    epochs_between: int = _DEFAULT_INTERVAL


def compute_identity(job: TrainJob, contract: Contract, titles: LabeledTitles) -> str:
    """Compute a digest of all that the weights after an epoch depend on, 64 hex digits.

    Args:
        job: the training job.
        contract: the contract of the titles.
        titles: the titles that the network is trained on.
    """
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
    epochs_between: int = _DEFAULT_INTERVAL

    @classmethod
    def open(
        cls, options: TrainingCheckpointOptions | None, job: TrainJob, contract: Contract, titles: LabeledTitles
    ) -> Self:
        """Return the checkpoint of a training, and make its folder.

        Args:
            options: the folder; None for no checkpoint.
            job: the training job.
            contract: the contract of the titles.
            titles: the titles that the network is trained on.

        Raises:
            UsageError: the folder is a file.
        """
        if options is None:
            return cls(None)
        if options.folder.exists() and not options.folder.is_dir():
            raise UsageError(
                f"{options.folder} is not a folder; expected a folder for checkpoints",
                hint="Give another --checkpoint",
            )
        make_folder(options.folder)
        return cls(options.folder / f"{compute_identity(job, contract, titles)}.npz", options.epochs_between)

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
