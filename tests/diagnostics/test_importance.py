"""Permutation importance and partial dependence of models whose answer is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamesales.data.contract import Contract
from gamesales.diagnostics.groups import find_one_hot_flags
from gamesales.diagnostics.importance import measure_dependence, measure_importance
from gamesales.scoring.scorer import Scorer
from gamesales.stats.same_features import number_distinct_rows
from support.titles import titles
from support.versions import DATA, FEATURES, SIMPLE_WEIGHTS, simple_earnings, simple_graph, title_values

COLUMNS = {name: index for index, name in enumerate(FEATURES)}


@pytest.fixture
def without_kids():
    """A scoring graph that ignores suitable_for_kids."""
    weights = [
        0.0 if name == "suitable_for_kids" else weight for name, weight in zip(FEATURES, SIMPLE_WEIGHTS, strict=True)
    ]
    return Scorer(simple_graph(weights=weights))


def measure(contract, scorer, one_hot=(), seed=1, rows=300):
    features = title_values(rows)
    clusters = number_distinct_rows(features)[0]
    earnings = simple_earnings(features) + np.random.default_rng(1).normal(0, 50, rows)
    return measure_importance(contract, scorer.score, features, earnings, clusters, one_hot, seed)


# --- Importance.


def test_ignored_column_has_no_importance(contract, without_kids):
    """The importance of a column that the model ignores is exactly 0."""
    changes = {importance.columns: importance.error_change for importance in measure(contract, without_kids)}
    ignored = changes.pop(("suitable_for_kids",))
    assert (0.0, 0.0, 0.0) == (ignored.value, ignored.low, ignored.high)
    assert all(change.value > 0 for change in changes.values())


def test_importance_is_sorted(contract):
    """A larger weight gives a larger importance, and the most important column is first."""
    measured = measure(contract, Scorer(simple_graph()))
    flags = [importance.columns[0] for importance in measured if importance.columns[0].startswith(("is_", "suitable"))]
    by_weight = sorted(flags, key=lambda name: -SIMPLE_WEIGHTS[COLUMNS[name]])
    assert by_weight[:3] == flags[:3]
    changes = [importance.error_change.value for importance in measured]
    assert changes == sorted(changes, reverse=True)


def test_seed_decides_importance(contract):
    """The same seed shuffles in the same way."""
    scorer = Scorer(simple_graph())
    assert measure(contract, scorer) == measure(contract, scorer)
    assert measure(contract, scorer) != measure(contract, scorer, seed=2)


def test_one_hot_flags_are_shuffled_together(contract):
    """Shuffling the genres together gives titles of exactly one genre."""
    features, earnings, _ = titles(500)
    one_hot = find_one_hot_flags(contract, features)
    flags_set = []

    def predict(values):
        flags_set.append(values[:, list(one_hot[0])].sum(axis=1))
        return np.zeros(len(values))

    measure_importance(contract, predict, features, earnings, number_distinct_rows(features)[0], one_hot, 1)
    together = flags_set[: 1 + 20]
    assert all((counts == 1).all() for counts in together)
    assert not all((counts == 1).all() for counts in flags_set)


def test_many_titles_are_sampled(contract):
    """Of more than 20,000 titles, a sample is shuffled less often."""
    features = np.tile(title_values(1000), (25, 1))
    clusters = number_distinct_rows(features)[0]
    measured = measure_importance(contract, simple_earnings, features, simple_earnings(features), clusters, [], 1)
    assert {(20_000, 5)} == {(importance.rows, importance.repeats) for importance in measured}


# --- Dependence.


@given(st.lists(st.integers(-5_000, 5_000), min_size=9, max_size=9), st.integers(1, 50))
def test_dependence_of_linear_model(weights, seed):
    """The dependence of a linear model is its slope, for every title."""
    contract = Contract.from_toml(DATA / "contract.toml")
    features = title_values(60, seed)
    measured = measure_dependence(contract, lambda values: values @ np.array(weights, float), features, [], seed)
    assert [*FEATURES] == [dependence.columns[0] for dependence in measured]
    for dependence, weight in zip(measured, weights, strict=True):
        expected = weight * (np.array(dependence.values) - dependence.values[0])
        mean_change = np.array(dependence.prediction_mean) - dependence.prediction_mean[0]
        for change in (mean_change, dependence.prediction_low, dependence.prediction_high):
            np.testing.assert_allclose(change, expected, atol=1e-6)


def test_one_flag_is_set_at_a_time(contract):
    """The flags of a one-hot set are set one at a time."""
    features = titles(400)[0]
    one_hot = find_one_hot_flags(contract, features)
    measured = measure_dependence(contract, simple_earnings, features, one_hot, 1)
    (genres,) = (dependence for dependence in measured if dependence.kind == "flags")
    assert ("is_action", "is_role_playing", "is_sports") == genres.labels == genres.columns
    np.testing.assert_allclose(np.diff(genres.prediction_mean), [300, 200])
    assert 7 == len(measured)


def test_many_values_become_quantiles(contract):
    """A column with many values is set to some of them, from the lowest to the highest."""
    features = titles(3000, continuous=True)[0]
    measured = measure_dependence(contract, simple_earnings, features, [], 1)
    (price,) = (dependence for dependence in measured if dependence.columns == ("unit_price",))
    assert (12, 1000) == (len(price.values), price.rows)
    ends = features[:, COLUMNS["unit_price"]].min(), features[:, COLUMNS["unit_price"]].max()
    assert ends == (price.values[0], price.values[-1])
