"""What a run has written, for its page: the highest and the lowest predictions, and the rejects by reason.

The rows may be published, staged or withheld, and in files of any form or in the store of a table. They are read piece
by piece, so the memory stays flat.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa

from gamesales.arrays import FloatArray
from gamesales.data.arrow import convert_to_json, to_numpy
from gamesales.data.contract import HIGH_COLUMN, LOW_COLUMN, OUTSIDE_COLUMN, PREDICTION_COLUMN
from gamesales.scoring.parts import REJECT_COLUMNS, SCORED_COLUMNS

# Chooses the columns to read from the names of all columns.
ChooseColumns = Callable[[Sequence[str]], Sequence[str]]
_SCORED = [PREDICTION_COLUMN, LOW_COLUMN, HIGH_COLUMN, OUTSIDE_COLUMN]
# Copied columns that identify a title for people: the first of them.
LABEL_COLUMNS = 3
_ROWS_PER_PIECE = 1 << 17
_CSV_BLOCK = 1 << 24
# A record of a reject may have megabytes.
_LARGEST_CELL = 1 << 30


@dataclass(frozen=True)
class RunContent:
    """The rows and the rejects of a run.

    Attributes:
        rows: yields the rows, in order and piece by piece. It is called with a function that chooses the columns to
            read from the names of all columns.
        rejects: opens the files with rejected rows, CSV with a header, one after the other.
    """

    rows: Callable[[ChooseColumns], Iterator[pa.Table]]
    rejects: Callable[[], Iterable[AbstractContextManager[BinaryIO]]]


@dataclass(frozen=True)
class TitleRow:
    """A row of the result: its number from 1, its first copied columns, and what was predicted."""

    number: int
    labels: tuple[Any, ...]
    predicted: float
    low: float | None
    high: float | None
    is_outside: bool


@dataclass
class RejectSample:
    """The rejected rows with the same reason: how many, and the file, row, column and value of the first rows."""

    rows: int = 0
    first: list[tuple[str, str, str, str]] = field(default_factory=list)


def choose_columns(names: Sequence[str]) -> list[str]:
    """Choose the columns that ``find_extremes`` needs: the first copied columns, and the predictions."""
    copied = list(names[: list(names).index(PREDICTION_COLUMN)])
    return [*copied[:LABEL_COLUMNS], *(name for name in _SCORED if name in names)]


def find_extremes(content: RunContent, count: int) -> tuple[list[TitleRow], list[TitleRow]]:
    """Find the titles with the highest predictions, highest first, and with the lowest, lowest first."""
    highest: list[TitleRow] = []
    lowest: list[TitleRow] = []
    start = 0
    for piece in content.rows(choose_columns):
        predicted = to_numpy(piece.column(PREDICTION_COLUMN).combine_chunks()).astype(np.float64, copy=False)
        highest = sorted([*highest, *_take_rows(piece, find_largest(predicted, count), start)], key=_from_highest)
        lowest = sorted([*lowest, *_take_rows(piece, find_largest(-predicted, count), start)], key=_from_lowest)
        highest, lowest, start = highest[:count], lowest[:count], start + piece.num_rows
    return highest, lowest


def _from_highest(row: TitleRow) -> tuple[float, int]:
    return -row.predicted, row.number


def _from_lowest(row: TitleRow) -> tuple[float, int]:
    return row.predicted, row.number


def find_largest(values: FloatArray, count: int) -> list[int]:
    """Return the indices of the largest values, and among equal values those of the first rows."""
    if len(values) > count:
        threshold = np.partition(values, len(values) - count)[len(values) - count]
        above, equal = np.flatnonzero(values > threshold), np.flatnonzero(values == threshold)
        return [*map(int, above), *map(int, equal[: count - len(above)])]
    return list(range(len(values)))


def _take_rows(piece: pa.Table, indices: Sequence[int], start: int) -> Iterator[TitleRow]:
    labels = [name for name in piece.column_names if name not in _SCORED]
    for index in indices:
        # A time, as a Python object, would load pandas.
        cells = {name: convert_to_json(piece.column(name).slice(index, 1).combine_chunks())[0] for name in labels}
        cells |= {name: piece.column(name)[index].as_py() for name in piece.column_names if name in _SCORED}
        yield TitleRow(
            number=start + index + 1,
            labels=tuple(cells[name] for name in labels),
            predicted=cells[PREDICTION_COLUMN],
            low=cells.get(LOW_COLUMN),
            high=cells.get(HIGH_COLUMN),
            is_outside=bool(cells.get(OUTSIDE_COLUMN)),
        )


def group_rejects(content: RunContent, samples: int) -> dict[str, RejectSample]:
    """Count the rejects by reason, and keep the first of each."""
    groups: dict[str, RejectSample] = {}
    csv.field_size_limit(max(csv.field_size_limit(), _LARGEST_CELL))
    for opened in content.rejects():
        with opened as file, io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
            for row in csv.DictReader(text, fieldnames=REJECT_COLUMNS):
                if row["row"] == "row":
                    continue  # a header; the pieces of a single file have none
                group = groups.setdefault(row["reason"], RejectSample())
                group.rows += 1
                if len(group.first) < samples:
                    group.first.append((row["file"], row["row"], row["column"], row["value"]))
    return groups


def open_files(
    rows: Sequence[Path], rejects: Sequence[Path], suffix: str, names: Sequence[str] | None = None
) -> RunContent:
    """Return the content of a run on a disk.

    Args:
        rows: the files with scored rows, in order.
        rejects: the files with rejected rows, in order.
        suffix: the form of the rows: ``.parquet``, ``.csv`` or ``.csv.gz``. Unfinished files have other names.
        names: the columns of CSV files without a header; None: they have a header.
    """

    def read_rows(choose: ChooseColumns) -> Iterator[pa.Table]:
        for path in rows:
            with path.open("rb") as file:
                yield from (
                    _read_csv(file, choose, suffix, names) if suffix != ".parquet" else read_pieces(file, choose)
                )

    return RunContent(read_rows, lambda: (path.open("rb") for path in rejects))


def read_pieces(source: Any, choose: ChooseColumns) -> Iterator[pa.Table]:
    """Read the chosen columns of an open Parquet file, piece by piece."""
    from pyarrow import parquet

    with parquet.ParquetFile(source) as file:
        for batch in file.iter_batches(_ROWS_PER_PIECE, columns=list(choose(file.schema_arrow.names))):
            yield pa.Table.from_batches([batch])


def _read_csv(file: BinaryIO, choose: ChooseColumns, suffix: str, names: Sequence[str] | None) -> Iterator[pa.Table]:
    """Read a CSV in blocks. Copied columns are text. Without ``names``, the first line has them."""
    from pyarrow import csv as arrow_csv

    header = names is None
    if names is None:
        lines = io.TextIOWrapper(_unpack(file, suffix), encoding="utf-8", newline="")
        names = next(csv.reader(lines))
        lines.detach()
        file.seek(0)
    chosen = list(choose(names))
    types = dict.fromkeys(chosen, pa.string()) | {column.name: column.type for column in SCORED_COLUMNS}
    with arrow_csv.open_csv(
        _unpack(file, suffix),
        read_options=arrow_csv.ReadOptions(
            block_size=_CSV_BLOCK, column_names=names, skip_rows_after_names=int(header)
        ),
        parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(column_types=types, include_columns=chosen),
    ) as reader:
        for batch in reader:
            yield pa.Table.from_batches([batch])


def _unpack(file: BinaryIO, suffix: str) -> BinaryIO:
    return cast("BinaryIO", gzip.GzipFile(fileobj=file)) if suffix == ".csv.gz" else file
