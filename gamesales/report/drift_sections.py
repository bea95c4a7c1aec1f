"""The sections of a run's page about the difference from training: predictions, drift by column, and ranges."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from gamesales.data.dates import format_date
from gamesales.report.format import MISSING, MISSING_CELL, format_count, format_money, format_share, is_finite
from gamesales.report.histogram import label_bins, plot_histograms, write_amount, write_number, write_price
from gamesales.report.html import make_note, make_plots, make_sentences, make_table
from gamesales.report.page import Document, TableRow
from gamesales.report.svg import Plot
from gamesales.stats.amounts import DOLLARS, get_unit, label_amounts

# Plots of columns, the most different from training first.
_MOST_PLOTS = 12
# Averages from here on are written without decimals.
_LARGE_MEAN = 1000
_NO_PLOTS = "The report of this run has no counts for plots, because an earlier release wrote it."


def show_predictions(report: Document) -> list[str]:
    """Show the distribution of the predictions, now and in training."""
    predictions = find_predictions(report)
    if predictions is None:
        return []
    return [make_plots([_plot_column(predictions)]) if predictions["counts"] else make_note(_NO_PLOTS)]


def show_drift(report: Document) -> list[str]:
    """Show how much each column differs from training."""
    drift = report["drift"]
    if not drift:
        return [make_note("An early release trained this version, without profiles of its training titles.")]
    rows = [
        TableRow(
            name_column(column),
            (f"{column['psi']:.3f}", f"{column['limit']:.3f}", _format_outside(column["share_outside"])),
            "; ".join(filter(None, ["drifted" if column["drifted"] else "", describe_change(column)])),
            is_marked=column["drifted"],
        )
        for column in drift["columns"]
    ]
    headings = [
        ("Column", "average before and now"),
        ("Difference from training", "PSI"),
        ("Limit", "largest PSI"),
        ("Outside the range", "share of the titles"),
    ]
    table = make_table("Drift by column", headings, rows, "plain grouped titles")
    note = (
        "The plots show the share of the titles in each range or with each value. The population stability index (PSI) "
        "compares these shares with training. A column has drifted if its index is above its limit, which allows for "
        "chance. Columns that differ most come first."
    )
    features = [column for column in drift["columns"] if not _is_prediction(column) and column["counts"]]
    plots = [_plot_column(column) for column in features[:_MOST_PLOTS]]
    left_out = len(features) - len(plots)
    more = f"No plots for {format_count(left_out, 'column')} that differ less." if left_out else ""
    return [table, make_note(note), make_plots(plots, is_uneven=True), make_note(more)]


def _format_outside(share: float | None) -> str:
    return MISSING if share is None else format_share(share) if share else "none"


def _plot_column(column: Document) -> Plot:
    """Plot a column of ``drift`` with its counts."""
    change, state = describe_change(column), "Drifted" if column["drifted"] else "Not drifted"
    index = f"{state}: PSI {column['psi']:.3f}, limit {column['limit']:.3f}."
    labels = _label_bins(column)
    caption = f"{change[:1].upper()}{change[1:]}. {index}" if change else index
    return plot_histograms(name_column(column), caption, labels, column["training_counts"], column["counts"])


def _label_bins(column: Document) -> list[str]:
    """Label the bins of a column: the values of a category, or ranges and missing cells."""
    if column.get("labels"):
        return list(column["labels"])
    if column.get("kind") == "date" and column["edges"]:
        dates = list(map(format_date, column["edges"]))
        labels = [f"before {dates[0]}", *(f"from {text}" for text in dates)]
    else:
        labels = label_bins(column["edges"], _choose_writer(column))
    return labels if len(labels) == len(column["counts"]) else [*labels, MISSING_CELL]


def _choose_writer(column: Document) -> Callable[[float], str]:
    """Choose how to write the edges of the bins of a column."""
    if _is_prediction(column):
        return write_amount if get_unit() == DOLLARS else partial(write_amount, sign="")
    return write_price if column.get("unit") == DOLLARS else write_number


def name_column(column: Document) -> str:
    """Name a column of ``drift`` for people."""
    return label_amounts("Predicted earnings") if _is_prediction(column) else str(column["column"])


def describe_change(column: Document) -> str:
    """Write the averages before and now without the name of the column; empty if one of them is missing."""
    name, means, unit = column["column"], [column["training_mean"], column["mean"]], column.get("unit", "")
    if column.get("kind") in ("category", "date") or not (unit or _is_prediction(column)):
        return str(column["change"]).removeprefix(f"{name}: ").replace(f"average {name}: ", "average ", 1)
    if not all(map(is_finite, means)):
        return _describe_missing(column)
    if _is_prediction(column):
        before, now = (format_money(mean, means) for mean in means)
    else:
        digits = 2 if max(map(abs, means)) < _LARGE_MEAN else 0
        start, end = ("$", "") if unit == DOLLARS else ("", f" {unit}")
        before, now = (f"{'−' if mean < 0 else ''}{start}{abs(mean):,.{digits}f}{end}" for mean in means)
    return "; ".join(filter(None, [f"average {before} in training, {now} tonight", _describe_missing(column)]))


def _describe_missing(column: Document) -> str:
    """Describe the share of missing cells, if it is not as in training."""
    before, now = column.get("training_share_missing"), column.get("share_missing")
    if before == now:
        return ""
    return f"missing: {format_share(before)} of titles in training, {format_share(now)} tonight"


def find_predictions(report: Document) -> Document | None:
    """Find the predictions among the columns of ``drift``; None for a version without profiles."""
    columns = report["drift"]["columns"] if report["drift"] else []
    return next((column for column in columns if _is_prediction(column)), None)


def _is_prediction(column: Document) -> bool:
    """Return whether a column of ``drift`` has the predictions: they have no range in training."""
    return column["share_outside"] is None


def show_outside(report: Document) -> list[str]:
    """Show the titles that are unlike the training titles."""
    rows = [
        TableRow(
            column["column"],
            (f"{column['rows']:,}", *_write_outside(column)),
            column["likely_cause"],
        )
        for column in report["outside_columns"]
    ]
    table = make_table("Outside the training range", ["Column", "Titles outside", "In this run", "In training"], rows)
    counts = (
        (report["rows_unfamiliar"], "unlike all training titles (flagged as unfamiliar)"),
        (report["rows_without_interval"], "without a prediction interval"),
        (report["rows_clipped"], "with a prediction that was moved into the allowed range (clipped)"),
    )
    sentences = [f"{format_count(count, 'title')} {text}." for count, text in counts if count]
    if not (rows or sentences):
        return [make_note("All titles are within the ranges of the training titles.")]
    return [table, make_sentences(sentences)]


def _write_outside(column: Document) -> tuple[str, str]:
    """Write the values of a column outside its range, and the values in training."""
    if column.get("kind") == "category":
        return "values that training did not have", MISSING
    write = _write_dates if column.get("kind") == "date" else _write_range
    return (
        write(column["minimum"], column["maximum"]),
        write(column["training_minimum"], column["training_maximum"]),
    )


def _write_dates(first: float, last: float) -> str:
    return format_date(first) if first == last else f"{format_date(first)} to {format_date(last)}"


def _write_range(low: float, high: float) -> str:
    return f"{low:,.6g}" if low == high else f"{low:,.6g} to {high:,.6g}"
