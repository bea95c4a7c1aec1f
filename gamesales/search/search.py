"""The trials of a search, those of earlier sessions and those to come."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from gamesales.arrays import IntArray
from gamesales.data.labeled_titles import Titles
from gamesales.errors import InputError
from gamesales.search.pool import Cross, Task
from gamesales.search.sampler import propose
from gamesales.search.space import Candidate
from gamesales.search.study import Final, Study
from gamesales.search.trials import Trial, derived_seed, finalists, is_hopeless, ranking
from gamesales.search.tune_job import TuneJob
from gamesales.training import folds
from gamesales.training.fit import Epoch


@dataclass(frozen=True)
class Watch:
    """Who is told of what: a stage that begins, a trial with its errors so far, one that is over, an epoch."""

    stage: Callable[[str], None] = lambda stage: None
    running: Callable[[Trial], None] = lambda trial: None
    trial: Callable[[Trial], None] = lambda trial: None
    epoch: Callable[[Epoch], None] = lambda epoch: None


class Search:
    """A job's search on some titles, which keeps in the study what is over."""

    def __init__(self, job: TuneJob, learnt: Titles, study: Study, watch: Watch) -> None:
        self.study = study
        self._job, self._spec, self._watch, self._learnt = job, job.search, watch, learnt
        self._trials, self._finals = study.trials()[: self._spec.trials], study.finals()
        spent = [*(trial.seconds for trial in self._trials), *(final.seconds for final in self._finals.values())]
        self._began = time.monotonic() - math.fsum(spent)

    @property
    def seconds(self) -> float:
        """How long the search took so far, in all sessions together."""
        return time.monotonic() - self._began

    def run(self, cross: Cross) -> list[Trial]:
        """Do the trials that are still to be done; return all.

        Raises: InputError: not one was complete in the end.
        """
        trials = self._trials
        if trials:
            self._watch.stage(f"going on after {len(trials):,} trials, from {self.study.folder}")
        for trial in trials:
            self._watch.trial(trial)
        while self._goes_on():
            candidate = self._next()
            if candidate is None:
                self._watch.stage("every network of the space was tried")
                break
            trials.append(self._try(cross, candidate))
            self.study.keep_trial(trials[-1])
            self._watch.trial(trials[-1])
        if not ranking(trials):
            raise InputError(
                f"not one of {len(trials):,} trials could be trained: {trials[-1].why}",
                hint="Lower space.learning_rate of the job file, or give more trials",
            )
        return trials

    def look_again(self, cross: Cross) -> list[Trial]:
        """Return the finalists with their errors in rounds of other folds and other seeds, in place of their own.

        Raises: InputError: not one of them could be trained again.
        """
        chosen = finalists(self._trials, self._spec.finalists)
        rounds = [(trial, number) for trial in chosen for number in range(1, self._spec.rounds + 1)]
        missing = [(trial, number) for trial, number in rounds if (trial.number, number) not in self._finals]
        outcomes = cross([task for trial, number in missing for task in self._tasks(trial.candidate, number)])
        for trial, number in missing:
            began = time.monotonic()
            told = list(islice(outcomes, self._spec.folds))
            why = next((one for one in told if isinstance(one, str)), "")
            errors = tuple(one for one in told if not isinstance(one, str))
            final = Final(trial.number, number, errors, _since(began), why)
            self.study.keep_final(final)
            self._finals[trial.number, number] = final
        again = [self._judged(trial) for trial in chosen]
        if not ranking(again):
            raise InputError(f"not one of {len(again)} finalists could be trained again: {again[0].why}")
        return again

    def _goes_on(self) -> bool:
        """Tell whether the budget allows one more trial; the final is to have time too."""
        spec, trials = self._spec, self._trials
        if spec.trials is not None and len(trials) >= spec.trials:
            return False
        if spec.minutes is None or not trials:
            return True
        final = spec.rounds * math.fsum(trial.seconds for trial in finalists(trials, spec.finalists))
        return self.seconds + final < 60 * spec.minutes

    def _next(self) -> Candidate | None:
        if not self._trials:
            return self._job.start
        return propose(self._job.space, self._trials, self._spec.seed, self._spec.tolerance)

    def _try(self, cross: Cross, candidate: Candidate) -> Trial:
        """Train a candidate fold by fold, until it fails or does worse than most."""
        began = time.monotonic()
        size = candidate.parameters(self._learnt.features.shape[1])
        trial = Trial(len(self._trials), candidate, size, "complete", (), 0.0)
        for outcome in cross(self._tasks(candidate, 0)):
            if isinstance(outcome, str):
                trial = replace(trial, state="failed", why=outcome)
                break
            trial = replace(trial, errors=(*trial.errors, outcome))
            self._watch.running(trial)
            if self._is_to_be_pruned(trial):
                trial = replace(trial, state="pruned")
                break
        return replace(trial, seconds=_since(began))

    def _is_to_be_pruned(self, trial: Trial) -> bool:
        is_over = len(trial.errors) == self._spec.folds
        return self._spec.pruning and not is_over and is_hopeless(self._trials, trial, self._spec.tolerance)

    def _tasks(self, candidate: Candidate, number: int) -> list[Task]:
        """Return the trainings of a round; 0 is the search itself. All candidates have the same folds and seeds."""
        spec, seed = self._spec, derived_seed(self._spec.seed, number)
        if spec.grouped:
            cut: Sequence[IntArray] = folds.cut_grouped(self._learnt.features, spec.folds, seed)
        else:
            cut = folds.cut(len(self._learnt), spec.folds, seed)
        return [Task(candidate, derived_seed(spec.seed, number, place), fold) for place, fold in enumerate(cut)]

    def _judged(self, trial: Trial) -> Trial:
        """Return a finalist with what its rounds say of it."""
        rounds = [self._finals[trial.number, number] for number in range(1, self._spec.rounds + 1)]
        why = next((one.why for one in rounds if one.why), "")
        errors = tuple(error for one in rounds for error in one.errors)
        return replace(trial, state="failed" if why else "complete", errors=errors, why=why)


def _since(began: float) -> float:
    return round(time.monotonic() - began, 3)
