"""Which titles are unlike the training titles.

A title is unfamiliar if a value is outside its range in training, if it has a category that no training title had, or
if no training title had its combination of flags. Training records the combinations.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gamesales.arrays import BoolArray, IntArray
from gamesales.data.arrow import Numbers
from gamesales.data.contract import Contract
from gamesales.data.dates import format_date

# A longer list is not recorded: it takes much space, and nearly every combination is new.
MAX_COMBINATIONS = 4_096
# Combinations of this many flags are found in a table of all combinations, longer ones by a search.
_MAX_TABLE_FLAGS = 16
# A combination is one integer of 64 bits.
MAX_FLAGS = 62

# A message describes at most this many columns.
_SHOWN_COLUMNS = 3
# The text for values of a category that training did not have.
NEW_VALUES = "values that training did not have"

# How a combination of flags compares with the combinations of training.
SEEN, ONE_FLAG_DIFFERS, UNLIKE_ALL = 0, 1, 2


@dataclass(frozen=True)
class FlagCombinations:
    """The combinations of flags in training.

    Attributes:
        flags: for each feature of the contract, whether it is a flag.
        seen: int64 (c,), ascending. Bit i of a combination is the i-th flag. None if training recorded none, because
            there were too many.
    """

    flags: tuple[bool, ...]
    seen: IntArray | None

    def __post_init__(self) -> None:
        table = None
        if self.seen is not None and sum(self.flags) <= _MAX_TABLE_FLAGS:
            table = self._search(np.arange(1 << sum(self.flags)))
        object.__setattr__(self, "_table", table)

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any], contract: Contract) -> FlagCombinations | None:
        """Read the combinations of a manifest; None for a version of a release that recorded none.

        Raises:
            ValueError: the entry is not a list of combinations of the contract's flags.
        """
        entry = manifest.get("flag_combinations")
        if entry is None:
            return None
        names = [column.name for column in contract.features if column.kind == "flag"]
        seen = entry["seen"]
        if entry["columns"] != names:
            raise ValueError(f"expected combinations of the flags {names}, found {entry['columns']}")
        if seen is not None:
            limit = 1 << min(len(names), MAX_FLAGS)
            if not (
                names and seen == sorted(set(seen)) and all(type(code) is int and 0 <= code < limit for code in seen)
            ):
                raise ValueError("expected combinations of flags in ascending order")
            seen = np.array(seen, np.int64)
        return cls(tuple(column.kind == "flag" for column in contract.features), seen)

    def compare(self, columns: Sequence[Numbers]) -> npt.NDArray[np.uint8] | None:
        """Compare the combination of each title with those of training.

        Args:
            columns: the features, (n,) each; flags are 0 or 1.

        Returns:
            uint8 (n,): SEEN, ONE_FLAG_DIFFERS or UNLIKE_ALL. None if all combinations were seen, or none is recorded.
        """
        if self.seen is None:
            return None
        codes = encode_flags([column for column, is_flag in zip(columns, self.flags, strict=True) if is_flag])
        table: npt.NDArray[np.uint8] | None = self._table  # type: ignore[attr-defined]
        distances = self._search(codes) if table is None else table.take(codes)
        return distances if distances.any() else None

    def _search(self, codes: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.uint8]:
        assert self.seen is not None
        distances = np.where(np.isin(codes, self.seen), SEEN, UNLIKE_ALL).astype(np.uint8)
        new = np.flatnonzero(distances)
        for bit in range(sum(self.flags)):
            neighbors = codes[new] ^ (1 << bit)
            distances[new[np.isin(neighbors, self.seen)]] = ONE_FLAG_DIFFERS
        return distances


def encode_flags(flags: Sequence[Numbers]) -> npt.NDArray[np.integer[Any]]:
    """Encode combinations of 1 to MAX_FLAGS flags as integers (n,): bit i is the i-th flag.

    A missing flag is not set.
    """
    smallest = next(kind for kind in (np.uint8, np.uint16, np.int64) if len(flags) <= np.iinfo(kind).bits)
    codes: npt.NDArray[np.integer[Any]] = np.zeros(len(flags[0]), smallest)
    for column in reversed(flags):
        codes += codes  # four times as fast as a shift
        is_incomplete = column.dtype.kind == "f" and math.isnan(column.max(initial=0))
        codes |= (np.nan_to_num(column) if is_incomplete else column).astype(smallest, copy=False)
    return codes


@dataclass(frozen=True)
class OutsideColumn:
    """A feature with values outside its range in training.

    Attributes:
        rows: the scored rows with a value outside the range.
        minimum: the smallest value of the scored rows.
        maximum: the largest value of the scored rows.
        training_minimum: the smallest value in training.
        training_maximum: the largest value in training.
        likely_cause: a guess at the cause; empty without a guess.
    """

    column: str
    rows: int
    minimum: float
    maximum: float
    training_minimum: float
    training_maximum: float
    likely_cause: str

    def describe(self) -> str:
        """Describe the column, its values and its training range in words."""
        text = f"{self.column} {self.write_values()}, in training {self.write_training_values()}"
        return f"{text} ({self.likely_cause})" if self.likely_cause else text

    def write_values(self) -> str:
        """Write the range of the scored rows."""
        return format_range(self.minimum, self.maximum)

    def write_training_values(self) -> str:
        """Write the range in training."""
        return format_range(self.training_minimum, self.training_maximum)


@dataclass(frozen=True)
class OutsideEncodedColumn(OutsideColumn):
    """A category with values that training did not have, or a date outside its range in training.

    The smallest and the largest values are codes, or days since 1970-01-01.

    Attributes:
        kind: ``category`` or ``date``.
    """

    kind: str

    def describe(self) -> str:
        """Describe the values in words."""
        if self.kind == "category":
            return f"{self.column}: {self.rows:,} row{'' if self.rows == 1 else 's'} with {self.write_values()}"
        return super().describe()

    def write_values(self) -> str:
        """Write the range of the dates, or that the values are new."""
        return NEW_VALUES if self.kind == "category" else _format_dates(self.minimum, self.maximum)

    def write_training_values(self) -> str:
        """Write the range of the dates in training; empty for a category."""
        return "" if self.kind == "category" else _format_dates(self.training_minimum, self.training_maximum)


def _format_dates(first: float, last: float) -> str:
    return format_date(first) if first == last else f"{format_date(first)} to {format_date(last)}"


def describe_outside(columns: Sequence[OutsideColumn]) -> str:
    """Describe the first few columns with values outside their training range."""
    more = len(columns) - _SHOWN_COLUMNS
    described = [column.describe() for column in columns[:_SHOWN_COLUMNS]]
    return "; ".join([*described, *([f"and {more} more"] if more > 0 else [])])


def format_range(low: float, high: float) -> str:
    """Write a range, such as ``39.99 to 59.99``, or its only value."""
    return f"{low:,.10g}" if low == high else f"{low:,.10g} to {high:,.10g}"


# Factors between units that people mix up, with the words of a guess.
_FACTORS = {100.0: ("100 times", "cents"), 1000.0: ("1,000 times", "another unit")}


def guess_cause(values: tuple[float, float], training: tuple[float, float]) -> str:
    """Guess why values are outside the training range; empty without a guess.

    Args:
        values: the smallest and the largest value.
        training: the smallest and the largest value in training.
    """
    (low, high), (training_low, training_high) = values, training
    if low >= 0 and high <= 1 < training_high:
        return "all between 0 and 1: already scaled?"
    for factor, (times, unit) in _FACTORS.items():
        # Twice as wide as the range in training, on a logarithmic scale.
        if training_low > 0 and training_low / 2 <= low / factor and high / factor <= training_high * 2:
            return f"{times} as large: {unit}?"
        if training_low > 0 and training_low / 2 <= low * factor and high * factor <= training_high * 2:
            return f"{times} as small: another unit?"
    return ""


def merge_masks(masks: Sequence[BoolArray | None], rows: int) -> BoolArray:
    """Combine masks of rows: bool (rows,), True where any mask is; None stands for a mask without rows."""
    merged = np.zeros(rows, bool)
    for mask in masks:
        if mask is not None:
            merged |= mask
    return merged
