"""A search: it runs trials, then trains the finalists again on other folds, and keeps everything in a study."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice

from gamesales.data.labeled_titles import LabeledTitles
from gamesales.errors import InputError
from gamesales.report.format import format_count
from gamesales.search.pool import FoldRunner, Task
from gamesales.search.sampler import propose
from gamesales.search.trials import (
    FinalRound,
    Study,
    Trial,
    mix_seed,
    rank_trials,
    select_finalists,
    should_prune,
)
from gamesales.search.tune_job import Candidate, TuneJob
from gamesales.training.fit import Epoch
from gamesales.training.folds import FoldKind, make_folds


@dataclass(frozen=True)
class SearchCallbacks:
    """Functions that are called during a search.

    Attributes:
        on_stage: called with a line of text when a stage begins.
        on_fold: called with the running trial after each of its folds.
        on_trial: called with each finished trial, including the trials of earlier sessions.
        on_epoch: called after each epoch of the training that follows the search.
    """

    on_stage: Callable[[str], None] = lambda stage: None
    on_fold: Callable[[Trial], None] = lambda trial: None
    on_trial: Callable[[Trial], None] = lambda trial: None
    on_epoch: Callable[[Epoch], None] = lambda epoch: None


class Search:
    """The search of a job on some titles. Finished trials are kept in a study."""

    def __init__(self, job: TuneJob, titles: LabeledTitles, study: Study, callbacks: SearchCallbacks) -> None:
        self.study = study
        self._job, self._spec, self._callbacks, self._titles = job, job.search, callbacks, titles
        self._trials, self._finals = study.read_trials()[: self._spec.trials], study.read_finals()
        spent = [*(trial.seconds for trial in self._trials), *(final.seconds for final in self._finals.values())]
        self._started = time.monotonic() - math.fsum(spent)

    @property
    def seconds(self) -> float:
        """The duration of the search in all sessions."""
        return time.monotonic() - self._started

    def run_trials(self, run_folds: FoldRunner) -> list[Trial]:
        """Run the trials that are missing, and return all trials.

        Raises:
            InputError: no trial is complete.
        """
        trials = self._trials
        if trials:
            self._callbacks.on_stage(f"resuming after {format_count(len(trials), 'trial')}, from {self.study.folder}")
        for trial in trials:
            self._callbacks.on_trial(trial)
        while self._has_budget():
            candidate = self._propose()
            if candidate is None:
                self._callbacks.on_stage("every network of the space was tried")
                break
            trials.append(self._run_trial(run_folds, candidate))
            self.study.save(trials[-1])
            self._callbacks.on_trial(trials[-1])
        if not rank_trials(trials):
            raise InputError(
                f"none of {format_count(len(trials), 'trial')} could be trained: {trials[-1].why}",
                hint="Lower space.learning_rate of the job file, or give more trials",
            )
        return trials

    def run_finals(self, run_folds: FoldRunner) -> list[Trial]:
        """Train the finalists in rounds of other folds and seeds, and return them with the errors of these rounds.

        Raises:
            InputError: no finalist could be trained again.
        """
        finalists = select_finalists(self._trials, self._spec.finalists)
        rounds = [(trial, number) for trial in finalists for number in range(1, self._spec.rounds + 1)]
        missing = [(trial, number) for trial, number in rounds if (trial.number, number) not in self._finals]
        outcomes = run_folds([task for trial, number in missing for task in self._make_tasks(trial.candidate, number)])
        for trial, number in missing:
            started = time.monotonic()
            results = list(islice(outcomes, self._spec.folds))
            why = next((result for result in results if isinstance(result, str)), "")
            errors = tuple(result for result in results if not isinstance(result, str))
            final = FinalRound(trial.number, number, errors, _measure_seconds(started), why)
            self.study.save(final)
            self._finals[trial.number, number] = final
        retrained = [self._with_final_errors(trial) for trial in finalists]
        if not rank_trials(retrained):
            raise InputError(
                f"none of {format_count(len(retrained), 'finalist')} could be trained again: {retrained[0].why}"
            )
        return retrained

    def _has_budget(self) -> bool:
        """Return whether the budget allows one more trial and leaves time for the final rounds."""
        spec, trials = self._spec, self._trials
        if spec.trials is not None and len(trials) >= spec.trials:
            return False
        if spec.minutes is None or not trials:
            return True
        finalists = select_finalists(trials, spec.finalists)
        final_seconds = spec.rounds * math.fsum(trial.seconds for trial in finalists)
        return self.seconds + final_seconds < 60 * spec.minutes

    def _propose(self) -> Candidate | None:
        if not self._trials:
            return self._job.start
        return propose(self._job.space, self._trials, self._spec.seed, self._spec.tolerance)

    def _run_trial(self, run_folds: FoldRunner, candidate: Candidate) -> Trial:
        """Train a candidate fold by fold, until it fails or is pruned."""
        started = time.monotonic()
        parameters = candidate.count_parameters(self._titles.features.shape[1])
        trial = Trial(len(self._trials), candidate, parameters, "complete", (), 0.0)
        for outcome in run_folds(self._make_tasks(candidate, 0)):
            if isinstance(outcome, str):
                trial = replace(trial, state="failed", why=outcome)
                break
            trial = replace(trial, errors=(*trial.errors, outcome))
            self._callbacks.on_fold(trial)
            if self._should_prune(trial):
                trial = replace(trial, state="pruned")
                break
        return replace(trial, seconds=_measure_seconds(started))

    def _should_prune(self, trial: Trial) -> bool:
        is_over = len(trial.errors) == self._spec.folds
        return self._spec.pruning and not is_over and should_prune(self._trials, trial, self._spec.tolerance)

    def _make_tasks(self, candidate: Candidate, number: int) -> list[Task]:
        """Return the tasks of a round; round 0 is the search. All candidates have the same folds and seeds."""
        spec = self._spec
        kind: FoldKind = "grouped" if spec.grouped else "plain"
        folds = make_folds(self._titles, kind, spec.folds, mix_seed(spec.seed, number))
        return [Task(candidate, mix_seed(spec.seed, number, index), fold) for index, fold in enumerate(folds)]

    def _with_final_errors(self, trial: Trial) -> Trial:
        """Return a finalist with the errors of its final rounds."""
        rounds = [self._finals[trial.number, number] for number in range(1, self._spec.rounds + 1)]
        why = next((final.why for final in rounds if final.why), "")
        errors = tuple(error for final in rounds for error in final.errors)
        return replace(trial, state="failed" if why else "complete", errors=errors, why=why)


def _measure_seconds(started: float) -> float:
    return round(time.monotonic() - started, 3)
