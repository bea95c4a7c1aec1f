"""Predicting a batch of titles: screened, scored, and told apart from what training saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gamesales.data.batches import Batch
from gamesales.scoring import drift
from gamesales.scoring.distinct import Distinct, find_distinct
from gamesales.scoring.scorer import LoadedVersion
from gamesales.scoring.screen import Numbers, Screened, reject, screen

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Predicted:
    """A batch after scoring; what stands for rows covers the m accepted ones.

    ``earnings_usd`` is float64 (m,); ``outside`` is bool (m,): a feature lies outside the range that training saw.
    ``outside_by_feature`` counts those rows for each feature. ``histograms`` count rows by the bins of the version's
    training profile, feature by feature and then the predictions; a version without a profile has none.
    ``bounds_usd`` are the lower and the upper bounds around ``earnings_usd``, float64 (m,) each; a version without
    intervals has none.
    """

    screened: Screened
    earnings_usd: Floats
    bounds_usd: tuple[Floats, ...]
    outside: npt.NDArray[np.bool_]
    outside_by_feature: list[int]
    histograms: list[npt.NDArray[np.int64]]


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
        earnings_usd=_to_rows(earnings, distinct),
        bounds_usd=tuple(_to_rows(bound, distinct) for bound in bounds),
        outside=_to_rows(_any_of(by_feature, len(earnings)), distinct),
        outside_by_feature=[_count(rows, repeats) for rows in by_feature],
        histograms=[
            drift.count(profile, values, repeats)
            for profile, values in zip(version.profiles or (), [*columns, earnings], strict=False)
        ],
    )


def _earnings(columns: Sequence[Numbers], distinct: Distinct | None, version: LoadedVersion) -> Floats:
    """Predict earnings of the distinct rows, or of all."""
    chosen = _of_distinct(columns, distinct)
    matrix = np.empty((len(chosen[0]), len(chosen)), np.float32)
    for place, column in enumerate(chosen):
        matrix[:, place] = column
    return version.scorer.score(matrix)


def _outside(columns: Sequence[Numbers], version: LoadedVersion) -> list[npt.NDArray[np.bool_] | None]:
    """Tell for each feature which rows lie outside the range that training saw; None: none does."""
    found: list[npt.NDArray[np.bool_] | None] = []
    for column, low, high in zip(columns, version.lowest, version.highest, strict=True):
        inside = not len(column) or (column.min() >= low and column.max() <= high)
        found.append(None if inside else (column < low) | (column > high))
    return found


def _any_of(masks: Sequence[npt.NDArray[np.bool_] | None], rows: int) -> npt.NDArray[np.bool_]:
    outside = np.zeros(rows, bool)
    for mask in masks:
        if mask is not None:
            outside |= mask
    return outside


def _count(rows: npt.NDArray[np.bool_] | None, repeats: npt.NDArray[np.int64] | None) -> int:
    if rows is None:
        return 0
    return int(np.count_nonzero(rows) if repeats is None else repeats[rows].sum())


def _of_distinct(columns: Sequence[Numbers], distinct: Distinct | None) -> Sequence[Numbers]:
    return columns if distinct is None else [column[distinct.rows] for column in columns]


def _to_rows(values: npt.NDArray[Any], distinct: Distinct | None) -> npt.NDArray[Any]:
    return values if distinct is None else values[distinct.kinds]
