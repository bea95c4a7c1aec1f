"""Predict a batch of titles: screen its rows, score the accepted rows, and compare them with the training data.

Large batches repeat the same titles many times. So all possible titles with the values of a batch are scored once, if
there are few of them, and the results are kept for the next batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from gamesales.arrays import BoolArray, FloatArray, IntArray
from gamesales.data.arrow import Numbers, take
from gamesales.data.screen import Extremes, ScreenedBatch, accept_all, read_numbers, reject, screen
from gamesales.data.table import Batch
from gamesales.scoring.distinct import RowNumbering, find_numbering
from gamesales.scoring.drift import BinnedRows, count_bins
from gamesales.scoring.familiarity import merge_masks
from gamesales.scoring.scorer import LoadedVersion


@dataclass(frozen=True)
class BatchPrediction:
    """The predictions for the m accepted rows of a batch.

    Attributes:
        screened: the batch after screening.
        predictions: float64 (m,), in the unit of the target.
        bounds: the lower and the upper bounds of the prediction intervals, float64 (m,) each; empty for a version
            without prediction intervals. NaN for an unfamiliar title whose interval is not known.
        outside_range: bool (m,), whether any feature is outside its range in training.
        unfamiliar: bool (m,), whether a feature is outside its range, the combination of flags was never seen in
            training, or the prediction was clipped. None for a version of a release that recorded no combinations.
        outside_by_feature: for each feature, the number of rows outside its range in training.
        extremes: for each feature, its smallest and largest value; empty without rows.
        sums: for each feature and then the predictions, the sum of the values.
        rows_clipped: the rows whose prediction was outside of the target's allowed range, and was moved to its end.
        rows_without_interval: the rows whose prediction interval is not known.
        histograms: for each feature and then the predictions, int64 rows in each bin of the training profile; empty
            for a version without profiles.
    """

    screened: ScreenedBatch
    predictions: FloatArray
    bounds: tuple[FloatArray, ...]
    outside_range: BoolArray
    unfamiliar: BoolArray | None
    outside_by_feature: list[int]
    extremes: list[tuple[float, float]]
    sums: list[float]
    rows_clipped: int
    rows_without_interval: int
    histograms: list[IntArray]


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
        predictions = _score(columns, version)
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


def predict_batch(batch: Batch, version: LoadedVersion, cache: PredictionCache | None = None) -> BatchPrediction:
    """Screen a batch and score its accepted rows.

    A row whose prediction is not finite is rejected too.

    Args:
        batch: the rows, with the features of the version.
        version: the version that scores.
        cache: the titles of earlier batches that the same version scored. The titles of this batch are added.
    """
    cache = PredictionCache() if cache is None else cache
    features = version.contract.features
    cells = read_numbers(batch, features)
    repeated = cache.find([numbers for numbers, _ in cells])
    if repeated is not None:  # each value has passed the screening of an earlier batch
        screened = accept_all(batch, cells)
    else:
        screened = screen(batch, features, cells)
        repeated = cache.find(screened.columns)
        if repeated is None:
            cache.add(screened.columns, version)
            repeated = cache.find(screened.columns)
    if repeated is not None and repeated.combinations.is_finite[repeated.rows_of_title > 0].all():
        return _repeat(screened, repeated)
    return _predict_rows(batch, screened, version)


def _predict_rows(batch: Batch, screened: ScreenedBatch, version: LoadedVersion) -> BatchPrediction:
    """Score every row by itself."""
    predictions = _score(screened.columns, version)
    finite = np.isfinite(predictions)
    if not finite.all():
        screened = reject(batch, screened, ~finite, "the prediction is not a finite number")
        predictions = _score(screened.columns, version)
    columns = screened.columns
    extremes = screened.extremes or find_extremes(columns)
    titles = ScoredTitles.from_predictions(columns, predictions, extremes, version)
    values = [*columns, titles.predictions]
    return BatchPrediction(
        screened=screened,
        predictions=titles.predictions,
        bounds=titles.bounds,
        outside_range=titles.outside_range,
        unfamiliar=titles.unfamiliar,
        outside_by_feature=[_count_rows(mask) for mask in titles.outside_by_feature],
        extremes=list(extremes),
        sums=[_sum_rows(column) for column in values] if version.profiles else [],
        rows_clipped=_count_rows(titles.clipped),
        rows_without_interval=_count_rows(np.isnan(titles.bounds[0])) if titles.bounds else 0,
        histograms=[
            count_bins(profile, column) for profile, column in zip(version.profiles or (), values, strict=False)
        ],
    )


def _repeat(screened: ScreenedBatch, repeated: RepeatedTitles) -> BatchPrediction:
    """Copy the results of scored titles to all accepted rows."""
    combinations, rows, repeats = repeated.combinations, repeated.title_of_row, repeated.rows_of_title
    titles, present = combinations.titles, repeats > 0
    features = combinations.values[:-1, present]

    def count(mask: BoolArray | None) -> int:
        return 0 if mask is None else int(repeats[mask].sum())

    def repeat(mask: BoolArray) -> BoolArray:
        return mask.take(rows) if (mask & present).any() else np.zeros(len(rows), bool)

    return BatchPrediction(
        screened=screened,
        predictions=take(titles.predictions, rows),
        bounds=tuple(take(bound, rows) for bound in titles.bounds),
        outside_range=repeat(titles.outside_range),
        unfamiliar=None if titles.unfamiliar is None else repeat(titles.unfamiliar),
        outside_by_feature=[count(mask) for mask in titles.outside_by_feature],
        extremes=list(zip(features.min(axis=1).tolist(), features.max(axis=1).tolist(), strict=True)),
        sums=[] if combinations.bins is None else np.einsum("ij,j->i", combinations.values, repeats).tolist(),
        rows_clipped=count(titles.clipped),
        rows_without_interval=count(np.isnan(titles.bounds[0])) if titles.bounds else 0,
        histograms=[] if combinations.bins is None else combinations.bins.count(repeats),
    )


def _score(columns: Sequence[Numbers], version: LoadedVersion) -> FloatArray:
    """Score rows: columns (n,) each to the scorer's predictions, float64 (n,)."""
    matrix = np.empty((len(columns[0]), len(columns)), np.float32)
    for index, column in enumerate(columns):
        matrix[:, index] = column
    return version.scorer.score(matrix)


def find_extremes(columns: Sequence[Numbers]) -> list[Extremes]:
    """Return the smallest and the largest value of each column, (n,) each; empty without rows."""
    return [(float(column.min()), float(column.max())) for column in columns] if len(columns[0]) else []


def _find_outside(
    columns: Sequence[Numbers], extremes: Sequence[Extremes], version: LoadedVersion
) -> list[BoolArray | None]:
    """Mark for each feature the rows outside its range in training; None if there are none."""
    if not extremes:
        return [None] * len(columns)
    masks: list[BoolArray | None] = []
    for column, (smallest, largest), low, high in zip(
        columns, extremes, version.training_min, version.training_max, strict=True
    ):
        masks.append(None if smallest >= low and largest <= high else (column < low) | (column > high))
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


def _count_rows(mask: BoolArray | None) -> int:
    return 0 if mask is None else int(np.count_nonzero(mask))


def _sum_rows(values: Numbers) -> float:
    if values.dtype == np.int8 and values.min() >= 0 and values.max() <= 1:  # flags: ten times as fast as a sum
        return float(np.count_nonzero(values))
    return float(values.sum(dtype=np.float64))
