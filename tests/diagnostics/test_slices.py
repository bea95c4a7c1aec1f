"""Errors slice by slice: they add up, and a slice is called worse when it is, and hardly ever when it is not."""

import numpy as np
import pytest

from gamesales.data.contract import Column
from gamesales.diagnostics import groups as families
from gamesales.diagnostics import groups as slices
from gamesales.stats import same_features as twins
from support.titles import titles
from support.versions import FEATURES

SPORTS = FEATURES.index("is_sports")


def measured(contract, seed, times=1.0, rows=400):
    """Slices of a model that is the formula, but misses sports titles by so many times the noise."""
    features, earned, expected = titles(rows, seed)
    groups = families.one_hot(contract, features)
    errors = (expected - earned) * np.where(features[:, SPORTS] == 1, times, 1.0)
    parts = [
        *families.families(contract, features, groups),
        families.Family("predicted", (), *families.divide(expected, Column("predicted", "money"))),
    ]
    held = np.abs(errors) < 0.02 * expected
    return slices.measure(parts, errors, 0.008 * expected, twins.label(features)[0], held), errors


def test_slices_of_a_family_add_up_to_the_whole(contract):
    found, errors = measured(contract, 1)
    names = {one.family for one in found}
    assert {"is_action / is_role_playing / is_sports", "critic_rating", "unit_price", "predicted"} <= names
    assert not {"is_action", "is_sports"} & names
    for name in names:
        parts = [one for one in found if one.family == name]
        assert 400 == sum(one.rows for one in parts)
        assert np.abs(errors).sum() == pytest.approx(sum(one.rows * one.mae.value for one in parts))
        assert errors.sum() == pytest.approx(sum(one.rows * one.bias.value for one in parts))


def test_a_model_without_fault_has_no_worse_slice_though_dear_titles_miss_by_more(contract):
    named = sum(one.is_worse for seed in range(1, 31) for one in measured(contract, seed)[0])
    assert named <= 1
    predicted = [one.mae.value for one in measured(contract, 1)[0] if one.family == "predicted"]
    assert predicted[-1] > 1.5 * predicted[0]


def test_a_worse_slice_is_named_with_how_much_worse(contract):
    found, _ = measured(contract, 1, times=3.0)
    (worse,) = (one for one in found if one.is_worse)
    assert "is_sports" == worse.label
    assert worse.times == pytest.approx(3.0, rel=0.3)
    assert worse.held < 0.6 < next(one.held for one in found if one.label == "is_action")


def test_a_slice_of_all_titles_is_compared_with_nothing():
    family = families.Family("all", (), ("all",), np.zeros(30, np.int64))
    (one,) = slices.measure([family], np.ones(30), np.ones(30), np.arange(30))
    assert (None, False, None) == (one.times, one.is_worse, one.held)


@pytest.mark.parametrize("errors", [np.zeros(40), np.r_[np.ones(3), np.zeros(37)], np.r_[5 * np.ones(3), np.ones(37)]])
def test_a_few_titles_or_no_errors_make_no_slice_worse(errors):
    family = families.Family("some", (), ("a", "b"), np.r_[np.zeros(3, np.int64), np.ones(37, np.int64)])
    assert not any(one.is_worse for one in slices.measure([family], errors, np.ones(40), np.arange(40)))
