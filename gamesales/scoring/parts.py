"""Write the rows of a run: scored rows as Parquet or CSV, rejected rows as CSV."""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

import numpy as np
import pyarrow as pa

from gamesales.data.arrow import is_ascii, is_text, may_be_text, to_arrow, to_numpy
from gamesales.data.contract import (
    HIGH_COLUMN,
    LOW_COLUMN,
    OUTSIDE_COLUMN,
    PREDICTION_COLUMN,
    UNFAMILIAR_COLUMN,
    VERSION_COLUMN,
)
from gamesales.data.table import RejectedRow
from gamesales.errors import ColumnsError
from gamesales.scoring.duplicates import hash_ids

REJECT_COLUMNS = ("file", "row", "column", "value", "reason", "record")
BOUND_COLUMNS = (pa.field(LOW_COLUMN, pa.float64()), pa.field(HIGH_COLUMN, pa.float64()))
SCORED_COLUMNS = (
    pa.field(PREDICTION_COLUMN, pa.float64()),
    *BOUND_COLUMNS,
    pa.field(OUTSIDE_COLUMN, pa.bool_()),
    pa.field(UNFAMILIAR_COLUMN, pa.bool_()),
    pa.field(VERSION_COLUMN, pa.int32()),
)
# Raise this number when the bytes of parts change: it is part of the run id, so no run resumes from parts of two kinds.
PARTS_FORMAT = 3
# The suffix of a part until it is published: a reader of **/*.parquet must not find it, also in a hidden folder.
UNFINISHED = ".part"
# In a run's folder: the folder that is published when it is complete.
STAGED = "made"
# Rows of a Parquet row group, or fewer if they have this many bytes: few enough for each worker to keep a group in
# memory, enough for readers to skip over.
ROW_GROUP_ROWS, _ROW_GROUP_BYTES = 1 << 18, 1 << 26
# A column chunk with more distinct values than fit in a dictionary of this size continues without a dictionary.
_DICTIONARY_BYTES = 1 << 16
# A column with a larger share of distinct values among the first rows is written without a dictionary. The values of a
# full dictionary of 8-byte numbers have four fifths of distinct values there.
_SAMPLE_ROWS, _MOST_DISTINCT = 1 << 12, 7 / 8
_SNAPPY_COLUMNS = frozenset({PREDICTION_COLUMN, LOW_COLUMN, HIGH_COLUMN})
_GZIP_LEVEL = 1
# Rows that Arrow formats at a time. Its default of 1,024 rows takes a sixth longer: each column costs a call each time.
_CSV_ROWS = 8_192
# Arrow writes years up to 32767 as text, and "<value out of range>" for others, such as an infinite time.
_MOST_YEARS = 30_000
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_NOT_IN_CSV: tuple[Callable[[pa.DataType], bool], ...] = (
    pa.types.is_nested,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_fixed_size_binary,
    pa.types.is_binary_view,
    pa.types.is_string_view,
    lambda arrow_type: isinstance(arrow_type, pa.BaseExtensionType),
)


def make_part_schema(passthrough: pa.Schema, *, bounds: bool, unfamiliar: bool = False) -> pa.Schema:
    """Return the columns of a result: the pass-through columns, then the scored columns.

    Args:
        passthrough: the columns that are copied from the inputs.
        bounds: whether the version gives prediction intervals.
        unfamiliar: whether the version recorded the combinations of flags in training.
    """
    absent = {*(() if bounds else (LOW_COLUMN, HIGH_COLUMN)), *(() if unfamiliar else (UNFAMILIAR_COLUMN,))}
    return pa.schema([*passthrough, *(field for field in SCORED_COLUMNS if field.name not in absent)])


@contextmanager
def open_part(path: Path, schema: pa.Schema, metadata: Mapping[str, str]) -> Iterator[Callable[[pa.RecordBatch], None]]:
    """Open a file for scored rows.

    Its suffix, before ``.part``, decides the format: Parquet, or CSV without a header, which may be compressed.

    Yields:
        A function that writes a batch.
    """
    name = path.name.removesuffix(UNFINISHED)
    if name.endswith((".csv", ".csv.gz")):
        with open_csv(path) as file, _open_csv_writer(file, schema) as stream:

            def write(batch: pa.RecordBatch) -> None:
                _require_writable(batch)
                stream.write_batch(batch)

            yield write
    else:
        yield from _write_row_groups(path, schema.with_metadata(dict(metadata)))


