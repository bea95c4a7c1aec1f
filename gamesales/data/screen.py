"""Screening: each cell of a batch against the contract, a column at a time.

A cell passes if it is present, is a finite number (text is parsed; of a flag, true and false are 1 and 0), and lies
in the range that the contract allows. What fails rejects its row, never the rows beside it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gamesales.arrays import BoolArray, FloatArray
from gamesales.data.arrow import bits, is_plain, keep_rows, null_mask, to_numpy
from gamesales.data.contract import Column
from gamesales.data.table import BadRow, Batch
from gamesales.errors import ColumnsError, GamesalesError, TooManyRejectsError, UsageError

# The network computes in float32: a larger number would reach it as infinity.
_LARGEST = float(np.finfo(np.float32).max)
COLUMNS_HINT = "See docs/contract.md for the columns that a table of titles has"
_WORDS = {"true": 1.0, "false": 0.0}
_RECORD = json.JSONEncoder(ensure_ascii=False, default=str)

# Whatever floats or integers a column holds.
Numbers = npt.NDArray[Any]


@dataclass(frozen=True)
class Screened:
    """A batch after screening.

    ``columns`` holds the features of the accepted rows, a (m,) array of numbers each, in the contract's order;
    ``accepted`` is bool (n,) over the batch's well-formed rows; ``rejected`` is in row order, malformed rows included.
    """

    columns: Sequence[Numbers]
    accepted: BoolArray
    rejected: Sequence[BadRow]

    @property
    def values(self) -> FloatArray:
        """The columns side by side: float64 (m, k)."""
        return np.column_stack([column.astype(np.float64) for column in self.columns])


def check_columns(where: str, schema: pa.Schema, columns: Sequence[Column]) -> list[str]:
    """Return what is wrong with a file's columns: the missing ones, and those of a type that holds no numbers."""
    missing = [column.name for column in columns if column.name not in schema.names]
    faults = []
    if missing:
        found = ", ".join(schema.names[:30]) + (", …" if len(schema.names) > 30 else "")
        faults.append(f"{where} lacks {', '.join(missing)} (it has {found})")
    present = [schema.field(column.name) for column in columns if column.name not in missing]
    faults += [
        f"{where}: {field.name} has type {field.type}, expected numbers"
        for field in present
        if not _holds_numbers(field.type)
    ]
    return faults


def require_columns(where: str, schema: pa.Schema, columns: Sequence[Column]) -> None:
    """Raises: ColumnsError: something is wrong with a file's columns; it names every one of them."""
    faults = check_columns(where, schema, columns)
    if faults:
        raise ColumnsError("; ".join(faults), hint=COLUMNS_HINT)


def screen(batch: Batch, columns: Sequence[Column]) -> Screened:
    """Screen a batch: numbers for the rows that pass, a reason for each that does not."""
    read = [as_numbers(batch.table.column(column.name), words=column.kind == "flag") for column in columns]
    faults: dict[int, list[tuple[str, str]]] = {}
    for column, (numbers, missing) in zip(columns, read, strict=True):
        if _all_pass(numbers, column):
            continue
        for index in np.flatnonzero(~_in_range(numbers, column)).tolist():
            reason = _reason(float(numbers[index]), bool(missing[index]), column)
            faults.setdefault(index, []).append((column.name, reason))
    everything = Screened([numbers for numbers, _ in read], np.ones(len(batch.rows), bool), list(batch.malformed))
    return _without(batch, everything, faults) if faults else everything


def reject(batch: Batch, screened: Screened, failing: BoolArray, reason: str) -> Screened:
    """Reject accepted rows that turn out to be unusable later on; ``failing`` is bool (m,) over those accepted."""
    places = np.flatnonzero(screened.accepted)[failing]
    return _without(batch, screened, {int(index): [("", reason)] for index in places})


def _without(batch: Batch, screened: Screened, faults: Mapping[int, Sequence[tuple[str, str]]]) -> Screened:
    """Take rows of a batch, by their places, from those accepted to those rejected."""
    accepted = screened.accepted.copy()
    accepted[list(faults)] = False
    still = accepted[screened.accepted]
    bad = _bad_rows(batch, sorted(faults), faults)
    rejected = sorted([*screened.rejected, *bad], key=lambda one: one.row)
    return Screened([column[still] for column in screened.columns], accepted, rejected)


