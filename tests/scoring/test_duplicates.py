"""Duplicate ids are counted exactly, for any shards, in memory that does not grow with the run."""

import subprocess
import sys
import tracemalloc
from collections import Counter
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import pairwise
from uuid import UUID

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyarrow import csv, parquet

from gamesales.data import parquet_file
from gamesales.data.screen import RejectLimit
from gamesales.errors import ColumnsError
from gamesales.scoring import duplicates, shard_bounds
from gamesales.scoring.duplicates import ShardIds, are_unique, count_duplicates, find_ids, hash_ids, write_hashes
from gamesales.scoring.ids import mix
from support.runs import put_column, score, simple_version
from support.versions import titles_table

# Few different texts, so that they repeat. Their lengths are near multiples of a word and the vectorized maximum.
texts = st.none() | st.builds(
    lambda letter, length, end: letter * length + end,
    st.sampled_from(["a", "T", "\0", "é"]),
    st.sampled_from([0, 1, 7, 8, 9, 16, 255, 256, 257, 300]),
    st.sampled_from(["", "1", "2"]),
)
wide_integers = st.none() | st.integers(-3, 3) | st.sampled_from([-(2**63), 2**63 - 1, 2**53, 2**53 + 1])
quickly = settings(deadline=None, max_examples=100)


def count_in_shards(hashes, folder, cuts=()):
    """Count hashes that are cut into shards at these indices."""
    shards = np.split(hashes, sorted(cuts))
    for number, shard in enumerate(shards):
        write_hashes(folder / f"{number}.hashes", np.sort(shard))
    return count_duplicates([folder / f"{number}.hashes" for number in range(len(shards))])


def add_batches(batches):
    """The ids of a shard with some batches of a column."""
    ids = ShardIds()
    for batch in batches:
        ids.add([batch])
    return ids


def count_expected(ids):
    counter = Counter(ids)
    return sum(count > 1 for count in counter.values()), sum(count - 1 for count in counter.values())


def hash_column(column):
    return hash_ids([column])


# Counting


@given(
    ids=st.lists(texts | st.text(max_size=3), max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=5),
    chunk=st.sampled_from([1, 2, 7, 1 << 20]),
    order=st.randoms(use_true_random=False),
)
@quickly
def test_count_equals_counter(tmp_path_factory, ids, cuts, chunk, order):
    """Any split into shards in any order gives the same count as a Counter."""
    folder = tmp_path_factory.mktemp("shards")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_CHUNK_HASHES", chunk)
        counted = count_in_shards(hash_column(pa.array(ids, pa.string())), folder, cuts)
        order.shuffle(ids)
        again = count_in_shards(hash_column(pa.array(ids, pa.string())), folder)
    assert count_expected(value for value in ids if value) == counted[:2]
    assert counted == again, "examples included"


def test_no_ids_no_duplicates(tmp_path):
    """A run without shards or without ids has no duplicates."""
    assert (0, 0, []) == count_duplicates([])
    assert (0, 0, []) == count_in_shards(hash_column(pa.nulls(5)), tmp_path, [2])


def test_missing_ids_are_ignored():
    """A null, an empty text and NaN are no id. A CSV has no null, only empty text."""
    for column in (
        pa.array([None, "", None, "", "a"]),
        pa.array([None, np.nan, None, np.nan, 1.0]),
        pa.array([None, None, 3]),
        pa.array([None, "", "b", ""]).dictionary_encode(),
    ):
        assert 1 == len(hash_column(column))


@given(st.lists(st.tuples(texts, st.none() | st.integers(0, 2)), max_size=40))
@quickly
def test_several_identity_columns(tmp_path_factory, ids):
    """Several columns identify a title together."""
    columns = [pa.array([text for text, _ in ids], pa.string()), pa.array([number for _, number in ids], pa.int8())]
    counted = count_in_shards(hash_ids(columns), tmp_path_factory.mktemp("shards"))
    pairs = [(text or None, number) for text, number in ids]
    assert count_expected(pair for pair in pairs if pair != (None, None)) == counted[:2]


def test_column_order_matters():
    """The same values in another order of columns are another id."""
    first, second = pa.array(["a", "b"]), pa.array(["b", "a"])
    assert 2 == len(set(hash_ids([first, second]).tolist()))


# Ids that ascend


