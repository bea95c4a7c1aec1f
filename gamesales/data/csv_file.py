"""Reading CSV, compressed or not: a cell which is no number spoils its row and not its file, and 007 stays 007."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gamesales.arrays import IntArray
from gamesales.data.arrow import text_column
from gamesales.data.csv_scan import CsvScan, scan_csv
from gamesales.data.table import BadRow, Batch, one_line
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


def is_utf8(data: bytes) -> bool:
    """Tell whether bytes are text in UTF-8."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def parse_numbers(
    data: bytes, header: Sequence[str], names: Sequence[str], numbers: Collection[str], before: int
) -> Batch:
    """Parse the named columns of UTF-8, those in ``numbers`` as float64; an empty cell of theirs is null.

    Args: before: the rows of the file before these.
    Raises: pyarrow.ArrowInvalid: a cell of ``numbers`` is none; ``parse_text`` copes.
    """
    types = {name: pa.float64() if name in numbers else pa.string() for name in names}
    malformed: list[tuple[int, str, str]] = []
    table = _read(data, header, names, types, "utf-8", malformed)
    return _batch(table, malformed, before, text=lambda: parse_text(data, header, header, before).table)


def parse_text(data: bytes, header: Sequence[str], names: Sequence[str], before: int) -> Batch:
    """Parse the named columns of UTF-8 as text, each cell as it stands."""
    malformed: list[tuple[int, str, str]] = []
    table = _read(data, header, names, dict.fromkeys(names, pa.string()), "utf-8", malformed)
    return _batch(table, malformed, before, text=_all_columns(data, header, names, before))


def parse_bytes(data: bytes, header: Sequence[str], names: Sequence[str], before: int) -> Batch:
    """Parse the named columns of any bytes as text; a row that is none in UTF-8 becomes a malformed one.

    Arrow hands malformed rows over as text only, so the bytes are read as Latin-1, where each byte is a character and
    none is lost, and turned back into bytes here.
    """
    malformed: list[tuple[int, str, str]] = []
    latin = [name.encode().decode("latin-1") for name in header]
    raw = _read(data, latin, latin, dict.fromkeys(latin, pa.binary()), "latin-1", malformed)
    columns = dict(zip(header, map(_from_latin_1, raw.columns), strict=True))
    selected = pa.RecordBatch.from_arrays([columns[name] for name in names], names=list(names))
    return _decoded(selected, _batch(selected, malformed, before))


def _all_columns(
    data: bytes, header: Sequence[str], names: Sequence[str], before: int
) -> Callable[[], pa.RecordBatch] | None:
    """Return what reads all columns where only some were read."""
    if set(names) == set(header):
        return None
    return lambda: parse_text(data, header, header, before).table


def _read(
    data: bytes,
    header: Sequence[str],
    names: Sequence[str],
    types: dict[str, pa.DataType],
    encoding: str,
    malformed: list[tuple[int, str, str]],
) -> pa.RecordBatch:
    """Read well-formed rows as one batch; the others go to ``malformed``: number among these rows, reason, text."""
    from pyarrow import csv

    def keep(row: csv.InvalidRow) -> str:
        reason = f"expected {row.expected_columns} fields, found {row.actual_columns}"
        malformed.append((row.number, reason, row.text.encode(encoding).decode(errors="backslashreplace")))
        return "skip"

    reader = csv.open_csv(
        pa.BufferReader(data),
        # One thread: with more, Arrow does not number malformed rows. One block, though Latin-1 takes up to two bytes a
        # character once it is UTF-8: a batch is cut by the scan alone.
        read_options=csv.ReadOptions(
            use_threads=False, block_size=2 * len(data) + 1, column_names=list(header), encoding=encoding
        ),
        parse_options=csv.ParseOptions(newlines_in_values=True, invalid_row_handler=keep),
        convert_options=csv.ConvertOptions(
            column_types=types, include_columns=list(names), strings_can_be_null=False, null_values=[""]
        ),
    )
    batches = [batch for batch in reader if len(batch)]
    return batches[0] if batches else _empty(types, names)


def _batch(table: pa.RecordBatch, malformed: Sequence[tuple[int, str, str]], before: int, **more: Any) -> Batch:
    bad = [BadRow(before + number, "", "", reason, text) for number, reason, text in malformed]
    rows = before + _row_numbers(len(table), [number for number, _, _ in malformed])
    return Batch(table, rows, bad, **more)


def _row_numbers(count: int, malformed: Sequence[int]) -> IntArray:
    """Number ``count`` well-formed rows from 1, malformed rows having numbers too.

    The k-th malformed row (from 0), numbered m, has m - 1 - k well-formed rows before it.
    """
    places = np.arange(count, dtype=np.int64)
    ahead = np.array(malformed, np.int64) - 1 - np.arange(len(malformed))
    return places + 1 + np.searchsorted(ahead, places, side="right")


def _decoded(raw: pa.RecordBatch, batch: Batch) -> Batch:
    """Turn bytes into text; a row with bytes that are not UTF-8 becomes a malformed one."""
    fields = [column.to_pylist() for column in raw.columns]
    bad = [
        _undecodable(record, raw.schema.names, int(row))
        for record, row in zip(zip(*fields, strict=True), batch.rows, strict=True)
    ]
    good = np.array([fault is None for fault in bad], bool)
    kept = [[value for value, keep in zip(values, good, strict=True) if keep] for values in fields]
    table = pa.RecordBatch.from_arrays(
        [text_column([value.decode() for value in values]) for values in kept], names=raw.schema.names
    )
    bad_rows = sorted([*batch.malformed, *(fault for fault in bad if fault)], key=lambda fault: fault.row)
    return Batch(table, batch.rows[good], bad_rows)


def _undecodable(record: Sequence[bytes], names: Sequence[str], row: int) -> BadRow | None:
    for name, value in zip(names, record, strict=True):
        try:
            value.decode()
        except UnicodeDecodeError:
            cells = {name: cell.decode(errors="backslashreplace") for name, cell in zip(names, record, strict=True)}
            return BadRow(row, name, cells[name], f"{name}: not UTF-8 text", json.dumps(cells, ensure_ascii=False))
    return None


def _from_latin_1(column: pa.Array) -> pa.Array:
    """Return the bytes that were read as Latin-1: each character of the column, binary without nulls, becomes one."""
    offsets = np.frombuffer(column.buffers()[1], np.int32)[: column.offset + len(column) + 1]
    data = bytes(column.buffers()[2] or b"")[: offsets[-1]]
    # A character beyond ASCII takes two bytes in UTF-8; the second begins with the bits 10.
    second = np.frombuffer(data, np.uint8) & 0xC0 == 0x80
    shift = np.concatenate([np.zeros(1, np.int32), np.cumsum(second, dtype=np.int32)])
    buffers = [None, pa.py_buffer(offsets - shift[offsets]), pa.py_buffer(data.decode().encode("latin-1"))]
    return pa.Array.from_buffers(pa.binary(), len(column), buffers, offset=column.offset)


def _empty(types: dict[str, pa.DataType], names: Sequence[str]) -> pa.RecordBatch:
    columns = [text_column([]).cast(types[name]) for name in names]
    return pa.RecordBatch.from_arrays(columns, names=list(names))
