"""The baselines: scikit-learn's models, and the tuning of gradient boosting."""

import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression

from gamesales.data.contract import Contract
from gamesales.data.labeled_titles import read_titles
from gamesales.training import baselines
from gamesales.training.baselines import (
    BoostingSettings,
    fit_baselines,
    predict_baselines,
    predict_baselines_out_of_fold,
    tune_boosting,
)
from support.versions import DATA, ROOT

# The grid of users. Other tests use a smaller one.
GRID = {name: getattr(baselines, name) for name in ("TREES", "DEPTHS", "LEARNING_RATES")}


@pytest.fixture
def user_grid(monkeypatch):
    for name, values in GRID.items():
        monkeypatch.setattr(baselines, name, values)


@pytest.fixture(scope="module")
def titles():
    """Training and test titles with a nonlinear effect."""
    random = np.random.default_rng(3)
    values = random.uniform(0, 5, (300, 3))
    earnings = 10_000 * np.exp(values[:, 0] / 2) * (1 + (values[:, 1] > 2)) + 100 * values[:, 2]
    return values[:200], earnings[:200], values[200:], earnings[200:]


def mean_error(predicted, actual):
    return float(np.abs(predicted - actual).mean())


def test_baselines_are_scikit_learn_models(titles):
    """The baselines are models of scikit-learn, usually the best one first."""
    features, earnings, test, actual = titles
    predictions = predict_baselines(features, earnings, test, BoostingSettings())
    assert ["gradient boosting", "linear regression", "mean of training"] == list(predictions)
    line = LinearRegression().fit(features, earnings).predict(test)
    np.testing.assert_array_equal(predictions["linear regression"], line)
    np.testing.assert_array_equal(predictions["mean of training"], np.full(len(test), earnings.mean()))
    errors = [mean_error(predicted, actual) for predicted in predictions.values()]
    assert sorted(errors) == errors


def test_settings_are_those_of_scikit_learn(titles):
    """Gradient boosting is scikit-learn's, with trees limited by their depth and the size of their leaves."""
    features, earnings, test, _ = titles
    predicted = predict_baselines(features, earnings, test, BoostingSettings(50, 2, 0.3))["gradient boosting"]
    model = HistGradientBoostingRegressor(
        max_iter=50,
        max_depth=2,
        max_leaf_nodes=None,
        min_samples_leaf=5,
        l2_regularization=1,
        learning_rate=0.3,
        early_stopping=False,
    )
    np.testing.assert_array_equal(predicted, model.fit(features, earnings).predict(test))


def test_sample_tunes_many_titles(titles, monkeypatch):
    """Of many titles, a sample decides."""
    features, earnings, *_ = titles
    monkeypatch.setattr(baselines, "_SAMPLE", 5)
    assert BoostingSettings(seed=1) == tune_boosting(features, earnings, seed=1)


def test_out_of_fold_predictions(titles):
    """Each title is predicted by baselines that were fitted on the other folds."""
    features, earnings, *_ = titles
    folds = [np.arange(0, 200, 2), np.arange(1, 200, 2)]
    predictions = predict_baselines_out_of_fold(features, earnings, folds, BoostingSettings())
    expected = predict_baselines(features[folds[1]], earnings[folds[1]], features[folds[0]], BoostingSettings())
    for name, predicted in predictions.items():
        np.testing.assert_array_equal(predicted[folds[0]], expected[name])


def test_any_process_gives_same_result(titles, monkeypatch):
    """Another process gives the same settings and predictions, with more threads, and without TensorFlow."""
    monkeypatch.setattr(baselines, "TREES", (10, 30))
    features, earnings, test, _ = titles
    call = f"""
import sys, os, numpy as np
from gamesales.training import baselines
features, earnings, test = (np.frombuffer(sys.stdin.buffer.read(8 * n)).reshape(shape) for n, shape in {
        [(array.size, array.shape) for array in (features, earnings, test)]
    })
baselines.TREES, baselines.DEPTHS, baselines.LEARNING_RATES = {baselines.TREES}, {baselines.DEPTHS}, {
        baselines.LEARNING_RATES
    }
settings = baselines.tune_boosting(features, earnings, 1)
print(settings, baselines.predict_baselines(features, earnings, test, settings)["gradient boosting"].tobytes().hex())
assert "tensorflow" not in sys.modules
"""
    settings = tune_boosting(features, earnings, 1)
    predicted = predict_baselines(features, earnings, test, settings)["gradient boosting"]
    data = b"".join(array.tobytes() for array in (features, earnings, test))
    ran = subprocess.run(
        [sys.executable, "-c", call],
        input=data,
        capture_output=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "3", "PYTHONPATH": str(ROOT)},
    )
    assert f"{settings} {predicted.tobytes().hex()}" == ran.stdout.decode().strip()


def test_best_settings_are_chosen(titles, monkeypatch):
    """The settings with the lowest error in cross-validation are chosen."""
    monkeypatch.setattr(baselines, "TREES", (1, 50))
    monkeypatch.setattr(baselines, "LEARNING_RATES", (1e-6, 0.1))
    monkeypatch.setattr(baselines, "DEPTHS", (1, 3))
    assert BoostingSettings(50, 3, 0.1, seed=4) == tune_boosting(*titles[:2], seed=4)


@pytest.mark.parametrize("rows", [1, 2, 5, 6, 7])
def test_few_titles(titles, rows):
    """Too few titles for cross-validation get the default settings, and the baselines still predict."""
    features, earnings = titles[0][:rows], titles[1][:rows]
    settings = tune_boosting(features, earnings, seed=3)
    assert (rows < 6) == (settings == BoostingSettings(seed=3))
    for predicted in predict_baselines(features, earnings, titles[2], settings).values():
        assert np.isfinite(predicted).all()


def test_gap_in_one_title():
    """A gap in a single title is filled, also where the titles of the other folds have none."""
    features = np.random.default_rng(1).normal(size=(12, 2))
    features[3, 0] = np.nan
    folds = {"titles": np.array_split(np.arange(12), 3)}
    results = fit_baselines(features, np.arange(12.0), features, folds, seed=1)
    for predicted in (*results.test.values(), *results.out_of_fold["titles"].values()):
        assert np.isfinite(predicted).all()


def test_equal_titles(titles):
    """Titles that are all equal can be tuned on too."""
    features, earnings = np.ones((9, 2)), np.full(9, 5.0)
    predicted = predict_baselines(features, earnings, features, tune_boosting(features, earnings, seed=1))
    np.testing.assert_allclose(predicted["gradient boosting"], 5.0)


@pytest.mark.slow
@pytest.mark.usefixtures("user_grid")
@pytest.mark.parametrize("seed", [1, 2])
def test_shipped_titles(seed):
    """On the shipped titles, tuned gradient boosting errs by less than half the default, the same way each time."""
    contract = Contract.from_toml(DATA / "contract.toml")
    training, test = (read_titles(DATA / f"sales_data_{name}.csv", contract) for name in ("training", "test"))
    settings = tune_boosting(training.features, training.earnings, seed)
    assert settings == tune_boosting(training.features, training.earnings, seed)
    predict = [predict_baselines(training.features, training.earnings, test.features, settings) for _ in range(2)]
    np.testing.assert_array_equal(predict[0]["gradient boosting"], predict[1]["gradient boosting"])
    assert mean_error(predict[0]["gradient boosting"], test.earnings) < 1_479
