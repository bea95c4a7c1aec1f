"""The command report: the page of a version or of a scoring run, and the site of a registry."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from gamesales.cli.render import show_result
from gamesales.cli.values import NAME, choose_registry
from gamesales.errors import UsageError

if TYPE_CHECKING:
    import typer

    from gamesales.cli.options import JobRegistryOption, JsonOption, NameOption
    from gamesales.jobs.run_page import RunPageResult
    from gamesales.jobs.version_page import VersionPageResult


def report(
    ref: Annotated[
        str | None, typer.Argument(metavar="REF", help="Show the page of this version: 4, champion or name@champion.")
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="YYYY-MM-DD", help="Write the page of the scoring run of this date.")
    ] = None,
    output: Annotated[
        str | None, typer.Option(metavar="PATH", help="The output of score; by default that of the job.")
    ] = None,
    job: Annotated[Path | None, typer.Option(metavar="FILE", help="The job file; by default jobs/score.toml.")] = None,
    page: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to write the page; by default run-YYYY-MM-DD.html, or in place."),
    ] = None,
    opens: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    registry: JobRegistryOption = None,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Show the page of a version, or write the page of a scoring run.

    Examples:
        gamesales report champion --open
        gamesales report --run 2026-11-23 --output predictions
    """
    if (ref is None) == (run is None):
        raise UsageError(
            "report expects either REF or --run YYYY-MM-DD",
            hint="For example: gamesales report champion. List the dates of runs: gamesales runs",
        )
    from gamesales.jobs.runs import choose_run_registry

    location = choose_registry(registry, choose_run_registry(job))
    result: VersionPageResult | RunPageResult
    if run is not None:
        result = _write_run_page(run, output, job, page, location)
    elif output is not None:
        raise UsageError(
            "--output is the output of score, and REF is the name of a version",
            hint=f"Copy the page of a version: gamesales report {ref} --page {output}",
        )
    else:
        result = _find_version_page(location, str(ref), name, page)
    show_result(result, _format_page, as_json=as_json)
    if opens:
        import webbrowser

        webbrowser.open(Path(result.page).resolve().as_uri())


def _write_run_page(run: str, output: str | None, job: Path | None, page: Path | None, location: str) -> RunPageResult:
    from gamesales.jobs.run_page import write_run_page
    from gamesales.jobs.runs import choose_output
    from gamesales.jobs.score_job import parse_date

    day = parse_date(run, "--run")
    page = Path(f"run-{day}.html") if page is None else page
    return write_run_page(choose_output(output, job), day, page, location)


def _find_version_page(location: str, ref: str, name: str, page: Path | None) -> VersionPageResult:
    from gamesales.jobs.loading import open_ref
    from gamesales.jobs.version_page import find_version_page

    return find_version_page(*open_ref(location, ref, name), page)


def _format_page(result: VersionPageResult | RunPageResult) -> str:
    from gamesales.jobs.run_page import RunPageResult

    if isinstance(result, RunPageResult):
        return f"the {result.state} run of {result.run_date} in {result.output}\npage     {result.page}"
    return result.page
