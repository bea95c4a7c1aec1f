"""Parquet files are joined without a change of any value, and their footers are read and written exactly."""

import io
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from gamesales.errors import GamesalesError
from gamesales.scoring.parquet_join import ParquetJoiner, read_footer
from gamesales.scoring.parts import open_part
from gamesales.scoring.thrift import decode, encode
from support.strategies import arrow_columns


def join(folder, tables, **options):
    """Write tables as Parquet files, and join them."""
    with (folder / "joined.parquet").open("wb") as file:
        joiner = ParquetJoiner(file)
        for number, table in enumerate(tables):
            parquet.write_table(table, folder / f"{number}.parquet", **options)
            joiner.add(folder / f"{number}.parquet")
        joiner.finish()
    return folder / "joined.parquet"


def list_statistics(group):
    """The statistics of the first column, a number."""
    statistics = group.column(0).statistics
    return statistics and (statistics.min, statistics.max, statistics.null_count)


def list_columns(table):
    """The values of a table as text, which has the bits of NaN and times beyond Python's."""
    return list(map(str, table.combine_chunks().columns))


@given(
    column=arrow_columns(rows=7),
    cuts=st.lists(st.integers(0, 7), max_size=3),
    group_rows=st.integers(1, 4),
    codec=st.sampled_from(["zstd", "snappy", "none"]),
    has_index=st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_join_is_exact(tmp_path_factory, column, cuts, group_rows, codec, has_index):
    """The joined file has the rows, the row groups, the statistics and the metadata of its parts."""
    table = pa.table({"number": range(7), "copied": column}).replace_schema_metadata({"gamesales.model": "m"})
    bounds = [0, *sorted(cuts), 7]
    tables = [table.slice(start, stop - start) for start, stop in pairwise(bounds)]
    folder = tmp_path_factory.mktemp("parts")
    try:
        path = join(folder, tables, row_group_size=group_rows, compression=codec, write_page_index=has_index)
    except pa.ArrowException:
        return  # no Parquet file has such a column
    with parquet.ParquetFile(path, page_checksum_verification=True) as joined:
        read = [parquet.read_table(folder / f"{number}.parquet") for number in range(len(tables))]
        # Arrow gives nested types in a part without rows other names.
        expected = pa.concat_tables([part for part in read if len(part)])
        assert expected.schema.equals(joined.schema_arrow, check_metadata=True)
        assert list_columns(expected) == list_columns(joined.read())
        groups = [joined.metadata.row_group(number) for number in range(joined.metadata.num_row_groups)]
        parts = [parquet.read_metadata(folder / f"{number}.parquet") for number in range(len(tables))]
        expected_groups = [part.row_group(number) for part in parts for number in range(part.num_row_groups)]
        assert [group.num_rows for group in expected_groups] == [group.num_rows for group in groups]
        for group, part in zip(groups, expected_groups, strict=True):
            assert list_statistics(part) == list_statistics(group)


def test_many_groups_and_columns(tmp_path):
    """More than fifteen row groups and columns have sizes of two bytes in the footer."""
    table = pa.table({f"column {number}": np.arange(200) + number for number in range(40)})
    path = join(tmp_path, [table] * 5, row_group_size=10)
    assert pa.concat_tables([table] * 5).equals(parquet.read_table(path))
    assert [row for _ in range(5) for row in range(7, 11)] == [
        row.as_py()
        for group in range(0, 100, 20)
        for row in parquet.ParquetFile(path).read_row_group(group).column("column 7").slice(0, 4)
    ]


def test_parts_without_rows(tmp_path):
    """Parts without rows can be joined."""
    table = pa.table({"number": pa.array([], pa.int64())})
    with (tmp_path / "joined.parquet").open("wb") as file:
        joiner = ParquetJoiner(file)
        for number in range(2):
            with open_part(tmp_path / f"{number}.parquet.part", table.schema, {}):
                pass
            joiner.add(tmp_path / f"{number}.parquet.part")
        joiner.finish()
    assert table.equals(parquet.read_table(tmp_path / "joined.parquet"))


def test_other_columns_are_refused(tmp_path):
    """Parts with different columns are not joined."""
    with pytest.raises(GamesalesError, match=r"1\.parquet has other columns than the parts before"):
        join(tmp_path, [pa.table({"a": [1]}), pa.table({"b": [1]})])


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"\x05\x00\x00\x00PAR1", b"\x15\x02\x1d\x00\x04\x00\x00\x00PAR1"])
def test_damaged_footer_is_refused(damage):
    """A file without a footer, or with a footer that is not understood, is not joined."""
    with pytest.raises(GamesalesError, match="the footer of a part can't be read"):
        read_footer(io.BytesIO(b"PAR1....." + damage))


# Every type of the protocol: true, false, byte, integers, double, binary, list, set and structure.
values = st.recursive(
    st.sampled_from([(1, None), (2, None)])
    | st.tuples(st.just(3), st.integers(0, 255))
    | st.tuples(st.sampled_from([4, 5, 6]), st.integers(-(2**63), 2**63 - 1))
    | st.tuples(st.just(7), st.binary(min_size=8, max_size=8))
    | st.tuples(st.just(8), st.binary(max_size=200)),
    lambda children: (
        st.tuples(st.just(12), st.dictionaries(st.integers(1, 40), children, max_size=4))
        | st.tuples(st.sampled_from([9, 10]), st.tuples(st.just(6), st.lists(st.integers(-9, 9), max_size=20)))
        | st.tuples(st.sampled_from([9, 10]), st.tuples(st.just(1), st.lists(st.sampled_from([1, 2]), max_size=20)))
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.integers(1, 40), values, max_size=6))
def test_thrift_round_trip(struct):
    """A structure is read as it was written."""
    assert dict(sorted(struct.items())) == decode(encode(struct))


def test_thrift_faults():
    """Unknown types and data that end early are refused."""
    with pytest.raises(ValueError, match="expected a type of Parquet's metadata, found 11"):
        decode(b"\x1b\x00\x00")
    with pytest.raises(ValueError, match="the structure does not end within 1 bytes"):
        decode(b"\x15")
