"""The page that a person reads before promoting a version.

A page is one HTML file without scripts, fonts or pictures from elsewhere. It answers in this order: is the version
better than the champion and the baselines, and by how much; what are the warnings; what kind of errors does it make;
what was it made from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.report.format import (
    format_count,
    format_fraction,
    format_money,
    format_percent,
    format_range,
    format_scientific,
    format_signed_money,
    is_finite,
)
from gamesales.report.headline import Metrics, describe_comparison, label_champion, write_headline
from gamesales.report.page import Document, KeyNumber, render_template
from gamesales.report.plots import (
    IntervalBand,
    plot_errors,
    plot_errors_by_prediction,
    plot_errors_percent,
    plot_loss,
    plot_predictions,
)
from gamesales.report.svg import Plot
from gamesales.report.version_sections import build_evaluation_section
from gamesales.stats.clustered import MIN_TITLES
from gamesales.stats.metrics import METRICS

# The metrics of the comparison, with a plain-language heading and the way to write them.
_COLUMNS = {
    "mae": ("Average error", format_money),
    "rmse": ("Root mean squared error", format_money),
    "mape_percent": ("Average error in percent", format_percent),
    "r2": ("Variance explained", format_fraction),
    "scaled_mse": ("Training objective", format_scientific),
}
# The recorded average error may differ by this share from the average error of the predictions on the page.
_ROUNDING = 0.005
# The warning about a loss that is not finite.
DIVERGED = "The loss became infinite or not a number during training."
# 97.5% point of the normal distribution, for a two-sided 95% interval.
_Z = 1.96


@dataclass(frozen=True)
class VersionPage:
    """Everything that the page shows, as plain data: the page knows neither Keras nor the registry.

    Attributes:
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

    Raises:
        ValueError: ``actual`` and ``predicted`` are not of the same length.
    """

    model: str
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
    actual, predicted = _select_finite(page)
    metrics = _add_champion(page)
    headline, is_better = write_headline(titles, metrics, page.gate)
    return render_template(
        "version.html.j2",
        page=page,
        model=page.model,
        trained_at=_format_time(page.trained_at),
        headline=headline,
        is_alarming=is_better is False,
        warnings=list(dict.fromkeys([*page.warnings, *_find_warnings(page, np.abs(predicted - actual))])),
        key_numbers=_build_key_numbers(
            actual, predicted, evaluation["holdout"]["intervals"]["mae"] if evaluation else None
        ),
        metric_headings=[(heading, METRICS[key].heading.replace("R2", "R²")) for key, (heading, _) in _COLUMNS.items()],
        metric_rows=_build_metric_rows(metrics),
        champion_note=describe_comparison(page.gate) if page.gate else "",
        error_plots=_plot_errors(page, actual, predicted),
        loss_plot=plot_loss(page.loss, page.validation_loss),
        section=build_evaluation_section(evaluation, next(iter(page.metrics.values()))) if evaluation else None,
        test_titles=format_count(titles, "test title"),
    )


def _select_finite(page: VersionPage) -> tuple[FloatArray, FloatArray]:
    """Select the titles with finite earnings and a finite prediction; float64 (m,) each."""
    actual = np.asarray(page.actual, np.float64)
    predicted = np.asarray(page.predicted, np.float64)
    finite = np.isfinite(actual) & np.isfinite(predicted)
    return actual[finite], predicted[finite]


def _format_time(text: str) -> str:
    """Write ``2026-11-24T02:00:00Z`` as ``November 24, 2026, 02:00 UTC``; return other texts unchanged."""
    try:
        time = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z")
    except ValueError:
        return text
    return f"{time:%B} {time.day}, {time:%Y, %H:%M} UTC"


def _add_champion(page: VersionPage) -> Metrics:
    """Return the metrics of the version, of the champion and of the baselines, in this order."""
    if not page.gate or page.gate["champion"] is None or page.gate["metrics"] is None:
        return page.metrics
    (name, version), *baselines = page.metrics.items()
    return {name: version, label_champion(page.gate): page.gate["metrics"], **dict(baselines)}


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
        ("Average error", format_money(float(sizes.mean())), confidence),
        ("90% of errors are within", format_money(most), f"half are within {format_money(half)}"),
        ("Largest error", format_money(float(sizes[worst])), extremes),
        ("Bias", format_signed_money(bias), f"predictions are {direction} on average"),
    ]


def _approximate_interval(sizes: FloatArray) -> Sequence[float] | None:
    """Return the 95% confidence interval of the mean by the normal approximation; None: too few titles."""
    if sizes.size < MIN_TITLES:
        return None
    mean, margin = float(sizes.mean()), _Z * float(sizes.std(ddof=1)) / math.sqrt(sizes.size)
    return max(mean - margin, 0.0), mean + margin


def _build_metric_rows(metrics: Metrics) -> list[tuple[str, float, list[tuple[str, bool]]]]:
    """Compare the version with the baselines.

    Returns:
        For each model its name, its average error in percent of the largest one, and its cells. A cell is a text and
        whether no other model has a better value. Values with the same text are equally good.
    """
    best = {key: _find_best(metrics, key) for key in _COLUMNS}
    largest = max((mae for values in metrics.values() if is_finite(mae := values.get("mae"))), default=0.0)
    rows = []
    for model, values in metrics.items():
        texts = {key: write(values.get(key)) for key, (_, write) in _COLUMNS.items()}
        mae = values.get("mae")
        percent = round(100 * mae / largest, 1) if is_finite(mae) and largest > 0 else 0.0
        rows.append((model, percent, [(text, text == best[key]) for key, text in texts.items()]))
    return rows


def _find_best(metrics: Metrics, key: str) -> str | None:
    values = [value for model in metrics.values() if is_finite(value := model.get(key))]
    if not values:
        return None
    _, write = _COLUMNS[key]
    return write(max(values) if METRICS[key].higher_is_better else min(values))


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
