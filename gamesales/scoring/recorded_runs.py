"""All runs of an output: the published run of each date, withheld runs, and runs that did not end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from gamesales.errors import InputError, InputNotFoundError
from gamesales.scoring.output import OutputPaths, is_single_file
from gamesales.scoring.result_files import DATE_PREFIX
from gamesales.scoring.results import DATE_FOLDER, explain_withheld
from gamesales.scoring.run_report import RunReport, read_report
from gamesales.scoring.withheld import read_withheld

RunState = Literal["published", "withheld", "incomplete"]
_WORK_FOLDER = re.compile(rf"\.({DATE_FOLDER.pattern})\.work")
# What people can do about a run that did not end.
UNFINISHED = "running, or it failed or was interrupted; the same command goes on"
_NO_SUCCESS = "no _SUCCESS, so it was not published whole"
_UNREADABLE = "its report can't be read, or a file of the result is missing or has another size"


@dataclass(frozen=True)
class RecordedRun:
    """A run that left something in its output.

    Attributes:
        day: its date; None if only its working folder exists, which does not name the date.
        place: the folder of the date, the single file, or the URL of the date in a table.
        report: its report; None if it is incomplete.
        note: why it is incomplete, or how to publish a withheld run; else empty.
        page: the page that was published with it: a path, or a key in the store of a table; empty if there is none.
    """

    day: date | None
    state: RunState
    place: str
    report: RunReport | None = None
    note: str = ""
    page: str = ""


def list_recorded_runs(path: Path, limit: int | None = None, day: date | None = None) -> list[RecordedRun]:
    """List the runs of a folder of dated partitions, or of a single file, newest date first.

    Args:
        path: the folder or the file.
        limit: how many dates to read at most, the newest; None: all.
        day: the only date to read; None: all.

    Raises:
        InputNotFoundError: there is no run.
    """
    if is_single_file(path):
        runs = [run for run in _read_runs(OutputPaths(path, date.min)) if day in (None, run.day)]
    elif not path.is_dir():
        raise InputNotFoundError(f"no folder of predictions {path}", hint="Publish predictions with gamesales score")
    else:
        days = _find_days(path)[:limit] if day is None else [day]
        runs = [run for night in days for run in _read_runs(OutputPaths(path, night))]
    if not runs:
        raise make_no_runs_error(path, day)
    return runs


def make_no_runs_error(output: object, day: date | None) -> InputNotFoundError:
    """Return the error that an output has no run, or none of a date."""
    if day is None:
        return InputNotFoundError(f"no runs in {output}", hint="Publish predictions with gamesales score")
    return InputNotFoundError(f"no run of {day} in {output}", hint=f"List all runs: gamesales runs {output}")


def _find_days(folder: Path) -> list[date]:
    """Find the dates with a folder or a working folder, newest first."""
    names = (entry.name for entry in folder.iterdir())
    folders = {work[1] if (work := _WORK_FOLDER.fullmatch(name)) else name for name in names}
    days = set()
    for name in folders:
        if DATE_FOLDER.fullmatch(name):
            try:
                days.add(date.fromisoformat(name.removeprefix(DATE_PREFIX)))
            except ValueError:
                continue  # a folder such as run_date=2026-02-30 is of another program
    return sorted(days, reverse=True)


def _read_runs(target: OutputPaths) -> Iterator[RecordedRun]:
    """Read the runs of one date: what is not published, and then what is."""
    place, day = str(target.visible), None if target.is_file else target.run_date
    for folder in sorted(target.work.glob("*/")):
        try:
            withheld = read_withheld(folder)
        except InputError as error:
            yield RecordedRun(day, "incomplete", place, note=error.message)
            continue
        if withheld is None:
            yield RecordedRun(day, "incomplete", place, note=UNFINISHED)
        else:
            report = withheld.report
            note = explain_withheld(str(target.path), report.run_date)
            yield RecordedRun(date.fromisoformat(report.run_date), "withheld", place, report, note)
    if not target.visible.exists():
        return
    published = read_report(target)
    if not target.is_file and not (target.visible / "_SUCCESS").exists():
        yield RecordedRun(day, "incomplete", place, note=_NO_SUCCESS)
    elif published is None:
        yield RecordedRun(day, "incomplete", place, note=_UNREADABLE)
    else:
        page = str(target.page) if target.page.exists() else ""
        yield RecordedRun(date.fromisoformat(published.run_date), "published", place, published, page=page)
