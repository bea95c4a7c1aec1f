"""The page of a backtest: the metrics of past predictions by date, month and version.

It shows the document that ``gamesales backtest --json`` prints, and plots a sample of the predictions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.report.format import (
    format_compact_money,
    format_count,
    format_fraction,
    format_money,
    format_percent,
    format_range,
    format_share,
    format_signed_money,
    is_finite,
)
from gamesales.report.page import Document, TableRow, render_template
from gamesales.report.plots import plot_predictions
from gamesales.report.run_sections import write_date
from gamesales.report.svg import DASHED, PALETTE, Plot, format_axis, open_axes, render_svg
from gamesales.stats.amounts import label_amounts

# Actual earnings and predictions of some titles: float64 (n,) each, finite.
PredictionPairs = tuple[FloatArray, FloatArray]

_HEADINGS = [
    "Predictions",
    "Average error",
    "95% confidence interval",
    "RMSE",
    "Bias",
    "MAPE",
    "R²",
    "Coverage",
    "Outside training range",
]
_BAND = "The band is the 95% confidence interval."


def render_backtest_page(backtest: Document, samples: Sequence[PredictionPairs]) -> str:
    """Render the page as one self-contained HTML document; the same backtest gives the same bytes.

    Args:
        backtest: the document of ``gamesales backtest --json``.
        samples: some of the predictions of each version.
    """
    versions = backtest["versions"]
    newest = max(versions, key=lambda version: (version["last_date"], version["version"]))
    return render_template(
        "backtest.html.j2",
        backtest=backtest,
        model=backtest["model"],
        headline=_write_headline(newest),
        is_alarming=any(map(_is_alarming, versions)),
        headings=_HEADINGS,
        version_rows=_build_rows({f"Version {version['version']}": version["error_metrics"] for version in versions}),
        month_rows=_build_rows(
            {f"{month['month']}, version {month['version']}": month["error_metrics"] for month in backtest["months"]}
        ),
        plots=[*_plot_metrics(backtest), *_plot_samples(versions, samples)],
        facts=_list_facts(backtest),
        warnings=_list_warnings(backtest),
    )


def _write_headline(version: Document) -> str:
    """Return the most important sentence on a version: the comparison of its newest dates with its holdout."""
    sentences = version["verdict"]
    sentence = sentences[1 if len(sentences) > 1 else 0]
    sentence = re.sub(r"\d{4}-\d\d-\d\d", lambda day: write_date(day[0]), sentence)  # a line may end after a hyphen
    return f"Version {version['version']}: {sentence[0].lower()}{sentence[1:]}"


def _is_alarming(version: Document) -> bool:
    changes = (version["against_holdout"], version["error_shift"])
    return any(change is not None and change["change"] == "up" for change in changes)


def _build_rows(metrics_by_label: Mapping[str, Document]) -> list[TableRow]:
    """Build the rows of a table. The values of a column have the same precision."""
    columns = {
        key: [metrics[key] for metrics in metrics_by_label.values()] for key in ("mae", "rmse", "bias", "mape_percent")
    }
    return [
        TableRow(
            label,
            (
                f"{metrics['rows']:,}",
                format_money(metrics["mae"], columns["mae"]),
                format_range((metrics["mae_low"], metrics["mae_high"])),
                format_money(metrics["rmse"], columns["rmse"]),
                format_signed_money(metrics["bias"], columns["bias"]),
                format_percent(metrics["mape_percent"], columns["mape_percent"]),
                format_fraction(metrics["r2"]),
                format_share(metrics["coverage"]),
                format_share(metrics["outside_share"]),
            ),
        )
        for label, metrics in metrics_by_label.items()
    ]


def _list_facts(backtest: Document) -> dict[str, str]:
    dates, rows = format_count(len(backtest["dates"]), "date"), format_count(backtest["rows"], "row")
    titles, digest = format_count(backtest["actuals_rows"], "title"), backtest["actuals_sha256"][:12]
    facts = {
        "Predictions": f"{backtest['predictions']}, {dates}, {rows}",
        "Actual earnings": f"{backtest['actuals']}, {titles}, sha256 {digest}",
        "Matched": f"{format_count(backtest['matched'], 'prediction')}; {backtest['waiting']:,} without earnings yet",
        "Never predicted": f"{format_count(backtest['actuals_never_predicted'], 'title')} with earnings",
    }
    for version in backtest["versions"]:
        refused = f": {version['refused']}" if version["refused"] else ""
        facts[f"Version {version['version']}"] = (
            f"digest {version['digest'][:12]}, {version['first_date']} to {version['last_date']}; "
            f"evidence {version['evidence']}{refused}"
        )
    return facts


def _list_warnings(backtest: Document) -> list[str]:
    """Describe skipped predictions, skipped earnings and duplicates."""
    warnings = [f"{skipped['place']} was skipped: {_end(skipped['reason'])}" for skipped in backtest["skipped_dates"]]
    if backtest["skipped_actuals"]:
        rows, reasons = format_count(backtest["skipped_actuals"], "row"), "; ".join(backtest["actuals_reasons"])
        warnings.append(f"Skipped {rows} of {backtest['actuals']}: {reasons}.")
    if backtest["without_id"]:
        warnings.append(f"Skipped {format_count(backtest['without_id'], 'prediction')} without an id.")
    for day in backtest["dates"]:
        if day["duplicate_titles"]:
            titles = format_count(day["duplicate_titles"], "title")
            warnings.append(f"{day['date']}: {titles} with duplicate predictions. Every prediction is counted.")
    return warnings


def _end(sentence: str) -> str:
    """End a sentence, unless it ends with a command to complete."""
    return sentence if sentence.endswith("…") else f"{sentence}."


def _plot_metrics(backtest: Document) -> list[Plot]:
    """Plot error, bias and coverage by date, for dates that have predictions with earnings."""
    error, bias, coverage = (
        [series for version in backtest["versions"] if (series := _collect_series(backtest, version, metric))]
        for metric in ("mae", "bias", "coverage")
    )
    if not error:
        return []
    dashed = " Dashed: error on the holdout." if any(series.reference is not None for series in error) else ""
    caption = f"Above 0 predictions are too high. {_BAND}"
    plots = [
        _plot_over_time(
            "error", "Average error by date", _BAND + dashed, label_amounts("Average error"), error, starts_at_zero=True
        ),
        _plot_over_time(
            "bias", "Bias by date", caption, label_amounts("Mean of predicted minus actual"), bias, has_zero_line=True
        ),
    ]
    if coverage:
        dashed = " Dashed: target coverage." if any(series.reference is not None for series in coverage) else ""
        caption = f"Share of titles within their prediction interval. {_BAND}{dashed}"
        plots.append(
            _plot_over_time("coverage", "Coverage by date", caption, "Share of titles", coverage, _format_compact_share)
        )
    return plots


def _format_compact_share(share: float) -> str:
    return f"{100 * share:g}%"


def _plot_samples(versions: Sequence[Document], samples: Sequence[PredictionPairs]) -> list[Plot]:
    plots = []
    for version, (actual, predicted) in zip(versions, samples, strict=True):
        rows = version["error_metrics"]["rows"]
        sampled = f" {len(actual):,} of {rows:,}, sampled at random." if len(actual) < rows else ""
        caption = f"Each dot is one prediction.{sampled} On the dashed line a prediction is exactly right."
        if len(actual):
            plot = plot_predictions(actual, predicted, f"version {version['version']}")
            plots.append(replace(plot, caption=caption))
    return plots


# Further versions reuse these colors and differ by their markers.
_COLORS = ("accent", "second", "ink", "muted")
_MARKERS = ("o", "s", "^", "D", "v")
# Markers of more dates would touch.
_MAX_MARKERS = 60


@dataclass(frozen=True)
class _Series:
    """A metric of one version on d dates.

    Attributes:
        values: float64 (d,).
        low: lower ends of the confidence intervals, float64 (d,), NaN where there is none.
        high: upper ends, likewise.
        reference: the expected value, drawn dashed; None: there is none.
    """

    label: str
    dates: Sequence[date]
    values: FloatArray
    low: FloatArray
    high: FloatArray
    reference: float | None = None


def _collect_series(backtest: Document, version: Document, metric: str) -> _Series | None:
    """Collect a version's metric by date; None if no date has it."""
    keys = [metric, f"{metric}_low", f"{metric}_high"]
    days = [
        day
        for day in backtest["dates"]
        if day["digest"] == version["digest"] and is_finite(day["error_metrics"][metric])
    ]
    if not days:
        return None
    values, low, high = (
        np.array([np.nan if day["error_metrics"][key] is None else day["error_metrics"][key] for day in days])
        for key in keys
    )
    references = {"mae": (version["holdout"] or {}).get("mae"), "coverage": version["target_coverage"]}
    dates = [date.fromisoformat(day["date"]) for day in days]
    return _Series(f"version {version['version']}", dates, values, low, high, references.get(metric))


