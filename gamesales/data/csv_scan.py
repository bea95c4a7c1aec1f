"""Counting the records of a CSV file without parsing it, so that the row count does not depend on the parser.

A record ends at a line break outside quotes. Empty lines are not records. A quoted field starts with a quote as its
first character, and ends at the next quote that is not escaped by a second quote. Other quotes have no meaning. Arrow's
reader has the same rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from gamesales.arrays import BoolArray, IntArray

# A chunk has about as many rows as a Parquet batch.
CHUNK_BYTES = 2 << 20
_QUOTE, _COMMA, _LF, _CR = b'",\n\r'
_BOM = b"\xef\xbb\xbf"

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
        ends_in_quotes: whether the file ends inside a quoted field.
    """

    boundaries: Sequence[RecordBoundary]
    ends_in_quotes: bool

    @property
    def rows(self) -> int:
        return self.boundaries[-1].rows


def scan_csv(file: BinaryIO) -> CsvScan:
    """Scan an open CSV file once. Memory grows by one boundary for every ``CHUNK_BYTES``."""
    scanner = _Scanner()
    for chunk in _read_chunks(file, scanner):
        scanner.scan_chunk(chunk)
    return scanner.finish()


def _read_chunks(file: BinaryIO, scanner: _Scanner) -> Iterator[bytes]:
    """Read a file in chunks. Only the last may end with a quote, whose meaning depends on the next byte."""
    chunk = file.read(max(CHUNK_BYTES, len(_BOM)))
    if chunk.startswith(_BOM):
        scanner.skip(len(_BOM))
        chunk = chunk[len(_BOM) :]
    while more := file.read(CHUNK_BYTES):
        trailing_quotes = len(chunk) - len(chunk.rstrip(b'"'))
        yield chunk[: len(chunk) - trailing_quotes]
        chunk = chunk[len(chunk) - trailing_quotes :] + more
    yield chunk


class _Scanner:
    """Counts records chunk by chunk."""

    def __init__(self) -> None:
        self._offset = 0
        self._records = 0
        self._boundaries: list[RecordBoundary] = []
        self._in_quotes = False
        self._previous = _LF  # the byte before the chunk; a file starts like a line

    def skip(self, count: int) -> None:
        self._offset += count

    def scan_chunk(self, chunk: bytes) -> None:
        if not chunk:
            return
        data = np.frombuffer(chunk, np.uint8)
        if self._records and not self._in_quotes and b'"' not in chunk and b"\r" not in chunk:
            self._count_lines(chunk, data)
        else:
            self._find_records(chunk, data)
        self._previous = int(data[-1])
        self._offset += len(chunk)

    def _count_lines(self, chunk: bytes, data: Bytes) -> None:
        """Count the lines that are not empty. Without quotes they are the records, and counting them is much faster."""
        ends = data == _LF
        empty = np.count_nonzero(ends[1:] & ends[:-1]) + bool(ends[0] and self._previous in (_LF, _CR))
        records = int(np.count_nonzero(ends) - empty)
        if records:
            last = chunk.rfind(b"\n")
            if empty:
                last = len(chunk[:last].rstrip(b"\n"))  # the first of consecutive line breaks
            self._records += records
            self._boundaries.append(RecordBoundary(self._offset + last + 1, self._records - 1))

    def _find_records(self, chunk: bytes, data: Bytes) -> None:
        # (n,) the byte before each byte
        before = np.concatenate([np.array([self._previous], np.uint8), data[:-1]])
        breaks = np.flatnonzero(_is_break(data) & ~_is_break(before))
        if self._in_quotes or b'"' in chunk:
            flips = self._find_quote_flips(chunk, data, before)
            breaks = breaks[(np.searchsorted(flips, breaks) + self._in_quotes) % 2 == 0]
            self._in_quotes = bool((len(flips) + self._in_quotes) % 2)
        self._add_boundaries(breaks)

    def _add_boundaries(self, breaks: IntArray) -> None:
        """Add the ends of the header and of the last record in the chunk. The header is a record, but not a row."""
        if len(breaks) and not self._records:
            self._boundaries.append(RecordBoundary(self._offset + int(breaks[0]) + 1, 0))
        self._records += len(breaks)
        if len(breaks) and self._records > 1:
            self._boundaries.append(RecordBoundary(self._offset + int(breaks[-1]) + 1, self._records - 1))

    def finish(self) -> CsvScan:
        unfinished = self._in_quotes or self._previous not in (_LF, _CR)
        rows = max(self._records + unfinished - 1, 0)
        return CsvScan((*self._boundaries, RecordBoundary(self._offset, rows)), self._in_quotes)

    def _find_quote_flips(self, chunk: bytes, data: Bytes, before: Bytes) -> IntArray:
        """Return the sorted offsets in the chunk where quoting starts or stops, int64.

        If all quotes are where CSV writers put them, each quote is a flip. The two quotes of an escaped quote cancel
        each other.
        """
        quotes = np.flatnonzero(data == _QUOTE)
        if not len(quotes):
            return quotes
        opening = quotes[int(self._in_quotes) :: 2]
        closing = quotes[1 - int(self._in_quotes) :: 2]
        after = np.append(data, _LF)[closing + 1]
        # An escaped quote closes and opens at once: its second quote follows a quote instead of starting a field.
        opens_well = _is_edge(before[opening]) | (before[opening] == _QUOTE)
        closes_well = _is_edge(after) | (after == _QUOTE)
        if opens_well.all() and closes_well.all():
            return quotes
        return self._find_quote_flips_slow(chunk)

    def _find_quote_flips_slow(self, chunk: bytes) -> IntArray:
        """Find the flips one at a time, if quotes are in unusual places."""
        flips = []
        in_quotes = self._in_quotes
        offset = chunk.find(b'"')
        while offset >= 0:
            if in_quotes and chunk[offset + 1 : offset + 2] == b'"':
                offset += 1  # an escaped quote
            elif in_quotes:
                in_quotes = False
                flips.append(offset)
            elif (chunk[offset - 1] if offset else self._previous) in (_COMMA, _LF, _CR):
                in_quotes = True
                flips.append(offset)
            offset = chunk.find(b'"', offset + 1)
        return np.array(flips, np.int64)


def _is_break(data: Bytes) -> BoolArray:
    breaks: BoolArray = (data == _LF) | (data == _CR)
    return breaks


def _is_edge(data: Bytes) -> BoolArray:
    """Return bool (n,), True for bytes that separate fields."""
    edges: BoolArray = _is_break(data) | (data == _COMMA)
    return edges
