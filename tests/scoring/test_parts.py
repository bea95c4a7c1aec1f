"""Parts that common readers read with their defaults, and that keep every type and value of the copied columns."""

import gzip
import json
import tempfile
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from gamesales.errors import ColumnsError
from gamesales.scoring.parts import check_types, open_part
from support.runs import DAY, score, simple_version
from support.strategies import arrow_columns
from support.versions import INTERVAL, titles_table

VERSION = simple_version(interval=INTERVAL)
# The encodings of Parquet 1.0 with dictionaries, which every reader knows.
COMMON_ENCODINGS = {"PLAIN", "RLE", "PLAIN_DICTIONARY", "RLE_DICTIONARY"}
ROWS = 30_000

TYPES = {
    "ids": pa.array([f"T{row:06}" for row in range(ROWS)]),
    "names": pa.array([f"name {row % 7}" for row in range(ROWS)]).dictionary_encode(),
    "counts": pa.array(range(ROWS)),
    "prices": pa.array([Decimal(row) / 8 for row in range(ROWS)], pa.decimal128(20, 10)),
    "times": pa.array(range(ROWS), pa.timestamp("us")),
    "lists": pa.array([[row, None] for row in range(ROWS)]),
    "structs": pa.array([{"a": row, "b": ["x"]} for row in range(ROWS)]),
    "maps": pa.array([[("k", row)] for row in range(ROWS)], pa.map_(pa.string(), pa.int64())),
    "bools": pa.array([row % 3 == 0 for row in range(ROWS)]),
    "floats": pa.array([row / 7 for row in range(ROWS)], pa.float32()),
}


@pytest.mark.parametrize("output", ["out.parquet", "out"])
def test_encodings_are_common(tmp_path, output):
    """A part has the encodings, the pages and the codecs that common readers know."""
    parquet.write_table(titles_table(ROWS, **TYPES), tmp_path / "t.parquet")
    score(VERSION, tmp_path / "t.parquet", tmp_path / output)
    (part,) = [tmp_path / output] if output != "out" else (tmp_path / f"out/run_date={DAY}").glob("*.parquet")
    metadata = parquet.read_metadata(part)
    chunks = [
        metadata.row_group(group).column(index)
        for group in range(metadata.num_row_groups)
        for index in range(metadata.num_columns)
    ]
    assert {encoding for chunk in chunks for encoding in chunk.encodings} <= COMMON_ENCODINGS
    assert {chunk.compression for chunk in chunks} == {"SNAPPY", "ZSTD"}
    assert metadata.format_version == "2.6"  # of the types, such as timestamps in nanoseconds
    assert _page_types(part, chunks) == {"DATA_PAGE", "DICTIONARY_PAGE"}


