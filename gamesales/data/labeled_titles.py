"""Titles whose earnings are known.

Training reads them strictly: a network learns from every row, so one bad row stops the work.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gamesales.arrays import FloatArray, IntArray
from gamesales.data.contract import Contract
from gamesales.data.files import escape_surrogates, stamp, unchanged
from gamesales.data.open_table import open_table
from gamesales.data.screen import RejectLimit, require_columns, screen
from gamesales.data.table import BadRow, shorten
from gamesales.errors import InputError

NONE_REJECTED = RejectLimit(rows=0, share=0.0)


@dataclass(frozen=True)
class Titles:
    """Titles whose earnings are known: ``features`` float64 (n, k), ``earnings`` float64 (n,).

    ``rows`` is int64 (n,), their numbers in the file, ascending; those of ``rejected`` are not among them.
    """

    path: Path
    sha256: str
    features: FloatArray
    earnings: FloatArray
    rows: IntArray
    rejected: Sequence[BadRow] = ()

    def __len__(self) -> int:
        return len(self.earnings)

    def take(self, rows: IntArray) -> Titles:
        """Return some of the titles, by their places from 0."""
        return replace(self, features=self.features[rows], earnings=self.earnings[rows], rows=self.rows[rows])

    def as_dict(self) -> dict[str, str | int]:
        """Return what the manifest says of the file."""
        return {"path": escape_surrogates(str(self.path)), "sha256": self.sha256, "rows": len(self)}


def read_titles(path: Path, contract: Contract, limit: RejectLimit = NONE_REJECTED) -> Titles:
    """Read a CSV or Parquet file of titles and their earnings.

    Args: limit: how many rows may break the contract, and be left out.
    Raises: InputError: no rows, or more rows that break the contract; the first few are named. ColumnsError: columns
        are missing or hold no numbers.
    """
    since = stamp(path) if path.exists() else (0, 0)
    table = open_table(path)
    columns = [*contract.features, contract.target]
    require_columns(str(path), table.schema, columns)
    parts, numbers, rejected = [], [], list[BadRow]()
    with unchanged(path, since):
        for batch in table.batches([column.name for column in columns]):
            screened = screen(batch, columns)
            parts.append(screened.values)
            numbers.append(batch.rows[screened.accepted])
            rejected += screened.rejected
        rows = table.count_rows()
        digest = digest_of(path)
    values = np.concatenate(parts) if parts else np.empty((0, len(columns)))
    if rows != len(values) + len(rejected):
        raise InputError(f"{path} has {rows:,} rows, but {len(values) + len(rejected):,} could be read")
    if len(rejected) > limit.allowed(rows):
        raise InputError(
            f"{path} has {len(rejected):,} rows that break the contract{_beyond(limit, rows)}: {shorten(rejected)}",
            hint="Mend or remove these rows; see docs/contract.md",
        )
    if not len(values):
        raise InputError(f"{path} has no rows; expected titles and their earnings")
    return Titles(path, digest, values[:, :-1], values[:, -1], np.concatenate(numbers), rejected)


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _beyond(limit: RejectLimit, rows: int) -> str:
    return f", of {rows:,}; {limit.allowed(rows):,} may" if limit.allowed(rows) else ""
