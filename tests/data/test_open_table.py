"""Opening and reading tables of titles, CSV and Parquet; what can't be read is told in words."""

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

from gamesales.data import csv_scan, parquet_file
from gamesales.data.open_table import open_table
from gamesales.errors import ColumnsError, GamesalesError, InputError, InputNotFoundError, TryAgainError
from support.runs import GOOD, csv_text, snapshot, written_csv
from support.strategies import cells
from support.versions import FEATURES, title_values, titles_table

HEADER = ",".join(FEATURES).encode()
ROW = ",".join(GOOD).encode()


@pytest.fixture
def opened(tmp_path):
    """Write a file and open it."""

    def write(content, name="titles.csv"):
        path = tmp_path / name
        path.write_bytes(content)
        return open_table(path)

    return write


def read(table, names=None):
    """All well-formed rows as tuples by row number, and all malformed ones."""
    names = names or table.schema.names
    good, bad = {}, []
    for batch in table.batches(names):
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
    def test_an_upper_case_suffix_is_the_same_kind(self, opened):
        assert opened(HEADER + b"\n" + ROW, "TITLES.CSV").count_rows() == 1
        assert opened(parquet_bytes(titles_table(3)), "t.Parquet").count_rows() == 3

    @pytest.mark.parametrize("name", ["titles.txt", "titles", ".csv"])
    def test_another_suffix_is_refused(self, opened, name):
        with pytest.raises(InputError, match=rf"{name} is neither \.csv, \.csv\.gz nor \.parquet$"):
            opened(HEADER, name)

    @pytest.mark.parametrize("name", ["none.csv", "none.parquet"])
    def test_a_missing_file_is_named(self, tmp_path, name):
        with pytest.raises(InputNotFoundError, match=rf"^no file .*{name}$"):
            open_table(tmp_path / name)

    @pytest.mark.parametrize("name", ["folder.csv", "folder.parquet"])
    def test_a_folder_with_the_name_of_a_table(self, tmp_path, name):
        (tmp_path / name).mkdir()
        with pytest.raises(GamesalesError, match=name):
            open_table(tmp_path / name)

    @pytest.mark.parametrize("name", ["loop.csv", "loop.parquet"])
    def test_a_link_to_itself_can_not_be_read(self, tmp_path, name):
        (tmp_path / name).symlink_to(tmp_path / name)
        with pytest.raises(TryAgainError, match=rf"{name} can't be read: "):
            open_table(tmp_path / name)

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "is empty; expected a header line"),
            (b"\n", "has no header; expected a first line with column names"),
            (b"\r\n\r\n", "has no header"),
            (b"\n" + HEADER + b"\n" + ROW + b"\n", "has no header"),
            (b",,\n1,2,3\n", "has no header"),
            (b"\xef\xbb\xbf", "has no header"),
            (b"x" * 200_000, "has no header"),
            (b"long," * 300_000, "has no header"),
            ((HEADER + b"\n" + ROW).decode().encode("utf-16"), "holds other bytes than text"),
            ((HEADER + b"\n" + ROW).decode().encode("utf-16-le"), "holds other bytes than text"),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "holds other bytes than text"),
            (parquet_bytes(titles_table(20)), "holds other bytes than text"),
            (b"pri\0ce\n1\n", "holds other bytes than text"),
            (HEADER + b"\n" + ROW + b"\n4.5,\0\n", "holds other bytes than text"),
            ("prix_en_été,b\n1,2\n".encode("latin-1"), "holds other bytes than text"),
            ("prix_en_été,b\n".encode("latin-1") + b"1,2\n" * 300_000, "holds other bytes than text"),
        ],
    )
    def test_what_is_no_csv_is_told(self, opened, content, said):
        with pytest.raises(InputError, match=r"titles\.csv .*" + said):
            opened(content)

    @pytest.mark.parametrize("cut", [0, 3, 4, 100, -1, -4, -8, -9])
    def test_a_truncated_parquet_file_is_told(self, opened, cut):
        content = parquet_bytes(titles_table(50))
        with pytest.raises(InputError, match=r"t\.parquet is not a Parquet file, or damaged: "):
            opened(content[:cut], "t.parquet")

    @pytest.mark.parametrize("content", [b"PAR1" * 10, HEADER, b"PAR1" + b"\xff" * 50 + b"\x20\0\0\0PAR1"])
    def test_what_is_no_parquet_is_told(self, opened, content):
        with pytest.raises(InputError, match=r"t\.parquet is not a Parquet file, or damaged: "):
            opened(content, "t.parquet")

    def test_every_flip_of_a_bit_in_the_footer_is_told_or_harmless(self, tmp_path):
        """Arrow tells damage in many ways; no other than the input's error comes out of here."""
        content = parquet_bytes(titles_table(3))
        path = tmp_path / "t.parquet"
        for place in range(len(content) - 1500, len(content), 11):
            path.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
            with suppress(InputError):
                read(open_table(path))

    @pytest.mark.parametrize(
        "content", [b"a,b,a,c,b\n1,2,3,4,5\n", parquet_bytes(pa.table([[1]] * 5, names=["a", "b", "a", "c", "b"]))]
    )
    def test_doubled_columns_are_all_named(self, opened, content):
        with pytest.raises(ColumnsError, match=r" has columns twice: a, b$"):
            opened(content, "t.csv" if content.startswith(b"a") else "t.parquet")