def _plot_over_time(
    name: str,
    heading: str,
    caption: str,
    vertical: str,
    series: Sequence[_Series],
    format_value: Callable[[float], str] = format_compact_money,
    *,
    has_zero_line: bool = False,
    starts_at_zero: bool = False,
) -> Plot:
    """Plot a metric by date, a line for each version. ``name`` and ``vertical`` are those of ``open_axes``."""
    from matplotlib import dates

    time_axis: Any = dates  # its functions carry no types

    every_day = [time_axis.date2num(day) for version in series for day in version.dates]
    margin = max(0.4, 0.02 * (max(every_day) - min(every_day)))  # a version may have a single date
    with open_axes(name, vertical, "") as (figure, axes):
        if has_zero_line:
            axes.axhline(0, **DASHED)
        for index, version in enumerate(series):
            color = PALETTE[_COLORS[index % len(_COLORS)]]
            days = np.asarray(time_axis.date2num(list(version.dates)), np.float64)
            marker = _MARKERS[index % len(_MARKERS)] if len(days) <= _MAX_MARKERS else ""
            if len(days) > 1:
                axes.fill_between(days, version.low, version.high, color=color, alpha=0.14, lw=0)
            else:
                axes.vlines(days, version.low, version.high, color=color, alpha=0.3, lw=3)
            axes.plot(days, version.values, lw=1.5, marker=marker, ms=3.5, color=color, label=version.label)
            if version.reference is not None:
                ends = [days[0] - margin, days[-1] + margin]
                axes.plot(ends, [version.reference] * 2, color=color, lw=0.9, ls=(0, (4, 3)))
        locator = time_axis.AutoDateLocator(minticks=2, maxticks=6)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(time_axis.ConciseDateFormatter(locator))
        format_axis(axes.yaxis, format_value)
        if starts_at_zero:
            axes.set_ylim(bottom=0)
        if len(series) > 1:  # below the plot, where the legend hides nothing
            figure.legend(
                loc="outside lower left", ncols=4, labelcolor=PALETTE["ink"], handlelength=1.4, columnspacing=1.2
            )
        svg = render_svg(figure)
    return Plot(heading, caption, svg)
