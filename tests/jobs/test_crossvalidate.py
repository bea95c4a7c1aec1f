"""``gamesales crossvalidate``: k-fold over seeds, plain and grouped; nothing is registered."""

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from gamesales.data.contract import Contract
from gamesales.data.labeled_titles import read_titles
from gamesales.training.folds import make_folds
from gamesales.training.refits import fit_predictors, plan_refit
from gamesales.training.train_job import load_job
from support.train_jobs import LEARNS, write_job
from support.versions import DATA, ROOT

SMALL = {"training": {"epochs": 1}}


@pytest.fixture
def titles(tmp_path):
    """A file of a few titles."""
    lines = (DATA / "sales_data_training.csv").read_text(encoding="utf-8").splitlines()[:121]
    (tmp_path / "few.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path / "few.csv"


def test_both_kinds_of_folds(cli, tmp_path, titles):
    """Plain and grouped k-fold are shown, and nothing is registered."""
    ran = cli("crossvalidate", write_job(tmp_path / "job.toml", **SMALL), "--data", titles, "--folds", "2")
    assert 0 == ran.code, ran.err
    assert [f"{kind} k-fold: training 2 networks" for kind in ("plain", "grouped")] == [
        line for line in ran.err.splitlines() if "k-fold" in line
    ]
    assert ran.out.startswith(f"2-fold cross-validation on 120 titles of {titles} (")
    assert ["plain", "grouped"] == [line.split()[0] for line in ran.out.splitlines() if line.endswith("%")]
    assert "plain, 95% confidence intervals: MAE $" in ran.out
    assert "which no model can predict" in ran.out
    assert not (tmp_path / "registry").exists()


@pytest.mark.slow
def test_several_seeds(cli, tmp_path, titles):
    """Each seed is shown, with the mean and the standard deviation."""
    job = write_job(tmp_path / "job.toml", training={"epochs": 1, "seed": 5})
    options = ("--data", titles, "--folds", "2", "--seeds", "3", "--plain")
    shown = cli("crossvalidate", job, *options)
    assert "seed 6, plain k-fold: training 2 networks" in shown.err
    labels = [
        line.removeprefix("plain, ").split("  ")[0] for line in shown.out.splitlines() if line.startswith("plain, ")
    ]
    assert ["seed 5", "seed 6", "seed 7", "mean", "standard deviation"] == labels[:5]
    document = cli("crossvalidate", job, *options, "--json").document
    plain = document["plain"]
    assert document["grouped"] is None
    values = [seed["metrics"]["mae"] for seed in plain["seeds"]]
    assert (np.mean(values), np.std(values, ddof=1)) == pytest.approx(
        (plain["mean"]["mae"], plain["standard_deviation"]["mae"])
    )
    assert (min(values), max(values)) == (plain["lowest"]["mae"], plain["highest"]["mae"])
    low, high = plain["intervals"]["mae"]
    assert low < plain["mean"]["mae"] < high


def test_metrics_are_out_of_fold(cli, tmp_path):
    """The metrics are those of networks that were trained on the other folds."""
    path = write_job(tmp_path / "job.toml", training=LEARNS)
    document = cli("crossvalidate", path, "--folds", "2", "--grouped", "--json").document
    job = load_job(path)
    contract = Contract.from_toml(job.data.contract)
    titles = read_titles(Path(job.data.train), contract)
    first, second = make_folds(titles, "grouped", 2, job.training.seed)
    assert not set(map(tuple, titles.features[first])) & set(map(tuple, titles.features[second]))
    errors = []
    for fold, rest in ((first, second), (second, first)):
        refit = plan_refit(job.training, contract, titles.features[rest], titles.earnings[rest])
        (predict,) = fit_predictors(job.network, [refit])
        errors.append(np.abs(predict(titles.features[fold]) - titles.earnings[fold]))
    jsonschema.validate(document, json.loads((ROOT / "docs/reference/crossvalidate.schema.json").read_text("utf-8")))
    (seed,) = document["grouped"]["seeds"]
    assert [float(fold_errors.mean()) for fold_errors in errors] == pytest.approx(seed["folds_mae"], rel=1e-3)
    assert float(np.concatenate(errors).mean()) == pytest.approx(seed["metrics"]["mae"], rel=1e-3)
    assert document["plain"] is None
    assert document["grouped"]["standard_deviation"]["mae"] is None


def test_too_few_titles(cli, tmp_path, titles):
    """Too few titles for the folds fail before a network is trained."""
    ran = cli("crossvalidate", write_job(tmp_path / "job.toml"), "--data", titles, "--folds", "110")
    assert 3 == ran.code
    assert "distinct training rows can't be cut into 110 folds" in ran.err
    assert "k-fold: training" not in ran.err
    assert 2 == cli("crossvalidate", write_job(tmp_path / "job.toml"), "--folds", "1").code
    assert 3 == cli("crossvalidate", write_job(tmp_path / "job.toml"), "--data", "nowhere.csv").code


def test_distinct_titles_have_no_noise(cli, tmp_path):
    """The noise is not shown if all titles differ."""
    assert 0 == cli("simulate", "--rows", "60", "--continuous", "--output", "all.csv").code
    ran = cli(
        "crossvalidate", write_job(tmp_path / "job.toml", **SMALL), "--data", "all.csv", "--folds", "2", "--plain"
    )
    assert 0 == ran.code
    assert "(60 distinct)" in ran.out
    assert "which no model can predict" not in ran.out
