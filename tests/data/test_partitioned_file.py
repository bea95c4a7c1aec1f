"""The columns of Hive partition folders, alone and together with the same column in the file."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from pyarrow import parquet

from gamesales.data.open_table import open_table
from gamesales.data.partitioned_file import add_partition_columns
from gamesales.errors import ColumnsError, InputError


def open_partition(path, *folders, **columns):
    """Write Parquet and open it as a file below these folders."""
    parquet.write_table(pa.table(columns), path)
    return add_partition_columns(open_table(path), folders)


def read(table, *names, **rows):
    return pa.Table.from_batches([batch.table for batch in table.read_batches(names, **rows)]).to_pydict()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.parquet"


def test_columns_of_path(path):
    """The columns of the path follow the columns of the file; other folders add none."""
    folders = ("year=2026", "plain", "=x", "c%20d=%C3%A9", "n=__HIVE_DEFAULT_PARTITION__", "empty=")
    table = open_partition(path, *folders, x=[1, 2])
    assert ["x", "year", "c d", "n", "empty"] == table.schema.names
    assert {"n": [None] * 2, "x": [1, 2], "c d": ["é"] * 2, "empty": [""] * 2} == read(table, "n", "x", "c d", "empty")


def test_escapes_that_are_no_text(path):
    """Escapes that are not UTF-8 stay as they are, so two folders never get the same value."""
    for name in ("%FF", "%FE", "%", "%ZZ"):
        assert {"k": [name]} == read(open_partition(path, f"k={name}", x=[1]), "k")


def test_column_in_two_folders(path):
    """A column in two folders is refused."""
    with pytest.raises(ColumnsError, match="has duplicate columns in its path: a, b"):
        open_partition(path, "a=1", "b=1", "a=2", x=[1])


@pytest.mark.parametrize(
    ("folder", "values"),
    [
        ("k=eu", pa.array(["eu", "eu"])),
        ("k=eu", pa.array(["eu", "eu"]).dictionary_encode()),
        ("k=eu", pa.array(["eu", "eu"], pa.large_string())),
        ("k=2026", pa.array([2026, 2026])),
        ("k=07", pa.array([7, 7], pa.int8())),
        ("k=1.50", pa.array([Decimal("1.5")] * 2, pa.decimal128(9, 2))),
        ("k=true", pa.array([True, True])),
        ("k=2026-11-23", pa.array([date(2026, 11, 23)] * 2)),
        ("k=2026-11-23%2000%3A00%3A00", pa.array([datetime(2026, 11, 23, tzinfo=UTC)] * 2, pa.timestamp("us"))),
        (
            "k=2026-11-23%2000%3A00%3A00.000000Z",
            pa.array([datetime(2026, 11, 23, tzinfo=UTC)] * 2, pa.timestamp("us", "UTC")),
        ),
        ("k=__HIVE_DEFAULT_PARTITION__", pa.array([None, None], pa.string())),
        ("k=__HIVE_DEFAULT_PARTITION__", pa.array([None, None], pa.int64())),
    ],
)
def test_file_agrees_with_path(path, folder, values):
    """A column that agrees with the path keeps its type and its place in the file."""
    table = open_partition(path, folder, k=values, x=[1, 2])
    assert pa.schema([("k", values.type), ("x", pa.int64())]) == table.schema
    assert {"x": [1, 2], "k": values.to_pylist()} == read(table, "x", "k")


@pytest.mark.parametrize(
    ("folder", "values", "message"),
    [
        ("k=eu", ["eu", "us"], "row 2: k is 'us' in the file, but 'eu' in its path"),
        ("k=eu", ["eu", None], "row 2: k is None in the file, but 'eu' in its path"),
        ("k=2026", [2025, 2026], "row 1: k is 2025 in the file, but '2026' in its path"),
        ("k=1.5", [1, 1], "row 1: k is '1' in the file, but '1.5' in its path"),
        ("k=__HIVE_DEFAULT_PARTITION__", [None, "x"], "row 2: k is 'x' in the file, but '__HIVE_DEFAULT_PARTITION__'"),
        ("k=x", pa.array([["x"], ["x"]]), "row 1: k is None in the file"),
    ],
)
def test_file_differs_from_path(path, folder, values, message):
    """A row that differs from the path is refused with both values."""
    table = open_partition(path, folder, k=values, x=[1, 2])
    with pytest.raises(InputError, match=f"^{path}, {message}"):
        read(table, "x", "k")


def test_unread_column_is_not_compared(path):
    """A column that is not read can't make a result wrong."""
    table = open_partition(path, "k=eu", k=["us", "us"], x=[1, 2])
    assert {"x": [1, 2]} == read(table, "x")


def test_row_number_of_difference(path):
    """The row is numbered from the beginning of the file."""
    parquet.write_table(pa.table({"k": ["a"] * 9 + ["b"]}), path, row_group_size=4)
    table = add_partition_columns(open_table(path), ["k=a"])
    assert {"k": ["a"] * 4} == read(table, "k", start=4, stop=8)
    with pytest.raises(InputError, match=r"row 10: k is 'b'"):
        read(table, "k", start=8)


def test_text_file_agrees(tmp_path):
    """Cells of a CSV are compared as text, and as numbers where they are parsed."""
    path = tmp_path / "a.csv"
    path.write_text("k,is_sports\nx,1.0\nx,1\n", encoding="utf-8")
    table = add_partition_columns(open_table(path), ["k=x", "is_sports=1"])
    assert {"is_sports": [1.0, 1.0]} == read(table, "is_sports", numbers=["is_sports"])
    with pytest.raises(InputError, match=r"row 1: is_sports is '1\.0' in the file, but '1' in its path"):
        read(table, "k", "is_sports")
    (batch,) = table.read_batches(["k", "is_sports"], numbers=["is_sports"])
    assert {"k": ["x", "x"], "is_sports": ["1.0", "1"]} == batch.original_text().to_pydict()
