"""Permutation importance and partial dependence: their laws, for models whose answer is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamesales.diagnostics import groups as families
from gamesales.diagnostics import importance
from gamesales.scoring.scorer import Scorer
from gamesales.stats import same_features as twins
from support.titles import titles
from support.versions import FEATURES, SIMPLE_WEIGHTS, simple_earnings, simple_graph, title_values

PLACES = {name: place for place, name in enumerate(FEATURES)}


@pytest.fixture
def without_kids():
    """A scoring graph that does not look at suitable_for_kids."""
    weights = [
        0.0 if name == "suitable_for_kids" else weight for name, weight in zip(FEATURES, SIMPLE_WEIGHTS, strict=True)
    ]
    return Scorer(simple_graph(weights=weights))


def found_by(contract, scorer, groups=(), seed=1, rows=300):
    features = title_values(rows)
    labels = twins.label(features)[0]
    earned = simple_earnings(features) + np.random.default_rng(1).normal(0, 50, rows)
    return importance.importance(contract, scorer.score, (features, earned), labels, groups, seed)


def test_a_column_that_is_not_looked_at_is_worth_exactly_nothing(contract, without_kids):
    found = {one.columns: one.error_change for one in found_by(contract, without_kids)}
    nothing = found[("suitable_for_kids",)]
    assert (0.0, 0.0, 0.0) == (nothing.value, nothing.low, nothing.high)
    assert all(usd.value > 0 for columns, usd in found.items() if columns != ("suitable_for_kids",))


def test_what_weighs_more_is_worth_more_and_comes_first(contract):
    found = found_by(contract, Scorer(simple_graph()))
    flags = [one.columns[0] for one in found if one.columns[0].startswith(("is_", "suitable"))]
    by_weight = sorted(flags, key=lambda name: -SIMPLE_WEIGHTS[PLACES[name]])
    assert by_weight[:3] == flags[:3]
    assert [one.error_change.value for one in found] == sorted((one.error_change.value for one in found), reverse=True)


def test_the_same_seed_shuffles_alike(contract):
    scorer = Scorer(simple_graph())
    assert found_by(contract, scorer) == found_by(contract, scorer)
    assert found_by(contract, scorer) != found_by(contract, scorer, seed=2)


def test_flags_of_a_group_are_shuffled_together_so_that_titles_stay_titles(contract):
    features, earned, _ = titles(500)
    groups = families.one_hot(contract, features)
    seen = []

    def predict(values):
        seen.append(values[:, list(groups[0])].sum(axis=1))
        return np.zeros(len(values))

    labels = twins.label(features)[0]
    importance.importance(contract, predict, (features, earned), labels, groups, 1)
    together = seen[: 1 + 20]
    assert all((one == 1).all() for one in together)
    assert not all((one == 1).all() for one in seen)


def test_of_very_many_titles_some_are_drawn(contract):
    features = np.tile(title_values(1000), (25, 1))
    labels = twins.label(features)[0]
    found = importance.importance(contract, simple_earnings, (features, simple_earnings(features)), labels, [], 1)
    assert {(20_000, 5)} == {(one.rows, one.repeats) for one in found}


@given(st.lists(st.integers(-5_000, 5_000), min_size=9, max_size=9), st.integers(1, 50))
def test_the_dependence_of_a_linear_model_is_its_slope_in_dollars_for_every_title(weights, seed):
    from gamesales.data.contract import Contract
    from support.versions import DATA

    contract = Contract.from_toml(DATA / "contract.toml")
    features = title_values(60, seed)
    found = importance.dependence(contract, lambda values: values @ np.array(weights, float), features, [], seed)
    assert [*FEATURES] == [one.columns[0] for one in found]
    for one, weight in zip(found, weights, strict=True):
        change = weight * (np.array(one.values) - one.values[0])
        for usd in (np.array(one.prediction_mean) - one.prediction_mean[0], one.prediction_low, one.prediction_high):
            np.testing.assert_allclose(usd, change, atol=1e-6)


def test_a_group_is_set_to_one_flag_at_a_time(contract):
    features = titles(400)[0]
    groups = families.one_hot(contract, features)
    found = importance.dependence(contract, simple_earnings, features, groups, 1)
    (group,) = (one for one in found if one.kind == "flags")
    assert ("is_action", "is_role_playing", "is_sports") == group.labels == group.columns
    np.testing.assert_allclose(np.diff(group.prediction_mean), [300, 200])
    assert 7 == len(found)


def test_a_column_of_many_values_is_set_to_some_from_the_lowest_to_the_highest(contract):
    features = titles(3000, continuous=True)[0]
    found = {one.columns: one for one in importance.dependence(contract, simple_earnings, features, [], 1)}
    price = found[("unit_price",)]
    assert (12, 1000) == (len(price.values), price.rows)
    ends = features[:, PLACES["unit_price"]].min(), features[:, PLACES["unit_price"]].max()
    assert ends == (price.values[0], price.values[-1])
