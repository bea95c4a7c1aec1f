"""The page that a person looks at before promoting a trained version.

One HTML file that needs nothing else: no script, no font, no picture from elsewhere. It answers in this
order: is the version better, and by how much; what should worry me; how is it wrong; what was it made from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.report.format import count, finite, money, verdict
from gamesales.report.metric_table import COLUMNS, compare, highlights
from gamesales.report.plots import (
    Bounds,
    plot_errors_by_size,
    plot_errors_in_units,
    plot_errors_percent,
    plot_loss,
    plot_predictions,
)
from gamesales.report.svg import Plot
from gamesales.report.version_sections import Told, tell

if TYPE_CHECKING:
    from jinja2 import Environment


# By how much, relatively, a given average error may differ from that of the predictions shown.
_ROUNDING = 0.005


@dataclass(frozen=True)
class VersionPage:
    """Everything that the page shows; plain data, so that the page knows neither Keras nor the registry.

    Args:
        model: name of the model, as in ``game-earnings``.
        trained_at: time in UTC, as in ``2026-11-24T02:00:00Z``.
        facts: label -> value: what went in, and how it was made.
        layers: the network, layer by layer, as in ``Dense(50, relu)``.
        metrics: who -> ``scaled_mse``, ``mae``, ``rmse``, ``r2``, ``mape_percent``. The
            first is this version, the others are baselines on the same titles. A figure may be missing,
            ``None`` or NaN.
        loss: scaled MSE of each epoch.
        validation_loss: the same on the validation share; empty if there was none.
        actual: float64 (n,), what the held-back titles earned.
        predicted: float64 (n,), what the version says of them.
        warnings: what a person must read before promoting.
        evaluation: what the manifest says under that name; None: the version was not examined.
        bounds: its prediction intervals; None: it has none.

    Raises:
        ValueError: there is not one prediction for each held-back title.
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
    evaluation: Mapping[str, Any] | None = None
    bounds: Bounds | None = None

    def __post_init__(self) -> None:
        actual_shape, predicted_shape = np.shape(self.actual), np.shape(self.predicted)
        if len(actual_shape) != 1 or actual_shape != predicted_shape:
            raise ValueError(f"expected one prediction for each title. Received: {predicted_shape} for {actual_shape}")


def render_version_page(page: VersionPage) -> str:
    """Write the page as one self-contained HTML document; the same page gives the same bytes."""
    actual, predicted = _usable(page)
    template = environment().get_template("version.html.j2")
    return template.render(
        page=page,
        trained=_in_words(page.trained_at),
        verdict=verdict(page.actual.size, page.metrics),
        warnings=[*page.warnings, *_own_warnings(page, np.abs(predicted - actual))],
        highlights=highlights(actual, predicted, _interval(page)),
        columns=COLUMNS,
        rows=compare(page.metrics),
        plots=_plots(page, actual, predicted),
        loss=plot_loss(page.loss, page.validation_loss),
        told=_told(page),
        titles=count(page.actual.size, "title"),
    )


def _interval(page: VersionPage) -> Sequence[float] | None:
    """Return the bounds of the average error that the page shows elsewhere too."""
    return None if page.evaluation is None else page.evaluation["holdout"]["intervals"]["mae"]


def _told(page: VersionPage) -> Told | None:
    """Put what was found of the version into words; None for one that was not examined."""
    if page.evaluation is None:
        return None
    own = next(iter(page.metrics.values()))
    return tell(page.evaluation, own)


def environment() -> Environment:
    """Return what renders the pages' templates."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("gamesales.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _usable(page: VersionPage) -> tuple[FloatArray, FloatArray]:
    """Keep the titles with a finite prediction and a finite truth; both float64 (m,)."""
    actual = np.asarray(page.actual, np.float64)
    predicted = np.asarray(page.predicted, np.float64)
    usable = np.isfinite(actual) & np.isfinite(predicted)
    return actual[usable], predicted[usable]


def _own_warnings(page: VersionPage, sizes: FloatArray) -> list[str]:
    """Say what the data itself gives away, whether or not the caller noticed."""
    titles, warnings = page.actual.size, []
    if sizes.size < titles:
        unusable = count(titles - sizes.size, "title")
        warnings.append(f"{unusable} of {titles:,} without a finite prediction or truth: not in the plots.")
    claimed = next(iter(page.metrics.values()), {}).get("mae")
    if finite(claimed) and sizes.size and not math.isclose(claimed, float(sizes.mean()), rel_tol=_ROUNDING):
        warnings.append(
            f"The average error is given as {money(claimed)}, but that of the predictions on this page "
            f"is {money(float(sizes.mean()))}."
        )
    if not all(map(finite, [*page.loss, *page.validation_loss])):
        warnings.append("The loss became infinite or not a number during training.")
    return warnings


def _in_words(utc: str) -> str:
    """Write ``2026-11-24T02:00:00Z`` as ``24 November 2026, 02:00 UTC``; keep what is not a time."""
    try:
        time = datetime.strptime(utc, "%Y-%m-%dT%H:%M:%S%z")
    except ValueError:
        return utc
    return f"{time.day} {time:%B %Y, %H:%M} UTC"


def _plots(page: VersionPage, actual: FloatArray, predicted: FloatArray) -> list[Plot]:
    """Draw what there is data for."""
    plots: list[Plot] = []
    if actual.size:
        plots += [
            plot_predictions(actual, predicted, bounds=page.bounds),
            plot_errors_by_size(actual, predicted, page.bounds),
            plot_errors_in_units(predicted - actual),
        ]
        earned = actual > 0
        if earned.any():
            errors_percent = 100 * (predicted[earned] - actual[earned]) / actual[earned]
            plots.append(plot_errors_percent(errors_percent, int((~earned).sum())))
    return plots
