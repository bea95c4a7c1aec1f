"""Predicting a batch of titles: screened, scored, and told apart from what training saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gamesales.arrays import BoolArray, FloatArray, IntArray
from gamesales.data.arrow import to_arrow, to_numpy
from gamesales.data.screen import Numbers, Screened, reject, screen
from gamesales.data.table import Batch
from gamesales.scoring import drift
from gamesales.scoring.scorer import LoadedVersion


@dataclass(frozen=True)
class Predicted:
    """A batch after scoring; what stands for rows covers the m accepted ones.

    ``earnings`` is float64 (m,); ``outside`` is bool (m,): a feature lies outside the range that training saw.
    ``outside_by_feature`` counts those rows for each feature. ``histograms`` count rows by the bins of the version's
    training profile, feature by feature and then the predictions; a version without a profile has none.
    ``bounds`` are the lower and the upper bounds around ``earnings``, float64 (m,) each; a version without
    intervals has none.
    """

    screened: Screened
    earnings: FloatArray
    bounds: tuple[FloatArray, ...]
    outside: BoolArray
    outside_by_feature: list[int]
    histograms: list[IntArray]


def predict_titles(batch: Batch, version: LoadedVersion) -> Predicted:
    """Screen a batch and predict what its accepted rows earn; one without a finite prediction is rejected too."""
    screened = screen(batch, version.contract.features)
    distinct = find_distinct(screened.columns)
    earnings = _earnings(screened.columns, distinct, version)
    finite = np.isfinite(earnings)
    if not finite.all():
        failing = ~_to_rows(finite, distinct)
        screened = reject(batch, screened, failing, "the prediction is not a finite number")
        distinct = find_distinct(screened.columns)
        earnings = _earnings(screened.columns, distinct, version)
    columns = _of_distinct(screened.columns, distinct)
    bounds = version.interval.bounds(earnings) if version.interval else ()
    by_feature = _outside(columns, version)
    repeats = None if distinct is None else distinct.repeats
    return Predicted(
        screened=screened,
        earnings=_to_rows(earnings, distinct),
        bounds=tuple(_to_rows(bound, distinct) for bound in bounds),
        outside=_to_rows(_any_of(by_feature, len(earnings)), distinct),
        outside_by_feature=[_count(rows, repeats) for rows in by_feature],
        histograms=[
            drift.count(profile, values, repeats)
            for profile, values in zip(version.profiles or (), [*columns, earnings], strict=False)
        ],
    )


def _earnings(columns: Sequence[Numbers], distinct: Distinct | None, version: LoadedVersion) -> FloatArray:
    """Predict earnings of the distinct rows, or of all."""
    chosen = _of_distinct(columns, distinct)
    matrix = np.empty((len(chosen[0]), len(chosen)), np.float32)
    for place, column in enumerate(chosen):
        matrix[:, place] = column
    return version.scorer.score(matrix)


def _outside(columns: Sequence[Numbers], version: LoadedVersion) -> list[BoolArray | None]:
    """Tell for each feature which rows lie outside the range that training saw; None: none does."""
    found: list[BoolArray | None] = []
    for column, low, high in zip(columns, version.lowest, version.highest, strict=True):
        inside = not len(column) or (column.min() >= low and column.max() <= high)
        found.append(None if inside else (column < low) | (column > high))
    return found


def _any_of(masks: Sequence[BoolArray | None], rows: int) -> BoolArray:
    outside = np.zeros(rows, bool)
    for mask in masks:
        if mask is not None:
            outside |= mask
    return outside


def _count(rows: BoolArray | None, repeats: IntArray | None) -> int:
    if rows is None:
        return 0
    return int(np.count_nonzero(rows) if repeats is None else repeats[rows].sum())


def _of_distinct(columns: Sequence[Numbers], distinct: Distinct | None) -> Sequence[Numbers]:
    return columns if distinct is None else [column[distinct.rows] for column in columns]


def _to_rows(values: npt.NDArray[Any], distinct: Distinct | None) -> npt.NDArray[Any]:
    return values if distinct is None else values[distinct.kinds]


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

    rows: IntArray
    kinds: npt.NDArray[np.int32]
    repeats: IntArray


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
