"""Join the predictions of a date with actual earnings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gamesales.arrays import FloatArray
from gamesales.backtest.actuals import Actuals, format_examples, make_ids
from gamesales.data.arrow import convert_to_numbers, null_mask
from gamesales.data.contract import (
    HIGH_COLUMN,
    LOW_COLUMN,
    OUTSIDE_COLUMN,
    PREDICTION_COLUMN,
    VERSION_COLUMN,
    Contract,
)
from gamesales.errors import InputError
from gamesales.scoring.results import PublishedRun
from gamesales.stats.error_sums import MatchedRows, TitleSums

_BOUNDS = (LOW_COLUMN, HIGH_COLUMN)


@dataclass
class DayMatches:
    """The predictions of a date, joined with actual earnings.

    Attributes:
        sums: the errors of the predictions with actual earnings.
        rows: the number of predictions.
        waiting: the number of predictions of titles without actual earnings.
        without_id: the number of predictions without an id.
        duplicates: the number of titles with more than one prediction.
        example_ids: some predicted ids, for messages.
    """

    sums: TitleSums
    rows: int = 0
    waiting: int = 0
    without_id: int = 0
    duplicates: int = 0
    example_ids: str = ""


def join_date(run: PublishedRun, actuals: Actuals, contract: Contract) -> DayMatches:
    """Join the predictions of a date with actual earnings.

    Raises:
        InputError: a prediction is not finite, or is of another version than the report says.
    """

    def join(tables: Iterator[pa.Table]) -> DayMatches:
        matches = DayMatches(TitleSums(len(actuals)))
        for number, table in enumerate(tables):
            _add_table(matches, table, run, actuals, contract, number)
        matches.duplicates = int(np.count_nonzero(matches.sums.rows > 1))
        return matches

    if not run.columns:
        return DayMatches(TitleSums(len(actuals)))
    bounds = _BOUNDS if set(_BOUNDS) <= set(run.columns) else ()
    return run.scan([*contract.identity, PREDICTION_COLUMN, OUTSIDE_COLUMN, VERSION_COLUMN, *bounds], join)


def _add_table(
    matches: DayMatches, table: pa.Table, run: PublishedRun, actuals: Actuals, contract: Contract, number: int
) -> None:
    ids = make_ids([_read_column(table, name) for name in contract.identity])
    predicted = _read_numbers(table, PREDICTION_COLUMN)
    _check_predictions(run, predicted, _read_numbers(table, VERSION_COLUMN))
    titles = actuals.find_positions(ids)
    has_actual, lacks_id = titles >= 0, null_mask(ids)
    low, high = (
        _read_numbers(table, name)[has_actual]
        if name in table.column_names
        else np.full(np.count_nonzero(has_actual), np.nan)
        for name in _BOUNDS
    )
    matches.rows += len(table)
    matches.without_id += int(lacks_id.sum())
    matches.waiting += int((~has_actual & ~lacks_id).sum())
    matches.example_ids = matches.example_ids or format_examples(ids)
    rows = MatchedRows(
        titles=titles[has_actual],
        actual=actuals.earnings[titles[has_actual]],
        predicted=predicted[has_actual],
        outside=_read_numbers(table, OUTSIDE_COLUMN)[has_actual] == 1,
        low=low,
        high=high,
    )
    matches.sums.add(rows, seed=(run.day.toordinal(), number))


def _check_predictions(run: PublishedRun, predicted: npt.NDArray[Any], versions: npt.NDArray[Any]) -> None:
    infinite = np.flatnonzero(~np.isfinite(predicted))
    if len(infinite):
        raise InputError(
            f"{run.path} has {len(infinite):,} predictions that are not finite", hint="Score this date again"
        )
    others = sorted({int(version) for version in np.unique(versions) if version != run.version})
    if others:
        raise InputError(
            f"{run.path} holds predictions of version {others[0]}; expected version {run.version}, as in its report",
            hint="Score this date again",
        )


def _read_column(table: pa.Table, name: str) -> pa.Array:
    combined = table.column(name).combine_chunks()
    return combined.combine_chunks() if isinstance(combined, pa.ChunkedArray) else combined


def _read_numbers(table: pa.Table, name: str) -> FloatArray:
    numbers, _ = convert_to_numbers(_read_column(table, name), words=True)
    return numbers.astype(np.float64)
