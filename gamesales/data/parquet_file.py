"""Parquet files as tables."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gamesales.data.table import Batch, format_on_one_line
from gamesales.errors import InputError

BATCH_ROWS = 65_536


@dataclass
class ParquetFile:
    """A Parquet file. Columns keep their Arrow types."""

    path: Path
    schema: pa.Schema = field(init=False)
    _metadata: Any = field(init=False, default=None)
    _rows_per_group: list[int] = field(init=False)

    def __post_init__(self) -> None:
        with self._open() as file:
            self.schema = file.schema_arrow
            self._metadata = file.metadata  # parsed once, however often the file is opened
            self._rows_per_group = [
                file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)
            ]

    def count_rows(self) -> int:
        rows: int = self._metadata.num_rows
        return rows

    def rows_per_segment(self) -> Sequence[int]:
        """Return the rows of each row group."""
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
            raise InputError(f"{self.path} is not a Parquet file, or damaged: {format_on_one_line(error)}") from None
        with file:
            yield file
