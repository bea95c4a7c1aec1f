"""Explain predictions: how far each column of the contract moves the prediction away from the mean prediction.

The effects are Shapley values in the unit of the target. They compare a title with the reference titles of its version,
and add up to its prediction minus the mean prediction for the reference titles.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.errors import InputError
from gamesales.scoring.explanation import ColumnEffect, Explanation
from gamesales.scoring.scorer import LoadedVersion
from gamesales.stats.shapley import ShapleyValues, Values, compute_shapley_values


def explain_titles(
    version: LoadedVersion, references: FloatArray, titles: Sequence[Sequence[float]]
) -> list[Explanation]:
    """Explain the predictions for titles. A title has the same explanation whatever the other titles are.

    Args:
        version: the version that predicts.
        references: its reference titles, (r, k).
        titles: n titles of k values each, in the order of the contract. They passed the screening.

    Raises:
        InputError: the prediction for a mixture of a title and a reference title is not a finite number.
    """
    narrow = references.astype(np.float32)  # as scoring does
    computed: dict[bytes, tuple[float, ShapleyValues]] = {}
    explanations = []
    for title in titles:
        row = np.array(title, np.float32)
        if row.tobytes() not in computed:
            computed[row.tobytes()] = _compute_values(version, row, narrow)
        explanations.append(_make_explanation(version, title, *computed[row.tobytes()], len(references)))
    return explanations


def _compute_values(version: LoadedVersion, title: Values, references: Values) -> tuple[float, ShapleyValues]:
    """Return the prediction for a title, and the Shapley values of its columns."""

    def predict(rows: Values) -> FloatArray:
        return version.clip(version.scorer.score(rows))[0]

    with np.errstate(invalid="ignore", over="ignore"):
        shapley = compute_shapley_values(predict, title, references)
    if not np.isfinite([shapley.mean, *shapley.values]).all():
        raise InputError(
            "this title can't be explained: mixed with a reference title, its prediction is not a finite number",
            hint="Check the title for extreme values",
        )
    return float(predict(title[None])[0]), shapley


def _make_explanation(
    version: LoadedVersion, title: Sequence[float], prediction: float, shapley: ShapleyValues, references: int
) -> Explanation:
    columns = version.contract.features
    errors = [None] * len(columns) if shapley.standard_errors is None else shapley.standard_errors.tolist()
    effects = [
        ColumnEffect(column.name, column.kind, column.unit, value, effect, error)
        for column, value, effect, error in zip(columns, title, shapley.values.tolist(), errors, strict=True)
    ]
    effects.sort(key=lambda effect: -abs(effect.effect))
    return Explanation(prediction, shapley.mean, version.contract.target.unit, references, effects)
