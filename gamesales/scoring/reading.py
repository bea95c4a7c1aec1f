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
from typing import Any

import pyarrow as pa

from gamesales.data.csv_file import CsvFile
from gamesales.errors import InputError, InputNotFoundError
from gamesales.scoring.parts import SCORED_COLUMNS
from gamesales.scoring.target import REPORT

# Seconds to wait after each try but the last: a file is without its report for some milliseconds.
_WAITS = (0.02, 0.2)


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


def _patiently(read: Callable[[], pa.Table], where: str, waits: Sequence[float] = _WAITS) -> pa.Table:
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
    with _held(path.with_name(f"{path.name}.{REPORT}")) as report:
        size = path.stat().st_size
        (told,) = report["files"]
        if size != told["size"]:
            raise _another(path, f"{size:,} bytes, expected {told['size']:,}")
        table = _csv(path) if path.suffix.lower() == ".csv" else _parquet(path)
        run = (table.schema.metadata or {}).get(b"gamesales.run_id", report["run_id"].encode()).decode()
        if run != report["run_id"]:
            raise _another(path, f"run {run[:8]}, expected {report['run_id'][:8]}")
        if day is not None and str(day) != report["run_date"]:
            raise InputNotFoundError(f"no predictions for {day} in {path}: they are for {report['run_date']}")
        return table


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


def _csv(path: Path) -> pa.Table:
    from pyarrow import csv

    types = {name: pa.string() for name in CsvFile(path).schema.names}
    types |= {field.name: field.type for field in SCORED_COLUMNS}
    with path.open("rb") as file:
        return csv.read_csv(
            file,
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(column_types=types),
        )
