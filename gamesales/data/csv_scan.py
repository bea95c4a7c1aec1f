"""Counting the records of a CSV file without parsing it, so that the row count does not depend on the parser.

A record ends at a line break outside quotes. Empty lines are not records. A quoted field starts with a quote as its
first character, and ends at the next quote that is not escaped by a second quote. Other quotes have no meaning. If the
dialect has an escape character, the character after it is part of its field. Arrow's reader has the same rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gamesales.arrays import BoolArray, IntArray
from gamesales.data.dialect import DEFAULT_DIALECT, CsvDialect
from gamesales.data.file_format import BOM_UTF8
from gamesales.data.text_stream import TextStream

# A chunk has about as many rows as a Parquet batch.
CHUNK_BYTES = 2 << 20
# This many consecutive numbers are a row of a table. A title has nine features, and at least five of them are on one
# side of the text that hides the row.
_ROW_NUMBERS = 5
_LONGEST_ROW = 1 << 16
_QUOTE, _LF, _CR, _BACKSLASH = b'"\n\r\\'

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class RecordBoundary:
    """A position between two records: the bytes before it, byte order mark included, and the rows before it."""

    offset: int
    rows: int


@dataclass(frozen=True)
class CsvScan:
    """The result of a scan.

    Attributes:
        boundaries: the first boundary is after the header and the last is the end of the file. Between them there is a
            boundary about every ``CHUNK_BYTES``.
        lines: the lines of the file. The header counts, and so do empty lines and the lines of a field.
        ends_in_quotes: whether the file ends inside a quoted field.
        multiline_records: the records, header included, with a line break in a field.
        has_odd_quotes: whether a quote is in a place where CSV writers put none, or follows a backslash.
        may_hide_rows: whether a cell with a line break may have the numbers of a row.
    """

    boundaries: Sequence[RecordBoundary]
    lines: int
    ends_in_quotes: bool
    multiline_records: int
    has_odd_quotes: bool
    may_hide_rows: bool

    @property
    def rows(self) -> int:
        return self.boundaries[-1].rows


def scan_csv(file: TextStream, dialect: CsvDialect = DEFAULT_DIALECT) -> CsvScan:
    """Scan an open CSV file once. Memory grows by one boundary for every ``CHUNK_BYTES``."""
    scanner = _Scanner(dialect)
    for chunk in _read_chunks(file, scanner, b'"' + dialect.escape_byte):
        scanner.scan_chunk(chunk)
    return scanner.finish()


def locate_records(data: bytes, offsets: Sequence[int], dialect: CsvDialect = DEFAULT_DIALECT) -> list[int]:
    """Return the indices of the records, from 0, at offsets in a text that begins with a record."""
    ends = _Scanner(dialect).find_record_ends(data)
    indices: list[int] = np.searchsorted(ends, np.array(offsets, np.int64)).tolist()
    return indices


def count_line_breaks(data: bytes, stop: int | None = None) -> int:
    """Count the line breaks before an offset. CR and LF together are one."""
    return data.count(b"\n", 0, stop) + data.count(b"\r", 0, stop) - data.count(b"\r\n", 0, stop)


def mask_escapes(data: bytes, dialect: CsvDialect) -> bytes:
    """Replace each escape character and the character after it by two letters, which have no meaning in CSV."""
    escape = dialect.escape_byte
    if not escape or escape not in data:
        return data
    return re.sub(re.escape(escape) + b".", b"xx", data, flags=re.DOTALL)


def make_numbers_pattern(dialect: CsvDialect) -> re.Pattern[bytes]:
    """Make a pattern for several numbers in a row, each after a delimiter. Rows have them, and text has not."""
    delimiter = re.escape(dialect.delimiter.encode())
    return re.compile(
        rb"(?:%b[-+]?[0-9][0-9.%b]*+){%d}" % (delimiter, b"" if dialect.delimiter == "," else b",", _ROW_NUMBERS)
    )


def _read_chunks(file: TextStream, scanner: _Scanner, undecided: bytes) -> Iterator[bytes]:
    """Read a file in chunks.

    Only the last chunk may end with a byte of ``undecided``: quotes and escapes, whose meaning depends on the next
    byte.
    """
    chunk = file.read(max(CHUNK_BYTES, len(BOM_UTF8)))
    if chunk.startswith(BOM_UTF8):
        scanner.skip(len(BOM_UTF8))
        chunk = chunk[len(BOM_UTF8) :]
    while more := file.read(CHUNK_BYTES):
        decided = len(chunk.rstrip(undecided))
        yield chunk[:decided]
        chunk = chunk[decided:] + more
    yield chunk


class _Scanner:
    """Counts records chunk by chunk."""

    def __init__(self, dialect: CsvDialect) -> None:
        self._dialect = dialect
        self._offset = 0
        self._records = 0
        self._lines = 0
        self._boundaries: list[RecordBoundary] = []
        self._in_quotes = False
        self._previous = self._last_byte = _LF  # the byte before the chunk; a file starts like a line
        self._multiline_records = 0
        self._is_multiline = False  # whether the record at the end of the chunk is one of them
        self._has_odd_quotes = False
        self._may_hide_rows = False
        self._open_cell = b""  # the last bytes of the cell in which a chunk ends
        self._numbers = make_numbers_pattern(dialect)

    def skip(self, count: int) -> None:
        self._offset += count

    def scan_chunk(self, chunk: bytes) -> None:
        if not chunk:
            return
        text = mask_escapes(chunk, self._dialect)
        data = np.frombuffer(text, np.uint8)
        if self._records and not self._in_quotes and text is chunk and b'"' not in chunk and b"\r" not in chunk:
            self._count_lines(chunk, data)
        else:
            self._count_records(chunk, text, data)
        self._previous, self._last_byte = int(data[-1]), chunk[-1]
        self._offset += len(chunk)

    def _count_lines(self, chunk: bytes, data: Bytes) -> None:
        """Count the lines that are not empty. Without quotes they are the records, and counting them is much faster."""
        ends = data == _LF
        empty = np.count_nonzero(ends[1:] & ends[:-1]) + bool(ends[0] and self._previous in (_LF, _CR))
        lines = int(np.count_nonzero(ends))
        self._lines += lines - bool(ends[0] and self._last_byte == _CR)
        records = int(lines - empty)
        if records:
            last = chunk.rfind(b"\n")
            if empty:
                last = len(chunk[:last].rstrip(b"\n"))  # the first of consecutive line breaks
            self._records += records
            self._boundaries.append(RecordBoundary(self._offset + last + 1, self._records - 1))
            self._is_multiline = False

    def _count_records(self, chunk: bytes, text: bytes, data: Bytes) -> None:
        """Count records and lines. ``text`` is the chunk with its escapes masked, and ``data`` is its bytes."""
        ends, inner_breaks = self._split_breaks(text, data)
        self._look_for_rows(text, inner_breaks)
        self._lines += self._count_line_breaks(np.frombuffer(chunk, np.uint8))
        if text is not chunk:
            escaped = np.flatnonzero(_is_break(np.frombuffer(chunk, np.uint8)) & ~_is_break(data))
            inner_breaks = np.union1d(inner_breaks, escaped)
        self._count_multiline_records(ends, inner_breaks)
        self._add_boundaries(ends)

    def _look_for_rows(self, text: bytes, inner_breaks: IntArray) -> None:
        """Look for rows in the cells with line breaks, also in a cell that begins in an earlier chunk."""
        if not (len(inner_breaks) or self._open_cell or self._in_quotes):
            return
        before = len(self._open_cell)
        text = self._open_cell + text
        data = np.frombuffer(text, np.uint8)
        breaks = np.append(np.flatnonzero(_is_break(data[:before])), inner_breaks + before)
        self._open_cell = text[max(text.rfind(b'"'), 0) :][-_LONGEST_ROW:] if self._in_quotes else b""
        if len(breaks) and not self._may_hide_rows:
            self._may_hide_rows = self._has_numbers(text, data, breaks)

    def _has_numbers(self, text: bytes, data: Bytes, inner_breaks: IntArray) -> bool:
        """Return whether the text between the two quotes around a line break has the numbers of a row."""
        quotes = np.flatnonzero(data == _QUOTE)
        after = _drop_repeats(np.searchsorted(quotes, inner_breaks))
        starts, stops = np.append(0, quotes)[after], np.append(quotes, len(data))[after]
        delimiters = np.flatnonzero(data == self._dialect.delimiter_byte)
        is_long = np.searchsorted(delimiters, stops) - np.searchsorted(delimiters, starts) >= _ROW_NUMBERS
        pieces = zip(starts[is_long].tolist(), stops[is_long].tolist(), strict=True)
        return any(self._numbers.search(text, start, stop) for start, stop in pieces)

    def _count_line_breaks(self, data: Bytes) -> int:
        """Count the line breaks of a chunk. CR and LF together are one."""
        is_lf, is_cr = data == _LF, data == _CR
        after_cr = np.count_nonzero(is_lf[1:] & is_cr[:-1]) + bool(is_lf[0] and self._last_byte == _CR)
        return int(np.count_nonzero(is_lf) + np.count_nonzero(is_cr) - after_cr)

    def find_record_ends(self, chunk: bytes) -> IntArray:
        """Return the offsets in a chunk where records end, int64."""
        text = mask_escapes(chunk, self._dialect)
        return self._split_breaks(text, np.frombuffer(text, np.uint8))[0]

    def _split_breaks(self, text: bytes, data: Bytes) -> tuple[IntArray, IntArray]:
        """Return the offsets of the line breaks that end records, and of those in quotes. Empty lines end no record."""
        # (n,) the byte before each byte
        before = np.concatenate([np.array([self._previous], np.uint8), data[:-1]])
        breaks = np.flatnonzero(_is_break(data) & ~_is_break(before))
        if not self._in_quotes and b'"' not in text:
            return breaks, breaks[:0]
        self._has_odd_quotes |= self._has_backslash_quotes(text)
        flips = self._find_quote_flips(text, data, before)
        is_end = (np.searchsorted(flips, breaks) + self._in_quotes) % 2 == 0
        self._in_quotes = bool((len(flips) + self._in_quotes) % 2)
        return breaks[is_end], breaks[~is_end]

    def _has_backslash_quotes(self, text: bytes) -> bool:
        """Return whether a backslash precedes a quote, unless the dialect says what that means."""
        if self._dialect.escape is not None:
            return False
        # Nearly all files have no backslash, and a search for a single byte is much faster.
        return (b"\\" in text and b'\\"' in text) or (self._previous == _BACKSLASH and text[0] == _QUOTE)

    def _count_multiline_records(self, ends: IntArray, inner_breaks: IntArray) -> None:
        """Count the records that have a line break, each in the chunk with its first break."""
        records = _drop_repeats(np.searchsorted(ends, inner_breaks))
        starts_inside = bool(len(records)) and records[0] == 0 and self._is_multiline
        self._multiline_records += len(records) - int(starts_inside)
        if len(ends) or len(records):
            reaches_end = bool(len(records)) and records[-1] == len(ends)
            self._is_multiline = bool(reaches_end or (not len(ends) and self._is_multiline))

    def _add_boundaries(self, ends: IntArray) -> None:
        """Add the ends of the header and of the last record in the chunk. The header is a record, but not a row."""
        if len(ends) and not self._records:
            self._boundaries.append(RecordBoundary(self._offset + int(ends[0]) + 1, 0))
        self._records += len(ends)
        if len(ends) and self._records > 1:
            self._boundaries.append(RecordBoundary(self._offset + int(ends[-1]) + 1, self._records - 1))

    def finish(self) -> CsvScan:
        unfinished = self._in_quotes or self._previous not in (_LF, _CR)
        rows = max(self._records + unfinished - 1, 0)
        return CsvScan(
            boundaries=(*self._boundaries, RecordBoundary(self._offset, rows)),
            lines=self._lines + (self._last_byte not in (_LF, _CR)),
            ends_in_quotes=self._in_quotes,
            multiline_records=self._multiline_records,
            has_odd_quotes=self._has_odd_quotes,
            may_hide_rows=self._may_hide_rows,
        )

    def _find_quote_flips(self, text: bytes, data: Bytes, before: Bytes) -> IntArray:
        """Return the sorted offsets in the chunk where quoting starts or stops, int64.

        If all quotes are where CSV writers put them, each quote is a flip. The two quotes of an escaped quote cancel
        each other.
        """
        quotes = np.flatnonzero(data == _QUOTE)
        if not len(quotes):
            return quotes
        opening = quotes[int(self._in_quotes) :: 2]
        closing = quotes[1 - int(self._in_quotes) :: 2]
        after = data.take(closing + 1, mode="clip")
        if len(closing) and closing[-1] + 1 == len(data):
            after[-1] = _LF  # the end of the file
        # An escaped quote closes and opens at once: its second quote follows a quote instead of starting a field.
        opens_well = self._is_edge(before[opening]) | (before[opening] == _QUOTE)
        closes_well = self._is_edge(after) | (after == _QUOTE)
        if opens_well.all() and closes_well.all():
            return quotes
        self._has_odd_quotes = True
        return self._find_quote_flips_slow(text)

    def _find_quote_flips_slow(self, text: bytes) -> IntArray:
        """Find the flips one at a time, if quotes are in unusual places."""
        edges = (self._dialect.delimiter_byte, _LF, _CR)
        flips = []
        in_quotes = self._in_quotes
        offset = text.find(b'"')
        while offset >= 0:
            if in_quotes and text[offset + 1 : offset + 2] == b'"':
                offset += 1  # an escaped quote
            elif in_quotes:
                in_quotes = False
                flips.append(offset)
            elif (text[offset - 1] if offset else self._previous) in edges:
                in_quotes = True
                flips.append(offset)
            offset = text.find(b'"', offset + 1)
        return np.array(flips, np.int64)

    def _is_edge(self, data: Bytes) -> BoolArray:
        """Return bool (n,), True for bytes that separate fields."""
        edges: BoolArray = _is_break(data) | (data == self._dialect.delimiter_byte)
        return edges


def _drop_repeats(ascending: IntArray) -> IntArray:
    """Drop repeated numbers. ``np.unique`` would import masked arrays first, which takes 9 ms."""
    return ascending[np.diff(ascending, prepend=-1) > 0]


def _is_break(data: Bytes) -> BoolArray:
    breaks: BoolArray = (data == _LF) | (data == _CR)
    return breaks
