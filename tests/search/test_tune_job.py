"""The job file of a search: every mistake is named by its key, before anything is read."""

import pytest

from gamesales.errors import JobFileError
from gamesales.search.tune_job import COURSE_CANDIDATE, load_tune_job
from support.searches import write_tune_job
from support.versions import DATA


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": None}, "data: missing"),
        ({"search": None}, "search: expected a budget: trials, minutes or both"),
        ({"space": None}, "space: missing"),
        ({"sapce": {"layers": 1}}, "sapce: unknown key (did you mean space?)"),
        ({"name": "Game Earnings"}, "name: 'Game Earnings' can't name a model"),
        ({"search": {"trials": None}}, "search: expected a budget: trials, minutes or both"),
        ({"search": {"trials": 0}}, "search.trials: expected 1 or more, received 0"),
        ({"search": {"minutes": 0}}, "search.minutes: expected more than 0"),
        ({"search": {"folds": 1}}, "search.folds: "),
        ({"search": {"tolerance": -0.1}}, "search.tolerance: "),
        ({"search": {"choose": "largest"}}, "search.choose: expected 'smallest' or 'best'"),
        ({"search": {"finalists": 0}}, "search.finalists: "),
        ({"search": {"rounds": 0}}, "search.rounds: "),
        ({"search": {"workers": 0}}, "search.workers: "),
        ({"search": {"prune": True}}, "search.prune: unknown key"),
        ({"search": 3}, "search: "),
        ({"space": {"layers": None}}, "space.layers: missing"),
        ({"space": {"units": {"low": 8, "high": 4}}}, "space.units: expected a range { low = …, high = … }"),
        ({"start": "curse"}, "start: expected course or a table [start]"),
        ({"start": {"units": []}}, "start.units: "),
        ({"start": {"depth": 3}}, "start.depth: unknown key"),
        ({"intervals": {"coverage": 90}}, "intervals.coverage: "),
    ],
)
def test_mistakes_are_named(cli, tmp_path, changes, message):
    """A mistake is named by its key, and nothing is written."""
    path = write_tune_job(tmp_path / "job.toml", **{key: value for key, value in changes.items() if value != 3})
    if changes == {"search": 3}:
        path.write_text(path.read_text(encoding="utf-8").replace("[search]", "search = 3\n[other]"), encoding="utf-8")
    ran = cli("tune", path)
    assert 2 == ran.code
    assert ran.err.splitlines()[1].startswith(f"error: {tmp_path}/job.toml is not a search job: ")
    assert message in ran.err
    assert not (tmp_path / "registry").exists()
    assert not (tmp_path / ".tune").exists()


def test_command_line_sets_the_budget(tmp_path):
    """Options replace the keys of [search]."""
    path = write_tune_job(tmp_path / "job.toml")
    assert (3, None, 1) == tuple(vars(load_tune_job(path).search)[key] for key in ("trials", "minutes", "workers"))
    search = load_tune_job(path, trials=None, minutes=0.5, workers=2).search
    assert (3, 0.5, 2) == (search.trials, search.minutes, search.workers)
    with pytest.raises(JobFileError, match=r"search\.trials: .*received -1"):
        load_tune_job(path, trials=-1)


def test_start_of_search(tmp_path):
    """A search starts from the course candidate unless the job has another start."""
    by_name = load_tune_job(write_tune_job(tmp_path / "job.toml", start="course"))
    assert COURSE_CANDIDATE == by_name.start
    assert COURSE_CANDIDATE == load_tune_job(write_tune_job(tmp_path / "job.toml", start=None)).start
    assert (5, 6) == load_tune_job(write_tune_job(tmp_path / "job.toml", start={"units": [5, 6]})).start.units


def test_training_of_winner(tmp_path):
    """The winner's training has the search's seed and the job's titles and intervals."""
    job = load_tune_job(write_tune_job(tmp_path / "job.toml", name="other", search={"seed": 5}))
    training = job.train_job(job.start)
    assert ("other", job.data, job.intervals, 5) == (
        training.name,
        training.data,
        training.intervals,
        training.training.seed,
    )


def test_shipped_job_is_valid():
    """The shipped job is valid, and its space contains the course candidate."""
    job = load_tune_job(DATA.parent / "jobs" / "tune.toml")
    assert job.space.contains(COURSE_CANDIDATE)
    assert (10, None, "smallest", 0.1) == (
        job.search.minutes,
        job.search.trials,
        job.search.choose,
        job.search.tolerance,
    )


def test_job_with_root(tmp_path, monkeypatch):
    """The files and the registry of a job with a root are found from any folder, and its winner is trained on them."""
    path = write_tune_job(tmp_path / "job.toml", root=".", registry="versions", data={"train": "titles.csv"})
    monkeypatch.chdir("/")
    job = load_tune_job(path)
    assert (f"{tmp_path}/titles.csv", f"{tmp_path}/versions") == (job.data.train, job.registry)
    assert job.data == job.train_job(COURSE_CANDIDATE).data
