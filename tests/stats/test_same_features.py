"""Titles with the same features: exact grouping, and a noise estimate that matches the simulator."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gamesales.data.simulate import NOISE
from gamesales.stats.same_features import estimate_noise, estimate_pure_error, number_distinct_rows
from support.titles import titles

tables = hnp.arrays(np.float64, st.tuples(st.integers(1, 30), st.just(3)), elements=st.sampled_from([0.0, 1.0, 2.5]))


@given(tables, tables)
def test_equal_rows_share_a_number(first, second):
    """Rows have the same number if and only if they are equal."""
    numbers = np.concatenate(number_distinct_rows(first, second))
    rows = np.concatenate([first, second])
    for row, number in zip(rows, numbers, strict=True):
        np.testing.assert_array_equal((rows == row).all(axis=1), numbers == number)
    assert set(numbers) == set(range(numbers.max() + 1))


def estimate_noise_of(factor, seed=1):
    """Estimate the noise with a model that predicts the expected earnings times a factor."""
    training, test = titles(2000, seed), titles(800, seed + 100)
    labels = number_distinct_rows(training[0], test[0])
    scale = np.concatenate([training[2], test[2]])
    return estimate_noise(tuple(labels), (training[1], test[1]), factor * test[2], scale)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_noise_matches_the_simulator(seed):
    """The estimate matches the simulated noise, 1% of a title's expected earnings."""
    noise = estimate_noise_of(1.0, seed)
    truth = np.mean((NOISE * titles(60_000)[2]) ** 2)
    assert noise.variance.low < truth < noise.variance.high
    assert noise.variance.value == pytest.approx(truth, rel=0.15)
    assert noise.titles > 2000


def test_lack_of_fit_finds_bias():
    """A perfect model passes the test, and a model with 1% bias fails it."""
    faultless = [estimate_noise_of(1.0, seed) for seed in range(1, 21)]
    assert np.mean([noise.f for noise in faultless]) == pytest.approx(1.0, abs=0.05)
    assert np.mean([noise.p < 0.05 for noise in faultless]) < 0.2
    biased = estimate_noise_of(1.01)
    assert biased.f > 1.5
    assert biased.p < 1e-6


def test_distinct_titles_have_no_estimate():
    """Titles that all differ give no estimate of the noise."""
    features, earnings, expected = titles(500, continuous=True)
    (labels,) = number_distinct_rows(features)
    assert estimate_pure_error(labels, earnings) is None
    assert (
        estimate_noise((labels[:400], labels[400:]), (earnings[:400], earnings[400:]), expected[400:], expected) is None
    )


def test_earnings_without_noise():
    """Earnings without noise have variance 0 and no usable test of fit."""
    features, _, expected = titles(600)
    labels = number_distinct_rows(features[:400], features[400:])
    noise = estimate_noise(tuple(labels), (expected[:400], expected[400:]), expected[400:], np.ones(600))
    assert noise.variance.value == pytest.approx(0, abs=1e-12)
    assert noise.f is None or noise.f >= 0
