"""A search: it runs trials, then trains the finalists again on other folds, and keeps everything in a study."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gamesales.data.labeled_titles import LabeledTitles
from gamesales.errors import InputError
from gamesales.report.format import format_count
from gamesales.search.fold_errors import FoldErrors, Measure, Task
from gamesales.search.sampler import propose
from gamesales.search.trials import (
    FinalRound,
    Study,
    Trial,
    TrialState,
    compute_limits,
    mix_seed,
    rank_trials,
    select_finalists,
)
from gamesales.search.tune_job import Candidate, TuneJob
from gamesales.training.fit import Epoch
from gamesales.training.folds import FoldKind, make_folds
from gamesales.training.workers import Call

# Up to this number of trials run at the same time. It is the same for any number of workers, because a trial is
# proposed from the errors of the trials that are surely over.
RUNNING_TRIALS = 4


@dataclass(frozen=True)
class SearchCallbacks:
    """Functions that are called during a search.

    Attributes:
        on_stage: called with a line of text when a stage begins.
        on_start: called with a trial that has no errors yet when the search begins to wait for it.
        on_trial: called with each finished trial, including the trials of earlier sessions.
        on_epoch: called after each epoch of the training that follows the search.
    """

    on_stage: Callable[[str], None] = lambda stage: None
    on_start: Callable[[Trial], None] = lambda trial: None
    on_trial: Callable[[Trial], None] = lambda trial: None
    on_epoch: Callable[[Epoch], None] = lambda epoch: None


class Search:
    """The search of a job on some titles. Finished trials are kept in a study.

    ``inputs`` is the number of inputs of a network, by default one for each feature.
    """

    def __init__(
        self, job: TuneJob, titles: LabeledTitles, study: Study, callbacks: SearchCallbacks, inputs: int | None = None
    ) -> None:
        self.study = study
        self._inputs = inputs or titles.features.shape[1]
        self._job, self._spec, self._callbacks, self._titles = job, job.search, callbacks, titles
        self._trials, self._finals = study.read_trials()[: self._spec.trials], study.read_finals()
        spent = [*(trial.seconds for trial in self._trials), *(final.seconds for final in self._finals.values())]
        self._started = time.monotonic() - math.fsum(spent)

    @property
    def seconds(self) -> float:
        """The duration of the search in all sessions."""
        return time.monotonic() - self._started

    def run_trials(self, measure: Measure) -> list[Trial]:
        """Run the trials that are missing, and return all trials.

        Raises:
            InputError: no trial is complete.
        """
        trials = self._trials
        if trials:
            self._callbacks.on_stage(f"resuming after {format_count(len(trials), 'trial')}, from {self.study.folder}")
        for trial in trials:
            self._callbacks.on_trial(trial)
        running: deque[tuple[Candidate, Call]] = deque()
        is_exhausted, started = False, time.monotonic()
        while True:
            while len(running) < RUNNING_TRIALS and not is_exhausted and self._has_budget(len(running)):
                candidate = self._propose([candidate for candidate, _ in running])
                if candidate is None:
                    self._callbacks.on_stage("every network of the space was tried")
                    is_exhausted = True
                    break
                running.append((candidate, measure(self._make_task(candidate, 0, self._count_settled(len(running))))))
            if not running:
                break
            candidate, call = running.popleft()
            self._callbacks.on_start(self._make_trial(candidate, FoldErrors(), 0.0))
            outcome, started, since = call.result(), time.monotonic(), started
            trials.append(self._make_trial(candidate, outcome, round(started - since, 3)))
            self.study.save(trials[-1])
            self._callbacks.on_trial(trials[-1])
        if not rank_trials(trials):
            raise InputError(
                f"none of {format_count(len(trials), 'trial')} could be trained: {trials[-1].why}",
                hint="Lower space.learning_rate of the job file, or give more trials",
            )
        return trials

    def run_finals(self, measure: Measure) -> list[Trial]:
        """Train the finalists in rounds of other folds and seeds, and return them with the errors of these rounds.

        Raises:
            InputError: no finalist could be trained again.
        """
        finalists = select_finalists(self._trials, self._spec.finalists)
        rounds = [(trial, number) for trial in finalists for number in range(1, self._spec.rounds + 1)]
        missing = [(trial, number) for trial, number in rounds if (trial.number, number) not in self._finals]
        calls = [measure(self._make_task(trial.candidate, number, 0)) for trial, number in missing]
        started = time.monotonic()
        for (trial, number), call in zip(missing, calls, strict=True):
            outcome, started, since = call.result(), time.monotonic(), started
            final = FinalRound(trial.number, number, outcome.errors, round(started - since, 3), outcome.why)
            self.study.save(final)
            self._finals[trial.number, number] = final
        retrained = [self._with_final_errors(trial) for trial in finalists]
        if not rank_trials(retrained):
            raise InputError(
                f"none of {format_count(len(retrained), 'finalist')} could be trained again: {retrained[0].why}"
            )
        return retrained

    def _has_budget(self, running: int) -> bool:
        """Return whether the budget allows one more trial and leaves time for the final rounds."""
        spec, trials = self._spec, self._trials
        number = len(trials) + running
        if spec.trials is not None and number >= spec.trials:
            return False
        if spec.minutes is None or not number:
            return True
        finalists = select_finalists(trials, spec.finalists)
        final_seconds = spec.rounds * math.fsum(trial.seconds for trial in finalists)
        running_seconds = running * math.fsum(trial.seconds for trial in trials) / max(len(trials), 1)
        return self.seconds + running_seconds + final_seconds < 60 * spec.minutes

    def _count_settled(self, running: int) -> int:
        """Count the trials whose errors may decide the next trial.

        The last trials before it may still be running, so their errors never count, even if they are known.
        """
        return max(0, len(self._trials) + running + 1 - RUNNING_TRIALS)

    def _propose(self, running: Sequence[Candidate]) -> Candidate | None:
        if not self._trials and not running:
            return self._job.start
        settled = self._count_settled(len(running))
        unsettled = [*(trial.candidate for trial in self._trials[settled:]), *running]
        return propose(self._job.space, self._trials[:settled], unsettled, self._spec.seed, self._spec.tolerance)

    def _make_task(self, candidate: Candidate, number: int, settled: int) -> Task:
        """Return the task of a round; round 0 is the search. All candidates have the same folds and seeds."""
        spec = self._spec
        kind: FoldKind = "grouped" if spec.grouped else "plain"
        folds = make_folds(self._titles, kind, spec.folds, mix_seed(spec.seed, number))
        seeds = tuple(mix_seed(spec.seed, number, index) for index in range(spec.folds))
        trials = self._trials[:settled] if spec.pruning else []
        limits = compute_limits(trials, self._count_parameters(candidate), spec.folds, spec.tolerance)
        return Task(candidate, seeds, tuple(folds), limits)

    def _make_trial(self, candidate: Candidate, outcome: FoldErrors, seconds: float) -> Trial:
        is_pruned = len(outcome.errors) < self._spec.folds
        state: TrialState = "failed" if outcome.why else "pruned" if is_pruned else "complete"
        number, parameters = len(self._trials), self._count_parameters(candidate)
        return Trial(number, candidate, parameters, state, outcome.errors, seconds, outcome.why)

    def _count_parameters(self, candidate: Candidate) -> int:
        return candidate.count_parameters(self._inputs)

    def _with_final_errors(self, trial: Trial) -> Trial:
        """Return a finalist with the errors of its final rounds."""
        rounds = [self._finals[trial.number, number] for number in range(1, self._spec.rounds + 1)]
        why = next((final.why for final in rounds if final.why), "")
        errors = tuple(error for final in rounds for error in final.errors)
        return replace(trial, state="failed" if why else "complete", errors=errors, why=why)