def _require_writable(batch: pa.RecordBatch) -> None:
    """Refuse values that Arrow writes to a CSV, but that no reader understands."""
    for field, column in zip(batch.schema, batch.columns, strict=True):
        fault = _find_csv_fault(column.dictionary if pa.types.is_dictionary(column.type) else column)
        if fault:
            raise ColumnsError(
                f"{field.name} has {fault}, which a CSV can't have; nothing was published",
                hint="Give --output a .parquet path, or list the other columns in --keep",
            )


def _find_csv_fault(column: pa.Array) -> str:
    """Return what a CSV can't have; empty if there is nothing. Arrow does not check text in Parquet."""
    if is_text(column.type) and not is_ascii(column):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            return "text that is not UTF-8"
    limit = _find_time_limit(column.type)
    if limit is not None:
        values = to_numpy(column.drop_null().view(pa.int32() if pa.types.is_date32(column.type) else pa.int64()))
        if len(values) and max(-int(values.min()), int(values.max())) > limit:
            return f"times more than {_MOST_YEARS:,} years from 1970"
    return ""


def _find_time_limit(arrow_type: pa.DataType) -> int | None:
    """Return the largest time or date of a type that Arrow writes as text, in its unit from 1970; None if all are."""
    days = _MOST_YEARS * 365
    if pa.types.is_date32(arrow_type):
        return days
    if pa.types.is_date64(arrow_type):
        return days * 86_400_000
    return days * 86_400 * _PER_SECOND[arrow_type.unit] if pa.types.is_timestamp(arrow_type) else None


def _write_row_groups(path: Path, schema: pa.Schema) -> Iterator[Callable[[pa.RecordBatch], None]]:
    """Yield a function that collects batches and writes them as row groups, and write the last row group."""
    pending: list[pa.RecordBatch] = []
    with ExitStack() as stack:
        writer: Any = None

        def flush() -> None:
            nonlocal writer
            if writer is None:  # the first rows decide the encodings
                plain = _find_plain_columns(pending[0]) if pending else ()
                writer = stack.enter_context(_open_parquet(path, schema, plain))
            if pending:
                writer.write_table(pa.Table.from_batches(pending))  # each call makes one row group
                pending.clear()

        def write(batch: pa.RecordBatch) -> None:
            pending.append(batch)
            size = sum(batch.get_total_buffer_size() for batch in pending)
            if sum(map(len, pending)) >= ROW_GROUP_ROWS or size >= _ROW_GROUP_BYTES:
                flush()

        yield write
        if pending or writer is None:
            flush()


def _find_plain_columns(batch: pa.RecordBatch) -> list[str]:
    """Return the columns that are written without a dictionary: hardly any value repeats among the first rows.

    The column of the version, a single value, is smaller and faster without a dictionary too.
    """
    plain = [VERSION_COLUMN]
    for field, column in zip(batch.schema, batch.columns, strict=True):
        sample = column.slice(0, _SAMPLE_ROWS)
        if is_text(field.type):
            keys = hash_ids([sample])
        elif pa.types.is_integer(field.type) or field.type == pa.float64() or field.type == pa.float32():
            keys = to_numpy(sample).view(f"u{field.type.bit_width // 8}")
        else:
            continue
        distinct = 1 + np.count_nonzero(np.diff(np.sort(keys)))
        if distinct > _MOST_DISTINCT * len(sample):
            plain.append(field.name)
    return plain


@contextmanager
def open_csv(path: Path) -> Iterator[BinaryIO]:
    """Open a CSV file for writing; compressed if its suffix, before ``.part``, is ``.gz``.

    Equal content gives equal bytes: the header of gzip has no time and no name. Compressed files can be joined.
    """
    with path.open("wb") as plain:
        if not path.name.removesuffix(UNFINISHED).endswith(".gz"):
            yield plain
            return
        import gzip

        with gzip.GzipFile("", "wb", _GZIP_LEVEL, plain, mtime=0) as file:
            yield cast("BinaryIO", file)


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


