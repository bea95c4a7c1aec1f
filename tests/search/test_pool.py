"""Training on all titles but a fold: what an error is, and that processes change nothing but the time."""

import os
import signal

import numpy as np
import pytest

from gamesales.errors import JobFileError, TryAgainError
from gamesales.search.pool import Known, Task, crossing, fold_error
from gamesales.search.space import Candidate
from gamesales.training.fit import learn
from gamesales.training.folds import cut
from support.versions import title_values

LEARNS = Candidate(units=(4,), activation="relu", learning_rate=0.05, epochs=3, batch_size=20)
DIVERGES = LEARNS.model_copy(update={"learning_rate": 1e30})
LEARNS_LONG = LEARNS.model_copy(update={"epochs": 1_000_000})


@pytest.fixture
def known(contract):
    values = title_values(90)
    return Known(contract, values, 1000 * values[:, 0] + 10 * values[:, -1])


def tasks(candidate, seed=1):
    return [Task(candidate, seed + place, fold) for place, fold in enumerate(cut(90, 3, 1))]


def test_an_error_is_the_mean_squared_error_on_the_fold_in_units_of_the_range_of_all_earnings(known):
    (task, *_) = tasks(LEARNS)
    others = np.setdiff1d(np.arange(90), task.fold)
    training = LEARNS.training(task.seed)
    predict = learn(LEARNS.network(), training, known.contract, known.features[others], known.earnings[others])
    off = predict(known.features[task.fold]) - known.earnings[task.fold]
    assert fold_error(known, task) == pytest.approx(np.mean((off / np.ptp(known.earnings)) ** 2))


def test_a_fold_s_error_depends_on_its_task_alone(known):
    first, second, _ = tasks(LEARNS)
    alone = fold_error(known, second)
    fold_error(known, first)
    assert alone == fold_error(known, second)
    assert alone != fold_error(known, Task(LEARNS, 9, second.fold))


def test_a_training_that_diverges_is_an_outcome_and_no_failure(known):
    with crossing(known, 1) as cross:
        first, *_ = cross(tasks(DIVERGES))
    assert "training diverged" in first or first == "its predictions are no finite numbers"


def test_equal_earnings_have_an_error_too(known):
    equal = Known(known.contract, known.features, np.full(90, 5000.0))
    assert np.isfinite(fold_error(equal, tasks(LEARNS)[0]))


@pytest.mark.slow
def test_processes_give_the_same_outcomes_in_the_order_of_the_tasks(known):
    wanted = [*tasks(LEARNS), *tasks(DIVERGES)[:1], *tasks(LEARNS, 7)]
    here = [fold_error(known, task) for task in wanted]
    with crossing(known, 2) as cross:
        assert here == list(cross(wanted))
        left = cross(tasks(LEARNS))
        assert here[0] == next(left)
        # What was left before its end does not come up again.
        assert here[4:] == list(cross(tasks(LEARNS, 7)))


@pytest.mark.slow
def test_what_a_process_raises_is_raised_here(known):
    with crossing(known, 2) as cross, pytest.raises(JobFileError, match="activation"):
        list(cross(tasks(LEARNS.model_copy(update={"activation": "nonsense"}))))
    broken = Known(known.contract, known.features, None)
    with crossing(broken, 2) as cross, pytest.raises(RuntimeError, match="Traceback"):
        list(cross(tasks(LEARNS)))


@pytest.mark.slow
@pytest.mark.parametrize("before", [True, False])
def test_a_process_that_is_ended_from_outside_ends_the_search_for_now(known, before):
    with crossing(known, 2) as cross:
        outcomes = cross([*tasks(LEARNS)[:1], *tasks(LEARNS_LONG)])
        if not before:
            next(outcomes)
        for process in cross.__self__._processes:
            os.kill(process.pid, signal.SIGKILL)
            process.join()
        with pytest.raises(TryAgainError, match="a process of the search was ended from outside"):
            list(outcomes)
