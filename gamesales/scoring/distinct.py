"""Number the distinct rows of batches whose columns have few distinct values, so that each title is scored once.

A row is identified by a number in a mixed radix. Each digit is the index of a value in the list of values of its
column. Values are compared by their bits, so equal numbers mean rows that are equal to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gamesales.arrays import IntArray
from gamesales.data.arrow import Numbers, allocate, to_arrow, to_numpy

# Smaller batches are not searched for distinct rows: scoring all of their rows is fast anyway.
_MIN_ROWS = 4_096
# A column with more distinct values than this among the first rows makes nearly every row distinct.
_SAMPLE_ROWS, _MAX_SAMPLE_VALUES = 1_024, 256
# There must be at least this many times fewer possible rows than rows.
_MIN_REPETITION = 4
# A column is compared with each value of a list up to this length. A longer list is searched.
_MAX_COMPARISONS = 16


@dataclass(frozen=True)
class RowNumbering:
    """Numbers from 0 for all possible rows of columns with these values.

    Attributes:
        values: for each column, (v,), its distinct values in the order of their bits.
    """

    values: tuple[Numbers, ...]

    @property
    def size(self) -> int:
        """The number of possible rows."""
        return math.prod(map(len, self.values))

    def number_rows(self, columns: Sequence[Numbers]) -> IntArray | None:
        """Return the number of each row, int64 (n,); None if a column has another value or another type.

        Args:
            columns: (n,) each.
        """
        numbers: Numbers = np.zeros(len(columns[0]), np.uint8)
        size = 1
        for index in self._order:
            digits = _find_digits(columns[index], self.values[index])
            if digits is None:
                return None
            base = len(self.values[index])
            size *= base
            numbers = numbers.astype(np.min_scalar_type(size - 1), copy=False)
            if size > base:  # before, all numbers are 0
                numbers *= numbers.dtype.type(base)
            numbers += digits.astype(numbers.dtype, copy=False)
        wide: IntArray = allocate(len(numbers), np.int64)
        wide[:] = numbers
        return wide

    def list_rows(self) -> list[Numbers]:
        """Return the columns of all possible rows in the order of their numbers, (size,) each."""
        numbers, columns = np.arange(self.size), list(self.values)
        for index in reversed(self._order):
            columns[index] = self.values[index][numbers % len(self.values[index])]
            numbers //= len(self.values[index])
        return columns

    @property
    def _order(self) -> list[int]:
        """The columns in the order of their digits. Columns with few values first keep the numbers small for longer."""
        return sorted(range(len(self.values)), key=lambda index: len(self.values[index]))


def find_numbering(columns: Sequence[Numbers], present: RowNumbering | None = None) -> RowNumbering | None:
    """Find a numbering of the rows of a batch.

    Args:
        columns: finite numbers, (n,) each.
        present: a numbering of earlier rows. Its values are added, if there are not too many.

    Returns:
        The numbering; None if there may be nearly as many distinct rows as rows.
    """
    rows = len(columns[0])
    if rows < _MIN_ROWS or any(len(_list_values(column[:_SAMPLE_ROWS])) > _MAX_SAMPLE_VALUES for column in columns):
        return None
    values: list[Numbers] = []
    for column in columns:
        values.append(_list_values(column))
        if math.prod(map(len, values)) * _MIN_REPETITION > rows:
            return None
    numbering = RowNumbering(tuple(values))
    if present is not None and _share_types(present.values, values):
        both = RowNumbering(tuple(_merge_values(*pair) for pair in zip(present.values, values, strict=True)))
        if both.size * _MIN_REPETITION <= rows:
            return both
    return numbering


def _share_types(columns: Sequence[Numbers], others: Sequence[Numbers]) -> bool:
    return all(column.dtype == other.dtype for column, other in zip(columns, others, strict=True))


def _list_values(column: Numbers) -> Numbers:
    """Return the distinct values of a column in the order of their bits."""
    if _is_flag(column):
        return np.arange(column.min(), column.max() + 1, dtype=column.dtype)
    bits = np.sort(_view_bits(column))
    is_first = np.ones(len(bits), bool)  # np.unique would import numpy.ma, and Arrow's unique pyarrow.compute
    is_first[1:] = bits[1:] != bits[:-1]
    return bits[is_first].view(column.dtype)


def _merge_values(first: Numbers, second: Numbers) -> Numbers:
    return _list_values(np.concatenate([first, second]))


def _is_flag(column: Numbers) -> bool:
    """Return whether a column of single bytes has no values but 0 and 1."""
    return column.dtype.itemsize == 1 and int(column.view(np.uint8).max()) <= 1


def _view_bits(column: Numbers) -> Numbers:
    """Return the bits of numbers as integers. Zero and minus zero are equal numbers, but the bits differ."""
    return column.view(f"i{column.dtype.itemsize}")


def _find_digits(column: Numbers, values: Numbers) -> Numbers | None:
    """Return the index of each value of a column in a list of values, (n,); None if a value is not in the list."""
    if column.dtype != values.dtype:
        return None
    if column.dtype.itemsize == 1 and len(values) == 2 and _is_flag(values):
        return column.view(np.uint8) if _is_flag(column) else None
    bits, patterns = _view_bits(column), _view_bits(values)
    if len(patterns) > _MAX_COMPARISONS:
        return _search_digits(bits, patterns)
    digits, matches = np.zeros(len(bits), np.uint8), 0
    for digit, pattern in enumerate(patterns):
        is_equal = bits == pattern
        matches += int(np.count_nonzero(is_equal))
        digits += is_equal.view(np.uint8) * np.uint8(digit)
    return digits if matches == len(bits) else None


def _search_digits(bits: Numbers, patterns: Numbers) -> Numbers | None:
    encoded = to_arrow(bits).dictionary_encode()
    distinct = to_numpy(encoded.dictionary)
    places = np.searchsorted(patterns, distinct)
    if (places == len(patterns)).any() or (patterns[places] != distinct).any():
        return None
    digits: Numbers = places.astype(np.min_scalar_type(len(patterns)))
    numbered: Numbers = digits[to_numpy(encoded.indices)]
    return numbered
