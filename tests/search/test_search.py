"""A search: its budget, its failures, its final rounds, and that it resumes after a kill as if nothing had happened."""

import json
import shutil
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gamesales.data.contract import Contract
from gamesales.data.labeled_titles import read_titles
from gamesales.errors import InputError, UsageError
from gamesales.search.search import Search, SearchCallbacks
from gamesales.search.trials import Study, select_finalists
from gamesales.search.tune_job import load_tune_job
from support.searches import SPACE, by_formula, make_runner, open_search, write_tune_job
from support.versions import DATA

RUN_FOLDS = make_runner(by_formula)


@pytest.fixture(scope="module")
def titles():
    return read_titles(DATA / "sales_data_training.csv", Contract.from_toml(DATA / "contract.toml"))


@pytest.fixture
def search(tmp_path, titles):
    """Open a search on the shipped titles, with some keys of [search] changed."""
    return lambda **changes: open_search(tmp_path, titles=titles, **changes)


def drop_seconds(trials):
    return [replace(trial, seconds=0.0) for trial in trials]


class Stop(BaseException):
    """An exception that ends a search at once."""


def stop_after(trainings):
    """A function that runs tasks by the formula and stops after a number of trainings."""
    remaining = iter(range(trainings))

    def outcome_of(task):
        if next(remaining, None) is None:
            raise Stop
        return by_formula(task)

    return make_runner(outcome_of)


# --- The budget.


def test_budget_of_trials(search):
    """The search ends after the number of trials."""
    trials = search(trials=7).run_trials(RUN_FOLDS)
    assert list(range(7)) == [trial.number for trial in trials]
    assert (4,) == trials[0].candidate.units


def test_short_budget_runs_start(search):
    """The start is tried even if the budget is spent."""
    assert [0] == [trial.number for trial in search(trials=None, minutes=1e-9).run_trials(RUN_FOLDS)]


def test_first_budget_ends_search(search):
    """Of two budgets, the first to be spent ends the search."""
    assert 1 == len(search(trials=50, minutes=1e-9).run_trials(RUN_FOLDS))
    assert 3 == len(search(trials=3, minutes=1e9).run_trials(RUN_FOLDS))


def test_exhausted_space_ends_search(tmp_path, titles):
    """The search ends when every network was tried."""
    stages = []
    space = {**dict.fromkeys(SPACE), "layers": 1, "units": [4, 5], "activation": "relu", "batch_size": 250, "epochs": 1}
    job = load_tune_job(write_tune_job(tmp_path / "few.toml", space=space, search={"trials": 100}))
    study = Study.open(tmp_path, job, Contract.from_toml(job.data.contract), titles)
    trials = Search(job, titles, study, SearchCallbacks(on_stage=stages.append)).run_trials(RUN_FOLDS)
    assert [(4,), (5,)] == [trial.candidate.units for trial in trials]
    assert ["every network of the space was tried"] == stages


# --- Pruning and failures.


def test_bad_trials_are_pruned(search):
    """A bad trial is pruned after a fold, unless the job turns pruning off."""
    trials = search(trials=40, folds=4).run_trials(RUN_FOLDS)
    pruned = [trial for trial in trials if trial.state == "pruned"]
    assert pruned
    assert all(0 < len(trial.errors) < 4 for trial in pruned)
    assert all(len(trial.errors) == 4 for trial in trials if trial.state == "complete")
    assert {"complete"} == {trial.state for trial in search(trials=20, folds=4, pruning=False).run_trials(RUN_FOLDS)}


def test_failed_trial_is_kept(search):
    """A trial that fails is kept with its reason, and the search goes on."""

    def outcome_of(task):
        return by_formula(task) if task.candidate.activation == "relu" else "training diverged"

    trials = search(trials=15).run_trials(make_runner(outcome_of))
    failed = [trial for trial in trials if trial.state == "failed"]
    assert failed
    assert {("training diverged", ())} == {(trial.why, trial.errors) for trial in failed}
    assert {"relu"} == {trial.candidate.activation for trial in trials if trial.state != "failed"}


def test_search_without_success(search):
    """A search without any complete trial gives the reason and a hint."""
    with pytest.raises(InputError, match="none of 4 trials could be trained: training diverged") as failure:
        search(trials=4).run_trials(make_runner(lambda task: "training diverged"))
    assert "learning_rate" in failure.value.hint


# --- The final rounds.


def test_finals_use_other_folds(search):
    """Final rounds use other folds and seeds than the search, the same for all finalists."""
    tasks = []

    def record(task):
        tasks.append(task)
        return by_formula(task)

    opened = search(trials=8, finalists=3, rounds=2, pruning=False)
    trials = opened.run_trials(make_runner(record))
    in_search, tasks[:] = list(tasks), []
    again = opened.run_finals(make_runner(record))
    assert [trial.number for trial in select_finalists(trials, 3)] == [trial.number for trial in again]
    assert all(len(trial.errors) == 4 for trial in again)

    def draws(tasks):
        return {(task.seed, tuple(task.fold)) for task in tasks}

    assert (2, 4) == (len(draws(in_search)), len(draws(tasks)))
    assert not draws(in_search) & draws(tasks)
    assert (16, 12) == (len(in_search), len(tasks))


