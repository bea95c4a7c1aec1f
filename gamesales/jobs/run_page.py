"""Write the page of a scoring run: what ran, why its version was live, its rejects, and its drift."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from gamesales.data.files import replace_file
from gamesales.errors import GamesalesError, InputNotFoundError, warn
from gamesales.jobs.loading import open_registry
from gamesales.jobs.runs import find_runs
from gamesales.registry.event import ALIAS_DELETED, ALIAS_SET, VERSION_REGISTERED, Event, format_time
from gamesales.registry.refs import format_command
from gamesales.report.run_page import render_run_page
from gamesales.report.run_sections import PredictedTitle, RejectGroup, RunPage
from gamesales.scoring.output import OutputPaths, is_single_file, is_table
from gamesales.scoring.run_content import RunContent, TitleRow, find_extremes, group_rejects, open_files
from gamesales.scoring.run_report import RunReport
from gamesales.stats.amounts import amounts_in

if TYPE_CHECKING:
    from gamesales.scoring.recorded_runs import RecordedRun

# Titles at each end, reasons of rejects, and rows of each reason that a page shows.
_MOST_TITLES, _MOST_REASONS, _MOST_SAMPLES = 10, 20, 3
# Longer cells are cut.
_MOST_CHARACTERS = 60


@dataclass(frozen=True)
class RunPageResult:
    """The page of a run that was written."""

    page: str
    output: str
    run_date: str
    state: str
    run_id: str


def write_run_page(output: Path | str, day: date, page: Path, registry: str | Path) -> RunPageResult:
    """Write the page of the run of a date. If a run is withheld, the page is about this run.

    Args:
        output: the folder, single file or Delta table of the run.
        day: the date.
        page: where to write the page.
        registry: the path or URL of the registry. The page can be written without it.

    Raises:
        InputNotFoundError: the date has no complete run.
    """
    runs = find_runs(output, day=day)
    run = next((run for run in runs if run.report is not None), None)
    if run is None or run.report is None:
        raise InputNotFoundError(
            f"the run of {day} in {output} is not complete: {runs[0].note}",
            hint=f"List all runs: gamesales runs {output}",
        )
    text = make_run_page(run.report, _open_content(output, run), registry)
    with replace_file(page) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return RunPageResult(str(page), str(output), run.report.run_date, run.state, run.report.run_id)


def make_page_maker(registry: str | Path) -> Callable[[RunReport, RunContent], str | None]:
    """Return a function that makes the page of a run before it is published, or warns if it can't."""

    def make_page(report: RunReport, content: RunContent) -> str | None:
        try:
            return make_run_page(report, content, registry)
        except Exception as error:
            warn(f"the page of the run can't be made: {type(error).__name__}: {error}")
            return None

    return make_page


def make_run_page(report: RunReport, content: RunContent, registry: str | Path) -> str:
    """Make the page of a run as HTML.

    Args:
        report: the report of the run.
        content: its rows and its rejects.
        registry: the path or URL of the registry. The page can be made without it.
    """
    highest, lowest = find_extremes(content, _MOST_TITLES)
    facts, note = _explain_version(report, registry)
    page = RunPage(
        report=json.loads(json.dumps(asdict(report))),
        version=facts,
        version_note=note,
        highest=[_make_title(row) for row in highest],
        lowest=[_make_title(row) for row in lowest],
        rejects=_list_rejects(content) if report.rows_rejected else [],
        commands=_list_commands(report, registry),
    )
    with amounts_in(report.unit):
        return render_run_page(page)


def _open_content(output: Path | str, run: RecordedRun) -> RunContent:
    """Open the rows and the rejects of a run that is published or withheld."""
    assert run.report is not None
    if is_table(output):
        from gamesales.lake.location import TableLocation
        from gamesales.lake.run_content import open_table_content

        return open_table_content(TableLocation(str(output)), run.report)
    target = OutputPaths(Path(output), date.fromisoformat(run.report.run_date))
    if run.state == "withheld":
        from gamesales.scoring.withheld import open_withheld_content

        return open_withheld_content(target)
    folder = target.path.parent if target.is_file else target.visible
    rejects = [target.rejects] if target.is_file else sorted(target.rejects.glob("*.csv"))
    return open_files(
        [folder / file.name for file in run.report.files], [path for path in rejects if path.exists()], target.suffix
    )


