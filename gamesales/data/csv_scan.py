"""Counting the records of a CSV file without parsing it, so that the row count does not depend on the parser.

A record ends at a line break outside quotes. Empty lines are not records. A quoted field starts with a quote as its
first character, and ends at the next quote that is not escaped by a second quote. Other quotes have no meaning. If the
dialect has an escape character, the character after it is part of its field. Arrow's reader has the same rules.

The scan works on bit masks of the line breaks, the quotes and the delimiters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gamesales.arrays import IntArray
from gamesales.data.bit_masks import (
    Bits,
    Bytes,
    count_bits,
    find_first_and_last,
    find_offsets,
    mark_bytes,
    move_up,
    pack_mask,
    toggle,
)
from gamesales.data.dialect import DEFAULT_DIALECT, CsvDialect
from gamesales.data.file_format import BOM_UTF8
from gamesales.data.text_stream import TextStream

# A chunk has about as many rows as a Parquet batch.
CHUNK_BYTES = 2 << 20
# A chunk is scanned in pieces: the arrays for a piece stay in the second-level cache, and malloc reuses their memory.
_PIECE_BYTES = 1 << 17
# This many consecutive numbers are a row of a table. A title has nine features, and at least five of them are on one
# side of the text that hides the row.
_ROW_NUMBERS = 5
_LONGEST_ROW = 1 << 16
_QUOTE, _LF, _CR, _BACKSLASH = b'"\n\r\\'

_FIELD_REST = re.compile(rb'(?:[^"]++|"")*+"')
# The last word of a piece, by the number of its bytes: the bits after them.
_PADDING = [np.uint64((1 << 64) - (1 << used)) for used in range(64)]


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
            boundary about every ``CHUNK_BYTES``, wherever the pieces of the scan begin.
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
    for piece in _read_pieces(file, scanner, b'"' + dialect.escape_byte):
        scanner.scan_piece(piece)
    return scanner.finish()


def locate_records(data: bytes, offsets: Sequence[int], dialect: CsvDialect = DEFAULT_DIALECT) -> list[int]:
    """Return the indices of the records, from 0, at offsets in a text that begins with a record."""
    ends = _Scanner(dialect).find_record_ends(data)
    indices: list[int] = np.searchsorted(ends, np.array(offsets, np.int64)).tolist()
    return indices


def find_records(data: bytes, dialect: CsvDialect = DEFAULT_DIALECT) -> list[tuple[int, int]]:
    """Return the start and the end of each record in a whole file without a byte order mark. The header is the first.

    The line break that ends a record is not part of it.
    """
    ends: list[int] = _Scanner(dialect).find_record_ends(data).tolist()
    records, start = [], 0
    for end in [*ends, len(data)]:
        while start < end and data[start] in (_LF, _CR):  # empty lines, and the second half of CR and LF
            start += 1
        if start < end:
            records.append((start, end))
        start = end
    return records


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


def _read_pieces(file: TextStream, scanner: _Scanner, undecided: bytes) -> Iterator[bytes]:
    """Read a file in pieces.

    Only the last piece may end with a byte of ``undecided``: quotes and escapes, whose meaning depends on the next
    byte.
    """
    size = min(_PIECE_BYTES, CHUNK_BYTES)
    piece = file.read(max(size, len(BOM_UTF8)))
    if piece.startswith(BOM_UTF8):
        scanner.skip(len(BOM_UTF8))
        piece = piece[len(BOM_UTF8) :]
    while more := file.read(size):
        decided = len(piece.rstrip(undecided))
        yield piece[:decided]
        piece = piece[decided:] + more
    yield piece


class _Scanner:
    """Counts records piece by piece."""

    def __init__(self, dialect: CsvDialect) -> None:
        self._dialect = dialect
        self._offset = 0
        self._records = 0
        self._lines = 0
        self._boundaries: list[RecordBoundary] = []
        self._in_quotes = False
        self._previous = self._last_byte = _LF  # the byte before the piece; a file starts like a line
        self._multiline_records = 0
        self._is_multiline = False  # whether the record at the end of the piece is one of them
        self._has_odd_quotes = False
        self._may_hide_rows = False
        self._open_cell = b""  # the last bytes of the cell in which a piece ends
        self._has_open_break = False  # whether this cell has a line break
        self._numbers = make_numbers_pattern(dialect)
        # Unquoted fields, and quoted fields that end.
        self._fields = re.compile(
            rb'(?:[^"]*+"(?<=[\r\n%b]")(?:[^"]++|"")*+")*+' % re.escape(dialect.delimiter.encode())
        )

    def skip(self, count: int) -> None:
        self._offset += count

    def scan_piece(self, piece: bytes) -> None:
        """Count the records and the lines of a piece."""
        if not piece:
            return
        data = np.frombuffer(piece, np.uint8)
        breaks = self._count_lines(piece, data)
        text, text_breaks = mask_escapes(piece, self._dialect), breaks
        if text is not piece:
            data = np.frombuffer(text, np.uint8)
            text_breaks = mark_bytes(data, _LF) | mark_bytes(data, _CR)
        ends, inner = self._split_breaks(text, data, text_breaks)
        self._look_for_rows(text, find_offsets(inner))
        self._count_multiline_records(ends, find_offsets(inner | (breaks & ~text_breaks)))
        self._add_boundaries(ends)
        self._previous, self._last_byte = int(data[-1]), piece[-1]
        self._offset += len(piece)

    def _count_lines(self, piece: bytes, data: Bytes) -> Bits:
        """Count the line breaks of a piece, and mark them. CR and LF together are one."""
        breaks = line_feeds = mark_bytes(data, _LF)
        self._lines += count_bits(breaks) - bool(data[0] == _LF and self._last_byte == _CR)
        if b"\r" in piece:
            returns = mark_bytes(data, _CR)
            self._lines += count_bits(returns) - count_bits(move_up(returns, False) & line_feeds)
            breaks = line_feeds | returns
        return breaks

    def _look_for_rows(self, text: bytes, inner_breaks: IntArray) -> None:
        """Look for rows in the cells with line breaks, also in a cell that begins in an earlier piece."""
        if not (len(inner_breaks) or self._open_cell or self._in_quotes):
            return
        text, breaks = self._open_cell + text, inner_breaks + len(self._open_cell)
        if self._has_open_break:
            breaks = np.append(1, breaks)  # after the quote at 0
        start = max(text.rfind(b'"'), 0)  # of the cell at the end
        self._open_cell = text[start:][-_LONGEST_ROW:] if self._in_quotes else b""
        self._has_open_break = self._in_quotes and len(breaks) > 0 and bool(breaks[-1] >= start)
        if len(breaks) and not self._may_hide_rows:
            self._may_hide_rows = self._has_numbers(text, np.frombuffer(text, np.uint8), breaks)

    def _has_numbers(self, text: bytes, data: Bytes, inner_breaks: IntArray) -> bool:
        """Return whether the text between the two quotes around a line break has the numbers of a row."""
        quotes = np.flatnonzero(data == _QUOTE)
        after = _drop_repeats(np.searchsorted(quotes, inner_breaks))
        starts, stops = np.append(0, quotes)[after], np.append(quotes, len(data))[after]
        delimiters = np.flatnonzero(data == self._dialect.delimiter_byte)
        is_long = np.searchsorted(delimiters, stops) - np.searchsorted(delimiters, starts) >= _ROW_NUMBERS
        pieces = zip(starts[is_long].tolist(), stops[is_long].tolist(), strict=True)
        return any(self._numbers.search(text, start, stop) for start, stop in pieces)

    def find_record_ends(self, text: bytes) -> IntArray:
        """Return the offsets in a text where records end, int64."""
        text = mask_escapes(text, self._dialect)
        data = np.frombuffer(text, np.uint8)
        return find_offsets(self._split_breaks(text, data, mark_bytes(data, _LF) | mark_bytes(data, _CR))[0])

    def _split_breaks(self, text: bytes, data: Bytes, breaks: Bits) -> tuple[Bits, Bits]:
        """Mark the line breaks that end records, and the line breaks in quotes.

        Of consecutive line breaks, only the first is marked, because empty lines end no record.
        """
        first = breaks & ~move_up(breaks, self._previous in (_LF, _CR))
        if b'"' in text:
            in_quotes = self._find_quoted(text, data, breaks)
            return first & ~in_quotes, first & in_quotes
        nothing = np.zeros_like(first)
        return (nothing, first) if self._in_quotes else (first, nothing)

    def _find_quoted(self, text: bytes, data: Bytes, breaks: Bits) -> Bits:
        """Mark the bytes in quotes, the opening quotes included.

        If all quotes are where CSV writers put them, each quote opens or closes. The two quotes of an escaped quote
        cancel each other: the first closes, and the second follows a quote instead of starting a field.
        """
        quotes = mark_bytes(data, _QUOTE)
        in_quotes = toggle(quotes, self._in_quotes)
        edges = breaks | quotes | mark_bytes(data, self._dialect.delimiter_byte)
        opens_oddly = quotes & in_quotes & ~move_up(edges, self._is_edge(self._previous))
        edges[-1] |= _PADDING[len(data) % 64]  # a quote may close at the end of the file
        closes_oddly = move_up(quotes & ~in_quotes, False) & ~edges
        self._has_odd_quotes |= self._has_backslash_quotes(text)
        if opens_oddly.any() or closes_oddly.any():
            self._has_odd_quotes = True
            in_quotes = toggle(self._find_flips(text, quotes), self._in_quotes)
        self._in_quotes = bool(in_quotes[-1] >> np.uint64(63))
        return in_quotes

    def _find_flips(self, text: bytes, quotes: Bits) -> Bits:
        """Mark the quotes that open or close a field: all quotes but those in the middle of an unquoted field."""
        odd, end = np.zeros(len(text), bool), 0
        opens = text.startswith(b'"') and self._is_edge(self._previous)
        if self._in_quotes or opens:
            match = _FIELD_REST.match(text, 0 if self._in_quotes else 1)
            end = match.end() if match else len(text)
        while match := self._fields.match(text, end):
            offset = text.find(b'"', match.end())
            if offset < 0 or (offset and self._is_edge(text[offset - 1])):
                break  # no further quote, or it opens a field that does not end here
            odd[offset] = True
            end = offset + 1
        return quotes & ~pack_mask(odd)

    def _is_edge(self, byte: int) -> bool:
        """Return whether a byte separates fields."""
        return byte in (self._dialect.delimiter_byte, _LF, _CR)

    def _has_backslash_quotes(self, text: bytes) -> bool:
        """Return whether a backslash precedes a quote, unless the dialect says what that means."""
        if self._dialect.escape is not None:
            return False
        # Nearly all files have no backslash, and a search for a single byte is much faster.
        return (b"\\" in text and b'\\"' in text) or (self._previous == _BACKSLASH and text[0] == _QUOTE)

    def _count_multiline_records(self, ends: Bits, inner_breaks: IntArray) -> None:
        """Count the records that have a line break, each in the piece with its first break."""
        if not len(inner_breaks):
            self._is_multiline &= not ends.any()
            return
        positions = find_offsets(ends)
        records = _drop_repeats(np.searchsorted(positions, inner_breaks))
        self._multiline_records += len(records) - bool(records[0] == 0 and self._is_multiline)
        self._is_multiline = bool(records[-1] == len(positions) or (not len(positions) and self._is_multiline))

    def _add_boundaries(self, ends: Bits) -> None:
        """Add the end of the header, and the end of the last record in each ``CHUNK_BYTES`` of the file.

        The header is a record, but not a row.
        """
        offsets = find_first_and_last(ends)
        if not offsets:
            return
        first, last = (self._offset + offset for offset in offsets)
        if not self._records:
            self._boundaries.append(RecordBoundary(first + 1, 0))
        self._records += count_bits(ends)
        if self._records > 1:
            if len(self._boundaries) > 1 and (self._boundaries[-1].offset - 1) // CHUNK_BYTES == last // CHUNK_BYTES:
                self._boundaries.pop()
            self._boundaries.append(RecordBoundary(last + 1, self._records - 1))

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


def _drop_repeats(ascending: IntArray) -> IntArray:
    """Drop repeated numbers. ``np.unique`` would import masked arrays first, which takes 9 ms."""
    return ascending[np.diff(ascending, prepend=-1) > 0]
