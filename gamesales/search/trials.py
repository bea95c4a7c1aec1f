"""The trials of a search: the decisions that follow from them, and the folder that keeps them.

Each decision is a function of the trials so far and of nothing else. So a search that was killed resumes as if it had
not been killed. The folder has a file for each trial:

    .tune/<identity16>/study.json            everything that the trials depend on, for people
                       trials/00007.json     written when the trial is over; a trial that was interrupted starts over
                       finals/00007-1.json   the errors of a finalist in another round
                       tune.html             the page

The identity is a digest of everything that a trial depends on: titles, contract, space, start, search settings,
software. It does not depend on the budget, so a search can be continued with a larger budget.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal, Self, TypeVar

import numpy as np
from pydantic import TypeAdapter, ValidationError

from gamesales.data.contract import Contract
from gamesales.data.files import make_folder, replace_file
from gamesales.data.labeled_titles import LabeledTitles
from gamesales.data.validation import explain_fault
from gamesales.errors import InputError
from gamesales.search.tune_job import Candidate, TuneJob
from gamesales.training.checkpoint import list_software_releases, open_folder

# Increase this when searches work differently or files have another format.
_FORMAT = 2
STORAGE = Path(".tune")
PAGE_FILE = "tune.html"
# Settings that decide the length of the search and the use of its trials, but not the result of a trial.
_NOT_IN_IDENTITY = {"trials", "minutes", "workers", "choose", "finalists", "rounds"}
# No trial is pruned before this many trials are complete.
_MIN_COMPLETE = 5

TrialState = Literal["complete", "pruned", "failed"]
T = TypeVar("T")


@dataclass(frozen=True)
class Trial:
    """A candidate and its errors.

    Attributes:
        number: counts from 0.
        parameters: the number of weights and biases.
        errors: the error of each fold that was run, in order. An error is the mean squared error in units of the
            range of the target in training.
        why: the reason of a failure.
    """

    number: int
    candidate: Candidate
    parameters: int
    state: TrialState
    errors: tuple[float, ...]
    seconds: float
    why: str = ""

    @property
    def error(self) -> float:
        """The mean error of the folds that were run, infinite if there are none."""
        return self.mean_error(len(self.errors)) if self.errors else math.inf

    @property
    def spread(self) -> float:
        """The standard deviation between folds, 0 if there is only one fold."""
        return float(np.std(self.errors, ddof=1)) if len(self.errors) > 1 else 0.0

    def mean_error(self, folds: int) -> float:
        """Return the mean error of the first folds, 1 or more."""
        return math.fsum(self.errors[:folds]) / folds

    def penalized_error(self, folds: int, tolerance: float) -> float:
        """Return the mean error of the first folds with a penalty for the size of the network."""
        return self.mean_error(folds) * compute_penalty(self.parameters, tolerance)


def compute_penalty(parameters: int, tolerance: float) -> float:
    """Compute the factor of the error by which the search compares networks of different sizes.

    Half the parameters are worth ``tolerance`` more error, so that the search looks for small networks too. With a
    tolerance of 0, the factor is 1.
    """
    return math.pow(parameters, math.log2(1 + tolerance))


@dataclass(frozen=True)
class FinalRound:
    """The errors of a finalist, by the number of its trial, in one more round of folds. Rounds count from 1."""

    number: int
    round: int
    errors: tuple[float, ...]
    seconds: float
    why: str = ""


def compute_limits(trials: Iterable[Trial], parameters: int, folds: int, tolerance: float) -> tuple[float, ...]:
    """Compute the mean errors above which a trial is given up after each fold except the last.

    By the median stopping rule, a trial is given up if its penalized error is above the median of complete trials
    after as many folds. There are no limits until enough trials are complete.
    """
    complete = rank_trials(trials)
    if len(complete) < _MIN_COMPLETE:
        return ()
    medians = [
        float(np.median([trial.penalized_error(done, tolerance) for trial in complete])) for done in range(1, folds)
    ]
    return tuple(median / compute_penalty(parameters, tolerance) for median in medians)


def find_pareto_front(trials: Iterable[Trial]) -> list[Trial]:
    """Return the complete trials that no other trial beats in both error and size, the smallest first."""
    front: list[Trial] = []
    for trial in sorted(rank_trials(trials), key=lambda trial: trial.parameters):
        if not front or trial.error < front[-1].error:
            front.append(trial)
    return front


def select_finalists(trials: Sequence[Trial], count: int) -> list[Trial]:
    """Return the best trials of the Pareto front, followed by the best of all trials."""
    ranked = [*rank_trials(find_pareto_front(trials)), *rank_trials(trials)]
    return list({trial.number: trial for trial in ranked}.values())[:count]


def rank_trials(trials: Iterable[Trial]) -> list[Trial]:
    """Return the complete trials, the lowest error first."""
    complete = [trial for trial in trials if trial.state == "complete"]
    return sorted(complete, key=lambda trial: (trial.error, trial.number))


def find_smallest_within(trials: Sequence[Trial], tolerance: float) -> Trial:
    """Return the smallest trial whose error exceeds the lowest error by at most a share ``tolerance``."""
    limit = min(trial.error for trial in trials) * (1 + tolerance)
    within = [trial for trial in trials if trial.error <= limit]
    return min(within, key=lambda trial: (trial.parameters, trial.error, trial.number))


def mix_seed(*numbers: int) -> int:
    """Return a seed from 0 to 2**32 - 1 that is independent of the seeds of other numbers."""
    return int(np.random.SeedSequence([len(numbers), *numbers]).generate_state(1)[0])


@dataclass(frozen=True)
class Study:
    """The folder of a search, and its identity, 64 hex digits."""

    folder: Path
    identity: str

    @classmethod
    def open(cls, storage: Path, job: TuneJob, contract: Contract, titles: LabeledTitles) -> Self:
        """Return the folder of a search. The folder is made if it does not exist.

        Raises:
            UsageError: the storage exists and is not a folder.
        """
        depends_on = {
            "format": _FORMAT,
            "titles": titles.sha256,
            "rows": hashlib.sha256(titles.rows.tobytes()).hexdigest(),  # a job may hold out rows for calibration
            "contract": contract.as_json(),
            "search": job.search.model_dump(mode="json", exclude=_NOT_IN_IDENTITY),
            "space": job.space.model_dump(mode="json"),
            "start": job.start.model_dump(mode="json"),
            "software": {**list_software_releases(), "optuna": version("optuna")},
        }
        identity = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()
        open_folder(storage, "searches", "--storage")
        study = cls(storage / identity[:16], identity)
        for name in ("trials", "finals"):
            make_folder(study.folder / name)
        study.write("study.json", json.dumps({"identity": identity, **depends_on}, indent=1) + "\n")
        return study

    def read_trials(self) -> list[Trial]:
        """Return the trials that are over, in order.

        Raises:
            InputError: a file was changed or is missing.
        """
        paths = (self.folder / "trials").glob("*.json")
        trials = sorted((_read(path, Trial) for path in paths), key=lambda trial: trial.number)
        if [trial.number for trial in trials] != list(range(len(trials))):
            raise InputError(
                f"{self.folder}/trials has {len(trials)} trials, but not the trials from 0 to {len(trials) - 1}",
                hint=f"Delete {self.folder}; the search then starts over",
            )
        return trials

    def read_finals(self) -> dict[tuple[int, int], FinalRound]:
        """Return the final rounds that are over, by trial and round."""
        finals = [_read(path, FinalRound) for path in (self.folder / "finals").glob("*.json")]
        return {(final.number, final.round): final for final in finals}

    def save(self, result: Trial | FinalRound) -> None:
        """Write the file of a trial or of a final round."""
        name = f"trials/{result.number:05}.json"
        if isinstance(result, FinalRound):
            name = f"finals/{result.number:05}-{result.round}.json"
        self.write(name, TypeAdapter(type(result)).dump_json(result, indent=1).decode() + "\n")

    def write(self, name: str, text: str) -> Path:
        """Write a file of the folder atomically."""
        path = self.folder / name
        with replace_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        return path


def _read(path: Path, kind: type[T]) -> T:
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        key = ".".join(map(str, fault["loc"]))
        raise InputError(
            f"{path} can't be read: {key}{': ' if key else ''}{explain_fault(fault)}",
            hint=f"Delete {path.parent.parent}; the search then starts over",
        ) from None
