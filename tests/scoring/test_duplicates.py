"""Doubled titles are counted exactly, however a run is split, and in memory that does not grow with it."""

import subprocess
import sys
import tracemalloc
from collections import Counter
from datetime import UTC, date, datetime, time
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gamesales.errors import ColumnsError
from gamesales.scoring import duplicates as doubled
from gamesales.scoring.duplicates import Doubled, count_doubled, find, hash_ids, write_hashes

# Few different texts, so that they repeat; of lengths around each edge of a word and of what is hashed one by one.
texts = st.none() | st.builds(
    lambda letter, length, end: letter * length + end,
    st.sampled_from(["a", "T", "\0", "é"]),
    st.sampled_from([0, 1, 7, 8, 9, 16, 255, 256, 257, 300]),
    st.sampled_from(["", "1", "2"]),
)
wide_integers = st.none() | st.integers(-3, 3) | st.sampled_from([-(2**63), 2**63 - 1, 2**53, 2**53 + 1])
quickly = settings(deadline=None, max_examples=100)


def count_of(hashes, folder, cuts=()):
    """What is counted of hashes that are cut into shards at these places."""
    shards = np.split(hashes, sorted(cuts))
    for number, shard in enumerate(shards):
        write_hashes(folder / f"{number}.hashes", shard)
    return count_doubled([folder / f"{number}.hashes" for number in range(len(shards))])


def expected_count(ids):
    counter = Counter(ids)
    return sum(count > 1 for count in counter.values()), sum(count - 1 for count in counter.values())


def hash_one(column):
    return hash_ids([column])


# What is counted


@given(
    ids=st.lists(texts | st.text(max_size=3), max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=5),
    at_a_time=st.sampled_from([1, 2, 7, 1 << 20]),
    order=st.randoms(use_true_random=False),
)
@quickly
def test_any_split_into_shards_in_any_order_counts_what_a_counter_does(tmp_path_factory, ids, cuts, at_a_time, order):
    folder = tmp_path_factory.mktemp("shards")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(doubled, "_AT_A_TIME", at_a_time)
        counted = count_of(hash_one(pa.array(ids, pa.string())), folder, cuts)
        order.shuffle(ids)
        again = count_of(hash_one(pa.array(ids, pa.string())), folder)
    assert expected_count(one for one in ids if one) == (counted.ids, counted.rows)
    assert counted == again, "examples included"


def test_of_a_run_without_shards_or_without_ids_nothing_is_doubled(tmp_path):
    assert Doubled(0, 0) == count_doubled([])
    assert Doubled(0, 0) == count_of(hash_one(pa.nulls(5)), tmp_path, [2])


def test_ids_that_are_null_or_empty_or_no_number_are_not_compared():
    """A CSV has no null: an id that is not there is read as an empty text."""
    for column in (
        pa.array([None, "", None, "", "a"]),
        pa.array([None, np.nan, None, np.nan, 1.0]),
        pa.array([None, None, 3]),
        pa.array([None, "", "b", ""]).dictionary_encode(),
    ):
        assert 1 == len(hash_one(column))


@given(st.lists(st.tuples(texts, st.none() | st.integers(0, 2)), max_size=40))
@quickly
def test_several_columns_identify_a_title_together(tmp_path_factory, ids):
    columns = [pa.array([text for text, _ in ids], pa.string()), pa.array([number for _, number in ids], pa.int8())]
    counted = count_of(hash_ids(columns), tmp_path_factory.mktemp("shards"))
    pairs = [(text or None, number) for text, number in ids]
    assert expected_count(pair for pair in pairs if pair != (None, None)) == (counted.ids, counted.rows)


def test_the_order_of_the_columns_matters():
    one, other = pa.array(["a", "b"]), pa.array(["b", "a"])
    assert 2 == len(set(hash_ids([one, other]).tolist()))


# Hashes


@given(st.lists(texts | st.text(max_size=20), max_size=30), st.integers(0, 10), st.integers(0, 30))
@quickly
def test_the_same_text_has_the_same_hash_however_arrow_holds_it(ids, start, length):
    plain = hash_one(pa.array(ids[start : start + length], pa.string()))
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
        np.testing.assert_array_equal(plain, hash_one(column.slice(start, length)), err_msg=str(column.type))


@given(st.lists(wide_integers, max_size=30), st.integers(0, 10))
@quickly
def test_the_same_number_has_the_same_hash_however_arrow_holds_it(ids, start):
    whole = pa.array(ids, pa.int64())
    plain = hash_one(pa.array(ids[start:], pa.int64()))
    np.testing.assert_array_equal(plain, hash_one(whole.slice(start)))
    np.testing.assert_array_equal(plain, hash_one(whole.dictionary_encode().slice(start)))
    assert len({one for one in ids[start:] if one is not None}) == len(set(plain.tolist()))


