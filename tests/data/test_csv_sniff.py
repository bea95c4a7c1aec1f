"""Detecting the dialect of a CSV file: delimiter, decimal mark, escape and encoding."""

import gzip

import pyarrow as pa
import pytest
from pyarrow import parquet

from gamesales.data.csv_sniff import sniff_dialect
from gamesales.data.dialect import DEFAULT_DIALECT, CsvDialect
from gamesales.errors import InputError


def sniff(tmp_path, data, encoding="utf-8"):
    path = tmp_path / "titles.csv"
    path.write_bytes(data if isinstance(data, bytes) else data.encode(encoding))
    return sniff_dialect(path)


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        ("a,b\n1.5,2\n", CsvDialect()),
        ("a;b\n1,5;2\n3,25;4\n", CsvDialect(";", ",")),
        ("a;b\n1.5;2\n", CsvDialect(";")),
        ("a\tb\n1,2\tx\n", CsvDialect("\t", ",")),
        ("a|b|c\nx, y, z|1|2\n", CsvDialect("|")),
        ('a,b\n"1,234",2\n"5,678",3\n', CsvDialect()),
        ('a,b\n"1;2;3",2\n"4;5;6",3\n', CsvDialect()),
        ('a,b\n"say \\"yes\\", twice",2\n', CsvDialect(escape="\\")),
        ("a,b\n\\N,2\n", CsvDialect(escape="")),
        ('a,b\n"C:\\games\\",2\n', CsvDialect(escape="")),
        ("a\n1\n2\n", CsvDialect()),
    ],
)
def test_dialect(tmp_path, text, dialect):
    """Most records have the fields of the header, and numbers decide on the decimal mark."""
    assert dialect == sniff(tmp_path, text)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_encoding(tmp_path, encoding):
    """A name with an accent is read as it was written."""
    dialect = sniff(tmp_path, "title,price\nPokémon,5\nÜbersee,6\n", encoding)
    assert encoding.removesuffix("-sig") == dialect.encoding


def test_damaged_byte(tmp_path):
    """A single damaged byte does not change the encoding of a file with valid accents."""
    assert "utf-8" == sniff(tmp_path, "a,b\nPokémon,5\né,6\n".encode() + b"\xff,7\n").encoding


def test_other_formats(tmp_path):
    """Compressed text is sniffed, and Parquet has no dialect."""
    path = tmp_path / "titles.csv.gz"
    path.write_bytes(gzip.compress(b"a;b\n1;2\n"))
    assert ";" == sniff_dialect(path).delimiter
    parquet.write_table(pa.table({"a": [1]}), tmp_path / "titles.parquet")
    assert sniff_dialect(tmp_path / "titles.parquet") is None


def test_default(tmp_path):
    """A plain file has the dialect of a job without [csv]."""
    assert DEFAULT_DIALECT == sniff(tmp_path, "a,b\nx,y\n")


def test_empty(tmp_path):
    """An empty file has no dialect."""
    with pytest.raises(InputError, match="is empty; expected a header line"):
        sniff(tmp_path, b"")
