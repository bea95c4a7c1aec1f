"""Writing the rows of a run: the scored ones as Parquet or CSV, the rejected ones as CSV."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from gamesales.data.batches import BadRow
from gamesales.errors import ColumnsError

REJECT_COLUMNS = ("file", "row", "column", "value", "reason", "record")
SCORED_COLUMNS = (
    pa.field("predicted_earnings", pa.float64()),
    pa.field("outside_training_range", pa.bool_()),
    pa.field("model_version", pa.int32()),
)


def part_schema(kept: pa.Schema) -> pa.Schema:
    """Return the columns of a result: those that pass through, then ours."""
    return pa.schema([*kept, *SCORED_COLUMNS])


class PartWriter:
    """One file of scored rows, Parquet or CSV by its suffix."""

    def __init__(self, path: Path, schema: pa.Schema, metadata: Mapping[str, str]) -> None:
        self._writer: Any
        if path.suffix.lower() == ".csv":
            self._writer = _csv_writer(path, schema)
        else:
            self._writer = _parquet_writer(path, schema.with_metadata(dict(metadata)))

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()


class RejectsWriter:
    """One file of rejected rows: what came in, and why it was not scored. No reject, no file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: Any = None

    def write(self, name: str, rejected: Sequence[BadRow]) -> None:
        if not rejected:
            return
        if self._file is None:
            self._file = self.path.open("w", encoding="utf-8", newline="")
            csv.writer(self._file).writerow(REJECT_COLUMNS)
        csv.writer(self._file).writerows(
            (name, bad.row, bad.column, bad.value, bad.reason, bad.record) for bad in rejected
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()


def _csv_writer(path: Path, schema: pa.Schema) -> Any:
    from pyarrow import csv as arrow_csv

    other = [f"{field.name} ({field.type})" for field in schema if any(test(field.type) for test in _NOT_IN_CSV)]
    if other:
        raise ColumnsError(
            f"columns of these types can't be written as CSV: {', '.join(other)}",
            hint="Give --output a .parquet path",
        )
    return arrow_csv.CSVWriter(path, schema)


_NOT_IN_CSV: tuple[Callable[[pa.DataType], bool], ...] = (
    pa.types.is_nested,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_fixed_size_binary,
    pa.types.is_binary_view,
    pa.types.is_string_view,
    lambda arrow_type: isinstance(arrow_type, pa.BaseExtensionType),
)


def _parquet_writer(path: Path, schema: pa.Schema) -> Any:
    from pyarrow import parquet

    predicted = SCORED_COLUMNS[0].name
    return parquet.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=1,
        # Predictions hardly repeat: a dictionary would be as long as the column, split bytes compress.
        use_dictionary=[name for name in schema.names if name != predicted],
        column_encoding={predicted: "BYTE_STREAM_SPLIT"},
    )
