"""The command report: the page of a version or of a scoring run, and the site of a registry."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from gamesales.cli.render import show_result
from gamesales.cli.values import NAME
from gamesales.errors import UsageError, warn
from gamesales.registry.refs import choose_registry
from gamesales.report.format import format_count

if TYPE_CHECKING:
    import typer

    from gamesales.cli.completion import complete_refs
    from gamesales.cli.options import JobRegistryOption, JsonOption, NameOption
    from gamesales.jobs.run_page import RunPageResult
    from gamesales.jobs.site import SiteResult
    from gamesales.jobs.version_page import VersionPageResult


def report(
    ref: Annotated[
        str | None,
        typer.Argument(
            metavar="REF",
            help="Show the page of this version: 4, champion or game-earnings@champion.",
            autocompletion=complete_refs,
        ),
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="YYYY-MM-DD", help="Write the page of the scoring run of this date.")
    ] = None,
    site: Annotated[
        Path | None,
        typer.Option("--site", metavar="DIR", help="Write a site about all models, versions and runs to this folder."),
    ] = None,
    output: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH", help="The output of score; by default that of the job. Repeat it for several outputs."
        ),
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
    """Show the page of a version, write the page of a scoring run, or write a site about all of them.

    Examples:
        gamesales report champion --open
        gamesales report --run 2026-11-23 --output predictions
        gamesales report --site site
    """
    if (ref is not None) + (run is not None) + (site is not None) != 1:
        raise UsageError(
            "report expects REF, --run YYYY-MM-DD or --site DIR",
            hint="For example: gamesales report champion; or gamesales report --site site. List runs: gamesales runs",
        )
    from gamesales.jobs.runs import choose_run_registry

    location = choose_registry(registry, choose_run_registry(job) if registry is None else None)
    outputs = output or []
    result: VersionPageResult | RunPageResult | SiteResult
    if site is not None:
        result = _write_site(site, outputs, job, page, location)
    elif run is not None:
        result = _write_run_page(run, outputs, job, page, location)
    elif outputs:
        raise UsageError(
            "--output is the output of score, and REF is the name of a version",
            hint=f"Copy the page of a version: gamesales report {ref} --page {outputs[0]}",
        )
    else:
        result = _find_version_page(location, str(ref), name, page)
    show_result(result, _format_page, as_json=as_json)
    if opens:
        import webbrowser

        if not webbrowser.open(Path(result.page).resolve().as_uri()):
            warn("no browser could be started; open the page by its path")


def _write_run_page(
    run: str, outputs: Sequence[str], job: Path | None, page: Path | None, location: str
) -> RunPageResult:
    from gamesales.jobs.run_page import write_run_page
    from gamesales.jobs.runs import choose_output
    from gamesales.jobs.score_job import parse_date

    day = parse_date(run, "--run")
    if len(outputs) > 1:
        raise UsageError(f"--run expects one --output, received {len(outputs)}")
    page = Path(f"run-{day}.html") if page is None else page
    return write_run_page(choose_output(outputs[0] if outputs else None, job), day, page, location)


def _write_site(site: Path, outputs: Sequence[str], job: Path | None, page: Path | None, location: str) -> SiteResult:
    from gamesales.jobs.runs import choose_outputs
    from gamesales.jobs.site import write_site

    if page is not None:
        raise UsageError("--site writes a folder of pages, and --page names one file", hint=f"--site {site}")
    return write_site(location, choose_outputs(outputs, job), site)


def _find_version_page(location: str, ref: str, name: str, page: Path | None) -> VersionPageResult:
    from gamesales.jobs.loading import open_ref
    from gamesales.jobs.version_page import find_version_page

    return find_version_page(*open_ref(location, ref, name), page)


def _format_page(result: VersionPageResult | RunPageResult | SiteResult) -> str:
    from gamesales.jobs.run_page import RunPageResult
    from gamesales.jobs.version_page import VersionPageResult

    if isinstance(result, VersionPageResult):
        return result.page
    if isinstance(result, RunPageResult):
        return f"the {result.state} run of {result.run_date} in {result.output}\npage     {result.page}"
    counts = (len(result.models), "model"), (result.versions, "version"), (result.runs, "run")
    models, versions, runs = (format_count(count, noun) for count, noun in counts)
    return f"{models}, {versions} and {runs} of {result.registry}\nsite     {result.page}"
