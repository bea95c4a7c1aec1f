"""Titles with the same features: found exactly, and the noise that they give away is the simulator's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gamesales.data.simulate import NOISE
from gamesales.stats import same_features as twins
from support.titles import titles

tables = hnp.arrays(np.float64, st.tuples(st.integers(1, 30), st.just(3)), elements=st.sampled_from([0.0, 1.0, 2.5]))


@given(tables, tables)
def test_rows_have_the_same_number_where_and_only_where_they_are_equal(one, other):
    numbers = np.concatenate(twins.label(one, other))
    rows = np.concatenate([one, other])
    for row, number in zip(rows, numbers, strict=True):
        np.testing.assert_array_equal((rows == row).all(axis=1), numbers == number)
    assert set(numbers) == set(range(numbers.max() + 1))


def noise_of(predicted_times, seed=1):
    """The noise that a model finds which says so many times what the formula does."""
    past, test = titles(2000, seed), titles(800, seed + 100)
    labels = twins.label(past[0], test[0])
    predicted = predicted_times * test[2]
    return twins.noise(tuple(labels), (past[1], test[1]), predicted, np.concatenate([past[2], test[2]])), test


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_noise_is_that_of_the_simulator(seed):
    """Its noise is known: 1 % of what a title earns on average."""
    noise, _ = noise_of(1.0, seed)
    truth = np.mean((NOISE * titles(60_000)[2]) ** 2)
    assert noise.variance.low < truth < noise.variance.high
    assert noise.variance.value == pytest.approx(truth, rel=0.15)
    assert noise.titles > 2000


def test_a_model_without_fault_fits_and_a_biased_one_does_not():
    faultless = [noise_of(1.0, seed)[0] for seed in range(1, 21)]
    assert np.mean([noise.f for noise in faultless]) == pytest.approx(1.0, abs=0.05)
    assert np.mean([noise.p < 0.05 for noise in faultless]) < 0.2
    biased, _ = noise_of(1.01)
    assert biased.f > 1.5
    assert biased.p < 1e-6


def test_titles_that_all_differ_say_nothing_of_noise():
    features, earned, expected = titles(500, continuous=True)
    (labels,) = twins.label(features)
    assert twins.pure_error(labels, earned) is None
    assert twins.noise((labels[:400], labels[400:]), (earned[:400], earned[400:]), expected[400:], expected) is None


def test_earnings_without_noise_leave_no_test_of_fit():
    features, _, expected = titles(600)
    labels = twins.label(features[:400], features[400:])
    noise = twins.noise(tuple(labels), (expected[:400], expected[400:]), expected[400:], np.ones(600))
    assert noise.variance.value == pytest.approx(0, abs=1e-12)
    assert noise.f is None or noise.f >= 0
