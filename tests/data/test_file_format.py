"""Recognizing files by their content, and reading compressed text whole or not at all."""

import bz2
import gzip
import io
import sqlite3
import zipfile

import pyarrow as pa
import pytest
from pyarrow import feather, orc, parquet

from gamesales.data.file_format import detect_format
from gamesales.data.open_table import open_table
from gamesales.errors import InputError
from support.sampling import sample

TEXT = b"a,b\n" + b"".join(b"%d,%d\n" % (number, number * number) for number in range(3000))
HALF = TEXT.index(b"\n", len(TEXT) // 2) + 1


def compress_zstd(data):
    return pa.Codec("zstd").compress(data, asbytes=True)


COMPRESSORS = {"csv.gz": gzip.compress, "csv.bz2": bz2.compress, "csv.zst": compress_zstd}


def make_zip():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("xl/workbook.xml", "<x/>")
    return buffer.getvalue()


def make_arrow_file(write):
    buffer = io.BytesIO()
    write(pa.table({"a": [1]}), buffer)
    return buffer.getvalue()


def make_sqlite():
    with sqlite3.connect(":memory:") as connection:
        connection.execute("create table t (a)")
        return connection.serialize()


UNREADABLE = {
    "an Excel workbook or a ZIP archive": make_zip(),
    "an old Excel workbook": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500),
    "an Avro file": b"Obj\x01\x04\x14avro.codec",
    "an ORC file": make_arrow_file(orc.write_table),
    "an Arrow or Feather file": make_arrow_file(feather.write_feather),
    "an SQLite database": make_sqlite(),
    "a file compressed by xz": b"\xfd7zXZ\x00\x00\x04",
    "a file compressed by LZ4": pa.Codec("lz4").compress(b"a,b\n", asbytes=True),
    "JSON": b'[{"critic_rating": 4.5}]',
    "HTML or XML": b"\n<!DOCTYPE html><html>",
    "a PDF document": b"%PDF-1.7\n",
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "titles.csv"


def read_text(path):
    """Read all cells of a file as text."""
    table = open_table(path)
    return b"a,b\n" + b"".join(
        f"{a},{b}\n".encode()
        for batch in table.read_batches(["a", "b"])
        for a, b in zip(*(column.to_pylist() for column in batch.table.columns), strict=True)
    )


@pytest.mark.parametrize("name", UNREADABLE)
def test_unreadable_format_is_named(path, name):
    """A file in another format is named by what it looks like, and the hint says what to do."""
    path.write_bytes(UNREADABLE[name])
    assert detect_format(path) is None
    with pytest.raises(InputError, match=rf"titles\.csv looks like {name}.*, expected CSV or Parquet$") as failure:
        open_table(path)
    assert failure.value.hint


@pytest.mark.parametrize("text", [b'{"a"\n', b'{\n  "a": 1}', b"\xef\xbb\xbf{}", b"[]", b'[\n{"a": 1}'])
def test_json_is_no_header(path, text):
    """JSON is recognized with any spacing."""
    path.write_bytes(text)
    assert detect_format(path) is None


@pytest.mark.parametrize(
    "text", [b"", b"a", b"[a],[b]\n", b"a\x01b\n", b'"a"\n', b"\xff\xfea\0", "é,ü\n".encode("latin-1")]
)
def test_text_may_be_csv(path, text):
    """Text in any encoding may be CSV, also with the delimiters of Hive and names in brackets."""
    path.write_bytes(text)
    assert detect_format(path) == "csv"


@pytest.mark.parametrize("name", COMPRESSORS)
class TestCompressed:
    def test_streams_are_read_whole(self, path, name):
        """Text may be compressed in several streams, one after the other, as parallel programs write it."""
        compress = COMPRESSORS[name]
        path.write_bytes(compress(TEXT[:HALF]) + compress(TEXT[HALF:]))
        assert (detect_format(path), read_text(path)) == (name, TEXT)

    def test_truncated_stream_is_refused(self, path, name):
        """A file that ends before its stream ends is refused, wherever it is cut."""
        data = COMPRESSORS[name](TEXT[:HALF]) + COMPRESSORS[name](TEXT[HALF:])
        whole = len(COMPRESSORS[name](TEXT[:HALF]))
        for cut in sample(f"ends of {name}", range(8, len(data)), 40):
            path.write_bytes(data[:cut])
            if cut == whole:
                assert read_text(path) == TEXT[:HALF]
            else:
                with pytest.raises(
                    InputError, match=r"titles\.csv (is damaged or incomplete compressed data|is empty)"
                ):
                    read_text(path)

    @pytest.mark.parametrize("rest", [b"x", b"a,b\n1,2\n" * 9, b"PAR1"])
    def test_other_bytes_after_stream_are_refused(self, path, name, rest):
        """Bytes after the last stream are refused, because rows may be missing there."""
        path.write_bytes(COMPRESSORS[name](TEXT) + rest)
        with pytest.raises(InputError, match="is damaged or incomplete compressed data"):
            read_text(path)

    def test_other_format_inside_is_named(self, path, name):
        """Compressed content that is not text is named."""
        path.write_bytes(COMPRESSORS[name](UNREADABLE["an Avro file"]))
        with pytest.raises(InputError, match=r"titles\.csv, decompressed, looks like an Avro file"):
            open_table(path)
        buffer = io.BytesIO()
        parquet.write_table(pa.table({"a": [1]}), buffer)
        path.write_bytes(COMPRESSORS[name](buffer.getvalue()))
        with pytest.raises(InputError, match=r"titles\.csv, decompressed, looks like Parquet"):
            open_table(path)

    def test_empty_text_is_refused(self, path, name):
        """A stream of nothing has no header."""
        path.write_bytes(COMPRESSORS[name](b""))
        with pytest.raises(InputError, match="is empty; expected a header line"):
            open_table(path)


def test_damaged_gzip_is_refused(path):
    """Each flipped bit in the content of a gzip file is noticed by its checksum."""
    data = gzip.compress(TEXT, mtime=0)
    for offset in sample("bytes of gzip", range(10, len(data)), 40):
        path.write_bytes(data[:offset] + bytes([data[offset] ^ 4]) + data[offset + 1 :])
        with pytest.raises(InputError, match="is damaged or incomplete compressed data"):
            read_text(path)


def test_zeros_after_gzip_are_padding(path):
    """Tapes and some archives pad gzip with zeros."""
    path.write_bytes(gzip.compress(TEXT) + bytes(512))
    assert read_text(path) == TEXT
