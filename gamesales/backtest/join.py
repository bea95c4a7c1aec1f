"""The predictions of a date find what their titles earned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gamesales.arrays import BoolArray, FloatArray
from gamesales.backtest.actuals import Actuals, as_ids, examples
from gamesales.data.arrow import null_mask
from gamesales.data.contract import Contract
from gamesales.data.screen import as_numbers
from gamesales.errors import InputError
from gamesales.scoring.results import Past
from gamesales.stats.error_sums import Gathered, Joined

_PREDICTED, _OUTSIDE, _VERSION = "predicted_earnings", "outside_training_range", "model_version"
_BOUNDS = ("predicted_earnings_low", "predicted_earnings_high")


@dataclass
class Matched:
    """What came of a date: ``rows`` in all, those ``waiting`` for their titles' earnings, those ``without_id``.

    ``gathered`` adds up those that were matched; ``doubled`` counts titles that came more than once;
    ``example_ids`` shows some ids as they were predicted.
    """

    gathered: Gathered
    rows: int = 0
    waiting: int = 0
    without_id: int = 0
    doubled: int = 0
    example_ids: str = field(default="")


def join_date(past: Past, actuals: Actuals, contract: Contract) -> Matched:
    """Join a date's predictions with actual earnings.

    Raises: InputError: a prediction is not a number, or another version's than the report says.
    """

    def join(pieces: Iterator[pa.Table]) -> Matched:
        matched = Matched(Gathered(len(actuals)))
        for number, piece in enumerate(pieces):
            _take(matched, piece, past, actuals, contract, number)
        matched.doubled = int(np.count_nonzero(matched.gathered.rows > 1))
        return matched

    bounds = _BOUNDS if set(_BOUNDS) <= set(past.columns) else ()
    return past.scan([*contract.identity, _PREDICTED, _OUTSIDE, _VERSION, *bounds], join)


def _take(matched: Matched, piece: pa.Table, past: Past, actuals: Actuals, contract: Contract, number: int) -> None:
    """Add some rows to what came of a date."""
    ids = as_ids([_column(piece, name) for name in contract.identity])
    predicted = _numbers(piece, _PREDICTED)
    versions = _numbers(piece, _VERSION)
    _check(past, predicted, versions)
    titles = actuals.places(ids)
    known, nameless = titles >= 0, null_mask(ids)
    low, high = (_numbers(piece, name)[known] if name in piece.column_names else _nothing(known) for name in _BOUNDS)
    matched.rows += len(piece)
    matched.without_id += int(nameless.sum())
    matched.waiting += int((~known & ~nameless).sum())
    matched.example_ids = matched.example_ids or examples(ids)
    joined = Joined(
        titles=titles[known],
        actual=actuals.earnings[titles[known]],
        predicted=predicted[known],
        outside=_numbers(piece, _OUTSIDE)[known] == 1,
        low=low,
        high=high,
    )
    matched.gathered.take(joined, seed=(past.day.toordinal(), number))


def _check(past: Past, predicted: npt.NDArray[Any], versions: npt.NDArray[Any]) -> None:
    infinite = np.flatnonzero(~np.isfinite(predicted))
    if len(infinite):
        raise InputError(
            f"{past.place} has {len(infinite):,} predictions that are no finite numbers", hint="Score this date again"
        )
    others = sorted({int(one) for one in np.unique(versions) if one != past.version})
    if others:
        raise InputError(
            f"{past.place} holds predictions of version {others[0]}, but its report tells of version {past.version}",
            hint="Score this date again",
        )


def _column(piece: pa.Table, name: str) -> pa.Array:
    chunked = piece.column(name).combine_chunks()
    return chunked.combine_chunks() if isinstance(chunked, pa.ChunkedArray) else chunked


def _numbers(piece: pa.Table, name: str) -> FloatArray:
    numbers, _ = as_numbers(_column(piece, name), words=True)
    return numbers.astype(np.float64)


def _nothing(known: BoolArray) -> FloatArray:
    return np.full(int(known.sum()), np.nan)
