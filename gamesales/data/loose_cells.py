"""Convert categories and dates in Python objects, NumPy arrays and pandas columns to Arrow columns.

A cell is missing if it is None, NaN, or the NA or NaT of pandas. No library of data frames is imported here.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from gamesales.data.arrow import make_text_column, to_arrow
from gamesales.data.contract import Column

# The classes of missing cells of pandas. Comparing a cell with NA gives NA, which is neither true nor false.
_MISSING_CLASSES = ("NAType", "NaTType")


def is_missing_cell(cell: Any) -> bool:
    """Return whether a Python object stands for a missing cell."""
    if cell is None or type(cell).__name__ in _MISSING_CLASSES:
        return True
    if isinstance(cell, (float, np.floating)):
        return math.isnan(cell)
    return isinstance(cell, np.datetime64) and bool(np.isnat(cell))


def write_cell(cell: Any) -> str:
    """Return the text of a cell: empty for a missing cell."""
    if is_missing_cell(cell):
        return ""
    return cell.decode(errors="replace") if isinstance(cell, bytes) else str(cell)


def convert_categories(column: Any, _: Column) -> pa.Array:
    """Convert the cells of a category, (n,), to text or numbers.

    Raises:
        ValueError: the column is not one-dimensional.
    """
    categories = getattr(getattr(column, "dtype", None), "categories", None)
    if categories is not None:  # a pandas categorical: only its categories become text
        codes = np.asarray(getattr(column, "cat", column).codes).astype(np.int32)
        texts = make_text_column([_write_category(cell) for cell in categories.tolist()])
        return pa.DictionaryArray.from_arrays(to_arrow(codes, nulls=codes < 0), texts)
    values = list_cells(column)
    if values.dtype.kind in "biuf":
        return _convert_numbers(values)
    return make_text_column([_write_category(cell) for cell in values.tolist()])


def _write_category(cell: Any) -> str:
    """Write a cell. A boolean is 0 or 1, as in an Arrow column of booleans."""
    if isinstance(cell, (bool, np.bool_)):
        return str(int(cell))
    return cell.isoformat() if isinstance(cell, date) and not is_missing_cell(cell) else write_cell(cell)


def convert_dates(column: Any, contract_column: Column) -> pa.Array:
    """Convert the cells of a date, (n,), to timestamps, text or numbers. The time zone of a timestamp becomes UTC.

    Raises:
        ValueError: the column is not one-dimensional.
    """
    values = list_cells(column)
    if values.dtype.kind in "biuf":
        return _convert_numbers(values)
    if values.dtype.kind == "M":
        return _make_timestamps(values)
    cells = values.tolist()
    if all(is_missing_cell(cell) or isinstance(cell, (date, np.datetime64)) for cell in cells):
        return _make_timestamps(np.array([_find_day(cell) for cell in cells], "datetime64[D]"))
    date_format = contract_column.date_format or "%Y-%m-%d"  # the cells that are text have this format
    return make_text_column([_write_date(cell, date_format) for cell in cells])


def _write_date(cell: Any, date_format: str) -> str:
    is_date = isinstance(cell, date) and not is_missing_cell(cell)
    return _find_day(cell).strftime(date_format) if is_date else write_cell(cell)


def list_cells(column: Any) -> Any:
    """Return a column as an array (n,) of its own type, or of Python objects if the cells have several types.

    Raises:
        ValueError: the column is not one-dimensional.
    """
    if isinstance(column, np.ma.MaskedArray):
        column = column.tolist()  # a masked cell becomes None
    is_sequence = isinstance(column, (list, tuple))
    if is_sequence and any(isinstance(cell, str) or is_missing_cell(cell) for cell in column):
        # NumPy would turn NaN beside text into the text nan.
        values = np.empty(len(column), object)
        values[:] = column
    else:
        values = np.asarray(column)
    if values.ndim != 1:
        raise ValueError(f"shape {values.shape}")
    return values


def _find_day(cell: Any) -> Any:
    """Return the day of a date, a time or a NumPy time; None for a missing cell."""
    if is_missing_cell(cell) or not isinstance(cell, datetime):
        return None if is_missing_cell(cell) else cell
    return (cell if cell.tzinfo is None else cell.astimezone(UTC)).date()


def _convert_numbers(values: Any) -> pa.Array:
    """Convert booleans, integers and floats of any size."""
    if values.dtype.kind == "b":
        return to_arrow(values.astype(np.uint8))
    if values.dtype.kind == "f":
        return to_arrow(values.astype(np.float64))
    return to_arrow(np.ascontiguousarray(values.astype(values.dtype.newbyteorder("="))))


def _make_timestamps(values: Any) -> pa.Array:
    """Convert NumPy times, (n,) of datetime64, to Arrow timestamps in seconds."""
    nulls = np.isnat(values)
    seconds = values.astype("datetime64[s]").astype(np.int64)
    return to_arrow(seconds, nulls=nulls).view(pa.timestamp("s"))
