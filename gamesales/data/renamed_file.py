"""A table whose columns have other names in the program than in the file."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from gamesales.data.table import Batch, WrappedTable
from gamesales.errors import ColumnsError


@dataclass(frozen=True)
class RenamedFile(WrappedTable):
    """A table with renamed columns; ``columns`` has the name in the file for each new name.

    Raises:
        ColumnsError: the file lacks a column, or already has a column with a new name.
    """

    columns: Mapping[str, str]

    def __post_init__(self) -> None:
        names = self.table.schema.names
        missing = [name for name in self.columns.values() if name not in names]
        if missing:
            raise ColumnsError(
                f"{self.path} lacks {', '.join(missing)}, expected by [columns] in the job file "
                f"(it has {', '.join(names[:30])})",
                hint='[columns] has lines such as critic_rating = "CriticScore": our name, then the file\'s name',
            )
        renamed = self.schema.names
        duplicates = sorted({name for name in renamed if renamed.count(name) > 1})
        if duplicates:
            raise ColumnsError(
                f"{self.path} has {', '.join(duplicates)} already; [columns] gives this name to another column too",
                hint="Rename the other column as well, or remove the line from [columns]",
            )

    @property
    def schema(self) -> pa.Schema:
        new_names = {name: new for new, name in self.columns.items()}
        return pa.schema([field.with_name(new_names.get(field.name, field.name)) for field in self.table.schema])

    def read_batches(
        self, names: Sequence[str], start: int = 0, stop: int | None = None, numbers: Collection[str] = ()
    ) -> Iterator[Batch]:
        """See ``TableFile``."""
        file_names = [self.columns.get(name, name) for name in names]
        file_numbers = [self.columns.get(name, name) for name in numbers]
        new_names = {name: new for new, name in self.columns.items()}
        for batch in self.table.read_batches(file_names, start, stop, file_numbers):
            read = batch.read_original
            yield replace(
                batch,
                table=_rename(batch.table, new_names),
                malformed=[replace(row, column=new_names.get(row.column, row.column)) for row in batch.malformed],
                read_original=None if read is None else lambda read=read: _rename(read(), new_names),  # type: ignore[misc]
            )


def _rename(table: pa.RecordBatch, new_names: Mapping[str, str]) -> pa.RecordBatch:
    names = [new_names.get(name, name) for name in table.schema.names]
    return pa.RecordBatch.from_arrays(table.columns, names=names)
