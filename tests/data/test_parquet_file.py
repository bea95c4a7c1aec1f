"""Parquet files: joined and damaged files, and INT96 times.

Arrow wraps an INT96 time before 1677 or after 2262 silently, so each column gets a unit that holds it.
"""

from contextlib import suppress
from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from gamesales.data.open_table import open_table
from gamesales.errors import ColumnsError, InputError, TryAgainError
from support.runs import read_csv, score, simple_version
from support.versions import titles_table

SIMPLE = simple_version()
OPEN_END = datetime(9999, 12, 31)  # noqa: DTZ001 has no zone
GREGORIAN = datetime(1582, 10, 15)  # noqa: DTZ001
# With digits below a microsecond.
FINE = np.datetime64("2026-11-23T01:02:03.123456789")
MICROSECONDS = st.integers(-(10**17), 3 * 10**17)  # the years -1199 to 11476
NANOSECONDS = st.integers(-(9 * 10**18), 9 * 10**18)


def write_int96(path, rows=2, **columns):
    """Write titles with columns of INT96 times, as Spark, Hive and Impala do."""
    parquet.write_table(titles_table(rows, **columns), path, use_deprecated_int96_timestamps=True)
    return path


def read_column(path, name):
    table = open_table(path)
    (batch,) = table.read_batches([name])
    assert batch.table.schema.types == [table.schema.field(name).type]
    return batch.table.column(name)


@pytest.mark.parametrize("rows", [(3, 3), (3, 5000), (5000, 3), (5000, 0), (0, 0)])
def test_joined_files_are_refused(tmp_path, rows):
    """Parquet files that were joined by ``cat`` are refused: a reader would find the rows of the last file only."""
    for number, count in enumerate(rows):
        parquet.write_table(titles_table(count), tmp_path / f"{number}.parquet", write_page_index=True)
        open_table(tmp_path / f"{number}.parquet")
    joined = tmp_path / "joined.parquet"
    joined.write_bytes(b"".join((tmp_path / f"{number}.parquet").read_bytes() for number in range(len(rows))))
    with pytest.raises(InputError, match=r"joined\.parquet is several Parquet files in one|is damaged"):
        list(open_table(joined).read_batches(["unit_price"]))


@pytest.mark.parametrize("cell", ["PAR1PAR1", "x" * 40 + "PAR1PAR1"])
def test_magic_bytes_in_cell(tmp_path, cell):
    """A cell with the magic bytes of two files does not make a file look joined."""
    parquet.write_table(titles_table(3, title=pa.array([cell] * 3)), tmp_path / "t.parquet", compression="none")
    assert open_table(tmp_path / "t.parquet").count_rows() == 3


@pytest.mark.parametrize("mask", [0x01, 0x10, 0x20, 0x80])
def test_damaged_footer_ends_cleanly(tmp_path, mask):
    """A damaged footer is an error, or harmless. Arrow would abort the process if asked for a column's metadata."""
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"a": [1, 2], "b": ["x", "y"]}), path, store_schema=False)
    content = path.read_bytes()
    footer = int.from_bytes(content[-8:-4], "little")
    for place in range(len(content) - 8 - footer, len(content) - 8):
        damaged = bytearray(content)
        damaged[place] ^= mask
        path.write_bytes(damaged)
        with suppress(InputError, TryAgainError):
            open_table(path)


@pytest.mark.parametrize("output", ["out.parquet", "out.csv", "out"])
def test_open_end_is_kept(tmp_path, output):
    """The end of time of Spark, 9999-12-31, is in the result."""
    source = write_int96(tmp_path / "t.parquet", valid_to=pa.array([OPEN_END, GREGORIAN]))
    score(SIMPLE, source, tmp_path / output)
    if output == "out.csv":
        dates = [row["valid_to"][:10] for row in read_csv(tmp_path / output)]
        assert dates == ["9999-12-31", "1582-10-15"]
    else:
        column = parquet.read_table(tmp_path / output).column("valid_to")
        assert column.type == pa.timestamp("us")
        assert column.to_pylist() == [OPEN_END, GREGORIAN]


@given(st.lists(st.none() | MICROSECONDS, min_size=1, max_size=20))
@settings(deadline=None, max_examples=30)
def test_microseconds_are_exact(tmp_path_factory, values):
    """A time of any year is exact in microseconds."""
    column = pa.array(values, pa.timestamp("us"))
    path = write_int96(tmp_path_factory.mktemp("int96") / "t.parquet", len(values), at=column)
    assert read_column(path, "at") == column


@given(st.lists(st.none() | NANOSECONDS, min_size=1, max_size=20))
@settings(deadline=None, max_examples=30)
def test_nanoseconds_are_exact(tmp_path_factory, values):
    """A time with digits below a microsecond is exact in nanoseconds."""
    column = pa.array(values, pa.timestamp("ns"))
    path = write_int96(tmp_path_factory.mktemp("int96") / "t.parquet", len(values), at=column)
    fine = any(value is not None and value % 1000 for value in values)
    read = read_column(path, "at")
    assert read.type == pa.timestamp("ns" if fine else "us")
    assert read.cast(pa.timestamp("ns")) == column


def test_units_differ_by_column(tmp_path):
    """Two columns of a file have different units, and both are exact."""
    columns = {"valid_to": pa.array([OPEN_END, None]), "seen": pa.array([FINE, FINE])}
    path = write_int96(tmp_path / "t.parquet", **columns)
    score(SIMPLE, path, tmp_path / "out.parquet")
    read = parquet.read_table(tmp_path / "out.parquet", columns=list(columns))
    assert read.schema.types == [pa.timestamp("us"), pa.timestamp("ns")]
    assert read.column("valid_to").to_pylist() == [OPEN_END, None]
    assert read.column("seen").combine_chunks() == columns["seen"]


def test_nested_times_are_exact(tmp_path):
    """Times inside lists, structs and maps are exact too."""
    columns = {
        "list": pa.array([[OPEN_END], None]),
        "struct": pa.array([{"a": [OPEN_END], "b": 1}, {"a": None, "b": 2}]),
        "map": pa.array([[("end", OPEN_END)], []], pa.map_(pa.string(), pa.timestamp("us"))),
    }
    path = write_int96(tmp_path / "t.parquet", **columns)
    score(SIMPLE, path, tmp_path / "out.parquet")
    read = parquet.read_table(tmp_path / "out.parquet")
    for name, column in columns.items():
        assert read.column(name).combine_chunks().to_pylist() == column.to_pylist()


def test_column_that_no_unit_holds(tmp_path):
    """A column is refused by name if no unit holds all its times. Without the column, the file is scored."""
    ends, fine = pa.array([OPEN_END, OPEN_END]), pa.array([FINE, FINE])
    path = write_int96(tmp_path / "t.parquet", at=pa.StructArray.from_arrays([ends, fine], ["end", "seen"]))
    with pytest.raises(
        ColumnsError, match=r"t\.parquet: at has INT96 times that neither microseconds nor nanosec"
    ) as e:
        score(SIMPLE, path, tmp_path / "out.parquet")
    assert "--keep" in e.value.hint
    assert not (tmp_path / "out.parquet").exists()
    assert score(SIMPLE, path, tmp_path / "out.parquet", keep=()).rows_scored == 2
