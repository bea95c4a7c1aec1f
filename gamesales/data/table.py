"""Rows of a table on their way through: batches of well-formed rows, and the rows that can't be used.

Rows count from 1; a CSV's header and its empty lines are not rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa

from gamesales.arrays import IntArray


@dataclass(frozen=True)
class BadRow:
    """A row that can't be scored: where it stands, what is wrong, and all of it as it was read."""

    row: int
    column: str
    value: str
    reason: str
    record: str


@dataclass(frozen=True)
class Batch:
    """Some consecutive rows of a file.

    ``table`` holds the well-formed rows and ``rows`` their numbers, int64 (n,); ``malformed`` the others, in order.
    ``text`` reads the same rows once more as the file has them, where ``table`` holds numbers parsed from text.
    """

    table: pa.RecordBatch
    rows: IntArray
    malformed: Sequence[BadRow] = ()
    text: Callable[[], pa.RecordBatch] | None = None

    def as_read(self) -> pa.RecordBatch:
        """Return the well-formed rows as the file has them."""
        return self.table if self.text is None else self.text()

    def between(self, start: int, stop: int) -> Batch:
        """Return the rows numbered ``start + 1`` to ``stop``."""
        if self._lies_in(start, stop):
            return self
        first, last = np.searchsorted(self.rows, [start, stop], side="right")
        text = self.text
        return replace(
            self,
            table=self.table.slice(first, last - first),
            rows=self.rows[first:last],
            malformed=[bad for bad in self.malformed if start < bad.row <= stop],
            text=None if text is None else lambda: text().slice(first, last - first),
        )

    def _lies_in(self, start: int, stop: int) -> bool:
        numbers = [*self.rows[:1], *self.rows[-1:], *(bad.row for bad in self.malformed)]
        return all(start < number <= stop for number in numbers)


class TableFile(Protocol):
    """One open table: its columns are known, its rows still on disk."""

    @property
    def path(self) -> Path:
        """Where it lies."""

    @property
    def schema(self) -> pa.Schema:
        """Its columns."""

    def count_rows(self) -> int:
        """Count the rows, malformed ones included, without the parser that ``batches`` uses.

        Raises: InputError: the file ends inside a quoted field.
        """

    def units(self) -> Sequence[int]:
        """Return the rows of each stretch that can be read without what comes before it, in file order."""

    def batches(
        self, names: Sequence[str], start: int = 0, stop: int | None = None, numbers: Collection[str] = ()
    ) -> Iterator[Batch]:
        """Read the named columns of the rows ``start + 1`` to ``stop``, in file order, in memory that does not grow.

        Args: numbers: the columns that may come parsed, where every cell of a batch is a number.
        Raises: InputError: the file turns out to be damaged.
        """


def shorten(rejected: Sequence[BadRow], shown: int = 5) -> str:
    """Tell the first few bad rows in words, and how many more there are."""
    told = "; ".join(f"row {bad.row}: {bad.reason}" for bad in rejected[:shown])
    return told + (f"; and {len(rejected) - shown:,} more" if len(rejected) > shown else "")


def one_line(error: Exception) -> str:
    """Return an error's message without its line breaks."""
    return " ".join(str(error).split())