def write_csv_header(path: Path, schema: pa.Schema) -> None:
    """Write the first line of a CSV result to a new file."""
    with open_csv(path) as file:
        _open_csv_writer(file, schema, include_header=True).close()


def check_types(schema: pa.Schema, suffix: str) -> None:
    """Check that a file with this suffix can hold all columns.

    Raises:
        ColumnsError: columns have other types; the message lists all of them.
    """
    is_csv = suffix.startswith(".csv")
    if not is_csv and _fits_parquet(schema):
        return
    fits = _fits_csv if is_csv else lambda field: _fits_parquet([field])
    faults = [f"{field.name} ({field.type})" for field in schema if not fits(field)]
    if faults:
        raise ColumnsError(
            f"columns of these types can't be written as {'CSV' if is_csv else 'Parquet'}: {', '.join(faults)}",
            hint=f"{'Give --output a .parquet path, or list' if is_csv else 'List'} the other columns in --keep",
        )


def _fits_csv(field: pa.Field) -> bool:
    arrow_type = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    return not any(test(arrow_type) for test in _NOT_IN_CSV) and _has_usable_zone(arrow_type)


def _has_usable_zone(arrow_type: pa.DataType) -> bool:
    """Return whether times of a type can be written as text: this machine must know their time zone."""
    if not pa.types.is_timestamp(arrow_type) or arrow_type.tz is None:
        return True
    try:
        to_arrow(np.zeros(1, np.int64)).cast(arrow_type).cast(pa.string())
    except pa.ArrowInvalid:
        return False
    return True


def _fits_parquet(fields: Iterable[pa.Field]) -> bool:
    """Write a row of nulls to memory: Arrow refuses some types only when it writes a row."""
    schema = pa.schema([field.with_nullable(True) for field in fields if not _is_flat(field.type)])
    if not schema.names:
        return True
    try:
        with _open_parquet(pa.BufferOutputStream(), schema) as writer:
            writer.write_table(pa.Table.from_arrays([pa.nulls(1, field.type) for field in schema], schema=schema))
    except pa.ArrowException:
        return False
    return True


def _is_flat(arrow_type: pa.DataType) -> bool:
    """Return whether a type is a plain number, time or text, all of which Parquet has."""
    return (pa.types.is_primitive(arrow_type) and not pa.types.is_interval(arrow_type)) or may_be_text(arrow_type)


def _open_csv_writer(file: BinaryIO, schema: pa.Schema, *, include_header: bool = False) -> Any:
    from pyarrow import csv as arrow_csv

    options = arrow_csv.WriteOptions(include_header=include_header, batch_size=_CSV_ROWS)
    return arrow_csv.CSVWriter(file, schema, write_options=options)


def _open_parquet(sink: Path | pa.NativeFile, schema: pa.Schema, plain: Collection[str] = ()) -> Any:
    """Open a Parquet file with encodings that all common readers know. ``plain`` columns have no dictionary."""
    from pyarrow import parquet

    # Predictions hardly repeat: zstd takes a third longer for them. It takes longer for flags too, which are small in
    # any case. Everything else is smaller with zstd.
    snappy = _SNAPPY_COLUMNS | {field.name for field in schema if pa.types.is_boolean(field.type)}
    paths = _find_column_paths(schema)
    codecs = {path: "snappy" if path in snappy else "zstd" for path in paths}
    return parquet.ParquetWriter(
        sink.absolute() if isinstance(sink, Path) else sink,  # Arrow takes a relative path such as a:b for a URI
        schema,
        compression=codecs,
        compression_level={path: 1 for path, codec in codecs.items() if codec == "zstd"},
        use_dictionary=[path for path in paths if path not in plain],
        dictionary_pagesize_limit=_DICTIONARY_BYTES,
        data_page_version="1.0",
        write_page_checksum=True,
    )


def _find_column_paths(schema: pa.Schema) -> list[str]:
    """Return the paths of the columns in a Parquet file: a nested column has several, such as ``tags.list.element``."""
    from pyarrow import parquet

    sink = pa.BufferOutputStream()
    parquet.ParquetWriter(sink, schema).close()
    columns = parquet.read_metadata(pa.BufferReader(sink.getvalue())).schema
    return [columns.column(index).path for index in range(len(columns))]
