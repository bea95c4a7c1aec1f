"""CSV files as tables, plain or compressed, in the dialect of the job."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import pyarrow as pa

from gamesales.data.csv_parser import CsvParser
from gamesales.data.csv_scan import CsvScan, RecordBoundary, count_line_breaks, scan_csv
from gamesales.data.dialect import DEFAULT_DIALECT, UTF_8, CsvDialect
from gamesales.data.file_format import BOM_UTF8, CSV, detect_format_of, is_utf16, make_format_error, require_format
from gamesales.data.table import Batch, LineCounts, format_on_one_line
from gamesales.data.text_stream import TextStream, open_text
from gamesales.errors import InputError

if TYPE_CHECKING:
    from gamesales.data.csv_quotes import QuoteFault
    from gamesales.data.remote_file import TablePath

_HEADER_BYTES = 1 << 20
# The module csv has the same limit, but another part of the process may raise it.
_LONGEST_NAME = 1 << 17
_PIECE_BYTES = 1 << 20


@dataclass
class CsvFile:
    """A file of delimited text with a header. Every column is text.

    A scan counts the rows and finds record boundaries. The text between two boundaries is then parsed as one batch.
    """

    path: TablePath
    dialect: CsvDialect = DEFAULT_DIALECT
    schema: pa.Schema = field(init=False)
    _format: str = field(init=False)
    _header: list[str] = field(init=False)  # with a name for each column
    _unnamed: dict[str, int] = field(init=False)  # the columns without a name in the file, by their number from 1
    _cached_scan: CsvScan | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._format = require_format(self.path)
        names = self._read_header()
        self._header = [name if name.strip() else f"\0{number}" for number, name in enumerate(names, 1)]
        self._unnamed = {name: number for number, name in enumerate(self._header, 1) if name.startswith("\0")}
        self.schema = pa.schema([(name, pa.string()) for name in self._header if name not in self._unnamed])

    def count_rows(self) -> int:
        """See ``TableFile``.

        Raises:
            InputError: a quoted cell is never closed, or hides rows.
        """
        return self._scan().rows

    def count_lines(self) -> LineCounts:
        """See ``TableFile``."""
        scan = self._scan()
        return LineCounts(scan.lines, scan.rows + 1, scan.multiline_records)

    def rows_per_segment(self) -> Sequence[int]:
        """Return the rows between boundaries.

        A file that is compressed or not in UTF-8 is one segment: it can only be read from its start.
        """
        scan = self._scan()
        if self._format != CSV or self.dialect.encoding != UTF_8:
            return [scan.rows]
        return [after.rows - before.rows for before, after in pairwise(scan.boundaries)]

    def read_batches(
        self, names: Sequence[str], start: int = 0, stop: int | None = None, numbers: Collection[str] = ()
    ) -> Iterator[Batch]:
        """See ``TableFile``."""
        scan = self._scan()
        stop = scan.rows if stop is None else stop
        parser = CsvParser(self._header, self._unnamed, names, numbers, self.dialect, str(self.path))
        with self._open() as file:
            for before, after in pairwise(scan.boundaries):
                if after.rows <= start or before.rows >= stop:
                    continue
                data = _read_between(file, before, after)
                try:
                    batch = parser.parse(data, before.rows, after.rows - before.rows)
                except pa.ArrowInvalid as error:
                    raise InputError(f"{self.path} can't be read as CSV: {format_on_one_line(error)}") from None
                yield batch.slice_rows(start, stop)

    def _open(self) -> AbstractContextManager[TextStream]:
        return open_text(self.path, self._format, self.dialect.encoding)

    def _scan(self) -> CsvScan:
        if self._cached_scan is None:
            with self._open() as file:
                scan = scan_csv(file, self.dialect)
            if scan.has_odd_quotes or scan.ends_in_quotes or scan.may_hide_rows:
                self._check_quotes(scan)
            self._cached_scan = scan
        return self._cached_scan

    def _check_quotes(self, scan: CsvScan) -> None:
        """Check all quoted cells. This takes longer than the scan, which says whether it is needed."""
        from gamesales.data.csv_quotes import QuoteChecker

        checker = QuoteChecker(self.dialect)
        with self._open() as file:
            for before, after in pairwise([RecordBoundary(0, 0), *scan.boundaries]):
                data = _read_between(file, before, after)
                mark = len(BOM_UTF8) if before.offset == 0 and data.startswith(BOM_UTF8) else 0
                fault = checker.find_fault(data[mark:], before.offset + mark)
                if fault is not None:
                    raise self._make_quote_error(fault, scan)

    def _make_quote_error(self, fault: QuoteFault, scan: CsvScan) -> InputError:
        line = self._find_line(fault.offset)
        if fault.has_backslash:
            return InputError(
                f"{self.path}: a backslash stands before a quote in the cell that begins in line {line:,}; if it "
                "escapes the quote, rows would be lost in cells",
                hint=r'In the job file: [csv] escape = "\\" if backslashes escape quotes, escape = "" if they do not',
            )
        if not fault.is_closed:
            return InputError(
                f"{self.path} ends inside a quoted field: a quote that opens in row {scan.rows} is never closed "
                f"(line {line:,})",
                hint="Close or remove the quote; where rows end after it is unknown",
            )
        if fault.has_row:
            return InputError(
                f"{self.path}: the quoted cell that begins in line {line:,} spans lines, and has numbers as a row has "
                "them; rows would be lost in cells",
                hint='Close the quote, or write it as two quotes in a quoted cell: """Hello". If the cell is right, '
                'write in the job file: [csv] escape = ""',
            )
        return InputError(
            f"{self.path}: the quoted cell that begins in line {line:,} spans lines, and a quote is in the middle of "
            "a cell there; rows would be lost in cells",
            hint='Write a quote in a cell as two quotes: "Vinyl 12"""',
        )

    def _find_line(self, offset: int) -> int:
        """Return the number of the line, from 1, at an offset in the text."""
        breaks, ends_in_cr = 0, False
        with self._open() as file:
            while offset > 0 and (data := file.read(min(offset, _PIECE_BYTES))):
                breaks += count_line_breaks(data) - (ends_in_cr and data.startswith(b"\n"))
                ends_in_cr = data.endswith(b"\r")
                offset -= len(data)
        return breaks + 1

    def _read_header(self) -> list[str]:
        with open_text(self.path, self._format) as file:
            head = file.read(_HEADER_BYTES)
        self._check_text(head)
        if self.dialect.encoding != UTF_8:
            with self._open() as file:
                head = file.read(_HEADER_BYTES)
        # Any bytes are valid Latin-1, so the header can be split off even if the rows are not UTF-8.
        text = io.StringIO(head.removeprefix(BOM_UTF8).decode("latin-1"), newline="")
        reader = csv.reader(text, delimiter=self.dialect.delimiter, escapechar=self.dialect.escape or None)
        try:
            header = [cell.encode("latin-1").decode() for cell in next(reader, [])]
        except csv.Error:
            header = []
        except UnicodeDecodeError:
            raise self._make_encoding_error() from None
        if any(len(name) > _LONGEST_NAME for name in header):
            header = []
        if any("\0" in name for name in header):
            raise make_format_error(str(self.path), head)
        if any("\N{BYTE ORDER MARK}" in name for name in header):
            raise InputError(
                f"{self.path} has a second byte order mark in its header", hint="Save it in UTF-8 with one mark or none"
            )
        if not any(name.strip() for name in header) or (not text.read(1) and len(head) == _HEADER_BYTES):
            raise InputError(f"{self.path} has no header; expected a first line with column names")
        return header

    def _check_text(self, head: bytes) -> None:
        """Refuse content that is not text in the encoding of the dialect."""
        if not head:
            raise InputError(f"{self.path} is empty; expected a header line with column names")
        if is_utf16(head) and not self.dialect.encoding.startswith("utf-16"):
            raise InputError(
                f"{self.path} looks like UTF-16, expected {self.dialect.encoding.upper()}",
                hint='In the job file: [csv] encoding = "utf-16"; or save it in UTF-8',
            )
        if detect_format_of(head) != CSV:
            where = str(self.path) if self._format == CSV else f"{self.path}, decompressed,"
            raise make_format_error(where, head)

    def _make_encoding_error(self) -> InputError:
        encoding = self.dialect.encoding
        return InputError(
            f"{self.path} is not a CSV file in {encoding.upper()}: its header has bytes that are not text",
            hint='Save it in UTF-8, or name its encoding in the job file: [csv] encoding = "cp1252"',
        )


def _read_between(file: TextStream, before: RecordBoundary, after: RecordBoundary) -> bytes:
    file.seek(before.offset)
    return file.read(after.offset - before.offset)
