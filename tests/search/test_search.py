"""A search from trial to trial: its budget, what it gives up, and that it goes on after a kill as if none had been."""

import json
import shutil
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gamesales.data.contract import Contract
from gamesales.data.labeled_titles import read_titles
from gamesales.errors import InputError, UsageError
from gamesales.search.search import Watch
from gamesales.search.study import Study
from gamesales.search.trials import finalists
from gamesales.search.tune_job import load_tune_job
from support.searches import SPACE, by_formula, crossing_by, open_search, write_tune_job
from support.versions import DATA

CROSS = crossing_by(by_formula)


@pytest.fixture(scope="module")
def titles():
    return read_titles(DATA / "sales_data_training.csv", Contract.from_toml(DATA / "contract.toml"))


@pytest.fixture
def search(tmp_path, titles):
    """Open a search on the shipped titles, with some keys of [search] changed."""
    return lambda **changes: open_search(tmp_path, titles=titles, **changes)


def timeless(trials):
    return [replace(trial, seconds=0.0) for trial in trials]


class Stop(BaseException):
    """Whatever ends a search at once."""


def stopping_after(trainings):
    """Training by the formula that is stopped after so many."""
    left = iter(range(trainings))

    def outcome(task):
        if next(left, None) is None:
            raise Stop
        return by_formula(task)

    return crossing_by(outcome)


# --- The budget.


def test_a_number_of_trials_ends_the_search(search):
    trials = search(trials=7).run(CROSS)
    assert list(range(7)) == [trial.number for trial in trials]
    assert (4,) == trials[0].candidate.units


def test_a_budget_that_is_too_short_for_anything_still_has_the_start(search):
    assert [0] == [trial.number for trial in search(trials=None, minutes=1e-9).run(CROSS)]


def test_of_two_budgets_the_one_that_is_spent_first_ends_the_search(search):
    assert 1 == len(search(trials=50, minutes=1e-9).run(CROSS))
    assert 3 == len(search(trials=3, minutes=1e9).run(CROSS))


def test_a_space_that_was_tried_out_ends_the_search(tmp_path, titles):
    told = []
    few = {**dict.fromkeys(SPACE), "layers": 1, "units": [4, 5], "activation": "relu", "batch_size": 200, "epochs": 1}
    job = write_tune_job(tmp_path / "few.toml", space=few, search={"trials": 100})
    job = load_tune_job(job)
    study = Study.open(tmp_path, job, Contract.from_toml(job.data.contract), titles)
    found = type(open_search(tmp_path, titles=titles))(job, titles, study, Watch(stage=told.append)).run(CROSS)
    assert [(4,), (5,)] == [trial.candidate.units for trial in found]
    assert ["every network of the space was tried"] == told


# --- What is given up, and what fails.


def test_a_trial_that_does_worse_than_most_is_given_up_after_a_fold_unless_the_job_says_not_to(search):
    trials = search(trials=40, folds=4).run(CROSS)
    pruned = [trial for trial in trials if trial.state == "pruned"]
    assert pruned
    assert all(0 < len(trial.errors) < 4 for trial in pruned)
    assert all(len(trial.errors) == 4 for trial in trials if trial.state == "complete")
    assert {"complete"} == {trial.state for trial in search(trials=20, folds=4, pruning=False).run(CROSS)}


def test_a_trial_that_can_not_be_trained_fails_and_the_search_goes_on(search):
    def outcome(task):
        return by_formula(task) if task.candidate.activation == "relu" else "training diverged"

    trials = search(trials=15).run(crossing_by(outcome))
    failed = [trial for trial in trials if trial.state == "failed"]
    assert failed
    assert {("training diverged", ())} == {(trial.why, trial.errors) for trial in failed}
    assert {"relu"} == {trial.candidate.activation for trial in trials if trial.state != "failed"}


def test_a_search_of_which_nothing_can_be_trained_says_why(search):
    with pytest.raises(InputError, match="not one of 4 trials could be trained: training diverged") as failure:
        search(trials=4).run(crossing_by(lambda task: "training diverged"))
    assert "learning_rate" in failure.value.hint


# --- The final.


def test_the_final_is_on_other_folds_from_other_seeds_and_the_same_for_all(search):
    tasks = []

    def noting(task):
        tasks.append(task)
        return by_formula(task)

    found = search(trials=8, finalists=3, rounds=2, pruning=False)
    trials = found.run(crossing_by(noting))
    in_search, tasks[:] = list(tasks), []
    again = found.look_again(crossing_by(noting))
    assert [trial.number for trial in finalists(trials, 3)] == [trial.number for trial in again]
    assert all(len(trial.errors) == 4 for trial in again)

    def drawn(some):
        return {(task.seed, tuple(task.fold)) for task in some}

    assert (2, 4) == (len(drawn(in_search)), len(drawn(tasks)))
    assert not drawn(in_search) & drawn(tasks)
    assert (16, 12) == (len(in_search), len(tasks))