def _make_title(row: TitleRow) -> PredictedTitle:
    label = ", ".join(_shorten(str(cell)) for cell in row.labels if cell not in (None, ""))
    return PredictedTitle(label or f"row {row.number:,}", row.predicted, row.low, row.high, row.is_outside)


def _list_rejects(content: RunContent) -> list[RejectGroup]:
    groups = sorted(group_rejects(content, _MOST_SAMPLES).items(), key=lambda item: (-item[1].rows, item[0]))
    return [
        RejectGroup(
            _shorten(reason, 3 * _MOST_CHARACTERS),
            group.rows,
            [
                f"{file} row {row}" + (f", found {_shorten(value)}" if value else "")
                for file, row, _, value in group.first
            ],
        )
        for reason, group in groups[:_MOST_REASONS]
    ]


def _shorten(text: str, length: int = _MOST_CHARACTERS) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _explain_version(report: RunReport, location: str | Path) -> tuple[Mapping[str, str], str]:
    """Return why the version was live, from the log of the registry, or why the log does not say it."""
    try:
        registry = open_registry(location, report.model)
        events = registry.read_events()
    except GamesalesError as error:
        return {}, f"The registry can't be read, so this page does not say why the version was live: {error.message}."
    registered = _find_registration(events, report)
    if registered is None:
        return (
            {},
            f"The registry {registry.location} has no version {report.model_version} with the digest of this run.",
        )
    facts = {"Registered": _describe_event(registered)}
    live = _find_aliases(events, report)
    for alias, event in live.items():
        facts[f"@{alias} since"] = _describe_event(event)
    if not live:
        facts["Alias"] = "no alias named it when the run started; the run named it by its number, or as of a date"
    return facts, ""


def _find_registration(events: list[Event], report: RunReport) -> Event | None:
    for event in events:
        if event.kind == VERSION_REGISTERED and event.body["version"] == report.model_version:
            return event if event.body.get("digest") == report.bundle_sha256 else None
    return None


def _find_aliases(events: list[Event], report: RunReport) -> Mapping[str, Event]:
    """Find the aliases that named the version when the run started, and the events that set them."""
    # The report has whole seconds.
    started = format_time(datetime.fromisoformat(report.started).astimezone(UTC) + timedelta(seconds=1))
    live: dict[str, Event] = {}
    for event in events:
        if event.time >= started:
            break
        if event.kind == ALIAS_SET:
            live[event.body["alias"]] = event
        elif event.kind == ALIAS_DELETED:
            live.pop(event.body["alias"], None)
    return {alias: event for alias, event in live.items() if event.body["version"] == report.model_version}


def _describe_event(event: Event) -> str:
    evidence = event.body.get("evidence")
    forced = " (forced past the gate)" if isinstance(evidence, Mapping) and evidence.get("forced") else ""
    reason = f": {event.reason}" if event.reason else ""
    return f"{event.time[:10]} {event.time[11:16]} UTC, by {event.actor}{forced}{reason}"


def _list_commands(report: RunReport, location: str | Path) -> Mapping[str, str]:
    registry, day = str(location), report.run_date
    output = _find_output(report)
    commands = {"List the runs before and after": f"gamesales runs {shlex.quote(output)}"}
    if report.is_withheld:
        form = " --format delta" if "://" not in output and is_table(Path(output)) else ""
        commands["Publish this run as it is"] = (
            f"gamesales score --output {shlex.quote(output)}{form} --release {day} --reason TEXT"
        )
    commands["Show the version"] = format_command(f"show {report.model_version}", registry, report.model)
    commands["Show who promoted what"] = format_command("history --kind alias", registry, report.model)
    if report.drift is not None and report.drift.drifted and not report.is_withheld:
        commands["Go back to the previous champion"] = format_command("rollback --reason TEXT", registry, report.model)
        commands["Then score the date again"] = f"gamesales score --date {day}"
    return commands


def _find_output(report: RunReport) -> str:
    """Return the output of a run, as a command takes it: for a folder, that of all dates."""
    path = Path(report.output)
    is_date = path.name == f"run_date={report.run_date}" and not is_single_file(path)
    return str(path.parent) if is_date else report.output
