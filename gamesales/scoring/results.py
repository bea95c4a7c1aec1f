"""Read published results that another run may replace meanwhile: all of one run, or nothing.

The parts of a folder carry their run id in their names, so a reader with an old report finds a part missing. The report
of a single file is removed before the file is replaced, and the new report is written last. Rows that were read between
two reads of the same report therefore belong to its run.
"""

from __future__ import annotations

import errno
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from gamesales.data.csv_file import CsvFile
from gamesales.data.table import format_on_one_line
from gamesales.errors import InputError, InputNotFoundError, TryAgainError
from gamesales.scoring.output import REPORT, is_single_file
from gamesales.scoring.parts import SCORED_COLUMNS

# Seconds to wait before each retry: a file has no report for some milliseconds.
_WAITS = (0.02, 0.2)
_ROWS_PER_PIECE = 1 << 20
_PREFIX = "run_date="
_DATE_FOLDER = re.compile(rf"{_PREFIX}\d{{4}}-\d\d-\d\d")

T = TypeVar("T")
Report = dict[str, Any]


def read_folder(path: Path, day: str | date) -> pa.Table:
    """Read all rows of one date in a folder of dated partitions.

    Raises:
        InputNotFoundError: nothing is published for the date.
    """

    def read() -> pa.Table:
        with _open_result(path / f"{_PREFIX}{day}") as (_, parts):
            return pa.concat_tables([_read_parquet(part) for part in parts])

    return _retry(read, f"for {day} in {path}")


def read_file(path: Path, day: str | date | None) -> pa.Table:
    """Read all rows of a single-file result. The pass-through columns of a CSV are text.

    Args:
        path: the file.
        day: the expected date; None for any date.

    Raises:
        InputNotFoundError: nothing is published there, or the result is for another date.
        InputError: the report describes another file.
    """

    def read() -> pa.Table:
        with _open_result(path) as (report, _):
            table = _read_csv(path) if path.suffix.lower() == ".csv" else _read_parquet(path)
            run_id = (table.schema.metadata or {}).get(b"gamesales.run_id", report["run_id"].encode()).decode()
            if run_id != report["run_id"]:
                raise _wrong_run(path, f"run {report['run_id'][:8]}", f"run {run_id[:8]}")
            if day is not None and str(day) != report["run_date"]:
                raise InputNotFoundError(f"no predictions for {day} in {path}: they are for {report['run_date']}")
            return table

    return _retry(read, f"at {path}")


def _scan(path: Path, names: Sequence[str] | None, use: Callable[[Report, Iterator[pa.Table]], T]) -> T:
    """Call a function with the rows of one result, piece by piece. A CSV is one piece.

    Args:
        path: the single file, or the folder of the date, such as ``run_date=2026-11-23``.
        names: the columns to read; None for a piece with all columns and no rows.
        use: called with the report and the pieces. If another run replaces the result meanwhile, the function is
            called again from the beginning, so it must discard what it had computed.

    Raises:
        InputNotFoundError: nothing is published there.
        InputError: a part is damaged, or belongs to another run.
    """

    def read() -> T:
        with _open_result(path) as (report, files):
            if path.suffix.lower() == ".csv":
                return use(report, iter([_read_csv(path, names)]))
            return use(report, _read_pieces(files, report, names))

    return _retry(read, f"at {path}" if is_single_file(path) else f"in {path}")


@dataclass(frozen=True)
class PublishedRun:
    """The published result of one date.

    Attributes:
        path: the folder of the date, or the single file.
        version: the number of the version that scored.
        digest: the digest of its bundle.
        columns: the columns of the result; empty if it has no rows.
    """

    day: date
    path: Path
    model: str
    version: int
    digest: str
    columns: tuple[str, ...]

    def scan(self, names: Sequence[str], use: Callable[[Iterator[pa.Table]], T]) -> T:
        """Call a function with the named columns, piece by piece.

        If the result is replaced meanwhile, the function is called again from the beginning, so it must discard what
        it had computed.

        Raises:
            TryAgainError: the result of another version has replaced this result.
        """

        def check_version(report: Report, pieces: Iterator[pa.Table]) -> T:
            if report["bundle_sha256"] != self.digest:
                raise TryAgainError(
                    f"{self.path} was scored again by another version while it was read", hint="Run it again"
                )
            return use(pieces)

        return _scan(self.path, names, check_version)


@dataclass(frozen=True)
class SkippedDate:
    """A folder that was not read, and the reason."""

    place: str
    reason: str


def find_published_runs(path: Path) -> tuple[list[PublishedRun], list[SkippedDate]]:
    """Find the published results of a folder of dated partitions, or of a single file.

    Folders with other names are working folders and are ignored. A date without ``_SUCCESS`` is skipped.

    Returns:
        The results, oldest first, and the dates that were skipped.

    Raises:
        InputNotFoundError: there is no result.
        InputError: this release can't read a report.
    """
    if is_single_file(path):
        return [_read_published_run(path)], []
    if not path.is_dir():
        raise InputNotFoundError(f"no folder of predictions {path}", hint="Publish predictions with gamesales score")
    folders = sorted(folder for folder in path.iterdir() if folder.name.startswith(_PREFIX))
    reasons = {folder: reason for folder in folders if (reason := _explain_skip(folder))}
    runs = [_read_published_run(folder) for folder in folders if folder not in reasons]
    skipped = [SkippedDate(str(folder), reason) for folder, reason in reasons.items()]
    if not runs:
        why = "; ".join(f"{entry.place}: {entry.reason}" for entry in skipped) or "it has no run_date=YYYY-MM-DD"
        raise InputNotFoundError(f"no predictions in {path}: {why}", hint="Publish predictions with gamesales score")
    return runs, skipped


