"""Reading a result that may be replaced meanwhile: all of one run, or nothing.

A folder's parts carry their run in their names, so that who reads by an old report finds a part missing.
A file's report goes before the file is replaced, and the new one comes when all is in place: what was read between two
looks at the same report is of its run.
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
from gamesales.data.table import one_line
from gamesales.errors import InputError, InputNotFoundError, TryAgainError
from gamesales.scoring.output import FILE_SUFFIXES, REPORT
from gamesales.scoring.parts import SCORED_COLUMNS

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


_PREFIX = "run_date="
_DATE = re.compile(rf"{_PREFIX}\d{{4}}-\d\d-\d\d")


@dataclass(frozen=True)
class Past:
    """One date's published result: where it is, which version made it, and its columns, none where it has no rows."""

    day: date
    place: Path
    model: str
    version: int
    digest: str
    columns: tuple[str, ...]

    def scan(self, names: Sequence[str], use: Callable[[Iterator[pa.Table]], T]) -> T:
        """Let a function read the named columns piece by piece; see ``reading.scan_folder``.

        Raises: TryAgainError: another version's result has taken its place since it was found.
        """

        def of_same_version(report: Report, pieces: Iterator[pa.Table]) -> T:
            if report["bundle_sha256"] != self.digest:
                raise TryAgainError(
                    f"{self.place} was scored again by another version while it was read", hint="Run it again"
                )
            return use(pieces)

        return _scan(self.place, names, of_same_version)


@dataclass(frozen=True)
class LeftOut:
    """A date that was not read, and why."""

    place: str
    reason: str


def find_past(path: Path) -> tuple[list[Past], list[LeftOut]]:
    """Find the results at a path, oldest first: those of a folder of dated partitions, or the one of a single file.

    Folders whose names begin otherwise are no dates: runs work in them. A date without ``_SUCCESS`` is left out.

    Raises: InputNotFoundError: there is none. InputError: a report is not one that this release can read.
    """
    if path.suffix.lower() in FILE_SUFFIXES:
        return [_past(path)], []
    if not path.is_dir():
        raise InputNotFoundError(f"no folder of predictions {path}", hint="Publish some by gamesales score")
    places = sorted(place for place in path.iterdir() if place.name.startswith(_PREFIX))
    reasons = {place: reason for place in places if (reason := _unusable(place))}
    found = [_past(place) for place in places if place not in reasons]
    left_out = [LeftOut(str(place), reason) for place, reason in reasons.items()]
    if not found:
        why = "; ".join(f"{one.place}: {one.reason}" for one in left_out) or "it has no run_date=YYYY-MM-DD"
        raise InputNotFoundError(f"no predictions in {path}: {why}", hint="Publish some by gamesales score")
    return found, left_out


def _unusable(place: Path) -> str:
    """Say why a folder is no published date; empty: it is."""
    if not _DATE.fullmatch(place.name):
        return "not a date, expected YYYY-MM-DD"
    return "" if (place / "_SUCCESS").exists() else "no _SUCCESS, so it was not published whole"


def _past(place: Path) -> Past:
    """Learn about a result, without its rows."""

    def learn(report: Report, pieces: Iterator[pa.Table]) -> Past:
        first = next(pieces, None)
        return _told(place, report, () if first is None else tuple(first.column_names))

    return _scan(place, None, learn)


def _told(place: Path, report: Report, columns: tuple[str, ...]) -> Past:
    try:
        past = Past(
            day=date.fromisoformat(report["run_date"]),
            place=place,
            model=str(report["model"]),
            version=int(report["model_version"]),
            digest=str(report["bundle_sha256"]),
            columns=columns,
        )
    except (LookupError, TypeError, ValueError) as error:
        raise InputError(
            f"the report of {place} can't be read: {type(error).__name__}: {error}", hint="Score this date again"
        ) from None
    _check_date(place, past.day)
    return past


def _check_date(place: Path, day: date) -> None:
    """Raises: InputError: a folder's report is that of another date, as where one was copied."""
    if place.name.startswith(_PREFIX) and place.name != f"{_PREFIX}{day}":
        raise InputError(f"{place} holds predictions for {day}", hint="Move it to where its date belongs")


def _scan(place: Path, names: Sequence[str] | None, use: Callable[[Report, Iterator[pa.Table]], T]) -> T:
    return (scan_file if place.suffix.lower() in FILE_SUFFIXES else scan_folder)(place, names, use)
