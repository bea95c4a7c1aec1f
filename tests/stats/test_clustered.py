"""Means with intervals: what they hold, and that copies of a row are no news."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamesales.stats import clustered as means
from gamesales.stats.bootstrap import clustered_percentiles, mean_percentiles

LEVELS = (0.025, 0.975)
means.quantile(9, 0.05)  # loads SciPy, which takes longer than Hypothesis grants an example


@given(st.lists(st.floats(-1e6, 1e6), min_size=8, max_size=60), st.integers(1, 5))
def test_copies_of_rows_leave_mean_and_interval_as_they_are(values, copies):
    values = np.array(values)
    once = means.mean(values, np.arange(len(values)))
    again = means.mean(np.repeat(values, copies), np.repeat(np.arange(len(values)), copies))
    assert [again.value, again.low, again.high] == pytest.approx([once.value, once.low, once.high], abs=1e-3)


def test_intervals_hold_the_true_mean_as_often_as_they_say():
    random, held = np.random.default_rng(1), 0
    for _ in range(1000):
        clusters = np.repeat(np.arange(12), random.integers(1, 6, 12))
        values = 7 + random.normal(size=12)[clusters] + 0.3 * random.normal(size=len(clusters))
        found = means.mean(values, clusters)
        held += found.low <= 7 <= found.high
    assert 0.92 < held / 1000 < 0.98


def test_a_few_clusters_have_no_interval():
    found = means.mean(np.arange(20.0), np.repeat(np.arange(5), 4))
    assert (9.5, None, None) == (found.value, found.low, found.high)


@pytest.mark.parametrize("rows", [400, 12_000])
def test_bootstrap_of_clusters_of_one_row_is_that_of_rows(rows):
    """Below and beyond as many as are resampled."""
    values = np.random.default_rng(3).exponential(size=rows)
    by_row, by_cluster = mean_percentiles(values, LEVELS, 5), clustered_percentiles(values, np.arange(rows), LEVELS, 5)
    assert by_row == pytest.approx(by_cluster)
    wider = clustered_percentiles(np.repeat(values, 3), np.repeat(np.arange(rows), 3), LEVELS, 5)
    assert by_row == pytest.approx(wider)


def test_bootstrap_of_values_that_are_equal_is_their_value():
    assert [2.0, 2.0] == clustered_percentiles(np.full(12_000, 2.0), np.arange(12_000), LEVELS, 1)
