"""Opening and reading CSV and Parquet files, and the errors of files that can't be read."""

import csv
import gzip
import io
import tempfile
from contextlib import suppress
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from gamesales.data import csv_scan
from gamesales.data.dialect import CsvDialect, TableFormat
from gamesales.data.open_table import open_table
from gamesales.errors import ColumnsError, GamesalesError, InputError, InputNotFoundError, TryAgainError
from support.runs import GOOD, csv_text, snapshot, written_csv
from support.strategies import cells
from support.versions import FEATURES, title_values, titles_table

HEADER = ",".join(FEATURES).encode()
ROW = ",".join(GOOD).encode()


@pytest.fixture
def opened(tmp_path):
    """Return a function that writes a file and opens it."""

    def write(content, name="titles.csv"):
        path = tmp_path / name
        path.write_bytes(content)
        return open_table(path)

    return write


def read_rows(table, names=None):
    """Return the well-formed rows as tuples by row number, and the malformed rows."""
    names = names or table.schema.names
    good, bad = {}, []
    for batch in table.read_batches(names):
        assert batch.table.schema.names == list(names)
        columns = [column.to_pylist() for column in batch.table.columns]
        good.update(zip(batch.rows.tolist(), zip(*columns, strict=True), strict=True))
        bad += batch.malformed
    return good, bad


def parquet_bytes(table, **options):
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, **options)
    return buffer.getvalue()


class TestOpening:
    def test_suffix_may_be_upper_case(self, opened):
        """An upper-case suffix is the same kind of file."""
        assert opened(HEADER + b"\n" + ROW, "TITLES.CSV").count_rows() == 1
        assert opened(parquet_bytes(titles_table(3)), "t.Parquet").count_rows() == 3

    @pytest.mark.parametrize("name", ["titles.txt", "titles", ".csv", "titles.csv.gz", "titles.parquet"])
    def test_content_decides_the_format(self, opened, name):
        """The name of a file says nothing about its format."""
        assert opened(HEADER + b"\n" + ROW, name).count_rows() == 1
        assert opened(gzip.compress(HEADER + b"\n" + ROW), name).count_rows() == 1
        assert opened(parquet_bytes(titles_table(3)), name).count_rows() == 3

    @pytest.mark.parametrize("name", ["none.csv", "none.parquet"])
    def test_missing_file_is_named(self, tmp_path, name):
        """The message names the missing file."""
        with pytest.raises(InputNotFoundError, match=rf"^no file .*{name}$"):
            open_table(tmp_path / name)

    @pytest.mark.parametrize("name", ["folder.csv", "folder.parquet"])
    def test_folder_is_refused(self, tmp_path, name):
        """A folder with the name of a table is refused."""
        (tmp_path / name).mkdir()
        with pytest.raises(GamesalesError, match=name):
            open_table(tmp_path / name)

    @pytest.mark.parametrize("name", ["loop.csv", "loop.parquet"])
    def test_link_to_itself_is_refused(self, tmp_path, name):
        """A link to itself can not be read."""
        (tmp_path / name).symlink_to(tmp_path / name)
        with pytest.raises(TryAgainError, match=rf"{name} can't be read: "):
            open_table(tmp_path / name)

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            (b"", "is empty; expected a header line"),
            (b"\n", "has no header; expected a first line with column names"),
            (b"\r\n\r\n", "has no header"),
            (b"\n" + HEADER + b"\n" + ROW + b"\n", "has no header"),
            (b",,\n1,2,3\n", "has no header"),
            (b"\xef\xbb\xbf", "has no header"),
            (b"x" * 200_000, "has no header"),
            (b"long," * 300_000, "has no header"),
            ((HEADER + b"\n" + ROW).decode().encode("utf-16"), "looks like UTF-16, expected UTF-8"),
            ((HEADER + b"\n" + ROW).decode().encode("utf-16-le"), "looks like UTF-16, expected UTF-8"),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "has bytes that are not text"),
            (b"pri\0ce\n1\n", "has bytes that are not text"),
            ("prix_en_été,b\n1,2\n".encode("latin-1"), "has bytes that are not text"),
            ("prix_en_été,b\n".encode("latin-1") + b"1,2\n" * 300_000, "has bytes that are not text"),
        ],
    )
    @pytest.mark.parametrize("limit", [1 << 17, 1 << 27])
    def test_other_content_is_not_csv(self, opened, content, expected, limit):
        """Content without a header, or that is not text, is not CSV, also if the process allows long cells."""
        usual = csv.field_size_limit(limit)
        try:
            with pytest.raises(InputError, match=r"titles\.csv .*" + expected):
                opened(content)
        finally:
            csv.field_size_limit(usual)

    @pytest.mark.parametrize("cut", [4, 5, 7, 8, 100, -1, -4, -8, -9])
    def test_truncated_parquet_is_reported(self, opened, cut):
        """A truncated Parquet file is reported as one that may still be written."""
        content = parquet_bytes(titles_table(50))
        with pytest.raises(TryAgainError, match=r"t\.parquet lacks the footer of a Parquet file: it is still written"):
            opened(content[:cut], "t.parquet")

    @pytest.mark.parametrize("content", [b"PAR1" * 10, b"PAR1" + b"\xff" * 50 + b"\x20\0\0\0PAR1"])
    def test_other_content_is_not_parquet(self, opened, content):
        """Content that is not Parquet is reported."""
        with pytest.raises(InputError, match=r"t\.parquet is damaged, or not a Parquet file: "):
            opened(content, "t.parquet")

    def test_footer_bit_flips_are_reported(self, tmp_path):
        """Arrow reports damage in many ways. All of them become an error of ours."""
        content = parquet_bytes(titles_table(3))
        path = tmp_path / "t.parquet"
        for offset in range(len(content) - 1500, len(content), 11):
            path.write_bytes(content[:offset] + bytes([content[offset] ^ 1 << offset % 8]) + content[offset + 1 :])
            with suppress(InputError, TryAgainError):
                read_rows(open_table(path))

    @pytest.mark.parametrize(
        "content", [b"a,b,a,c,b\n1,2,3,4,5\n", parquet_bytes(pa.table([[1]] * 5, names=["a", "b", "a", "c", "b"]))]
    )
    def test_duplicate_columns_are_named(self, opened, content):
        """The message names all duplicate columns."""
        with pytest.raises(ColumnsError, match=r" has duplicate columns: a, b$"):
            opened(content, "t.csv" if content.startswith(b"a") else "t.parquet")


