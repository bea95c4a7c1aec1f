"""Plots of a version's errors on the test titles, and of the loss during training."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.report.format import format_compact_money, format_count, format_money, format_percent
from gamesales.report.svg import DASHED, PALETTE, Plot, format_axis, format_log_axis, open_axes, render_svg
from gamesales.stats.amounts import label_amounts, name_amounts

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# Up to this many titles are drawn as dots. More titles are counted in hexagons: outliers stay visible, the file small.
_MAX_DOTS = 1_500
_HEXAGONS = (60, 20)  # these proportions make regular hexagons
_LARGE_HEXAGONS = (36, 12)  # for plots where points cover the whole area
_SHADES = np.array([0.25, 0.45, 0.65, 0.85, 1.0])

# An odd number, so that the middle bar is centered on "no error".
_HISTOGRAM_BARS = 41
_BAND_POINTS = 64


class IntervalBand(Protocol):
    """The prediction intervals of a version."""

    @property
    def coverage(self) -> float:
        """The share of titles that the intervals should contain."""

    def bounds(self, predictions: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the lower and upper bounds for predictions, float64 (n,) each, in the target's unit."""


def plot_predictions(
    actual: FloatArray, predicted: FloatArray, model: str = "", *, band: IntervalBand | None = None
) -> Plot:
    """Plot predicted against actual earnings, float64 (n,) each, finite, n > 0; the band is around the diagonal.

    ``model`` names the predictions, such as ``version 2``, on a page with several such plots.
    """
    low, high = _add_margin(np.concatenate([actual, predicted]))
    vertical, horizontal = map(label_amounts, ("Predicted earnings", "Actual earnings"))
    with open_axes(f"predictions{model}", vertical, horizontal) as (figure, axes):
        axes.set_xlim(low, high)
        axes.set_ylim(low, high)
        _draw_titles(axes, (actual, predicted), (low, high, low, high), _HEXAGONS)
        axes.plot([low, high], [low, high], **DASHED)
        if band:
            line = _spread_points(predicted)
            axes.fill_betweenx(line, *band.bounds(line), color=PALETTE["second"], alpha=0.3, lw=0, zorder=0)
        axes.grid(axis="x")
        format_axis(axes.xaxis)
        format_axis(axes.yaxis)
        svg = render_svg(figure)
    legend = "Each dot is one title." if actual.size <= _MAX_DOTS else "A stronger color means more titles."
    if band:
        legend += f" The band is the {100 * band.coverage:g}% prediction interval."
    heading = "Predicted against actual" + (f", {model}" if model else "")
    return Plot(heading, f"{legend} On the dashed line a prediction is exactly right.", svg)


def plot_errors_by_prediction(actual: FloatArray, predicted: FloatArray, band: IntervalBand | None) -> Plot:
    """Plot errors, predicted minus actual, against predictions; the arrays are those of ``plot_predictions``."""
    errors = predicted - actual
    limit = float(np.abs(errors).max()) * 1.05 or 1.0
    horizontal = _add_margin(predicted)
    labels = [label_amounts(label) for label in ("Predicted minus actual", "Predicted earnings")]
    with open_axes("errors-by-size", labels[0], labels[1]) as (figure, axes):
        if band:
            line = _spread_points(predicted)
            low, high = band.bounds(line)
            axes.fill_between(line, line - high, line - low, color=PALETTE["second"], alpha=0.16, lw=0)
        _draw_titles(axes, (predicted, errors), (*horizontal, -limit, limit), _LARGE_HEXAGONS)
        axes.axhline(0, **DASHED)
        axes.set_xlim(*horizontal)
        axes.set_ylim(-limit, limit)
        format_axis(axes.xaxis)
        format_axis(axes.yaxis)
        svg = render_svg(figure)
    legend = f"The band is the {100 * band.coverage:g}% prediction interval. " if band else ""
    return Plot("Error by predicted earnings", f"{legend}Above 0 predictions are too high.", svg)


def plot_errors(errors: FloatArray) -> Plot:
    """Plot a histogram of the errors, predicted minus actual, in the unit of texts; float64 (n,), finite, n > 0."""
    median = f"Half of the errors are below {format_money(float(np.median(np.abs(errors))))}."
    return _plot_histogram("errors", f"Error in {name_amounts()}", errors, format_compact_money, median)


def plot_errors_percent(errors_percent: FloatArray, skipped: int) -> Plot:
    """Plot a histogram of the errors, predicted minus actual, in percent of actual; float64 (n,), finite, n > 0.

    ``skipped`` titles earned nothing, so that their error in percent is not defined.
    """
    median = f"Half of the errors are below {format_percent(float(np.median(np.abs(errors_percent))))}."
    if skipped:
        median += f" Skipped: {format_count(skipped, 'title')} without earnings."

    def format_tick(value: float) -> str:
        return f"{value:g}%".replace("-", "−")

    return _plot_histogram("errors-percent", "Error in percent", errors_percent, format_tick, median)