class TestHeader:
    @pytest.mark.parametrize("end", ["", "\n", "\r\n", "\r", "\n\n\r\n"])
    def test_a_header_alone_is_a_table_without_rows(self, opened, end):
        table = opened(HEADER + end.encode())
        assert list(FEATURES) == table.schema.names
        assert table.count_rows() == 0
        assert read(table) == ({}, [])

    @pytest.mark.parametrize("rows", [b"", b"\n", b"\n1,2", b"\r1,2\r", b"\r\n1,2\r\n"])
    def test_a_name_may_hold_what_separates_names(self, opened, rows):
        table = opened(b'"the\nname, ""quoted""",b' + rows)
        assert table.schema.names == ['the\nname, "quoted"', "b"]
        assert read(table) == ({1: ("1", "2")} if b"1" in rows else {}, [])

    def test_a_byte_order_mark_is_no_part_of_a_name(self, opened):
        table = opened(b"\xef\xbb\xbfa,b\n1,2\n")
        assert table.schema.names == ["a", "b"]
        assert read(table) == ({1: ("1", "2")}, [])

    def test_a_row_that_is_no_text_does_not_hide_the_rows_after_the_header(self, opened):
        """The very first byte after the header, behind a byte order mark or not."""
        for mark in (b"", b"\xef\xbb\xbf"):
            good, bad = read(opened(mark + b"title,b\n\xc9t\xe9,1\nok,2\n"))
            assert good == {2: ("ok", "2")}
            assert [(one.row, one.column, one.value) for one in bad] == [(1, "title", "\\xc9t\\xe9")]

    def test_names_in_any_script(self, opened):
        table = opened("título,価格\nx,1\n".encode())
        assert table.schema.names == ["título", "価格"]
        assert read(table) == ({1: ("x", "1")}, [])

    def test_names_in_any_script_beside_bytes_that_are_no_text(self, opened):
        good, bad = read(opened("título,価格\nx,1\n".encode() + b"\xff,2\n"))
        assert good == {1: ("x", "1")}
        assert [(one.row, one.column) for one in bad] == [(2, "título")]


LINES = [b"1,2", b"3", b"4,5,6", b"", b'"7\n8",9', b"\xe9,1", b"\xe9"]
sizes = st.sampled_from([64, 200, 1000, 4 << 20])


def chunk_bytes(size):
    return mock.patch.object(csv_scan, "CHUNK_BYTES", size)


