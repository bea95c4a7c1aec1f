"""Rows of columns with few values are numbered exactly, and each possible row is scored once."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamesales.data.table import Batch
from gamesales.scoring.distinct import RowNumbering, find_numbering
from gamesales.scoring.predict import predict_batch
from gamesales.scoring.scored_titles import PredictionCache
from gamesales.scoring.scorer import Scorer
from support.runs import network_version, picky_version, simple_version
from support.versions import FEATURES, NEW_RECORD, titles_table

ROWS = 5_000
quickly = settings(deadline=None, max_examples=60)


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
@quickly
def test_numbers_give_the_rows_back(seed, levels):
    """The row with the number of a row equals it to the last bit."""
    columns = make_columns(seed, levels=levels)
    numbering = find_numbering(columns)
    rows = numbering.list_rows()
    assert numbering.size == len(rows[0])
    for column, values in zip(columns, rows, strict=True):
        assert column.dtype == values.dtype
        np.testing.assert_array_equal(column, values[numbering.number_rows(columns)])
    np.testing.assert_array_equal(np.arange(numbering.size), numbering.number_rows(rows))


@pytest.mark.parametrize(
    "values", [[0.0, -0.0], [1.0, np.nextafter(1.0, 2.0)], [1e-300, 2e-300], [-(2.0**53), 2.0**53]]
)
@pytest.mark.parametrize("others", [0, 40], ids=["compared", "searched"])
def test_close_numbers_differ(values, others):
    """Numbers that differ by one bit have different numbers, also zero and minus zero."""
    column = np.resize([*values, *np.arange(2, 2 + others)], ROWS)
    numbering = find_numbering([column])
    assert len(values) + others == numbering.size
    (rows,) = numbering.list_rows()
    assert column.tobytes() == rows[numbering.number_rows([column])].tobytes()


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint64, np.float32, np.float64])
@pytest.mark.parametrize(
    "present", [[0], [1], [0, 1], [5, 7], [*range(1, 60)]], ids=["zero", "one", "flag", "other flag", "many"]
)
def test_other_values_are_not_numbered(dtype, present):
    """A column with another value or another type has no numbers."""
    numbering = find_numbering([np.resize(np.array(present, dtype), ROWS)])
    for other in (61, 80, *({0, 1} - {*present})):
        assert numbering.number_rows([np.resize(np.array([*present, other], dtype), ROWS)]) is None
    other_type = np.int32 if dtype != np.int32 else np.int64
    assert numbering.number_rows([np.resize(np.array(present, other_type), ROWS)]) is None
    np.testing.assert_array_equal(np.array(present, dtype), numbering.list_rows()[0])


def test_values_are_added():
    """Values of earlier rows stay in the numbering while there are few."""
    first = find_numbering([np.resize([1.0, 2.0], ROWS), np.zeros(ROWS, np.int8)])
    both = find_numbering([np.resize([4.0, 3.0], ROWS), np.ones(ROWS, np.int8)], first)
    assert [[1, 2, 3, 4], [0, 1]] == [values.tolist() for values in both.values]
    many = RowNumbering((np.arange(1000.0), np.array([0], np.int8)))
    assert 2 == find_numbering([np.resize([4.0, 3.0], ROWS), np.ones(ROWS, np.int8)], many).size
    other_types = RowNumbering((np.arange(3), np.arange(3)))
    assert 2 == find_numbering([np.resize([4.0, 3.0], ROWS), np.ones(ROWS, np.int8)], other_types).size


def test_unique_rows_have_no_numbers():
    """There is no numbering if hardly any row repeats, if values have too many combinations, or in a small batch."""
    rng = np.random.default_rng(1)
    assert find_numbering([rng.random(ROWS), rng.integers(0, 2, ROWS)]) is None
    assert find_numbering([rng.integers(0, 200, ROWS) / 7 for _ in range(3)]) is None
    assert find_numbering([np.zeros(100)]) is None
    assert find_numbering([np.zeros(0)]) is None


# The same result with and without repeated titles


def draw_batch(rng, start, *, rows=6_000):
    """A batch of titles that repeat, in any types, some of them faulty."""
    prices = rng.choice([39.99, 49.99, 59.99, 61.5, 500.0], rng.integers(1, 4), replace=False)
    columns = {name: rng.integers(0, rng.integers(1, 3), rows) for name in FEATURES}
    columns |= {"critic_rating": rng.choice([-0.0, 0.0, 3.5, 4.5, 7.0][: rng.integers(1, 6)], rows)}
    columns |= {"unit_price": rng.choice(prices, rows)}
    types = [np.int8, np.int64, np.float64]
    for name in FEATURES[1:-1]:
        columns[name] = columns[name].astype(types[rng.integers(3)])
    for name in rng.choice(FEATURES, rng.integers(0, 3)):
        columns[name] = columns[name].astype(np.float64)
        columns[name][rng.integers(0, rows, 3)] = rng.choice([np.nan, -1.0, 13.0])
    table = pa.RecordBatch.from_pydict({name: pa.array(values) for name, values in columns.items()})
    return Batch(table, np.arange(start + 1, start + 1 + rows))


def require_equal(expected, actual):
    """Require that two predictions of a batch are equal to the last bit, and sums nearly so."""
    for field in dataclasses.fields(expected):
        first, second = getattr(expected, field.name), getattr(actual, field.name)
        if field.name == "screened":
            assert first.rejected == second.rejected
            first, second = (first.accepted, *first.columns), (second.accepted, *second.columns)
        if field.name == "sums":
            np.testing.assert_allclose(second, first, rtol=1e-12)
        elif field.name in ("screened", "bounds", "histograms"):
            assert [array.tobytes() for array in first] == [array.tobytes() for array in second], field.name
        else:
            np.testing.assert_array_equal(first, second, err_msg=field.name)


@pytest.fixture(scope="module")
def versions():
    """Versions with a real network, with intervals that widen, and with predictions that may be infinite."""
    picky = dataclasses.replace(simple_version(), scorer=Scorer(picky_version()))
    return [network_version(), simple_version(**NEW_RECORD), picky]


@given(st.integers(0, 10_000), st.integers(0, 2))
@settings(deadline=None, max_examples=40)
def test_cache_changes_no_result(versions, seed, number):
    """A batch has the same result whatever batches came before, and as row by row."""
    version, rng, cache = versions[number], np.random.default_rng(seed), PredictionCache()
    for turn in range(3):
        batch = draw_batch(rng, turn * 6_000)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(PredictionCache, "add", lambda *_: None)
            every_row = predict_batch(batch, version)
        require_equal(every_row, predict_batch(batch, version))
        require_equal(every_row, predict_batch(batch, version, cache))


def test_titles_are_scored_once(monkeypatch):
    """Titles of an earlier batch are not scored again."""
    version, cache, calls = network_version(), PredictionCache(), []
    table = titles_table(40_000).combine_chunks().to_batches()[0]
    monkeypatch.setattr(type(version.scorer), "_run", lambda scorer, chunk: calls.append(len(chunk)) or chunk[:, 0])
    for start in (0, 20_000):
        predict_batch(Batch(table.slice(start, 20_000), np.arange(start + 1, start + 20_001)), version, cache)
        assert (
            cache.combinations.numbering.size
            <= sum(calls)
            < cache.combinations.numbering.size + version.scorer.chunk_rows
        )
