"""Plots as SVG that takes its colors from the page.

matplotlib draws with the colors of ``PALETTE``. Each color is then replaced by the CSS variable of its name, so that
a plot is legible in light mode, in dark mode and on paper. The same data gives the same bytes: ids come from a fixed
salt, and matplotlib's metadata and date are removed.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gamesales.report.format import format_compact_money

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure


PALETTE = {
    "accent": "#2159c4",
    "second": "#c25a12",
    "ink": "#1a1d21",
    "muted": "#626a73",
    "rule": "#dfe2e6",
}

# The line of "no error".
DASHED: dict[str, Any] = {"color": PALETTE["ink"], "lw": 0.8, "ls": (0, (4, 3))}

# In inches of 72 units. A phone is about as wide, so labels keep their size on a phone.
_SIZE = (4.45, 3.0)


@dataclass(frozen=True)
class Plot:
    """A plot with its heading and caption; both are also the text alternative for screen readers.

    ``details`` is markup below the plot, such as a table of its numbers.
    """

    heading: str
    caption: str
    svg: str
    details: str = ""


@contextmanager
def open_axes(name: str, vertical: str, horizontal: str, height: float = 1.0) -> Iterator[tuple[Figure, Axes]]:
    """Open a figure in the style of the pages; call ``render_svg`` inside the context.

    Args:
        name: unique on the page; the salt of the ids in the SVG.
        vertical: label of the vertical axis, written above it.
        horizontal: label of the horizontal axis.
        height: height as a multiple of the usual height.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_build_settings(salt=name))
        figure = Figure(figsize=(_SIZE[0], _SIZE[1] * height), layout="constrained")
        axes = figure.add_subplot()
        axes.set_axisbelow(True)
        axes.set_title(vertical, loc="left", pad=8)
        axes.set_xlabel(horizontal)
        yield figure, axes


def render_svg(figure: Figure) -> str:
    """Render a figure as an ``<svg>`` element for a page, in the colors of the page."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    file = io.StringIO()
    with warnings.catch_warnings():
        # The browser draws the text and has more glyphs than the font of the layout.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        # ``figure.savefig`` draws twice: once for the layout, which drawing does by itself.
        canvas: Any = FigureCanvasSVG(figure)  # print_svg has no types
        canvas.print_svg(file, metadata={"Date": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<svg[^>]*(viewBox=\"[^\"]*\")[^>]*>", r'<svg \1 aria-hidden="true">', svg)
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r'<g id="[\w.]+_\d+"', "<g", svg)  # ids like "axes_1" would be duplicates between plots
    svg = re.sub(r"(>[^<]*<)|(\d+\.\d\d)\d+", lambda match: match[1] or match[2], svg)  # not in the texts
    for name, color in PALETTE.items():
        svg = svg.replace(color, f"var(--{name})")
    return re.sub(r"\s*\n\s*", "\n", svg).strip()


def format_axis(axis: Axis, format_value: Callable[[float], str] = format_compact_money, *, ticks: int = 5) -> None:
    """Set up to ``ticks`` round ticks on an axis and format their values, by default as dollars."""
    from matplotlib import ticker

    axis.set_major_locator(ticker.MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: format_value(value)))


def format_log_axis(axis: Axis, values: Sequence[float], form: str) -> None:
    """Set round ticks on the log axis of some values, and write them as the format string ``form`` says."""
    from matplotlib import ticker

    factor = max(values) / min(values)
    subs = (1, 2, 3, 5, 7) if factor < 5 else (1, 2, 5) if factor < 100 else (1,)
    axis.set_major_locator(ticker.LogLocator(subs=subs, numticks=7))
    axis.set_minor_locator(ticker.NullLocator())
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: form.format(value)))


def _build_settings(salt: str) -> dict[Any, Any]:
    """Return the settings that differ from matplotlib's defaults; the user's own style does not matter."""
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
