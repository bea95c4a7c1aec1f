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
from gamesales.data.csv_scan import scan_csv
from gamesales.errors import InputError
from support.runs import written_csv

odd_texts = st.text('",\r\n x', max_size=40)
chunk_sizes = st.sampled_from([1, 2, 3, 5, 8, 1 << 20])


def scan(data, chunk_bytes=1 << 20):
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(csv_scan, "CHUNK_BYTES", chunk_bytes):
        path = Path(folder) / "titles.csv"
        path.write_bytes(data)
        with path.open("rb") as file:
            return scan_csv(file)


def count_records(data, chunk_bytes=1 << 20):
    """Return the number of rows, and whether a quote is open at the end."""
    result = scan(data, chunk_bytes)
    return result.rows, result.ends_in_quotes


def scan_slowly(text):
    """Go through a CSV file by character. Return the number of records and whether a quote is open at the end."""
    records, started, state = 0, False, "field start"
    for character in text:
        if state == "quoted":
            state = "quote in quotes" if character == '"' else "quoted"
        elif state == "quote in quotes" and character == '"':
            state = "quoted"
        elif character in "\r\n":
            records += started
            started, state = False, "field start"
        else:
            started = True
            if character == ",":
                state = "field start"
            elif character == '"' and state == "field start":
                state = "quoted"
            else:
                state = "plain"
    return records + started, state == "quoted"


@given(odd_texts, chunk_sizes)
@example('"a""', 3)
@example('x"\n"y', 2)
@example('"x"",\n"",y"\n', 1)
@settings(deadline=None, max_examples=500)
def test_scan_equals_state_machine(text, chunk_bytes):
    """A scan in chunks of any size equals a scan of single characters."""
    records, open_quote = scan_slowly(text)
    assert (max(records - 1, 0), open_quote) == count_records(text.encode(), chunk_bytes)


@given(odd_texts, chunk_sizes)
@settings(deadline=None, max_examples=300)
def test_scan_counts_rows_of_arrow(text, chunk_bytes):
    """Arrow reads as many rows, well-formed and malformed, as the scan counts without its parser."""
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(csv_scan, "CHUNK_BYTES", chunk_bytes):
        path = Path(folder) / "titles.csv"
        path.write_bytes(("a,b\n" + text).encode())
        table = CsvFile(path)
        if scan_slowly(text)[1]:
            with pytest.raises(InputError, match="ends inside a quoted field"):
                table.count_rows()
        else:
            batches = list(table.read_batches(["a", "b"]))
            assert table.count_rows() == sum(len(batch.rows) + len(batch.malformed) for batch in batches)


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


def test_many_quotes_across_chunks():
    """A chunk never ends with a quote, whose meaning depends on the next byte."""
    assert (1, False) == count_records(b'a,b\n"' + b'""' * 50 + b'",2\n', 7)
    assert (1, True) == count_records(b'a,b\n"' + b'""' * 50 + b",2\n", 7)