class TestHeader:
    @pytest.mark.parametrize("end", ["", "\n", "\r\n", "\r", "\n\n\r\n"])
    def test_header_alone_has_no_rows(self, opened, end):
        """A header alone is a table without rows."""
        table = opened(HEADER + end.encode())
        assert list(FEATURES) == table.schema.names
        assert table.count_rows() == 0
        assert read_rows(table) == ({}, [])

    @pytest.mark.parametrize("rows", [b"", b"\n", b"\n1,2", b"\r1,2\r", b"\r\n1,2\r\n"])
    def test_quoted_names(self, opened, rows):
        """A quoted name may contain commas, quotes and line breaks."""
        table = opened(b'"the\nname, ""quoted""",b' + rows)
        assert table.schema.names == ['the\nname, "quoted"', "b"]
        assert read_rows(table) == ({1: ("1", "2")} if b"1" in rows else {}, [])

    def test_byte_order_mark_is_skipped(self, opened):
        """A byte order mark is not part of the first name."""
        table = opened(b"\xef\xbb\xbfa,b\n1,2\n")
        assert table.schema.names == ["a", "b"]
        assert read_rows(table) == ({1: ("1", "2")}, [])

    def test_second_byte_order_mark_is_refused(self, opened):
        """A second byte order mark would rename the first column."""
        with pytest.raises(InputError, match="second byte order mark"):
            opened(b"\xef\xbb\xbf\xef\xbb\xbfa,b\n1,2\n")

    def test_binary_row_after_header(self, opened):
        """Bytes that are not UTF-8 right after the header reject only their row."""
        for mark in (b"", b"\xef\xbb\xbf"):
            good, bad = read_rows(opened(mark + b"title,b\n\xc9t\xe9,1\nok,2\n"))
            assert good == {2: ("ok", "2")}
            assert [(row.row, row.column, row.value) for row in bad] == [(1, "title", "\\xc9t\\xe9")]

    def test_names_in_any_script(self, opened):
        """Names may have any script."""
        table = opened("título,価格\nx,1\n".encode())
        assert table.schema.names == ["título", "価格"]
        assert read_rows(table) == ({1: ("x", "1")}, [])

    def test_any_script_with_binary_row(self, opened):
        """Names may have any script in a file with rows that are not UTF-8."""
        good, bad = read_rows(opened("título,価格\nx,1\n".encode() + b"\xff,2\n"))
        assert good == {1: ("x", "1")}
        assert [(row.row, row.column) for row in bad] == [(2, "título")]


LINES = [b"1,2", b"3", b"4,5,6", b"", b'"7\n8",9', b"\xe9,1", b"\xe9"]
sizes = st.sampled_from([64, 200, 1000, 4 << 20])


def set_chunk_bytes(size):
    return mock.patch.object(csv_scan, "CHUNK_BYTES", size)