def as_numbers(array: pa.Array, *, words: bool = False) -> tuple[Numbers, BoolArray]:
    """Read a column as numbers (n,), NaN where there is none, and tell which cells are missing.

    Whole columns of floats or integers keep their type and are not copied; what has to be converted is float64.

    Args:
        array: Arrow (n,) of booleans, numbers, decimals, text, nulls, or a dictionary of these.
        words: whether the texts ``true`` and ``false`` are 1 and 0.
    """
    if is_plain(array):
        return to_numpy(array), np.zeros(len(array), bool)
    if pa.types.is_boolean(array.type) and array.null_count == 0:
        return bits(array).view(np.int8), np.zeros(len(array), bool)
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if pa.types.is_decimal(array.type):
        # As text: Arrow's own way to a float makes 0.9999999999999999 of a 1 with eleven decimals, which is no flag.
        array = array.cast(pa.string())
    if _is_text(array.type):
        return _parsed(array, words=words)
    missing = null_mask(array)
    if missing.all():
        return np.full(len(array), np.nan), missing
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    # safe=False: a 64-bit integer beyond 2^53 is rounded, and no feature is that exact.
    numbers = to_numpy(array.cast(pa.float64(), safe=False)).astype(np.float64)
    numbers[missing] = np.nan
    return numbers, missing


def _parsed(array: pa.Array, *, words: bool) -> tuple[FloatArray, BoolArray]:
    """Parse text: all at once where every cell is a plain number, else each distinct text once."""
    if array.null_count == 0:
        try:
            return to_numpy(array.cast(pa.float64())).astype(np.float64), np.zeros(len(array), bool)
        except pa.ArrowInvalid:
            pass
    nulls = null_mask(array)
    encoded = array.dictionary_encode()
    cells = encoded.dictionary.cast(pa.large_binary()).to_pylist()  # Parquet's text may be none
    texts = ["" if cell is None else cell.decode(errors="replace").strip() for cell in cells]
    indices = np.where(nulls, len(texts), to_numpy(encoded.indices))
    numbers = np.array([*(_parse(text, words=words) for text in texts), np.nan])
    blank = np.array([*(not text for text in texts), True])
    return numbers[indices], blank[indices]


def _parse(text: str, *, words: bool) -> float:
    if words and text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        # Python also reads 1_000, which no file of numbers means.
        return float(text) if "_" not in text else np.nan
    except ValueError:
        return np.nan


def _all_pass(numbers: Numbers, column: Column) -> bool:
    """Tell in one or two fast passes whether all of a column is allowed; False may mean: look at each number."""
    if not len(numbers):
        return True
    lowest, highest = float(numbers.min()), float(numbers.max())  # NaN if there is one, which fails each comparison
    if column.kind == "flag":
        whole = numbers.dtype.kind in "iu" or bool(((numbers == 0) | (numbers == 1)).all())
        return lowest >= 0 and highest <= 1 and whole
    return (
        -_LARGEST <= lowest <= highest <= _LARGEST
        and (column.minimum is None or lowest >= column.minimum)
        and (column.maximum is None or highest <= column.maximum)
        and (column.above is None or lowest > column.above)
    )


def _in_range(numbers: Numbers, column: Column) -> BoolArray:
    """Tell which numbers the contract allows; comparisons with NaN are false, so what is no number fails."""
    passes: BoolArray = (numbers >= -_LARGEST) & (numbers <= _LARGEST)
    if column.kind == "flag":
        passes &= (numbers == 0) | (numbers == 1)
    if column.minimum is not None:
        passes &= numbers >= column.minimum
    if column.maximum is not None:
        passes &= numbers <= column.maximum
    if column.above is not None:
        passes &= numbers > column.above
    return passes


def _reason(number: float, missing: bool, column: Column) -> str:
    if missing:
        return "missing"
    if math.isnan(number):
        return "not a number"
    if abs(number) > _LARGEST:
        return "not a finite number"
    return f"out of range, allowed: {column.allowed}"


