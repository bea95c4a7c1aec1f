"""The plots of a page, as SVG that takes its colours from the page.

matplotlib draws with the colours of ``PALETTE``; each is then replaced by the page's CSS variable of that
name, so that one drawing is legible in light, in dark and on paper. The same data gives the same bytes: ids
come from a fixed salt, and what matplotlib writes about itself and the date is removed.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gamesales.report.words import compact_money, count, money, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = npt.NDArray[np.float64]

PALETTE = {
    "accent": "#2159c4",
    "second": "#c25a12",
    "ink": "#1a1d21",
    "muted": "#626a73",
    "rule": "#dfe2e6",
}

# Inches at 72 units each: about the width of a phone, so that there the labels keep their size.
_SIZE = (4.45, 3.0)

# Every title is a dot up to here; beyond, hexagons count them, which keeps outliers and a small file.
_MAX_DOTS = 1_500
_HEXAGONS = (60, 20)  # regular ones, in these proportions
_SHADES = np.array([0.25, 0.45, 0.65, 0.85, 1.0])

# An odd number, so that the middle bar is centred on "no error".
_BARS = 41


@dataclass(frozen=True)
class Plot:
    """A drawing, with what it shows in words for those who can't see it."""

    heading: str
    caption: str
    svg: str


def plot_predictions(actual_usd: Array, predicted_usd: Array, of: str = "") -> Plot:
    """Draw predicted against actual earnings; on the diagonal a prediction is right.

    Args:
        actual_usd: float64 (n,), finite, n > 0.
        predicted_usd: float64 (n,), finite.
        of: what made them, such as ``version 2``, where a page has several such plots.
    """
    from matplotlib import ticker

    low, high = _with_margin(np.concatenate([actual_usd, predicted_usd]))
    with open_axes(f"predictions{of}", "Predicted", "Actual earnings") as (figure, axes):
        axes.set_xlim(low, high)
        axes.set_ylim(low, high)
        if actual_usd.size <= _MAX_DOTS:
            axes.plot(actual_usd, predicted_usd, "o", ms=3.3, mew=0, alpha=0.5, color=PALETTE["accent"])
        else:
            _draw_hexagons(axes, actual_usd, predicted_usd, (low, high))
        axes.plot([low, high], [low, high], color=PALETTE["ink"], lw=0.8, ls=(0, (4, 3)))
        axes.grid(axis="x")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(ticker.MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
            axis.set_major_formatter(ticker.FuncFormatter(lambda usd, _: compact_money(usd)))
        svg = finish(figure)
    key = "One dot is one title." if actual_usd.size <= _MAX_DOTS else "Stronger colour, more titles."
    heading = "Predicted against actual" + (f", {of}" if of else "")
    return Plot(heading, f"{key} On the dashed line a prediction is exactly right.", svg)


def plot_errors_usd(errors_usd: Array) -> Plot:
    """Draw how the errors, predicted minus actual, are spread in dollars; float64 (n,), finite, n > 0."""
    middle = f"Half of the titles are off by less than {money(float(np.median(np.abs(errors_usd))))}."
    return _plot_errors("errors-usd", "Error in dollars", errors_usd, compact_money, middle)


def plot_errors_percent(errors_percent: Array, left_out: int) -> Plot:
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


def _plot_errors(name: str, heading: str, errors: Array, tick: Callable[[float], str], middle: str) -> Plot:
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


def _draw_hexagons(axes: Axes, actual_usd: Array, predicted_usd: Array, limits: tuple[float, float]) -> None:
    """Count titles in hexagons, in few shades of one colour, by the logarithm of the count."""
    hexagons = axes.hexbin(
        actual_usd, predicted_usd, gridsize=_HEXAGONS, mincnt=1, extent=(*limits, *limits), linewidths=0
    )
    levels = np.log1p(np.asarray(hexagons.get_array(), np.float64))
    shade = _SHADES[np.ceil((_SHADES.size - 1) * levels / levels.max()).astype(int)]
    hexagons.set_array(None)
    hexagons.set_facecolor([(PALETTE["accent"], float(alpha)) for alpha in shade])


def _with_margin(values: Array) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = 0.04 * (high - low) or max(1.0, abs(high) * 0.1)
    return low - margin, high + margin


def _show_a_decade(axes: Axes, losses: Array) -> None:
    """Show at least a factor of ten, so that a flat curve looks flat and there are ticks to read it by."""
    from matplotlib import ticker

    low, high = float(np.nanmin(losses)) / 1.3, float(np.nanmax(losses)) * 1.3
    widen = max(1.0, math.sqrt(10 * low / high))
    axes.set_ylim(low / widen, high * widen)
    narrow = high / low < 100
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if narrow else (1,), numticks=7))


def _loggable(losses: Sequence[float]) -> Array:
    """Blank what a log scale can't show; float64 (epochs,)."""
    values = np.asarray(losses, np.float64)
    return np.where(np.isfinite(values) & (values > 0), values, np.nan)


@contextmanager
def open_axes(name: str, vertical: str, horizontal: str) -> Iterator[tuple[Figure, Axes]]:
    """Open a figure in the pages' look; ``finish`` it before this ends."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_look(salt=name))
        figure = Figure(figsize=_SIZE, layout="constrained")
        axes = figure.add_subplot()
        axes.set_axisbelow(True)
        axes.set_title(vertical, loc="left", pad=8)
        axes.set_xlabel(horizontal)
        yield figure, axes


def finish(figure: Figure) -> str:
    """Draw, and cut matplotlib's file down to what belongs inside a page, in the page's colours."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<svg[^>]*(viewBox=\"[^\"]*\")[^>]*>", r'<svg \1 aria-hidden="true">', svg)
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r'<g id="[\w.]+_\d+"', "<g", svg)  # "axes_1" would be doubled between plots
    svg = re.sub(r"(\d+\.\d\d)\d+", r"\1", svg)
    for name, colour in PALETTE.items():
        svg = svg.replace(colour, f"var(--{name})")
    return re.sub(r"\s*\n\s*", "\n", svg).strip()


def _look(salt: str) -> dict[Any, Any]:
    """Give matplotlib's settings; all others are its defaults, whatever style the user has."""
    muted, rule = PALETTE["muted"], PALETTE["rule"]
    return {
        "svg.hashsalt": f"gamesales-{salt}",
        "svg.fonttype": "none",
        "font.family": ["DejaVu Sans"],  # ships with matplotlib, so the layout is the same everywhere
        "font.size": 10,
        "text.parse_math": False,  # a dollar is a dollar
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "axes.edgecolor": rule,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "grid.color": rule,
        "grid.linewidth": 0.7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.titlesize": 10,
        "axes.titlecolor": muted,
        "axes.labelcolor": muted,
        "axes.labelsize": 10,
        "xtick.color": muted,
        "ytick.color": muted,
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "legend.frameon": False,
    }
