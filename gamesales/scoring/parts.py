"""Writing the rows of a run: the scored ones as Parquet, CSV or Arrow's own format, the rejected ones as CSV."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import pyarrow as pa

from gamesales.data.table import BadRow
from gamesales.errors import ColumnsError

REJECT_COLUMNS = ("file", "row", "column", "value", "reason", "record")
BOUNDS = (pa.field("predicted_earnings_low", pa.float64()), pa.field("predicted_earnings_high", pa.float64()))
SCORED_COLUMNS = (
    pa.field("predicted_earnings", pa.float64()),
    *BOUNDS,
    pa.field("outside_training_range", pa.bool_()),
    pa.field("model_version", pa.int32()),
)
# Rows of a row group in Parquet: few enough to be held, enough for readers to skip over.
GROUP_ROWS = 1 << 18


def part_schema(kept: pa.Schema, *, bounds: bool) -> pa.Schema:
    """Return the columns of a result: those that pass through, then ours; bounds where the version gives intervals."""
    return pa.schema([*kept, *(field for field in SCORED_COLUMNS if bounds or field not in BOUNDS)])


class PartWriter(Protocol):
    """One file of scored rows, to be closed by ``with``."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Write some rows."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_part(path: Path, schema: pa.Schema, metadata: Mapping[str, str]) -> PartWriter:
    """Open a file for scored rows: Parquet, Arrow or CSV (without a header) by its suffix."""
    if path.suffix == ".csv":
        return _Plain(_csv_writer(path, schema))
    if path.suffix == ".arrow":
        return _Plain(pa.ipc.new_stream(str(path), schema))
    return _Grouped(_parquet_writer(path, schema.with_metadata(dict(metadata))))


class _Plain:
    """Writes every batch as it comes."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()


class _Grouped(_Plain):
    """Gathers batches into row groups of Parquet; each write of Arrow's is one."""

    def __init__(self, writer: Any) -> None:
        super().__init__(writer)
        self._waiting: list[pa.RecordBatch] = []

    def write(self, batch: pa.RecordBatch) -> None:
        self._waiting.append(batch)
        if sum(map(len, self._waiting)) >= GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.Table.from_batches(self._waiting))
            self._waiting = []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        super().__exit__(kind, error, trace)


class RejectsWriter:
    """One file of rejected rows: what came in, and why it was not scored. No reject, no file."""

    def __init__(self, path: Path, *, header: bool = True) -> None:
        self.path = path
        self._header = header
        self._file: Any = None

    @property
    def is_empty(self) -> bool:
        return self._file is None

    def write(self, name: str, rejected: Sequence[BadRow]) -> None:
        if not rejected:
            return
        if self._file is None:
            self._file = self.path.open("w", encoding="utf-8", newline="")
            if self._header:
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


def csv_header(schema: pa.Schema) -> bytes:
    """Return the first line of a CSV result."""
    from pyarrow import csv as arrow_csv

    sink = pa.BufferOutputStream()
    arrow_csv.CSVWriter(sink, schema).close()
    content: bytes = sink.getvalue().to_pybytes()
    return content


def check_for_csv(schema: pa.Schema) -> None:
    """Raises: ColumnsError: columns have types that a CSV can't hold; all are named."""
    other = [f"{field.name} ({field.type})" for field in schema if any(test(field.type) for test in _NOT_IN_CSV)]
    if other:
        raise ColumnsError(
            f"columns of these types can't be written as CSV: {', '.join(other)}",
            hint="Give --output a .parquet path",
        )


def _csv_writer(path: Path, schema: pa.Schema) -> Any:
    from pyarrow import csv as arrow_csv

    return arrow_csv.CSVWriter(path, schema, write_options=arrow_csv.WriteOptions(include_header=False))


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

    dollars = [field.name for field in SCORED_COLUMNS if field.type == pa.float64() and field.name in schema.names]
    return parquet.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=1,
        # Predictions hardly repeat: a dictionary would be as long as the column, split bytes compress.
        use_dictionary=[name for name in schema.names if name not in dollars],
        column_encoding=dict.fromkeys(dollars, "BYTE_STREAM_SPLIT"),
        write_page_checksum=True,
    )
