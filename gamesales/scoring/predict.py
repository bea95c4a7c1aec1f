"""Predict a batch of titles: screen its rows, score the accepted rows, and compare them with the training data.

Titles that repeat are scored once; see ``scored_titles``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from gamesales.arrays import BoolArray, FloatArray, IntArray
from gamesales.data.arrow import Numbers, take, to_arrow
from gamesales.data.contract import (
    HIGH_COLUMN,
    LOW_COLUMN,
    OUTSIDE_COLUMN,
    PREDICTION_COLUMN,
    UNFAMILIAR_COLUMN,
    VERSION_COLUMN,
    Column,
)
from gamesales.data.screen import Cells, ScreenedBatch, accept_all, read_numbers, reject, screen
from gamesales.data.table import Batch
from gamesales.scoring.drift import count_bins
from gamesales.scoring.scored_titles import PredictionCache, RepeatedTitles, ScoredTitles, find_extremes, score_rows
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
        sums: for each feature and then the predictions, the sum of the values, without missing cells.
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

    def make_columns(self, number: int) -> dict[str, pa.Array]:
        """Return the columns that scoring writes, (m,) each, in their order. ``number`` is that of the version."""
        any_null = self.rows_without_interval > 0
        columns = {PREDICTION_COLUMN: to_arrow(self.predictions)}
        if self.bounds:
            for name, bound in zip((LOW_COLUMN, HIGH_COLUMN), self.bounds, strict=True):
                columns[name] = to_arrow(bound, nulls=np.isnan(bound) if any_null else None)
        columns[OUTSIDE_COLUMN] = to_arrow(self.outside_range)
        if self.unfamiliar is not None:
            columns[UNFAMILIAR_COLUMN] = to_arrow(self.unfamiliar)
        columns[VERSION_COLUMN] = to_arrow(np.full(len(self.predictions), number, np.int32))
        return columns


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
    cells = read_numbers(batch, features, version.contract.missing_values)
    # In a column that may have gaps, both a gap and a cell that is no number are NaN.
    is_clear = all(_has_gaps_only(*pair) for pair in zip(cells, features, strict=True))
    repeated = cache.find([numbers for numbers, _ in cells]) if is_clear else None
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


def _has_gaps_only(cells: Cells, column: Column) -> bool:
    """Return whether each NaN of a column is a missing cell. Columns that may not be missing need no check."""
    numbers, missing = cells
    if not column.may_be_missing or column.kind == "category" or numbers.dtype.kind != "f":
        return True
    return bool(np.count_nonzero(np.isnan(numbers)) == np.count_nonzero(missing))


def _predict_rows(batch: Batch, screened: ScreenedBatch, version: LoadedVersion) -> BatchPrediction:
    """Score every row by itself."""
    predictions = score_rows(screened.columns, version)
    finite = np.isfinite(predictions)
    if not finite.all():
        screened = reject(batch, screened, ~finite, "the prediction is not a finite number")
        predictions = score_rows(screened.columns, version)
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
        extremes=find_extremes(list(features)),
        sums=[] if combinations.bins is None else _sum_repeated(combinations.values, repeats),
        rows_clipped=count(titles.clipped),
        rows_without_interval=count(np.isnan(titles.bounds[0])) if titles.bounds else 0,
        histograms=[] if combinations.bins is None else combinations.bins.count(repeats),
    )


def _sum_repeated(values: FloatArray, repeats: IntArray) -> list[float]:
    """Sum the columns of titles that repeat, without missing cells: (k + 1, c) and int64 (c,) to k + 1 sums."""
    if np.isnan(values).any():
        values = np.where(np.isnan(values), 0.0, values)
    sums: list[float] = np.einsum("ij,j->i", values, repeats).tolist()
    return sums


def _count_rows(mask: BoolArray | None) -> int:
    return 0 if mask is None else int(np.count_nonzero(mask))


def _sum_rows(values: Numbers) -> float:
    if values.dtype == np.int8 and values.min() >= 0 and values.max() <= 1:  # flags: ten times as fast as a sum
        return float(np.count_nonzero(values))
    total = float(values.sum(dtype=np.float64))
    return float(np.nansum(values, dtype=np.float64)) if math.isnan(total) else total
