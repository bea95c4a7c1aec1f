"""The errors of a candidate on folds that it was not trained on."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from gamesales.arrays import FloatArray, IntArray
from gamesales.data.contract import Contract
from gamesales.errors import InputError
from gamesales.search.tune_job import Candidate
from gamesales.training.encoding import Encoding, add_encoder, count_inputs, fit_encoding
from gamesales.training.folds import list_other_rows
from gamesales.training.keras_objects import load_keras
from gamesales.training.refits import Refit, fit_predictors, plan_refit
from gamesales.training.scaling import Scaling, fit_scaler
from gamesales.training.stacked import can_stack
from gamesales.training.workers import Call

# Above this number of multiplications for the predictions of a trial, about five seconds, its first fold decides
# whether the others are worth their time.
_MAX_AT_ONCE = 20_000_000_000


@dataclass(frozen=True)
class TrainingData:
    """The titles of a search: ``features`` float64 (n, k), ``earnings`` float64 (n,)."""

    contract: Contract
    features: FloatArray
    earnings: FloatArray

    @cached_property
    def encoding(self) -> Encoding | None:
        """The encoding that the contract needs; None if it needs none."""
        return fit_encoding(self.contract, self.features)

    @property
    def width(self) -> int:
        """The number of inputs of a candidate's first layer."""
        return count_inputs(self.encoding) if self.encoding else self.features.shape[1]

    @cached_property
    def _scaling(self) -> Scaling:
        return fit_scaler(self.contract, self.features, self.earnings)[1]

    def compute_errors(self, predicted: FloatArray, rows: IntArray) -> FloatArray:
        """Return the errors of predictions for some rows, relative to the range of the target as it is scaled."""
        if self.contract.target.scale == "log":
            scale = self._scaling.scale_target
            return scale(predicted) - scale(self.earnings[rows])
        return (predicted - self.earnings[rows]) / (np.ptp(self.earnings) or 1.0)


@dataclass(frozen=True)
class Task:
    """A candidate to measure on folds.

    Attributes:
        seeds: the seed of each fold.
        folds: the rows that the candidate is measured on and not trained on, int64 (m,).
        limits: after each fold except the last, the mean error above which the candidate is given up; or empty.
    """

    candidate: Candidate
    seeds: tuple[int, ...]
    folds: tuple[IntArray, ...]
    limits: tuple[float, ...] = ()

    def is_over_limit(self, errors: tuple[float, ...]) -> bool:
        """Return whether the candidate is given up after these errors."""
        done = len(errors)
        return done <= len(self.limits) and float(np.mean(errors)) > self.limits[done - 1]


@dataclass(frozen=True)
class FoldErrors:
    """The mean squared errors in units of the range of all earnings, and why there is no error of the next fold.

    There are fewer errors than folds if the candidate was given up, or if it failed.
    """

    errors: tuple[float, ...] = ()
    why: str = ""


# Begins to measure a task.
Measure = Callable[[Task], Call]


def measure_folds(data: TrainingData, task: Task) -> FoldErrors:
    """Train a candidate for each fold, and measure its errors, until it fails or is given up."""
    load_keras()
    if not gc.get_freeze_count():
        gc.freeze()  # a collection after each task would take longer to visit the imports than the task's own objects
    try:
        return _measure_groups(data, task)
    finally:
        load_keras().utils.clear_session()  # otherwise the graphs of all candidates stay in memory


def _measure_groups(data: TrainingData, task: Task) -> FoldErrors:
    measured = FoldErrors()
    for places in _group_folds(data, task):
        refits = [_plan_fold(data, task, place) for place in places]
        network = add_encoder(task.candidate.network(), data.encoding)
        for place, predict in zip(places, fit_predictors(network, refits), strict=True):
            if isinstance(predict, InputError):
                return replace(measured, why=predict.message)
            fold = task.folds[place]
            error = float(np.mean(data.compute_errors(predict(data.features[fold]), fold) ** 2))
            if not np.isfinite(error):
                return replace(measured, why="its predictions are not finite numbers")
            measured = FoldErrors((*measured.errors, error))
        if task.is_over_limit(measured.errors):
            break
    return measured


def _group_folds(data: TrainingData, task: Task) -> Iterator[range]:
    """Yield the folds that are trained at once. Without a stack, they are trained one by one."""
    candidate, folds = task.candidate, len(task.folds)
    if not can_stack(candidate.network(), candidate.training(0)):
        yield from (range(place, place + 1) for place in range(folds))
        return
    weights = candidate.count_parameters(data.width)
    if not task.limits or weights * candidate.epochs * len(data.earnings) * folds <= _MAX_AT_ONCE:
        yield range(folds)
        return
    yield range(1)
    yield range(1, folds)


def _plan_fold(data: TrainingData, task: Task, place: int) -> Refit:
    (rows,) = list_other_rows(len(data.earnings), [task.folds[place]])
    training = task.candidate.training(task.seeds[place])
    return plan_refit(training, data.contract, data.features[rows], data.earnings[rows])