class TestCsvRows:
    @given(st.lists(st.lists(cells, min_size=2, max_size=2), max_size=25), sizes, st.booleans())
    @settings(deadline=None, max_examples=100)
    def test_text_round_trip(self, rows, size, crlf):
        """Any text in the cells is read as it was written, wherever chunks end. Rows count from 1."""
        with tempfile.TemporaryDirectory() as folder, set_chunk_bytes(max(size, 200)):
            path = Path(folder) / "titles.csv"
            path.write_bytes(written_csv([["a", "b"], *rows], quote_all=True, end="\r\n" if crlf else "\n"))
            table = open_table(path, TableFormat(CsvDialect(escape="")))
            expected = {number: tuple(row) for number, row in enumerate(rows, 1) if any(row)}
            assert read_rows(table) == (expected, [])
            assert table.count_rows() == len(rows)

    @given(st.lists(st.sampled_from(LINES), max_size=40), sizes)
    @settings(deadline=None, max_examples=150)
    def test_malformed_rows_are_numbered(self, lines, size):
        """Empty lines are not rows. Wrong field counts and bytes that are not UTF-8 reject their own row."""
        expected_good, expected_bad = {}, []
        for number, line in enumerate((line for line in lines if line), 1):
            if line in (b"3", b"4,5,6", b"\xe9"):
                expected_bad.append((number, "", f"expected 2 fields, found {line.count(b',') + 1}"))
            elif line == b"\xe9,1":
                expected_bad.append((number, "a", "a: not UTF-8 text"))
            else:
                expected_good[number] = ("7\n8", "9") if b"7" in line else tuple(line.decode().split(","))
        with tempfile.TemporaryDirectory() as folder, set_chunk_bytes(size):
            path = Path(folder) / "titles.csv"
            path.write_bytes(b"a,b\n" + b"\n".join(lines))
            table = open_table(path)
            good, bad = read_rows(table)
            assert expected_good == good
            assert expected_bad == [(row.row, row.column, row.reason) for row in bad]
            assert table.count_rows() == len(good) + len(bad)

    @given(st.lists(st.lists(st.binary(max_size=6), min_size=2, max_size=2), max_size=15), sizes)
    @settings(deadline=None, max_examples=100)
    def test_any_bytes_are_kept_or_rejected(self, rows, size):
        """Rows of UTF-8 are kept exactly. Other rows are rejected with their bytes."""
        rows = [[cell.replace(b"\0", b"") for cell in row] for row in rows]
        with tempfile.TemporaryDirectory() as folder, set_chunk_bytes(size):
            path = Path(folder) / "titles.csv"
            quoted = [b",".join(b'"' + cell.replace(b'"', b'""') + b'"' for cell in row) for row in rows]
            path.write_bytes(b"a,b\n" + b"\n".join(quoted))
            good, bad = read_rows(open_table(path, TableFormat(CsvDialect(escape=""))))
        shown = {row.row: row for row in bad}
        for number, row in enumerate(rows, 1):
            if not any(row):
                continue
            texts = [cell.decode(errors="backslashreplace") for cell in row]
            if [text.encode() for text in texts] == row:
                assert good.pop(number) == tuple(texts)
            else:
                fault = shown.pop(number)
                assert fault.value == texts["ab".index(fault.column)]
        assert (good, shown) == ({}, {})

    def test_record_of_malformed_row(self, opened):
        """The record of a malformed row is its text."""
        (bad,) = read_rows(opened('a,b\n"x ""y""\nz",1,é\n'.encode()))[1]
        assert bad.record == '"x ""y""\nz",1,é'

    def test_record_of_malformed_binary_row(self, opened):
        """The record of a malformed row shows the bytes that are not UTF-8."""
        (bad,) = read_rows(opened(b"a,b\n1,2\n\xc9t\xe9,\xc3\xa9,3\n4,5"))[1]
        assert (bad.row, bad.record) == (2, "\\xc9t\\xe9,é,3")

    def test_record_of_binary_row(self, opened):
        """The record of a row that is not UTF-8 has every cell."""
        (bad,) = read_rows(opened(b'a,b\n"x, ""y""",\xe9\n'))[1]
        assert bad.record == '{"a": "x, \\"y\\"", "b": "\\\\xe9"}'

    def test_only_malformed_rows(self, opened):
        """A file may have malformed rows only."""
        table = opened(b"a,b\n1\n2\n")
        assert [(row.row, row.record) for row in read_rows(table)[1]] == [(1, "1"), (2, "2")]

    def test_open_quote_names_its_row(self, opened):
        """A quote that is never closed is reported with its row."""
        with pytest.raises(
            InputError, match=r"ends inside a quoted field: a quote that opens in row 2 is never closed"
        ):
            opened(b'a,b\n1,2\n3,"4\n5,6\n7,8\n').count_rows()

    def test_column_order(self, opened):
        """Columns come in the requested order."""
        assert read_rows(opened(b"a,b,c\n1,2,3\n"), ["c", "a"]) == ({1: ("3", "1")}, [])

    @pytest.mark.parametrize("header", [b",b,", b' ,b,""'])
    def test_unnamed_columns_are_dropped(self, opened, header):
        """Columns without a name and without values are not in the table."""
        table = opened(header + b"\n,x,\n,,\n\xff,y\n,z,\n")
        assert table.schema.names == ["b"]
        good, bad = read_rows(table)
        assert (good, [row.reason for row in bad]) == ({1: ("x",), 4: ("z",)}, ["expected 3 fields, found 2"])

    def test_unnamed_column_with_values(self, opened):
        """A column without a name that has values is refused, such as the index of a data frame."""
        with pytest.raises(InputError, match=r"titles\.csv: column 1 has no name, but it has a value in row 2$"):
            read_rows(opened(b",b\n,x\n7,y\n"))

    def test_header_longer_than_chunk(self, opened):
        """A header may be longer than a chunk."""
        table = opened(b"a long name,another long name\n1,2\n")
        with set_chunk_bytes(8):
            assert ({1: ("1", "2")}, []) == read_rows(table)

    @pytest.mark.parametrize("size", [64, 100, 1000])
    def test_cell_longer_than_chunk(self, opened, size):
        """A cell may be longer than a chunk."""
        table = opened(b"a,b\n1,2\n" + b"x" * 500 + b",3\n")
        with set_chunk_bytes(size):
            assert len(read_rows(table)[0]) == 2


