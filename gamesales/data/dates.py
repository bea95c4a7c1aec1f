"""Dates as numbers: days since 1970-01-01, from which the scoring graph computes month and weekday.

A date is text in ISO 8601 or in the format of the contract, or a date or timestamp of Arrow. The time of day and the
time zone are dropped.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gamesales.arrays import BoolArray, FloatArray
from gamesales.data.arrow import may_be_text, null_mask, to_numpy
from gamesales.data.categories import list_distinct_texts

_EPOCH = date(1970, 1, 1).toordinal()
# Arrow has dates before the year 1 and after 9999. Text in ISO 8601 does not.
_FIRST_DAY, _LAST_DAY = 1 - _EPOCH, date.max.toordinal() - _EPOCH
_SECONDS_PER_DAY = 86_400
_UNITS_PER_DAY = {"s": _SECONDS_PER_DAY, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}


def holds_dates(arrow_type: pa.DataType) -> bool:
    """Return whether a column of this type may hold dates. Integers may be years."""
    if pa.types.is_dictionary(arrow_type):
        return holds_dates(arrow_type.value_type)
    tests = (pa.types.is_date, pa.types.is_timestamp, pa.types.is_integer, pa.types.is_floating, pa.types.is_null)
    return may_be_text(arrow_type) or any(test(arrow_type) for test in tests)


def read_dates(array: pa.Array, date_format: str, missing_values: Collection[str]) -> tuple[FloatArray, BoolArray]:
    """Convert a column to days since 1970-01-01.

    Args:
        array: Arrow (n,) of a type that may hold dates.
        date_format: the format of text; empty for ISO 8601.
        missing_values: the texts of a missing cell.

    Returns:
        float64 (n,), NaN where a cell is not a date, and bool (n,), True where a cell is missing.
    """
    if pa.types.is_dictionary(array.type) and pa.types.is_temporal(array.type.value_type):
        array = array.cast(array.type.value_type)
    if pa.types.is_date32(array.type):
        return _mask(to_numpy(array.view(pa.int32())).astype(np.float64), null_mask(array))
    if pa.types.is_date64(array.type) or pa.types.is_timestamp(array.type):
        unit = "ms" if pa.types.is_date64(array.type) else array.type.unit
        ticks = to_numpy(array.view(pa.int64())).astype(np.int64)
        return _mask((ticks // _UNITS_PER_DAY[unit]).astype(np.float64), null_mask(array))
    texts, indices = list_distinct_texts(array)
    is_missing = np.array([not text or text in missing_values for text in texts], bool)
    days: FloatArray = np.array([parse_date(text, date_format) for text in texts])
    days[is_missing] = np.nan
    return days[indices], is_missing[indices]


def _mask(days: FloatArray, missing: BoolArray) -> tuple[FloatArray, BoolArray]:
    with np.errstate(invalid="ignore"):
        days[missing | (days < _FIRST_DAY) | (days > _LAST_DAY)] = np.nan
    return days, missing


def parse_date(text: str, date_format: str = "") -> float:
    """Return the days since 1970-01-01 of a date in text; NaN if it is not a date."""
    try:
        parsed = datetime.strptime(text, date_format).replace(tzinfo=UTC) if date_format else _parse_iso(text)
    except ValueError:
        return np.nan
    return float(parsed.toordinal() - _EPOCH)


def _parse_iso(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return datetime.fromisoformat(text)


def format_date(days: float) -> str:
    """Return the date of a number of days in ISO 8601; the number itself beyond the years 1 to 9999."""
    ordinal = int(days) + _EPOCH
    return date.fromordinal(ordinal).isoformat() if 1 <= ordinal <= date.max.toordinal() else f"{days:g}"


def count_years(days: npt.NDArray[np.floating]) -> FloatArray:
    """Return the year of days since 1970-01-01, (n,) without NaN."""
    return days.astype("datetime64[D]").astype("datetime64[Y]").astype(np.float64) + 1970


def split_dates(days: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Return month, 0 to 11, and weekday, 0 for Monday to 6, of days since 1970-01-01: (n,) to (n, 2). NaN stays."""
    missing = np.isnan(days)
    dates = np.where(missing, 0, days).astype("datetime64[D]")
    months = dates.astype("datetime64[M]").astype(np.int64) % 12
    weekdays = (np.where(missing, 0, days).astype(np.int64) + 3) % 7
    parts = np.column_stack([months, weekdays]).astype(np.float32)
    parts[missing] = np.nan
    return parts
