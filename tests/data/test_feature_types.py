"""Every type of Parquet and Arrow as a feature: scored, rejected or refused, as docs/reference/contract.md says."""

import re
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from gamesales.data.screen import RejectLimit
from gamesales.errors import ColumnsError
from support.runs import earnings, read_rejects, score, simple_version
from support.versions import ROOT, simple_earnings, title_values, titles_table

ROWS = 6
FLAGS = [1, 0, 1, 1, 0, 0]
SCORED = {
    "bool": pa.array(FLAGS).cast(pa.bool_()),
    "int8": pa.array(FLAGS, pa.int8()),
    "int16": pa.array(FLAGS, pa.int16()),
    "int32": pa.array(FLAGS, pa.int32()),
    "int64": pa.array(FLAGS, pa.int64()),
    "uint8": pa.array(FLAGS, pa.uint8()),
    "uint16": pa.array(FLAGS, pa.uint16()),
    "uint32": pa.array(FLAGS, pa.uint32()),
    "uint64": pa.array(FLAGS, pa.uint64()),
    "float16": pa.array(np.array(FLAGS, np.float16)),
    "float32": pa.array(FLAGS, pa.float32()),
    "float64": pa.array(FLAGS, pa.float64()),
    "decimal128": pa.array([Decimal(flag) for flag in FLAGS], pa.decimal128(5, 2)),
    "decimal256": pa.array([Decimal(flag) for flag in FLAGS], pa.decimal256(40, 11)),
    "string": pa.array([str(flag) for flag in FLAGS]),
    "large_string": pa.array([str(flag) for flag in FLAGS], pa.large_string()),
    "string_view": pa.array([str(flag) for flag in FLAGS], pa.string_view()),
    "binary": pa.array([str(flag).encode() for flag in FLAGS]),
    "large_binary": pa.array([str(flag).encode() for flag in FLAGS], pa.large_binary()),
    "binary_view": pa.array([str(flag).encode() for flag in FLAGS], pa.binary_view()),
    "dictionary of string": pa.array([("false", "true")[flag] for flag in FLAGS]).dictionary_encode(),
    "dictionary of float64": pa.array(FLAGS, pa.float64()).dictionary_encode(),
}
REJECTED = {"null": pa.nulls(ROWS)}
REFUSED = {
    "date32": pa.array([20_000] * ROWS, pa.date32()),
    "timestamp": pa.array([1] * ROWS, pa.timestamp("us")),
    "time64": pa.array([1] * ROWS, pa.time64("us")),
    "duration": pa.array([1] * ROWS, pa.duration("s")),
    "fixed_size_binary": pa.array([b"1"] * ROWS, pa.binary(1)),
    "list": pa.array([[1]] * ROWS),
    "struct": pa.array([{"value": 1}] * ROWS),
    "map": pa.array([[("value", 1)]] * ROWS, pa.map_(pa.string(), pa.int64())),
}


@pytest.fixture
def write_titles_with(tmp_path, monkeypatch):
    """Return a function that writes titles whose ``is_sequel`` is a column."""
    monkeypatch.chdir(tmp_path)

    def write(column):
        table = titles_table(ROWS)
        index = table.schema.get_field_index("is_sequel")
        parquet.write_table(table.set_column(index, "is_sequel", column), "t.parquet")
        return tmp_path

    return write


@pytest.mark.parametrize("name", SCORED)
def test_numeric_type_is_scored(write_titles_with, name):
    """A column of a numeric type is scored with its values."""
    folder = write_titles_with(SCORED[name])
    report = score(simple_version(), "t.parquet", "out.parquet")
    values = title_values(ROWS)
    values[:, 5] = FLAGS
    assert (report.rows_scored, report.rows_rejected) == (ROWS, 0)
    assert earnings(folder / "out.parquet") == simple_earnings(values).tolist()


@pytest.mark.parametrize("name", [name for name in SCORED if name != "float16"])
def test_null_rejects_its_row(write_titles_with, name):
    """A null rejects its own row and no other row."""
    column = SCORED[name]
    pieces = [column.slice(0, 2), pa.nulls(1, column.type), column.slice(3)]
    if pa.types.is_dictionary(column.type):
        plain = pa.concat_arrays([piece.dictionary_decode() for piece in (pieces[0], pieces[2])])
        values = plain.to_pylist()
        joined = pa.array([*values[:2], None, *values[2:]], column.type.value_type).dictionary_encode()
    else:
        joined = pa.concat_arrays(pieces)
    folder = write_titles_with(joined)
    assert score(simple_version(), "t.parquet", "out.parquet").rows_scored == ROWS - 1
    (reject,) = read_rejects(folder / "out.parquet.rejects.csv")
    assert (reject["row"], reject["column"], reject["reason"]) == (3, "is_sequel", "is_sequel: missing")


@pytest.mark.parametrize("name", REJECTED)
def test_column_of_nulls_is_missing(write_titles_with, name):
    """A column of the null type has only missing values."""
    write_titles_with(REJECTED[name])
    with pytest.raises(Exception, match="rows were rejected") as failure:
        score(simple_version(), "t.parquet", "out.parquet", limit=RejectLimit(0, 0.5))
    assert "is_sequel: missing" in str(failure.value)


def test_bytes_that_are_not_text(write_titles_with):
    """Bytes that are not UTF-8 are not a number. The reject shows them."""
    folder = write_titles_with(pa.array([b"\xff1", *[b"1"] * (ROWS - 1)]))
    assert score(simple_version(), "t.parquet", "out.parquet").rows_scored == ROWS - 1
    (reject,) = read_rejects(folder / "out.parquet.rejects.csv")
    assert (reject["value"], reject["reason"]) == (r"\xff1", "is_sequel: not a number")


@pytest.mark.parametrize("name", REFUSED)
def test_other_type_is_refused(write_titles_with, name):
    """A type without numbers is refused before a row is read."""
    folder = write_titles_with(REFUSED[name])
    with pytest.raises(ColumnsError, match=r"t\.parquet: is_sequel has type .*, expected numbers"):
        score(simple_version(), "t.parquet", "out.parquet")
    assert not (folder / "out.parquet").exists()


def test_docs_list_every_type():
    """The table in docs/reference/contract.md lists every type."""
    page = (ROOT / "docs/reference/contract.md").read_text(encoding="utf-8")
    table = re.search(r"\| Arrow type .*?\n\n", page, re.DOTALL)[0]
    for name in (*SCORED, *REJECTED, *REFUSED):
        assert f"`{name.removeprefix('dictionary of ')}`" in table or "`dictionary`" in table, name
