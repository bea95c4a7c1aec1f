"""Counting the records of a CSV file: the results of a slow state machine and of Arrow."""

import tempfile
from itertools import pairwise
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gamesales.data import csv_scan
from gamesales.data.csv_file import CsvFile
from gamesales.data.csv_scan import locate_records, scan_csv
from gamesales.data.dialect import DEFAULT_DIALECT, CsvDialect
from gamesales.errors import InputError
from support.runs import written_csv

odd_texts = st.text('",\r\n x;\\\t!', max_size=150)
chunk_sizes = st.sampled_from([1, 2, 3, 5, 8, 64, 1 << 20])
dialects = st.builds(CsvDialect, delimiter=st.sampled_from(",;\t"), escape=st.sampled_from([None, "", "\\", "!"]))


def scan(data, chunk_bytes=1 << 20, dialect=DEFAULT_DIALECT):
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(csv_scan, "CHUNK_BYTES", chunk_bytes):
        path = Path(folder) / "titles.csv"
        path.write_bytes(data)
        with path.open("rb") as file:
            return scan_csv(file, dialect)


def count_records(data, chunk_bytes=1 << 20):
    """Return the number of rows, and whether a quote is open at the end."""
    result = scan(data, chunk_bytes)
    return result.rows, result.ends_in_quotes


def scan_slowly(text, dialect=DEFAULT_DIALECT):
    """Go through a CSV file by character.

    Return the number of records, whether a quote is open at the end, and the records with a line break inside.
    """
    records, started, multiline, state, outer_state = 0, False, set(), "field start", ""
    for character in text:
        is_break = character in "\r\n"
        if state == "escaped":
            multiline |= {records} if is_break else set()
            state = outer_state
            continue
        if state == "quote in quotes" and character != '"':
            state = "plain"
        if dialect.escape and character == dialect.escape:
            outer_state, state, started = ("quoted" if state == "quoted" else "plain"), "escaped", True
        elif state == "quoted":
            multiline |= {records} if is_break else set()
            state = "quote in quotes" if character == '"' else "quoted"
        elif state == "quote in quotes":
            state = "quoted"
        elif is_break:
            records += started
            started, state = False, "field start"
        else:
            started = True
            if character == dialect.delimiter:
                state = "field start"
            elif character == '"' and state == "field start":
                state = "quoted"
            else:
                state = "plain"
    in_quotes = state == "quoted" or (state == "escaped" and outer_state == "quoted")
    return records + started, in_quotes, len(multiline)


