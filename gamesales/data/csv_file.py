"""Reading CSV, compressed or not: a cell which is no number spoils its row and not its file, and 007 stays 007."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa

from gamesales.data.batches import Batch, one_line
from gamesales.data.csv_parse import is_utf8, parse_bytes, parse_numbers, parse_text
from gamesales.data.csv_scan import CsvScan, scan_csv
from gamesales.errors import InputError

_HEADER_BYTES = 1 << 20
_BOM = b"\xef\xbb\xbf"


@dataclass
class CsvFile:
    """A CSV file in UTF-8, comma-separated, with a header; every column is text. It may be compressed by gzip.

    It is scanned once, which counts its rows and marks where records begin; from mark to mark it is parsed.
    """

    path: Path
    schema: pa.Schema = field(init=False)
    _scanned: CsvScan | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.schema = pa.schema([(name, pa.string()) for name in self._header()])

    @property
    def is_compressed(self) -> bool:
        return self.path.suffix.lower() == ".gz"

    def count_rows(self) -> int:
        scan = self._scan()
        if scan.ends_in_quotes:
            raise InputError(
                f"{self.path} ends inside a quoted field: a quote that opens in row {scan.rows} is never closed",
                hint="Close or remove the quote; rows after it can't be told apart",
            )
        return scan.rows

    def units(self) -> Sequence[int]:
        """Return the rows between marks; what is compressed can only be read from its beginning."""
        scan = self._scan()
        if self.is_compressed:
            return [scan.rows]
        return [after.rows - before.rows for before, after in pairwise(scan.marks)]

    def batches(
        self, names: Sequence[str], start: int = 0, stop: int | None = None, numbers: Collection[str] = ()
    ) -> Iterator[Batch]:
        """See ``TableFile``."""
        stop = self.count_rows() if stop is None else stop
        parser = _Parser(self.schema.names, names, numbers)
        with self._opened() as file:
            for before, after in pairwise(self._scan().marks):
                if after.rows <= start or before.rows >= stop:
                    continue
                file.seek(before.offset)
                data = file.read(after.offset - before.offset)
                try:
                    batch = parser.parse(data, before.rows)
                except pa.ArrowInvalid as error:
                    raise InputError(f"{self.path} can't be read as CSV: {one_line(error)}") from None
                yield batch.between(start, stop)

    def _scan(self) -> CsvScan:
        if self._scanned is None:
            with self._opened() as file:
                self._scanned = scan_csv(file)
        return self._scanned

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        """Open the text; what a damaged compressed file raises is told as such."""
        with self.path.open("rb") as plain:
            try:
                yield gzip.GzipFile(fileobj=plain) if self.is_compressed else plain
            except (gzip.BadGzipFile, EOFError, zlib.error) as error:
                raise InputError(
                    f"{self.path} is not a file compressed by gzip, or damaged: {one_line(error)}",
                    hint="Check it: gzip --test FILE",
                ) from None

    def _header(self) -> list[str]:
        with self._opened() as file:
            head = file.read(_HEADER_BYTES)
        if not head:
            raise InputError(f"{self.path} is empty; expected a header line with column names")
        if b"\0" in head:
            raise self._not_text()
        # As Latin-1, which all bytes are, the header can be cut off whatever the rows hold.
        text = io.StringIO(head.removeprefix(_BOM).decode("latin-1"), newline="")
        try:
            header = [cell.encode("latin-1").decode() for cell in next(csv.reader(text), [])]
        except csv.Error:  # a name of more than 128 KiB
            header = []
        except UnicodeDecodeError:
            raise self._not_text() from None
        if not any(header) or (not text.read(1) and len(head) == _HEADER_BYTES):
            raise InputError(f"{self.path} has no header; expected a first line with column names")
        return header

    def _not_text(self) -> InputError:
        return InputError(
            f"{self.path} is not a CSV file in UTF-8: it holds other bytes than text",
            hint="Save it as CSV in UTF-8",
        )


@dataclass
class _Parser:
    """Parses stretches of one file; where too many of them are not all numbers, it stops trying."""

    header: Sequence[str]
    names: Sequence[str]
    numbers: Collection[str]
    attempts: int = 3

    def parse(self, data: bytes, before: int) -> Batch:
        if not is_utf8(data):
            return parse_bytes(data, self.header, self.names, before)
        if self.numbers and self.attempts:
            try:
                return parse_numbers(data, self.header, self.names, self.numbers, before)
            except pa.ArrowInvalid:
                self.attempts -= 1
        return parse_text(data, self.header, self.names, before)
