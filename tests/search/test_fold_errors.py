"""The errors of a candidate: what they are, when a candidate is given up, and that its folds depend on nothing else."""

import dataclasses

import numpy as np
import pytest

from gamesales.errors import JobFileError
from gamesales.search import fold_errors
from gamesales.search.fold_errors import FoldErrors, Task, TrainingData, measure_folds
from gamesales.search.tune_job import Candidate
from gamesales.training.folds import make_plain_folds
from gamesales.training.refits import fit_predictors, plan_refit
from gamesales.training.workers import open_workers
from support.versions import title_values

LEARNS = Candidate(units=(4,), activation="relu", learning_rate=0.05, epochs=3, batch_size=20)
DIVERGES = LEARNS.model_copy(update={"learning_rate": 1e30})
DROPS = LEARNS.model_copy(update={"dropout": 0.1})


@pytest.fixture
def data(contract):
    values = title_values(90)
    return TrainingData(contract, values, 1000 * values[:, 0] + 10 * values[:, -1])


def make_task(candidate, seed=1, limits=()):
    return Task(candidate, (seed, seed + 1, seed + 2), tuple(make_plain_folds(90, 3, 1)), limits)


@pytest.mark.parametrize("candidate", [LEARNS, pytest.param(DROPS, marks=pytest.mark.slow)])
def test_fold_error_is_scaled_mse(data, candidate):
    """The error is the mean squared error on the fold, in units of the range of all earnings."""
    task = make_task(candidate)
    fold, training = task.folds[0], candidate.training(task.seeds[0])
    others = np.setdiff1d(np.arange(90), fold)
    refit = plan_refit(training, data.contract, data.features[others], data.earnings[others])
    (predict,) = fit_predictors(candidate.network(), [refit])
    errors = predict(data.features[fold]) - data.earnings[fold]
    measured = measure_folds(data, task)
    assert 3 == len(measured.errors)
    assert measured.errors[0] == pytest.approx(np.mean((errors / np.ptp(data.earnings)) ** 2), rel=1e-4)


@pytest.mark.slow
def test_errors_depend_on_task(data):
    """The errors depend on the task alone, not on tasks before it."""
    alone = measure_folds(data, make_task(LEARNS))
    measure_folds(data, make_task(DROPS))
    assert alone == measure_folds(data, make_task(LEARNS))
    assert alone != measure_folds(data, make_task(LEARNS, seed=9))


@pytest.mark.parametrize("candidate", [DIVERGES, pytest.param(DIVERGES.model_copy(update={"dropout": 0.1}))])
def test_divergence_is_an_outcome(data, candidate):
    """Training that diverges is an outcome, not an exception."""
    measured = measure_folds(data, make_task(candidate))
    assert () == measured.errors
    assert "training diverged" in measured.why or measured.why == "its predictions are not finite numbers"


def test_equal_earnings(data):
    """Titles with equal earnings have a finite error."""
    equal = dataclasses.replace(data, earnings=np.full(90, 5000.0))
    assert np.isfinite(measure_folds(equal, make_task(LEARNS)).errors).all()


def test_large_candidate_is_given_up(data, monkeypatch):
    """A candidate with much work is given up after its first fold; with little work, all folds are over at once."""
    task = make_task(LEARNS, limits=(1e-9, 1e-9))
    assert 3 == len(measure_folds(data, task).errors)
    monkeypatch.setattr(fold_errors, "_MAX_AT_ONCE", 0)
    given_up = measure_folds(data, task)
    assert (1, "") == (len(given_up.errors), given_up.why)
    assert 3 == len(measure_folds(data, dataclasses.replace(task, limits=(1e9, 1e9))).errors)


@pytest.mark.slow
def test_workers_change_nothing(data):
    """Workers give the same errors as this process."""
    tasks = [make_task(LEARNS), make_task(DIVERGES), make_task(DROPS), make_task(LEARNS, 7)]
    here = [measure_folds(data, task) for task in tasks]
    with open_workers(2) as submit:
        calls = [submit(measure_folds, data, task) for task in tasks]
        assert here == [call.result() for call in calls]
        unknown = submit(measure_folds, data, make_task(LEARNS.model_copy(update={"activation": "nonsense"})))
        with pytest.raises(JobFileError, match="activation"):
            unknown.result()


def test_no_error_without_a_fold():
    """A task without limits is never given up."""
    assert not make_task(LEARNS).is_over_limit((1e9,))
    assert FoldErrors() == FoldErrors((), "")
