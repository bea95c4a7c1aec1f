"""Each distinct row is scored once: found exactly, and only where rows repeat."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamesales.data.table import Batch
from gamesales.scoring import predict as distinct
from gamesales.scoring import predict as titles
from gamesales.scoring.predict import find_distinct, predict_titles
from support.runs import network_version
from support.versions import titles_table

ROWS = 5_000


def some_columns(seed, *, levels):
    """Columns of several types, each with so many values."""
    rng = np.random.default_rng(seed)
    made = [
        rng.integers(0, 2, ROWS).astype(np.int8),
        rng.integers(0, levels, ROWS) / 2,
        rng.choice([39.99, 49.99, 59.99], ROWS).astype(np.float32),
        rng.integers(5, 7, ROWS).astype(np.int64),
        np.full(ROWS, -3.5),
    ]
    return [made[place] for place in rng.permutation(len(made))]


@given(st.integers(0, 10_000), st.integers(1, 40))
@settings(deadline=None, max_examples=60)
def test_rows_are_of_one_kind_exactly_if_all_their_values_are_equal(seed, levels):
    columns = some_columns(seed, levels=levels)
    found = find_distinct(columns)
    assert found is not None
    for column in columns:
        np.testing.assert_array_equal(column, column[found.rows][found.kinds])
    rows = np.column_stack([column[found.rows].astype(float) for column in columns])
    assert len(np.unique(rows, axis=0)) == len(rows)
    np.testing.assert_array_equal(np.bincount(found.kinds), found.repeats)
    assert found.repeats.sum() == ROWS


@pytest.mark.parametrize(
    "values", [[0.0, -0.0], [1.0, np.nextafter(1.0, 2.0)], [1e-300, 2e-300], [-(2.0**53), 2.0**53]]
)
def test_numbers_that_hardly_differ_are_told_apart(values):
    column = np.tile(values, ROWS // 2)
    found = find_distinct([column])
    np.testing.assert_array_equal(column, column[found.rows][found.kinds])


def test_where_hardly_a_row_repeats_it_gives_up_at_the_first_look(monkeypatch):
    """Anything more would be wasted on most files of real numbers."""
    monkeypatch.setattr(distinct, "_digits", None)
    rng = np.random.default_rng(1)
    assert find_distinct([rng.random(ROWS), rng.integers(0, 2, ROWS)]) is None


def test_too_many_combinations_are_not_counted():
    rng = np.random.default_rng(1)
    assert find_distinct([rng.integers(0, 200, ROWS) / 7 for _ in range(3)]) is None


def test_few_rows_are_scored_as_they_are():
    assert find_distinct([np.zeros(100)]) is None
    assert find_distinct([np.zeros(0)]) is None


@given(st.integers(0, 100), st.integers(0, 100))
@settings(deadline=None, max_examples=20)
def test_the_decision_follows_from_the_values_alone(seed, other):
    columns = some_columns(seed, levels=5)
    again = some_columns(seed, levels=5)
    some_columns(other, levels=9)
    np.testing.assert_array_equal(find_distinct(columns).kinds, find_distinct(again).kinds)


def test_predictions_are_the_same_to_the_last_bit_with_and_without_it(monkeypatch):
    version, table = network_version(), titles_table(20_000).combine_chunks().to_batches()[0]
    batch = Batch(table, np.arange(1, 20_001))
    once_each = predict_titles(batch, version)
    monkeypatch.setattr(titles, "find_distinct", lambda columns: None)
    every_row = predict_titles(batch, version)
    assert find_distinct(every_row.screened.columns) is not None
    np.testing.assert_array_equal(every_row.earnings, once_each.earnings)
    np.testing.assert_array_equal(every_row.outside, once_each.outside)
    assert every_row.outside_by_feature == once_each.outside_by_feature
