"""The page that a person reads before promoting a version.

A page is one HTML file without scripts, fonts or pictures from elsewhere. It answers in this order: is the version
better, and by how much; what are the warnings; what kind of errors does it make; what was it made from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.report.format import format_count, format_money, is_finite, write_headline
from gamesales.report.metric_table import COLUMNS, build_key_numbers, build_metric_rows
from gamesales.report.page import Document, render_template
from gamesales.report.plots import (
    IntervalBand,
    plot_errors,
    plot_errors_by_prediction,
    plot_errors_percent,
    plot_loss,
    plot_predictions,
)
from gamesales.report.svg import Plot
from gamesales.report.version_sections import EvaluationSection, build_evaluation_section

# The recorded average error may differ by this share from the average error of the predictions on the page.
_ROUNDING = 0.005


@dataclass(frozen=True)
class VersionPage:
    """Everything that the page shows, as plain data: the page knows neither Keras nor the registry.

    Attributes:
        model: name of the model, such as ``game-earnings``.
        trained_at: time in UTC, such as ``2026-11-24T02:00:00Z``.
        facts: label -> value: the inputs, and how the version was made.
        layers: the layers of the network, such as ``Dense(50, relu)``.
        metrics: model -> ``scaled_mse``, ``mae``, ``rmse``, ``r2``, ``mape_percent``. The first model is this version,
            the others are baselines on the same titles. A metric may be missing, ``None`` or NaN.
        loss: scaled MSE of each epoch.
        validation_loss: the same on the validation share; empty if there was none.
        actual: float64 (n,), earnings of the test titles.
        predicted: float64 (n,), the version's predictions for the test titles.
        warnings: sentences to read before promoting.
        evaluation: the manifest's ``evaluation``; None: the version was not evaluated.
        band: the version's prediction intervals; None: it has none.

    Raises:
        ValueError: ``actual`` and ``predicted`` are not of the same length.
    """

    model: str
    trained_at: str
    facts: Mapping[str, str]
    layers: Sequence[str]
    metrics: Mapping[str, Mapping[str, float | None]]
    loss: Sequence[float]
    validation_loss: Sequence[float]
    actual: FloatArray
    predicted: FloatArray
    warnings: Sequence[str] = ()
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
    actual, predicted = _select_finite(page)
    mae_interval = None if page.evaluation is None else page.evaluation["holdout"]["intervals"]["mae"]
    return render_template(
        "version.html.j2",
        page=page,
        model=page.model,
        trained_at=_format_time(page.trained_at),
        headline=write_headline(page.actual.size, page.metrics),
        warnings=[*page.warnings, *_find_warnings(page, np.abs(predicted - actual))],
        key_numbers=build_key_numbers(actual, predicted, mae_interval),
        metric_columns=COLUMNS,
        metric_rows=build_metric_rows(page.metrics),
        error_plots=_build_error_plots(page, actual, predicted),
        loss_plot=plot_loss(page.loss, page.validation_loss),
        section=_build_section(page),
        test_titles=format_count(page.actual.size, "test title"),
    )


def _build_section(page: VersionPage) -> EvaluationSection | None:
    if page.evaluation is None:
        return None
    return build_evaluation_section(page.evaluation, next(iter(page.metrics.values())))


def _select_finite(page: VersionPage) -> tuple[FloatArray, FloatArray]:
    """Select the titles with finite earnings and a finite prediction; float64 (m,) each."""
    actual = np.asarray(page.actual, np.float64)
    predicted = np.asarray(page.predicted, np.float64)
    finite = np.isfinite(actual) & np.isfinite(predicted)
    return actual[finite], predicted[finite]


def _find_warnings(page: VersionPage, errors: FloatArray) -> list[str]:
    """Check the page's own data, whether or not the caller did.

    Args:
        page: the page.
        errors: absolute errors of the titles that can be shown, float64 (m,).
    """
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
        warnings.append("The loss became infinite or not a number during training.")
    return warnings


def _format_time(text: str) -> str:
    """Write ``2026-11-24T02:00:00Z`` as ``November 24, 2026, 02:00 UTC``; return other texts unchanged."""
    try:
        time = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z")
    except ValueError:
        return text
    return f"{time:%B} {time.day}, {time:%Y, %H:%M} UTC"


def _build_error_plots(page: VersionPage, actual: FloatArray, predicted: FloatArray) -> list[Plot]:
    """Plot the errors in every way for which there are titles."""
    plots: list[Plot] = []
    if actual.size:
        plots += [
            plot_predictions(actual, predicted, band=page.band),
            plot_errors_by_prediction(actual, predicted, page.band),
            plot_errors(predicted - actual),
        ]
        earned = actual > 0
        if earned.any():
            errors_percent = 100 * (predicted[earned] - actual[earned]) / actual[earned]
            plots.append(plot_errors_percent(errors_percent, int((~earned).sum())))
    return plots
