"""Tables of titles on disk: which kinds there are, and how to open one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyarrow as pa

from gamesales.data.arrow import text_column
from gamesales.data.csv_file import CsvFile
from gamesales.data.parquet_file import ParquetFile
from gamesales.data.table import Batch, TableFile
from gamesales.errors import ColumnsError, InputError, InputNotFoundError, TryAgainError

SUFFIXES = (".csv", ".csv.gz", ".parquet")


def is_table(name: str) -> bool:
    """Tell by its name whether a file is a table that can be read."""
    return any(name.lower().endswith(suffix) and len(name) > len(suffix) for suffix in SUFFIXES)


def open_table(path: Path) -> TableFile:
    """Open a CSV or Parquet file and learn its columns.

    Raises: InputNotFoundError: no such file. InputError: it is neither, or damaged. ColumnsError: doubled columns.
    """
    if not is_table(path.name):
        raise InputError(f"{path} is neither .csv, .csv.gz nor .parquet", hint="Convert it, or rename it to what it is")
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is not a plain file; expected CSV or Parquet", hint="Give the path of a file")
    try:
        table: TableFile = ParquetFile(path) if path.suffix.lower() == ".parquet" else CsvFile(path)
    except FileNotFoundError:
        raise InputNotFoundError(f"no file {path}", hint="Give the path of an existing file") from None
    except OSError as error:
        raise TryAgainError(f"{path} can't be read: {error.strerror or error}", hint="Check its permissions") from None
    names = table.schema.names
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ColumnsError(f"{path} has columns twice: {', '.join(doubled)}", hint="Rename or drop one of each")
    return table


# What Hive and Spark write for a null.
_NULL = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class PartitionedFile:
    """A table with the columns that its path gives, as text, behind those that it holds."""

    table: TableFile
    given: Mapping[str, str | None]

    @property
    def path(self) -> Path:
        return self.table.path

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([*self.table.schema, *((name, pa.string()) for name in self.given)])

    def count_rows(self) -> int:
        return self.table.count_rows()

    def units(self) -> Sequence[int]:
        return self.table.units()

    def batches(
        self, names: Sequence[str], start: int = 0, stop: int | None = None, numbers: Collection[str] = ()
    ) -> Iterator[Batch]:
        """See ``TableFile``."""
        held = [name for name in names if name not in self.given]
        for batch in self.table.batches(held, start, stop, numbers):
            text = batch.text
            yield replace(
                batch,
                table=self._widened(batch.table, names),
                text=None if text is None else lambda text=text: self._widened(text()),  # type: ignore[misc]
            )

    def _widened(self, table: pa.RecordBatch, names: Sequence[str] | None = None) -> pa.RecordBatch:
        """Return the named columns, or all of them, with the given ones filled in."""
        columns = dict(zip(table.schema.names, table.columns, strict=True))
        columns |= {name: _repeated(value, len(table)) for name, value in self.given.items()}
        chosen = names or list(columns)
        return pa.RecordBatch.from_arrays([columns[name] for name in chosen], names=list(chosen))


def with_partitions(table: TableFile, folders: Sequence[str]) -> TableFile:
    """Add the columns that the folders above a file name.

    Raises: ColumnsError: the file holds a column of that name too, or a folder repeats one.
    """
    pairs = [folder.partition("=") for folder in folders if "=" in folder.strip("=")]
    given = {unquote(name): None if value == _NULL else unquote(value) for name, _, value in pairs}
    doubled = sorted({unquote(name) for name, _, _ in pairs} & set(table.schema.names))
    if doubled or len(given) < len(pairs):
        raise ColumnsError(
            f"{table.path} has columns twice, in its path and in itself: {', '.join(doubled or given)}",
            hint="Rename the folder or drop the column",
        )
    return PartitionedFile(table, given) if given else table


def _repeated(value: str | None, rows: int) -> pa.Array:
    """Return a column of one value."""
    if value is None:
        return pa.nulls(rows, pa.string())
    return text_column([value]).take(
        pa.Array.from_buffers(pa.int8(), rows, [None, pa.py_buffer(np.zeros(rows, np.int8))])
    )
