"""Titles in memory, in any kind of table, as an Arrow batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from gamesales.data.arrow import make_text_column, to_arrow
from gamesales.data.contract import Contract
from gamesales.data.screen import require_columns
from gamesales.errors import ColumnsError, InputError


def check_columns(titles: Any, contract: Contract) -> None:
    """Raise ColumnsError if features are missing, duplicate or not numeric."""
    if isinstance(titles, (pa.Table, pa.RecordBatch)):
        schema = titles.schema
    elif isinstance(titles, Mapping) or hasattr(titles, "columns"):
        schema = pa.schema([(str(name), pa.null()) for name in getattr(titles, "columns", titles)])
    else:
        raise _make_type_error(titles)
    duplicates = [name for name in contract.feature_names if schema.names.count(name) > 1]
    if duplicates:
        raise ColumnsError(
            f"the table has duplicate columns: {', '.join(duplicates)}", hint="Rename or drop the duplicates"
        )
    require_columns("the table", schema, contract.features)


def as_table(titles: Any) -> pa.Table:
    """Convert any kind of table to an Arrow table.

    Raises:
        TypeError: it is not a table.
        InputError: a column can't be converted.
    """
    if isinstance(titles, pa.Table):
        return titles
    has_columns = any(hasattr(titles, name) for name in ("__arrow_c_stream__", "__arrow_c_array__", "columns"))
    if not has_columns and not isinstance(titles, Mapping):
        raise _make_type_error(titles)
    try:
        return pa.table(titles)
    except (TypeError, ValueError) as error:  # errors of pyarrow
        raise InputError(
            f"the table can't be converted to an Arrow table: {error}",
            hint="Give each column one type, and a value for each title",
        ) from None


def _make_type_error(titles: Any) -> TypeError:
    return TypeError(
        f"expected an Arrow table, a pandas data frame or a mapping of arrays, received {type(titles).__name__}"
    )


def as_batch(titles: Any, names: tuple[str, ...]) -> pa.RecordBatch:
    """Convert the features of any kind of table to a record batch."""
    if isinstance(titles, (pa.Table, pa.RecordBatch)):
        columns = [_combine_chunks(titles.column(name)) for name in names]
    else:
        columns = [_to_column(name, titles[name]) for name in names]
    if len({len(column) for column in columns}) > 1:
        lengths = ", ".join(f"{name}: {len(column)}" for name, column in zip(names, columns, strict=True))
        raise InputError(f"the columns have different lengths ({lengths})")
    return pa.RecordBatch.from_arrays(columns, names=list(names))


def _combine_chunks(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        combined = column.combine_chunks()
        return combined.combine_chunks() if isinstance(combined, pa.ChunkedArray) else combined
    return column


def _to_column(name: str, column: Any) -> pa.Array:
    """Convert numbers and booleans to float64, and anything else to text. None becomes empty text."""
    if isinstance(column, np.ma.MaskedArray):
        column = np.ma.filled(column.astype(np.float64), np.nan)
    values = np.asarray(column)
    if values.ndim != 1:
        raise InputError(
            f"{name} has shape {values.shape}, expected (n,): a number for each title",
            hint=f'For one title, give lists of length 1: {{"{name}": [4.5], …}}',
        )
    if values.dtype.kind in "biuf":
        return to_arrow(values.astype(np.float64))
    return make_text_column(["" if value is None else str(value) for value in values.tolist()])
