"""Reading Parquet batch by batch; columns keep their Arrow types."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gamesales.data.table import Batch, one_line
from gamesales.errors import InputError

BATCH_ROWS = 65_536


@dataclass
class ParquetFile:
    """A Parquet file; columns keep their Arrow types."""

    path: Path
    schema: pa.Schema = field(init=False)
    _metadata: Any = field(init=False, default=None)
    _units: list[int] = field(init=False)

    def __post_init__(self) -> None:
        with self._opened() as file:
            self.schema = file.schema_arrow
            self._metadata = file.metadata  # so that it is parsed once, however often the file is opened
            self._units = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]

    def count_rows(self) -> int:
        rows: int = self._metadata.num_rows
        return rows

    def units(self) -> Sequence[int]:
        """Return the rows of each row group."""
        return self._units

    def batches(
        self,
        names: Sequence[str],
        start: int = 0,
        stop: int | None = None,
        numbers: Collection[str] = (),  # noqa: ARG002, columns have their types already
    ) -> Iterator[Batch]:
        """See ``TableFile``."""
        stop = self.count_rows() if stop is None else stop
        ends = np.cumsum(self._units, dtype=np.int64)
        groups = np.flatnonzero((ends > start) & (ends - self._units < stop)).tolist()
        done = int(ends[groups[0]] - self._units[groups[0]]) if groups else 0
        with self._opened() as file:
            try:
                for table in file.iter_batches(BATCH_ROWS, row_groups=groups, columns=list(names), use_threads=False):
                    rows = np.arange(done + 1, done + 1 + len(table), dtype=np.int64)
                    done += len(table)
                    if done > start:
                        yield Batch(table.select(list(names)), rows).between(start, stop)
                    if done >= stop:
                        break
            except (pa.ArrowException, OSError) as error:
                raise InputError(f"{self.path} is damaged after row {done}: {one_line(error)}") from None
        if done < stop:
            promised, held = stop - start, max(done - start, 0)
            raise InputError(f"{self.path} is damaged: its footer promises {promised:,} rows, it holds {held:,}")

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        from pyarrow import parquet

        try:
            # Without the first two, a file of one row group is held in memory whole.
            file = parquet.ParquetFile(
                self.path,
                metadata=self._metadata,
                pre_buffer=False,
                buffer_size=1 << 20,
                page_checksum_verification=True,
            )
            _ = file.schema_arrow.names  # names that are no text are found here
        except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
            # Arrow also tells damage as an OSError, without the number that the system's own errors have.
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise InputError(f"{self.path} is not a Parquet file, or damaged: {one_line(error)}") from None
        with file:
            yield file
