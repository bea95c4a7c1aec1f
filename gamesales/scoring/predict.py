"""Predict a batch of titles: screen its rows, score the accepted rows, and compare them with the training data.

Large batches repeat the same titles many times, so each distinct row is scored once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gamesales.arrays import BoolArray, FloatArray, IntArray
from gamesales.data.arrow import Numbers, to_arrow, to_numpy
from gamesales.data.screen import ScreenedBatch, reject, screen
from gamesales.data.table import Batch
from gamesales.scoring.drift import count_bins
from gamesales.scoring.familiarity import merge_masks
from gamesales.scoring.scorer import LoadedVersion

# Smaller batches are not searched for distinct rows: scoring all of their rows is fast anyway.
_MIN_ROWS = 4_096
# A column with more distinct values than this among the first rows makes nearly every row distinct.
_SAMPLE_ROWS, _MAX_SAMPLE_VALUES = 1_024, 256
# The search must leave at least this many times fewer rows to score.
_MIN_REPETITION = 4


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


def predict_batch(batch: Batch, version: LoadedVersion) -> BatchPrediction:
    """Screen a batch and score its accepted rows.

    A row whose prediction is not finite is rejected too.
    """
    screened = screen(batch, version.contract.features)
    distinct, columns, predictions = _predict_distinct(screened.columns, version)
    finite = np.isfinite(predictions)
    if not finite.all():
        screened = reject(batch, screened, ~_expand(finite, distinct), "the prediction is not a finite number")
        distinct, columns, predictions = _predict_distinct(screened.columns, version)
    predictions, clipped = version.clip(predictions)
    extremes = [(float(column.min()), float(column.max())) for column in columns] if len(predictions) else []
    outside_masks = _find_outside(columns, extremes, version)
    outside = merge_masks(outside_masks, len(predictions))
    combinations = version.combinations.compare(columns) if version.combinations and len(predictions) else None
    new = None if combinations is None else combinations > 0
    unfamiliar = None if version.combinations is None else merge_masks([outside, new, clipped], len(predictions))
    bounds = _compute_bounds(columns, predictions, outside_masks, combinations, version)
    repeats = None if distinct is None else distinct.rows_per_group
    return BatchPrediction(
        screened=screened,
        predictions=_expand(predictions, distinct),
        bounds=tuple(_expand(bound, distinct) for bound in bounds),
        outside_range=_expand(outside, distinct),
        unfamiliar=None if unfamiliar is None else _expand(unfamiliar, distinct),
        outside_by_feature=[_count_rows(mask, repeats) for mask in outside_masks],
        extremes=extremes,
        sums=[_sum_rows(values, repeats) for values in (*columns, predictions)] if version.profiles else [],
        rows_clipped=_count_rows(clipped, repeats),
        rows_without_interval=_count_rows(np.isnan(bounds[0]), repeats) if bounds else 0,
        histograms=[
            count_bins(profile, values, repeats)
            for profile, values in zip(version.profiles or (), [*columns, predictions], strict=False)
        ],
    )


def _predict_distinct(
    columns: Sequence[Numbers], version: LoadedVersion
) -> tuple[DistinctRows | None, Sequence[Numbers], FloatArray]:
    """Score the d distinct rows of a batch. Return them, their columns, (d,) each, and the predictions, float64 (d,).

    The distinct rows are None if all rows were scored.
    """
    distinct = find_distinct(columns)
    if distinct is not None:
        columns = [column[distinct.row_of_group] for column in columns]
    matrix = np.empty((len(columns[0]), len(columns)), np.float32)
    for index, column in enumerate(columns):
        matrix[:, index] = column
    return distinct, columns, version.scorer.score(matrix)


def _find_outside(
    columns: Sequence[Numbers], extremes: Sequence[tuple[float, float]], version: LoadedVersion
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


def _count_rows(mask: BoolArray | None, repeats: IntArray | None) -> int:
    if mask is None:
        return 0
    return int(np.count_nonzero(mask) if repeats is None else repeats[mask].sum())


def _sum_rows(values: Numbers, repeats: IntArray | None) -> float:
    if repeats is not None:
        return float((values.astype(np.float64) * repeats).sum())
    if values.dtype == np.int8 and values.min() >= 0 and values.max() <= 1:  # flags: ten times as fast as a sum
        return float(np.count_nonzero(values))
    return float(values.sum(dtype=np.float64))


def _expand(values: npt.NDArray[Any], distinct: DistinctRows | None) -> npt.NDArray[Any]:
    """Repeat the values of the distinct rows for all rows."""
    return values if distinct is None else values[distinct.group_of_row]


@dataclass(frozen=True)
class DistinctRows:
    """The n rows of a batch in d groups of equal rows.

    Attributes:
        row_of_group: int64 (d,), the index of one row of each group.
        group_of_row: int32 (n,), the group of each row, from 0.
        rows_per_group: int64 (d,).
    """

    row_of_group: IntArray
    group_of_row: npt.NDArray[np.int32]
    rows_per_group: IntArray


def find_distinct(columns: Sequence[Numbers]) -> DistinctRows | None:
    """Group equal rows.

    Args:
        columns: finite numbers, (n,) each.

    Returns:
        The groups; None if the search would cost more time than it saves.
    """
    rows = len(columns[0])
    if rows < _MIN_ROWS or any(_count_values(column[:_SAMPLE_ROWS]) > _MAX_SAMPLE_VALUES for column in columns):
        return None
    weighted_codes, combinations = [], 1
    for column in columns:
        codes, values = _encode(column)
        weighted_codes.append((codes, combinations))
        combinations *= values
        if combinations * _MIN_REPETITION > rows:
            return None
    # The codes of a row are the digits of one number, which is equal exactly for equal rows.
    row_codes: Numbers = np.zeros(rows, np.min_scalar_type(combinations))
    for codes, weight in weighted_codes:
        row_codes += codes.astype(row_codes.dtype) * row_codes.dtype.type(weight)
    return _group_codes(row_codes, combinations)


def _count_values(column: Numbers) -> int:
    return len(to_arrow(column).unique())  # np.unique would import numpy.ma, which takes 10 ms


def _encode(column: Numbers) -> tuple[Numbers, int]:
    """Replace the values of a column by codes from 0: (n,), and the number of codes."""
    if column.dtype.kind in "iu":
        lowest, highest = int(column.min()), int(column.max())
        if highest - lowest < 2:
            return (column if lowest == 0 else column - lowest), highest - lowest + 1
    encoded = to_arrow(column).dictionary_encode()
    return to_numpy(encoded.indices), len(encoded.dictionary)


def _group_codes(row_codes: Numbers, combinations: int) -> DistinctRows:
    row_of_code = np.full(combinations, -1, np.int64)
    row_of_code[row_codes] = np.arange(len(row_codes))
    present = np.flatnonzero(row_of_code >= 0)
    group_of_code = np.zeros(combinations, np.int32)
    group_of_code[present] = np.arange(len(present), dtype=np.int32)
    group_of_row = group_of_code[row_codes]
    return DistinctRows(row_of_code[present], group_of_row, np.bincount(group_of_row, minlength=len(present)))
