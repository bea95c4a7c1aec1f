r"""Quotes that hide rows: a file whose quotes don't follow the rules of its dialect can swallow rows without a trace.

    A002,"Vinyl 12\"",4.5        the writer escapes a quote by a backslash; by the rules of CSV the cell goes on …
    A003,"Example",4.5           … to this quote, and two titles are one row

A scan and a parser with the same rules agree on the wrong rows, so counting them does not help. But the quote that ends
the cell is then in the middle of another cell, or follows a backslash.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gamesales.data.csv_scan import make_numbers_pattern, mask_escapes
from gamesales.data.dialect import CsvDialect

_QUOTED_FIELD = re.compile(rb'"(?:[^"]++|"")*+"')
_LINE_BREAK = re.compile(rb"[\r\n]")
_BACKSLASH = ord("\\")


@dataclass(frozen=True)
class QuoteFault:
    """A quoted cell that can't be trusted.

    Attributes:
        offset: where its first quote is in the file.
        has_backslash: whether a quote in it follows a backslash.
        is_closed: whether its quote is closed.
        has_row: whether it has a line break, and numbers as a row has them.
    """

    offset: int
    has_backslash: bool
    is_closed: bool = True
    has_row: bool = False


class QuoteChecker:
    r"""Looks for quoted cells that can't be trusted, in the records of a file in their order.

    There are three signs of another dialect. Each alone is harmless: no row is lost, and no cell is changed.

    - A quote is in the middle of a field.
    - A quote follows a backslash, and the dialect does not say what a backslash means.
    - A quoted field has a line break.

    The first two together in a file are a fault, and so is the third with another sign in the same record, or with the
    numbers of a row in the field. Where the job states what escapes a quote, numbers in a field are no sign.
    """

    def __init__(self, dialect: CsvDialect) -> None:
        self._dialect = dialect
        self._numbers = make_numbers_pattern(dialect)
        self._edges = (dialect.delimiter_byte, *b"\r\n")
        edge = rb"[\r\n%b]" % re.escape(dialect.delimiter.encode())
        # Unquoted fields, and quoted fields without a sign.
        self._plain_fields = re.compile(
            rb'(?:[^"]*+"(?:(?<=%b")|(?<=\A"))(?:[^"\\\r\n]++|"")*+"(?=%b|\Z))*+' % (edge, edge)
        )
        self._first_backslash: int | None = None  # where the quote of that field is in the file
        self._has_odd_quote = False

    def find_fault(self, data: bytes, offset: int) -> QuoteFault | None:
        """Find the first cell that can't be trusted.

        Args:
            data: complete records.
            offset: the bytes before them in the file.
        """
        text = mask_escapes(data, self._dialect)
        is_odd, backslash, multiline = False, None, None  # the signs of a record, by the offset of the field
        end = 0  # after the last quote
        opening = self._find_suspect(text, 0)
        while opening >= 0:
            if _LINE_BREAK.search(text, end, opening):
                is_odd, backslash, multiline = False, None, None
            if opening > 0 and text[opening - 1] not in self._edges:
                is_odd, closing = True, opening
                escaped = text[opening - 1] == _BACKSLASH
            else:
                closing = _find_closing(text, opening)
                escaped = text.find(b'\\"', opening + 1, closing + 1) >= 0
                is_odd |= closing + 1 < len(text) and text[closing + 1] not in self._edges
                if multiline is None and _LINE_BREAK.search(text, opening, closing):
                    multiline = opening
            if backslash is None and escaped and self._dialect.escape is None:
                backslash = opening
            fault = self._judge(offset, is_odd, backslash, multiline)
            if fault is not None:
                return fault
            if closing == len(text):
                return QuoteFault(offset + opening, has_backslash=backslash is not None, is_closed=False)
            if self._has_row(text, opening, closing):
                return QuoteFault(offset + opening, has_backslash=False, has_row=True)
            end = closing + 1
            opening = self._find_suspect(text, end)
        return None

    def _find_suspect(self, text: bytes, start: int) -> int:
        """Return the offset of the next quote that is not part of a plain quoted field; -1 if there is none."""
        match = self._plain_fields.match(text, start)
        return text.find(b'"', match.end() if match else start)

    def _has_row(self, text: bytes, opening: int, closing: int) -> bool:
        """Return whether a field has a line break, and numbers as a row has them. Numbers in brackets are a list."""
        return (
            self._dialect.escape is None
            and bool(_LINE_BREAK.search(text, opening, closing))
            and any(
                text.count(b"[", opening, match.start()) <= text.count(b"]", opening, match.start())
                for match in self._numbers.finditer(text, opening, closing)
            )
        )

    def _judge(self, offset: int, is_odd: bool, backslash: int | None, multiline: int | None) -> QuoteFault | None:
        """Return a fault if signs meet that must not."""
        self._has_odd_quote |= is_odd
        if self._first_backslash is None and backslash is not None:
            self._first_backslash = offset + backslash
        if backslash is not None and multiline is not None:
            return QuoteFault(offset + backslash, has_backslash=True)
        if self._first_backslash is not None and self._has_odd_quote:
            return QuoteFault(self._first_backslash, has_backslash=True)
        if is_odd and multiline is not None:
            return QuoteFault(offset + multiline, has_backslash=False)
        return None


def _find_closing(text: bytes, opening: int) -> int:
    """Return the offset of the quote that closes a field, or the length of the text."""
    match = _QUOTED_FIELD.match(text, opening)
    return match.end() - 1 if match else len(text)
