"""Write the rows of a run: scored rows as Parquet, CSV or Arrow streams, rejected rows as CSV."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from gamesales.data.contract import HIGH_COLUMN, LOW_COLUMN, OUTSIDE_COLUMN, PREDICTION_COLUMN, VERSION_COLUMN
from gamesales.data.table import RejectedRow
from gamesales.errors import ColumnsError

REJECT_COLUMNS = ("file", "row", "column", "value", "reason", "record")
BOUND_COLUMNS = (pa.field(LOW_COLUMN, pa.float64()), pa.field(HIGH_COLUMN, pa.float64()))
SCORED_COLUMNS = (
    pa.field(PREDICTION_COLUMN, pa.float64()),
    *BOUND_COLUMNS,
    pa.field(OUTSIDE_COLUMN, pa.bool_()),
    pa.field(VERSION_COLUMN, pa.int32()),
)
# Rows of a Parquet row group: few enough to keep in memory, enough for readers to skip over.
ROW_GROUP_ROWS = 1 << 18
_NOT_IN_CSV: tuple[Callable[[pa.DataType], bool], ...] = (
    pa.types.is_nested,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_fixed_size_binary,
    pa.types.is_binary_view,
    pa.types.is_string_view,
    lambda arrow_type: isinstance(arrow_type, pa.BaseExtensionType),
)


def make_part_schema(passthrough: pa.Schema, *, bounds: bool) -> pa.Schema:
    """Return the columns of a result: the pass-through columns, then the scored columns.

    Args:
        passthrough: the columns that are copied from the inputs.
        bounds: whether the version gives prediction intervals.
    """
    return pa.schema([*passthrough, *(field for field in SCORED_COLUMNS if bounds or field not in BOUND_COLUMNS)])


@contextmanager
def open_part(path: Path, schema: pa.Schema, metadata: Mapping[str, str]) -> Iterator[Callable[[pa.RecordBatch], None]]:
    """Open a file for scored rows: Parquet, an Arrow stream, or CSV without a header, by its suffix.

    Yields:
        A function that writes a batch.
    """
    if path.suffix in (".csv", ".arrow"):
        stream = _open_csv(path, schema) if path.suffix == ".csv" else pa.ipc.new_stream(str(path), schema)
        with stream:
            yield stream.write_batch
        return
    with _open_parquet(path, schema.with_metadata(dict(metadata))) as writer:
        pending: list[pa.RecordBatch] = []

        def write(batch: pa.RecordBatch) -> None:
            pending.append(batch)
            if sum(map(len, pending)) >= ROW_GROUP_ROWS:
                _write_row_group(writer, pending)

        yield write
        if pending:
            _write_row_group(writer, pending)


def _write_row_group(writer: Any, pending: list[pa.RecordBatch]) -> None:
    writer.write_table(pa.Table.from_batches(pending))  # each call makes one row group
    pending.clear()


class RejectsWriter:
    """A CSV file of rejected rows with their reasons. The file is made with the first reject."""

    def __init__(self, path: Path, *, header: bool) -> None:
        self._path = path
        self._header = header
        self._file: Any = None

    def write(self, name: str, rejected: Sequence[RejectedRow]) -> None:
        """Write rejected rows of the input with this name."""
        if not rejected:
            return
        if self._file is None:
            self._file = self._path.open("w", encoding="utf-8", newline="")
            if self._header:
                csv.writer(self._file).writerow(REJECT_COLUMNS)
        csv.writer(self._file).writerows(
            (name, reject.row, reject.column, reject.value, reject.reason, reject.record) for reject in rejected
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()


def format_csv_header(schema: pa.Schema) -> bytes:
    """Return the first line of a CSV result."""
    from pyarrow import csv as arrow_csv

    sink = pa.BufferOutputStream()
    arrow_csv.CSVWriter(sink, schema).close()
    content: bytes = sink.getvalue().to_pybytes()
    return content


def check_csv_types(schema: pa.Schema) -> None:
    """Check that a CSV can hold all columns.

    Raises:
        ColumnsError: columns have other types; the message lists all of them.
    """
    faults = [f"{field.name} ({field.type})" for field in schema if any(test(field.type) for test in _NOT_IN_CSV)]
    if faults:
        raise ColumnsError(
            f"columns of these types can't be written as CSV: {', '.join(faults)}",
            hint="Give --output a .parquet path",
        )


def _open_csv(path: Path, schema: pa.Schema) -> Any:
    from pyarrow import csv as arrow_csv

    return arrow_csv.CSVWriter(path, schema, write_options=arrow_csv.WriteOptions(include_header=False))


def _open_parquet(path: Path, schema: pa.Schema) -> Any:
    from pyarrow import parquet

    floats = [field.name for field in SCORED_COLUMNS if field.type == pa.float64() and field.name in schema.names]
    return parquet.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=1,
        # Predictions hardly repeat: a dictionary would be as long as the column, but split bytes compress.
        use_dictionary=[name for name in schema.names if name not in floats],
        column_encoding=dict.fromkeys(floats, "BYTE_STREAM_SPLIT"),
        write_page_checksum=True,
    )
