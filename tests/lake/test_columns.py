"""The columns of a table: types that Delta Lake has, columns that are added, and tables of other programs."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from deltalake import DeltaTable, Schema
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from gamesales.errors import ColumnsError, UsageError
from gamesales.lake.columns import conform, make_table_schema, to_delta_type
from gamesales.lake.location import TableLocation
from support.runs import DAY, score, simple_version, snapshot
from support.tables import read_rows, score_table
from support.versions import titles_table

LOCATION = TableLocation("table")
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
NEXT = DAY + timedelta(1)

# A column as in an input, and what deltalake reads.
VALUES = {
    "text": (pa.array(["a", None]), ["a", None]),
    "dictionary": (pa.array(["a", None]).dictionary_encode(), ["a", None]),
    "large text": (pa.array(["a", None], pa.large_string()), ["a", None]),
    "uint8": (pa.array([255, None], pa.uint8()), [255, None]),
    "uint64": (pa.array([2**64 - 1, None], pa.uint64()), [2**64 - 1, None]),
    "int16": (pa.array([-1, None], pa.int16()), [-1, None]),
    "half": (pa.array([0.5, None], pa.float16()), [0.5, None]),
    "date64": (pa.array([DAY, None], pa.date64()), [DAY, None]),
    "nanoseconds": (pa.array([NOON, None], pa.timestamp("ns", "UTC")), [NOON, None]),
    "zone": (pa.array([NOON, None], pa.timestamp("ms", "Europe/Berlin")), [NOON, None]),
    "no zone": (pa.array([NOON.replace(tzinfo=None), None], pa.timestamp("s")), [NOON.replace(tzinfo=None), None]),
    "bytes": (pa.array([b"ab", None], pa.binary(2)), [b"ab", None]),
    "list": (pa.array([[1, 2], None], pa.list_(pa.uint8())), [[1, 2], None]),
    "struct": (pa.array([{"a": 1}, None], pa.struct([("a", pa.uint16())])), [{"a": 1}, None]),
}


def write_titles(path, rows=2, **extra):
    parquet.write_table(titles_table(rows, title_id=[f"T{row}" for row in range(rows)], **extra), path)
    return path


@pytest.mark.parametrize("name", VALUES)
def test_types_are_exact(tmp_path, name):
    """A column of any type that Delta Lake can hold reads back exactly, and again on the next night."""
    values, expected = VALUES[name]
    source = write_titles(tmp_path / "a.parquet", extra=values)
    for day in (DAY, NEXT):
        score_table(simple_version(), source, tmp_path / "table", day=day)
        rows = sorted(read_rows(tmp_path / "table", day), key=lambda row: row["title_id"])
        assert expected == [row["extra"] for row in rows]
    (part,) = (tmp_path / "table" / f"run_date={DAY}").glob("*.parquet")
    table = pa.schema(DeltaTable(str(tmp_path / "table")).schema().to_arrow())
    with part.open("rb") as file:
        stored = pa.schema(Schema.from_arrow(parquet.read_schema(file)).to_arrow())
    assert table.field("extra").type == stored.field("extra").type


def test_column_names_of_parts_are_equal_to_folder(tmp_path):
    """Where no type changes, a part of a table has the bytes of a part of a folder, for any version."""
    source = write_titles(tmp_path / "a.parquet", extra=pa.array(["a", "b"]).dictionary_encode())
    score(simple_version(), source, tmp_path / "folder")
    score_table(simple_version(), source, tmp_path / "table")
    first, second = (next((tmp_path / name).glob("run_date=*/*.parquet")) for name in ("folder", "table"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([1, 2], pa.time64("us")), r"extra has type time64\[us\], which Delta Lake does not have"),
        (pa.array([1, 2], pa.duration("s")), r"extra has type duration\[s\], which Delta Lake does not have"),
    ],
)
def test_type_without_equivalent_is_refused(tmp_path, column, message):
    """A type that Delta Lake does not have is refused by name."""
    source = write_titles(tmp_path / "a.parquet", extra=column)
    with pytest.raises(ColumnsError, match=message):
        score_table(simple_version(), source, tmp_path / "table")
    assert not (tmp_path / "table").exists()


def test_time_that_needs_nanoseconds_is_refused(tmp_path):
    """A time between two microseconds is refused, not rounded."""
    source = write_titles(tmp_path / "a.parquet", extra=pa.array([1, 2], pa.timestamp("ns", "UTC")))
    with pytest.raises(ColumnsError, match="extra has a value that timestamp"):
        score_table(simple_version(), source, tmp_path / "table")
    assert [] == list((tmp_path / "table").glob("run_date=*"))


@pytest.mark.parametrize("name", ["my column", "a;b", "a=b", "a,b"])
def test_name_that_spark_refuses(tmp_path, name):
    """A column name that Spark refuses in a Delta table is refused."""
    source = write_titles(tmp_path / "a.parquet", **{name: ["x", "y"]})
    with pytest.raises(ColumnsError, match="has a character that the columns of Delta Lake can't have"):
        score_table(simple_version(), source, tmp_path / "table")


def test_name_that_differs_in_case(tmp_path):
    """A column whose name differs only in case from a column of the table is refused."""
    score_table(simple_version(), write_titles(tmp_path / "a.parquet", region=["x", "y"]), tmp_path / "table")
    source = write_titles(tmp_path / "b.parquet", Region=["x", "y"])
    with pytest.raises(ColumnsError, match="Region differs only in case from region of the table"):
        score_table(simple_version(), source, tmp_path / "table", day=NEXT)


def test_added_and_missing_columns(tmp_path):
    """A new column is added to the table. A column that a night lacks is null on that night."""
    score_table(simple_version(), write_titles(tmp_path / "a.parquet", old=[1, 2]), tmp_path / "table")
    score_table(simple_version(), write_titles(tmp_path / "b.parquet", new=[3, 4]), tmp_path / "table", day=NEXT)
    assert [(1, None), (2, None)] == sorted((row["old"], row["new"]) for row in read_rows(tmp_path / "table"))
    assert [(None, 3), (None, 4)] == [(row["old"], row["new"]) for row in read_rows(tmp_path / "table", NEXT)]


def test_column_without_values(tmp_path):
    """A column without any value is left out until it has values, and then has the type of the table."""
    empty = write_titles(tmp_path / "a.parquet", extra=pa.nulls(2))
    score_table(simple_version(), empty, tmp_path / "table")
    assert "extra" not in read_rows(tmp_path / "table")[0]
    score_table(simple_version(), write_titles(tmp_path / "b.parquet", extra=[1, 2]), tmp_path / "table", day=NEXT)
    score_table(simple_version(), empty, tmp_path / "table", fresh=True)
    assert [None, None] == [row["extra"] for row in read_rows(tmp_path / "table")]


def test_narrower_type_is_widened(tmp_path):
    """A column with a narrower type than in the table gets the type of the table; a wider type is refused."""
    wide = write_titles(tmp_path / "a.parquet", extra=pa.array([1, 2], pa.int32()))
    score_table(simple_version(), wide, tmp_path / "table")
    narrow = write_titles(tmp_path / "b.parquet", extra=pa.array([1, 2], pa.int16()))
    score_table(simple_version(), narrow, tmp_path / "table", day=NEXT)
    assert [1, 2] == sorted(row["extra"] for row in read_rows(tmp_path / "table", NEXT))
    wider = write_titles(tmp_path / "c.parquet", extra=pa.array([1, 2], pa.int64()))
    files = snapshot(tmp_path / "table")
    with pytest.raises(ColumnsError, match="extra: expected type int32, as in the table, found int64"):
        score_table(simple_version(), wider, tmp_path / "table", day=NEXT)
    assert files == snapshot(tmp_path / "table")


def test_all_faults_in_one_message():
    """One message lists all columns with faults."""
    table = make_table_schema(pa.schema([("a", pa.string()), ("b", pa.int64())]))
    with pytest.raises(ColumnsError) as refused:
        conform(pa.schema([("a", pa.int64()), ("b", pa.string()), ("c d", pa.int8())]), table, LOCATION)
    assert all(text in str(refused.value) for text in ("a: expected", "b: expected", "'c d' has"))


TYPES = st.sampled_from([values.type for values, _ in VALUES.values()])


@given(st.lists(TYPES, max_size=5))
def test_conform_is_idempotent(types):
    """Conforming twice, or to the table that the columns made, changes nothing more."""
    schema = pa.schema([(f"column{number}", kind) for number, kind in enumerate(types)])
    once = conform(schema, None, LOCATION)
    assert once == conform(once, None, LOCATION)
    assert [to_delta_type(kind) for kind in types] == once.types
    table = pa.schema(Schema.from_arrow(make_table_schema(once)).to_arrow())
    again = conform(schema, table, LOCATION)
    assert make_table_schema(once) == make_table_schema(again)


FOREIGN = {
    "expected a table partitioned by run_date, found without partitions": {"partition_by": None},
    "expected a table partitioned by run_date, found partitioned by title_id": {"partition_by": ["title_id"]},
    "expected a table with the columns predicted_earnings": {"schema": [("run_date", pa.date32())]},
    "the table has the property delta.appendOnly": {"configuration": {"delta.appendOnly": "true"}},
    "the table has the feature deletionVectors": {"configuration": {"delta.enableDeletionVectors": "true"}},
}


@pytest.mark.parametrize("message", FOREIGN)
def test_foreign_table_is_refused(tmp_path, message):
    """A table of another program, or with features that would need more than a run writes, is refused unchanged."""
    changes = FOREIGN[message]
    fields = changes.pop("schema", [*make_table_schema(pa.schema([("title_id", pa.string())]))])
    options = {"partition_by": ["run_date"], **changes}
    DeltaTable.create(str(tmp_path / "table"), pa.schema(fields), **options)
    files = snapshot(tmp_path / "table")
    with pytest.raises(UsageError, match=message):
        score_table(simple_version(), write_titles(tmp_path / "a.parquet"), tmp_path / "table")
    assert files == snapshot(tmp_path / "table")


def test_table_of_another_tool_is_accepted(tmp_path):
    """A table with the right columns may be made by any program."""
    schema = make_table_schema(pa.schema([("title_id", pa.string())]))
    DeltaTable.create(str(tmp_path / "table"), schema, partition_by=["run_date"], name="mine")
    score_table(simple_version(), write_titles(tmp_path / "a.parquet"), tmp_path / "table")
    assert 2 == len(read_rows(tmp_path / "table"))
