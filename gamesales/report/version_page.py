"""The page that a person reads before promoting a version.

A page is one HTML file without scripts, fonts or pictures from elsewhere. It answers in this order: is the version
better than the champion and the baselines, and by how much; what are the warnings; what kind of errors does it make;
what was it made from.

The page is a file of the version's bundle, so it never changes. Its comparison with the champion is as of the training.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from gamesales.arrays import BoolArray, FloatArray, IntArray
from gamesales.data.contract import Column
from gamesales.report.format import (
    format_count,
    format_money,
    format_range,
    format_signed_money,
    is_finite,
)
from gamesales.report.headline import Metrics, describe_comparison, label_champion, write_headline
from gamesales.report.largest_errors import build_largest_errors
from gamesales.report.page import Document, KeyNumber, TableRow, render_template
from gamesales.report.plots import (
    IntervalBand,
    plot_errors,
    plot_errors_by_prediction,
    plot_errors_percent,
    plot_loss,
    plot_predictions,
)
from gamesales.report.svg import Plot
from gamesales.report.version_comparison import (
    add_champion,
    build_champion_cards,
    build_metric_rows,
    list_metric_headings,
)
from gamesales.report.version_sections import build_evaluation_section
from gamesales.stats.clustered import MIN_TITLES

# The sections, by the anchor of each: its question, and its subject in standard terms.
_SECTIONS = {
    "comparison": ("Is it better?", "Metrics and baselines"),
    "stability": ("Was it luck?", "Cross-validation, other seeds and noise"),
    "errors": ("Where are the errors?", "Errors on the test titles"),
    "largest": ("Which titles are worst?", "Largest errors"),
    "groups": ("For which titles is it good?", "Error by group"),
    "features": ("Which features matter?", "Feature importance and partial dependence"),
    "notes": ("What else was noticed?", "Notes"),
    "origin": ("What is it made from?", "Data, network and training"),
    "next": ("What to type next?", "Commands"),
}
# The recorded average error may differ by this share from the average error of the predictions on the page.
_ROUNDING = 0.005
# The warning about a loss that is not finite.
DIVERGED = "The loss became infinite or not a number during training."
# The version's name among the models whose metrics are compared.
_THIS_VERSION = "this version"
# 97.5% point of the normal distribution, for a two-sided 95% interval.
_Z = 1.96


@dataclass(frozen=True)
class VersionPage:
    """Everything that the page shows, as plain data: the page knows neither Keras nor the registry.

    Attributes:
        version: the number of the version.
        trained_at: time in UTC, such as ``2026-11-24T02:00:00Z``.
        facts: label -> value: the inputs, and how the version was made.
        layers: the layers of the network, such as ``Dense(50, relu)``.
        metrics: may lack a metric, or have ``None`` or NaN for it.
        loss: scaled MSE of each epoch.
        validation_loss: the same on the validation share; empty if there was none.
        actual: float64 (n,), earnings of the test titles.
        predicted: float64 (n,), the version's predictions for the test titles.
        warnings: sentences to read before promoting.
        gate: the manifest's ``gate``, with the champion and what the gate would decide; None: the version was not
            compared.
        evaluation: the manifest's ``evaluation``; None: the version was not evaluated.
        band: the version's prediction intervals; None: it has none.
        rows: int64 (n,), the row numbers of the test titles in their file.
        features: float64 (n, k), the features of the test titles.
        columns: the k columns of ``features``.
        job: the job file of the training, as TOML.
        links: text -> address of other files, relative to the page.
        commands: text -> command to type next.

    Raises:
        ValueError: ``actual`` and ``predicted`` are not of the same length.
    """

    model: str
    version: int
    trained_at: str
    facts: Mapping[str, str]
    layers: Sequence[str]
    metrics: Metrics
    loss: Sequence[float]
    validation_loss: Sequence[float]
    actual: FloatArray
    predicted: FloatArray
    warnings: Sequence[str] = ()
    gate: Document | None = None
    evaluation: Document | None = None
    band: IntervalBand | None = None
    rows: IntArray = field(default_factory=lambda: np.empty(0, np.int64))
    features: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    columns: Sequence[Column] = ()
    job: str = ""
    links: Mapping[str, str] = field(default_factory=dict)
    commands: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        actual_shape, predicted_shape = np.shape(self.actual), np.shape(self.predicted)
        if len(actual_shape) != 1 or actual_shape != predicted_shape:
            raise ValueError(
                f"expected one prediction for each title, found predictions of shape {predicted_shape} for titles of "
                f"shape {actual_shape}"
            )


def render_version_page(page: VersionPage) -> str:
    """Render the page as one self-contained HTML document; the same page gives the same bytes."""
    titles, evaluation = page.actual.size, page.evaluation
    is_shown = _select_finite(page)
    actual, predicted = page.actual[is_shown], page.predicted[is_shown]
    metrics, intervals = add_champion(page.metrics, page.gate), _collect_intervals(page)
    headline, is_better = write_headline(titles, metrics, page.gate)
    metric_rows, metric_scale = build_metric_rows(metrics, intervals)
    section = build_evaluation_section(evaluation, next(iter(page.metrics.values()))) if evaluation else None
    champion_cards = build_champion_cards(page.version, page.gate, intervals)
    largest = _list_largest_errors(page, is_shown)
    error_plots = _plot_errors(page, actual, predicted)
    loss_plot = plot_loss(page.loss, page.validation_loss)
    shown = {
        "comparison": metric_rows,
        "stability": section,
        "errors": error_plots or loss_plot,
        "largest": largest,
        "groups": section,
        "features": section,
        "notes": section and section["notes"],
        "origin": True,
        "next": page.commands,
    }
    return render_template(
        "version.html.j2",
        page=page,
        model=page.model,
        sections={anchor: heading for anchor, heading in _SECTIONS.items() if shown[anchor]},
        trained_at=_format_time(page.trained_at),
        headline=headline,
        is_alarming=is_better is False,
        warnings=list(dict.fromkeys([*page.warnings, *_find_warnings(page, np.abs(predicted - actual))])),
        champion_cards=champion_cards,
        # The average error is in the first of the champion's cards.
        key_numbers=_build_key_numbers(actual, predicted, intervals.get(_THIS_VERSION))[1 if champion_cards else 0 :],
        metric_headings=list_metric_headings(),
        metric_rows=metric_rows,
        metric_scale=metric_scale,
        champion_note=describe_comparison(page.gate) if page.gate else "",
        error_plots=error_plots,
        loss_plot=loss_plot,
        largest=largest,
        interval_heading=f"{100 * page.band.coverage:g}% prediction interval" if page.band else "Prediction interval",
        section=section,
        test_titles=format_count(titles, "test title"),
    )


def _collect_intervals(page: VersionPage) -> dict[str, Sequence[float]]:
    """Return the confidence intervals of the average error of the version and of the champion, if they are known."""
    intervals = {}
    if page.evaluation:
        intervals[_THIS_VERSION] = page.evaluation["holdout"]["intervals"]["mae"]
    if page.gate and (champion := page.gate.get("intervals")):
        intervals[label_champion(page.gate)] = champion["mae"]
    return intervals


def _list_largest_errors(page: VersionPage, is_shown: BoolArray) -> list[TableRow]:
    if not page.rows.size:
        return []
    return build_largest_errors(
        page.rows[is_shown],
        page.features[is_shown],
        page.columns,
        page.actual[is_shown],
        page.predicted[is_shown],
        page.band,
    )


def _select_finite(page: VersionPage) -> BoolArray:
    """Mark the titles with finite earnings and a finite prediction; bool (n,)."""
    return np.asarray(np.isfinite(page.actual) & np.isfinite(page.predicted))


def _format_time(text: str) -> str:
    """Write ``2026-11-24T02:00:00Z`` as ``November 24, 2026, 02:00 UTC``; return other texts unchanged."""
    try:
        time = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z")
    except ValueError:
        return text
    return f"{time:%B} {time.day}, {time:%Y, %H:%M} UTC"


def _find_warnings(page: VersionPage, errors: FloatArray) -> list[str]:
    """Check the page's own data. ``errors`` are the absolute errors of the titles that can be shown, float64 (m,)."""
    titles, warnings = page.actual.size, []
    if errors.size < titles:
        warnings.append(
            f"{titles - errors.size:,} of {format_count(titles, 'test title')} without a finite prediction or finite "
            "earnings. The plots leave them out."
        )
    recorded = next(iter(page.metrics.values()), {}).get("mae")
    if is_finite(recorded) and errors.size and not math.isclose(recorded, float(errors.mean()), rel_tol=_ROUNDING):
        warnings.append(
            f"The recorded average error is {format_money(recorded)}, but the average error of the predictions on this "
            f"page is {format_money(float(errors.mean()))}."
        )
    if not all(map(is_finite, [*page.loss, *page.validation_loss])):
        warnings.append(DIVERGED)
    return warnings


