"""Functions that train, measure networks and prepare files: the same jobs as the commands."""

from pathlib import Path

import pytest

from gamesales import Registry, crossvalidate, preprocess, simulate, train, tune
from gamesales.errors import InputNotFoundError, JobFileError, UsageError
from support.documents import make_document
from support.versions import DATA

CONTRACT = DATA / "contract.toml"


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A job file of a tiny network, with a registry of its own."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tiny.toml"
    path.write_text(
        f'registry = "models"\n[data]\ntrain = "{DATA}/sales_data_training.csv"\ntest = "{DATA}/sales_data_test.csv"\n'
        f'contract = "{CONTRACT}"\n[network]\nlayers = [{{ layer = "Dense", units = 1 }}]\n'
        '[training]\nepochs = 2\nbatch_size = 125\nseed = 7\n[intervals]\nmethod = "none"\n'
        "[report]\nfolds = 0\nlearning_curve = false\nseeds = 0\n",
        encoding="utf-8",
    )
    return path


@pytest.mark.slow
def test_train(job, capfd):
    """A version is registered where the job says, and the result shows its metrics. Nothing is printed."""
    stages = []
    result = train(job, reason="a test", on_stage=stages.append)
    assert ("", "") == capfd.readouterr()
    assert "reading titles" == stages[0]
    (version,) = Registry("models").versions()
    assert (1, "a test", result.metrics["mae"]) == (version.version, version.reason, version.listed_metrics["mae"])
    assert repr(result).startswith("TrainingResult(version 1 of game-earnings: MAE $")
    assert "<td" in result._repr_html_()
    assert Path(result.report).exists()


@pytest.mark.slow
def test_crossvalidate(job):
    """The networks of a job are measured by the chosen folds."""
    result = crossvalidate(job, DATA / "sales_data_test.csv", folds=2, kinds=["grouped"])
    assert (2, 400, None) == (result.folds, result.rows, result.plain)
    assert repr(result).startswith("CrossValidationResult(2 folds of 400 titles: grouped MAE $")
    assert "<td" in result._repr_html_()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda job: train("none.toml"), JobFileError, r"no file none\.toml"),
        (lambda job: train(job, preset="magic"), JobFileError, "no preset 'magic'; expected course"),
        (lambda job: train(job, checkpoint_epochs=0), UsageError, "expected 1 or more epochs between two checkpoints"),
        (lambda job: crossvalidate(job, folds=1), UsageError, "expected 2 or more folds and 1 or more seeds"),
        (lambda job: crossvalidate(job, seeds=0), UsageError, "expected 2 or more folds and 1 or more seeds"),
        (lambda job: crossvalidate(job, kinds="plain"), UsageError, "expected folds of the kinds plain or grouped"),
        (lambda job: crossvalidate(job, kinds=[]), UsageError, "expected folds of the kinds plain or grouped"),
        (lambda job: crossvalidate(job, "none.csv"), InputNotFoundError, r"none\.csv"),
        (lambda job: tune(job, engine="spark"), UsageError, "engine expects local or ray, received 'spark'"),
        (lambda job: tune(job), JobFileError, "is not a search job"),
        (lambda job: simulate("titles.txt", 5), UsageError, r"ends in \.csv or \.parquet"),
        (lambda job: simulate("none/titles.csv", 5), UsageError, "none"),
        (lambda job: preprocess("none.csv", "none.csv", contract=CONTRACT), InputNotFoundError, r"none\.csv"),
        (lambda job: preprocess("none.csv", "none.csv", contract="none.toml"), JobFileError, r"no file none\.toml"),
    ],
)
def test_wrong_arguments(job, call, error, message):
    """A wrong argument is an error of the tree with a hint, before anything is trained."""
    with pytest.raises(error, match=message):
        call(job)
    assert not Path("models").exists()


def test_prepared_files(tmp_path, cli):
    """Files are simulated and scaled as by the commands."""
    result = simulate("titles.csv", 20, ids=True)
    assert (
        make_document(result) == cli("simulate", "--rows", "20", "--output", "titles.csv", "--ids", "--json").document
    )
    simulate(tmp_path / "test.csv", 10, seed=2)
    words = ("preprocess", "titles.csv", "test.csv", "--contract", CONTRACT, "--json")
    assert make_document(preprocess("titles.csv", Path("test.csv"), contract=CONTRACT)) == cli(*words).document
