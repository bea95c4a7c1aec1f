"""Metrics against scikit-learn's, the cases where there is no figure, the baselines, and the profile of training."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sklearn_metrics
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import LinearRegression

from gamesales.training.metrics import BINS, baseline_predictions, column_profile, metrics, training_profile
from gamesales.training.scaling import fit_scaler

dollars = st.floats(1, 1e7).map(lambda value: round(value, 2))
pairs = st.integers(2, 12).flatmap(
    lambda rows: st.tuples(*(arrays(np.float64, rows, elements=dollars) for _ in range(2)))
)


def scaling_of(earnings):
    return fit_scaler(["a"], "earned", np.zeros((len(earnings), 1)), earnings)[1]


@settings(deadline=None, max_examples=60)
@given(pairs)
def test_metrics_are_those_of_scikit_learn(pair):
    actual, predicted = pair
    scaling = scaling_of(np.array([1000.0, 51_000.0]))
    found = metrics(actual, predicted, scaling)
    scaled = scaling.scale_target(actual), scaling.scale_target(predicted)
    expected = {
        "scaled_mse": sklearn_metrics.mean_squared_error(*scaled),
        "mae": sklearn_metrics.mean_absolute_error(actual, predicted),
        "rmse": sklearn_metrics.root_mean_squared_error(actual, predicted),
        "r2": None if (actual == actual[0]).all() else sklearn_metrics.r2_score(actual, predicted),
        "mape_percent": 100 * sklearn_metrics.mean_absolute_percentage_error(actual, predicted),
    }
    # What scaled numbers lose in rounding is small beside their size, not beside a tiny difference.
    slack = {"scaled_mse": 1e-9 * max(1.0, *np.abs(scaled[0]), *np.abs(scaled[1])) ** 2}
    for name, value in expected.items():
        near = None if value is None else pytest.approx(value, rel=1e-9, abs=slack.get(name, 1e-9))
        assert near == found[name], name


@settings(deadline=None, max_examples=60)
@given(dollars, st.integers(1, 20))
def test_equal_earnings_have_no_r2(earned, titles):
    """The variance of 0.1, 0.1, 0.1 is not quite 0 in floating point, and dividing by it would tell nonsense."""
    actual = np.full(titles, earned)
    assert metrics(actual, actual + 1, scaling_of(np.array([0.0, 1.0])))["r2"] is None


def test_a_title_that_earned_nothing_leaves_no_mape():
    found = metrics(np.array([0.0, 100.0]), np.array([10.0, 90.0]), scaling_of(np.array([0.0, 100.0])))
    assert found["mape_percent"] is None
    assert 10.0 == found["mae"]


def test_perfect_predictions_have_no_error():
    actual = np.array([10.0, 20.0, 40.0])
    expected = {"scaled_mse": 0.0, "mae": 0.0, "rmse": 0.0, "r2": 1.0, "mape_percent": 0.0}
    assert expected == metrics(actual, actual, scaling_of(actual))


@pytest.fixture(scope="module")
def titles():
    """Past titles and new ones, with an effect that a line can't follow."""
    random = np.random.default_rng(3)
    values = random.uniform(0, 5, (300, 3))
    earnings = 10_000 * np.exp(values[:, 0] / 2) * (1 + (values[:, 1] > 2)) + 100 * values[:, 2]
    return values[:200], earnings[:200], values[200:], earnings[200:]


def test_baselines_come_best_first_and_are_scikit_learns_defaults(titles):
    features, earnings, test, actual = titles
    guesses = baseline_predictions(features, earnings, test, seed=5)
    assert ["gradient boosting", "linear regression", "mean of training"] == list(guesses)
    boosted = GradientBoostingRegressor(random_state=5).fit(features, earnings).predict(test)
    np.testing.assert_array_equal(guesses["gradient boosting"], boosted)
    line = LinearRegression().fit(features, earnings).predict(test)
    np.testing.assert_array_equal(guesses["linear regression"], line)
    np.testing.assert_array_equal(guesses["mean of training"], np.full(len(test), earnings.mean()))
    errors = [float(np.abs(guess - actual).mean()) for guess in guesses.values()]
    assert sorted(errors) == errors


def test_baselines_of_one_seed_are_the_same_twice(titles):
    features, earnings, test, _ = titles
    first, second = (baseline_predictions(features, earnings, test, seed=9) for _ in range(2))
    for name, guess in first.items():
        np.testing.assert_array_equal(guess, second[name])


def test_the_profile_tells_each_column_as_training_saw_it():
    profile = training_profile(("rating", "price"), np.array([[2.0, 40.0], [4.0, 50.0], [3.0, 60.0]]))
    assert ["rating", "price"] == [column["name"] for column in profile]
    assert (2.0, 4.0, 3.0) == tuple(profile[0][key] for key in ("minimum", "maximum", "mean"))
    assert (200 / 3) ** 0.5 == pytest.approx(profile[1]["standard_deviation"])


few_values = st.lists(st.integers(0, 40).map(lambda half: half / 2), min_size=1, max_size=200)
any_values = st.lists(st.floats(-1e150, 1e150), min_size=1, max_size=60)
neighbours = st.lists(st.integers(0, 30).map(lambda step: 5e-324 * step), min_size=1, max_size=60)


@settings(deadline=None, max_examples=300)
@given(few_values | any_values | neighbours)
def test_every_row_is_in_one_bin_and_no_bin_is_empty(values):
    values = np.array(values)
    profile = column_profile("any", values)
    edges, counts = np.array(profile["edges"]), profile["counts"]
    assert len(values) == sum(counts)
    assert min(counts) > 0
    assert len(edges) + 1 == len(counts) <= BINS
    assert (np.diff(edges) > 0).all()
    bounds = [-np.inf, *edges, np.inf]
    inside = [int(((low <= values) & (values < high)).sum()) for low, high in pairwise(bounds)]
    assert inside == counts


def test_a_flag_has_a_bin_for_0_and_one_for_1():
    profile = column_profile("is_sequel", np.array([0.0, 1.0, 1.0, 0.0, 1.0]))
    assert ([0.5], [2, 3]) == (profile["edges"], profile["counts"])


def test_few_distinct_values_have_a_bin_each():
    profile = column_profile("unit_price", np.array([59.99, 39.99, 49.99, 59.99]))
    assert [44.99, 54.99] == pytest.approx(profile["edges"])
    assert [1, 1, 2] == profile["counts"]


def test_a_single_value_has_one_bin():
    profile = column_profile("is_sports", np.zeros(7))
    assert ([], [7]) == (profile["edges"], profile["counts"])


def test_many_distinct_values_have_bins_of_about_equal_rows():
    assert [100] * BINS == column_profile("any", np.random.default_rng(1).normal(size=1_000))["counts"]


def test_a_value_that_most_rows_have_keeps_a_bin_of_its_own():
    values = np.concatenate([np.linspace(0, 1, 190), np.full(610, 2.0), np.linspace(3, 4, 200)])
    assert 610 in column_profile("any", values)["counts"]
