"""Statistics of leakage: what a column explains of the earnings, and how far two samples differ."""

import numpy as np
import pytest

from gamesales.diagnostics.leakage import compare_distributions, compute_rank_r2
from gamesales.training.evaluation import profile_column


def compare(training, test):
    return compare_distributions(profile_column("", training), test)


@pytest.mark.parametrize("column", [np.arange(300.0), np.zeros(300), np.random.default_rng(1).random(300)])
def test_unrelated_column_explains_nothing(column):
    """A column explains the order of the earnings only if the earnings depend on it."""
    earnings = np.random.default_rng(2).random(300)
    assert abs(compute_rank_r2(column, earnings)) < 0.3
    assert 0 == compute_rank_r2(column, np.ones(300))
    assert compute_rank_r2(earnings**3, earnings) > 0.99


def test_small_shift_is_chance():
    """A few titles or a slight shift are not significant or not large."""
    random = np.random.default_rng(1)
    psi, p = compare(random.random(1000), random.random(30))
    assert p > 1e-4
    psi, p = compare(random.random(100_000), random.random(100_000) ** 1.02)
    assert psi < 0.01
    assert (0.0, 1.0) == compare(np.ones(50), np.zeros(50))
