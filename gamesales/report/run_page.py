"""The page of a scoring run: what ran, with which version, what was rejected, and how the titles differ from training.

A scoring host makes the page, so it needs neither a template engine nor a plotting library. The page is made of the
report of the run, ``_run.json``, and of a few rows of its result. The same content gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

from gamesales.report.drift_sections import (
    describe_change,
    find_predictions,
    name_column,
    show_drift,
    show_outside,
    show_predictions,
)
from gamesales.report.format import format_count, format_money, format_signed_money, is_finite
from gamesales.report.html import (
    make_contents,
    make_document,
    make_facts,
    make_headline,
    make_key_numbers,
    make_section,
    make_warnings,
)
from gamesales.report.page import Document, KeyNumber
from gamesales.report.run_sections import (
    RunPage,
    format_part,
    show_explanations,
    show_inputs,
    show_rejects,
    show_titles,
    show_version,
    write_date,
)

# The sections, by the anchor of each: its question, and its subject in standard terms.
_SECTIONS = {
    "version": ("Which version ran, and why?", "Model version and promotion"),
    "predictions": ("Are the predictions as usual?", "Distribution of the predictions"),
    "titles": ("Which titles earn most and least?", "Highest and lowest predictions"),
    "explanations": ("Why are the highest predictions so high?", "Shapley values by column"),
    "rejects": ("What was rejected?", "Rejects by reason"),
    "drift": ("Do the titles differ from training?", "Drift by column"),
    "outside": ("Which titles are unlike the training titles?", "Outside the training range"),
    "inputs": ("What was read, and how long did it take?", "Inputs and timings"),
    "next": ("What to type next?", "Commands"),
}


def render_run_page(page: RunPage) -> str:
    """Render the page as one self-contained HTML document."""
    report = page.report
    contents = {
        "version": show_version(page),
        "predictions": show_predictions(report),
        "titles": show_titles(page),
        "explanations": show_explanations(report),
        "rejects": show_rejects(page),
        "drift": show_drift(report),
        "outside": show_outside(report),
        "inputs": show_inputs(report),
        "next": [make_facts(page.commands, is_code=True)],
    }
    sections = {anchor: make_section(anchor, _SECTIONS[anchor], parts) for anchor, parts in contents.items()}
    headline, is_alarming = _write_headline(report)
    return make_document(
        f"{report['model']}, run of {report['run_date']}",
        report["model"],
        f"run of {report['run_date']}",
        [
            make_headline(headline, is_alarming=is_alarming),
            make_warnings("Look at this", _list_warnings(report)),
            make_key_numbers(_build_key_numbers(report)),
            make_contents({anchor: _SECTIONS[anchor][0] for anchor, section in sections.items() if section}),
            *sections.values(),
        ],
    )


def _write_headline(report: Document) -> tuple[str, bool]:
    """Return the most important sentence, and whether a person should look."""
    day = write_date(report["run_date"])
    scored = f"{report['rows_scored']:,} of {format_count(report['rows_in'], 'title')} scored by version "
    text = f"{day}: {scored}{report['model_version']}"
    drifted = list(report["drift"]["drifted"]) if report["drift"] else []
    if report["is_withheld"]:
        return f"{text}, and withheld: {_join(drifted)} drifted. Nothing was published.", True
    if drifted:
        return f"{text}. {_join(drifted)} drifted.", True
    return f"{text}. No column drifted." if report["drift"] else f"{text}.", False


def _join(names: Sequence[str]) -> str:
    if len(names) > 3:
        return f"{', '.join(names[:2])} and {len(names) - 2} other columns"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _list_warnings(report: Document) -> list[str]:
    columns = report["drift"]["columns"] if report["drift"] else []
    changes = [
        f"{name_column(column)}: {change}."
        for column in columns
        if column["drifted"] and (change := describe_change(column))
    ]
    warnings = [f"{text[:1].upper()}{text[1:].rstrip('.')}." for text in report["warnings"]]
    duplicates = report["duplicate_ids"]
    if duplicates and duplicates["ids"]:
        ids, rows = format_count(duplicates["ids"], "duplicate id"), format_count(duplicates["rows"], "extra row")
        warnings.append(f"{ids} with {rows}: {', '.join(duplicates['examples'])}.")
    return [*changes, *warnings]


def _build_key_numbers(report: Document) -> list[KeyNumber]:
    rows, scored = report["rows_in"], report["rows_scored"]
    blank = f"; {format_count(report['rows_blank'], 'blank row')}" if report["rows_blank"] else ""
    outside = report["rows_outside_training_range"]
    cards = [
        ("Titles scored", f"{scored:,}", f"of {format_count(rows, 'row')}{blank}"),
        ("Rejected", f"{report['rows_rejected']:,}", f"{format_part(report['rows_rejected'], rows)} of the rows"),
        ("Outside the training range", f"{outside:,}", f"{format_part(outside, scored)} of the titles"),
    ]
    predictions = find_predictions(report)
    if predictions and is_finite(predictions["mean"]):
        mean, before = predictions["mean"], predictions["training_mean"]
        note = "not known in training"
        if is_finite(before):
            note = f"{format_signed_money(mean - before, [mean])} compared with training"
        cards.append(("Average prediction", format_money(mean), note))
    return cards
