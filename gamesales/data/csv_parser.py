"""Parsing complete records of a CSV file. A malformed row is rejected and the other rows are read."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa

from gamesales.data.blank_rows import find_empty, move_blank_rows
from gamesales.data.csv_reader import decode_batch, is_utf8, make_batch, read_well_formed, undo_latin_1
from gamesales.data.csv_scan import locate_records
from gamesales.data.dialect import CsvDialect
from gamesales.data.table import Batch, RejectedRow, filter_table, select_columns, sort_rejects
from gamesales.errors import InputError


@dataclass
class CsvParser:
    """Parses the segments of a file. It stops parsing numbers after a few segments with cells that are not numbers.

    Attributes:
        header: all columns of the file, with unique names.
        unnamed: the columns without a name in the file, by their number from 1. Their cells must be empty.
        names: the columns to read.
        numbers: those that may be parsed.
        where: the path of the file, for errors.
    """

    header: Sequence[str]
    unnamed: Mapping[str, int]
    names: Sequence[str]
    numbers: Collection[str]
    dialect: CsvDialect
    where: str
    attempts: int = 3

    def parse(self, data: bytes, rows_before: int, rows: int) -> Batch:
        """Parse complete records.

        Args:
            data: the records, in UTF-8 unless bytes are damaged.
            rows_before: the rows before them in the file.
            rows: how many they are, by the scan.

        Raises:
            InputError: an unnamed column has a value, a cell seems to be a null of another dialect, or the parser
                finds another number of rows than the scan.
            pyarrow.ArrowInvalid: Arrow can't read the records.
        """
        self._require_no_null_marks(data, rows_before)
        batch = self._parse_records(data, rows_before)
        batch = self._drop_unnamed(batch)
        batch = _reject_rows(batch, self._find_faulty_rows(data, rows_before))
        batch = move_blank_rows(batch, self._blank_pattern)
        if batch.row_count != rows:
            raise InputError(
                f"{self.where}: rows {rows_before + 1:,} to {rows_before + rows:,} can't be separated: a scan counts "
                f"{rows:,} records, the parser {batch.row_count:,}",
                hint="Check the quotes and the [csv] settings of the job file",
            )
        return batch if self.dialect.decimal == "." else replace(batch, decimal=self.dialect.decimal)

    @property
    def _columns(self) -> list[str]:
        """The columns that are parsed."""
        return [*self.names, *self.unnamed]

    @cached_property
    def _blank_pattern(self) -> re.Pattern[str]:
        """Matches the text of a row whose cells are all empty."""
        return re.compile(f'(?:"")?(?:{re.escape(self.dialect.delimiter)}(?:"")?)*')

    @cached_property
    def _null_mark(self) -> re.Pattern[bytes]:
        r"""Matches ``\N`` as a cell. MySQL, PostgreSQL and Hive write it for null."""
        edge = re.escape(self.dialect.delimiter.encode() + b"\r\n")
        return re.compile(rb"(?:\A|(?<=[" + edge + rb"]))(\\N)(?=[" + edge + rb"]|\Z)")

    def _require_no_null_marks(self, data: bytes, rows_before: int) -> None:
        r"""Refuse ``\N`` as a cell, unless the dialect says what a backslash means."""
        # Nearly all files have no backslash, and a search for a single byte is much faster.
        if self.dialect.escape is not None or b"\\" not in data or b"\\N" not in data:
            return
        if match := self._null_mark.search(data):
            row = rows_before + 1 + locate_records(data, [match.start(1)], self.dialect)[0]
            raise InputError(
                rf"{self.where}: row {row:,} has a cell \N, which stands for null where backslashes are escapes",
                hint=r'In the job file: [csv] escape = "\\" if they are, escape = "" if they are text',
            )

    def _parse_records(self, data: bytes, rows_before: int) -> Batch:
        if not is_utf8(data):
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
        types = {name: pa.float64() if name in numbers else pa.string() for name in self._columns}
        table, malformed = read_well_formed(data, self.header, types, self.dialect)
        batch = make_batch(table, malformed, rows_before)
        named = [name for name in self.header if name not in self.unnamed]
        if not numbers and set(self.names) == set(named):
            return batch
        all_text = dict.fromkeys(named, pa.string())
        return replace(batch, read_original=lambda: read_well_formed(data, self.header, all_text, self.dialect)[0])

    def _parse_bytes(self, data: bytes, rows_before: int) -> Batch:
        """Parse columns of any bytes as text. A row that is not UTF-8 becomes a malformed row.

        Arrow returns malformed rows as text only. So the bytes are read as Latin-1, where each byte is one character,
        and are converted back to bytes here.
        """
        latin = [name.encode().decode("latin-1") for name in self.header]
        types = dict.fromkeys(latin, pa.binary())
        raw, malformed = read_well_formed(data, latin, types, self.dialect, "latin-1")
        columns = dict(zip(self.header, map(undo_latin_1, raw.columns), strict=True))
        table = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
        batch = decode_batch(table, make_batch(table, malformed, rows_before), self._columns, self.dialect.encoding)
        original = select_columns(batch.table, [name for name in self.header if name not in self.unnamed])
        table = select_columns(batch.table, self._columns)
        return replace(batch, table=table, read_original=lambda: original)

    def _drop_unnamed(self, batch: Batch) -> Batch:
        """Drop the columns without a name, and check that their cells are empty."""
        for name, number in self.unnamed.items():
            filled = ~find_empty(batch.table.column(name))
            if filled.any():
                row = int(batch.rows[int(np.argmax(filled))])
                raise InputError(
                    f"{self.where}: column {number} has no name, but it has a value in row {row:,}",
                    hint="Give the column a name, or leave it out; pandas: to_csv(…, index=False)",
                )
        if batch.table.schema.names == list(self.names):
            return batch
        return replace(batch, table=select_columns(batch.table, self.names))

    def _find_faulty_rows(self, data: bytes, rows_before: int) -> dict[int, str]:
        """Return a reason for each row that has a NUL, or an escape before a character that needs none."""
        faults = dict.fromkeys(_locate(b"\0", data), "a cell has a NUL character")
        escape = self.dialect.escape_byte
        if escape and escape in data:
            special = re.escape(b'"\r\n' + escape + self.dialect.delimiter.encode())
            pattern = re.escape(escape) + b"(?:[" + special + b"]|(.|$))"
            faults |= {
                match.start(): f"the escape character {self.dialect.escape} stands before "
                f"{match[1].decode(errors='backslashreplace')!r}, which needs none"
                for match in re.finditer(pattern, data, re.DOTALL)
                if match[1] is not None
            }
        offsets = sorted(faults)
        rows = locate_records(data, offsets, self.dialect) if offsets else []
        return {rows_before + row + 1: faults[offset] for offset, row in zip(offsets, rows, strict=True)}


def _reject_rows(batch: Batch, reasons: Mapping[int, str]) -> Batch:
    """Move well-formed rows to the malformed rows, with a reason for each row number."""
    mask = np.isin(batch.rows, list(reasons)) if reasons else None
    if mask is None or not mask.any():
        return batch
    table = filter_table(batch.original_text(), mask)
    rejects = [
        RejectedRow(row, "", "", reasons[row], json.dumps(dict(zip(table.schema.names, cells, strict=True))))
        for row, cells in zip(
            batch.rows[mask].tolist(), zip(*(column.to_pylist() for column in table.columns), strict=True), strict=True
        )
    ]
    return replace(batch.keep_rows(~mask), malformed=sort_rejects(batch.malformed, rejects))


def _locate(pattern: bytes, data: bytes) -> list[int]:
    """Return the offsets of a byte."""
    return [match.start() for match in re.finditer(re.escape(pattern), data)] if pattern in data else []
