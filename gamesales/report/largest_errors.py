"""The test titles with the largest errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gamesales.arrays import FloatArray, IntArray
from gamesales.data.contract import Column
from gamesales.report.format import (
    MISSING_CELL,
    format_money,
    format_percent,
    format_range,
    format_signed_money,
    format_value,
)
from gamesales.report.page import TableRow

if TYPE_CHECKING:
    from gamesales.report.plots import IntervalBand

_TITLES = 10
# Kinds whose values say what they are: 4.5 stars, $59.99.
_CLEAR_KINDS = ("rating", "price", "money")
_UNITLESS_KINDS = ("category", "date")


def build_largest_errors(
    rows: IntArray,
    features: FloatArray,
    columns: Sequence[Column],
    actual: FloatArray,
    predicted: FloatArray,
    band: IntervalBand | None,
) -> list[TableRow]:
    """Describe the titles with the largest errors, the largest first. A title outside its interval is marked.

    Args:
        rows: int64 (n,), the row numbers of the titles in their file.
        features: float64 (n, k).
        columns: the k columns of ``features``.
        actual: float64 (n,), finite.
        predicted: float64 (n,), finite.
        band: the prediction intervals; None: the version has none.
    """
    worst = np.argsort(-np.abs(predicted - actual), kind="stable")[:_TITLES]
    features, actual, predicted = features[worst], actual[worst], predicted[worst]
    errors = predicted - actual
    percents = [100 * error / earned if earned > 0 else None for error, earned in zip(errors, actual, strict=True)]
    bounds = np.stack(band.bounds(predicted), axis=1) if band else [(None, None)] * len(worst)
    table = []
    for place, (low, high) in enumerate(bounds):
        cells = (
            format_signed_money(errors[place], errors),
            _format_signed_percent(percents[place], percents),
            format_money(predicted[place]),
            format_money(actual[place]),
            format_range((low, high)),
        )
        is_outside = bool(band) and not low <= actual[place] <= high
        note = _describe_title(features[place], columns)
        table.append(TableRow(f"Row {rows[worst[place]]:,}", cells, note, is_marked=is_outside))
    return table


def _format_signed_percent(percent: float | None, like: Sequence[float | None]) -> str:
    text = format_percent(percent, like).replace("-", "−")
    return f"+{text}" if percent is not None and percent > 0 else text


def _describe_title(values: FloatArray, columns: Sequence[Column]) -> str:
    """Write the features of a title: numbers with their units, texts, and the flags that are set."""
    pairs = list(zip(values, columns, strict=True))
    units = Counter((column.kind, column.unit) for column in columns)
    texts = [
        _describe_value(value, column, is_only=column.kind in _UNITLESS_KINDS or units[column.kind, column.unit] == 1)
        for value, column in pairs
        if column.kind != "flag" or np.isnan(value)
    ]
    return ", ".join([*texts, *(column.name for value, column in pairs if column.kind == "flag" and value == 1)])


def _describe_value(value: float, column: Column, *, is_only: bool) -> str:
    """Write a value; with the name of its column if it says too little, as in ``year 2006`` and ``genre other``.

    Two scores in points say too little, too: ``is_only`` is False if another column has the same kind and unit.
    """
    text = format_value(value, column)
    is_clear = text not in (MISSING_CELL, "other") and any(map(str.isalpha, text))
    is_clear = is_only and (is_clear or (column.kind in _CLEAR_KINDS and text != MISSING_CELL))
    return text if is_clear else f"{column.name} {text}"