@pytest.mark.parametrize("kind", [pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()])
def test_integers_of_all_widths_agree(kind):
    ids = [0, 7, None, 100]
    np.testing.assert_array_equal(hash_one(pa.array(ids, pa.int64())), hash_one(pa.array(ids, kind)))


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
def test_other_ids_have_hashes_too_and_words_for_people(ids):
    hashes = hash_one(ids).tolist()
    assert len(ids) == len(set(hashes))
    assert hashes == hash_one(pa.concat_arrays([ids[:0], ids])).tolist()
    assert len(ids) == len(set(find([ids], hashes)))


def test_an_id_that_has_no_text_is_refused_with_its_type():
    with pytest.raises(ColumnsError, match=r"an identity column has type list<.*>; expected text or numbers"):
        hash_one(pa.array([[1], [2]]))


def test_what_lies_under_a_null_or_behind_a_dictionary_does_not_matter():
    """Parquet and other writers leave anything there."""
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
        assert hash_one(pa.array(["c"])).tolist() == hash_one(column).tolist()


@given(st.integers(0, 2**64 - 1))
@example(0)
def test_numbers_are_mixed_one_to_one(number):
    """Each step has an inverse: here are the steps backwards."""
    word = int(doubled._mix(np.array([number], np.uint64))[0])
    word ^= word >> 31 ^ word >> 62
    word = word * pow(0x94D049BB133111EB, -1, 2**64) % 2**64
    word ^= word >> 27 ^ word >> 54
    word = word * pow(0xBF58476D1CE4E5B9, -1, 2**64) % 2**64
    word ^= word >> 30 ^ word >> 60
    assert number == (word - 0x9E3779B97F4A7C15) % 2**64


def test_numbers_are_mixed_as_the_reference_program_does():
    """The first numbers that Vigna's splitmix64.c gives for the seed 1234567."""
    state = np.array([1234567 + turn * 0x9E3779B97F4A7C15 & 2**64 - 1 for turn in range(3)], np.uint64)
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert expected == doubled._mix(state).tolist()


def test_numbered_ids_spread_evenly_over_the_buckets():
    """T0000001, T0000002 and so on are what ids look like; the buckets rely on top bits that look random."""
    hashes = hash_one(pa.array([f"T{number:07}" for number in range(100_000)]))
    assert 100_000 == len(set(hashes.tolist()))
    counts = np.bincount((hashes >> np.uint64(58)).astype(int), minlength=64)
    assert ((counts - 100_000 / 64) ** 2).sum() / (100_000 / 64) < 150  # chi squared of 63 degrees: p > 1e-8


# Files


def test_a_shard_is_written_sorted_as_little_endian_words(tmp_path):
    write_hashes(tmp_path / "h", np.array([2**63, 1, 256], np.uint64))
    assert b"".join(word.to_bytes(8, "little") for word in (1, 256, 2**63)) == (tmp_path / "h").read_bytes()
    assert ["h"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.parametrize("repeated", [False, True], ids=["distinct ids", "one id on every row"])
def test_memory_does_not_grow_with_the_run(tmp_path, monkeypatch, repeated):
    monkeypatch.setattr(doubled, "_AT_A_TIME", 10_000)
    rows = 1_000_000
    hashes = np.full(rows, 7, np.uint64) if repeated else doubled._mix(np.arange(rows, dtype=np.uint64) // 2)
    np.random.default_rng(1).shuffle(hashes)
    for number, shard in enumerate(np.split(hashes, 4)):
        write_hashes(tmp_path / str(number), shard)
    paths = list(tmp_path.iterdir())

    tracemalloc.start()
    try:
        counted = count_doubled(paths)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert ((1, rows - 1) if repeated else (rows // 2, rows // 2)) == (counted.ids, counted.rows)
    assert peak < 8 * rows / 10, "a tenth of the files at most, though they are all read"


# Words


def test_examples_are_found_as_people_write_them(tmp_path):
    ids, years = pa.array(["b", "a", None, "b", "a", "c", None]), pa.array([1, 2, 3, 1, 2, 1, 3])
    counted = count_of(hash_ids([ids, years]), tmp_path)

    assert (3, 3, 3) == (counted.ids, counted.rows, len(counted.examples))
    assert ["b, 1", "a, 2", ", 3"] == find([ids, years], counted.examples)
    assert ["a, 2"] == find([ids.slice(4, 2).dictionary_encode(), years.slice(4, 2)], counted.examples)
    assert [] == find([ids, years], [])


def test_the_examples_are_few(tmp_path):
    counted = count_of(hash_one(pa.array([*range(100), *range(100)])), tmp_path)
    assert (100, 3) == (counted.ids, len(counted.examples))
    assert sorted(counted.examples) == list(counted.examples)


def test_hashing_loads_no_pandas():
    script = """
import sys
import pyarrow as pa
from gamesales.data.arrow import text_column, to_arrow
from gamesales.scoring.duplicates import find, hash_ids
import numpy as np
ids = text_column(["a", "b", "a"])
for columns in ([ids], [ids.dictionary_encode(), to_arrow(np.arange(3.0))], [to_arrow(np.arange(3)), ids]):
    assert find(columns, hash_ids(columns).tolist())
sys.exit("pandas" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
