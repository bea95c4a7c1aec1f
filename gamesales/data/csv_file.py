"""Reading CSV batch by batch, as text: a cell which is no number spoils its row and not its file, and 007 stays 007."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gamesales.data import columns
from gamesales.data.batches import BadRow, Batch, one_line
from gamesales.data.csv_scan import scan_csv
from gamesales.errors import InputError

# Text of about as many rows as a Parquet batch has.
_BLOCK_BYTES = 4 << 20
_HEADER_BYTES = 1 << 20


@dataclass
class CsvFile:
    """A CSV file in UTF-8, comma-separated, with a header; every column is text."""

    path: Path
    schema: pa.Schema = field(init=False)
    _header_only: bool = field(init=False)

    def __post_init__(self) -> None:
        self.schema = pa.schema([(name, pa.string()) for name in self._header()])

    def count_rows(self) -> int:
        scan = scan_csv(self.path)
        if scan.ends_in_quotes:
            raise InputError(
                f"{self.path} ends inside a quoted field: a quote that opens in row {scan.records - 1} is never closed",
                hint="Close or remove the quote; rows after it can't be told apart",
            )
        return scan.records - 1

    def batches(self, names: Sequence[str]) -> Iterator[Batch]:
        if self._header_only:
            return  # Arrow refuses a header without a line break
        malformed: list[BadRow] = []
        for raw, rows in self._numbered(malformed):
            ahead = [bad for bad in malformed if len(rows) and bad.row > rows[-1]]
            yield from self._decoded(raw.select(list(names)), rows, malformed[: len(malformed) - len(ahead)])
            malformed[:] = ahead
        if malformed:
            yield Batch(_empty(self.schema, names), np.empty(0, np.int64), tuple(malformed))

    def _numbered(self, malformed: list[BadRow]) -> Iterator[tuple[pa.RecordBatch, npt.NDArray[np.int64]]]:
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
            yield raw, _row_numbers(well_formed, len(raw), numbers)
            well_formed += len(raw)

    def _header(self) -> list[str]:
        with self.path.open("rb") as file:
            head = file.read(_HEADER_BYTES)
        if not head:
            raise InputError(f"{self.path} is empty; expected a header line with column names")
        try:
            # A chunk may end inside a character; only what the header holds matters here.
            text = head.decode("utf-8-sig", "strict" if len(head) < _HEADER_BYTES else "ignore")
        except UnicodeDecodeError as error:
            text = head[: error.start].decode("utf-8-sig", "ignore")
            if "\n" not in text:
                raise self._not_text() from None
        if "\0" in text:
            raise self._not_text()
        self._header_only = len(head) < _HEADER_BYTES and not text.strip("\r\n").count("\n")
        header = next(csv.reader(io.StringIO(text, newline="")), [])
        if not any(header):
            raise InputError(f"{self.path} has no header; expected a first line with column names")
        return header

    def _not_text(self) -> InputError:
        return InputError(
            f"{self.path} is not a CSV file in UTF-8: it holds other bytes than text",
            hint="Save it as CSV in UTF-8",
        )

    def _reader(self, malformed: list[BadRow], numbers: list[int]) -> Any:
        from pyarrow import csv as arrow_csv

        def keep(row: arrow_csv.InvalidRow) -> str:
            reason = f"expected {row.expected_columns} fields, found {row.actual_columns}"
            numbers.append(row.number - 1)
            malformed.append(BadRow(row.number - 1, "", "", reason, row.text))
            return "skip"

        try:
            return arrow_csv.open_csv(
                self.path,
                # One thread: with more, Arrow does not number malformed rows.
                read_options=arrow_csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
                parse_options=arrow_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=keep),
                convert_options=arrow_csv.ConvertOptions(
                    column_types={name: pa.binary() for name in self.schema.names}, strings_can_be_null=False
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
        yield Batch(table, rows[good], [*malformed, *(fault for fault in bad if fault)])


def _row_numbers(before: int, count: int, malformed: Sequence[int]) -> npt.NDArray[np.int64]:
    """Number ``count`` well-formed rows that follow ``before`` others, malformed rows having numbers too.

    The k-th malformed row (from 0), numbered m, has m - 1 - k well-formed rows before it.
    """
    places = np.arange(before, before + count, dtype=np.int64)
    ahead = np.asarray(malformed, np.int64) - 1 - np.arange(len(malformed))
    return places + 1 + np.searchsorted(ahead, places, side="right")


def _undecodable(record: Sequence[bytes], names: Sequence[str], row: int) -> BadRow | None:
    for name, value in zip(names, record, strict=True):
        try:
            value.decode()
        except UnicodeDecodeError:
            shown = value.decode(errors="backslashreplace")
            line = ",".join(cell.decode(errors="backslashreplace") for cell in record)
            return BadRow(row, name, shown, f"{name}: not UTF-8 text", line)
    return None


def _empty(schema: pa.Schema, names: Sequence[str]) -> pa.RecordBatch:
    fields = [schema.field(name) for name in names]
    return pa.RecordBatch.from_arrays([columns.text_column([]) for _ in fields], schema=pa.schema(fields))
