"""The command runs: list the scoring runs of an output, such as the nights of a year."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from gamesales.cli.render import show_result
from gamesales.cli.table import format_table
from gamesales.cli.terminal import to_one_line
from gamesales.report.format import format_count, format_minute

if TYPE_CHECKING:
    import typer

    from gamesales.cli.options import JsonOption, LimitOption
    from gamesales.jobs.runs import RunList, RunRow

_HEADINGS = ["date", "state", "rows", "scored", "rejected", "drift", "version", "started (UTC)"]
# A narrow screen leaves them out, the first one first.
_OPTIONAL = ("started (UTC)", "scored", "version", "drift")
# Drifted columns that a row of the table names.
_SHOWN_COLUMNS = 2


def runs(
    output: Annotated[
        str | None,
        typer.Argument(
            metavar="OUTPUT",
            help="The output of score: a folder, a single file or a Delta table; by default that of the job.",
        ),
    ] = None,
    job: Annotated[Path | None, typer.Option(metavar="FILE", help="The job file; by default jobs/score.toml.")] = None,
    limit: LimitOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the scoring runs of an output, newest date first, with rows, rejects and drift.

    Examples:
        gamesales runs
        gamesales runs predictions --limit 7
    """
    from gamesales.jobs.runs import choose_output, list_runs

    show_result(list_runs(choose_output(output, job), limit), _format_runs, as_json=as_json)


def _format_runs(listed: RunList) -> str:
    rows = [_format_row(row) for row in listed.runs]
    table = format_table(_HEADINGS, rows, optional=_OPTIONAL, states={"state"})
    notes = dict.fromkeys(f"{row.date or row.place}: {row.note}" for row in listed.runs if row.note)
    runs = f"{format_count(len(listed.runs), 'run')} in {listed.output}"
    return "\n\n".join([to_one_line(runs), table, *(["\n".join(map(to_one_line, notes))] if notes else [])])


def _format_row(row: RunRow) -> list[str]:
    counts = (row.rows_in, row.rows_scored, row.rows_rejected)
    return [
        row.date or "-",
        row.state,
        *("-" if count is None else f"{count:,}" for count in counts),
        _format_drift(row.drifted),
        "-" if row.model_version is None else str(row.model_version),
        "-" if row.started is None else format_minute(row.started),
    ]


def _format_drift(columns: list[str] | None) -> str:
    if not columns:
        return "-"
    more = f" and {len(columns) - _SHOWN_COLUMNS} more" if len(columns) > _SHOWN_COLUMNS else ""
    return ", ".join(columns[:_SHOWN_COLUMNS]) + more
