"""The pool: what the error on a fold is, and that worker processes change nothing but the time."""

import os
import signal

import numpy as np
import pytest

from gamesales.errors import JobFileError, TryAgainError
from gamesales.search.pool import Task, TrainingData, measure_fold_error, open_pool
from gamesales.search.tune_job import Candidate
from gamesales.training.fit import fit_predictor
from gamesales.training.folds import make_plain_folds
from support.versions import title_values

LEARNS = Candidate(units=(4,), activation="relu", learning_rate=0.05, epochs=3, batch_size=20)
DIVERGES = LEARNS.model_copy(update={"learning_rate": 1e30})
LEARNS_LONG = LEARNS.model_copy(update={"epochs": 1_000_000})


@pytest.fixture
def data(contract):
    values = title_values(90)
    return TrainingData(contract, values, 1000 * values[:, 0] + 10 * values[:, -1])


def tasks(candidate, seed=1):
    return [Task(candidate, seed + index, fold) for index, fold in enumerate(make_plain_folds(90, 3, 1))]


def test_fold_error_is_scaled_mse(data):
    """The error is the mean squared error on the fold, in units of the range of all earnings."""
    (task, *_) = tasks(LEARNS)
    others = np.setdiff1d(np.arange(90), task.fold)
    training = LEARNS.training(task.seed)
    predict = fit_predictor(LEARNS.network(), training, data.contract, data.features[others], data.earnings[others])
    errors = predict(data.features[task.fold]) - data.earnings[task.fold]
    assert measure_fold_error(data, task) == pytest.approx(np.mean((errors / np.ptp(data.earnings)) ** 2))


@pytest.mark.slow
def test_fold_error_depends_on_task(data):
    """The error depends on the task alone, not on tasks before it."""
    first, second, _ = tasks(LEARNS)
    alone = measure_fold_error(data, second)
    measure_fold_error(data, first)
    assert alone == measure_fold_error(data, second)
    assert alone != measure_fold_error(data, Task(LEARNS, 9, second.fold))


@pytest.mark.slow
def test_divergence_is_an_outcome(data):
    """Training that diverges is an outcome, not an exception."""
    with open_pool(data, 1) as run_folds:
        first, *_ = run_folds(tasks(DIVERGES))
    assert "training diverged" in first or first == "its predictions are not finite numbers"


def test_equal_earnings(data):
    """Titles with equal earnings have a finite error."""
    equal = TrainingData(data.contract, data.features, np.full(90, 5000.0))
    assert np.isfinite(measure_fold_error(equal, tasks(LEARNS)[0]))


@pytest.mark.slow
def test_workers_keep_the_order(data):
    """Workers give the same outcomes as this process, in the order of the tasks."""
    all_tasks = [*tasks(LEARNS), *tasks(DIVERGES)[:1], *tasks(LEARNS, 7)]
    here = [measure_fold_error(data, task) for task in all_tasks]
    with open_pool(data, 2) as run_folds:
        assert here == list(run_folds(all_tasks))
        abandoned = run_folds(tasks(LEARNS))
        assert here[0] == next(abandoned)
        # Outcomes of the abandoned tasks do not come up again.
        assert here[4:] == list(run_folds(tasks(LEARNS, 7)))


@pytest.mark.slow
def test_exceptions_of_workers(data):
    """An exception in a worker is raised in this process."""
    with open_pool(data, 2) as run_folds, pytest.raises(JobFileError, match="activation"):
        list(run_folds(tasks(LEARNS.model_copy(update={"activation": "nonsense"}))))
    broken = TrainingData(data.contract, data.features, None)
    with open_pool(broken, 2) as run_folds, pytest.raises(RuntimeError, match="Traceback"):
        list(run_folds(tasks(LEARNS)))


@pytest.mark.slow
@pytest.mark.parametrize("before", [True, False])
def test_killed_worker(data, before):
    """A worker that is killed ends the search with an error to try again."""
    with open_pool(data, 2) as run_folds:
        outcomes = run_folds([*tasks(LEARNS)[:1], *tasks(LEARNS_LONG)])
        if not before:
            next(outcomes)
        for process in run_folds.__self__._processes:
            os.kill(process.pid, signal.SIGKILL)
            process.join()
        with pytest.raises(TryAgainError, match="a worker process of the search was killed"):
            list(outcomes)
