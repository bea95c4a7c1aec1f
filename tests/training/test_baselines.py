"""The baselines: scikit-learn's models, and the tuning of gradient boosting."""

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import LinearRegression

from gamesales.data.contract import Contract
from gamesales.data.labeled_titles import read_titles
from gamesales.training import baselines
from gamesales.training.baselines import BoostingSettings, predict_baselines, tune_boosting
from support.versions import DATA

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


def test_default_settings_are_those_of_scikit_learn(titles):
    """With default settings, gradient boosting is scikit-learn's with default arguments."""
    features, earnings, test, _ = titles
    predicted = predict_baselines(features, earnings, test, BoostingSettings(seed=5))["gradient boosting"]
    other = GradientBoostingRegressor(random_state=5).fit(features, earnings).predict(test)
    np.testing.assert_array_equal(predicted, other)


def test_many_titles_use_histograms(titles, monkeypatch):
    """Above the limit of exact splits, gradient boosting uses histograms, and is tuned on a sample."""
    features, earnings, test, actual = titles
    exact = predict_baselines(features, earnings, test, BoostingSettings())["gradient boosting"]
    monkeypatch.setattr(baselines, "_MAX_EXACT_TITLES", 100)
    monkeypatch.setattr(baselines, "_HISTOGRAM_SAMPLE", 150)
    predicted = predict_baselines(features, earnings, test, tune_boosting(features, earnings, seed=1))
    assert not np.array_equal(exact, predicted["gradient boosting"])
    assert mean_error(predicted["gradient boosting"], actual) < mean_error(predicted["linear regression"], actual)


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
