"""Read published results that another run may replace meanwhile: all of one run, or nothing.

The parts of a folder carry their run id in their names, so a reader with an old report finds a part missing. The report
of a single file is removed before the file is replaced, and the new report is written last. Rows that were read between
two reads of the same report therefore belong to its run.
"""

from __future__ import annotations

import errno
import gzip
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from gamesales.data.contract import UNFAMILIAR_COLUMN
from gamesales.data.csv_file import CsvFile
from gamesales.data.table import format_on_one_line
from gamesales.errors import InputError, InputNotFoundError
from gamesales.scoring.output import REPORT, find_form, is_single_file
from gamesales.scoring.parts import SCORED_COLUMNS

DATE_PREFIX = "run_date="
# Seconds to wait before each retry: a file has no report for some milliseconds.
_WAITS = (0.02, 0.2)
_ROWS_PER_PIECE = 1 << 20

T = TypeVar("T")
Report = dict[str, Any]


def read_folder(path: Path, day: str | date) -> pa.Table:
    """Read all rows of one date in a folder of dated partitions.

    Raises:
        InputNotFoundError: nothing is published for the date.
    """

    def read() -> pa.Table:
        with _open_result(path / f"{DATE_PREFIX}{day}") as (_, parts):
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
            table = _read_parquet(path) if find_form(path) == ".parquet" else _read_csv(path)
            run_id = (table.schema.metadata or {}).get(b"gamesales.run_id", report["run_id"].encode()).decode()
            if run_id != report["run_id"]:
                raise _wrong_run(path, f"run {report['run_id'][:8]}", f"run {run_id[:8]}")
            if day is not None and str(day) != report["run_date"]:
                raise InputNotFoundError(f"no predictions for {day} in {path}: they are for {report['run_date']}")
            return table

    return _retry(read, f"at {path}")


def scan(path: Path, names: Sequence[str] | None, use: Callable[[Report, Iterator[pa.Table]], T]) -> T:
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
            if find_form(path).startswith(".csv"):
                return use(report, iter([_read_csv(path, names)]))
            return use(report, _read_pieces(files, report, names))

    return _retry(read, f"at {path}" if is_single_file(path) else f"in {path}")


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

    present = CsvFile(path).schema.names
    types = {name: pa.string() for name in present}
    types |= {field.name: field.type for field in SCORED_COLUMNS}
    if UNFAMILIAR_COLUMN in present and present[-2] != UNFAMILIAR_COLUMN:
        types[UNFAMILIAR_COLUMN] = pa.string()  # copied from the inputs; this version does not write the column
    with path.open("rb") as file:
        return csv.read_csv(
            gzip.GzipFile(fileobj=file) if find_form(path) == ".csv.gz" else file,
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(column_types=types, include_columns=list(names or [])),
        )