def _bad_rows(batch: Batch, places: Sequence[int], faults: Mapping[int, Sequence[tuple[str, str]]]) -> Iterator[BadRow]:
    """Tell of rejected rows, in order, with all their cells as the file has them."""
    wanted = np.zeros(len(batch.rows), bool)
    wanted[places] = True
    table = batch.as_read()
    names = table.schema.names
    cells = [_cells(keep_rows(column, wanted)) for column in table.columns]
    for place, row in zip(places, zip(*cells, strict=True), strict=True):
        record = dict(zip(names, row, strict=True))
        first = faults[place][0][0]
        value = record.get(first)
        yield BadRow(
            row=int(batch.rows[place]),
            column=first,
            value="" if value is None else str(value),
            reason="; ".join(f"{name}: {reason}" if name else reason for name, reason in faults[place]),
            record=_RECORD.encode(record),
        )


def _cells(column: pa.Array) -> list[Any]:
    """Return cells as JSON can hold them, exactly where it can, else as text."""
    try:
        # Not to_pylist of times, which fails beyond year 9999 and loads pandas for nanoseconds.
        values = (column.cast(pa.string()) if pa.types.is_temporal(column.type) else column).to_pylist()
    except (pa.ArrowException, OverflowError, ValueError):
        values = [_cell(column.slice(place, 1)) for place in range(len(column))]
    # JSON has no word for NaN and infinity.
    return [str(value) if isinstance(value, float) and not math.isfinite(value) else value for value in values]


def _cell(cell: pa.Array) -> Any:
    try:
        return (cell.cast(pa.string()) if pa.types.is_temporal(cell.type) else cell)[0].as_py()
    except (pa.ArrowException, OverflowError, ValueError):
        return " ".join(str(cell).split())


def _holds_numbers(arrow_type: pa.DataType) -> bool:
    if pa.types.is_dictionary(arrow_type):
        return _holds_numbers(arrow_type.value_type)
    return _is_text(arrow_type) or any(test(arrow_type) for test in _NUMERIC)


def _is_text(arrow_type: pa.DataType) -> bool:
    return any(test(arrow_type) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


_NUMERIC: tuple[Callable[[pa.DataType], bool], ...] = (
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_null,
)


_SHOWN = 3


@dataclass(frozen=True)
class RejectLimit:
    """How many rows a run may reject: a count or a share of its rows, whichever is larger; never all of them."""

    rows: int = 10
    share: float = 0.01

    @classmethod
    def parse(cls, text: str) -> RejectLimit:
        """Read ``25`` or ``1%``."""
        try:
            limit = cls(0, float(text[:-1]) / 100) if text.endswith("%") else cls(int(text), 0.0)
        except ValueError:
            limit = cls(-1)
        if limit.rows < 0 or not 0 <= limit.share <= 1:
            raise UsageError(f"--max-rejects expects a count such as 25 or a share such as 1%, received {text!r}")
        return limit

    def allowed(self, rows: int) -> int:
        """Return how many of so many rows may be rejected."""
        share = int(round(self.share * rows, 6))  # 0.29 of 100 is 28.999999999999996
        return min(max(self.rows, share), max(rows - 1, 0))


def told(name: str, rejected: Sequence[BadRow]) -> tuple[str, ...]:
    """Tell the first few rejects in words."""
    return tuple(f"{name} row {bad.row}: {bad.reason}" for bad in rejected[:_SHOWN])


def check_invariant(rows_in: int, scored: int, rejected: int) -> None:
    """Raises: GamesalesError: rows in are not rows scored plus rows rejected."""
    if rows_in != scored + rejected:
        raise GamesalesError(
            f"rows were lost: {rows_in:,} read, {scored:,} scored, {rejected:,} rejected; nothing was published",
            hint="Report this with the input file",
        )


def too_many(rejected: int, rows_in: int, allowed: int, examples: Sequence[str], rejects: str) -> TooManyRejectsError:
    """Say that a run is hopeless, with its first rejects and where all those found so far lie."""
    return TooManyRejectsError(
        f"{rejected:,} of {rows_in:,} rows were rejected, more than the {allowed:,} allowed; nothing was published. "
        f"First: {'; '.join(examples[:_SHOWN])}",
        hint=f"Those found so far, with reasons: {rejects}. To allow more: --max-rejects N or N%",
    )