def plot_loss(loss: Sequence[float], validation_loss: Sequence[float]) -> Plot | None:
    """Plot the loss of each epoch on a log scale; None if no epoch has a finite loss above zero."""
    from matplotlib import ticker

    curves = [
        ("training", "accent", "-", _blank_unloggable(loss)),
        ("validation", "second", (0, (5, 2)), _blank_unloggable(validation_loss)),
    ]
    curves = [curve for curve in curves if np.isfinite(curve[-1]).any()]
    if not curves:
        return None
    with open_axes("loss", "Scaled MSE (log scale)", "Epoch") as (figure, axes):
        axes.set_yscale("log")
        for name, color, line, values in curves:
            epochs = np.arange(1, values.size + 1)
            marker = "o" if values.size == 1 else ""
            axes.plot(epochs, values, lw=1.5, ls=line, marker=marker, ms=4, color=PALETTE[color], label=name)
        _show_decade(axes, np.concatenate([values for *_, values in curves]))
        axes.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True, min_n_ticks=1))
        axes.legend(loc="upper right", labelcolor=PALETTE["ink"], handlelength=2.4)
        svg = render_svg(figure)
    last = "; ".join(f"{name} {values[-1]:.2e}" for name, *_, values in curves if np.isfinite(values[-1]))
    return Plot("Loss by epoch", f"After {format_count(len(loss), 'epoch')}: {last or 'not a number'}.", svg)


def _plot_histogram(
    name: str, heading: str, errors: FloatArray, format_tick: Callable[[float], str], median: str
) -> Plot:
    """Plot a histogram centered on zero; the caption counts far outliers, so that they do not flatten the bars."""
    from matplotlib import ticker

    sizes = np.abs(errors)
    far, largest = 1.5 * float(np.quantile(sizes, 0.99)), float(sizes.max())
    limit = (far if 0 < far < largest else largest) or 1.0
    with open_axes(name, "Titles", "Predicted too low ← 0 → too high") as (figure, axes):
        axes.hist(errors, bins=_HISTOGRAM_BARS, range=(-limit, limit), rwidth=0.86, color=PALETTE["accent"])
        axes.axvline(0, **DASHED)
        axes.set_xlim(-limit, limit)
        format_axis(axes.xaxis, format_tick, ticks=6)
        axes.yaxis.set_major_locator(ticker.MaxNLocator(4, integer=True))
        axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,.0f}"))
        svg = render_svg(figure)
    beyond = int((sizes > limit).sum())
    return Plot(heading, median + (f" {format_count(beyond, 'title')} beyond the edges." if beyond else ""), svg)


def _draw_titles(
    axes: Axes,
    points: tuple[FloatArray, FloatArray],
    extent: tuple[float, float, float, float],
    grid: tuple[int, int],
) -> None:
    """Draw a dot for each title, or count many titles in hexagons, shaded by the logarithm of the count."""
    if points[0].size <= _MAX_DOTS:
        axes.plot(*points, "o", ms=3.3, mew=0, alpha=0.5, color=PALETTE["accent"])
        return
    hexagons = axes.hexbin(*points, gridsize=grid, mincnt=1, extent=extent, linewidths=0)
    levels = np.log1p(np.asarray(hexagons.get_array(), np.float64))
    shade = _SHADES[np.ceil((_SHADES.size - 1) * levels / levels.max()).astype(int)]
    hexagons.set_array(None)
    hexagons.set_facecolor([(PALETTE["accent"], float(alpha)) for alpha in shade])


def _spread_points(values: FloatArray) -> FloatArray:
    """Return evenly spaced points from the lowest to the highest value; float64 (64,)."""
    return np.linspace(float(values.min()), float(values.max()), _BAND_POINTS)


def _add_margin(values: FloatArray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = 0.04 * (high - low) or max(1.0, abs(high) * 0.1)
    return low - margin, high + margin


def _show_decade(axes: Axes, losses: FloatArray) -> None:
    """Show at least a factor of ten, so that a flat curve looks flat and the axis has ticks."""
    low, high = float(np.nanmin(losses)) / 1.3, float(np.nanmax(losses)) * 1.3
    widen = max(1.0, math.sqrt(10 * low / high))
    axes.set_ylim(low / widen, high * widen)
    format_log_axis(axes.yaxis, (low, high), "{:.0e}")


def _blank_unloggable(losses: Sequence[float]) -> FloatArray:
    """Replace values that a log scale can't show with NaN; float64 (epochs,)."""
    values = np.asarray(losses, np.float64)
    return np.where(np.isfinite(values) & (values > 0), values, np.nan)
