"""Means of clustered rows: their intervals cover the truth, and repeated rows add no information."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamesales.stats.clustered import clustered_mean, student_t_quantile

student_t_quantile(9, 0.05)  # loads SciPy, which takes longer than Hypothesis allows for an example


@given(st.lists(st.floats(-1e6, 1e6), min_size=8, max_size=60), st.integers(1, 5))
def test_copies_of_rows_change_nothing(values, copies):
    """Rows that repeat within their cluster leave the mean and its interval as they are."""
    values = np.array(values)
    single = clustered_mean(values, np.arange(len(values)))
    repeated = clustered_mean(np.repeat(values, copies), np.repeat(np.arange(len(values)), copies))
    assert [repeated.value, repeated.low, repeated.high] == pytest.approx(
        [single.value, single.low, single.high], abs=1e-3
    )


def test_interval_covers_true_mean():
    """About 95% of the intervals contain the true mean."""
    random, covered = np.random.default_rng(1), 0
    for _ in range(1000):
        clusters = np.repeat(np.arange(12), random.integers(1, 6, 12))
        values = 7 + random.normal(size=12)[clusters] + 0.3 * random.normal(size=len(clusters))
        estimate = clustered_mean(values, clusters)
        covered += estimate.low <= 7 <= estimate.high
    assert 0.92 < covered / 1000 < 0.98


def test_few_clusters_have_no_interval():
    """Below eight clusters there is a mean, but no interval."""
    estimate = clustered_mean(np.arange(20.0), np.repeat(np.arange(5), 4))
    assert (9.5, None, None) == (estimate.value, estimate.low, estimate.high)
