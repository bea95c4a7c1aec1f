"""Counting the records of a CSV file without parsing it, so that a run's row count does not rest on the parser.

A record ends at a line break outside quotes; empty lines are no records. A quote opens a field only as the field's
first character, ends at the next quote that is not doubled, and means nothing elsewhere, as Arrow's reader has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from gamesales.arrays import BoolArray, IntArray

# Text of about as many rows as a Parquet batch has.
CHUNK_BYTES = 2 << 20
_QUOTE, _COMMA, _LF, _CR = b'",\n\r'
_BOM = b"\xef\xbb\xbf"

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Mark:
    """A place between two records: the bytes before it, a byte order mark included, and the rows before it."""

    offset: int
    rows: int


@dataclass(frozen=True)
class CsvScan:
    """What a scan found.

    ``marks`` stand behind the header, about every ``CHUNK_BYTES`` and at the end; ``ends_in_quotes`` tells whether a
    quote is still open there.
    """

    marks: Sequence[Mark]
    ends_in_quotes: bool

    @property
    def rows(self) -> int:
        return self.marks[-1].rows


def scan_csv(file: BinaryIO) -> CsvScan:
    """Scan an open CSV file once; memory grows by a mark for every ``CHUNK_BYTES`` of it."""
    scanner = _Scanner()
    for chunk in _chunks(file, scanner):
        scanner.feed(chunk)
    return scanner.result()


def _chunks(file: BinaryIO, scanner: _Scanner) -> Iterator[bytes]:
    """Cut a file so that no chunk but the last ends in a quote: whether it closes depends on the byte behind it."""
    chunk = file.read(max(CHUNK_BYTES, len(_BOM)))
    if chunk.startswith(_BOM):
        scanner.skip(len(_BOM))
        chunk = chunk[len(_BOM) :]
    while more := file.read(CHUNK_BYTES):
        held_back = len(chunk) - len(chunk.rstrip(b'"'))
        yield chunk[: len(chunk) - held_back]
        chunk = chunk[len(chunk) - held_back :] + more
    yield chunk


class _Scanner:
    def __init__(self) -> None:
        self._offset = 0
        self._records = 0
        self._marks: list[Mark] = []
        self._in_quotes = False
        self._before = _LF  # the byte before the chunk; a file starts as a line does

    def skip(self, count: int) -> None:
        self._offset += count

    def feed(self, chunk: bytes) -> None:
        if not chunk:
            return
        data = np.frombuffer(chunk, np.uint8)
        if self._records and not self._in_quotes and b'"' not in chunk and b"\r" not in chunk:
            self._count_lines(chunk, data)
        else:
            self._find_records(chunk, data)
        self._before = int(data[-1])
        self._offset += len(chunk)

    def _count_lines(self, chunk: bytes, data: Bytes) -> None:
        """Count the lines that are not empty: where nothing is quoted they are the records, and that is much faster."""
        ends = data == _LF
        empty = np.count_nonzero(ends[1:] & ends[:-1]) + bool(ends[0] and self._before in (_LF, _CR))
        records = int(np.count_nonzero(ends) - empty)
        if records:
            last = chunk.rfind(b"\n")
            if empty:
                last = len(chunk[:last].rstrip(b"\n"))  # the first of several line breaks in a row
            self._records += records
            self._marks.append(Mark(self._offset + last + 1, self._records - 1))

    def _find_records(self, chunk: bytes, data: Bytes) -> None:
        # (n,) the byte before each byte
        before = np.concatenate([np.array([self._before], np.uint8), data[:-1]])
        breaks = np.flatnonzero(_is_break(data) & ~_is_break(before))
        if self._in_quotes or b'"' in chunk:
            toggles = self._toggles(chunk, data, before)
            breaks = breaks[(np.searchsorted(toggles, breaks) + self._in_quotes) % 2 == 0]
            self._in_quotes = bool((len(toggles) + self._in_quotes) % 2)
        self._mark(breaks)

    def _mark(self, breaks: IntArray) -> None:
        """Mark the end of the header and of the chunk's last record; the header is a record, but no row."""
        if len(breaks) and not self._records:
            self._marks.append(Mark(self._offset + int(breaks[0]) + 1, 0))
        self._records += len(breaks)
        if len(breaks) and self._records > 1:
            self._marks.append(Mark(self._offset + int(breaks[-1]) + 1, self._records - 1))

    def result(self) -> CsvScan:
        unfinished = self._in_quotes or self._before not in (_LF, _CR)
        rows = max(self._records + unfinished - 1, 0)
        return CsvScan((*self._marks, Mark(self._offset, rows)), self._in_quotes)

    def _toggles(self, chunk: bytes, data: Bytes, before: Bytes) -> IntArray:
        """Return where quoting starts and stops: int64, sorted.

        Where every quote stands as writers put them, each of them toggles: a doubled one twice, to no effect.
        """
        quotes = np.flatnonzero(data == _QUOTE)
        if not len(quotes):
            return quotes
        opening = quotes[int(self._in_quotes) :: 2]
        closing = quotes[1 - int(self._in_quotes) :: 2]
        after = np.append(data, _LF)[closing + 1]
        opens_well = _is_edge(before[opening]) | (before[opening] == _QUOTE)
        closes_well = _is_edge(after) | (after == _QUOTE)
        # A doubled quote closes and opens at once: the opening one must follow a closing one, not start a field.
        if opens_well.all() and closes_well.all():
            return quotes
        return self._walk(chunk)

    def _walk(self, chunk: bytes) -> IntArray:
        """Find the toggles one by one, where quotes stand in odd places."""
        toggles = []
        in_quotes = self._in_quotes
        place = chunk.find(b'"')
        while place >= 0:
            if in_quotes and chunk[place + 1 : place + 2] == b'"':
                place += 1  # doubled: both are content
            elif in_quotes:
                in_quotes = False
                toggles.append(place)
            elif (chunk[place - 1] if place else self._before) in (_COMMA, _LF, _CR):
                in_quotes = True
                toggles.append(place)
            place = chunk.find(b'"', place + 1)
        return np.array(toggles, np.int64)


def _is_break(data: Bytes) -> BoolArray:
    breaks: BoolArray = (data == _LF) | (data == _CR)
    return breaks


def _is_edge(data: Bytes) -> BoolArray:
    """Tell which bytes stand between fields."""
    edges: BoolArray = _is_break(data) | (data == _COMMA)
    return edges
