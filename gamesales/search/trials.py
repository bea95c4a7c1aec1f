"""The trials of a search: when to give one up, which are worth another look, which network is small enough.

Each is a function of the trials so far, and of nothing else: a search that was killed goes on as if it had not been.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gamesales.search.space import Candidate

State = Literal["complete", "pruned", "failed"]

# So many complete trials there must be before one is given up.
_UNPRUNED = 5


@dataclass(frozen=True)
class Trial:
    """One candidate and its errors.

    ``errors`` are those of the folds that were reached, in order: mean squared error in units of the target's range in
    training. ``parameters`` counts the network's weights and biases. ``why`` tells what failed.
    """

    number: int
    candidate: Candidate
    parameters: int
    state: State
    errors: tuple[float, ...]
    seconds: float
    why: str = ""

    @property
    def error(self) -> float:
        """The mean over the folds that were reached; infinite if there is none."""
        return self.error_after(len(self.errors)) if self.errors else math.inf

    @property
    def spread(self) -> float:
        """The standard deviation between folds; 0 if there is but one."""
        return float(np.std(self.errors, ddof=1)) if len(self.errors) > 1 else 0.0

    def error_after(self, folds: int) -> float:
        """Return the mean over so many of the folds, 1 or more."""
        return math.fsum(self.errors[:folds]) / folds

    def price_after(self, folds: int, tolerance: float) -> float:
        """Weigh the error against the size that it takes: half the parameters are worth ``tolerance`` more error.

        This is what the search brings down, so that it looks for small networks too; with a tolerance of 0, the error.
        """
        return self.error_after(folds) * math.pow(self.parameters, math.log2(1 + tolerance))


def is_hopeless(trials: Iterable[Trial], running: Trial, tolerance: float) -> bool:
    """Tell whether a trial may be given up after some of its folds, by the median stopping rule.

    It may if its price is above the median of what complete trials had after as many folds.

    Args: running: with the errors of one fold or more.
    """
    done, folds = _complete(trials), len(running.errors)
    if len(done) < _UNPRUNED:
        return False
    median = float(np.median([trial.price_after(folds, tolerance) for trial in done]))
    return running.price_after(folds, tolerance) > median


def front(trials: Iterable[Trial]) -> list[Trial]:
    """Return the complete trials that none beats in both error and size, the smallest first."""
    found: list[Trial] = []
    for trial in sorted(_complete(trials), key=lambda trial: (trial.parameters, *_rank(trial))):
        if not found or trial.error < found[-1].error:
            found.append(trial)
    return found


def finalists(trials: Sequence[Trial], number: int) -> list[Trial]:
    """Return those that are worth another look: of the front, and then of all, the ones with the lowest errors."""
    ranked = [*sorted(front(trials), key=_rank), *ranking(trials)]
    return list({trial.number: trial for trial in ranked}.values())[:number]


def ranking(trials: Iterable[Trial]) -> list[Trial]:
    """Return the complete trials, the lowest error first."""
    return sorted(_complete(trials), key=_rank)


def smallest_within(trials: Sequence[Trial], tolerance: float) -> Trial:
    """Return the smallest trial whose error is within a share of the lowest; of several, the one with less error."""
    allowed = min(trial.error for trial in trials) * (1 + tolerance)
    near = [trial for trial in trials if trial.error <= allowed]
    return min(near, key=lambda trial: (trial.parameters, *_rank(trial)))


def derived_seed(*numbers: int) -> int:
    """Return a seed that has nothing to do with those of other numbers, from 0 to 2**32 - 1."""
    return int(np.random.SeedSequence([len(numbers), *numbers]).generate_state(1)[0])


def _complete(trials: Iterable[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.state == "complete"]


def _rank(trial: Trial) -> tuple[float, int]:
    return trial.error, trial.number