class TestCsvRows:
    @given(st.lists(st.lists(cells, min_size=2, max_size=2), max_size=25), sizes, st.booleans())
    @settings(deadline=None, max_examples=100)
    def test_text_comes_back_as_it_was_written(self, rows, size, crlf):
        """Whatever is in the cells, wherever blocks end; rows count from 1."""
        with tempfile.TemporaryDirectory() as folder, chunk_bytes(max(size, 200)):
            path = Path(folder) / "titles.csv"
            path.write_bytes(written_csv([["a", "b"], *rows], quote_all=True, end="\r\n" if crlf else "\n"))
            table = open_table(path)
            assert read(table) == ({number: tuple(row) for number, row in enumerate(rows, 1)}, [])
            assert table.count_rows() == len(rows)

    @given(st.lists(st.sampled_from(LINES), max_size=40), sizes)
    @settings(deadline=None, max_examples=150)
    def test_malformed_rows_are_numbered_among_the_others(self, lines, size):
        """Empty lines are no rows. Wrong field counts and bytes that are no text spoil their own row."""
        expected_good, expected_bad = {}, []
        for number, line in enumerate((line for line in lines if line), 1):
            if line in (b"3", b"4,5,6", b"\xe9"):
                expected_bad.append((number, "", f"expected 2 fields, found {line.count(b',') + 1}"))
            elif line == b"\xe9,1":
                expected_bad.append((number, "a", "a: not UTF-8 text"))
            else:
                expected_good[number] = ("7\n8", "9") if b"7" in line else tuple(line.decode().split(","))
        with tempfile.TemporaryDirectory() as folder, chunk_bytes(size):
            path = Path(folder) / "titles.csv"
            path.write_bytes(b"a,b\n" + b"\n".join(lines))
            table = open_table(path)
            good, bad = read(table)
            assert expected_good == good
            assert expected_bad == [(one.row, one.column, one.reason) for one in bad]
            assert table.count_rows() == len(good) + len(bad)

    @given(st.lists(st.lists(st.binary(max_size=6), min_size=2, max_size=2), max_size=15), sizes)
    @settings(deadline=None, max_examples=100)
    def test_rows_of_any_bytes_are_kept_or_told(self, rows, size):
        """Latin-1, half a character, anything but NUL: text passes exactly, the rest is shown with its bytes."""
        rows = [[cell.replace(b"\0", b"") for cell in row] for row in rows]
        with tempfile.TemporaryDirectory() as folder, chunk_bytes(size):
            path = Path(folder) / "titles.csv"
            quoted = [b",".join(b'"' + cell.replace(b'"', b'""') + b'"' for cell in row) for row in rows]
            path.write_bytes(b"a,b\n" + b"\n".join(quoted))
            good, bad = read(open_table(path))
        shown = {one.row: one for one in bad}
        for number, row in enumerate(rows, 1):
            texts = [cell.decode(errors="backslashreplace") for cell in row]
            if [text.encode() for text in texts] == row:
                assert good.pop(number) == tuple(texts)
            else:
                fault = shown.pop(number)
                assert fault.value == texts["ab".index(fault.column)]
        assert (good, shown) == ({}, {})

    def test_a_malformed_row_is_kept_as_it_stands(self, opened):
        (bad,) = read(opened('a,b\n"x ""y""\nz",1,é\n'.encode()))[1]
        assert bad.record == '"x ""y""\nz",1,é'

    def test_a_malformed_row_that_is_no_text_shows_its_bytes(self, opened):
        (bad,) = read(opened(b"a,b\n1,2\n\xc9t\xe9,\xc3\xa9,3\n4,5"))[1]
        assert (bad.row, bad.record) == (2, "\\xc9t\\xe9,é,3")

    def test_every_cell_of_a_row_that_is_no_text_is_kept(self, opened):
        (bad,) = read(opened(b'a,b\n"x, ""y""",\xe9\n'))[1]
        assert bad.record == '{"a": "x, \\"y\\"", "b": "\\\\xe9"}'

    def test_a_file_of_malformed_rows_alone(self, opened):
        table = opened(b"a,b\n1\n2\n")
        assert [(one.row, one.record) for one in read(table)[1]] == [(1, "1"), (2, "2")]

    def test_an_open_quote_at_the_end_is_named_with_its_row(self, opened):
        with pytest.raises(
            InputError, match=r"ends inside a quoted field: a quote that opens in row 2 is never closed"
        ):
            opened(b'a,b\n1,2\n3,"4\n5,6\n7,8\n').count_rows()

    def test_columns_come_in_the_order_asked_for(self, opened):
        assert read(opened(b"a,b,c\n1,2,3\n"), ["c", "a"]) == ({1: ("3", "1")}, [])

    def test_an_unnamed_column_is_a_column(self, opened):
        """As pandas writes its index."""
        assert read(opened(b",b\n0,x\n")) == ({1: ("0", "x")}, [])

    def test_a_header_longer_than_a_chunk_is_read(self, opened):
        table = opened(b"a long name,another long name\n1,2\n")
        with chunk_bytes(8):
            assert ({1: ("1", "2")}, []) == read(table)

    @pytest.mark.parametrize("size", [64, 100, 1000])
    def test_a_cell_longer_than_a_chunk_is_read(self, opened, size):
        table = opened(b"a,b\n1,2\n" + b"x" * 500 + b",3\n")
        with chunk_bytes(size):
            assert len(read(table)[0]) == 2


