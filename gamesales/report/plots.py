"""The plots of how a version's predictions are wrong, and how its training went."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.report.format import compact_money, count, money, percent
from gamesales.report.svg import PALETTE, Plot, finish, open_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# Every title is a dot up to here; beyond, hexagons count them, which keeps outliers and a small file.
_MAX_DOTS = 1_500
_HEXAGONS = (60, 20)  # regular ones, in these proportions
_LARGE_HEXAGONS = (36, 12)  # where they fill the plot
_SHADES = np.array([0.25, 0.45, 0.65, 0.85, 1.0])

# An odd number, so that the middle bar is centred on "no error".
_BARS = 41
# Points of the edge of a band.
_STEPS = 64


@dataclass(frozen=True)
class Bounds:
    """Prediction intervals: the share of titles that they are to hold, and the bounds around predictions, dollars."""

    coverage: float
    of: Callable[[FloatArray], tuple[FloatArray, FloatArray]]


def plot_predictions(actual: FloatArray, predicted: FloatArray, of: str = "", *, bounds: Bounds | None = None) -> Plot:
    """Draw predicted against actual earnings; on the diagonal a prediction is right.

    Args:
        actual: float64 (n,), finite, n > 0.
        predicted: float64 (n,), finite.
        of: what made them, such as ``version 2``, where a page has several such plots.
        bounds: prediction intervals to draw around the diagonal.
    """
    from matplotlib import ticker

    low, high = _with_margin(np.concatenate([actual, predicted]))
    with open_axes(f"predictions{of}", "Predicted", "Actual earnings") as (figure, axes):
        axes.set_xlim(low, high)
        axes.set_ylim(low, high)
        if actual.size <= _MAX_DOTS:
            axes.plot(actual, predicted, "o", ms=3.3, mew=0, alpha=0.5, color=PALETTE["accent"])
        else:
            _draw_hexagons(axes, (actual, predicted), (low, high), (low, high), _HEXAGONS)
        axes.plot([low, high], [low, high], color=PALETTE["ink"], lw=0.8, ls=(0, (4, 3)))
        if bounds:
            line = _between(predicted)
            axes.fill_betweenx(line, *bounds.of(line), color=PALETTE["second"], alpha=0.3, lw=0, zorder=0)
        axes.grid(axis="x")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(ticker.MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
            axis.set_major_formatter(ticker.FuncFormatter(lambda usd, _: compact_money(usd)))
        svg = finish(figure)
    key = "One dot is one title." if actual.size <= _MAX_DOTS else "Stronger colour, more titles."
    heading = "Predicted against actual" + (f", {of}" if of else "")
    return Plot(heading, f"{key} On the dashed line a prediction is exactly right.", svg)


def plot_errors_by_size(actual: FloatArray, predicted: FloatArray, bounds: Bounds | None) -> Plot:
    """Draw errors, predicted minus actual, against predictions; float64 (n,) each, finite, n > 0.

    Args: bounds: prediction intervals, drawn as what they allow.
    """
    from matplotlib import ticker

    errors = predicted - actual
    limit = float(np.abs(errors).max()) * 1.05 or 1.0
    horizontal = _with_margin(predicted)
    with open_axes("errors-by-size", "Error", "Predicted") as (figure, axes):
        if bounds:
            line = _between(predicted)
            low, high = bounds.of(line)
            axes.fill_between(line, line - high, line - low, color=PALETTE["second"], alpha=0.16, lw=0)
        if errors.size <= _MAX_DOTS:
            axes.plot(predicted, errors, "o", ms=3.3, mew=0, alpha=0.5, color=PALETTE["accent"])
        else:
            _draw_hexagons(axes, (predicted, errors), horizontal, (-limit, limit), _LARGE_HEXAGONS)
        axes.axhline(0, color=PALETTE["ink"], lw=0.8, ls=(0, (4, 3)))
        axes.set_xlim(*horizontal)
        axes.set_ylim(-limit, limit)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(ticker.MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
            axis.set_major_formatter(ticker.FuncFormatter(lambda usd, _: compact_money(usd)))
        svg = finish(figure)
    band = f"The band is the prediction interval, for {percent(100 * bounds.coverage)} of titles. " if bounds else ""
    return Plot("Error by size", f"{band}Above 0 predictions are too high.", svg)


def plot_errors_in_units(errors: FloatArray) -> Plot:
    """Draw how the errors, predicted minus actual, are spread in dollars; float64 (n,), finite, n > 0."""
    middle = f"Half of the titles are off by less than {money(float(np.median(np.abs(errors))))}."
    return _plot_errors("errors-usd", "Error in dollars", errors, compact_money, middle)


def plot_errors_percent(errors_percent: FloatArray, left_out: int) -> Plot:
    """Draw how the errors are spread in percent of what a title earned; float64 (n,), finite, n > 0.

    Args:
        errors_percent: predicted minus actual, of actual.
        left_out: how many titles earned nothing, and so have no such error.
    """
    middle = f"Half of the titles are off by less than {percent(float(np.median(np.abs(errors_percent))))}."
    if left_out:
        middle += f" {count(left_out, 'title')} that earned nothing left out."

    def tick(value: float) -> str:
        return f"{value:g}\u00a0%".replace("-", "−")

    return _plot_errors("errors-percent", "Error in percent", errors_percent, tick, middle)


def plot_loss(loss: Sequence[float], validation_loss: Sequence[float]) -> Plot | None:
    """Draw the loss of each epoch on a log scale, or nothing if no epoch has a loss above zero."""
    from matplotlib import ticker

    curves = [("training", "accent", _loggable(loss)), ("validation", "second", _loggable(validation_loss))]
    curves = [curve for curve in curves if np.isfinite(curve[2]).any()]
    if not curves:
        return None
    with open_axes("loss", "Mean squared error, scaled", "Epoch") as (figure, axes):
        axes.set_yscale("log")
        for name, colour, values in curves:
            epochs = np.arange(1, values.size + 1)
            marker = "o" if values.size == 1 else ""
            axes.plot(epochs, values, lw=1.5, marker=marker, ms=4, color=PALETTE[colour], label=name)
        _show_a_decade(axes, np.concatenate([values for _, _, values in curves]))
        axes.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True, min_n_ticks=1))
        axes.yaxis.set_minor_locator(ticker.NullLocator())
        axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:.0e}"))
        axes.legend(loc="upper right", labelcolor=PALETTE["ink"], handlelength=1.4)
        svg = finish(figure)
    last = "; ".join(f"{name} {values[-1]:.2e}" for name, _, values in curves if np.isfinite(values[-1]))
    return Plot("Loss by epoch", f"After {count(len(loss), 'epoch')}: {last or 'not a number'}.", svg)


def _plot_errors(name: str, heading: str, errors: FloatArray, tick: Callable[[float], str], middle: str) -> Plot:
    """Draw a histogram around zero; far outliers are counted in the caption instead of flattening it."""
    from matplotlib import ticker

    sizes = np.abs(errors)
    far, furthest = 1.5 * float(np.quantile(sizes, 0.99)), float(sizes.max())
    limit = (far if 0 < far < furthest else furthest) or 1.0
    with open_axes(name, "Titles", "Predicted too low ← 0 → too high") as (figure, axes):
        axes.hist(errors, bins=_BARS, range=(-limit, limit), rwidth=0.86, color=PALETTE["accent"])
        axes.axvline(0, color=PALETTE["ink"], lw=0.8, ls=(0, (4, 3)))
        axes.set_xlim(-limit, limit)
        axes.xaxis.set_major_locator(ticker.MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
        axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: tick(value)))
        axes.yaxis.set_major_locator(ticker.MaxNLocator(4, integer=True, prune="lower"))
        axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,.0f}"))
        svg = finish(figure)
    beyond = int((sizes > limit).sum())
    return Plot(heading, middle + (f" {count(beyond, 'title')} beyond the edges." if beyond else ""), svg)


def _draw_hexagons(
    axes: Axes,
    points: tuple[FloatArray, FloatArray],
    horizontal: tuple[float, float],
    vertical: tuple[float, float],
    grid: tuple[int, int],
) -> None:
    """Count titles in hexagons, in few shades of one colour, by the logarithm of the count."""
    hexagons = axes.hexbin(*points, gridsize=grid, mincnt=1, extent=(*horizontal, *vertical), linewidths=0)
    levels = np.log1p(np.asarray(hexagons.get_array(), np.float64))
    shade = _SHADES[np.ceil((_SHADES.size - 1) * levels / levels.max()).astype(int)]
    hexagons.set_array(None)
    hexagons.set_facecolor([(PALETTE["accent"], float(alpha)) for alpha in shade])


def _between(usd: FloatArray) -> FloatArray:
    """Return values from the lowest to the highest, to draw a band by; float64 (64,)."""
    return np.linspace(float(usd.min()), float(usd.max()), _STEPS)


def _with_margin(values: FloatArray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = 0.04 * (high - low) or max(1.0, abs(high) * 0.1)
    return low - margin, high + margin


def _show_a_decade(axes: Axes, losses: FloatArray) -> None:
    """Show at least a factor of ten, so that a flat curve looks flat and there are ticks to read it by."""
    from matplotlib import ticker

    low, high = float(np.nanmin(losses)) / 1.3, float(np.nanmax(losses)) * 1.3
    widen = max(1.0, math.sqrt(10 * low / high))
    axes.set_ylim(low / widen, high * widen)
    narrow = high / low < 100
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if narrow else (1,), numticks=7))


def _loggable(losses: Sequence[float]) -> FloatArray:
    """Blank what a log scale can't show; float64 (epochs,)."""
    values = np.asarray(losses, np.float64)
    return np.where(np.isfinite(values) & (values > 0), values, np.nan)
