"""Titles in memory, in any kind of table, as Arrow data.

A table is Arrow data, a data frame, a mapping of column names to arrays, or a list of titles that are mappings. Polars
and other libraries pass their frames through the Arrow PyCapsule interface, so none of them is imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import pyarrow as pa

from gamesales.data.arrow import make_text_column, to_arrow
from gamesales.data.contract import Column, Contract
from gamesales.data.loose_cells import convert_categories, convert_dates, list_cells, write_cell
from gamesales.data.screen import require_columns
from gamesales.errors import ColumnsError, InputError

T = TypeVar("T")


class ArrowStream(Protocol):
    """A table that exports its batches: of PyArrow, Polars, DuckDB and others."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


class ArrowArray(Protocol):
    """A batch that exports its columns, such as a record batch of PyArrow."""

    def __arrow_c_array__(self, requested_schema: object | None = None) -> object: ...


class DataFrame(Protocol):
    """A data frame of pandas, or of a library with the same way to select a column."""

    @property
    def columns(self) -> Any: ...

    def __getitem__(self, name: Any, /) -> Any: ...


_COLUMN_HINT = "Give a list of numbers for each column, or for a single title a number for each column"
_CELLS_HINT = "Give a list of values for each column, or for a single title a value for each column"
# How the cells of a kind are converted. Other kinds are numbers.
_CONVERSIONS = {"category": convert_categories, "date": convert_dates}

Titles = Mapping[str, Any] | Sequence[Mapping[str, Any]] | ArrowStream | ArrowArray | DataFrame


def select_features(titles: Titles, contract: Contract) -> pa.RecordBatch:
    """Convert the features of titles to a record batch.

    Raises:
        ColumnsError: Features are missing, duplicate or not numeric.
        InputError: The columns have different lengths, or a column is not one-dimensional.
        TypeError: The titles are not a table.
    """
    table = _open(titles, contract)
    _check_columns(table, contract)
    return _make_batch(table, contract.features)


def to_table(titles: Titles, contract: Contract) -> pa.Table:
    """Convert titles to an Arrow table, with all of their columns.

    Raises:
        ColumnsError: Features are missing, duplicate or not numeric.
        InputError: The columns have different lengths, or a column can't be converted.
        TypeError: The titles are not a table.
    """
    table = _open(titles, contract)
    if isinstance(table, Mapping):
        _check_columns(table, contract)
        features = _make_batch(table, contract.features)
        others = {str(name): column for name, column in table.items() if name not in contract.feature_names}
        arrays = {name: _convert(pa.array, column, f"the column {name}") for name, column in others.items()}
        _check_lengths({"the features": features, **arrays})
        return pa.Table.from_arrays([*features.columns, *arrays.values()], [*features.schema.names, *arrays])
    if not isinstance(table, pa.Table):
        table = _convert_frame(table, contract)
    _check_columns(table, contract)
    return table


def _convert_frame(frame: Any, contract: Contract) -> pa.Table:
    """Convert a data frame or a record batch. Arrow can't convert cells of several types, such as text and numbers."""
    columns = {}
    if hasattr(frame, "iloc"):
        columns = {
            column.name: _to_column(column, frame[column.name])
            for column in contract.features
            if column.kind in _CONVERSIONS and list(frame.columns).count(column.name) == 1
            if frame[column.name].dtype == object
        }
        frame = frame.drop(columns=list(columns))
    table = _convert(pa.table, frame, "the table")
    for name, column in columns.items():
        table = table.append_column(name, column)
    return table


def _open(titles: Any, contract: Contract) -> Any:
    """Return titles as Arrow data, a pandas data frame, or a mapping of column names to arrays."""
    if isinstance(titles, (pa.Table, pa.RecordBatch)):
        return titles
    if isinstance(titles, Mapping):
        if _is_single(titles, contract):
            return {name: [titles.get(name)] for name in dict.fromkeys([*titles, *_list_optional(contract)])}
        return titles
    if isinstance(titles, Sequence) and all(isinstance(title, Mapping) for title in titles):
        names = dict.fromkeys(name for title in titles for name in title)
        names |= dict.fromkeys(contract.feature_names if not titles else _list_optional(contract))
        return {name: [title.get(name) for title in titles] for name in names}
    is_pandas = hasattr(titles, "iloc")  # it has types, such as objects, that Arrow data does not have
    if not is_pandas and hasattr(titles, "__arrow_c_stream__"):
        return _convert(_read_stream, titles, "the table")
    if not is_pandas and hasattr(titles, "__arrow_c_array__"):
        return _convert(pa.table, titles, "the table")
    if hasattr(titles, "columns"):
        return titles
    raise TypeError(
        "expected an Arrow table, a data frame, a mapping of columns or a list of titles as mappings, "
        f"received {type(titles).__name__}"
    )


