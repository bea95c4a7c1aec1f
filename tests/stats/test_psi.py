"""The population stability index."""

from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gamesales.stats.psi import compute_chance_psi, compute_psi

histograms = st.integers(1, 10).flatmap(
    lambda bins: st.tuples(*(arrays(np.int64, bins, elements=st.integers(0, 10**6)) for _ in range(2)))
)


def test_two_bins_by_hand():
    """With half a row more in each bin the shares are 1/2 and 1/2, and 5/6 and 1/6."""
    assert log(5) / 3 == pytest.approx(compute_psi(np.array([4, 4]), np.array([2, 0])))


@given(histograms)
def test_index_is_finite(pair):
    """The index is finite and never negative."""
    assert 0 <= compute_psi(*pair) < np.inf


@given(histograms)
def test_same_histogram_has_index_0(pair):
    """A histogram does not differ from itself."""
    assert 0.0 == compute_psi(pair[0], pair[0])


def test_no_rows_have_index_0():
    """A sample without rows differs from nothing, and nothing is expected by chance."""
    assert 0.0 == compute_psi(np.array([4, 4]), np.array([0, 0]))
    assert 0.0 == compute_chance_psi(2, 0, 8, deviations=3)


def test_chance_by_hand():
    """The mean is (b - 1)(1/n + 1/N); a standard deviation is sqrt(2(b - 1))(1/n + 1/N)."""
    assert 9 * (1 / 30 + 1 / 1000) == pytest.approx(compute_chance_psi(10, 30, 1000))
    assert (9 + 2 * sqrt(18)) * (1 / 30 + 1 / 1000) == pytest.approx(compute_chance_psi(10, 30, 1000, 2))


def test_chance_of_one_population():
    """Two samples of one population have the expected index on average."""
    random = np.random.default_rng(1)
    shares = np.full(8, 1 / 8)
    indices = [compute_psi(random.multinomial(400, shares), random.multinomial(2000, shares)) for _ in range(500)]
    assert compute_chance_psi(8, 400, 2000) == pytest.approx(np.mean(indices), rel=0.1)
