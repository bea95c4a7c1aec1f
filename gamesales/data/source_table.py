"""A whole table in memory, as ``gamesales init`` examines it: the distinct texts of each column, and its rows.

Each column is encoded as a dictionary. So a column of a million rows with 30 genres is 30 texts and a million codes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gamesales.arrays import BoolArray, IntArray
from gamesales.data.arrow import keep_rows, null_mask, to_numpy
from gamesales.data.csv_scan import find_records
from gamesales.data.csv_sniff import sniff_dialect
from gamesales.data.dialect import DEFAULT_DIALECT, UTF_8, CsvDialect, TableFormat
from gamesales.data.file_format import BOM_UTF8, require_format
from gamesales.data.files import hash_file, read_stamp, require_unchanged
from gamesales.data.open_table import open_table
from gamesales.data.table import Batch, RejectedRow, TableFile, format_on_one_line
from gamesales.data.text_stream import open_text
from gamesales.errors import ColumnsError, InputError, InputNotFoundError


@dataclass(frozen=True)
class TextColumn:
    """A column of n cells, as texts without the blanks around them.

    Attributes:
        texts: the distinct texts.
        codes: int64 (n,), the index of each cell's text; -1 for a null.
        arrow_type: the type of the column in the file.
    """

    name: str
    texts: Sequence[str]
    codes: IntArray
    arrow_type: pa.DataType

    @cached_property
    def counts(self) -> IntArray:
        """The number of cells of each text, int64 (texts,)."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.texts))

    def spread(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the value of each cell, float64 (n,), for a value of each text. A null is NaN."""
        return np.append(values, np.nan)[self.codes]

    def mark(self, texts: BoolArray) -> BoolArray:
        """Return bool (n,), True where ``texts``, bool (texts,), is True for the text of a cell."""
        return np.append(texts, False)[self.codes]


@dataclass(frozen=True)
class SourceTable:
    """A table in memory.

    Attributes:
        columns: the columns with cells of the n well-formed rows.
        unreadable: the reasons for columns that have no cells of text, such as lists, by name.
        rows: int64 (n,), the numbers of the well-formed rows.
        malformed: the rows that can't be read as cells.
        blank: the number of rows whose cells are all empty.
        renames: the columns with blanks around their name: the name without them, and the name in the file.
        dialect: of a CSV file; None for Parquet.
    """

    path: Path
    sha256: str
    columns: Sequence[TextColumn]
    unreadable: dict[str, str]
    rows: IntArray
    malformed: Sequence[RejectedRow]
    blank: int
    renames: dict[str, str]
    dialect: CsvDialect | None
    table: TableFile = field(repr=False)

    @property
    def table_format(self) -> TableFormat:
        """How the file is written, as a job describes it."""
        return TableFormat(self.dialect or DEFAULT_DIALECT, self.renames)

    @property
    def suffix(self) -> str:
        """The suffix of files with rows of this table."""
        return ".parquet" if self.dialect is None else ".csv"

    def write_rows(self, path: Path, mask: BoolArray) -> None:
        """Write the rows where ``mask``, bool (n,), is True, as the source has them, to a new file.

        A CSV file keeps the text of its rows and its encoding, and is not compressed.
        """
        if self.dialect is None:
            self._write_parquet(path, mask)
        else:
            self._write_csv(path, mask, self.dialect)

    def _write_csv(self, path: Path, mask: BoolArray, dialect: CsvDialect) -> None:
        with open_text(self.path, require_format(self.path), dialect.encoding) as stream:
            data = b"".join(iter(lambda: stream.read(1 << 24), b"")).removeprefix(BOM_UTF8)
        records = find_records(data, dialect)
        end = b"\r\n" if data[records[0][1] :].startswith(b"\r\n") else b"\n"
        kept = [records[0], *(records[int(row)] for row in self.rows[mask])]
        text = b"".join(data[start:stop] + end for start, stop in kept)
        path.write_bytes(text if dialect.encoding == UTF_8 else text.decode(UTF_8).encode(dialect.encoding))

    def _write_parquet(self, path: Path, mask: BoolArray) -> None:
        from pyarrow import parquet

        names = self.table.schema.names
        schema = self.table.schema.with_metadata(None)
        first = 0
        with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
            for batch in self.table.read_batches(names):
                chosen = mask[first : first + len(batch.rows)]
                first += len(batch.rows)
                columns = [keep_rows(column, chosen) for column in batch.table.columns]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def read_source(path: Path) -> SourceTable:
    """Read a CSV or Parquet file of any dialect.

    Raises:
        InputNotFoundError: the file is missing.
        InputError: the file is neither CSV nor Parquet, is damaged, or has no rows.
        ColumnsError: columns are duplicate.
        TryAgainError: the file was changed while it was read.
    """
    if not path.exists():
        raise InputNotFoundError(f"no file {path}", hint="Give the path of an existing CSV or Parquet file")
    if not path.is_file():
        raise InputError(f"{path} is not a plain file; expected CSV or Parquet", hint="Give the path of a file")
    with require_unchanged(path, read_stamp(path)):
        dialect = sniff_dialect(path)
        table = open_table(path, TableFormat(dialect or DEFAULT_DIALECT))
        names = table.schema.names
        _require_distinct(path, names)
        batches = list(table.read_batches(names))
        columns, unreadable = _encode_columns(table.schema, batches)
        digest = hash_file(path)
    rows = np.concatenate([batch.rows for batch in batches]) if batches else np.empty(0, np.int64)
    malformed = [row for batch in batches for row in batch.malformed]
    if not len(rows):
        cause = f"; {len(malformed):,} rows can't be read: {malformed[0].reason}" if malformed else ""
        raise InputError(f"{path} has no rows{cause}", hint="Expected a header line with column names, then rows")
    return SourceTable(
        path=path,
        sha256=digest,
        columns=columns,
        unreadable=unreadable,
        rows=rows,
        malformed=malformed,
        blank=sum(len(batch.blank) for batch in batches),
        renames=_find_renames(names),
        dialect=dialect,
        table=table,
    )


def _require_distinct(path: Path, names: Sequence[str]) -> None:
    stripped = [name.strip() for name in names]
    alike = [name for name, plain in zip(names, stripped, strict=True) if stripped.count(plain) > 1]
    if alike:
        raise ColumnsError(
            f"{path} has columns whose names differ only by blanks: {', '.join(map(repr, alike))}",
            hint="Rename or drop them",
        )


def _find_renames(names: Sequence[str]) -> dict[str, str]:
    """Return the padded names by their names without blanks, if no other column has that name."""
    stripped = [name.strip() for name in names]
    return {new: name for new, name in zip(stripped, names, strict=True) if new != name and stripped.count(new) == 1}


def _encode_columns(schema: pa.Schema, batches: Sequence[Batch]) -> tuple[list[TextColumn], dict[str, str]]:
    columns, unreadable = [], {}
    for number, column in enumerate(schema):
        chunks = [batch.table.column(number) for batch in batches]
        try:
            columns.append(_encode_column(column, chunks))
        except (pa.ArrowException, UnicodeError) as error:
            unreadable[column.name.strip()] = f"has type {column.type}: {format_on_one_line(error)[:80]}"
    return columns, unreadable


def _encode_column(column: pa.Field, chunks: Sequence[pa.Array]) -> TextColumn:
    """Encode the cells of a column.

    Raises:
        pyarrow.ArrowException: the cells have no text.
    """
    if pa.types.is_nested(column.type):
        raise pa.ArrowNotImplementedError("expected numbers, text or dates")
    arrays = [_cast_to_text(chunk) for chunk in chunks]
    texts: dict[str, int] = {}
    codes = [_encode_chunk(array, texts) for array in arrays]
    joined = np.concatenate(codes) if codes else np.empty(0, np.int64)
    return TextColumn(column.name.strip(), list(texts), joined, column.type)


def _cast_to_text(cells: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(cells.type):
        cells = cells.cast(cells.type.value_type)
    return cells if pa.types.is_string(cells.type) else cells.cast(pa.string())


def _encode_chunk(cells: pa.Array, texts: dict[str, int]) -> IntArray:
    """Return the codes of the cells of a chunk, int64 (n,), and add its new texts to ``texts``."""
    if len(cells) == 0:
        return np.empty(0, np.int64)
    encoded = cells.dictionary_encode()
    distinct = [cell.decode(errors="replace").strip() for cell in _to_bytes(encoded.dictionary)]
    numbers = np.array([texts.setdefault(text, len(texts)) for text in distinct] or [-1], np.int64)
    nulls = null_mask(encoded)
    return np.where(nulls, -1, numbers[np.where(nulls, 0, to_numpy(encoded.indices))])


def _to_bytes(texts: pa.Array) -> Iterator[bytes]:
    yield from texts.cast(pa.large_binary()).to_pylist()  # Parquet does not check that text is UTF-8
