"""Checks of what is left in the errors: noise passes, and each fault is found by its own check."""

import numpy as np
import pytest

from gamesales.diagnostics import residuals
from gamesales.stats import same_features as twins
from support.titles import titles
from support.versions import FEATURES


def checked(seed=1, change=lambda errors, features: errors):
    features, earned, expected = titles(500, seed)
    errors = change(expected - earned, features)
    return residuals.check(FEATURES, features, errors, expected, 0.008 * expected, twins.label(features)[0])


def test_noise_goes_with_nothing():
    found = [checked(seed) for seed in range(1, 31)]
    assert sum(any(one.is_clear for one in (*check.columns, check.order)) for check in found) <= 3
    assert np.mean([check.bias.low <= 0 <= check.bias.high for check in found]) > 0.85


def test_noise_that_grows_with_earnings_is_seen_in_the_fifths():
    found = checked()
    assert found.highest_fifth > 1.5 * found.lowest_fifth


def test_a_column_that_was_not_learnt_is_named():
    place = FEATURES.index("is_portable")
    found = checked(change=lambda errors, features: errors + 700 * features[:, place])
    clear = {one.of: one.value for one in found.columns if one.is_clear}
    assert {"is_portable"} == set(clear)
    assert clear["is_portable"] > 0.15


def test_a_lean_is_outside_of_chance():
    found = checked(change=lambda errors, features: errors + 500)
    assert 0 < found.bias.low < 500 < found.bias.high + 200


def test_errors_that_drift_along_the_file_are_told():
    found = checked(change=lambda errors, features: errors + 1500 * np.sin(np.arange(len(errors)) / 30))
    assert found.order.is_clear
    assert found.order.value > 0.2


def test_one_title_or_one_value_of_a_column_has_no_correlation():
    one = residuals.check(("a",), np.ones((1, 1)), np.ones(1), np.ones(1), np.ones(1), np.zeros(1, np.int64))
    assert (0.0, False) == (one.columns[0].value, one.order.is_clear)
    same = residuals.check(("a",), np.ones((9, 1)), np.arange(9.0), np.ones(9), np.ones(9), np.arange(9))
    assert not same.columns[0].is_clear
    assert same.bias.value == pytest.approx(4)