def _explain_skip(folder: Path) -> str:
    """Return why a folder is not a published date; empty if it is."""
    if not _DATE_FOLDER.fullmatch(folder.name):
        return "not a date, expected YYYY-MM-DD"
    return "" if (folder / "_SUCCESS").exists() else "no _SUCCESS, so it was not published whole"


def _read_published_run(path: Path) -> PublishedRun:
    """Read the report and the columns of a result, not its rows.

    Raises:
        InputError: the report is malformed, or it is for another date than its folder, such as in a copy.
    """

    def read_columns(report: Report, pieces: Iterator[pa.Table]) -> tuple[Report, tuple[str, ...]]:
        first = next(pieces, None)
        return report, () if first is None else tuple(first.column_names)

    report, columns = _scan(path, None, read_columns)
    try:
        run = PublishedRun(
            day=date.fromisoformat(report["run_date"]),
            path=path,
            model=str(report["model"]),
            version=int(report["model_version"]),
            digest=str(report["bundle_sha256"]),
            columns=columns,
        )
    except (LookupError, TypeError, ValueError) as error:
        raise InputError(
            f"the report of {path} can't be read: {type(error).__name__}: {error}", hint="Score this date again"
        ) from None
    if path.name.startswith(_PREFIX) and path.name != f"{_PREFIX}{run.day}":
        raise InputError(f"{path} holds predictions for {run.day}", hint="Move it to the folder of its date")
    return run


def _retry(read: Callable[[], T], where: str, waits: Sequence[float] = _WAITS) -> T:
    """Call a function again if a file is missing because a run is being published."""
    try:
        return read()
    except InputNotFoundError:
        raise
    except FileNotFoundError as error:
        if not waits:
            raise InputNotFoundError(
                f"no predictions {where}: {error.filename} is not there",
                hint="Publish predictions with gamesales score; see docs/guides/score.md",
            ) from None
    time.sleep(waits[0])
    return _retry(read, where, waits[1:])


@contextmanager
def _open_result(path: Path) -> Iterator[tuple[Report, Sequence[Path]]]:
    """Read the report of a single file or of the folder of a date, and find the files with its rows.

    Raises:
        FileNotFoundError: there is no report, or the report of a single file was replaced while the body ran.
        InputError: the report describes another file.
    """
    if not is_single_file(path):
        report = json.loads((path / "_run.json").read_bytes())
        yield report, [path / file["name"] for file in report["files"]]
        return
    report_path = path.with_name(f"{path.name}.{REPORT}")
    content = report_path.read_bytes()
    try:
        report, size = json.loads(content), path.stat().st_size
        (file,) = report["files"]
        if size != file["size"]:
            raise _wrong_run(path, f"{file['size']:,} bytes", f"{size:,} bytes")
        yield report, [path]
    finally:
        if report_path.read_bytes() != content:
            raise FileNotFoundError(errno.ENOENT, "replaced", str(report_path))


def _wrong_run(path: Path, expected: str, actual: str) -> InputError:
    return InputError(
        f"{path} is not the file that {path.name}.{REPORT} describes: expected {expected}, found {actual}",
        hint="Run the same gamesales score command again",
    )


def _read_parquet(path: Path) -> pa.Table:
    from pyarrow import parquet

    with path.open("rb") as file:  # not by name: folders such as run_date=2026-11-23 would add columns
        return parquet.read_table(file)


def _read_pieces(paths: Sequence[Path], report: Report, names: Sequence[str] | None) -> Iterator[pa.Table]:
    """Read the parts of one run, piece by piece."""
    from pyarrow import parquet

    for path in paths:
        try:
            with path.open("rb") as opened, parquet.ParquetFile(opened, page_checksum_verification=True) as file:
                schema = file.schema_arrow
                _check_run(path, schema, report)
                if names is None:
                    columns = [pa.nulls(0, field.type) for field in schema]  # empty_table would import pandas
                    yield pa.Table.from_batches([pa.RecordBatch.from_arrays(columns, names=schema.names)])
                    continue
                for batch in file.iter_batches(_ROWS_PER_PIECE, columns=list(names)):
                    yield pa.Table.from_batches([batch])
        except pa.ArrowException as error:
            raise InputError(f"{path} is damaged: {format_on_one_line(error)}", hint="Score this date again") from None


def _check_run(path: Path, schema: pa.Schema, report: Report) -> None:
    """Refuse a part with the metadata of another run or another bundle than the report."""
    for key in ("run_id", "bundle_sha256"):
        value = (schema.metadata or {}).get(f"gamesales.{key}".encode(), str(report[key]).encode()).decode()
        if value != report[key]:
            raise InputError(
                f"{path} has {key} {value[:12]}; expected {report[key][:12]}, as in its report",
                hint="Score this date again",
            )


def _read_csv(path: Path, names: Sequence[str] | None = None) -> pa.Table:
    from pyarrow import csv

    types = {name: pa.string() for name in CsvFile(path).schema.names}
    types |= {field.name: field.type for field in SCORED_COLUMNS}
    with path.open("rb") as file:
        return csv.read_csv(
            file,
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(column_types=types, include_columns=list(names or [])),
        )
