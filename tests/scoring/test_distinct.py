"""Each distinct row is scored once, and only if rows repeat."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamesales.data.table import Batch
from gamesales.scoring import predict
from gamesales.scoring.predict import find_distinct, predict_batch
from support.runs import network_version
from support.versions import titles_table

ROWS = 5_000


def make_columns(seed, *, levels):
    """Columns of several types; ``levels`` limits the number of values."""
    rng = np.random.default_rng(seed)
    columns = [
        rng.integers(0, 2, ROWS).astype(np.int8),
        rng.integers(0, levels, ROWS) / 2,
        rng.choice([39.99, 49.99, 59.99], ROWS).astype(np.float32),
        rng.integers(5, 7, ROWS).astype(np.int64),
        np.full(ROWS, -3.5),
    ]
    return [columns[index] for index in rng.permutation(len(columns))]


@given(st.integers(0, 10_000), st.integers(1, 40))
@settings(deadline=None, max_examples=60)
def test_groups_hold_equal_rows(seed, levels):
    """Rows are in one group exactly if all their values are equal."""
    columns = make_columns(seed, levels=levels)
    distinct_rows = find_distinct(columns)
    assert distinct_rows is not None
    for column in columns:
        np.testing.assert_array_equal(column, column[distinct_rows.row_of_group][distinct_rows.group_of_row])
    rows = np.column_stack([column[distinct_rows.row_of_group].astype(float) for column in columns])
    assert len(np.unique(rows, axis=0)) == len(rows)
    np.testing.assert_array_equal(np.bincount(distinct_rows.group_of_row), distinct_rows.rows_per_group)
    assert distinct_rows.rows_per_group.sum() == ROWS


@pytest.mark.parametrize(
    "values", [[0.0, -0.0], [1.0, np.nextafter(1.0, 2.0)], [1e-300, 2e-300], [-(2.0**53), 2.0**53]]
)
def test_close_numbers_differ(values):
    """Numbers that differ by one bit are in different groups."""
    column = np.tile(values, ROWS // 2)
    distinct_rows = find_distinct([column])
    np.testing.assert_array_equal(column, column[distinct_rows.row_of_group][distinct_rows.group_of_row])


def test_sample_of_unique_rows(monkeypatch):
    """The search ends at the sample if hardly any row repeats."""
    monkeypatch.setattr(predict, "_encode", None)
    rng = np.random.default_rng(1)
    assert find_distinct([rng.random(ROWS), rng.integers(0, 2, ROWS)]) is None


def test_too_many_combinations():
    """Too many combinations of values end the search."""
    rng = np.random.default_rng(1)
    assert find_distinct([rng.integers(0, 200, ROWS) / 7 for _ in range(3)]) is None


def test_few_rows_are_not_searched():
    """Small batches are not searched."""
    assert find_distinct([np.zeros(100)]) is None
    assert find_distinct([np.zeros(0)]) is None


@given(st.integers(0, 100), st.integers(0, 100))
@settings(deadline=None, max_examples=20)
def test_groups_depend_on_values_only(seed, other_seed):
    """The groups depend on the values of the batch alone."""
    columns = make_columns(seed, levels=5)
    again = make_columns(seed, levels=5)
    make_columns(other_seed, levels=9)
    np.testing.assert_array_equal(find_distinct(columns).group_of_row, find_distinct(again).group_of_row)


def test_predictions_are_identical(monkeypatch):
    """Predictions are identical to the last bit with and without the search."""
    version, table = network_version(), titles_table(20_000).combine_chunks().to_batches()[0]
    batch = Batch(table, np.arange(1, 20_001))
    once_each = predict_batch(batch, version)
    monkeypatch.setattr(predict, "find_distinct", lambda columns: None)
    every_row = predict_batch(batch, version)
    assert find_distinct(every_row.screened.columns) is not None
    np.testing.assert_array_equal(every_row.predictions, once_each.predictions)
    np.testing.assert_array_equal(every_row.outside_range, once_each.outside_range)
    assert every_row.outside_by_feature == once_each.outside_by_feature
