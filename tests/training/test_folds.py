"""Folds: every row is predicted once, by what never saw it; grouped, nor a twin of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamesales.errors import InputError
from gamesales.training import folds


def remember(features, earnings):
    """A learner that predicts whether it has seen a row."""
    known = set(map(tuple, features))
    assert len(features) == len(earnings)
    return lambda values: np.array([float(tuple(value) in known) for value in values])


@given(st.integers(5, 200), st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_every_row_is_predicted_once_by_what_never_saw_it(rows, number, seed):
    features = np.arange(rows, dtype=float)[:, None]
    parts = folds.cut(rows, number, seed)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert not folds.out_of_fold(remember, features, np.zeros(rows), parts).any()


@given(st.lists(st.integers(0, 9), min_size=20, max_size=200), st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_rows_with_the_same_features_are_in_the_same_fold(kinds, number, seed):
    features = np.array([[kind, -kind] for kind in kinds], float)
    if len(set(kinds)) < number:
        with pytest.raises(InputError, match=f"{len(set(kinds))} distinct rows of training can't be cut into {number}"):
            folds.cut_grouped(features, number, seed)
        return
    parts = folds.cut_grouped(features, number, seed)
    assert sorted(np.concatenate(parts)) == list(range(len(kinds)))
    assert min(map(len, parts)) > 0
    assert not folds.out_of_fold(remember, features, np.zeros(len(kinds)), parts).any()


def test_grouped_folds_are_about_equally_large_and_drawn_by_the_seed():
    features = np.repeat(np.arange(300.0), np.random.default_rng(1).integers(1, 12, 300))[:, None]
    parts = folds.cut_grouped(features, 5, seed=1)
    assert max(map(len, parts)) - min(map(len, parts)) <= 2
    again, other = folds.cut_grouped(features, 5, seed=1), folds.cut_grouped(features, 5, seed=2)
    assert all(map(np.array_equal, parts, again))
    assert not np.array_equal(parts[0], other[0])


def test_plain_folds_separate_twins_which_is_why_there_are_grouped_ones():
    features = np.repeat(np.arange(50.0), 2)[:, None]
    seen = folds.out_of_fold(remember, features, np.zeros(100), folds.cut(100, 5, seed=1))
    assert seen.mean() > 0.5


def test_more_folds_than_rows_are_refused():
    with pytest.raises(InputError, match="4 rows of training can't be cut into 5 folds"):
        folds.cut(4, 5, seed=1)