class TestParquetRows:
    @given(st.integers(0, 30), st.integers(1, 7), st.integers(1, 9))
    @settings(deadline=None, max_examples=50)
    def test_rows_across_row_groups(self, rows, batch_rows, group_rows):
        """Rows are numbered across batches and row groups."""
        with tempfile.TemporaryDirectory() as folder, mock.patch("gamesales.data.parquet_file.BATCH_ROWS", batch_rows):
            path = Path(folder) / "titles.parquet"
            parquet.write_table(pa.table({"x": np.arange(rows)}), path, row_group_size=group_rows)
            table = open_table(path)
            assert table.count_rows() == rows
            assert {number: (number - 1,) for number in range(1, rows + 1)} == read_rows(table)[0]

    def test_column_order(self, opened):
        """Columns come in the requested order."""
        table = opened(parquet_bytes(pa.table({"a": [1], "b.c": [2], "d": [{"e": 3}]})), "t.parquet")
        assert read_rows(table, ["d", "b.c", "a"]) == ({1: ({"e": 3}, 2, 1)}, [])

    @pytest.mark.parametrize("share", [0.01, 0.2, 0.4, 0.6, 0.8, 0.95])
    def test_page_bit_flip_is_reported(self, opened, share):
        """A flipped bit in a page with a checksum is reported."""
        values = np.random.default_rng(1).random(5000)
        content = bytearray(parquet_bytes(pa.table({"x": values}), use_dictionary=False, write_page_checksum=True))
        content[int(values.nbytes * share)] ^= 4
        table = opened(bytes(content), "t.parquet")
        with pytest.raises(InputError, match=r"t\.parquet is damaged after row \d+: "):
            read_rows(table)

    def test_wrong_footer_is_reported(self, opened, monkeypatch):
        """A footer with the wrong number of rows is reported."""
        table = opened(parquet_bytes(titles_table(5)), "t.parquet")
        table.path.write_bytes(parquet_bytes(titles_table(3)))
        with pytest.raises(InputError, match=r"t\.parquet is damaged"):
            read_rows(table)

    def test_excess_rows_in_footer(self, tmp_path):
        """A footer that promises more rows than its row groups hold is reported."""
        content, path = parquet_bytes(titles_table(5)), tmp_path / "t.parquet"
        for offset in (offset for offset, byte in enumerate(content) if byte == 10):  # Thrift writes 5 as 10
            path.write_bytes(content[:offset] + bytes([14]) + content[offset + 1 :])
            with suppress(pa.ArrowException, OSError):
                metadata = parquet.read_metadata(path)
                if (metadata.num_rows, metadata.row_group(0).num_rows) == (7, 5):
                    break
        with pytest.raises(InputError, match=r"t\.parquet is damaged: its footer promises 7 rows, but it has 5$"):
            read_rows(open_table(path))


def test_reading_writes_nothing(tmp_path):
    """Reading writes no files."""
    values = [[str(value) for value in row] for row in title_values(3)]
    (tmp_path / "t.csv").write_text(csv_text(values))
    parquet.write_table(titles_table(3), tmp_path / "t.parquet")
    before = snapshot(tmp_path)
    for name in before:
        assert len(read_rows(open_table(tmp_path / name))[0]) == 3
    assert before == snapshot(tmp_path)
