"""What depends on the features of a title alone, and a cache of it for titles that repeat.

Large files repeat the same titles many times. So all possible titles with the values of a batch are scored once, if
there are few of them, and the results are kept for the next batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from gamesales.arrays import BoolArray, FloatArray, IntArray
from gamesales.data.arrow import Numbers
from gamesales.data.screen import Extremes
from gamesales.data.screen import find_extremes as find_column_extremes
from gamesales.scoring.distinct import RowNumbering, find_numbering
from gamesales.scoring.drift import BinnedRows
from gamesales.scoring.familiarity import merge_masks
from gamesales.scoring.scorer import LoadedVersion


@dataclass(frozen=True)
class ScoredTitles:
    """What depends on the features of a title alone, for d titles.

    Attributes:
        columns: the features, (d,) each.
        predictions: float64 (d,), in the unit of the target, within its allowed range.
        clipped: bool (d,), which predictions were moved into this range; None if none was.
        bounds: as in ``BatchPrediction``, (d,) each.
        outside_by_feature: for each feature, bool (d,), which values are outside its range in training; None if none.
        outside_range: bool (d,), whether any feature is outside its range.
        unfamiliar: as in ``BatchPrediction``, bool (d,).
    """

    columns: Sequence[Numbers]
    predictions: FloatArray
    clipped: BoolArray | None
    bounds: tuple[FloatArray, ...]
    outside_by_feature: Sequence[BoolArray | None]
    outside_range: BoolArray
    unfamiliar: BoolArray | None

    @classmethod
    def from_predictions(
        cls, columns: Sequence[Numbers], predictions: FloatArray, extremes: Sequence[Extremes], version: LoadedVersion
    ) -> Self:
        """Compare titles with the training data.

        Args:
            columns: the features, (d,) each.
            predictions: float64 (d,), the finite predictions of the scorer.
            extremes: the smallest and the largest value of each feature; empty without titles.
            version: the version that scored.
        """
        size = len(predictions)
        predictions, clipped = version.clip(predictions)
        outside = _find_outside(columns, extremes, version)
        outside_range = merge_masks(outside, size)
        combinations = version.combinations.compare(columns) if version.combinations and size else None
        new = None if combinations is None else combinations > 0
        unfamiliar = None if version.combinations is None else merge_masks([outside_range, new, clipped], size)
        bounds = _compute_bounds(columns, predictions, outside, combinations, version)
        return cls(columns, predictions, clipped, bounds, outside, outside_range, unfamiliar)


@dataclass(frozen=True)
class ScoredCombinations:
    """All possible titles with some values, and what depends on their features.

    Attributes:
        numbering: the numbers of the titles.
        titles: the c titles in the order of their numbers.
        is_finite: bool (c,), whether their predictions are finite numbers. The other predictions have the value 0.
        values: float64 (k + 1, c), the k features and then the predictions.
        bins: their bins in the training profiles; None for a version without profiles.
    """

    numbering: RowNumbering
    titles: ScoredTitles
    is_finite: BoolArray
    values: FloatArray
    bins: BinnedRows | None

    @classmethod
    def score(cls, numbering: RowNumbering, version: LoadedVersion) -> Self:
        """Score all titles of a numbering."""
        columns = numbering.list_rows()
        predictions = score_rows(columns, version)
        is_finite = np.isfinite(predictions)
        predictions[~is_finite] = 0.0
        titles = ScoredTitles.from_predictions(columns, predictions, find_extremes(columns), version)
        values = np.array([*columns, titles.predictions], np.float64)
        return cls(
            numbering,
            titles,
            is_finite,
            values,
            BinnedRows.from_columns(version.profiles, list(values)) if version.profiles else None,
        )


@dataclass(frozen=True)
class RepeatedTitles:
    """The rows of a batch that repeat scored titles.

    Attributes:
        combinations: the c titles.
        title_of_row: int64 (n,), the number of the title of each row.
        rows_of_title: int64 (c,), how many rows have each title.
    """

    combinations: ScoredCombinations
    title_of_row: IntArray
    rows_of_title: IntArray


@dataclass
class PredictionCache:
    """The titles that the batches of a run repeat. Threads may share it.

    A title has the same results in any batch, so it does not matter which batches came before.
    """

    combinations: ScoredCombinations | None = None

    def find(self, columns: Sequence[Numbers]) -> RepeatedTitles | None:
        """Find the titles of rows, columns (n,) each; None if a row is not in the cache."""
        combinations = self.combinations
        if combinations is None or not len(columns[0]):
            return None
        numbers = combinations.numbering.number_rows(columns)
        if numbers is None:
            return None
        return RepeatedTitles(combinations, numbers, np.bincount(numbers, minlength=len(combinations.is_finite)))

    def add(self, columns: Sequence[Numbers], version: LoadedVersion) -> None:
        """Score all possible titles with the values of columns (n,) each, if rows repeat."""
        numbering = find_numbering(columns, None if self.combinations is None else self.combinations.numbering)
        if numbering is not None:
            self.combinations = ScoredCombinations.score(numbering, version)


def score_rows(columns: Sequence[Numbers], version: LoadedVersion) -> FloatArray:
    """Score rows: columns (n,) each to the scorer's predictions, float64 (n,)."""
    matrix = np.empty((len(columns[0]), len(columns)), np.float32)
    for index, column in enumerate(columns):
        matrix[:, index] = column
    return version.scorer.score(matrix)


def find_extremes(columns: Sequence[Numbers]) -> list[Extremes]:
    """Return the smallest and the largest value of each column, (n,) each; empty without rows."""
    return [find_column_extremes(column) for column in columns] if len(columns[0]) else []


def _find_outside(
    columns: Sequence[Numbers], extremes: Sequence[Extremes], version: LoadedVersion
) -> list[BoolArray | None]:
    """Mark for each feature the rows outside its range in training, or with an unseen category; None without any."""
    if not extremes:
        return [None] * len(columns)
    masks: list[BoolArray | None] = []
    for column, (smallest, largest), low, high in zip(
        columns, extremes, version.training_min, version.training_max, strict=True
    ):
        masks.append(None if smallest >= low and largest <= high else (column < low) | (column > high))
    for index, codes in version.unseen_codes.items():
        unseen, mask = np.isin(columns[index], codes), masks[index]
        if unseen.any():
            masks[index] = unseen if mask is None else mask | unseen
    return masks


def _compute_bounds(
    columns: Sequence[Numbers],
    predictions: FloatArray,
    outside: Sequence[BoolArray | None],
    combinations: npt.NDArray[np.uint8] | None,
    version: LoadedVersion,
) -> tuple[FloatArray, ...]:
    """Compute the bounds of the prediction intervals, wider for unfamiliar titles: float64 (m,) each."""
    interval = version.prediction_interval
    if interval is None:
        return ()
    is_familiar = combinations is None and all(mask is None for mask in outside)
    if version.combinations is None or is_familiar:
        return interval.bounds(predictions)
    if version.widening is None:
        unfamiliar = merge_masks([*outside, None if combinations is None else combinations > 0], len(predictions))
        return interval.bounds(predictions, np.where(unfamiliar, np.nan, 0.0))
    ranges = version.training_min, version.training_max
    return interval.bounds(predictions, version.widening.compute(columns, outside, ranges, combinations))
