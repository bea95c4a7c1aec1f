"""Screening the rows of a batch against the contract, and limiting the number of rejects.

A cell passes if it is present, is a finite number, and is in the allowed range. Text is parsed. In a flag column, the
words true and false are 1 and 0. A category becomes a code, and a date becomes days. A missing cell that the contract
accepts becomes NaN, or the code of missing categories. A cell that fails rejects its row and no other row.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from gamesales.arrays import BoolArray, FloatArray
from gamesales.data.arrow import (
    Numbers,
    convert_to_json,
    convert_to_numbers,
    keep_rows,
    may_be_text,
    swap_decimal_marks,
)
from gamesales.data.categories import encode_categories, explain_code, holds_categories
from gamesales.data.contract import Column
from gamesales.data.dates import holds_dates, read_dates
from gamesales.data.table import Batch, RejectedRow
from gamesales.errors import ColumnsError, UsageError

# The network computes in float32, where a larger number is infinity.
_LARGEST = float(np.finfo(np.float32).max)
COLUMNS_HINT = "See docs/reference/contract.md for the columns that a table of titles has"
# A message shows at most this many rejects.
SHOWN_REJECTS = 3
_NUMERIC: tuple[Callable[[pa.DataType], bool], ...] = (
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_null,
)
_NOT_A_NUMBER = "not a number"
_SWAPPED_MARKS = str.maketrans(".,", ",.")
# The types that hold values of a kind, and their name in a message. Other kinds are numbers.
_TYPES_OF_KIND = {"category": (holds_categories, "text or whole numbers"), "date": (holds_dates, "dates or text")}
# Numbers with a decimal mark that the file is not expected to have, as they stand in the job file.
_DECIMAL_MARKS = (
    ("comma", ",", re.compile(r"[+-]?\d{1,3}([. ']?\d{3})*,\d+|[+-]?\d+,\d+")),
    ("point", ".", re.compile(r"[+-]?\d{1,3}([, ']?\d{3})*\.\d+|[+-]?\d+\.\d+")),
)
# A column as numbers (n,), and which of its cells are missing, bool (n,).
Cells = tuple[Numbers, BoolArray]
# The smallest and the largest value of a column, without missing cells; inf and -inf if all cells are missing.
Extremes = tuple[float, float]
_RECORD = json.JSONEncoder(ensure_ascii=False, default=str)


@dataclass(frozen=True)
class ScreenedBatch:
    """A batch after screening.

    Attributes:
        columns: a (m,) array of numbers for each column of the contract, with the m accepted rows.
        accepted: bool (n,), True for the accepted rows among the n well-formed rows of the batch.
        rejected: the rejects in row order, malformed rows included.
        extremes: the smallest and the largest value of each column, if they are known; otherwise empty.
    """

    columns: Sequence[Numbers]
    accepted: BoolArray
    rejected: Sequence[RejectedRow]
    extremes: Sequence[Extremes] = ()

    @property
    def values(self) -> FloatArray:
        """The columns as a matrix, float64 (m, k)."""
        return np.column_stack([column.astype(np.float64) for column in self.columns])


def find_column_faults(where: str, schema: pa.Schema, columns: Sequence[Column]) -> list[str]:
    """Describe the missing columns of a file at ``where``, and the columns whose type does not fit their kind."""
    missing = [column.name for column in columns if column.name not in schema.names]
    faults = []
    if missing:
        present = ", ".join(schema.names[:30]) + (", …" if len(schema.names) > 30 else "")
        from gamesales.data.column_hints import find_cause

        cause = find_cause(schema.names, missing)
        likely = f"; {cause.words}" if cause else ""
        faults.append(f"{where} lacks {', '.join(missing)} (it has {present}){likely}")
    for column in columns:
        if column.name not in missing and not may_hold(arrow_type := schema.field(column.name).type, column):
            _, expected = _TYPES_OF_KIND.get(column.kind, (None, "numbers"))
            faults.append(f"{where}: {column.name} has type {arrow_type}, expected {expected}")
    return faults


def may_hold(arrow_type: pa.DataType, column: Column) -> bool:
    """Return whether cells of this type may be values of the kind of a column."""
    holds_kind, _ = _TYPES_OF_KIND.get(column.kind, (_holds_numbers, ""))
    return holds_kind(arrow_type)


def suggest_job_keys(schemas: Sequence[pa.Schema], columns: Sequence[Column]) -> str:
    """Return a hint for files with faulty columns: the keys of the job file that help, if the cause is likely."""
    from gamesales.data.column_hints import find_cause

    for schema in schemas:
        missing = [column.name for column in columns if column.name not in schema.names]
        if missing and (cause := find_cause(schema.names, missing)):
            return f"If so, write in the job file: {cause.job_keys}"
    return COLUMNS_HINT


def require_columns(where: str, schema: pa.Schema, columns: Sequence[Column]) -> None:
    """Check the columns of a file.

    Raises:
        ColumnsError: columns are missing, or their types do not fit. The message names all of them.
    """
    faults = find_column_faults(where, schema, columns)
    if faults:
        raise ColumnsError("; ".join(faults), hint=suggest_job_keys([schema], columns))


def read_numbers(batch: Batch, columns: Sequence[Column], missing_values: Collection[str] = ()) -> list[Cells]:
    """Convert columns of a batch to numbers, codes and days, with a mask of the missing cells.

    Args:
        batch: the rows.
        columns: the columns of the contract.
        missing_values: the texts that stand for a missing cell.

    Returns:
        For each column the numbers (n,) and bool (n,), as in ``convert_to_numbers``. Codes are negative for cells that
        reject their row; see ``encode_categories``.
    """
    return [_read_cells(batch, column, missing_values) for column in columns]


def _read_cells(batch: Batch, column: Column, missing_values: Collection[str]) -> Cells:
    if column.kind == "category":
        return encode_categories(batch.table.column(column.name), column, missing_values)
    if column.kind == "date":
        return read_dates(batch.table.column(column.name), column.date_format, missing_values)
    cells = batch.table.column(column.name)
    if batch.decimal != ".":
        cells, missing_values = swap_decimal_marks(cells), [text.translate(_SWAPPED_MARKS) for text in missing_values]
    return convert_to_numbers(
        cells, words=column.kind == "flag", missing_values=missing_values, may_be_missing=column.may_be_missing
    )


def screen(
    batch: Batch,
    columns: Sequence[Column],
    cells: Sequence[Cells] | None = None,
    missing_values: Collection[str] = (),
) -> ScreenedBatch:
    """Screen a batch: convert the rows that pass to numbers, and give a reason for each row that fails.

    ``cells`` is the result of ``read_numbers``, if it is known.
    """
    cells = read_numbers(batch, columns, missing_values) if cells is None else cells
    faults: dict[int, list[tuple[str, str]]] = {}
    extremes: list[Extremes] = []
    for column, (numbers, missing) in zip(columns, cells, strict=True):
        if not len(numbers):
            continue
        extremes.append((float(numbers.min()), float(numbers.max())))  # both are NaN if any number is
        if _all_pass(numbers, extremes[-1], column):
            continue
        passes = _find_passing(numbers, column)
        if column.may_be_missing and column.kind != "category":
            passes |= missing
            extremes[-1] = find_extremes(numbers)
        for index in np.flatnonzero(~passes).tolist():
            reason = _explain_fault(float(numbers[index]), bool(missing[index]), column)
            faults.setdefault(index, []).append((column.name, reason))
    accepted = accept_all(batch, cells, extremes)
    return _reject_rows(batch, accepted, faults) if faults else accepted


def find_extremes(numbers: Numbers) -> Extremes:
    """Return the smallest and the largest of one or more numbers (n,); inf and -inf if all are missing."""
    low, high = float(numbers.min()), float(numbers.max())
    if not math.isnan(low):
        return low, high
    present = numbers[~np.isnan(numbers)]
    return (float(present.min()), float(present.max())) if len(present) else (math.inf, -math.inf)


def accept_all(batch: Batch, cells: Sequence[Cells], extremes: Sequence[Extremes] = ()) -> ScreenedBatch:
    """Accept all well-formed rows. All numbers must be values that pass, such as the values of accepted rows."""
    return ScreenedBatch(
        [numbers for numbers, _ in cells], np.ones(len(batch.rows), bool), list(batch.malformed), extremes
    )


def reject(batch: Batch, screened: ScreenedBatch, failing: BoolArray, reason: str) -> ScreenedBatch:
    """Reject accepted rows for a reason that is found after screening.

    ``failing``, bool (m,), is True for the rows to reject among the m accepted rows.
    """
    indices = np.flatnonzero(screened.accepted)[failing]
    return _reject_rows(batch, screened, {int(index): [("", reason)] for index in indices})


def _reject_rows(
    batch: Batch, screened: ScreenedBatch, faults: Mapping[int, Sequence[tuple[str, str]]]
) -> ScreenedBatch:
    """Move rows from the accepted rows to the rejects. ``faults`` has (column, reason) pairs by index in the batch."""
    accepted = screened.accepted.copy()
    accepted[list(faults)] = False
    kept = accepted[screened.accepted]
    rejects = _build_rejects(batch, sorted(faults), faults)
    rejected = sorted([*screened.rejected, *rejects], key=lambda row: row.row)
    return ScreenedBatch([column[kept] for column in screened.columns], accepted, rejected)


def _all_pass(numbers: Numbers, extremes: Extremes, column: Column) -> bool:
    """Check a whole column, if possible by its extremes."""
    if column.kind == "flag" and numbers.dtype.kind not in "iu":
        return bool(_find_passing(numbers, column).all())
    return bool(_find_passing(np.array(extremes, np.float64), column).all())


def _find_passing(numbers: Numbers, column: Column) -> BoolArray:
    """Return bool (n,), True for allowed numbers. Comparisons with NaN are False, so NaN fails."""
    if column.kind == "flag":
        return np.asarray((numbers == 0) | (numbers == 1))
    if column.kind == "category":
        return np.asarray(numbers >= 0)
    passes: BoolArray = (numbers >= -_LARGEST) & (numbers <= _LARGEST)
    if column.minimum is not None:
        passes &= numbers >= column.minimum
    if column.maximum is not None:
        passes &= numbers <= column.maximum
    if column.above is not None:
        passes &= numbers > column.above
    return passes


def _explain_fault(number: float, missing: bool, column: Column) -> str:
    if missing:
        return "missing"
    if column.kind == "category":
        return explain_code(int(number))
    if math.isnan(number):
        return f"not a date, expected {column.allowed}" if column.kind == "date" else _NOT_A_NUMBER
    if abs(number) > _LARGEST:
        return "not a finite number"
    return f"out of range, allowed: {column.allowed}"


def _build_rejects(
    batch: Batch, indices: Sequence[int], faults: Mapping[int, Sequence[tuple[str, str]]]
) -> Iterator[RejectedRow]:
    """Build the rejects of a batch, in row order, with all their cells as the file has them."""
    mask = np.zeros(len(batch.rows), bool)
    mask[indices] = True
    table = batch.original_text()
    names = table.schema.names
    columns = [convert_to_json(keep_rows(column, mask)) for column in table.columns]
    for index, cells in zip(indices, zip(*columns, strict=True), strict=True):
        record = dict(zip(names, cells, strict=True))
        first_column = faults[index][0][0]
        value = record.get(first_column)
        yield RejectedRow(
            row=int(batch.rows[index]),
            column=first_column,
            value="" if value is None else str(value),
            reason="; ".join(
                f"{name}: {_name_decimal_mark(reason, record.get(name))}" if name else reason
                for name, reason in faults[index]
            ),
            record=_RECORD.encode(record),
        )


def _name_decimal_mark(reason: str, value: object) -> str:
    """Add the likely cause to a reason, if a cell looks like a number with another decimal mark."""
    if reason == _NOT_A_NUMBER and isinstance(value, str):
        for name, mark, pattern in _DECIMAL_MARKS:
            if pattern.fullmatch(value.strip()):
                return f'{reason}; a decimal {name}? [csv] decimal = "{mark}"'
    return reason


def _holds_numbers(arrow_type: pa.DataType) -> bool:
    if pa.types.is_dictionary(arrow_type):
        return _holds_numbers(arrow_type.value_type)
    return may_be_text(arrow_type) or any(test(arrow_type) for test in _NUMERIC)


@dataclass(frozen=True)
class RejectLimit:
    """The rejects that a run may have: a number or a share of its rows, whichever is larger, but never all rows."""

    rows: int = 10
    share: float = 0.01

    @classmethod
    def parse(cls, text: str) -> RejectLimit:
        """Parse ``25`` or ``1%``.

        Raises:
            UsageError: the text is neither a number of rows nor a share.
        """
        try:
            limit = cls(0, float(text[:-1]) / 100) if text.endswith("%") else cls(int(text), 0.0)
        except ValueError:
            limit = cls(-1)
        if limit.rows < 0 or not 0 <= limit.share <= 1:
            raise UsageError(f"--max-rejects expects a count such as 25 or a share such as 1%, received {text!r}")
        return limit

    def allowed(self, rows: int) -> int:
        """Return the number of rejects that are allowed among ``rows`` rows."""
        share = int(round(self.share * rows, 6))  # 0.29 * 100 is 28.999999999999996
        return min(max(self.rows, share), max(rows - 1, 0))


def format_rejects(name: str, rejected: Sequence[RejectedRow]) -> tuple[str, ...]:
    """Format the first few rejects of a file for a message."""
    return tuple(f"{name} row {row.row}: {row.reason}" for row in rejected[:SHOWN_REJECTS])