@given(odd_texts, chunk_sizes, dialects)
@example('"a""', 3, DEFAULT_DIALECT)
@example('x"\n"y', 2, DEFAULT_DIALECT)
@example('"x"",\n"",y"\n', 1, DEFAULT_DIALECT)
@example('a\\\n"\\"\n\\', 1, CsvDialect(escape="\\"))
@settings(deadline=None, max_examples=400)
def test_scan_equals_state_machine(text, chunk_bytes, dialect):
    """A scan in chunks of any size equals a scan of single characters, in every dialect."""
    records, open_quote, multiline = scan_slowly(text, dialect)
    result = scan(text.encode(), chunk_bytes, dialect)
    assert (max(records - 1, 0), open_quote, multiline) == (
        result.rows,
        result.ends_in_quotes,
        result.multiline_records,
    )
    assert len(text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")) == max(result.lines, 1)


@given(odd_texts, chunk_sizes, dialects)
@settings(deadline=None, max_examples=300)
def test_parser_agrees_or_file_is_refused(text, chunk_bytes, dialect):
    """The parser has as many rows as the scan counts, or the file is refused because of its quotes."""
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(csv_scan, "CHUNK_BYTES", chunk_bytes):
        path = Path(folder) / "titles.csv"
        path.write_bytes((f"a{dialect.delimiter}b\n" + text).encode())
        table = CsvFile(path, dialect)
        try:
            rows = sum(batch.row_count for batch in table.read_batches(["a", "b"]))
        except InputError:
            assert not set('"\\!').isdisjoint(text)
        else:
            records, open_quote, _ = scan_slowly(text, dialect)
            assert (rows, False) == (records, open_quote)
            assert table.count_rows() == rows


@given(odd_texts, dialects)
@settings(deadline=None, max_examples=300)
def test_records_are_located(text, dialect):
    """The record at an offset has as many records before it as the scan counts up to there."""
    data = text.encode()
    ends = [index for index in range(len(data)) if scan_slowly(text[:index] + "\n", dialect)[0] > 0]
    for offset in ends:
        if text[offset] not in "\r\n":
            started = scan_slowly(text[: offset + 1], dialect)[0]
            assert locate_records(data, [offset], dialect) == [started - 1]


@given(
    st.lists(st.lists(st.text('",\r\n é', max_size=5), min_size=2, max_size=2), max_size=8), chunk_sizes, st.booleans()
)
@settings(deadline=None, max_examples=100)
def test_written_rows_are_counted(rows, chunk_bytes, crlf):
    """The rows of a CSV writer are counted exactly."""
    data = written_csv([["a", "b"], *rows], quote_all=True, end="\r\n" if crlf else "\n")
    assert (len(rows), False) == count_records(data, chunk_bytes)


@given(odd_texts, chunk_sizes)
@settings(deadline=None, max_examples=300)
def test_boundaries_are_between_records(text, chunk_bytes):
    """The text between two boundaries has the rows that the boundaries promise."""
    data = b"a,b\n" + text.encode()
    boundaries = scan(data, chunk_bytes).boundaries
    assert (boundaries[0].offset, boundaries[0].rows) == (4, 0)
    for before, after in pairwise(boundaries):
        piece = data[before.offset : after.offset]
        assert after.rows - before.rows == scan(b"a,b\n" + piece).rows


@pytest.mark.parametrize(
    ("text", "records"),
    [
        ("", 0),
        ("a,b", 1),
        ("a,b\n", 1),
        ("a,b\r\n1,2\r\n", 2),
        ("a,b\r1,2\r", 2),
        ("\n\na,b\n\n\r\n1,2\n\n", 2),
        (",\n,\n", 2),
        (" \n", 1),
        ('""\n', 1),
        ('"one\ntwo",x\n"three"\n', 2),
        ('5" floppy\n6" floppy\n', 2),
    ],
)
def test_records_of_examples(text, records):
    """Quotes, empty lines and all line breaks are counted as Arrow reads them."""
    assert (max(records - 1, 0), False) == count_records(text.encode())


@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 4, 1 << 20])
def test_byte_order_mark_is_skipped(chunk_bytes):
    """A byte order mark does not hide the quote that follows."""
    assert (1, False) == count_records(b'\xef\xbb\xbf"a\nb",c\n1,2\n', chunk_bytes)


@pytest.mark.parametrize("filler", ["", "x" * 70_000])
@pytest.mark.parametrize("chunk_bytes", [7, 64, 1 << 20])
def test_long_cell_may_hide_rows(filler, chunk_bytes):
    """Numbers far behind the line break of a cell count as a row that it may hide."""
    row = "1,2,3,4,5,6"
    cells = f'a,b\n"x\n{filler if chunk_bytes > 64 else filler[:500]},{row}",2\n', f'a,b\n"x{filler[:500]}",2\n{row}'
    assert [True, False] == [scan(cell.encode(), chunk_bytes).may_hide_rows for cell in cells]


def test_many_quotes_across_chunks():
    """A chunk never ends with a quote, whose meaning depends on the next byte."""
    assert (1, False) == count_records(b'a,b\n"' + b'""' * 50 + b'",2\n', 7)
    assert (1, True) == count_records(b'a,b\n"' + b'""' * 50 + b",2\n", 7)
