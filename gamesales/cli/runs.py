"""The commands runs and report: the runs of an output, such as the nights of a year, and the page of one of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from gamesales.cli.render import format_minute, show_result
from gamesales.cli.table import format_table
from gamesales.cli.terminal import to_one_line
from gamesales.cli.values import choose_registry
from gamesales.errors import UsageError
from gamesales.report.format import format_count

if TYPE_CHECKING:
    import typer

    from gamesales.cli.options import JobRegistryOption, JsonOption, LimitOption
    from gamesales.jobs.run_page import RunPageResult
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


def report(
    run: Annotated[
        str | None, typer.Option("--run", metavar="YYYY-MM-DD", help="Write the page of the scoring run of this date.")
    ] = None,
    output: Annotated[
        str | None, typer.Option(metavar="PATH", help="The output of score; by default that of the job.")
    ] = None,
    job: Annotated[Path | None, typer.Option(metavar="FILE", help="The job file; by default jobs/score.toml.")] = None,
    page: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write the page; by default run-YYYY-MM-DD.html.")
    ] = None,
    opens: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    registry: JobRegistryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a page about a scoring run: version, rejects, predictions and drift.

    Examples:
        gamesales report --run 2026-11-23 --open
        gamesales report --run 2026-11-23 --output predictions
    """
    from gamesales.jobs.run_page import write_run_page
    from gamesales.jobs.runs import choose_output, choose_run_registry
    from gamesales.jobs.score_job import parse_date

    if run is None:
        raise UsageError("report expects --run YYYY-MM-DD", hint="List the dates: gamesales runs")
    day = parse_date(run, "--run")
    location = choose_registry(registry, choose_run_registry(job))
    path = Path(f"run-{day}.html") if page is None else page
    result = write_run_page(choose_output(output, job), day, path, location)
    show_result(result, _format_page, as_json=as_json)
    if opens:
        import webbrowser

        webbrowser.open(path.resolve().as_uri())


def _format_page(result: RunPageResult) -> str:
    return f"the {result.state} run of {result.run_date} in {result.output}\npage     {result.page}"
