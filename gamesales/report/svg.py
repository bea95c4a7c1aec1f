"""What plots are drawn on: SVG that takes its colours from the page.

matplotlib draws with the colours of ``PALETTE``; each is then replaced by the page's CSS variable of that
name, so that one drawing is legible in light, in dark and on paper. The same data gives the same bytes: ids
come from a fixed salt, and what matplotlib writes about itself and the date is removed.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


PALETTE = {
    "accent": "#2159c4",
    "second": "#c25a12",
    "ink": "#1a1d21",
    "muted": "#626a73",
    "rule": "#dfe2e6",
}

# Inches at 72 units each: about the width of a phone, so that there the labels keep their size.
_SIZE = (4.45, 3.0)


@dataclass(frozen=True)
class Plot:
    """A drawing, with what it shows in words for those who can't see it."""

    heading: str
    caption: str
    svg: str


@contextmanager
def open_axes(name: str, vertical: str, horizontal: str, height: float = 1.0) -> Iterator[tuple[Figure, Axes]]:
    """Open a figure in the pages' look, so many times as high as usual; ``finish`` it before this ends."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_look(salt=name))
        figure = Figure(figsize=(_SIZE[0], _SIZE[1] * height), layout="constrained")
        axes = figure.add_subplot()
        axes.set_axisbelow(True)
        axes.set_title(vertical, loc="left", pad=8)
        axes.set_xlabel(horizontal)
        yield figure, axes


def finish(figure: Figure) -> str:
    """Draw, and cut matplotlib's file down to what belongs inside a page, in the page's colours."""
    file = io.StringIO()
    with warnings.catch_warnings():
        # Text is drawn by the browser, which knows more letters than the font that the layout is made with.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
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
