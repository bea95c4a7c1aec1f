"""A file of a table format, with the columns of its table. Local runs without such a table do not load this module."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from gamesales.data.arrow import FAULT_KEY
from gamesales.data.table import Batch, WrappedTable, format_on_one_line
from gamesales.errors import InputError


@dataclass(frozen=True)
class ConformedFile(WrappedTable):
    """A Parquet file with the columns of a table, in the order and with the types of the table.

    A column that the file does not have is null: it was added to the table after the file. A column that only the file
    has was dropped from the table.

    Attributes:
        columns: the columns of the table.
        constants: the columns that have one value in all rows, such as partition columns; each an array of length 1.
    """

    columns: pa.Schema
    constants: Mapping[str, pa.Array]

    @property
    def schema(self) -> pa.Schema:
        own = self.table.schema
        faulty = [name for name in own.names if FAULT_KEY in (own.field(name).metadata or {})]
        return pa.schema(
            [
                own.field(column.name) if column.name in faulty and column.name not in self.constants else column
                for column in self.columns
            ]
        )

    def read_batches(
        self, names: Sequence[str], start: int = 0, stop: int | None = None, numbers: Collection[str] = ()
    ) -> Iterator[Batch]:
        """See ``TableFile``.

        Raises:
            InputError: a value of the file has no equal value in the type of the table.
        """
        own_names = [name for name in names if name not in self.constants and name in self.table.schema.names]
        # A column of the file is read in any case, because it says how many rows there are.
        for batch in self.table.read_batches(own_names or self.table.schema.names[:1], start, stop, numbers):
            columns = [self._make_column(name, batch.table) for name in names]
            yield replace(batch, table=pa.RecordBatch.from_arrays(columns, names=list(names)))

    def _make_column(self, name: str, batch: pa.RecordBatch) -> pa.Array:
        kind = self.columns.field(name).type
        if name in self.constants:
            zeros = pa.Array.from_buffers(pa.int8(), len(batch), [None, pa.py_buffer(np.zeros(len(batch), np.int8))])
            return self.constants[name].take(zeros)
        if name not in batch.schema.names:
            return pa.nulls(len(batch), kind)
        column = batch.column(name)
        if column.type == kind:
            return column
        try:
            return column.cast(kind)
        except pa.ArrowException as error:
            raise InputError(
                f"{self.path}: {name} is {column.type} in the file and {kind} in the log of the table: "
                f"{format_on_one_line(error)}"
            ) from None
