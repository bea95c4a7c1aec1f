"""Counting a CSV's records without parsing it: the same as a slow state machine, and the same as Arrow."""

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

nasty = st.text('",\r\n x', max_size=40)
chunks = st.sampled_from([1, 2, 3, 5, 8, 1 << 20])


def scan(data, chunk_bytes=1 << 20):
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(csv_scan, "CHUNK_BYTES", chunk_bytes):
        path = Path(folder) / "titles.csv"
        path.write_bytes(data)
        with path.open("rb") as file:
            return scan_csv(file)


def found(data, chunk_bytes=1 << 20):
    """Rows, and whether a quote is open at the end."""
    scanned = scan(data, chunk_bytes)
    return scanned.rows, scanned.ends_in_quotes


def slow_scan(text):
    """Go through a CSV character by character: how many records, and is a quote open at the end?"""
    records, begun, state = 0, False, "field start"
    for one in text:
        if state == "quoted":
            state = "quote in quotes" if one == '"' else "quoted"
        elif state == "quote in quotes" and one == '"':
            state = "quoted"
        elif one in "\r\n":
            records += begun
            begun, state = False, "field start"
        else:
            begun = True
            if one == ",":
                state = "field start"
            elif one == '"' and state == "field start":
                state = "quoted"
            else:
                state = "plain"
    return records + begun, state == "quoted"


@given(nasty, chunks)
@example('"a""', 3)
@example('x"\n"y', 2)
@example('"x"",\n"",y"\n', 1)
@settings(deadline=None, max_examples=500)
def test_the_scan_is_a_state_machine_whatever_the_chunks(text, chunk_bytes):
    records, open_quote = slow_scan(text)
    assert (max(records - 1, 0), open_quote) == found(text.encode(), chunk_bytes)


@given(nasty, chunks)
@settings(deadline=None, max_examples=300)
def test_arrow_reads_as_many_rows_as_the_scan_counts(text, chunk_bytes):
    """Good and malformed ones together; the parser and the count share no code."""
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(csv_scan, "CHUNK_BYTES", chunk_bytes):
        path = Path(folder) / "titles.csv"
        path.write_bytes(("a,b\n" + text).encode())
        table = CsvFile(path)
        if slow_scan(text)[1]:
            with pytest.raises(InputError, match="ends inside a quoted field"):
                table.count_rows()
        else:
            read = list(table.batches(["a", "b"]))
            assert table.count_rows() == sum(len(batch.rows) + len(batch.malformed) for batch in read)


@given(st.lists(st.lists(st.text('",\r\n é', max_size=5), min_size=2, max_size=2), max_size=8), chunks, st.booleans())
@settings(deadline=None, max_examples=100)
def test_what_a_writer_wrote_is_counted(rows, chunk_bytes, crlf):
    data = written_csv([["a", "b"], *rows], quote_all=True, end="\r\n" if crlf else "\n")
    assert (len(rows), False) == found(data, chunk_bytes)


@given(nasty, chunks)
@settings(deadline=None, max_examples=300)
def test_marks_cut_a_file_between_records(text, chunk_bytes):
    """What lies between two marks, scanned by itself behind a header, has just the rows that the marks promise."""
    data = b"a,b\n" + text.encode()
    marks = scan(data, chunk_bytes).marks
    assert (marks[0].offset, marks[0].rows) == (4, 0)
    for before, after in pairwise(marks):
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
def test_records(text, records):
    assert (max(records - 1, 0), False) == found(text.encode())


@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 4, 1 << 20])
def test_a_byte_order_mark_does_not_hide_the_first_quote(chunk_bytes):
    assert (1, False) == found(b'\xef\xbb\xbf"a\nb",c\n1,2\n', chunk_bytes)


def test_a_long_run_of_quotes_across_chunks():
    """A chunk never ends with a quote: whether it closes depends on what follows."""
    assert (1, False) == found(b'a,b\n"' + b'""' * 50 + b'",2\n', 7)
    assert (1, True) == found(b'a,b\n"' + b'""' * 50 + b",2\n", 7)
