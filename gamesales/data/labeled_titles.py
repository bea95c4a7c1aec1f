"""Titles whose earnings are known, for training and evaluation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gamesales.arrays import FloatArray, IntArray
from gamesales.data.categories import choose_values, count_categories
from gamesales.data.contract import Column, Contract
from gamesales.data.dialect import DEFAULT_FORMAT, TableFormat
from gamesales.data.files import escape_surrogates, hash_file, read_stamp, require_unchanged
from gamesales.data.open_table import open_table
from gamesales.data.screen import RejectLimit, require_columns, screen
from gamesales.data.table import RejectedRow, summarize_rejects
from gamesales.errors import InputError

if TYPE_CHECKING:
    from gamesales.data.remote_file import TablePath

# The default: a network learns from every row, so a single bad row is an error.
NO_REJECTS = RejectLimit(rows=0, share=0.0)
# A network has a weight for each value of a category and each unit of its first layer.
MOST_VALUES = 20_000


@dataclass(frozen=True)
class LabeledTitles:
    """The titles of a file, with their earnings.

    Attributes:
        path: the file, on a disk or in an object store.
        features: float64 (n, k), with categories as codes and dates as days. NaN is a missing cell.
        earnings: float64 (n,).
        rows: int64 (n,), the row numbers of the titles, ascending.
        rejected: the rows that broke the contract.
        table_format: how the file is written.
    """

    path: TablePath
    sha256: str
    features: FloatArray
    earnings: FloatArray
    rows: IntArray
    rejected: Sequence[RejectedRow] = ()
    table_format: TableFormat = DEFAULT_FORMAT

    def __len__(self) -> int:
        return len(self.earnings)

    def take(self, rows: IntArray) -> LabeledTitles:
        """Return the titles at some indices, counted from 0."""
        return replace(self, features=self.features[rows], earnings=self.earnings[rows], rows=self.rows[rows])

    def as_dict(self) -> dict[str, Any]:
        """Return the entry of the file in a manifest."""
        entry = {"path": escape_surrogates(str(self.path)), "sha256": self.sha256, "rows": len(self)}
        return entry | self.table_format.describe()


def learn_categories(path: TablePath, contract: Contract, table_format: TableFormat = DEFAULT_FORMAT) -> Contract:
    """Return a contract in which each category has values: the values in the contract, or else the values in a file.

    Raises:
        ColumnsError: columns are missing, or their types do not fit.
        InputError: a category has too many values.
    """
    columns = [column for column in contract.features if column.kind == "category" and not column.values]
    if not columns:
        return contract
    table = open_table(path, table_format)
    require_columns(str(path), table.schema, columns)
    counts = {column.name: Counter[str]() for column in columns}
    for batch in table.read_batches(list(counts)):
        for name, counter in counts.items():
            counter.update(count_categories(batch.table.column(name), contract.missing_values))
    learned = {column.name: _learn_values(path, column, counts[column.name]) for column in columns}
    return replace(contract, features=tuple(learned.get(column.name, column) for column in contract.features))


def _learn_values(path: TablePath, column: Column, counts: Counter[str]) -> Column:
    values = choose_values(counts, column.min_count)
    if len(values) > MOST_VALUES:
        raise InputError(
            f"{path}: the category {column.name} has {len(values):,} values in {column.min_count} or more rows each, "
            f"expected at most {MOST_VALUES:,}",
            hint=f"Raise min_count of {column.name} in the contract, or remove the column from its features",
        )
    return replace(column, values=values)


def read_titles(
    path: TablePath, contract: Contract, limit: RejectLimit = NO_REJECTS, table_format: TableFormat = DEFAULT_FORMAT
) -> LabeledTitles:
    """Read a CSV or Parquet file of titles and their earnings.

    Rows that break the contract are left out, up to ``limit``, and so are rows without any value.

    Raises:
        ColumnsError: columns are missing, or their types do not fit.
        InputError: the file has no rows, or too many rows break the contract. The message names the first few.
        TryAgainError: the file was changed while it was read.
    """
    stamp = read_stamp(path) if path.exists() else (0, 0)
    table = open_table(path, table_format)
    columns = [*contract.features, contract.target]
    require_columns(str(path), table.schema, columns)
    names, numbers = [column.name for column in columns], [*contract.number_names, contract.target.name]
    values_of_batches, rows_of_batches, rejected, blank = [], [], list[RejectedRow](), 0
    with require_unchanged(path, stamp):
        for batch in table.read_batches(names, numbers=numbers):
            screened = screen(batch, columns, missing_values=contract.missing_values)
            values_of_batches.append(screened.values)
            rows_of_batches.append(batch.rows[screened.accepted])
            rejected += screened.rejected
            blank += len(batch.blank)
        total = table.count_rows() - blank
        digest = hash_file(path)
    values = np.concatenate(values_of_batches) if values_of_batches else np.empty((0, len(columns)))
    if total != len(values) + len(rejected):
        raise InputError(f"{path} has {total:,} rows, but {len(values) + len(rejected):,} could be read")
    if len(rejected) > limit.allowed(total):
        raise InputError(
            f"{path}: {len(rejected):,} of {total:,} rows break the contract, "
            f"more than the {limit.allowed(total):,} allowed: {summarize_rejects(rejected)}",
            hint="Correct or remove these rows; see docs/reference/contract.md",
        )
    if not len(values):
        raise InputError(f"{path} has no rows; expected titles and their earnings")
    rows = np.concatenate(rows_of_batches)
    return LabeledTitles(path, digest, values[:, :-1], values[:, -1], rows, rejected, table_format)
