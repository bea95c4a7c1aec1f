"""Residual analysis: noise depends on nothing, and each fault shows in its own statistic."""

import numpy as np
import pytest

from gamesales.diagnostics.residuals import measure_residuals
from gamesales.stats.same_features import number_distinct_rows
from support.titles import titles
from support.versions import FEATURES


def measure(seed=1, change=lambda errors, features: errors):
    features, earnings, expected = titles(500, seed)
    errors = change(expected - earnings, features)
    clusters = number_distinct_rows(features)[0]
    return measure_residuals(FEATURES, features, errors, expected, 0.008 * expected, clusters)


def test_noise_depends_on_nothing():
    """Errors that are noise hardly ever have a clear correlation, and their bias is within chance."""
    measured = [measure(seed) for seed in range(1, 31)]
    clear = [any(value.is_clear for value in (*residuals.columns, residuals.order)) for residuals in measured]
    assert sum(clear) <= 3
    assert np.mean([residuals.bias.low <= 0 <= residuals.bias.high for residuals in measured]) > 0.85


def test_growing_noise_shows_in_fifths():
    """Noise that grows with earnings makes the highest predictions less accurate."""
    residuals = measure()
    assert residuals.highest_fifth > 1.5 * residuals.lowest_fifth


def test_missing_column_is_named():
    """A column that the model did not learn is correlated with the errors."""
    index = FEATURES.index("is_portable")
    residuals = measure(change=lambda errors, features: errors + 700 * features[:, index])
    clear = {
        correlation.correlated_with: correlation.value for correlation in residuals.columns if correlation.is_clear
    }
    assert {"is_portable"} == set(clear)
    assert clear["is_portable"] > 0.15


def test_bias_is_beyond_chance():
    """A constant error is outside the confidence interval of no bias."""
    residuals = measure(change=lambda errors, features: errors + 500)
    assert 0 < residuals.bias.low < 500 < residuals.bias.high + 200


def test_drift_along_file_is_clear():
    """Errors that drift along the file are correlated with the row before."""
    residuals = measure(change=lambda errors, features: errors + 1500 * np.sin(np.arange(len(errors)) / 30))
    assert residuals.order.is_clear
    assert residuals.order.value > 0.2


def test_constant_has_no_correlation():
    """A single title or a constant column has no correlation."""
    single = measure_residuals(("a",), np.ones((1, 1)), np.ones(1), np.ones(1), np.ones(1), np.zeros(1, np.int64))
    assert (0.0, False) == (single.columns[0].value, single.order.is_clear)
    same = measure_residuals(("a",), np.ones((9, 1)), np.arange(9.0), np.ones(9), np.ones(9), np.arange(9))
    assert not same.columns[0].is_clear
    assert same.bias.value == pytest.approx(4)
