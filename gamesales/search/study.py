"""A search's folder: what was tried, a file for each trial, so that a search goes on where it was killed.

    .tune/<identity16>/study.json            what it depends on, for people
                       trials/00007.json     written whole when the trial is over; what was under way is done again
                       finals/00007-1.json   a finalist's errors in another round
                       tune.html             the page

The identity is a digest of all that a trial depends on: titles, contract, space, start, how to search, software. How
long to search is no part of it, so a search can be continued with a larger budget.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import TypeAdapter, ValidationError

from gamesales.data.contract import Contract
from gamesales.data.files import make_folder, replacing
from gamesales.data.labeled_titles import Titles
from gamesales.errors import InputError, UsageError
from gamesales.search.trials import Trial
from gamesales.search.tune_job import TuneJob
from gamesales.training.provenance import software

# Another way of searching, or another form of the files, counts this up.
FORMAT = 1
STORAGE = Path(".tune")
PAGE_FILE = "tune.html"
# What decides how long to search, by how many processes, and what is made of the trials; not how a trial ends.
_NOT_PART = {"trials", "minutes", "workers", "choose", "finalists", "rounds"}

T = TypeVar("T")


@dataclass(frozen=True)
class Final:
    """A finalist's errors in one more round, fold by fold; ``why`` tells what failed."""

    number: int
    round: int
    errors: tuple[float, ...]
    seconds: float
    why: str = ""


@dataclass(frozen=True)
class Study:
    """One search's folder, and its identity, 64 hex digits."""

    folder: Path
    identity: str

    @classmethod
    def open(cls, storage: Path, job: TuneJob, contract: Contract, learnt: Titles) -> Self:
        """Return the folder of a search; it is made if it is not there.

        Raises: UsageError: there is something else where the storage should be.
        """
        told = {
            "format": FORMAT,
            "titles": learnt.sha256,
            "rows": hashlib.sha256(learnt.rows.tobytes()).hexdigest(),  # a job may set some aside
            "contract": contract.as_json(),
            "search": job.search.model_dump(mode="json", exclude=_NOT_PART),
            "space": job.space.model_dump(mode="json"),
            "start": job.start.model_dump(mode="json"),
            "software": {**software(), "optuna": installed("optuna")},
        }
        identity = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
        if storage.exists() and not storage.is_dir():
            raise UsageError(f"{storage} is no folder to keep a search in", hint="Give another --storage")
        study = cls(storage / identity[:16], identity)
        for name in ("trials", "finals"):
            make_folder(study.folder / name)
        study.write("study.json", json.dumps({"identity": identity, **told}, indent=1) + "\n")
        return study

    def trials(self) -> list[Trial]:
        """Return the trials that are over, in order.

        Raises: InputError: a file was changed, or one is missing.
        """
        found = sorted(
            (_read(path, Trial) for path in (self.folder / "trials").glob("*.json")), key=lambda trial: trial.number
        )
        if [trial.number for trial in found] != list(range(len(found))):
            raise InputError(
                f"{self.folder}/trials has {len(found)} trials, but not those from 0 to {len(found) - 1}",
                hint=f"Delete {self.folder}; the search then starts over",
            )
        return found

    def finals(self) -> dict[tuple[int, int], Final]:
        """Return the rounds of finalists that are over, by trial and round."""
        found = [_read(path, Final) for path in (self.folder / "finals").glob("*.json")]
        return {(final.number, final.round): final for final in found}

    def keep_trial(self, trial: Trial) -> None:
        self.write(f"trials/{trial.number:05}.json", _written(trial, Trial))

    def keep_final(self, final: Final) -> None:
        self.write(f"finals/{final.number:05}-{final.round}.json", _written(final, Final))

    def write(self, name: str, text: str) -> Path:
        """Write a file of the folder whole, or not at all."""
        path = self.folder / name
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        return path


def _written(one: Any, kind: type[T]) -> str:
    return TypeAdapter(kind).dump_json(one, indent=1).decode() + "\n"


def _read(path: Path, kind: type[T]) -> T:
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        key = ".".join(map(str, fault["loc"]))
        raise InputError(
            f"{path} can't be read: {key}{': ' if key else ''}{fault['msg']}",
            hint=f"Delete {path.parent.parent}; the search then starts over",
        ) from None