def test_failed_finalist(search):
    """A finalist that fails is out; if all fail, it is an error."""
    opened = search(trials=8, finalists=3)
    trials = opened.run_trials(RUN_FOLDS)
    failing = select_finalists(trials, 3)[0].candidate
    again = opened.run_finals(
        make_runner(lambda task: "training diverged" if task.candidate == failing else by_formula(task))
    )
    assert ["failed", "complete", "complete"] == [trial.state for trial in again]
    assert "training diverged" == again[0].why
    with pytest.raises(InputError, match="none of 4 finalists could be trained again: training diverged"):
        search(trials=8, finalists=4, rounds=2).run_finals(make_runner(lambda task: "training diverged"))


def test_grouped_folds(search, titles):
    """Grouped folds keep titles with the same features together."""

    def split_twins(**changes):
        folds = []

        def outcome_of(task):
            folds.append({tuple(row) for row in titles.features[task.fold]})
            return by_formula(task)

        search(trials=1, **changes).run_trials(make_runner(outcome_of))
        return len(folds[0] & folds[1])

    assert 0 == split_twins(grouped=True)
    assert split_twins(grouped=False) > 0


# --- After a kill.


@pytest.mark.slow
@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 45), min_size=1, max_size=4))
def test_resumed_search_is_the_same(search, tmp_path, stops):
    """A search that was stopped anywhere, any number of times, ends with the same trials."""
    changes = {"trials": 15, "folds": 3, "finalists": 3}
    shutil.rmtree(tmp_path / "tune", ignore_errors=True)
    whole = search(**changes)
    trials, again = whole.run_trials(RUN_FOLDS), whole.run_finals(RUN_FOLDS)
    shutil.rmtree(tmp_path / "tune")
    for stop in stops:
        try:
            interrupted = search(**changes)
            run_folds = stop_after(stop)
            interrupted.run_trials(run_folds)
            interrupted.run_finals(run_folds)
        except Stop:
            pass
    resumed = search(**changes)
    assert drop_seconds(trials) == drop_seconds(resumed.run_trials(RUN_FOLDS))
    assert drop_seconds(again) == drop_seconds(resumed.run_finals(RUN_FOLDS))


def test_finished_trials_are_reported(tmp_path, titles):
    """Trials of earlier sessions are reported and not run again."""
    calls = []
    callbacks = SearchCallbacks(on_stage=calls.append, on_trial=lambda trial: calls.append(trial.number))
    open_search(tmp_path, titles=titles, trials=4).run_trials(RUN_FOLDS)
    trials = open_search(tmp_path, callbacks, titles, trials=4).run_trials(stop_after(0))
    assert 4 == len(trials)
    assert "resuming after 4 trials, from " in calls.pop(0)
    assert [0, 1, 2, 3] == calls


def test_changed_budget(search):
    """A larger budget continues a search, and a smaller budget takes its first trials."""
    few, many = search(trials=4).run_trials(RUN_FOLDS), search(trials=9).run_trials(RUN_FOLDS)
    assert few == many[:4]
    assert few == search(trials=4).run_trials(stop_after(0))
    assert many == search(trials=9).run_trials(stop_after(0))


def test_earlier_sessions_spend_budget(tmp_path, search):
    """The minutes of earlier sessions count."""
    search(trials=2).run_trials(RUN_FOLDS)
    (path,) = (tmp_path / "tune").glob("*/trials/00001.json")
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), "seconds": 600.0}), encoding="utf-8")
    assert search(trials=2).seconds > 600
    assert 2 == len(search(trials=None, minutes=10).run_trials(stop_after(0)))


@pytest.mark.parametrize(
    "changes", [{"seed": 2}, {"folds": 3}, {"pruning": False}, {"tolerance": 0.2}, {"grouped": True}]
)
def test_settings_decide_study(search, changes):
    """Another way of searching is another study."""
    assert search().study.identity != search(**changes).study.identity


@pytest.mark.parametrize(
    "changes", [{"trials": 9}, {"minutes": 1}, {"workers": 2}, {"choose": "best"}, {"finalists": 1}, {"rounds": 2}]
)
def test_budget_is_not_in_study(search, changes):
    """The budget and the use of the trials are not part of the identity."""
    assert search().study == search(**changes).study


def test_titles_decide_study(tmp_path, titles, search):
    """Other titles are another study."""
    fewer = titles.take(titles.rows[:500] - 1)
    assert search().study.identity != open_search(tmp_path, titles=fewer).study.identity


# --- The files.


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "Invalid JSON"),
        ("{}", "number: missing"),
        ('{"number": "x"}', 'number: expected a whole number, received "x"'),
    ],
)
def test_damaged_file_is_named(search, tmp_path, content, message):
    """A damaged trial file is refused, with the folder to delete."""
    search(trials=2).run_trials(RUN_FOLDS)
    (path,) = (tmp_path / "tune").glob("*/trials/00001.json")
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message) as failure:
        search(trials=2)
    assert str(path) in failure.value.message
    assert f"Delete {path.parent.parent};" in failure.value.hint


def test_missing_file_is_refused(search, tmp_path):
    """A missing trial file is an error."""
    search(trials=3).run_trials(RUN_FOLDS)
    (path,) = (tmp_path / "tune").glob("*/trials/00001.json")
    path.unlink()
    with pytest.raises(InputError, match=r"has 2 trials, but not the trials from 0 to 1"):
        search(trials=3)


def test_storage_must_be_folder(search, tmp_path):
    """A storage that is a file is an error."""
    (tmp_path / "tune").write_text("x", encoding="utf-8")
    with pytest.raises(UsageError, match=r"tune is not a folder; expected a folder for searches"):
        search()
