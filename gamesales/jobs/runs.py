"""List the runs of an output, such as the nights of a year: what was scored, rejected, withheld or not finished."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from gamesales.errors import InputNotFoundError, UsageError
from gamesales.jobs.row_list import RowList, check_limit
from gamesales.jobs.score import JOB_FILE
from gamesales.report.format import format_count
from gamesales.scoring.output import is_table, parse_output
from gamesales.scoring.recorded_runs import RecordedRun, RunState, list_recorded_runs


@dataclass(frozen=True)
class RunRow:
    """A run in the list.

    Attributes:
        date: the date of the run; None if it is not known, as for a single file that is not finished.
        state: ``published``; ``withheld`` because of drift; or ``incomplete``: it is running, it failed, or its files
            are damaged. An incomplete run has no figures.
        place: the folder of the date, the single file, or the URL of the date in a table.
        note: why a run is incomplete, how to publish a withheld run, or who released it and why; else empty.
        rows_outside_training_range: the scored rows with a feature outside its range in training.
        drifted: the columns that drifted; None for a version without profiles.
        started: when the run began, in UTC.
    """

    date: str | None
    state: RunState
    place: str
    note: str
    rows_in: int | None = None
    rows_scored: int | None = None
    rows_rejected: int | None = None
    rows_outside_training_range: int | None = None
    drifted: list[str] | None = None
    model: str | None = None
    model_version: int | None = None
    run_id: str | None = None
    started: str | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class RunList(RowList[RunRow]):
    """The runs of an output, newest date first. A date may have a published run and another run."""

    output: str
    runs: list[RunRow]

    @property
    def _rows(self) -> list[RunRow]:
        return self.runs

    def __repr__(self) -> str:
        return f"RunList({format_count(len(self), 'run')} in {self.output})"

    def _repr_html_(self) -> str:
        from gamesales.display import make_table

        rows = [
            [
                row.date,
                row.state,
                row.rows_in,
                row.rows_scored,
                row.rows_rejected,
                row.drifted,
                None if row.model_version is None else str(row.model_version),
                row.note,
            ]
            for row in self.runs
        ]
        headings = ["date", "state", "rows", "scored", "rejected", "drift", "version", "note"]
        return make_table(f"{format_count(len(self), 'run')} in {self.output}, newest first", headings, rows)


def choose_output(output: str | None, job: Path | None) -> Path | str:
    """Return the output that is named, or the output of a scoring job.

    Args:
        output: its path or URL; None: that of the job.
        job: the job file; None: jobs/score.toml.

    Raises:
        UsageError: neither is there.
        JobFileError: the job file is wrong.
    """
    if output is not None:
        return parse_output(output)
    if job is None and not JOB_FILE.exists():
        raise UsageError(
            f"OUTPUT is missing, and there is no {JOB_FILE} to take it from",
            hint="Name the output of gamesales score, such as predictions; or --job FILE",
        )
    from gamesales.jobs.score_job_file import read_score_job

    return read_score_job(job or JOB_FILE).output


def choose_outputs(outputs: Sequence[str], job: Path | None) -> list[Path | str]:
    """Return the outputs that are named, or the output of a scoring job, or none if the job has not run yet.

    Raises:
        JobFileError: the job file is wrong.
    """
    if outputs:
        return [parse_output(output) for output in dict.fromkeys(outputs)]
    if job is None and not JOB_FILE.exists():
        return []
    output = choose_output(None, job)
    try:
        find_runs(output, limit=1)
    except InputNotFoundError:
        return []
    return [output]


def choose_run_registry(job: Path | None) -> str | None:
    """Return the registry of a scoring job; None if the job names none, or there is no job.

    Raises:
        JobFileError: the job file is wrong.
    """
    if job is None and not JOB_FILE.exists():
        return None
    from gamesales.jobs.score_job_file import read_score_job

    return read_score_job(job or JOB_FILE).registry


def find_runs(output: Path | str, limit: int | None = None, day: date | None = None) -> list[RecordedRun]:
    """Find the runs of a folder, a single file or a Delta table, newest date first.

    Args:
        output: its path or URL.
        limit: how many dates to read at most, the newest; None: all.
        day: the only date to read; None: all.

    Raises:
        InputNotFoundError: there is no run.
    """
    if not is_table(output):
        path = Path(output)
        return list_recorded_runs(path.resolve() if path.is_symlink() else path, limit, day)
    from gamesales.lake.location import TableLocation
    from gamesales.lake.recorded_runs import list_table_runs

    return list_table_runs(TableLocation(str(output)), limit, day)


def list_runs(output: Path | str, limit: int | None = None) -> RunList:
    """List the runs of an output. The arguments and errors are those of ``find_runs``."""
    check_limit(limit)
    return RunList(str(output), [_make_row(run) for run in find_runs(output, limit)])


def _make_row(run: RecordedRun) -> RunRow:
    report, day = run.report, None if run.day is None else run.day.isoformat()
    if report is None:
        return RunRow(day, run.state, run.place, run.note)
    release = report.release
    return RunRow(
        date=day,
        state=run.state,
        place=run.place,
        note=f"released by {release.actor}: {release.reason}" if release else run.note,
        rows_in=report.rows_in,
        rows_scored=report.rows_scored,
        rows_rejected=report.rows_rejected,
        rows_outside_training_range=report.rows_outside_training_range,
        drifted=list(report.drift.drifted) if report.drift else None,
        model=report.model,
        model_version=report.model_version,
        run_id=report.run_id,
        started=report.started,
        seconds=report.seconds,
    )
