"""Bootstrap percentiles of means, of independent and of clustered rows."""

import numpy as np
import pytest

from gamesales.stats.bootstrap import LEVELS_95, bootstrap_percentiles, cluster_bootstrap_percentiles


@pytest.mark.parametrize("rows", [400, 12_000])
def test_clusters_of_one_row(rows):
    """Clusters of one row give the percentiles of rows, below and above the limit for resampling."""
    values = np.random.default_rng(3).exponential(size=rows)
    by_row = bootstrap_percentiles(values, LEVELS_95, 5)
    by_cluster = cluster_bootstrap_percentiles(values, np.arange(rows), LEVELS_95, 5)
    assert by_row == pytest.approx(by_cluster)
    repeated = cluster_bootstrap_percentiles(np.repeat(values, 3), np.repeat(np.arange(rows), 3), LEVELS_95, 5)
    assert by_row == pytest.approx(repeated)


def test_equal_values_have_no_spread():
    """All percentiles of equal values are their value."""
    assert [2.0, 2.0] == cluster_bootstrap_percentiles(np.full(12_000, 2.0), np.arange(12_000), LEVELS_95, 1)
