"""Reading Parquet batch by batch; columns keep their Arrow types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
        with self._open() as file:
            self.schema = file.schema_arrow
            self._rows = file.metadata.num_rows

    def count_rows(self) -> int:
        return self._rows

    def batches(self, names: Sequence[str]) -> Iterator[Batch]:
        first = 1
        with self._open() as file:
            try:
                for table in file.iter_batches(BATCH_ROWS, columns=list(names)):
                    yield Batch(table.select(list(names)), np.arange(first, first + len(table), dtype=np.int64))
                    first += len(table)
            except (pa.ArrowException, OSError) as error:
                raise InputError(f"{self.path} is damaged after row {first - 1}: {one_line(error)}") from None

    def _open(self) -> Any:
        from pyarrow import parquet

        try:
            # Without these two, a file of one row group is held in memory whole.
            return parquet.ParquetFile(self.path, pre_buffer=False, buffer_size=1 << 20)
        except pa.ArrowInvalid as error:
            raise InputError(f"{self.path} is not a Parquet file: {one_line(error)}") from None
