"""Plots as SVG, drawn by hand: log scales, colours of the page, the same bytes for the same data."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from benchmarks.show import Bars, Lines, power

_WIDTH, _ROW, _LABEL = 480, 40, 15
_LEFT, _RIGHT, _TOP, _HEIGHT = 70, 20, 10, 250
COLOURS = 8


class Artist:
    """Draws the plots of one page; whoever has a name keeps its colour from plot to plot."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def draw(self, plot: Bars | Lines) -> str:
        """Draw a plot; empty if it has nothing to show."""
        if isinstance(plot, Bars):
            return _bars(plot, self._colour) if plot.values else ""
        return _lines(plot, self._colour) if any(points for _, points in plot.series) else ""

    def _colour(self, name: str) -> str:
        return f"c{self._places.setdefault(name, len(self._places)) % COLOURS}"


def _bars(plot: Bars, colour_of: Callable[[str], str]) -> str:
    """Draw a bar for each value, its name above it, and its spread as a thin line."""
    low, high = _decades([value for _, figure in plot.values for value in (figure.low, figure.high)], below=2)
    right = _WIDTH - 90

    def x(value: float) -> float:
        return right * (math.log10(value) - low) / (high - low)

    parts = []
    for place, (name, figure) in enumerate(plot.values):
        top = place * _ROW
        middle = top + _LABEL + 11
        parts += [
            _text(0, top + 12, name),
            _box(colour_of(name), 0, top + 18, x(figure.median), 16),
            f'<line class="spread" x1="{x(figure.low):.1f}" x2="{x(figure.high):.1f}" y1="{middle}" y2="{middle}"/>',
            _text(x(figure.high) + 6, top + 31, plot.text(figure.median), "strong"),
        ]
    return _svg(len(plot.values) * _ROW + 2, parts)


def _lines(plot: Lines, colour_of: Callable[[str], str]) -> str:
    """Draw a line with dots for each name, decades as a grid, and the names below."""
    points = [point for _, series in plot.series for point in series]
    left, right = _decades([x for x, _ in points])
    low, high = _decades([y for _, y in points])

    def x(value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (math.log10(value) - left) / (right - left)

    def y(value: float) -> float:
        return _TOP + (_HEIGHT - _TOP) * (high - math.log10(value)) / (high - low)

    parts = []
    for decade in range(math.ceil(low), math.floor(high) + 1):
        at = y(10.0**decade)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(_text(_LEFT - 6, at + 4, plot.text(10.0**decade), "end"))
    decades = range(math.ceil(left), math.floor(right) + 1)
    parts += [_text(x(10.0**decade), _HEIGHT + 20, power(10**decade), "middle") for decade in decades]
    parts.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT + 37, plot.horizontal, "middle"))
    for place, (name, series) in enumerate(plot.series):
        colour = colour_of(name)
        path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in series)
        parts.append(f'<polyline class="{colour}" points="{path}"/>')
        parts += [f'<circle class="{colour}" cx="{x(a):.1f}" cy="{y(b):.1f}" r="3"/>' for a, b in series]
        below = _HEIGHT + 60 + 18 * place
        parts += [_box(colour, _LEFT, below - 9, 14, 9), _text(_LEFT + 20, below, name)]
    return _svg(_HEIGHT + 54 + 18 * len(plot.series), parts)


def _decades(values: Sequence[float], below: float = 1.0) -> tuple[float, float]:
    """Return the range of a log scale in powers of ten, with room ``below`` the smallest value for a factor of it."""
    low, high = math.log10(min(values) / below), math.log10(max(values))
    low, high = (math.floor(low), math.ceil(high)) if below == 1.0 else (low, high)
    return (low, high) if high > low else (low, low + 1)


def _box(look: str, x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="{look}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2"/>'


def _text(x: float, y: float, words: str, look: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}"' + (f' class="{look}"' if look else "") + f">{escape(words)}</text>"


def _svg(height: float, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" aria-hidden="true">\n' + "\n".join(parts) + "\n</svg>"