def test_a_finalist_that_can_not_be_trained_again_is_out(search):
    found = search(trials=8, finalists=3)
    trials = found.run(CROSS)
    out = finalists(trials, 3)[0].candidate
    again = found.look_again(
        crossing_by(lambda task: "training diverged" if task.candidate == out else by_formula(task))
    )
    assert ["failed", "complete", "complete"] == [trial.state for trial in again]
    assert "training diverged" == again[0].why
    with pytest.raises(InputError, match="not one of 4 finalists could be trained again: training diverged"):
        search(trials=8, finalists=4, rounds=2).look_again(crossing_by(lambda task: "training diverged"))


def test_titles_with_the_same_features_are_in_one_fold_if_the_job_says_so(search, titles):
    def split_twins(**changes):
        folds = []

        def outcome(task):
            folds.append({tuple(row) for row in titles.features[task.fold]})
            return by_formula(task)

        search(trials=1, **changes).run(crossing_by(outcome))
        return len(folds[0] & folds[1])

    assert 0 == split_twins(grouped=True)
    assert split_twins(grouped=False) > 0


# --- After a kill.


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 45), min_size=1, max_size=4))
def test_a_search_stopped_anywhere_goes_on_and_ends_alike(search, tmp_path, stops):
    changes = {"trials": 15, "folds": 3, "finalists": 3}
    shutil.rmtree(tmp_path / "tune", ignore_errors=True)
    whole = search(**changes)
    trials, again = whole.run(CROSS), whole.look_again(CROSS)
    shutil.rmtree(tmp_path / "tune")
    for stop in stops:
        try:
            interrupted = search(**changes)
            cross = stopping_after(stop)
            interrupted.run(cross)
            interrupted.look_again(cross)
        except Stop:
            pass
    resumed = search(**changes)
    assert timeless(trials) == timeless(resumed.run(CROSS))
    assert timeless(again) == timeless(resumed.look_again(CROSS))


def test_what_is_over_is_not_done_again_and_is_told(tmp_path, titles):
    told = []
    watch = Watch(stage=told.append, trial=lambda trial: told.append(trial.number))
    open_search(tmp_path, titles=titles, trials=4).run(CROSS)
    trials = open_search(tmp_path, watch, titles, trials=4).run(stopping_after(0))
    assert 4 == len(trials)
    assert "going on after 4 trials, from " in told.pop(0)
    assert [0, 1, 2, 3] == told


def test_a_larger_budget_goes_on_and_a_smaller_one_takes_the_first(search):
    few, many = search(trials=4).run(CROSS), search(trials=9).run(CROSS)
    assert few == many[:4]
    assert few == search(trials=4).run(stopping_after(0))
    assert many == search(trials=9).run(stopping_after(0))


def test_time_that_earlier_sessions_took_is_spent(tmp_path, search):
    search(trials=2).run(CROSS)
    (path,) = (tmp_path / "tune").glob("*/trials/00001.json")
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), "seconds": 600.0}), encoding="utf-8")
    assert search(trials=2).seconds > 600
    assert 2 == len(search(trials=None, minutes=10).run(stopping_after(0)))


@pytest.mark.parametrize(
    "changes", [{"seed": 2}, {"folds": 3}, {"pruning": False}, {"tolerance": 0.2}, {"grouped": True}]
)
def test_another_search_is_another_study(search, changes):
    assert search().study.identity != search(**changes).study.identity


@pytest.mark.parametrize(
    "changes", [{"trials": 9}, {"minutes": 1}, {"workers": 2}, {"choose": "best"}, {"finalists": 1}, {"rounds": 2}]
)
def test_how_long_and_what_is_made_of_it_is_no_part_of_a_study(search, changes):
    assert search().study == search(**changes).study


def test_other_titles_are_another_study(tmp_path, titles, search):
    fewer = titles.take(titles.rows[:500] - 1)
    assert search().study.identity != open_search(tmp_path, titles=fewer).study.identity


# --- The files.


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "Invalid JSON"),
        ("{}", "number: Field required"),
        ('{"number": "x"}', "number: Input should be a valid int"),
    ],
)
def test_a_file_that_was_changed_is_refused_and_named(search, tmp_path, content, message):
    search(trials=2).run(CROSS)
    (path,) = (tmp_path / "tune").glob("*/trials/00001.json")
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message) as failure:
        search(trials=2)
    assert str(path) in failure.value.message
    assert f"Delete {path.parent.parent};" in failure.value.hint


def test_a_file_that_is_missing_is_told(search, tmp_path):
    search(trials=3).run(CROSS)
    (path,) = (tmp_path / "tune").glob("*/trials/00001.json")
    path.unlink()
    with pytest.raises(InputError, match=r"has 2 trials, but not those from 0 to 1"):
        search(trials=3)


def test_a_storage_that_is_no_folder_is_told(search, tmp_path):
    (tmp_path / "tune").write_text("x", encoding="utf-8")
    with pytest.raises(UsageError, match=r"tune is no folder to keep a search in"):
        search()