def _read_stream(titles: ArrowStream) -> pa.Table:
    """Read a stream. ``pa.table`` would import pandas, to see whether it is a data frame."""
    return pa.RecordBatchReader.from_stream(titles).read_all()


def _list_optional(contract: Contract) -> list[str]:
    """List the features that a title may lack."""
    return [column.name for column in contract.features if column.may_be_missing]


def _is_single(titles: Mapping[str, Any], contract: Contract) -> bool:
    """Return whether a mapping is a single title: each feature has a value instead of an array."""
    values = [titles[name] for name in contract.feature_names if name in titles]
    return bool(values) and all(isinstance(value, str) or not hasattr(value, "__len__") for value in values)


def _convert(function: Callable[[Any], T], values: Any, label: str) -> T:
    try:
        return function(values)
    except (TypeError, ValueError, OverflowError) as error:  # errors of PyArrow
        raise InputError(
            f"{label} can't be converted to an Arrow table: {error}",
            hint="Give each column one type, and a value for each title",
        ) from None


def _check_columns(table: Any, contract: Contract) -> None:
    """Raise ColumnsError if features are missing, duplicate or not numeric."""
    if isinstance(table, (pa.Table, pa.RecordBatch)):
        schema = table.schema
    else:
        schema = pa.schema([(str(name), pa.null()) for name in getattr(table, "columns", table)])
    duplicates = [name for name in contract.feature_names if schema.names.count(name) > 1]
    if duplicates:
        raise ColumnsError(
            f"the table has duplicate columns: {', '.join(duplicates)}", hint="Rename or drop the duplicates"
        )
    require_columns("the table", schema, contract.features)


def _make_batch(table: Any, features: Sequence[Column]) -> pa.RecordBatch:
    if isinstance(table, (pa.Table, pa.RecordBatch)):
        columns = {column.name: _combine_chunks(table.column(column.name)) for column in features}
    else:
        columns = {column.name: _to_column(column, table[column.name]) for column in features}
    _check_lengths(columns)
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def _check_lengths(columns: Mapping[str, Any]) -> None:
    if len({len(column) for column in columns.values()}) > 1:
        lengths = ", ".join(f"{name}: {len(column)}" for name, column in columns.items())
        raise InputError(f"the columns have different lengths ({lengths})", hint="Give each column a value per title")


def _combine_chunks(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        combined = column.combine_chunks()
        return combined.combine_chunks() if isinstance(combined, pa.ChunkedArray) else combined
    return column


def _to_column(column: Column, cells: Any) -> pa.Array:
    """Convert the cells of a column to Arrow data of a type that fits its kind."""
    if column.kind not in _CONVERSIONS:
        return _to_numbers(column.name, cells)
    if isinstance(cells, (pa.Array, pa.ChunkedArray)):
        return _combine_chunks(cells)
    try:
        return _CONVERSIONS[column.kind](cells, column)
    except ValueError as error:  # not one-dimensional
        raise InputError(f"{column.name} is not a column of values: {error}", hint=_CELLS_HINT) from None


def _to_numbers(name: str, column: Any) -> pa.Array:
    """Convert numbers and booleans to float64, and anything else to text. A missing cell becomes empty text."""
    if isinstance(column, np.ma.MaskedArray):
        column = np.ma.filled(column.astype(np.float64), np.nan)
    try:
        values = np.asarray(column)
    except ValueError as error:  # sequences of different lengths
        raise InputError(f"{name} is not a column of numbers: {error}", hint=_COLUMN_HINT) from None
    if values.ndim != 1:
        raise InputError(f"{name} has shape {values.shape}, expected (n,): a number for each title", hint=_COLUMN_HINT)
    if values.dtype.kind in "biuf":
        return to_arrow(values.astype(np.float64))
    return make_text_column([write_cell(value) for value in list_cells(column).tolist()])
