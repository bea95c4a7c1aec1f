"""Folds: each row is predicted by a network that was not trained on it, or on a row with the same features."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamesales.errors import InputError
from gamesales.training import folds


def remember(features):
    """A network whose predictions are 1 for its training rows and 0 for other rows."""
    training_rows = set(map(tuple, features))
    return lambda values: np.array([float(tuple(value) in training_rows) for value in values])


def predict_out_of_fold(features, parts):
    networks = [remember(features[rows]) for rows in folds.list_other_rows(len(features), parts)]
    return folds.predict_out_of_fold(networks, features, parts)


@given(st.integers(5, 200), st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_plain_folds_cover_each_row(rows, count, seed):
    """Folds are of equal size, and no row is in the training rows of its own prediction."""
    features = np.arange(rows, dtype=float)[:, None]
    parts = folds.make_plain_folds(rows, count, seed)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert not predict_out_of_fold(features, parts).any()


@given(st.lists(st.integers(0, 9), min_size=20, max_size=200), st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_grouped_folds_keep_groups(kinds, count, seed):
    """Rows with the same features are in the same fold."""
    features = np.array([[kind, -kind] for kind in kinds], float)
    if len(set(kinds)) < count:
        with pytest.raises(InputError, match=f"{len(set(kinds))} distinct training rows can't be cut into {count}"):
            folds.make_grouped_folds(features, count, seed)
        return
    parts = folds.make_grouped_folds(features, count, seed)
    assert sorted(np.concatenate(parts)) == list(range(len(kinds)))
    assert min(map(len, parts)) > 0
    assert not predict_out_of_fold(features, parts).any()


def test_grouped_folds_balanced_and_seeded():
    """Grouped folds are of about equal size, and depend on the seed."""
    features = np.repeat(np.arange(300.0), np.random.default_rng(1).integers(1, 12, 300))[:, None]
    parts = folds.make_grouped_folds(features, 5, seed=1)
    assert max(map(len, parts)) - min(map(len, parts)) <= 2
    again, other = folds.make_grouped_folds(features, 5, seed=1), folds.make_grouped_folds(features, 5, seed=2)
    assert all(map(np.array_equal, parts, again))
    assert not np.array_equal(parts[0], other[0])


def test_grouped_folds_keep_gaps_together():
    """Titles that miss the same cells, and are equal otherwise, are a group."""
    features = np.column_stack([np.full(100, np.nan), np.repeat(np.arange(10.0), 10)])
    for fold in folds.make_grouped_folds(features, 5, seed=1):
        assert 2 == len(np.unique(features[fold, 1]))


def test_plain_folds_separate_groups():
    """Plain folds put rows with the same features into different folds."""
    features = np.repeat(np.arange(50.0), 2)[:, None]
    in_training = predict_out_of_fold(features, folds.make_plain_folds(100, 5, seed=1))
    assert in_training.mean() > 0.5


def test_more_folds_than_rows_refused():
    """More folds than rows are refused."""
    with pytest.raises(InputError, match="4 training rows can't be cut into 5 folds"):
        folds.make_plain_folds(4, 5, seed=1)