def _page_types(path, chunks):
    """The kinds of all pages, from their headers. Data pages of version 2 are DATA_PAGE_V2."""
    names = {0: "DATA_PAGE", 1: "INDEX_PAGE", 2: "DICTIONARY_PAGE", 3: "DATA_PAGE_V2"}
    content = path.read_bytes()
    kinds = set()
    for chunk in chunks:
        start = chunk.dictionary_page_offset or chunk.data_page_offset
        for offset in {start, chunk.data_page_offset}:
            # Thrift's compact protocol: field 1, an i32, is the kind of the page as a zigzag number.
            assert content[offset] == 0x15
            kinds.add(names[content[offset + 1] // 2])
    return kinds


@pytest.mark.parametrize(
    "kind", [pa.float64(), pa.float32(), pa.int64(), pa.int32(), pa.uint16(), pa.string(), pa.large_string()], ids=str
)
def test_distinct_values_have_no_dictionary(tmp_path, kind):
    """A column of distinct values is written without a dictionary. A column of few values has a dictionary."""
    rows = 60_000
    schema = pa.schema([("distinct", kind), ("repeated", kind), ("late", kind)])
    values = [range(rows), [row % 9 for row in range(rows)], [max(row - 5_000, 0) for row in range(rows)]]
    columns = [pa.array(column, pa.int64()).cast(kind) for column in values]
    with open_part(tmp_path / "a.parquet.part", schema, {}) as write:
        write(pa.RecordBatch.from_arrays(columns, schema=schema))
    group = parquet.read_metadata(tmp_path / "a.parquet.part").row_group(0)
    distinct, repeated, late = (group.column(index) for index in range(3))
    assert not distinct.has_dictionary_page
    assert repeated.has_dictionary_page
    assert repeated.total_uncompressed_size < rows
    assert late.data_page_offset - late.dictionary_page_offset < 100_000, "it continues without a dictionary early"
    assert parquet.read_table(tmp_path / "a.parquet.part").equals(pa.table(columns, schema=schema))


def test_wide_rows_make_smaller_groups(tmp_path):
    """A row group of wide rows has fewer rows, so that it fits in memory."""
    schema = pa.schema([("text", pa.string())])
    batch = pa.RecordBatch.from_arrays([pa.array(["x" * 4_000] * 10_000)], schema=schema)
    with open_part(tmp_path / "a.parquet.part", schema, {}) as write:
        for _ in range(3):
            write(batch)
    metadata = parquet.read_metadata(tmp_path / "a.parquet.part")
    assert [20_000, 10_000] == [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_any_column_is_exact(data):
    """A column of any Arrow type has equal values and the same type in the result, or is refused by name."""
    column = data.draw(arrow_columns(rows=3))
    output = data.draw(st.sampled_from(["out.parquet", "out"]))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            parquet.write_table(titles_table(3, copied=column), folder / "t.parquet")
        except pa.ArrowException:
            assume(False)  # no Parquet file has such a column
        expected = parquet.read_table(folder / "t.parquet").column("copied")
        try:
            report = score(VERSION, folder / "t.parquet", folder / output)
        except ColumnsError as error:
            refused = error
        else:
            refused = None
        if refused is not None:
            assert "copied" in refused.message
            assert not (folder / output).exists()
            return
        path = folder / output if output != "out" else next((folder / output).rglob("*.parquet"))
        copied = parquet.read_table(path, partitioning=None).column("copied")
        assert (report.rows_scored, copied.type) == (3, expected.type)
        assert copied.equals(expected)


@given(arrow_columns(rows=1))
@settings(deadline=None, max_examples=100)
def test_plan_knows_what_can_be_written(column):
    """A type passes the check of the plan only if a Parquet part can be written with it."""
    schema = pa.schema([("copied", column.type)])
    try:
        check_types(schema, ".parquet")
    except ColumnsError:
        event(f"{column.type} is refused")
        return
    try:
        with tempfile.TemporaryDirectory() as name, open_part(Path(name, "a.parquet"), schema, {}) as write:
            write(pa.RecordBatch.from_arrays([column], schema=schema))
    except pa.ArrowInvalid as error:
        assume("overflow" not in str(error))  # such seconds are in no input: Parquet stores milliseconds
        raise


def test_refused_type_is_named():
    """A type that Parquet lacks is refused with the name of its column."""
    schema = pa.schema([("id", pa.string()), ("every", pa.month_day_nano_interval())])
    with pytest.raises(ColumnsError, match=r"written as Parquet: every \(month_day_nano_interval\)$") as failure:
        check_types(schema, ".parquet")
    assert failure.value.hint == "List the other columns in --keep"


class TestCompressedCsv:
    def test_same_rows_as_plain(self, tmp_path):
        """A .csv.gz result has the text of the .csv result, also of several shards."""
        parquet.write_table(titles_table(50, note=pa.array(["a, b\nc"] * 50)), tmp_path / "t.parquet")
        for output in ("out.csv", "out.csv.gz"):
            score(VERSION, tmp_path / "t.parquet", tmp_path / output)
        assert gzip.decompress((tmp_path / "out.csv.gz").read_bytes()) == (tmp_path / "out.csv").read_bytes()

    def test_bytes_are_reproducible(self, tmp_path):
        """Equal rows give equal bytes at any time and under any name. The files beside it are those of a CSV."""
        parquet.write_table(titles_table(50), tmp_path / "t.parquet")
        for output in ("one.csv.gz", "two.CSV.GZ"):
            score(VERSION, tmp_path / "t.parquet", tmp_path / output)
        first, second = ((tmp_path / output).read_bytes() for output in ("one.csv.gz", "two.CSV.GZ"))
        assert first == second
        assert first[:4] == b"\x1f\x8b\x08\x00"  # gzip, deflate, no name
        assert first[4:8] == b"\0" * 4  # no time
        report = json.loads((tmp_path / "one.csv.gz.run.json").read_bytes())
        assert report["files"] == [{"name": "one.csv.gz", "size": len(first)}]
