"""The interface of an open table, and the batches of rows that it reads.

Row numbers start at 1. The header and the empty lines of a CSV file are not rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa

from gamesales.arrays import BoolArray, IntArray
from gamesales.data.arrow import keep_rows

if TYPE_CHECKING:
    from gamesales.data.remote_file import TablePath

_SHOWN_REJECTS = 5


@dataclass(frozen=True)
class RejectedRow:
    """A row that can't be used: its number, the faulty cell, the reason, and all its cells.

    ``record`` is the row as JSON, or the text of a malformed CSV row.
    """

    row: int
    column: str
    value: str
    reason: str
    record: str


@dataclass(frozen=True)
class Batch:
    """Consecutive rows of a file.

    Attributes:
        table: the well-formed rows.
        rows: int64 (n,), the numbers of the well-formed rows.
        malformed: the rows that can't be read as cells, in row order.
        blank: the numbers of the rows whose cells are all empty, as spreadsheets write them, ascending.
        decimal: the decimal mark of numbers that are still text.
        read_original: reads the well-formed rows again with the text that the file has. None if ``table`` is not
            parsed.
    """

    table: pa.RecordBatch
    rows: IntArray
    malformed: Sequence[RejectedRow] = ()
    read_original: Callable[[], pa.RecordBatch] | None = None
    blank: Sequence[int] = ()
    decimal: str = "."

    @property
    def row_count(self) -> int:
        """All rows of the batch: well-formed, malformed and blank."""
        return len(self.rows) + len(self.malformed) + len(self.blank)

    def original_text(self) -> pa.RecordBatch:
        """Return the well-formed rows as the file has them."""
        return self.table if self.read_original is None else self.read_original()

    def slice_rows(self, start: int, stop: int) -> Batch:
        """Return the rows numbered ``start + 1`` to ``stop``."""
        if self._lies_in(start, stop):
            return self
        first, last = np.searchsorted(self.rows, [start, stop], side="right")
        read_original = self.read_original
        return replace(
            self,
            table=self.table.slice(first, last - first),
            rows=self.rows[first:last],
            malformed=[row for row in self.malformed if start < row.row <= stop],
            blank=[row for row in self.blank if start < row <= stop],
            read_original=None if read_original is None else lambda: read_original().slice(first, last - first),
        )

    def keep_rows(self, mask: BoolArray) -> Batch:
        """Keep the well-formed rows where ``mask``, bool (n,), is True."""
        read = self.read_original
        return replace(
            self,
            table=filter_table(self.table, mask),
            rows=self.rows[mask],
            read_original=None if read is None else lambda: filter_table(read(), mask),
        )

    def _lies_in(self, start: int, stop: int) -> bool:
        numbers = [*self.rows[:1], *self.rows[-1:], *(row.row for row in self.malformed), *self.blank]
        return all(start < number <= stop for number in numbers)


@dataclass(frozen=True)
class LineCounts:
    """The lines of a text file, and its records, header included. ``multiline`` records have a line break in a cell."""

    lines: int
    records: int
    multiline: int


class TableFile(Protocol):
    """An open table: its columns are read, its rows are still on disk."""

    @property
    def path(self) -> TablePath:
        """The path of the file."""

    @property
    def schema(self) -> pa.Schema:
        """The columns and their types."""

    def count_rows(self) -> int:
        """Count the rows, malformed rows included, without the parser of ``read_batches``.

        Raises:
            InputError: the file ends inside a quoted field.
        """

    def count_lines(self) -> LineCounts | None:
        """Count the lines of a text file, empty lines and the header included. None for a binary file."""

    def rows_per_segment(self) -> Sequence[int]:
        """Return the rows of each segment, in file order. A segment can be read without the segments before it."""

    def read_batches(
        self, names: Sequence[str], start: int = 0, stop: int | None = None, numbers: Collection[str] = ()
    ) -> Iterator[Batch]:
        """Read rows in file order. Memory does not grow with the number of rows.

        Args:
            names: the columns to read, in this order.
            start: the number of rows to skip.
            stop: the number of the last row. None: the last row of the file.
            numbers: the columns that may be parsed, if all their cells in a batch are numbers.

        Yields:
            Batches of consecutive rows.

        Raises:
            InputError: the file is damaged.
        """


def filter_table(table: pa.RecordBatch, mask: BoolArray) -> pa.RecordBatch:
    """Return the rows where ``mask``, bool (n,), is True."""
    columns = [keep_rows(column, mask) for column in table.columns]
    return pa.RecordBatch.from_arrays(columns, names=table.schema.names)


def select_columns(table: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
    """Return columns in the order of ``names``."""
    return pa.RecordBatch.from_arrays([table.column(name) for name in names], names=list(names))


def sort_rejects(*rejects: Sequence[RejectedRow]) -> list[RejectedRow]:
    """Join rejects in row order."""
    return sorted((row for rows in rejects for row in rows), key=lambda row: row.row)


@dataclass(frozen=True)
class WrappedTable:
    """A table that has the rows of another table, with other columns."""

    table: TableFile

    @property
    def path(self) -> TablePath:
        return self.table.path

    def count_rows(self) -> int:
        return self.table.count_rows()

    def count_lines(self) -> LineCounts | None:
        return self.table.count_lines()

    def rows_per_segment(self) -> Sequence[int]:
        return self.table.rows_per_segment()


def summarize_rejects(rejected: Sequence[RejectedRow]) -> str:
    """Describe the first few rejects in a sentence, and count the others."""
    reasons = "; ".join(f"row {row.row}: {row.reason}" for row in rejected[:_SHOWN_REJECTS])
    others = len(rejected) - _SHOWN_REJECTS
    return f"{reasons}; and {others:,} more" if others > 0 else reasons


def format_on_one_line(error: Exception) -> str:
    """Format the message of an error without its line breaks."""
    return " ".join(str(error).split())
