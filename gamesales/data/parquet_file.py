"""Reading Parquet batch by batch; columns keep their Arrow types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gamesales.data.batches import Batch, one_line
from gamesales.errors import InputError

BATCH_ROWS = 65_536


@dataclass
class ParquetFile:
    """A Parquet file; columns keep their Arrow types."""

    path: Path
    schema: pa.Schema = field(init=False)
    _rows: int = field(init=False)

    def __post_init__(self) -> None:
        with self._opened() as file:
            self.schema = file.schema_arrow
            self._rows = file.metadata.num_rows

    def count_rows(self) -> int:
        return self._rows

    def batches(self, names: Sequence[str]) -> Iterator[Batch]:
        first = 1
        with self._opened() as file:
            try:
                for table in file.iter_batches(BATCH_ROWS, columns=list(names)):
                    yield Batch(table.select(list(names)), np.arange(first, first + len(table), dtype=np.int64))
                    first += len(table)
            except (pa.ArrowException, OSError) as error:
                raise InputError(f"{self.path} is damaged after row {first - 1}: {one_line(error)}") from None
        if first - 1 != self._rows:
            raise InputError(f"{self.path} is damaged: its footer promises {self._rows:,} rows, it holds {first - 1:,}")

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        from pyarrow import parquet

        try:
            # Without the first two, a file of one row group is held in memory whole.
            file = parquet.ParquetFile(
                self.path, pre_buffer=False, buffer_size=1 << 20, page_checksum_verification=True
            )
            _ = file.schema_arrow.names  # names that are no text are found here
        except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
            # Arrow also tells damage as an OSError, without the number that the system's own errors have.
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise InputError(f"{self.path} is not a Parquet file, or damaged: {one_line(error)}") from None
        with file:
            yield file
