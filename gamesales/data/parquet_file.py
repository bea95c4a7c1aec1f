"""Parquet files as tables.

Spark, Hive and Impala write times as INT96: a day and nanoseconds of the day. Arrow reads them as nanoseconds in 64
bits, where a time before 1677 or after 2262 silently becomes another time. So the values of these columns are read
once when the file is opened, to choose a unit that holds all of them.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pyarrow as pa

from gamesales.data.arrow import FAULT_KEY, to_numpy
from gamesales.data.table import Batch, format_on_one_line
from gamesales.errors import GamesalesError, InputError, TryAgainError

if TYPE_CHECKING:
    from gamesales.data.remote_file import TablePath

BATCH_ROWS = 65_536
_MAGIC = b"PAR1"
_PIECE_BYTES = 1 << 20
# Row groups of a remote file are fetched whole up to this size, uncompressed. Larger ones are fetched in pieces of each
# column, so that memory does not grow with them.
_WHOLE_GROUPS_BYTES, _REMOTE_PIECE_BYTES = 128 << 20, 8 << 20
_FOOTER_START = b"\x15"  # the header of the first field, the version, in Thrift's compact protocol
# The largest number of seconds from 1970, forwards and backwards, that 64 bits hold in each unit.
_INT96_UNITS = {"us": 2**63 // 10**6 - 1, "ns": 2**63 // 10**9 - 1}
_INT96_FAULT = "has INT96 times that neither microseconds nor nanoseconds in 64 bits hold exactly"


@dataclass
class ParquetFile:
    """A Parquet file. Columns keep their Arrow types. A segment is a row group.

    A column of INT96 times has microseconds if they hold its values exactly, and otherwise nanoseconds. If neither do,
    the field of the column has a fault in its metadata, under ``FAULT_KEY``.
    """

    path: TablePath
    schema: pa.Schema = field(init=False)
    _metadata: Any = field(init=False, default=None)
    _int96_units: dict[str, str] = field(init=False, default_factory=dict)
    _rows_per_group: list[int] = field(init=False)
    _bytes_per_group: list[int] = field(init=False)

    def __post_init__(self) -> None:
        with self._open() as file:
            self.schema = file.schema_arrow
            self._metadata = file.metadata  # parsed once, however often the file is opened
            groups = range(file.metadata.num_row_groups)
            self._rows_per_group = [file.metadata.row_group(group).num_rows for group in groups]
            self._bytes_per_group = [file.metadata.row_group(group).total_byte_size for group in groups]
            self._require_same_count()
            self._require_single_file()
            has_int96 = any(file.schema.column(index).physical_type == "INT96" for index in range(len(file.schema)))
        if has_int96 and len(set(self.schema.names)) == len(self.schema.names):
            self._choose_int96_units()

    def count_rows(self) -> int:
        rows: int = self._metadata.num_rows
        return rows

    def count_lines(self) -> None:
        """See ``TableFile``."""

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
        with ExitStack() as stack:
            readers = self._open_readers(stack, groups, names)
            try:
                for batches in zip(*readers, strict=True):
                    table = _join_columns(batches, names)
                    rows = np.arange(done + 1, done + 1 + len(table), dtype=np.int64)
                    done += len(table)
                    if done > start:
                        yield Batch(table, rows).slice_rows(start, stop)
                    if done >= stop:
                        break
            except GamesalesError:
                raise
            except (pa.ArrowException, OSError) as error:
                raise InputError(f"{self.path} is damaged after row {done}: {format_on_one_line(error)}") from None
        if done < stop:
            expected, present = stop - start, max(done - start, 0)
            raise InputError(f"{self.path} is damaged: its footer promises {expected:,} rows, but it has {present:,}")

    def _open_readers(
        self, stack: ExitStack, groups: Sequence[int], names: Sequence[str]
    ) -> list[Iterator[pa.RecordBatch]]:
        """Open a reader of row groups for each unit of INT96 times. All readers yield the same rows."""
        columns_of_unit: dict[str | None, list[str]] = {}
        for name in names:
            columns_of_unit.setdefault(self._int96_units.get(name), []).append(name)
        return [
            stack.enter_context(self._open(unit, groups)).iter_batches(
                BATCH_ROWS, row_groups=groups, columns=columns, use_threads=False
            )
            for unit, columns in columns_of_unit.items()
        ]

    def _choose_int96_units(self) -> None:
        """Choose a unit for each column that has INT96 times, also inside lists and structs."""
        groups = range(len(self._rows_per_group))
        with self._open("s", groups) as second_file, self._open("ns", groups) as nanosecond_file:
            names = [
                column.name
                for column, other in zip(self.schema, second_file.schema_arrow, strict=True)
                if column.type != other.type
            ]
            exact_units = {name: set(_INT96_UNITS) for name in names}
            readers = (
                file.iter_batches(BATCH_ROWS, columns=names, use_threads=False)
                for file in (second_file, nanosecond_file)
            )
            try:
                for seconds, nanoseconds in zip(*readers, strict=True):
                    for name in names:
                        exact_units[name] &= _find_exact_units(seconds.column(name), nanoseconds.column(name))
            except GamesalesError:
                raise
            except (pa.ArrowException, OSError) as error:
                raise InputError(f"{self.path} is damaged: {format_on_one_line(error)}") from None
        for name, units in exact_units.items():
            unit = next((unit for unit in _INT96_UNITS if unit in units), "ns")
            self._int96_units[name] = unit
            with self._open(unit) as file:
                column = file.schema_arrow.field(name)
            if not units:
                column = column.with_metadata({FAULT_KEY: _INT96_FAULT})
            self.schema = self.schema.set(self.schema.get_field_index(name), column)

    def _require_same_count(self) -> None:
        """Refuse a footer whose row groups do not add up to the rows of the file."""
        expected, present = self._metadata.num_rows, sum(self._rows_per_group)
        if expected != present:
            raise InputError(f"{self.path} is damaged: its footer promises {expected:,} rows, but it has {present:,}")

    def _require_single_file(self) -> None:
        """Refuse Parquet files that were joined by ``cat``: only the last footer counts, and its offsets are wrong.

        Where the last file begins can't be taken from its footer: Arrow aborts the process if a damaged footer lacks
        the metadata of a column.
        """
        if not isinstance(self.path, Path):
            return  # hash_remote_file checks it
        joints = JointFinder()
        with self.path.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                joints.add(piece)
            if joints.is_any_real(file):
                raise make_joined_error(self.path)

    @contextmanager
    def _open(self, int96_unit: str | None = None, groups: Sequence[int] = ()) -> Iterator[Any]:
        """Open the file to read row groups."""
        from pyarrow import parquet

        is_local = isinstance(self.path, Path)
        size = sum(self._bytes_per_group[group] for group in groups)
        try:
            # Without pre_buffer=False and a buffer size, Arrow loads whole row groups into memory.
            file = parquet.ParquetFile(
                self.path if is_local else self.path.open("rb"),
                metadata=self._metadata,
                pre_buffer=not is_local and size <= _WHOLE_GROUPS_BYTES,
                buffer_size=_PIECE_BYTES if is_local else _REMOTE_PIECE_BYTES,
                page_checksum_verification=True,
                coerce_int96_timestamp_unit=int96_unit,
            )
            _ = file.schema_arrow.names  # fails if a name is not text
        except GamesalesError:
            raise
        except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
            # Arrow raises an OSError for damage too, without the errno of a system error.
            if isinstance(error, OSError) and error.errno is not None:
                raise
            self._require_footer()
            raise InputError(f"{self.path} is damaged, or not a Parquet file: {format_on_one_line(error)}") from None
        with file:
            yield file

    def _require_footer(self) -> None:
        """Check that the file ends as a Parquet file does, with the same four bytes with which it begins.

        Raises:
            TryAgainError: the file has a beginning and no end.
        """
        with self.path.open("rb") as file:
            begins = file.read(4) == _MAGIC
            file.seek(max(file.seek(0, os.SEEK_END) - 4, 4))
            if begins and file.read() != _MAGIC:
                raise TryAgainError(
                    f"{self.path} lacks the footer of a Parquet file: it is still written, or it was cut off",
                    hint="Run the same command again when the file is complete, or write the file again",
                )


class JointFinder:
    """Finds the offsets in a file where one Parquet file may end and the next may begin."""

    def __init__(self) -> None:
        self._offsets: list[int] = []
        self._size = 0
        self._before = b""

    def add(self, piece: bytes) -> None:
        """Look at the next piece of the file."""
        text = self._before + piece
        place = text.find(_MAGIC + _MAGIC)
        while place >= 0:
            self._offsets.append(self._size - len(self._before) + place)
            place = text.find(_MAGIC + _MAGIC, place + 1)
        self._size += len(piece)
        self._before = text[1 - 2 * len(_MAGIC) :]

    def is_any_real(self, file: BinaryIO) -> bool:
        """Return whether a Parquet file ends at one of the offsets."""
        return any(_ends_with_footer(file, offset + len(_MAGIC)) for offset in self._offsets)


def make_joined_error(path: TablePath) -> InputError:
    """Make the error for a file that is several Parquet files."""
    return InputError(
        f"{path} is several Parquet files in one, of which only the last could be read",
        hint="Keep the files apart, in a folder",
    )


def _ends_with_footer(file: BinaryIO, end: int) -> bool:
    """Return whether the bytes before an offset are a footer, its length and the magic bytes."""
    file.seek(max(end - len(_MAGIC) - 4, 0))
    length = int.from_bytes(file.read(4), "little")
    start = end - len(_MAGIC) - 4 - length
    if start < len(_MAGIC):
        return False
    file.seek(start)
    return file.read(1) == _FOOTER_START


def _join_columns(batches: Sequence[pa.RecordBatch], names: Sequence[str]) -> pa.RecordBatch:
    """Join batches with different columns of the same rows, and bring the columns into the order of ``names``."""
    first, *others = batches
    for batch in others:
        for column in batch.schema:
            first = first.append_column(column, batch.column(column.name))
    return first.select(list(names))


def _find_exact_units(seconds: pa.Array, nanoseconds: pa.Array) -> set[str]:
    """Return the units that hold a column of INT96 times exactly.

    Args:
        seconds: the column, read in seconds.
        nanoseconds: the column, read in nanoseconds modulo 2^64.
    """
    units = set(_INT96_UNITS)
    for whole, wrapped in zip(_find_times(seconds), _find_times(nanoseconds), strict=True):
        second = to_numpy(whole.drop_null().view(pa.int64())).astype(np.int64)
        fraction = to_numpy(wrapped.drop_null().view(pa.int64())).view(np.uint64) - second.view(np.uint64) * 10**9
        units -= {unit for unit, largest in _INT96_UNITS.items() if (np.abs(second) > largest).any()}
        if (fraction % 1000).any():
            units.discard("us")
    return units


def _find_times(column: pa.Array) -> Iterator[pa.Array]:
    """Yield the times of a column, also those inside lists and structs."""
    if pa.types.is_timestamp(column.type):
        yield column
    elif pa.types.is_map(column.type):
        yield from _find_times(column.keys)
        yield from _find_times(column.items)
    elif pa.types.is_struct(column.type):
        for child in column.flatten():
            yield from _find_times(child)
    elif pa.types.is_nested(column.type):
        yield from _find_times(column.flatten())
