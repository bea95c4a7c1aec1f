"""Splitting rows: each row in one part, groups together, the same seed the same parts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from gamesales.data.split import split_at_random, split_by_date
from gamesales.errors import InputError

many_groups = st_numpy.arrays(np.int64, st.integers(2, 60), elements=st.integers(0, 12)).filter(
    lambda groups: len(set(groups.tolist())) > 1
)
many_dates = st_numpy.arrays(
    np.float64, st.integers(2, 60), elements=st.sampled_from([np.nan, 1.0, 2.0, 2.5, 9.0, 10.0])
).filter(lambda dates: len(set(dates[~np.isnan(dates)])) > 1)
shares = st.floats(0.01, 0.99)


@given(groups=many_groups, share=shares, seed=st.integers(0, 5))
def test_groups_stay_together(groups, share, seed):
    """Each group is in one part, both parts have rows, and a seed gives the same parts again."""
    is_test = split_at_random(groups, share, seed)
    assert 0 < is_test.sum() < len(groups)
    assert set(groups[is_test]).isdisjoint(groups[~is_test])
    assert np.array_equal(is_test, split_at_random(groups, share, seed))


def test_share():
    """Without groups of several rows, the part has exactly its share of the rows."""
    is_test = split_at_random(np.arange(1000), 0.2, seed=1)
    assert 200 == is_test.sum()
    assert not np.array_equal(is_test, split_at_random(np.arange(1000), 0.2, seed=2))


@given(dates=many_dates, share=shares)
def test_newest_dates(dates, share):
    """No date of the training part is as new as a date of the test part. A row without a date is trained on."""
    is_test = split_by_date(dates, share)
    assert 0 < is_test.sum() < len(dates)
    assert not is_test[np.isnan(dates)].any()
    assert np.nanmin(dates[is_test]) > np.nanmax(dates[~is_test])


def test_dates_share():
    """The newest fifth of different dates is the test."""
    dates = np.random.default_rng(1).permutation(100).astype(float)
    assert np.array_equal(dates >= 80, split_by_date(dates, 0.2))


def test_single_group():
    """A single group or date can't be split."""
    for split in (lambda: split_at_random(np.zeros(5, np.int64), 0.2, 1), lambda: split_by_date(np.ones(5), 0.2)):
        with pytest.raises(InputError, match="expected rows of two or more groups or dates, received 1"):
            split()
