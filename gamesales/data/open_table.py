"""Opening a file as a table: Parquet files, the columns of Hive partition folders, and CSV files by ``csv_file``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa

from gamesales.data.arrow import make_text_column
from gamesales.data.csv_file import CsvFile
from gamesales.data.table import Batch, TableFile, format_on_one_line
from gamesales.errors import ColumnsError, InputError, InputNotFoundError, TryAgainError

SUFFIXES = (".csv", ".csv.gz", ".parquet")
BATCH_ROWS = 65_536  # of a Parquet file
# Hive and Spark write this for a null.
_NULL = "__HIVE_DEFAULT_PARTITION__"


def is_table(name: str) -> bool:
    """Return whether the name of a file is the name of a table."""
    return any(name.lower().endswith(suffix) and len(name) > len(suffix) for suffix in SUFFIXES)


def open_table(path: Path) -> TableFile:
    """Open a CSV or Parquet file and read its columns.

    Raises:
        InputNotFoundError: the file is missing.
        InputError: the file is neither CSV nor Parquet, or it is damaged.
        ColumnsError: columns are duplicate.
        TryAgainError: the file can't be read now.
    """
    if not is_table(path.name):
        raise InputError(f"{path} is neither .csv, .csv.gz nor .parquet", hint="Convert or rename it")
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is not a plain file; expected CSV or Parquet", hint="Give the path of a file")
    try:
        table: TableFile = ParquetFile(path) if path.suffix.lower() == ".parquet" else CsvFile(path)
    except FileNotFoundError:
        raise InputNotFoundError(f"no file {path}", hint="Give the path of an existing file") from None
    except OSError as error:
        raise TryAgainError(f"{path} can't be read: {error.strerror or error}", hint="Check its permissions") from None
    names = table.schema.names
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise ColumnsError(f"{path} has duplicate columns: {', '.join(duplicates)}", hint="Rename or drop them")
    return table


def add_partition_columns(table: TableFile, folders: Sequence[str]) -> TableFile:
    """Add the columns of Hive partition folders, such as ``region=us``, to a table.

    Folders above the file whose names have no ``=`` are ignored.

    Raises:
        ColumnsError: a column is in the file too, or in two folders.
    """
    pairs = [folder.partition("=") for folder in folders if "=" in folder.strip("=")]
    values = {unquote(name): None if value == _NULL else unquote(value) for name, _, value in pairs}
    duplicates = sorted({unquote(name) for name, _, _ in pairs} & set(table.schema.names))
    if duplicates or len(values) < len(pairs):
        raise ColumnsError(
            f"{table.path} has duplicate columns, in its path and in the file: {', '.join(duplicates or values)}",
            hint="Rename the folder or drop the column",
        )
    return PartitionedFile(table, values) if values else table


@dataclass(frozen=True)
class PartitionedFile:
    """A table with its own columns, followed by its partition columns, which are text."""

    table: TableFile
    partition_values: Mapping[str, str | None]

    @property
    def path(self) -> Path:
        return self.table.path

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([*self.table.schema, *((name, pa.string()) for name in self.partition_values)])

    def count_rows(self) -> int:
        return self.table.count_rows()

    def rows_per_segment(self) -> Sequence[int]:
        return self.table.rows_per_segment()

    def read_batches(
        self, names: Sequence[str], start: int = 0, stop: int | None = None, numbers: Collection[str] = ()
    ) -> Iterator[Batch]:
        """See ``TableFile``."""
        own_names = [name for name in names if name not in self.partition_values]
        for batch in self.table.read_batches(own_names, start, stop, numbers):
            read = batch.read_original
            yield replace(
                batch,
                table=self._add_columns(batch.table, names),
                read_original=None if read is None else lambda read=read: self._add_columns(read()),  # type: ignore[misc]
            )

    def _add_columns(self, table: pa.RecordBatch, names: Sequence[str] | None = None) -> pa.RecordBatch:
        """Return the named columns, or all columns, with the partition columns added."""
        columns = dict(zip(table.schema.names, table.columns, strict=True))
        columns |= {name: _repeat(value, len(table)) for name, value in self.partition_values.items()}
        chosen = names or list(columns)
        return pa.RecordBatch.from_arrays([columns[name] for name in chosen], names=list(chosen))


def _repeat(value: str | None, rows: int) -> pa.Array:
    """Make a column of one repeated value."""
    if value is None:
        return pa.nulls(rows, pa.string())
    zeros = pa.Array.from_buffers(pa.int8(), rows, [None, pa.py_buffer(np.zeros(rows, np.int8))])
    return make_text_column([value]).take(zeros)


@dataclass
class ParquetFile:
    """A Parquet file. Columns keep their Arrow types. A segment is a row group."""

    path: Path
    schema: pa.Schema = field(init=False)
    _metadata: Any = field(init=False, default=None)
    _rows_per_group: list[int] = field(init=False)

    def __post_init__(self) -> None:
        with self._open() as file:
            self.schema = file.schema_arrow
            self._metadata = file.metadata  # parsed once, however often the file is opened
            groups = range(file.metadata.num_row_groups)
            self._rows_per_group = [file.metadata.row_group(group).num_rows for group in groups]

    def count_rows(self) -> int:
        rows: int = self._metadata.num_rows
        return rows

    def rows_per_segment(self) -> Sequence[int]:
        return self._rows_per_group

    def read_batches(
        self,
        names: Sequence[str],
        start: int = 0,
        stop: int | None = None,
        numbers: Collection[str] = (),  # noqa: ARG002, columns have their types
    ) -> Iterator[Batch]:
        """See ``TableFile``."""
        stop = self.count_rows() if stop is None else stop
        ends = np.cumsum(self._rows_per_group, dtype=np.int64)
        groups = np.flatnonzero((ends > start) & (ends - self._rows_per_group < stop)).tolist()
        done = int(ends[groups[0]] - self._rows_per_group[groups[0]]) if groups else 0
        with self._open() as file:
            try:
                for table in file.iter_batches(BATCH_ROWS, row_groups=groups, columns=list(names), use_threads=False):
                    rows = np.arange(done + 1, done + 1 + len(table), dtype=np.int64)
                    done += len(table)
                    if done > start:
                        yield Batch(table.select(list(names)), rows).slice_rows(start, stop)
                    if done >= stop:
                        break
            except (pa.ArrowException, OSError) as error:
                raise InputError(f"{self.path} is damaged after row {done}: {format_on_one_line(error)}") from None
        if done < stop:
            expected, present = stop - start, max(done - start, 0)
            raise InputError(f"{self.path} is damaged: its footer promises {expected:,} rows, but it has {present:,}")

    @contextmanager
    def _open(self) -> Iterator[Any]:
        from pyarrow import parquet

        try:
            # Without pre_buffer=False and a buffer size, Arrow loads a whole row group into memory.
            file = parquet.ParquetFile(
                self.path,
                metadata=self._metadata,
                pre_buffer=False,
                buffer_size=1 << 20,
                page_checksum_verification=True,
            )
            _ = file.schema_arrow.names  # fails if a name is not text
        except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
            # Arrow raises an OSError for damage too, without the errno of a system error.
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise InputError(f"{self.path} is damaged, or not a Parquet file: {format_on_one_line(error)}") from None
        with file:
            yield file
