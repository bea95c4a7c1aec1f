"""A table in memory: its columns as distinct texts, and its rows as they were written."""

import gzip
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from gamesales.data.csv_scan import find_records
from gamesales.data.dialect import CsvDialect
from gamesales.data.source_table import read_source
from gamesales.errors import ColumnsError, InputError, InputNotFoundError


def write(tmp_path, text, name="titles.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ('title,price\n"A, ""b""",1\n"two\nlines",2\nc,3\n', "utf-8"),
        ("title;price\r\nÜ;1,5\r\n\r\n ;2,5\r\nc;3,5", "cp1252"),
        ("title\tprice\nPokémon\t1\nb\t2\nc\t3\n", "utf-16"),
    ],
)
def test_rows_as_written(tmp_path, text, encoding):
    """The rows of a part have the bytes of the source, with its delimiter, quotes, line ends and encoding."""
    source = read_source(write(tmp_path, text, encoding=encoding))
    source.write_rows(tmp_path / "part.csv", np.array([True, False, True]))
    records = find_records(text.encode())
    end = "\r\n" if "\r\n" in text else "\n"
    kept = [text.encode()[start:stop].decode() for start, stop in (records[0], records[1], records[3])]
    assert "".join(record + end for record in kept).encode(encoding) == (tmp_path / "part.csv").read_bytes()


def test_rows_of_odd_files(tmp_path):
    """Blank and malformed rows are no rows of a part. A compressed source gives a plain part."""
    path = tmp_path / "titles.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n1,2\n,\n3\n4,5\n6,\x00\n7,8\n"))
    source = read_source(path)
    assert ([1, 4, 6], 1, [3, 5]) == (source.rows.tolist(), source.blank, [row.row for row in source.malformed])
    source.write_rows(tmp_path / "part.csv", np.array([False, True, True]))
    assert "a,b\n4,5\n7,8\n" == (tmp_path / "part.csv").read_text(encoding="utf-8")


def test_parquet_part(tmp_path):
    """A part of a Parquet file keeps the types of its columns, nested columns too."""
    table = pa.table({"a": pa.array([1, 2, 3], pa.int16()), "tags": [["x"], None, []], "d": pa.array(["u", "v", "u"])})
    parquet.write_table(table.cast(table.schema), tmp_path / "titles.parquet", row_group_size=2)
    source = read_source(tmp_path / "titles.parquet")
    source.write_rows(tmp_path / "part.parquet", np.array([True, False, True]))
    assert table.take([0, 2]) == parquet.read_table(tmp_path / "part.parquet")


def test_columns(tmp_path):
    """Texts are compared without the blanks around them, and names too."""
    source = read_source(write(tmp_path, " genre ,x\nRPG,1\n RPG,2\nrpg,3\n,4\n"))
    (genre, _) = source.columns
    assert ("genre", ["RPG", "rpg", ""], [0, 0, 1, 2]) == (genre.name, genre.texts, genre.codes.tolist())
    assert {"genre": " genre "} == source.renames


@given(text=st.text('a",\n\r', max_size=60))
def test_records(text):
    """The records of a text have no line break at their edges, and their number is that of the scan."""
    data = text.encode()
    records = find_records(data, CsvDialect(escape=""))
    assert all(data[start] not in b"\r\n" and start < stop for start, stop in records)
    assert all(before[1] <= after[0] for before, after in pairwise(records))


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "is empty"), ("a,b\n", "has no rows"), ("a,b\n1\n2\n", "2 rows can't be read"), ("\n\n", "empty")],
)
def test_nothing_to_read(tmp_path, text, words):
    """A table without rows is refused in plain words."""
    with pytest.raises(InputError, match=words):
        read_source(write(tmp_path, text))


def test_names_alike(tmp_path):
    """Names that differ only by blanks are refused: a contract has names without blanks around them."""
    with pytest.raises(ColumnsError, match="differ only by blanks: 'genre', ' genre'"):
        read_source(write(tmp_path, "genre, genre,y\n1,2,3\n"))


def test_no_file(tmp_path):
    """A missing file and a folder are refused."""
    with pytest.raises(InputNotFoundError, match=r"no file .*none\.csv"):
        read_source(tmp_path / "none.csv")
    with pytest.raises(InputError, match="not a plain file"):
        read_source(tmp_path)
