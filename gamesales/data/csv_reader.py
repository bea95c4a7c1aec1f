"""Arrow's reader of CSV: the well-formed rows of complete records, and why the other rows are malformed."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

import numpy as np
import pyarrow as pa

from gamesales.arrays import IntArray
from gamesales.data.arrow import make_text_column
from gamesales.data.dialect import CsvDialect
from gamesales.data.table import Batch, RejectedRow, sort_rejects

# The number of a row in the parsed data, the reason, and the text of the row.
MalformedRow = tuple[int, str, str]


def is_utf8(data: bytes) -> bool:
    """Return whether bytes are valid UTF-8."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def read_well_formed(
    data: bytes, header: Sequence[str], types: dict[str, pa.DataType], dialect: CsvDialect, encoding: str = "utf-8"
) -> tuple[pa.RecordBatch, Sequence[MalformedRow]]:
    """Read the columns of ``types`` from the well-formed rows as one batch.

    Text columns are not checked: ``data`` is valid in ``encoding``.
    """
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
        parse_options=csv.ParseOptions(
            delimiter=dialect.delimiter,
            escape_char=dialect.escape or False,
            newlines_in_values=True,
            invalid_row_handler=skip_malformed,
        ),
        convert_options=csv.ConvertOptions(
            column_types=types,
            include_columns=list(types),
            check_utf8=False,
            strings_can_be_null=False,
            null_values=[""],
            decimal_point=dialect.decimal,
        ),
    )
    batches = [batch for batch in reader if len(batch)]
    if batches:
        return batches[0], malformed
    columns = [make_text_column([]).cast(arrow_type) for arrow_type in types.values()]
    return pa.RecordBatch.from_arrays(columns, names=list(types)), malformed


def make_batch(table: pa.RecordBatch, malformed: Sequence[MalformedRow], rows_before: int) -> Batch:
    """Make the batch of a table and its malformed rows, with ``rows_before`` rows before them in the file."""
    rejects = [RejectedRow(rows_before + number, "", "", reason, text) for number, reason, text in malformed]
    rows = rows_before + _number_rows(len(table), [number for number, _, _ in malformed])
    return Batch(table, rows, rejects)


def _number_rows(count: int, malformed: Sequence[int]) -> IntArray:
    """Number ``count`` well-formed rows from 1, without the numbers of the malformed rows.

    The k-th malformed row (from 0), numbered m, has m - 1 - k well-formed rows before it.
    """
    if not malformed:
        return np.arange(1, count + 1)
    indices = np.arange(count, dtype=np.int64)
    well_formed_before = np.array(malformed, np.int64) - 1 - np.arange(len(malformed))
    return indices + 1 + np.searchsorted(well_formed_before, indices, side="right")


def decode_batch(raw: pa.RecordBatch, batch: Batch, checked: Collection[str], encoding: str) -> Batch:
    """Decode columns of bytes. A row becomes a malformed row if it is not UTF-8 in a column of ``checked``."""
    columns = [column.to_pylist() for column in raw.columns]
    names = raw.schema.names
    rejects = [
        _reject_undecodable(cells, names, int(row), checked, encoding)
        for cells, row in zip(zip(*columns, strict=True), batch.rows, strict=True)
    ]
    good = np.array([reject is None for reject in rejects], bool)
    kept = [[cell for cell, is_good in zip(cells, good, strict=True) if is_good] for cells in columns]
    table = pa.RecordBatch.from_arrays(
        [make_text_column([cell.decode(errors="backslashreplace") for cell in cells]) for cells in kept], names=names
    )
    return Batch(table, batch.rows[good], sort_rejects(batch.malformed, [reject for reject in rejects if reject]))


def _reject_undecodable(
    cells: Sequence[bytes], names: Sequence[str], row: int, checked: Collection[str], encoding: str
) -> RejectedRow | None:
    """Return a reject if a cell of the columns ``checked`` is not UTF-8, otherwise None."""
    for name, cell in zip(names, cells, strict=True):
        if name in checked and not is_utf8(cell):
            texts = [other.decode(errors="backslashreplace") for other in cells]
            record = dict(zip(names, texts, strict=True))
            return RejectedRow(
                row,
                name,
                record[name],
                f"{name}: not {encoding.upper()} text",
                json.dumps(record, ensure_ascii=False),
            )
    return None


def undo_latin_1(column: pa.Array) -> pa.Array:
    """Convert a binary column without nulls back to the bytes that were read as Latin-1, one for each character."""
    offsets = np.frombuffer(column.buffers()[1], np.int32)[: column.offset + len(column) + 1]
    data = bytes(column.buffers()[2] or b"")[: offsets[-1]]
    # A character outside ASCII takes two bytes in UTF-8. The second byte begins with the bits 10.
    second = np.frombuffer(data, np.uint8) & 0xC0 == 0x80
    shift = np.concatenate([np.zeros(1, np.int32), np.cumsum(second, dtype=np.int32)])
    buffers = [None, pa.py_buffer(offsets - shift[offsets]), pa.py_buffer(data.decode().encode("latin-1"))]
    return pa.Array.from_buffers(pa.binary(), len(column), buffers, offset=column.offset)
