"""The columns of Hive partition folders, such as ``region=us/part-0.parquet``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import unquote

import numpy as np
import pyarrow as pa

from gamesales.data.arrow import convert_to_json, make_text_column
from gamesales.data.table import Batch, TableFile, WrappedTable
from gamesales.errors import ColumnsError, InputError

# Hive and Spark write this for a null.
_NULL = "__HIVE_DEFAULT_PARTITION__"


def add_partition_columns(table: TableFile, folders: Sequence[str]) -> TableFile:
    """Add the columns of Hive partition folders, such as ``region=us``, to a table.

    Folders whose names have no ``=``, or begin with it, are ignored. Polars writes ``region=`` for empty text.

    Raises:
        ColumnsError: a column is in two folders.
    """
    pairs = [folder.partition("=") for folder in folders if "=" in folder.lstrip("=")]
    values = {_unescape(name): None if value == _NULL else _unescape(value) for name, _, value in pairs}
    if len(values) < len(pairs):
        raise ColumnsError(
            f"{table.path} has duplicate columns in its path: {', '.join(values)}", hint="Rename a folder"
        )
    return PartitionedFile(table, values) if values else table


def _unescape(text: str) -> str:
    """Decode the %-escapes of a folder's name. A name whose escapes are not UTF-8 has none."""
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return text


@dataclass(frozen=True)
class PartitionedFile(WrappedTable):
    """A table with its own columns, followed by its partition columns, which are text.

    The file may have a partition column too, as Polars and DuckDB write it. Then the column has its type and its place
    in the file, and every row must agree with the folder.
    """

    partition_values: Mapping[str, str | None]

    @property
    def schema(self) -> pa.Schema:
        own = self.table.schema
        return pa.schema([*own, *((name, pa.string()) for name in self.partition_values if name not in own.names)])

    def read_batches(
        self, names: Sequence[str], start: int = 0, stop: int | None = None, numbers: Collection[str] = ()
    ) -> Iterator[Batch]:
        """See ``TableFile``.

        Raises:
            InputError: a row has another value than its folder, or the file is damaged.
        """
        # A column of the file is read in any case, because it says how many rows there are.
        own_names = [name for name in names if name in self.table.schema.names] or self.table.schema.names[:1]
        for batch in self.table.read_batches(own_names, start, stop, numbers):
            self._require_equal(batch)
            read = batch.read_original
            yield replace(
                batch,
                table=self._add_columns(batch.table, names),
                read_original=None if read is None else lambda read=read: self._add_columns(read()),  # type: ignore[misc]
            )

    def _add_columns(self, table: pa.RecordBatch, names: Sequence[str] | None = None) -> pa.RecordBatch:
        """Return the named columns, or all columns, with the partition columns added that the file does not have."""
        columns = {name: _repeat(value, len(table)) for name, value in self.partition_values.items()}
        columns = dict(zip(table.schema.names, table.columns, strict=True)) | {
            name: column for name, column in columns.items() if name not in table.schema.names
        }
        chosen = names or list(columns)
        return pa.RecordBatch.from_arrays([columns[name] for name in chosen], names=list(chosen))

    def _require_equal(self, batch: Batch) -> None:
        """Compare the partition columns of the file with the folders."""
        for name in self.partition_values.keys() & set(batch.table.schema.names):
            value, column = self.partition_values[name], batch.table.column(name)
            if pa.types.is_dictionary(column.type):
                column = column.dictionary_decode()
            column, expected = _make_comparable(column, value)
            if column.equals(expected):
                continue
            index = next(i for i in range(len(column)) if not column.slice(i, 1).equals(expected.slice(i, 1)))
            cell, folder = convert_to_json(column.slice(index, 1))[0], _NULL if value is None else value
            raise InputError(
                f"{self.path}, row {batch.rows[index]}: {name} is {cell!r} in the file, but {folder!r} in its path",
                hint="Move the row to its folder, or correct the folder's name",
            )


def _make_comparable(column: pa.Array, value: str | None) -> tuple[pa.Array, pa.Array]:
    """Return a column and the repeated value of its folder, both in the type of the column, or both as text."""
    if value is None:
        return column, pa.nulls(len(column), column.type)
    repeated = _repeat(value, len(column))
    try:
        return column, repeated.cast(column.type)
    except pa.ArrowException:
        pass
    try:
        return column.cast(pa.string()), repeated
    except pa.ArrowException:
        return pa.nulls(len(column), pa.string()), repeated  # no value of this type can be the name of a folder


def _repeat(value: str | None, rows: int) -> pa.Array:
    """Make a column of one repeated value."""
    if value is None:
        return pa.nulls(rows, pa.string())
    zeros = pa.Array.from_buffers(pa.int8(), rows, [None, pa.py_buffer(np.zeros(rows, np.int8))])
    return make_text_column([value]).take(zeros)
