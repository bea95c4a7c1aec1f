"""Counting the records of a CSV file without parsing it, so that a run's row count does not rest on the parser.

A record ends at a line break outside quotes; empty lines are no records. A quote opens a field only as the field's
first character, ends at the next quote that is not doubled, and means nothing elsewhere, as Arrow's reader has it.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

_CHUNK_BYTES = 1 << 20
_QUOTE, _COMMA, _LF, _CR = b'",\n\r'
_BOM = b"\xef\xbb\xbf"

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CsvScan:
    """What a scan found.

    ``records`` counts the header too; ``ends_in_quotes`` tells whether a quote is still open at the end.
    """

    records: int
    ends_in_quotes: bool
    is_utf8: bool


def scan_csv(path: Path) -> CsvScan:
    """Scan a CSV file once; memory does not grow with it."""
    scanner = _Scanner()
    text = _Utf8Check()
    with path.open("rb") as file:
        if file.read(len(_BOM)) != _BOM:
            file.seek(0)
        chunk = file.read(_CHUNK_BYTES)
        text.feed(chunk)
        while chunk:
            more = file.read(_CHUNK_BYTES)
            text.feed(more)
            # Whether a quote closes depends on the byte behind it, so a chunk never ends with one.
            held_back = len(chunk) - len(chunk.rstrip(b'"')) if more else 0
            scanner.feed(chunk[: len(chunk) - held_back])
            chunk = chunk[len(chunk) - held_back :] + more
            if not more:
                break
    records, ends_in_quotes = scanner.result()
    return CsvScan(records, ends_in_quotes, text.passes)


class _Utf8Check:
    def __init__(self) -> None:
        self.passes = True
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def feed(self, chunk: bytes) -> None:
        """Check the next bytes; none are the end, where no character may be left unfinished."""
        if self.passes:
            try:
                self._decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError:
                self.passes = False


class _Scanner:
    def __init__(self) -> None:
        self._records = 0
        self._in_quotes = False
        self._before = _LF  # the byte before the chunk; a file starts as a line does

    def feed(self, chunk: bytes) -> None:
        if not chunk:
            return
        data = np.frombuffer(chunk, np.uint8)
        # (n,) the byte before each byte
        before = np.concatenate([np.array([self._before], np.uint8), data[:-1]])
        toggles = self._toggles(chunk, data, before)
        breaks = np.flatnonzero(_is_break(data) & ~_is_break(before))
        outside = (np.searchsorted(toggles, breaks) + self._in_quotes) % 2 == 0
        self._records += int(outside.sum())
        self._in_quotes = bool((len(toggles) + self._in_quotes) % 2)
        self._before = int(data[-1])

    def result(self) -> tuple[int, bool]:
        unfinished = self._in_quotes or self._before not in (_LF, _CR)
        return self._records + unfinished, self._in_quotes

    def _toggles(self, chunk: bytes, data: Bytes, before: Bytes) -> Places:
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

    def _walk(self, chunk: bytes) -> Places:
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


def _is_break(data: Bytes) -> npt.NDArray[np.bool_]:
    breaks: npt.NDArray[np.bool_] = (data == _LF) | (data == _CR)
    return breaks


def _is_edge(data: Bytes) -> npt.NDArray[np.bool_]:
    """Tell which bytes stand between fields."""
    edges: npt.NDArray[np.bool_] = _is_break(data) | (data == _COMMA)
    return edges