class TestParquetRows:
    @given(st.integers(0, 30), st.integers(1, 7), st.integers(1, 9))
    @settings(deadline=None, max_examples=50)
    def test_rows_are_numbered_across_batches_and_row_groups(self, rows, batch_rows, group_rows):
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(parquet_file, "BATCH_ROWS", batch_rows):
            path = Path(folder) / "titles.parquet"
            parquet.write_table(pa.table({"x": np.arange(rows)}), path, row_group_size=group_rows)
            table = open_table(path)
            assert table.count_rows() == rows
            assert {number: (number - 1,) for number in range(1, rows + 1)} == read(table)[0]

    def test_columns_come_in_the_order_asked_for(self, opened):
        table = opened(parquet_bytes(pa.table({"a": [1], "b.c": [2], "d": [{"e": 3}]})), "t.parquet")
        assert read(table, ["d", "b.c", "a"]) == ({1: ({"e": 3}, 2, 1)}, [])

    @pytest.mark.parametrize("share", [0.01, 0.2, 0.4, 0.6, 0.8, 0.95])
    def test_a_flipped_bit_in_a_page_with_a_checksum_is_told(self, opened, share):
        values = np.random.default_rng(1).random(5000)
        content = bytearray(parquet_bytes(pa.table({"x": values}), use_dictionary=False, write_page_checksum=True))
        content[int(values.nbytes * share)] ^= 4
        table = opened(bytes(content), "t.parquet")
        with pytest.raises(InputError, match=r"t\.parquet is damaged after row \d+: "):
            read(table)

    def test_a_footer_that_promises_other_rows_is_told(self, opened, monkeypatch):
        table = opened(parquet_bytes(titles_table(5)), "t.parquet")
        table.path.write_bytes(parquet_bytes(titles_table(3)))
        with pytest.raises(InputError, match=r"t\.parquet is damaged"):
            read(table)


def test_reading_leaves_nothing_behind(tmp_path):
    values = [[str(value) for value in row] for row in title_values(3)]
    (tmp_path / "t.csv").write_text(csv_text(values))
    parquet.write_table(titles_table(3), tmp_path / "t.parquet")
    before = snapshot(tmp_path)
    for name in before:
        assert len(read(open_table(tmp_path / name))[0]) == 3
    assert before == snapshot(tmp_path)
