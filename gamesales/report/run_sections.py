"""The sections of a run's page, each as a list of HTML elements, and the data that they show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from gamesales.report.format import (
    MISSING,
    format_count,
    format_money,
    format_range,
    format_share,
    format_signed_money,
)
from gamesales.report.html import make_facts, make_note, make_plots, make_table
from gamesales.report.page import Document, TableRow
from gamesales.report.waterfall import plot_waterfall

# Inputs that the page lists.
_MOST_INPUTS = 20


@dataclass(frozen=True)
class PredictedTitle:
    """A title with its prediction.

    Attributes:
        label: what identifies the title, or its row.
        low: the lower bound of the prediction interval; None: there is none.
        high: the upper bound.
        is_outside: whether a feature is outside its range in training.
    """

    label: str
    predicted: float
    low: float | None
    high: float | None
    is_outside: bool


@dataclass(frozen=True)
class RejectGroup:
    """The rejected rows with the same reason, with the place and the value of the first rows."""

    reason: str
    rows: int
    samples: Sequence[str]


@dataclass(frozen=True)
class RunPage:
    """Everything that the page shows, as plain data: the page knows neither the result nor the registry.

    Attributes:
        report: the content of ``_run.json``, as ``gamesales score --json`` prints it.
        version: label -> value: why the version was live.
        version_note: why the registry says nothing about the version; empty if it does.
        highest: the titles with the highest predictions, highest first.
        lowest: the titles with the lowest predictions, lowest first.
        rejects: the rejects by reason, most rows first.
        commands: text -> command to type next.
    """

    report: Document
    version: Mapping[str, str] = field(default_factory=dict)
    version_note: str = ""
    highest: Sequence[PredictedTitle] = ()
    lowest: Sequence[PredictedTitle] = ()
    rejects: Sequence[RejectGroup] = ()
    commands: Mapping[str, str] = field(default_factory=dict)


def show_version(page: RunPage) -> list[str]:
    """Show which version ran, and why it was live."""
    report = page.report
    facts = {"Version": f"version {report['model_version']} of {report['model']}", **page.version}
    if report["release"]:
        release = report["release"]
        facts["Released by"] = f"{release['actor']}, {_write_time(release['time'])}: {release['reason']}"
    facts["Digest of its bundle"] = report["bundle_sha256"]
    return [make_facts(facts), make_note(page.version_note), *_show_shadow(report["shadow"])]


def _show_shadow(shadow: Document | None) -> list[str]:
    """Compare the predictions of the shadow version, if there is one."""
    if not shadow or "mean_difference" not in shadow:
        return []
    mean, absolute = shadow["mean_difference"], shadow["mean_absolute_difference"]
    return [
        make_note(
            f"Shadow: version {shadow['model_version']} scored the same titles. Its predictions differ by "
            f"{format_signed_money(mean)} on average, and by {format_money(absolute)} in absolute terms."
        )
    ]


def show_titles(page: RunPage) -> list[str]:
    """Show the titles with the highest and the lowest predictions."""
    has_intervals = any(title.low is not None for title in [*page.highest, *page.lowest])
    headings = ["Predicted earnings", *(["Prediction interval"] if has_intervals else []), "Training range"]
    return [
        make_table(heading, [heading, *headings], [_build_title_row(title, has_intervals) for title in titles])
        for heading, titles in (("Highest predictions", page.highest), ("Lowest predictions", page.lowest))
    ]


def _build_title_row(title: PredictedTitle, has_intervals: bool) -> TableRow:
    interval = [format_range((title.low, title.high))] if has_intervals else []
    return TableRow(
        title.label, (format_money(title.predicted), *interval, "outside" if title.is_outside else "within")
    )


def show_explanations(report: Document) -> list[str]:
    """Show how the columns of the titles with the highest predictions lead to these predictions."""
    titles = report["explanations"] or ()
    plots = [
        plot_waterfall(f"{rank}. {_name_title(title)}", title["explanation"]) for rank, title in enumerate(titles, 1)
    ]
    note = (
        "Each title starts at the mean prediction for the reference titles, which represent the training titles. A "
        "filled arrow to the right raises the prediction, an outlined arrow to the left lowers it (Shapley values). An "
        "effect describes the version. It is no promise that another value earns more."
    )
    return [make_plots(plots), make_note(note)] if plots else []


def _name_title(title: Document) -> str:
    return ", ".join(filter(None, title["labels"].values())) or f"row {title['row']:,}"


def show_rejects(page: RunPage) -> list[str]:
    """Show the rejects by reason."""
    report = page.report
    if not report["rows_rejected"]:
        return [make_note("No row was rejected.")]
    rows = [
        TableRow(
            group.reason, (f"{group.rows:,}", format_part(group.rows, report["rows_in"])), "; ".join(group.samples)
        )
        for group in page.rejects
    ]
    table = make_table(
        "Rejects by reason", [("Reason", "with the first rows"), "Rows", "Share of the rows"], rows, "plain titles"
    )
    place = f"All rejected rows, with their records: {report['rejects']}." if report["rejects"] else ""
    return [table, make_note(place)]


def show_inputs(report: Document) -> list[str]:
    """Show what was read, and how long it took."""
    rows = [
        TableRow(
            source["name"],
            (f"{source['rows']:,}", f"{source['rejected']:,}", f"{source['size']:,}", source["sha256"][:12]),
        )
        for source in report["inputs"][:_MOST_INPUTS]
    ]
    left_out = len(report["inputs"]) - len(rows)
    seconds = report["seconds"]
    speed = f", {report['rows_in'] / seconds:,.0f} rows per second" if seconds else ""
    resumed = f", {report['shards_resumed']} of them resumed" if report["shards_resumed"] else ""
    facts = {
        "Started": _write_time(report["started"]),
        "Took": f"{seconds:,.2f} s{speed}",
        "Pieces of work (shards)": f"{report['shards']:,}{resumed}",
        "Result": report["output"],
        "Run id": report["run_id"],
    }
    return [
        make_table("Inputs", ["Input", "Rows", "Rejected", "Bytes", "SHA-256"], rows),
        make_note(f"And {format_count(left_out, 'input')} more, which _run.json lists." if left_out else ""),
        make_facts(facts),
    ]


def write_date(text: str) -> str:
    """Write ``2026-11-24`` as ``November 24, 2026``."""
    day = date.fromisoformat(text)
    return f"{day:%B} {day.day}, {day.year}"


def _write_time(text: str) -> str:
    """Write a time in UTC as ``November 24, 2026, 02:00 UTC``; return other texts unchanged."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{write_date(f'{time:%Y-%m-%d}')}, {time:%H:%M} UTC"


def format_part(part: int, whole: int) -> str:
    """Write a part of a whole as a percentage, or that there is none."""
    return format_share(part / whole) if whole and part else "none" if whole else MISSING
