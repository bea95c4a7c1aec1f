"""Read the published runs of a table: now, or as they were in an earlier version of the table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from gamesales.data.table import format_on_one_line
from gamesales.errors import InputError, InputNotFoundError
from gamesales.lake.columns import read_table_schema
from gamesales.lake.commit import PartFile, group_parts, list_parts, read_transaction
from gamesales.lake.keys import WITHHELD_FOLDER, is_transaction_of, report_key
from gamesales.lake.location import PARTITION, TableLocation, explain_store_errors
from gamesales.lake.withheld import find_withheld
from gamesales.old_keys import drop_old_keys
from gamesales.report.format import format_count
from gamesales.scoring.result_files import T
from gamesales.scoring.results import PublishedRun, SkippedDate, explain_withheld
from gamesales.scoring.run_report import RunReport, parse_report
from gamesales.storage.store import Store

if TYPE_CHECKING:
    from deltalake import DeltaTable

_ROWS_PER_PIECE = 1 << 20
# Reports that are read at a time.
READERS = 16


def read_report(store: Store, day: date, transaction: int) -> RunReport | None:
    """Read the report of the run that a transaction published; None if there is none, or if it can't be read."""
    try:
        report = parse_report(drop_old_keys(json.loads(store.read(report_key(day, transaction)))))
    except (ValueError, TypeError, LookupError, AttributeError):
        return None
    return report if is_transaction_of(transaction, report.run_id) else None


def read_table(location: TableLocation, day: date, version: int | None = None) -> pa.Table:
    """Read all rows of one date, in the columns of the table without its partition column.

    Args:
        location: the table.
        day: the date.
        version: the version of the table; by default the newest.

    Raises:
        InputNotFoundError: there is no such table or version, or no run published the date.
        InputError: the rows are not those of the report of the run.
    """
    with explain_store_errors():
        snapshot = open_snapshot(location, version)
        report = snapshot.read_report(day)
        if report is None:
            raise _make_missing_error(snapshot, day, version)
        parts = snapshot.parts_of(day)
        pieces = list(snapshot.read_pieces(parts, None))
        table = pa.concat_tables([pa.Table.from_batches([], snapshot.schema), *pieces])
        _require_rows(location, day, report.rows_scored, table.num_rows)
        return table


@dataclass(frozen=True)
class Snapshot:
    """One version of a table."""

    location: TableLocation
    table: DeltaTable
    store: Store

    @property
    def schema(self) -> pa.Schema:
        """The columns without the partition column."""
        return pa.schema([column for column in read_table_schema(self.table) if column.name != PARTITION])

    def read_report(self, day: date) -> RunReport | None:
        """Read the report of the published run of a date; None if no run published it."""
        transaction = read_transaction(self.table, day)
        return None if transaction is None else read_report(self.store, day, transaction)

    def parts_of(self, day: date) -> list[PartFile]:
        """List the files of a date."""
        return list_parts(self.table, day)

    def read_pieces(self, parts: Sequence[PartFile], names: Sequence[str] | None) -> Iterator[pa.Table]:
        """Read the named columns of files, or all columns, piece by piece. Columns that a file lacks are null.

        Raises:
            InputError: a file is missing or damaged.
        """
        schema = self.schema if names is None else pa.schema([self.schema.field(name) for name in names])
        for part in parts:
            yield from _read_part(self.store, part, schema)


def open_snapshot(location: TableLocation, version: int | None = None) -> Snapshot:
    """Open a version of a table, by default the newest.

    Raises:
        InputNotFoundError: there is no such table or version.
    """
    store, table = location.open_store(), location.open_table(version)
    if table is None:
        raise InputNotFoundError(f"no table at {location}", hint="Publish predictions with gamesales score")
    return Snapshot(location, table, store)


def _read_part(store: Store, part: PartFile, schema: pa.Schema) -> Iterator[pa.Table]:
    from pyarrow import parquet

    try:
        data = store.read(part.key)
        if len(data) != part.size:
            raise InputError(f"{store.location}{part.key}: expected {part.size:,} bytes, found {len(data):,}")
        with parquet.ParquetFile(pa.BufferReader(data), page_checksum_verification=True) as file:
            present = [name for name in schema.names if name in file.schema_arrow.names]
            for batch in file.iter_batches(_ROWS_PER_PIECE, columns=present):
                yield _fit_columns(batch, schema)
    except KeyError:
        raise InputError(
            f"{store.location}{part.key} is missing; a vacuum may have removed it",
            hint="Read a later version of the table, or score this date again",
        ) from None
    except pa.ArrowException as error:
        raise InputError(
            f"{store.location}{part.key} is damaged: {format_on_one_line(error)}", hint="Score this date with --fresh"
        ) from None


