"""Where a training that was killed goes on: its snapshot, in a file that is named after all that it depends on.

``DIR/<identity>.npz``. The identity is a digest of the titles, the contract, the network, the training and the
software; so another job, the same job on other titles, and another release find no file, and many jobs may share a
folder.
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
from gamesales.data.files import make_folder, replacing
from gamesales.data.labeled_titles import Titles
from gamesales.errors import InputError, UsageError
from gamesales.training.fit import Arrays, History, Snapshot
from gamesales.training.provenance import software
from gamesales.training.train_job import TrainJob

# A way of fitting that gives other weights, or another form of the file, counts this up.
FORMAT = 2
EVERY = 10


@dataclass(frozen=True)
class Checkpoints:
    """What is asked for: a folder, and after how many epochs a file in it is written."""

    folder: Path
    every: int = EVERY


def identity(job: TrainJob, contract: Contract, learnt: Titles) -> str:
    """Return the digest of all that the weights after so many epochs depend on, 64 hex digits."""
    told = {
        "format": FORMAT,
        "titles": learnt.sha256,
        "rows": hashlib.sha256(learnt.rows.tobytes()).hexdigest(),  # a job may set some aside
        "contract": contract.as_json(),
        "network": job.network.model_dump(mode="json"),
        "training": job.training.model_dump(mode="json"),
        "software": software(),
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Checkpoint:
    """One training's file, written anew every so many epochs; the file of before stays until the new one is whole.

    Without a path, nothing is read and nothing is written.
    """

    path: Path | None
    every: int = EVERY

    @classmethod
    def of(cls, wanted: Checkpoints | None, job: TrainJob, contract: Contract, learnt: Titles) -> Self:
        """Return the file of one training; its folder is made.

        Raises: UsageError: there is something else where the folder should be.
        """
        if wanted is None:
            return cls(None)
        if wanted.folder.exists() and not wanted.folder.is_dir():
            raise UsageError(f"{wanted.folder} is no folder to keep a checkpoint in", hint="Give another --checkpoint")
        make_folder(wanted.folder)
        return cls(wanted.folder / f"{identity(job, contract, learnt)}.npz", wanted.every)

    def read(self) -> Snapshot | None:
        """Return what a training that did not end left, or None.

        Raises: InputError: it was changed since.
        """
        if self.path is None or not self.path.exists():
            return None
        try:
            # Of a broken file, NumPy would leave open what it opened itself.
            with self.path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                history = History(*(tuple(file[key].tolist()) for key in ("loss", "validation_loss")))
                return Snapshot(history, _listed(file, "variables"), _listed(file, "best"))
        except (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(
                f"the checkpoint {self.path} can't be read: {error}", hint="Delete it; training then starts over"
            ) from None

    def offer(self, epoch: int, take: Callable[[], Snapshot]) -> None:
        """Write a snapshot if it is time for one."""
        if self.path is None or epoch % self.every:
            return
        snapshot = take()
        arrays: dict[str, Any] = {
            "loss": snapshot.history.loss,
            "validation_loss": snapshot.history.validation_loss,
        }
        for name, part in {"variables": snapshot.variables, "best": snapshot.best}.items():
            arrays |= {name: len(part), **{f"{name}_{place}": array for place, array in enumerate(part)}}
        with replacing(self.path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)

    def remove(self) -> None:
        """Remove the file; the folder may hold those of others."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def _listed(file: np.lib.npyio.NpzFile, name: str) -> Arrays:
    return tuple(file[f"{name}_{place}"] for place in range(int(file[name])))