@given(
    ids=st.lists(wide_integers, max_size=30) | st.lists(texts | st.text(max_size=9), max_size=30),
    cuts=st.lists(st.integers(0, 30), max_size=4),
    is_sorted=st.booleans(),
    is_unique=st.booleans(),
    order=st.randoms(use_true_random=False),
)
@quickly
def test_ranges_prove_unique_ids(ids, cuts, is_sorted, is_unique, order):
    """Ids of a shard with a range ascend. Disjoint ranges have no duplicates. Other shards have all hashes or none."""
    ids = list(dict.fromkeys(ids)) if is_unique else ids
    if is_sorted:
        ids.sort(key=lambda value: (0, b"", 0) if value is None else sort_key(value))
    column = pa.array(ids, pa.int64() if any(isinstance(value, int) for value in ids) else pa.string())
    bounds = [0, *sorted(min(cut, len(ids)) for cut in cuts), len(ids)]
    shards = [column.slice(start, stop - start) for start, stop in pairwise(bounds)]
    order.shuffle(shards)
    ranges = []
    for shard in shards:
        shard_ids = add_batches([shard.slice(0, len(shard) // 2), shard.slice(len(shard) // 2)])
        values = shard.to_pylist()
        if shard_ids.range is not None:
            assert shard_ids.hashes is None
            assert None not in values
            assert all(sort_key(first) < sort_key(second) for first, second in pairwise(values))
        elif shard_ids.hashes is not None:
            np.testing.assert_array_equal(np.sort(hash_column(shard)), shard_ids.hashes)
        ranges.append(shard_ids.range)
    if are_unique(ranges):
        assert (0, 0) == count_expected(value for value in ids if value not in (None, ""))


def sort_key(value):
    """The order of ids: integers by value, texts by length and then by bytes."""
    return (0, b"", value) if isinstance(value, int) else (len(value.encode()), value.encode(), 0)


@pytest.mark.parametrize(
    "ids",
    [
        pa.array([-5, 0, 7, 2**40]),
        pa.array([1, 2, 3, 4], pa.uint16()),
        pa.array(["T1", "T2", "T10", "T11"]),
        pa.array(["title-0007", "title-0008", "title-1000", "title-1001"], pa.large_string()),
        pa.array(["T1", "T2", "T3", "T4"]).dictionary_encode(),
        pa.array([datetime(2026, 11, day, tzinfo=UTC) for day in (1, 2, 3, 30)], pa.timestamp("us", "UTC")),
    ],
    ids=lambda ids: str(ids.type),
)
def test_ascending_ids_are_unique(ids):
    """Ids that ascend within and across shards are unique, in any order of the shards."""
    late, early = add_batches([ids[2:3], ids[3:]]), add_batches([ids[:2]])
    assert are_unique([late.range, early.range])
    assert not are_unique([late.range, early.range, late.range])
    assert not are_unique([late.range, None])


@pytest.mark.parametrize(
    "ids",
    [["a", "b", None], ["a", "b", ""], ["b", "a", "c"], ["a", "a", "b"], ["a", "b", "c" * 300], [1.0, 2.0, np.nan]],
)
def test_other_ids_have_no_range(ids):
    """Missing ids, very long ids, and ids in another order have hashes, unless the first batch ascends."""
    column = pa.array(ids)
    np.testing.assert_array_equal(np.sort(hash_column(column)), add_batches([column]).hashes)
    later = add_batches([pa.array([0.5] if ids[0] == 1.0 else ["A"]), column])
    assert (None, None) == (later.range, later.hashes)
    assert 0 == len(add_batches([column[:0]]).hashes)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize(
    "files",
    [
        {"a": [*range(100, 200)], "b": [*range(200, 300)]},
        {"a": [*range(100, 200)], "b": [*range(150, 250)]},
        {"a": [*range(100, 200)], "b": [*range(199, 99, -1)]},
        {"a": [*range(100, 180), *range(140, 160)], "b": [*range(200, 300)]},
        {"a": [7] * 100, "b": [None] * 100},
    ],
    ids=["disjoint", "overlapping", "descending", "late", "equal"],
)
def test_any_order_is_counted(tmp_path, monkeypatch, files, suffix):
    """The ids of scored rows are counted in any order, and ids of rejected rows are not."""
    monkeypatch.setattr(parquet_file, "BATCH_ROWS", 30)
    monkeypatch.setattr(shard_bounds, "MIN_SHARD_ROWS", 100)
    expected = Counter()
    for name, ids in files.items():
        table = titles_table(len(ids), title_id=[None if number is None else f"T{number}" for number in ids])
        if name == "b":
            table = put_column(table, "unit_price", np.where(np.arange(len(ids)) == 50, -1.0, 60.0))
        write = csv.write_csv if suffix == "csv" else parquet.write_table
        write(table, tmp_path / f"{name}.{suffix}")
        expected.update(number for row, number in enumerate(ids) if number is not None and (name, row) != ("b", 50))
    report = score(simple_version(), tmp_path, tmp_path / "out.parquet", limit=RejectLimit(1))
    assert (199, 1) == (report.rows_scored, report.rows_rejected)
    counted = report.duplicate_ids
    assert count_expected(expected.elements()) == (counted.ids, counted.rows)
    assert {f"T{number}" for number, count in expected.items() if count > 1} >= set(counted.examples)
    assert min(counted.ids, 3) == len(counted.examples)


# Hashes


@given(st.lists(texts | st.text(max_size=20), max_size=30), st.integers(0, 10), st.integers(0, 30))
@quickly
def test_text_types_agree(ids, start, length):
    """The same text has the same hash in any Arrow type."""
    plain = hash_column(pa.array(ids[start : start + length], pa.string()))
    whole = pa.array(ids, pa.string())
    for column in (
        whole,
        whole.cast(pa.large_string()),
        whole.cast(pa.string_view()),
        whole.cast(pa.binary()),
        whole.cast(pa.binary()).cast(pa.binary_view()),
        whole.dictionary_encode(),
        whole.cast(pa.dictionary(pa.int8(), pa.large_string())),
    ):
        np.testing.assert_array_equal(plain, hash_column(column.slice(start, length)), err_msg=str(column.type))


@given(st.lists(wide_integers, max_size=30), st.integers(0, 10))
@quickly
def test_integer_arrays_agree(ids, start):
    """The same integer has the same hash in slices and dictionaries."""
    whole = pa.array(ids, pa.int64())
    plain = hash_column(pa.array(ids[start:], pa.int64()))
    np.testing.assert_array_equal(plain, hash_column(whole.slice(start)))
    np.testing.assert_array_equal(plain, hash_column(whole.dictionary_encode().slice(start)))
    assert len({value for value in ids[start:] if value is not None}) == len(set(plain.tolist()))


@pytest.mark.parametrize("kind", [pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()])
def test_integer_widths_agree(kind):
    """The same integer has the same hash in any width."""
    ids = [0, 7, None, 100]
    np.testing.assert_array_equal(hash_column(pa.array(ids, pa.int64())), hash_column(pa.array(ids, kind)))


@pytest.mark.parametrize(
    "ids",
    [
        pa.array([2**64 - 1, 2**63, 0, 1, 2**53, 2**53 + 1], pa.uint64()),
        pa.array([1.5, 2.0, -1.0, 1e300, 0.1]),
        pa.array([Decimal("1.50"), Decimal("1.51")]),
        pa.array([True, False]),
        pa.array([date(2026, 11, 23), date(2026, 11, 24)]),
        pa.array([time(2), time(3)]),
        pa.array([datetime(2026, 11, 23, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC")),
        pa.array([1, 2], pa.timestamp("ns", "Nowhere/At_All")),
        pa.array([b"\xff\xfe", b"\xff\xff"]),
        pa.array([b"\xff\xfe", b"\xff\xff"], pa.binary(2)),
    ],
    ids=lambda ids: str(ids.type),
)
def test_other_types_are_hashed(ids):
    """Ids of other types have distinct hashes, and are shown as text."""
    hashes = hash_column(ids).tolist()
    assert len(ids) == len(set(hashes))
    assert hashes == hash_column(pa.concat_arrays([ids[:0], ids])).tolist()
    assert len(ids) == len(set(find_ids([ids], hashes)))


def test_unsupported_type_is_refused():
    """An id that can't be written as text is refused with its type."""
    with pytest.raises(ColumnsError, match=r"an identity column has type list<.*>; expected text or numbers"):
        hash_column(pa.array([[1], [2]]))


def test_hidden_values_are_ignored():
    """Values under nulls and unused dictionary entries do not matter. Writers leave anything there."""
    under = pa.Array.from_buffers(
        pa.string(), 2, [pa.py_buffer(b"\x02"), pa.py_buffer(np.array([0, 2, 3], np.int32)), pa.py_buffer(b"abc")]
    )
    wild = pa.DictionaryArray.from_buffers(
        pa.dictionary(pa.int8(), pa.string()),
        2,
        [pa.py_buffer(b"\x02"), pa.py_buffer(np.array([99, 0], np.int8))],
        pa.array(["c", "unused"]),
    )
    for column in (under, wild):
        assert hash_column(pa.array(["c"])).tolist() == hash_column(column).tolist()


@given(st.integers(0, 2**64 - 1))
@example(0)
def test_mix_is_invertible(number):
    """Each step of the hash has an inverse. The test runs the steps backwards."""
    word = int(mix(np.array([number], np.uint64))[0])
    word ^= word >> 31 ^ word >> 62
    word = word * pow(0x94D049BB133111EB, -1, 2**64) % 2**64
    word ^= word >> 27 ^ word >> 54
    word = word * pow(0xBF58476D1CE4E5B9, -1, 2**64) % 2**64
    word ^= word >> 30 ^ word >> 60
    assert number == (word - 0x9E3779B97F4A7C15) % 2**64


def test_mix_equals_splitmix64():
    """The first numbers that Vigna's splitmix64.c gives for the seed 1234567."""
    state = np.array([1234567 + turn * 0x9E3779B97F4A7C15 & 2**64 - 1 for turn in range(3)], np.uint64)
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert expected == mix(state).tolist()


def test_buckets_are_even():
    """Ids such as T0000001 spread evenly over the buckets of top bits."""
    hashes = hash_column(pa.array([f"T{number:07}" for number in range(100_000)]))
    assert 100_000 == len(set(hashes.tolist()))
    counts = np.bincount((hashes >> np.uint64(58)).astype(int), minlength=64)
    assert ((counts - 100_000 / 64) ** 2).sum() / (100_000 / 64) < 150  # chi squared of 63 degrees: p > 1e-8


# Files


def test_hash_file_format(tmp_path):
    """A shard's file has little-endian 64-bit words."""
    write_hashes(tmp_path / "h", np.array([2**63, 1, 256], np.uint64))
    assert b"".join(word.to_bytes(8, "little") for word in (2**63, 1, 256)) == (tmp_path / "h").read_bytes()
    assert ["h"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.parametrize("repeated", [False, True], ids=["distinct ids", "one id on every row"])
def test_memory_is_bounded(tmp_path, monkeypatch, repeated):
    """Memory does not grow with the run."""
    monkeypatch.setattr(duplicates, "_CHUNK_HASHES", 10_000)
    rows = 1_000_000
    hashes = np.full(rows, 7, np.uint64) if repeated else mix(np.arange(rows, dtype=np.uint64) // 2)
    np.random.default_rng(1).shuffle(hashes)
    for number, shard in enumerate(np.split(hashes, 4)):
        write_hashes(tmp_path / str(number), np.sort(shard))
    paths = list(tmp_path.iterdir())

    tracemalloc.start()
    try:
        counted = count_duplicates(paths)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert ((1, rows - 1) if repeated else (rows // 2, rows // 2)) == counted[:2]
    assert peak < 8 * rows / 10, "a tenth of the files at most, though they are all read"


# Examples


def test_examples_are_text(tmp_path):
    """Examples are shown as the text of the id."""
    ids, years = pa.array(["b", "a", None, "b", "a", "c", None]), pa.array([1, 2, 3, 1, 2, 1, 3])
    counted = count_in_shards(hash_ids([ids, years]), tmp_path)

    assert (3, 3, 3) == (*counted[:2], len(counted[2]))
    assert ["b, 1", "a, 2", ", 3"] == find_ids([ids, years], counted[2])
    assert ["a, 2"] == find_ids([ids.slice(4, 2).dictionary_encode(), years.slice(4, 2)], counted[2])
    assert [] == find_ids([ids, years], [])


def test_examples_are_few(tmp_path):
    """There are at most three examples, the smallest hashes."""
    counted = count_in_shards(hash_column(pa.array([*range(100), *range(100)])), tmp_path)
    assert (100, 3) == (counted[0], len(counted[2]))
    assert sorted(counted[2]) == counted[2]


def test_pandas_is_not_imported():
    """Hashing does not import pandas."""
    script = """
import sys
import pyarrow as pa
from gamesales.data.arrow import make_text_column, to_arrow
from gamesales.scoring.duplicates import find_ids, hash_ids
import numpy as np
ids = make_text_column(["a", "b", "a"])
for columns in ([ids], [ids.dictionary_encode(), to_arrow(np.arange(3.0))], [to_arrow(np.arange(3)), ids]):
    assert find_ids(columns, hash_ids(columns).tolist())
sys.exit("pandas" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_uuids_are_ids():
    """UUIDs are compared by their bytes, and shown as people write them."""
    ids = [UUID(int=number) for number in (1, 2, 1)]
    column = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([uuid.bytes for uuid in ids], pa.binary(16)))
    hashes = hash_ids([column])
    assert hashes[0] == hashes[2] != hashes[1]
    assert find_ids([column], [int(hashes[0])]) == ["00000000-0000-0000-0000-000000000001"]
