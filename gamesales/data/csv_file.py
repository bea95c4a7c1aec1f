"""Reading CSV batch by batch, as text: a cell which is no number spoils its row and not its file, and 007 stays 007."""

from __future__ import annotations

import csv
import io
import json
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gamesales.data import columns
from gamesales.data.batches import BadRow, Batch, one_line
from gamesales.data.csv_scan import CsvScan, scan_csv
from gamesales.errors import InputError

# Text of about as many rows as a Parquet batch has.
_BLOCK_BYTES = 4 << 20
_HEADER_BYTES = 1 << 20
_BOM = b"\xef\xbb\xbf"


@dataclass
class CsvFile:
    """A CSV file in UTF-8, comma-separated, with a header; every column is text.

    Rows with other bytes are malformed. Arrow hands malformed rows over as text only, so a file with such bytes
    anywhere is read as Latin-1, where each byte is a character and none is lost, and turned back into bytes here.
    """

    path: Path
    schema: pa.Schema = field(init=False)
    _header_only: bool = field(init=False)
    _scanned: CsvScan | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.schema = pa.schema([(name, pa.string()) for name in self._header()])

    def count_rows(self) -> int:
        scan = self._scan()
        if scan.ends_in_quotes:
            raise InputError(
                f"{self.path} ends inside a quoted field: a quote that opens in row {scan.records - 1} is never closed",
                hint="Close or remove the quote; rows after it can't be told apart",
            )
        return scan.records - 1

    def batches(self, names: Sequence[str]) -> Iterator[Batch]:
        if self._header_only:
            return  # Arrow refuses a header without a line break
        # Arrow parses ahead and adds to this in a thread of its own, while the first are taken out here.
        malformed: deque[BadRow] = deque()
        for raw, rows in self._numbered(malformed):
            before = []
            # A batch without rows takes none along: which of them are known by then depends on time.
            while malformed and len(rows) and malformed[0].row < rows[-1]:
                before.append(malformed.popleft())
            yield from self._decoded(raw.select(list(names)), rows, before)
        if malformed:
            yield Batch(_empty(self.schema, names), np.empty(0, np.int64), tuple(malformed))

    def _numbered(self, malformed: deque[BadRow]) -> Iterator[tuple[pa.RecordBatch, npt.NDArray[np.int64]]]:
        """Read the well-formed rows with their numbers, adding the others to ``malformed`` as they come."""
        numbers: list[int] = []
        reader = self._reader(malformed, numbers)
        well_formed = 0
        while True:
            try:
                raw = reader.read_next_batch()
            except StopIteration:
                return
            except pa.ArrowInvalid as error:
                raise InputError(f"{self.path} can't be read as CSV: {one_line(error)}") from None
            if not self._scan().is_utf8:
                raw = pa.RecordBatch.from_arrays(list(map(_from_latin_1, raw.columns)), names=self.schema.names)
            yield raw, _row_numbers(well_formed, len(raw), numbers)
            well_formed += len(raw)

    def _scan(self) -> CsvScan:
        if self._scanned is None:
            self._scanned = scan_csv(self.path)
        return self._scanned

    def _header(self) -> list[str]:
        with self.path.open("rb") as file:
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
        rest = text.read()
        if not any(header) or (not rest and len(head) == _HEADER_BYTES):
            raise InputError(f"{self.path} has no header; expected a first line with column names")
        self._header_only = len(head) < _HEADER_BYTES and not rest.strip("\r\n")
        return header

    def _not_text(self) -> InputError:
        return InputError(
            f"{self.path} is not a CSV file in UTF-8: it holds other bytes than text",
            hint="Save it as CSV in UTF-8",
        )

    def _reader(self, malformed: deque[BadRow], numbers: list[int]) -> Any:
        from pyarrow import csv as arrow_csv

        encoding = "utf-8" if self._scan().is_utf8 else "latin-1"

        def keep(row: arrow_csv.InvalidRow) -> str:
            reason = f"expected {row.expected_columns} fields, found {row.actual_columns}"
            numbers.append(row.number - 1)
            record = row.text.encode(encoding).decode(errors="backslashreplace")
            malformed.append(BadRow(row.number - 1, "", "", reason, record))
            return "skip"

        try:
            return arrow_csv.open_csv(
                self.path if encoding == "utf-8" else _after_bom(self.path),
                # One thread: with more, Arrow does not number malformed rows.
                read_options=arrow_csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES, encoding=encoding),
                parse_options=arrow_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=keep),
                convert_options=arrow_csv.ConvertOptions(
                    column_types={name.encode().decode(encoding): pa.binary() for name in self.schema.names},
                    strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid as error:
            raise InputError(f"{self.path} can't be read as CSV: {one_line(error)}") from None

    def _decoded(
        self, raw: pa.RecordBatch, rows: npt.NDArray[np.int64], malformed: Sequence[BadRow]
    ) -> Iterator[Batch]:
        """Turn bytes into text; a row with bytes that are not UTF-8 becomes a malformed one."""
        schema = pa.schema([(name, pa.string()) for name in raw.schema.names])
        try:
            yield Batch(raw.cast(schema), rows, malformed)
            return
        except pa.ArrowInvalid:
            fields = [column.to_pylist() for column in raw.columns]
        bad = [
            _undecodable(record, raw.schema.names, int(row))
            for record, row in zip(zip(*fields, strict=True), rows, strict=True)
        ]
        good = np.array([fault is None for fault in bad])
        kept = [[value for value, keep in zip(values, good, strict=True) if keep] for values in fields]
        table = pa.RecordBatch.from_arrays(
            [columns.text_column([value.decode() for value in values]) for values in kept], schema=schema
        )
        bad_rows = sorted([*malformed, *(fault for fault in bad if fault)], key=lambda fault: fault.row)
        yield Batch(table, rows[good], bad_rows)


def _row_numbers(before: int, count: int, malformed: Sequence[int]) -> npt.NDArray[np.int64]:
    """Number ``count`` well-formed rows that follow ``before`` others, malformed rows having numbers too.

    The k-th malformed row (from 0), numbered m, has m - 1 - k well-formed rows before it.
    """
    places = np.arange(before, before + count, dtype=np.int64)
    numbers = np.array(malformed, np.int64)  # a copy: there may be more of them any moment
    ahead = numbers - 1 - np.arange(len(numbers))
    return places + 1 + np.searchsorted(ahead, places, side="right")


def _after_bom(path: Path) -> Any:
    file = pa.OSFile(str(path))
    if file.read(len(_BOM)) != _BOM:
        file.seek(0)
    return file


def _from_latin_1(column: pa.Array) -> pa.Array:
    """Return the bytes that were read as Latin-1: each character of the column, binary without nulls, becomes one."""
    offsets = np.frombuffer(column.buffers()[1], np.int32)[: column.offset + len(column) + 1]
    data = bytes(column.buffers()[2] or b"")[: offsets[-1]]
    # A character beyond ASCII takes two bytes in UTF-8; the second begins with the bits 10.
    second = np.frombuffer(data, np.uint8) & 0xC0 == 0x80
    shift = np.concatenate([np.zeros(1, np.int32), np.cumsum(second, dtype=np.int32)])
    buffers = [None, pa.py_buffer(offsets - shift[offsets]), pa.py_buffer(data.decode().encode("latin-1"))]
    return pa.Array.from_buffers(pa.binary(), len(column), buffers, offset=column.offset)


def _undecodable(record: Sequence[bytes], names: Sequence[str], row: int) -> BadRow | None:
    for name, value in zip(names, record, strict=True):
        try:
            value.decode()
        except UnicodeDecodeError:
            cells = {name: cell.decode(errors="backslashreplace") for name, cell in zip(names, record, strict=True)}
            return BadRow(row, name, cells[name], f"{name}: not UTF-8 text", json.dumps(cells, ensure_ascii=False))
    return None


def _empty(schema: pa.Schema, names: Sequence[str]) -> pa.RecordBatch:
    fields = [schema.field(name) for name in names]
    return pa.RecordBatch.from_arrays([columns.text_column([]) for _ in fields], schema=pa.schema(fields))
