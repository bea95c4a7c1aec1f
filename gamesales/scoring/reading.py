"""Reading a result that may be replaced meanwhile: all of one run, or nothing.

A folder's parts carry their run in their names, so that who reads by an old report finds a part missing.
A file's report goes before the file is replaced, and the new one comes when all is in place: what was read between two
looks at the same report is of its run.
"""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from gamesales.data.batches import one_line
from gamesales.data.csv_file import CsvFile
from gamesales.errors import InputError, InputNotFoundError
from gamesales.scoring.parts import SCORED_COLUMNS
from gamesales.scoring.target import REPORT

# Seconds to wait after each try but the last: a file is without its report for some milliseconds.
_WAITS = (0.02, 0.2)
# Rows that are read at once.
_ROWS = 1 << 20

T = TypeVar("T")
Report = dict[str, Any]


def read_folder(path: Path, day: str | date) -> pa.Table:
    """Read all parts of a date in a folder of dated partitions.

    Raises: InputNotFoundError: nothing is published for it.
    """
    return _patiently(lambda: _parts(path / f"run_date={day}"), f"for {day} in {path}")


def read_file(path: Path, day: str | date | None) -> pa.Table:
    """Read a single-file result; what passes through a CSV is text.

    Raises: InputNotFoundError: nothing is published there, or that of another day. InputError: the file is not the one
        that its report tells of.
    """
    return _patiently(lambda: _file(path, day), f"at {path}")


def scan_folder(folder: Path, names: Sequence[str] | None, use: Callable[[Report, Iterator[pa.Table]], T]) -> T:
    """Let a function read a date's folder, ``run_date=2026-11-23``, piece by piece.

    Args:
        folder: the date's folder.
        names: the columns to read; None: all of them, of no row, to learn which there are.
        use: is given the run's report and the pieces of its rows. It is called again, from the beginning, where another
            run took the place of the one that it was reading; so what it made of the first is to be forgotten.

    Raises: InputNotFoundError: nothing is published there. InputError: a part is damaged, or another run's.
    """

    def read() -> T:
        report = json.loads((folder / "_run.json").read_bytes())
        return use(report, _pieces([folder / one["name"] for one in report["files"]], report, names))

    return _patiently(read, f"in {folder}")


def scan_file(path: Path, names: Sequence[str] | None, use: Callable[[Report, Iterator[pa.Table]], T]) -> T:
    """Let a function read a single-file result piece by piece; see ``scan_folder``. A CSV is one piece."""

    def read() -> T:
        with _told_of(path) as report:
            if path.suffix.lower() == ".csv":
                return use(report, iter([_csv(path, names)]))
            return use(report, _pieces([path], report, names))

    return _patiently(read, f"at {path}")


def _patiently(read: Callable[[], T], where: str, waits: Sequence[float] = _WAITS) -> T:
    """Try again if a run is published just now."""
    try:
        return read()
    except InputNotFoundError:
        raise
    except FileNotFoundError as error:
        if not waits:
            raise InputNotFoundError(
                f"no predictions {where}: {error.filename} is not there",
                hint="Publish some by gamesales score; see docs/scoring.md",
            ) from None
    time.sleep(waits[0])
    return _patiently(read, where, waits[1:])


def _parts(folder: Path) -> pa.Table:
    report = json.loads((folder / "_run.json").read_bytes())
    return pa.concat_tables([_parquet(folder / one["name"]) for one in report["files"]])


def _file(path: Path, day: str | date | None) -> pa.Table:
    with _told_of(path) as report:
        table = _csv(path) if path.suffix.lower() == ".csv" else _parquet(path)
        run = (table.schema.metadata or {}).get(b"gamesales.run_id", report["run_id"].encode()).decode()
        if run != report["run_id"]:
            raise _another(path, f"run {run[:8]}, expected {report['run_id'][:8]}")
        if day is not None and str(day) != report["run_date"]:
            raise InputNotFoundError(f"no predictions for {day} in {path}: they are for {report['run_date']}")
        return table


@contextmanager
def _told_of(path: Path) -> Iterator[Report]:
    """Read the report of a single file, and hold both to each other."""
    with _held(path.with_name(f"{path.name}.{REPORT}")) as report:
        size = path.stat().st_size
        (told,) = report["files"]
        if size != told["size"]:
            raise _another(path, f"{size:,} bytes, expected {told['size']:,}")
        yield report


@contextmanager
def _held(place: Path) -> Iterator[dict[str, Any]]:
    """Read a report, and hold it to be the same when the body ends, however it does.

    Raises: FileNotFoundError: it is not there, or another one by then.
    """
    first = place.read_bytes()
    try:
        yield json.loads(first)
    finally:
        if place.read_bytes() != first:
            raise FileNotFoundError(errno.ENOENT, "replaced", str(place))


def _another(path: Path, found: str) -> InputError:
    return InputError(
        f"{path} is not the file that {path.name}.{REPORT} tells of: it has {found}",
        hint="Give the command of that run again",
    )


def _parquet(path: Path) -> pa.Table:
    from pyarrow import parquet

    with path.open("rb") as file:  # by name, folders such as run_date=2026-11-23 would add columns
        return parquet.read_table(file)


def _pieces(paths: Sequence[Path], report: Report, names: Sequence[str] | None) -> Iterator[pa.Table]:
    """Read parts of one run, some rows at a time."""
    from pyarrow import parquet

    for path in paths:
        try:
            with path.open("rb") as opened, parquet.ParquetFile(opened, page_checksum_verification=True) as file:
                _check_run(path, file.schema_arrow, report)
                if names is None:
                    empty = [pa.nulls(0, one.type) for one in file.schema_arrow]  # empty_table would load pandas
                    yield pa.Table.from_batches([pa.RecordBatch.from_arrays(empty, names=file.schema_arrow.names)])
                    continue
                for batch in file.iter_batches(_ROWS, columns=list(names)):
                    yield pa.Table.from_batches([batch])
        except pa.ArrowException as error:
            raise InputError(f"{path} is damaged: {one_line(error)}", hint="Score this date again") from None


def _check_run(path: Path, schema: pa.Schema, report: Report) -> None:
    """Raises: InputError: a part says that it is of another run or another version than the report tells."""
    for key in ("run_id", "bundle_sha256"):
        found = (schema.metadata or {}).get(f"gamesales.{key}".encode(), str(report[key]).encode()).decode()
        if found != report[key]:
            raise InputError(
                f"{path} has {key} {found[:12]}, but the report beside it tells of {report[key][:12]}",
                hint="Score this date again",
            )


def _csv(path: Path, names: Sequence[str] | None = None) -> pa.Table:
    from pyarrow import csv

    types = {name: pa.string() for name in CsvFile(path).schema.names}
    types |= {field.name: field.type for field in SCORED_COLUMNS}
    with path.open("rb") as file:
        return csv.read_csv(
            file,
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(column_types=types, include_columns=list(names or [])),
        )
