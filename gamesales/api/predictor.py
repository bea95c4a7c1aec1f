"""Predict with a version of a registry.

    >>> from gamesales import Registry
    >>> Registry("registry").load("game-earnings@champion").predict(titles)
    array([ 88736.42, 67396.57, …])

It loads the libraries of scoring only. It needs no TensorFlow and no pandas, and unpickles nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from gamesales.arrays import FloatArray
from gamesales.data.contract import Contract
from gamesales.data.in_memory import Titles, select_features, to_table
from gamesales.data.table import Batch, summarize_rejects
from gamesales.errors import InputError, UsageError
from gamesales.report.format import format_count
from gamesales.scoring.in_memory import score_table
from gamesales.scoring.predict import BatchPrediction, predict_batch
from gamesales.scoring.scored_titles import PredictionCache
from gamesales.scoring.scorer import LoadedVersion

if TYPE_CHECKING:
    from gamesales.scoring.explanation import Explanation


class Predictor:
    """A loaded version, from ``Registry.load``. A later promotion does not change it.

    Threads may share a predictor. A pickle holds the whole version, so a worker process on this or another machine
    needs no registry. When it is unpickled, its golden rows are reproduced.

    Each method takes titles in any kind of table: an Arrow table or record batch, a data frame of pandas or Polars, a
    mapping of column names to arrays of shape (n,), a list of titles that are mappings, or a single title as a mapping.
    Columns may come in any order. Columns outside the contract are ignored.
    """

    def __init__(self, version: LoadedVersion, references: FloatArray | None = None) -> None:
        self._version = version
        self._references = references
        self._cache = PredictionCache()

    def __reduce__(self) -> tuple[Callable[..., Predictor], tuple[LoadedVersion, FloatArray | None]]:
        return _restore_predictor, (self._version, self._references)

    def __repr__(self) -> str:
        return f"Predictor(version {self.version} of {self.model})"

    @property
    def model(self) -> str:
        """The name of the model."""
        return self._version.model

    @property
    def version(self) -> int:
        """The number of the version."""
        return self._version.number

    @property
    def contract(self) -> Contract:
        """The columns that the version needs, with their units and allowed values."""
        return self._version.contract

    @property
    def coverage(self) -> float | None:
        """The nominal coverage of the prediction intervals, 0 to 1, or None if the version has no intervals."""
        return self._version.prediction_interval.coverage if self._version.prediction_interval else None

    def predict(self, titles: Titles) -> FloatArray:
        """Predict the target of titles.

        Args:
            titles: The titles, in any kind of table.

        Returns:
            The predictions in the unit of the target, float64 (n,), in the order of the rows.

        Raises:
            ColumnsError: Columns are missing, duplicate or not numeric.
            InputError: Rows break the contract. The message names the first few, counted from 1.
            TypeError: The argument is not a table.
        """
        return self._predict(titles).predictions

    def predict_interval(self, titles: Titles) -> tuple[FloatArray, FloatArray]:
        """Return the prediction intervals of titles. Their nominal coverage is ``coverage``.

        Intervals of titles unlike the training titles are wider, or NaN if nothing is known about such titles.

        Args:
            titles: The titles, in any kind of table.

        Returns:
            The lower and the upper bounds in the unit of the target, float64 (n,) each, in the order of the rows.

        Raises:
            ColumnsError: Columns are missing, duplicate or not numeric.
            InputError: Rows break the contract. The message names the first few, counted from 1.
            TypeError: The argument is not a table.
            UsageError: The version has no prediction intervals.
        """
        if self._version.prediction_interval is None:
            raise UsageError(
                f"version {self.version} of {self.model} has no prediction intervals",
                hint="Train a version with intervals: see [intervals] in docs/guides/train.md",
            )
        low, high = self._predict(titles).bounds
        return low, high

    def explain(self, titles: Titles) -> list[Explanation]:
        """Explain predictions: how far each column moves them away from the mean prediction.

        Args:
            titles: The titles, in any kind of table.

        Returns:
            An explanation for each title, in the order of the rows and in the unit of the target. Its ``mean`` and the
            ``effect`` of each of its ``effects`` add up to its ``prediction``. A sampled effect has a
            ``standard_error``.

        Raises:
            ColumnsError: Columns are missing, duplicate or not numeric.
            InputError: Rows break the contract. The message names the first few, counted from 1.
            TypeError: The argument is not a table.
            NoReferenceTitlesError: The version has no reference titles.
        """
        from gamesales.scoring.explain import Explainer
        from gamesales.scoring.reference_titles import make_no_references_error

        if self._references is None:
            raise make_no_references_error(self._version)
        explainer = Explainer(self._version, self._references)
        return [explainer.explain(title) for title in self._predict(titles).screened.values.tolist()]

    def score(self, titles: Titles, keep: Sequence[str] | None = None) -> pa.Table:
        """Score a table inside another engine. No row is lost, and a row that breaks the contract raises no error.

        Args:
            titles: The titles, in any kind of table.
            keep: The columns to copy to the result. None copies all columns that are not features.

        Returns:
            A row for each title, in the order of the rows: the copied columns, the columns that ``gamesales score``
            writes, and ``reject_reason``. A row that breaks the contract has the reason, and null predictions. All
            versions give the same columns. The prediction intervals of a version without intervals are null.

        Raises:
            ColumnsError: Columns are missing, duplicate or not numeric, or a copied column has the name of another
                column of the result.
            TypeError: The argument is not a table.
        """
        return score_table(to_table(titles, self.contract), self._version, keep, self._cache)

    def _predict(self, titles: Titles) -> BatchPrediction:
        table = select_features(titles, self.contract)
        rows = np.arange(1, len(table) + 1, dtype=np.int64)
        predicted = predict_batch(Batch(table, rows), self._version)
        rejected = predicted.screened.rejected
        if rejected:
            raise InputError(
                f"{len(rejected):,} of {format_count(len(table), 'row')} can't be scored: "
                f"{summarize_rejects(rejected)}",
                hint="Fix or drop these rows; see docs/reference/contract.md",
            )
        return predicted


def _restore_predictor(version: LoadedVersion, references: FloatArray | None) -> Predictor:
    version.run_self_test()
    return Predictor(version, references)
