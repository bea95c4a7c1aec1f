"""CSV files as tables, plain or compressed. A malformed row is rejected and the other rows are read."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gamesales.arrays import IntArray
from gamesales.data.arrow import make_text_column
from gamesales.data.csv_scan import CsvScan, scan_csv
from gamesales.data.table import Batch, RejectedRow, format_on_one_line
from gamesales.errors import InputError

_HEADER_BYTES = 1 << 20
_BOM = b"\xef\xbb\xbf"

# The number of a row in the parsed data, the reason, and the text of the row.
MalformedRow = tuple[int, str, str]


@dataclass
class CsvFile:
    """A comma-separated file in UTF-8 with a header, optionally compressed by gzip. Every column is text.

    A scan counts the rows and finds record boundaries. The text between two boundaries is then parsed as one batch.
    """

    path: Path
    schema: pa.Schema = field(init=False)
    _cached_scan: CsvScan | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.schema = pa.schema([(name, pa.string()) for name in self._read_header()])

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

    def rows_per_segment(self) -> Sequence[int]:
        """Return the rows between boundaries. A compressed file is one segment: it can only be read from its start."""
        scan = self._scan()
        if self.is_compressed:
            return [scan.rows]
        return [after.rows - before.rows for before, after in pairwise(scan.boundaries)]

    def read_batches(
        self, names: Sequence[str], start: int = 0, stop: int | None = None, numbers: Collection[str] = ()
    ) -> Iterator[Batch]:
        """See ``TableFile``."""
        stop = self.count_rows() if stop is None else stop
        parser = _Parser(self.schema.names, names, numbers)
        with self._open() as file:
            for before, after in pairwise(self._scan().boundaries):
                if after.rows <= start or before.rows >= stop:
                    continue
                file.seek(before.offset)
                data = file.read(after.offset - before.offset)
                try:
                    batch = parser.parse(data, before.rows)
                except pa.ArrowInvalid as error:
                    raise InputError(f"{self.path} can't be read as CSV: {format_on_one_line(error)}") from None
                yield batch.slice_rows(start, stop)

    def _scan(self) -> CsvScan:
        if self._cached_scan is None:
            with self._open() as file:
                self._cached_scan = scan_csv(file)
        return self._cached_scan

    @contextmanager
    def _open(self) -> Iterator[Any]:
        """Open the file for reading, decompressed. A damaged compressed file raises InputError."""
        with self.path.open("rb") as plain:
            try:
                yield gzip.GzipFile(fileobj=plain) if self.is_compressed else plain
            except (gzip.BadGzipFile, EOFError, zlib.error) as error:
                raise InputError(
                    f"{self.path} is damaged, or not compressed by gzip: {format_on_one_line(error)}",
                    hint="Check it: gzip --test FILE",
                ) from None

    def _read_header(self) -> list[str]:
        with self._open() as file:
            head = file.read(_HEADER_BYTES)
        if not head:
            raise InputError(f"{self.path} is empty; expected a header line with column names")
        if b"\0" in head:
            raise self._build_not_text_error()
        # Any bytes are valid Latin-1, so the header can be split off even if the rows are not UTF-8.
        text = io.StringIO(head.removeprefix(_BOM).decode("latin-1"), newline="")
        try:
            header = [cell.encode("latin-1").decode() for cell in next(csv.reader(text), [])]
        except csv.Error:  # a name of more than 128 KiB
            header = []
        except UnicodeDecodeError:
            raise self._build_not_text_error() from None
        if not any(header) or (not text.read(1) and len(head) == _HEADER_BYTES):
            raise InputError(f"{self.path} has no header; expected a first line with column names")
        return header

    def _build_not_text_error(self) -> InputError:
        return InputError(
            f"{self.path} is not a CSV file in UTF-8: it has bytes that are not text",
            hint="Save it as CSV in UTF-8",
        )


@dataclass
class _Parser:
    """Parses the segments of a file. It stops parsing numbers after a few segments with cells that are not numbers."""

    header: Sequence[str]
    names: Sequence[str]
    numbers: Collection[str]
    attempts: int = 3

    def parse(self, data: bytes, rows_before: int) -> Batch:
        """Parse complete records, with ``rows_before`` rows before them in the file."""
        if not _is_utf8(data):
            return self._parse_bytes(data, rows_before)
        if self.numbers and self.attempts:
            try:
                return self._parse_utf8(data, rows_before, self.numbers)
            except pa.ArrowInvalid:
                self.attempts -= 1
        return self._parse_utf8(data, rows_before, ())

    def _parse_utf8(self, data: bytes, rows_before: int, numbers: Collection[str]) -> Batch:
        """Parse columns of UTF-8 text: ``numbers`` as float64 with null for an empty cell, the others as text.

        Raises:
            pyarrow.ArrowInvalid: a cell of ``numbers`` is not a number.
        """
        types = {name: pa.float64() if name in numbers else pa.string() for name in self.names}
        table, malformed = _read_well_formed(data, self.header, types, "utf-8")
        batch = _make_batch(table, malformed, rows_before)
        if not numbers and set(self.names) == set(self.header):
            return batch
        all_text = dict.fromkeys(self.header, pa.string())
        return replace(batch, read_original=lambda: _read_well_formed(data, self.header, all_text, "utf-8")[0])

    def _parse_bytes(self, data: bytes, rows_before: int) -> Batch:
        """Parse columns of any bytes as text. A row that is not UTF-8 becomes a malformed row.

        Arrow returns malformed rows as text only. So the bytes are read as Latin-1, where each byte is one character,
        and are converted back to bytes here.
        """
        latin = [name.encode().decode("latin-1") for name in self.header]
        raw, malformed = _read_well_formed(data, latin, dict.fromkeys(latin, pa.binary()), "latin-1")
        columns = dict(zip(self.header, map(_undo_latin_1, raw.columns), strict=True))
        selected = pa.RecordBatch.from_arrays([columns[name] for name in self.names], names=list(self.names))
        return _decode(selected, _make_batch(selected, malformed, rows_before))


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _read_well_formed(
    data: bytes, header: Sequence[str], types: dict[str, pa.DataType], encoding: str
) -> tuple[pa.RecordBatch, Sequence[MalformedRow]]:
    """Read the columns of ``types`` from the well-formed rows as one batch."""
    from pyarrow import csv

    malformed: list[MalformedRow] = []

    def skip_malformed(row: csv.InvalidRow) -> str:
        reason = f"expected {row.expected_columns} fields, found {row.actual_columns}"
        malformed.append((row.number, reason, row.text.encode(encoding).decode(errors="backslashreplace")))
        return "skip"

    reader = csv.open_csv(
        pa.BufferReader(data),
        # One thread, because otherwise Arrow does not number malformed rows. One block, because the scan has cut the
        # batch. A character of Latin-1 takes up to two bytes in UTF-8.
        read_options=csv.ReadOptions(
            use_threads=False, block_size=2 * len(data) + 1, column_names=list(header), encoding=encoding
        ),
        parse_options=csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip_malformed),
        convert_options=csv.ConvertOptions(
            column_types=types, include_columns=list(types), strings_can_be_null=False, null_values=[""]
        ),
    )
    batches = [batch for batch in reader if len(batch)]
    if batches:
        return batches[0], malformed
    columns = [make_text_column([]).cast(arrow_type) for arrow_type in types.values()]
    return pa.RecordBatch.from_arrays(columns, names=list(types)), malformed


def _make_batch(table: pa.RecordBatch, malformed: Sequence[MalformedRow], rows_before: int) -> Batch:
    rejects = [RejectedRow(rows_before + number, "", "", reason, text) for number, reason, text in malformed]
    rows = rows_before + _number_rows(len(table), [number for number, _, _ in malformed])
    return Batch(table, rows, rejects)


def _number_rows(count: int, malformed: Sequence[int]) -> IntArray:
    """Number ``count`` well-formed rows from 1, without the numbers of the malformed rows.

    The k-th malformed row (from 0), numbered m, has m - 1 - k well-formed rows before it.
    """
    indices = np.arange(count, dtype=np.int64)
    well_formed_before = np.array(malformed, np.int64) - 1 - np.arange(len(malformed))
    return indices + 1 + np.searchsorted(well_formed_before, indices, side="right")


def _decode(raw: pa.RecordBatch, batch: Batch) -> Batch:
    """Decode columns of bytes. A row that is not UTF-8 becomes a malformed row."""
    columns = [column.to_pylist() for column in raw.columns]
    rejects = [
        _reject_undecodable(cells, raw.schema.names, int(row))
        for cells, row in zip(zip(*columns, strict=True), batch.rows, strict=True)
    ]
    good = np.array([reject is None for reject in rejects], bool)
    kept = [[cell for cell, is_good in zip(cells, good, strict=True) if is_good] for cells in columns]
    table = pa.RecordBatch.from_arrays(
        [make_text_column([cell.decode() for cell in cells]) for cells in kept], names=raw.schema.names
    )
    malformed = sorted([*batch.malformed, *(reject for reject in rejects if reject)], key=lambda row: row.row)
    return Batch(table, batch.rows[good], malformed)


def _reject_undecodable(cells: Sequence[bytes], names: Sequence[str], row: int) -> RejectedRow | None:
    """Return a reject if a cell is not UTF-8, otherwise None."""
    for name, cell in zip(names, cells, strict=True):
        if not _is_utf8(cell):
            texts = [other.decode(errors="backslashreplace") for other in cells]
            record = dict(zip(names, texts, strict=True))
            return RejectedRow(
                row, name, record[name], f"{name}: not UTF-8 text", json.dumps(record, ensure_ascii=False)
            )
    return None


def _undo_latin_1(column: pa.Array) -> pa.Array:
    """Convert a binary column without nulls back to the bytes that were read as Latin-1, one for each character."""
    offsets = np.frombuffer(column.buffers()[1], np.int32)[: column.offset + len(column) + 1]
    data = bytes(column.buffers()[2] or b"")[: offsets[-1]]
    # A character outside ASCII takes two bytes in UTF-8. The second byte begins with the bits 10.
    second = np.frombuffer(data, np.uint8) & 0xC0 == 0x80
    shift = np.concatenate([np.zeros(1, np.int32), np.cumsum(second, dtype=np.int32)])
    buffers = [None, pa.py_buffer(offsets - shift[offsets]), pa.py_buffer(data.decode().encode("latin-1"))]
    return pa.Array.from_buffers(pa.binary(), len(column), buffers, offset=column.offset)
