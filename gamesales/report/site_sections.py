"""The sections about the versions of a model on a site, each as a list of HTML elements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any

from gamesales.report.dot_plot import (
    Mark,
    Style,
    choose_date_ticks,
    choose_number_ticks,
    plot_dots,
    trace_steps,
    write_integer,
)
from gamesales.report.format import (
    MISSING,
    format_compact_money,
    format_count,
    format_fraction,
    format_minute,
    format_money,
    format_percent,
    format_range,
    format_scientific,
    is_finite,
)
from gamesales.report.html import Heading, make_note, make_plots, make_text
from gamesales.report.site_data import AliasChange, SiteEvaluation, SiteModel, SiteVersion
from gamesales.report.site_table import Cell, Filter, SiteRow, make_site_table
from gamesales.report.svg import Plot
from gamesales.report.version_comparison import list_metric_headings
from gamesales.stats.amounts import amounts_in, get_unit, label_amounts, record_unit

CHAMPION = "champion"
_METRICS = ("mae", "rmse", "mape_percent", "r2", "scaled_mse")
_PROMOTED, _ROLLED_BACK = Style("promoted"), Style("rolled back", "triangle", "alarm")
_OTHER, _CHAMPION, _FORMER = (
    Style("version"),
    Style("champion", "triangle", "alarm"),
    Style("former champion", "square"),
)


def show_champion(model: SiteModel) -> list[str]:
    """Show which versions were the champion, and who set each alias, when and why."""
    pages = {version.number: version.page for version in model.versions}
    aliases = sorted({change.alias for change in model.changes}, key=lambda alias: (alias != CHAMPION, alias))
    headings: list[Heading] = [
        ("When", "UTC"),
        "Change",
        ("For", "how long"),
        "By",
        "Why",
        ("Gate", "average errors compared"),
    ]
    rows = [_make_change(change, pages) for change in model.changes]
    row_filter = Filter("Alias", {alias: f"@{alias}" for alias in aliases})
    plots = [plot for plot in (_plot_champions(model), _plot_errors(model)) if plot]
    table = make_site_table("Changes of aliases", "change", headings, rows, row_filter)
    return [make_plots(plots), table or make_note("No version was promoted yet.")]


def _plot_champions(model: SiteModel) -> Plot | None:
    """Plot the number of the champion by date."""
    changes = [change for change in reversed(model.changes) if change.alias == CHAMPION and change.version]
    if not changes:
        return None
    marks = [
        Mark(_locate(change.time), change.version or 0, _ROLLED_BACK if change.is_rollback else _PROMOTED)
        for change in changes
    ]
    end = max(_locate(model.as_of), *(date.fromisoformat(run.date).toordinal() for run in model.runs if run.date), 0)
    path = trace_steps([(mark.place, mark.value) for mark in marks], end)
    ticks = choose_date_ticks(_read_day(changes[0].time), date.fromordinal(int(end)))
    rollbacks = sum(change.is_rollback for change in changes)
    back = f", {format_count(rollbacks, 'rollback')}" if rollbacks else ""
    caption = f"{format_count(len(changes), 'change')}{back}. The line is at the number of the version that was live."
    return plot_dots(
        "Champion over time", caption, "Version number", marks, ticks, write=write_integer, path=path, smallest_limit=3
    )


def _plot_errors(model: SiteModel) -> Plot | None:
    """Plot the average error of each version on the same file."""
    champions = {change.version for change in model.changes if change.alias == CHAMPION}
    marks = []
    for version in reversed(model.versions):
        evaluation = _find_evaluation(model, version)
        error = evaluation.metrics.get("mae") if evaluation else None
        if evaluation is None or not is_finite(error) or evaluation.unit != model.unit:
            continue
        bounds = evaluation.intervals.get("mae") or (None, None)
        style = _FORMER if version.number in champions else _OTHER
        marks.append(Mark(version.number, error, _CHAMPION if CHAMPION in version.aliases else style, *bounds))
    if not marks:
        return None
    ticks = choose_number_ticks(int(marks[0].place), int(marks[-1].place))
    caption = f"On {model.data}. Lower is better."
    vertical = label_amounts("Average error (MAE)")
    return plot_dots(
        "Error of each version", caption, vertical, marks, ticks, write=format_compact_money, horizontal="Version"
    )


def _locate(time: str) -> float:
    """Return the place of a time on a horizontal axis: the ordinal number of the day, and the part of the day."""
    moment = datetime.fromisoformat(time)
    return moment.toordinal() + (moment.hour * 60 + moment.minute) / 1440


def _read_day(time: str) -> date:
    return date.fromisoformat(time[:10])


def _make_change(change: AliasChange, pages: dict[int, str]) -> SiteRow:
    name = "" if change.alias == CHAMPION else f"@{change.alias}: "
    before = "" if change.previous is None else f"was version {change.previous}"
    if change.version is None:
        text = f"{name}deleted"
    else:
        verb = "rolled back to" if change.is_rollback else "set to" if name else "promoted"
        text = f"{name}{verb} version {change.version}"
    forced = "forced past the gate" if change.is_forced else ""
    seconds = _count_seconds(change)
    return SiteRow(
        [
            Cell(format_minute(change.time), order=change.time),
            Cell(
                text,
                ", ".join(filter(None, [before, forced])),
                pages.get(change.version or 0, ""),
                change.version or 0,
                is_alarming=change.is_rollback or change.is_forced,
                is_text=True,
            ),
            Cell(_format_span(change, seconds), order=seconds),
            Cell(change.actor, is_text=True),
            Cell(change.reason or MISSING, is_text=True),
            Cell(change.evidence or MISSING, is_text=True),
        ],
        [change.alias],
    )


def _count_seconds(change: AliasChange) -> float | None:
    """Return for how long an alias named a version; None if it still does, or if it was deleted."""
    if not change.until or change.version is None:
        return None
    return (datetime.fromisoformat(change.until) - datetime.fromisoformat(change.time)).total_seconds()


def _format_span(change: AliasChange, seconds: float | None) -> str:
    if seconds is None:
        return MISSING if change.version is None else "since then"
    for size, noun in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            return format_count(int(seconds // size), noun)
    return format_count(int(seconds), "second")


def show_versions(model: SiteModel) -> list[str]:
    """Show all versions with their metrics on the same file."""
    headings: list[Heading] = ["Version", "State", *list_metric_headings(), ("Registered", "UTC"), "By", "Why"]
    evaluations = {version.number: _find_evaluation(model, version) for version in model.versions}
    writers = {key: _choose_writer(key, list(evaluations.values())) for key in _METRICS}
    champion = model.champion
    rows = []
    for version in model.versions:
        evaluation = evaluations[version.number]
        cells = [_make_metric(evaluation, key, writers[key]) for key in _METRICS]
        states = [*version.aliases, "retired" if version.retired else "in-use"]
        rows.append(
            SiteRow(
                [
                    Cell(f"version {version.number}", link=version.page, order=version.number),
                    Cell(*_describe_state(version), is_alarming=bool(version.note), is_text=True),
                    *cells,
                    Cell(format_minute(version.registered), order=version.registered),
                    Cell(version.actor, is_text=True),
                    Cell(version.reason or MISSING, is_text=True),
                ],
                states,
                _link_comparison(version, champion),
            )
        )
    aliases = sorted({alias for version in model.versions for alias in version.aliases})
    choices = {"in-use": "in use", **{alias: f"@{alias}" for alias in aliases}, "retired": "retired"}
    table = make_site_table("Versions", "version", headings, rows, Filter("State", choices))
    where = (
        f"Metrics are on {model.data}. Below the average error is its 95% confidence interval. A dash: not evaluated "
        "there."
    )
    return [table, make_note(where if model.data else "No version was evaluated on a holdout.")]


def _link_comparison(version: SiteVersion, champion: SiteVersion | None) -> str | None:
    """Return the link that compares a version with the champion."""
    if champion is None:
        return None
    is_comparable = version is not champion and bool(version.settings or version.evaluations)
    return f"#compare={champion.number},{version.number}" if is_comparable else ""


def _find_evaluation(model: SiteModel, version: SiteVersion) -> SiteEvaluation | None:
    return version.evaluations.get(model.data_sha256 or "")


def _describe_state(version: SiteVersion) -> tuple[str, str]:
    """Return the state of a version, and a note."""
    state = ", ".join(version.aliases) or ("retired" if version.retired else "in use")
    return state, version.note or version.retired[:10]


def _choose_writer(key: str, evaluations: Sequence[SiteEvaluation | None]) -> Callable[[float | None], str]:
    """Return how the values of a metric are written: all of one unit with the same precision."""
    evaluated = list(filter(None, evaluations))
    values = [(abs(value), item.unit) for item in evaluated if is_finite(value := item.metrics.get(key))]
    sizes = [size for size, _ in values]
    if key in ("mae", "rmse"):
        return lambda value: format_money(value, [size for size, unit in values if unit == get_unit()])
    if key == "mape_percent":
        return lambda value: format_percent(value, [min(sizes, default=0.0)])
    return format_fraction if key == "r2" else format_scientific


def _make_metric(evaluation: SiteEvaluation | None, key: str, write: Callable[[float | None], str]) -> Cell:
    value = evaluation.metrics.get(key) if evaluation else None
    if evaluation is None or not is_finite(value):
        return Cell(MISSING)
    bounds = evaluation.intervals.get(key, ()) if key == "mae" else ()
    with amounts_in(evaluation.unit):
        return Cell(write(value), format_range(bounds) if bounds else "", order=value)


def show_comparison(model: SiteModel) -> list[str]:
    """Show the place where the script compares two versions, and the command for readers without it."""
    if len([version for version in model.versions if version.settings or version.evaluations]) < 2:
        return []
    command = model.commands.get("Compare two versions", "gamesales compare A B")
    form = (
        '<form class="controls" id="pair" hidden>'
        '<span><label for="first">Version</label> <select id="first" autocomplete="off"></select></span> '
        '<span><label for="second">compared with version</label> <select id="second" autocomplete="off"></select>'
        "</span></form>"
    )
    return [
        f'<p class="note unscripted">Without scripts, type {make_text(command)} instead.</p>',
        form,
        '<p class="answer" id="answer" role="status"></p>\n<div id="comparison"></div>',
    ]


def collect_data(model: SiteModel) -> dict[str, Any]:
    """Collect what the script compares: the metrics and the settings of all versions, equal settings only once."""
    files: dict[str, tuple[str, int]] = {}
    parts: dict[str, int] = {}
    sections: list[dict[str, Any]] = []
    versions = []
    for version in model.versions:
        metrics = []
        for sha256, evaluation in version.evaluations.items():
            files.setdefault(sha256, (evaluation.data, evaluation.rows))
            metrics.append(
                {
                    "file": list(files).index(sha256),
                    "values": [evaluation.metrics.get(key) for key in _METRICS],
                    "intervals": {key: list(bounds) for key, bounds in evaluation.intervals.items() if key in _METRICS},
                    **record_unit(evaluation.unit),
                }
            )
        settings = {}
        for name, values in version.settings.items():
            identity = repr(values)
            if identity not in parts:
                parts[identity] = len(sections)
                sections.append(dict(values))
            settings[name] = parts[identity]
        if metrics or settings:
            versions.append(
                {"number": version.number, "aliases": list(version.aliases), "metrics": metrics, "settings": settings}
            )
    headings = dict(zip(_METRICS, list_metric_headings(), strict=True))
    return {
        "metrics": [{"key": key, "heading": heading, "term": term} for key, (heading, term) in headings.items()],
        "files": [{"data": data, "rows": rows} for data, rows in files.values()],
        "sections": sections,
        "versions": versions,
    }
