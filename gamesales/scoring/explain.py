"""Explain predictions: how far each column of the contract moves the prediction away from the mean prediction.

The effects are Shapley values in the unit of the target. They compare a title with the reference titles of its version,
and add up to its prediction minus the mean prediction for the reference titles.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.data.categories import format_code
from gamesales.data.contract import Column
from gamesales.data.dates import format_date
from gamesales.errors import InputError, warn
from gamesales.scoring.explanation import ColumnEffect, ExplainedTitle, Explanation
from gamesales.scoring.ledger import TopTitle
from gamesales.scoring.scorer import LoadedVersion
from gamesales.stats.shapley import ShapleyValues, Values, compute_shapley_values


class Explainer:
    """Explains the predictions of a version. A title has the same explanation whatever the other titles are.

    Args:
        version: the version that predicts.
        references: its reference titles, (r, k).
    """

    def __init__(self, version: LoadedVersion, references: FloatArray) -> None:
        self._version = version
        self._references = references.astype(np.float32)  # as scoring does
        self._shapley: dict[bytes, ShapleyValues] = {}  # titles repeat

    def explain(self, title: Sequence[float]) -> Explanation:
        """Explain the prediction for a title.

        Args:
            title: its k values, in the order of the contract: numbers, codes and days, NaN for a missing cell. They
                passed the screening.

        Raises:
            InputError: the prediction for a mixture of the title and a reference title is not a finite number.
        """
        row = np.array(title, np.float32)
        key = row.tobytes()
        if key not in self._shapley:
            self._shapley[key] = self._compute(row)
        return self._make_explanation(title, float(self._predict(row[None])[0]), self._shapley[key])

    def _predict(self, rows: Values) -> FloatArray:
        return self._version.clip(self._version.scorer.score(rows))[0]

    def _compute(self, row: Values) -> ShapleyValues:
        with np.errstate(invalid="ignore", over="ignore"):
            shapley = compute_shapley_values(self._predict, row, self._references)
        if not np.isfinite([shapley.mean, *shapley.values]).all():
            raise InputError(
                "this title can't be explained: mixed with a reference title, its prediction is not a finite number",
                hint="Check the title for extreme values",
            )
        return shapley

    def _make_explanation(self, title: Sequence[float], prediction: float, shapley: ShapleyValues) -> Explanation:
        contract = self._version.contract
        errors = [None] * len(title) if shapley.standard_errors is None else shapley.standard_errors.tolist()
        effects = [
            ColumnEffect(column.name, column.kind, column.unit, write_value(value, column), effect, error)
            for column, value, effect, error in zip(
                contract.features, title, shapley.values.tolist(), errors, strict=True
            )
        ]
        effects.sort(key=lambda effect: -abs(effect.effect))
        return Explanation(prediction, shapley.mean, contract.unit, len(self._references), effects)


def write_value(value: float, column: Column) -> float | str | None:
    """Return a value as an explanation has it: the text of a category or a date, and None for a missing cell."""
    if math.isnan(value) or (column.kind == "category" and value > len(column.values)):
        return None
    if column.kind == "category":
        return format_code(column, value)
    return format_date(value) if column.kind == "date" else value


def explain_top_titles(explainer: Explainer, titles: Sequence[TopTitle]) -> list[ExplainedTitle]:
    """Explain titles of a run. A title that can't be explained is left out, with a warning."""
    explained = []
    for title in titles:
        try:
            explained.append(ExplainedTitle(title.row, title.labels, explainer.explain(title.values)))
        except InputError as error:
            warn(f"row {title.row:,} of the result: {error.message}")
    return explained
