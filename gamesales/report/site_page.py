"""The pages of a site: the list of models, and a page for each model.

The pages are made without a template engine, as the pages of runs are. The same content gives the same bytes: no page
has the time at which it was made.
"""

from __future__ import annotations

from collections.abc import Sequence

from gamesales.report.format import MISSING, format_count, format_minute, format_money, format_range
from gamesales.report.html import (
    Heading,
    make_contents,
    make_document,
    make_facts,
    make_headline,
    make_key_numbers,
    make_section,
    make_warnings,
    read_template,
)
from gamesales.report.page import KeyNumber
from gamesales.report.run_sections import format_part, write_date
from gamesales.report.site_data import Site, SiteModel, SiteRun
from gamesales.report.site_runs import show_errors, show_runs
from gamesales.report.site_sections import (
    collect_data,
    show_champion,
    show_comparison,
    show_versions,
)
from gamesales.report.site_table import Cell, SiteRow, make_site_table
from gamesales.stats.amounts import DOLLARS, amounts_in, keeps_unit, set_unit

# The sections of the page of a model, by the anchor of each: its question, and its subject in standard terms.
_SECTIONS = {
    "champion": ("Which version was live, and when?", "Champion timeline"),
    "versions": ("Which versions are there?", "Model versions"),
    "compare": ("How do two versions differ?", "Comparison"),
    "runs": ("How did the nights go?", "Rows, rejects and drift"),
    "errors": ("How wrong were the predictions?", "Backtest"),
    "next": ("What to type next?", "Commands"),
}


def render_index(site: Site) -> str:
    """Render the list of models."""
    rows = [_make_model(model) for model in site.models]
    headings: list[Heading] = [
        "Model",
        ("Champion", "average error, MAE"),
        ("Versions", "in use"),
        ("Last promotion", "UTC, by whom"),
        ("Last run", "state"),
        ("Rows", "rejected"),
        ("Drift", "columns"),
    ]
    runs = sum(len(model.runs) for model in site.models)
    versions = sum(len(model.versions) for model in site.models)
    counts = [format_count(len(site.models), "model"), format_count(versions, "version"), format_count(runs, "run")]
    return _make_document(
        "Models",
        f"registry {site.registry}",
        [
            make_headline(f"{', '.join(counts[:-1])} and {counts[-1]}.", is_alarming=False),
            make_warnings("Look at this", site.warnings),
            make_site_table("Models", "model", headings, rows),
        ],
    )


def _make_model(model: SiteModel) -> SiteRow:
    champion, change = model.champion, next((change for change in model.changes if change.alias == "champion"), None)
    evaluation = champion.evaluations.get(model.data_sha256 or "") if champion else None
    with amounts_in(evaluation.unit if evaluation else DOLLARS):
        error = format_money(evaluation.metrics.get("mae") if evaluation else None)
    in_use = sum(not version.retired for version in model.versions)
    run = _find_last_run(model)
    drifted = ", ".join(run.drifted) if run and run.drifted else "none" if run and run.drifted is not None else MISSING
    return SiteRow(
        [
            Cell(model.name, link=f"{model.name}/index.html"),
            Cell(f"version {champion.number}", error, order=champion.number) if champion else Cell(MISSING),
            Cell(f"{len(model.versions):,}", f"{in_use:,} in use", order=len(model.versions)),
            Cell(format_minute(change.time), f"by {change.actor}", order=change.time) if change else Cell(MISSING),
            Cell(run.date, run.state, run.page and f"{model.name}/{run.page}", run.date) if run else Cell(MISSING),
            Cell(f"{run.rows:,}", f"{run.rejected:,} rejected", order=run.rows) if run else Cell(MISSING),
            Cell(drifted, is_alarming=bool(run and run.drifted)),
        ]
    )


def _find_last_run(model: SiteModel) -> SiteRun | None:
    """Find the newest run that has numbers."""
    return next((run for run in model.runs if run.state != "incomplete"), None)


@keeps_unit
def render_model(model: SiteModel) -> str:
    """Render the page of a model."""
    set_unit(model.unit)
    contents = {
        "champion": show_champion(model) if model.versions else [],
        "versions": show_versions(model) if model.versions else [],
        "compare": show_comparison(model),
        "runs": show_runs(model) if model.runs else [],
        "errors": show_errors(model),
        "next": [make_facts(model.commands, is_code=True)],
    }
    sections = {anchor: make_section(anchor, _SECTIONS[anchor], parts) for anchor, parts in contents.items()}
    headline, is_alarming = _write_headline(model)
    as_of = f"as of event {model.events:,}, {format_minute(model.as_of)} UTC" if model.as_of else "not in the registry"
    return _make_document(
        model.name,
        as_of,
        [
            '<nav aria-label="Site"><a href="../index.html">All models</a></nav>',
            make_headline(headline, is_alarming=is_alarming),
            make_warnings("Look at this", model.warnings),
            make_key_numbers(_build_key_numbers(model)),
            make_contents({anchor: _SECTIONS[anchor][0] for anchor, section in sections.items() if section}),
            *sections.values(),
        ],
        collect_data(model),
    )


def _make_document(heading: str, subtitle: str, parts: Sequence[str], data: object = None) -> str:
    style, script = read_template("site.css"), read_template("site.js")
    title = f"{heading}, {subtitle}" if heading == "Models" else heading
    return make_document(title, heading, subtitle, parts, style=style, script=script, data=data)


def _write_headline(model: SiteModel) -> tuple[str, bool]:
    """Return the most important sentence, and whether a person should look."""
    champion, run = model.champion, _find_last_run(model)
    change = next((change for change in model.changes if change.alias == "champion"), None)
    if champion and change:
        text = f"Version {champion.number} has been the champion since {write_date(change.time[:10])}"
    else:
        text = f"{model.name} has no champion" if model.versions else f"{model.name} has runs, but no versions here"
    if run is None:
        return f"{text}.", False
    sentence = f"{text}. The run of {write_date(run.date)} scored {run.scored:,} of {format_count(run.rows, 'row')}"
    drifted = f"{', '.join(run.drifted)} drifted" if run.drifted else ""
    if run.state == "withheld":
        return f"{sentence}, and is withheld: {drifted or run.note}.", True
    return f"{sentence}{'; ' if drifted else ''}{drifted}.", bool(drifted)


def _build_key_numbers(model: SiteModel) -> list[KeyNumber]:
    cards = []
    champion = model.champion
    evaluation = champion.evaluations.get(model.data_sha256 or "") if champion else None
    if champion and evaluation:
        with amounts_in(evaluation.unit):
            interval = format_range(evaluation.intervals.get("mae", ()))
            error = format_money(evaluation.metrics.get("mae"))
        note = f"95% confidence interval: {interval}" if interval != MISSING else f"on {evaluation.data}"
        cards.append(("Champion's average error", error, note))
    in_use = sum(not version.retired for version in model.versions)
    if model.versions:
        cards.append(("Versions", f"{len(model.versions):,}", f"{in_use:,} in use"))
    complete = [run for run in model.runs if run.state != "incomplete"]
    if complete:
        rows, rejected = sum(run.rows for run in complete), sum(run.rejected for run in complete)
        cards.append(("Runs", f"{len(complete):,}", f"{rows:,} rows, {format_part(rejected, rows)} rejected"))
        drifted = sum(bool(run.drifted) for run in complete)
        cards.append(("Runs with drift", f"{drifted:,}", f"{format_part(drifted, len(complete))} of the runs"))
    return cards
