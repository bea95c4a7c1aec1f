"""Metrics against scikit-learn, undefined metrics, and the profiles of columns."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sklearn_metrics

from gamesales.data.contract import Column, Contract
from gamesales.stats.metrics import compute_metrics
from gamesales.training.evaluation import BINS, profile_column, profile_columns
from gamesales.training.scaling import fit_scaler

dollars = st.floats(1, 1e7).map(lambda value: round(value, 2))
pairs = st.integers(2, 12).flatmap(
    lambda rows: st.tuples(*(arrays(np.float64, rows, elements=dollars) for _ in range(2)))
)


def make_scaling(earnings):
    contract = Contract(Column("earned", "money"), (Column("a", "number"),))
    return fit_scaler(contract, np.zeros((len(earnings), 1)), earnings)[1]


@settings(deadline=None, max_examples=60)
@given(pairs)
def test_metrics_equal_scikit_learn(pair):
    """The metrics equal those of scikit-learn."""
    actual, predicted = pair
    scaling = make_scaling(np.array([1000.0, 51_000.0]))
    computed = compute_metrics(actual, predicted, scaling.target_scale)
    scaled = scaling.scale_target(actual), scaling.scale_target(predicted)
    expected = {
        "scaled_mse": sklearn_metrics.mean_squared_error(*scaled),
        "mae": sklearn_metrics.mean_absolute_error(actual, predicted),
        "rmse": sklearn_metrics.root_mean_squared_error(actual, predicted),
        "r2": None if (actual == actual[0]).all() else sklearn_metrics.r2_score(actual, predicted),
        "mape_percent": 100 * sklearn_metrics.mean_absolute_percentage_error(actual, predicted),
    }
    # The rounding of scaled numbers is small relative to their size, but not relative to a tiny difference.
    slack = {"scaled_mse": 1e-9 * max(1.0, *np.abs(scaled[0]), *np.abs(scaled[1])) ** 2}
    for name, value in expected.items():
        approximately = None if value is None else pytest.approx(value, rel=1e-9, abs=slack.get(name, 1e-9))
        assert approximately == computed[name], name


@settings(deadline=None, max_examples=60)
@given(dollars, st.integers(1, 20))
def test_no_r2_for_equal_earnings(earned, titles):
    """Equal earnings have no r2. In floating point, the variance of 0.1, 0.1, 0.1 is not exactly 0."""
    actual = np.full(titles, earned)
    assert compute_metrics(actual, actual + 1, make_scaling(np.array([0.0, 1.0])).target_scale)["r2"] is None


def test_no_mape_for_zero_earnings():
    """There is no MAPE if a title earned 0."""
    computed = compute_metrics(
        np.array([0.0, 100.0]), np.array([10.0, 90.0]), make_scaling(np.array([0.0, 100.0])).target_scale
    )
    assert computed["mape_percent"] is None
    assert 10.0 == computed["mae"]


def test_perfect_predictions():
    """Perfect predictions have errors of 0 and an r2 of 1."""
    actual = np.array([10.0, 20.0, 40.0])
    expected = {"scaled_mse": 0.0, "mae": 0.0, "rmse": 0.0, "r2": 1.0, "mape_percent": 0.0}
    assert expected == compute_metrics(actual, actual, make_scaling(actual).target_scale)


def test_profile_of_each_column():
    """The profile has the range and the moments of each column."""
    profile = profile_columns(("rating", "price"), np.array([[2.0, 40.0], [4.0, 50.0], [3.0, 60.0]]))
    assert ["rating", "price"] == [column["name"] for column in profile]
    assert (2.0, 4.0, 3.0) == tuple(profile[0][key] for key in ("minimum", "maximum", "mean"))
    assert (200 / 3) ** 0.5 == pytest.approx(profile[1]["standard_deviation"])


few_values = st.lists(st.integers(0, 40).map(lambda half: half / 2), min_size=1, max_size=200)
any_values = st.lists(st.floats(-1e150, 1e150), min_size=1, max_size=60)
adjacent_values = st.lists(st.integers(0, 30).map(lambda step: 5e-324 * step), min_size=1, max_size=60)


@settings(deadline=None, max_examples=300)
@given(few_values | any_values | adjacent_values)
def test_bins_partition_rows(values):
    """Each row is in one bin, and no bin is empty."""
    values = np.array(values)
    profile = profile_column("any", values)
    edges, counts = np.array(profile["edges"]), profile["counts"]
    assert len(values) == sum(counts)
    assert min(counts) > 0
    assert len(edges) + 1 == len(counts) <= BINS
    assert (np.diff(edges) > 0).all()
    bounds = [-np.inf, *edges, np.inf]
    inside = [int(((low <= values) & (values < high)).sum()) for low, high in pairwise(bounds)]
    assert inside == counts


def test_flag_has_two_bins():
    """A flag has a bin for 0 and a bin for 1."""
    profile = profile_column("is_sequel", np.array([0.0, 1.0, 1.0, 0.0, 1.0]))
    assert ([0.5], [2, 3]) == (profile["edges"], profile["counts"])


def test_few_values_have_own_bins():
    """Each of a few distinct values has its own bin."""
    profile = profile_column("unit_price", np.array([59.99, 39.99, 49.99, 59.99]))
    assert [44.99, 54.99] == pytest.approx(profile["edges"])
    assert [1, 1, 2] == profile["counts"]


def test_constant_has_one_bin():
    """A constant column has one bin."""
    profile = profile_column("is_sports", np.zeros(7))
    assert ([], [7]) == (profile["edges"], profile["counts"])


def test_many_values_have_equal_bins():
    """Many distinct values have bins of about equal rows."""
    assert [100] * BINS == profile_column("any", np.random.default_rng(1).normal(size=1_000))["counts"]


def test_frequent_value_has_own_bin():
    """A value of most rows has its own bin."""
    values = np.concatenate([np.linspace(0, 1, 190), np.full(610, 2.0), np.linspace(3, 4, 200)])
    assert 610 in profile_column("any", values)["counts"]
