"""Finding the distinct rows of a batch, so that each is scored once.

Half-star ratings, flags and a few prices make only some thousand different titles.

Rows are numbered by their values, digit by digit, so that two rows get one number only if all their values are equal:
nothing is hashed, and nothing can collide. Whether it pays is decided by the values alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gamesales.data.columns import to_arrow, to_numpy
from gamesales.scoring.screen import Numbers

# So few rows are scored at once anyway.
_FEWEST_ROWS = 4_096
# A column with so many values among the first rows makes nearly every row another one.
_SAMPLE_ROWS, _MOST_IN_SAMPLE = 1_024, 256
# All combinations of values must be so many times fewer than the rows.
_REPETITION = 4


@dataclass(frozen=True)
class Distinct:
    """The distinct rows of n rows.

    ``rows`` int64 (d,), where one of each kind stands; ``kinds`` (n,), the kind of every row, from 0; ``repeats``
    int64 (d,), how many rows are of that kind.
    """

    rows: npt.NDArray[np.int64]
    kinds: npt.NDArray[np.int32]
    repeats: npt.NDArray[np.int64]


def find_distinct(columns: Sequence[Numbers]) -> Distinct | None:
    """Find the distinct rows, or return None where looking for them would cost more than it saves.

    Args: columns: (n,) each, finite numbers.
    """
    rows = len(columns[0])
    if rows < _FEWEST_ROWS or any(len(np.unique(column[:_SAMPLE_ROWS])) > _MOST_IN_SAMPLE for column in columns):
        return None
    places, combinations = [], 1
    for column in columns:
        digits, base = _digits(column)
        places.append((digits, combinations))
        combinations *= base
        if combinations * _REPETITION > rows:
            return None
    numbers: Numbers = np.zeros(rows, np.min_scalar_type(combinations))
    for digits, weight in places:
        numbers += digits.astype(numbers.dtype) * numbers.dtype.type(weight)
    return _of_numbers(numbers, combinations)


def _digits(column: Numbers) -> tuple[Numbers, int]:
    """Number the values of a column from 0: (n,) and how many numbers there are."""
    if column.dtype.kind in "iu":
        lowest, highest = int(column.min()), int(column.max())
        if highest - lowest < 2:
            return (column if lowest == 0 else column - lowest), highest - lowest + 1
    encoded = to_arrow(column).dictionary_encode()
    return to_numpy(encoded.indices), len(encoded.dictionary)


def _of_numbers(numbers: Numbers, combinations: int) -> Distinct:
    some_row = np.full(combinations, -1, np.int64)
    some_row[numbers] = np.arange(len(numbers))
    present = np.flatnonzero(some_row >= 0)
    kind_of = np.zeros(combinations, np.int32)
    kind_of[present] = np.arange(len(present), dtype=np.int32)
    kinds = kind_of[numbers]
    return Distinct(some_row[present], kinds, np.bincount(kinds, minlength=len(present)))