def _build_key_numbers(
    actual: FloatArray, predicted: FloatArray, mae_interval: Sequence[float] | None
) -> list[KeyNumber]:
    """Summarize the errors in four numbers that need no statistics to be understood; none if there are no titles."""
    if not actual.size:
        return []
    errors = predicted - actual
    sizes = np.abs(errors)
    half, most = map(float, np.quantile(sizes, [0.5, 0.9]))
    worst = int(np.argmax(sizes))
    bias = float(errors.mean())
    direction = "too high" if bias > 0 else "too low" if bias < 0 else "neither too high nor too low"
    interval = mae_interval or _approximate_interval(sizes)
    confidence = (
        f"95% confidence interval: {format_range(interval)}" if interval else "too few titles for a confidence interval"
    )
    extremes = f"predicted {format_money(float(predicted[worst]))}, earned {format_money(float(actual[worst]))}"
    return [
        ("Average error (MAE)", format_money(float(sizes.mean())), confidence),
        ("90% of errors are within", format_money(most), f"half are within {format_money(half)}"),
        ("Largest error", format_money(float(sizes[worst])), extremes),
        ("Too high or too low (bias)", format_signed_money(bias), f"predictions are {direction} on average"),
    ]


def _approximate_interval(sizes: FloatArray) -> Sequence[float] | None:
    """Return the 95% confidence interval of the mean by the normal approximation; None: too few titles."""
    if sizes.size < MIN_TITLES:
        return None
    mean, margin = float(sizes.mean()), _Z * float(sizes.std(ddof=1)) / math.sqrt(sizes.size)
    return max(mean - margin, 0.0), mean + margin


def _plot_errors(page: VersionPage, actual: FloatArray, predicted: FloatArray) -> list[Plot]:
    """Plot the errors in every way for which there are titles."""
    if not actual.size:
        return []
    plots = [
        plot_predictions(actual, predicted, band=page.band),
        plot_errors_by_prediction(actual, predicted, page.band),
        plot_errors(predicted - actual),
    ]
    earned = actual > 0
    if earned.any():
        errors_percent = 100 * (predicted[earned] - actual[earned]) / actual[earned]
        plots.append(plot_errors_percent(errors_percent, int((~earned).sum())))
    return plots