def _fit_columns(batch: pa.RecordBatch, schema: pa.Schema) -> pa.Table:
    """Return a batch in the columns of the table, with nulls for those that it lacks."""
    columns = []
    for column in schema:
        if column.name not in batch.schema.names:
            columns.append(pa.nulls(len(batch), column.type))
            continue
        values = batch.column(column.name)
        columns.append(values if values.type == column.type else values.cast(column.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _make_missing_error(snapshot: Snapshot, day: date, version: int | None) -> InputNotFoundError:
    at = "" if version is None else f" in version {version}"
    if version is not None and read_transaction(snapshot.table, day) is not None:
        return InputNotFoundError(
            f"the predictions for {day} in {snapshot.location}{at} have no report; a vacuum may have removed them",
            hint="Read a later version of the table",
        )
    return InputNotFoundError(
        f"no predictions for {day} in {snapshot.location}{at}", hint="Publish predictions with gamesales score"
    )


def _require_rows(location: TableLocation, day: date, expected: int, rows: int) -> None:
    if rows != expected:
        raise InputError(
            f"{location} has {format_count(rows, 'row')} for {day}, expected {expected:,} as in the report of its run; "
            "another program has changed them",
            hint="Score this date with --fresh, or read an earlier version of the table",
        )


@dataclass(frozen=True)
class PublishedTableRun(PublishedRun):
    """The published result of one date of a table, in the version of the table that was opened.

    Attributes:
        snapshot: the version of the table.
        parts: the files of the date.
        rows: the rows, as in the report of the run.
    """

    snapshot: Snapshot | None = field(default=None, compare=False)
    parts: Sequence[PartFile] = ()
    rows: int = 0

    def scan(self, names: Sequence[str], use: Callable[[Iterator[pa.Table]], T]) -> T:
        """Call a function with the named columns, piece by piece. A run that is published meanwhile changes nothing."""
        assert self.snapshot is not None
        pieces = self.snapshot.read_pieces(self.parts, names)
        with explain_store_errors():
            return use(self._count_rows(pieces))

    def _count_rows(self, pieces: Iterator[pa.Table]) -> Iterator[pa.Table]:
        rows = 0
        for piece in pieces:
            rows += piece.num_rows
            yield piece
        assert self.snapshot is not None
        _require_rows(self.snapshot.location, self.day, self.rows, rows)


def find_table_runs(location: TableLocation) -> tuple[list[PublishedRun], list[SkippedDate]]:
    """Find the published results of a table. A date without rows is left out.

    Returns:
        The results, oldest first, and the dates that were skipped. A withheld run is listed as skipped, also if an
        earlier run of its date is published.

    Raises:
        InputNotFoundError: there is no result.
    """
    with explain_store_errors():
        snapshot = open_snapshot(location)
        parts = group_parts(snapshot.table)
        days = [day for day in parts if day is not None]
        with ThreadPoolExecutor(READERS) as pool:
            reports = list(pool.map(snapshot.read_report, days))
        skipped = list(_find_withheld_dates(snapshot))
    runs: list[PublishedRun] = []
    for day, report in zip(days, reports, strict=True):
        if report is None:
            skipped.append(SkippedDate(f"{location}/{PARTITION}={day}", "no run of gamesales published it"))
        else:
            runs.append(_make_run(snapshot, day, report, parts[day]))
    if not runs:
        raise InputNotFoundError(f"no predictions in {location}", hint="Publish predictions with gamesales score")
    return runs, skipped


def _find_withheld_dates(snapshot: Snapshot) -> Iterator[SkippedDate]:
    location, days = snapshot.location, set()
    for key in snapshot.store.list(WITHHELD_FOLDER):
        with suppress(ValueError, IndexError):  # a file of another program
            days.add(date.fromisoformat(key.split("/")[2].removeprefix(f"{PARTITION}=")))
    for day in sorted(days):
        if find_withheld(snapshot.store, day, read_transaction(snapshot.table, day)):
            options = "" if "://" in location.text else " --format delta"
            yield SkippedDate(f"{location}/{PARTITION}={day}", explain_withheld(str(location), day, options))


def _make_run(snapshot: Snapshot, day: date, report: RunReport, parts: Sequence[PartFile]) -> PublishedTableRun:
    return PublishedTableRun(
        day=day,
        path=f"{snapshot.location}/{PARTITION}={day}",
        model=report.model,
        version=report.model_version,
        digest=report.bundle_sha256,
        columns=tuple(snapshot.schema.names),
        snapshot=snapshot,
        parts=parts,
        rows=report.rows_scored,
    )
