"""Rows of a table on their way through: batches of well-formed rows, and the rows that can't be used.

Rows count from 1; a CSV's header and its empty lines are not rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa


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
    """

    table: pa.RecordBatch
    rows: npt.NDArray[np.int64]
    malformed: Sequence[BadRow] = ()


class TableFile(Protocol):
    """One open table: its columns are known, its rows still on disk."""

    path: Path
    schema: pa.Schema

    def count_rows(self) -> int:
        """Count the rows, malformed ones included, without the parser that ``batches`` uses.

        Raises: InputError: the file ends inside a quoted field.
        """

    def batches(self, names: Sequence[str]) -> Iterator[Batch]:
        """Read the named columns of all rows, in file order; memory does not grow with the file.

        Raises: InputError: the file turns out to be damaged.
        """


def shorten(rejected: Sequence[BadRow], shown: int = 5) -> str:
    """Tell the first few bad rows in words, and how many more there are."""
    told = "; ".join(f"row {bad.row}: {bad.reason}" for bad in rejected[:shown])
    return told + (f"; and {len(rejected) - shown:,} more" if len(rejected) > shown else "")


def one_line(error: Exception) -> str:
    """Return an error's message without its line breaks."""
    return " ".join(str(error).split())
