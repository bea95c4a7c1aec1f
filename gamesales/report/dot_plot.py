"""Dot plots drawn as SVG without a plotting library: a mark for each night or version, above an axis that starts at 0.

Marks of different styles have different shapes, so that nobody needs the colors to tell them apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from html import escape
from itertools import pairwise

from gamesales.report.strips import choose_scale
from gamesales.report.svg import Plot

# In units of the plots that matplotlib draws: a label of 10 is as large as theirs.
_WIDTH, _TOP, _BOTTOM, _RIGHT = 320, 40, 160, 310
_FONT, _CHARACTER = 10, 6.0
# The distance between the outer marks and the ends of the horizontal axis.
_INSET = 8
# Diameters of marks, by the number of marks up to which they are used.
_SIZES = ((40, 6.0), (150, 4.5), (400, 3.2))
_SMALLEST = 2.4
# The intervals of more marks would cover the plot.
_MOST_INTERVALS = 150
# Labels of the horizontal axis.
_MOST_LABELS = 5
_DAY_STEPS = (1, 2, 7, 14)
_MONTH_STEPS = (1, 2, 3, 6, 12, 24, 60, 120)

# A place on the horizontal axis, such as the ordinal number of a day, and its label.
Tick = tuple[float, str]


@dataclass(frozen=True)
class Style:
    """How marks of a kind look: ``dot``, ``square``, ``triangle`` or ``cross``, and the color of the page."""

    label: str
    shape: str = "dot"
    color: str = "accent"


@dataclass(frozen=True)
class Mark:
    """A value with its confidence interval, if it has one. ``place`` is on the horizontal axis."""

    place: float
    value: float
    style: Style
    low: float | None = None
    high: float | None = None


def plot_dots(
    heading: str,
    caption: str,
    vertical: str,
    marks: Sequence[Mark],
    ticks: Sequence[Tick],
    *,
    write: Callable[[float], str],
    horizontal: str = "",
    path: Sequence[tuple[float, float]] = (),
    reference: tuple[float, str] | None = None,
    smallest_limit: float = 0.0,
) -> Plot:
    """Plot marks above an axis that starts at 0.

    Args:
        heading: the heading of the plot.
        caption: its caption. If there are intervals, a sentence about them is added.
        vertical: the label of the vertical axis with its unit, written above it.
        marks: the values, none below 0.
        ticks: the labels of the horizontal axis.
        write: writes the labels of the vertical axis.
        horizontal: the label of the horizontal axis, written below it; dates need none.
        path: the corners of a line below the marks.
        reference: a dashed line at a value, with its label.
        smallest_limit: the axis ends at this value or above.
    """
    tops = [mark.value if mark.high is None else mark.high for mark in marks]
    scale = choose_scale([smallest_limit, *tops, *([reference[0]] if reference else [])])
    values = [tick * scale.step for tick in range(round(scale.limit / scale.step) + 1)]
    labels = [write(value) for value in values]
    left = 10 + 6.6 * max(map(len, labels))
    places = [*(mark.place for mark in marks), *(place for place, _ in path)]
    first, last = min(places, default=0.0), max(places, default=0.0)

    def locate_x(place: float) -> float:
        if first == last:
            return round((left + _RIGHT) / 2, 1)
        start, end = left + _INSET, _RIGHT - _INSET
        return round(start + (end - start) * (place - first) / (last - first), 1)

    def locate_y(value: float) -> float:
        return round(_BOTTOM - (_BOTTOM - _TOP) * value / scale.limit, 1)

    parts = [_write(0, 11, vertical, "start", "muted"), *_draw_legend(marks)]
    for value, label in zip(values, labels, strict=True):
        parts.append(_draw_line(left, locate_y(value), _RIGHT))
        parts.append(_write(left - 6, locate_y(value) + 3.5, label, "end", "muted"))
    parts += _draw_ticks([(locate_x(place), label) for place, label in ticks if first <= place <= last])
    if reference:
        y = locate_y(reference[0])
        parts.append(f'<path d="M{left:g} {y:g}H{_RIGHT}" style="stroke: var(--ink); stroke-dasharray: 4 3"/>')
        parts.append(_write(_RIGHT, y - 4, reference[1], "end", "ink"))
    if path:
        corners = "L".join(f"{locate_x(place):g} {locate_y(value):g}" for place, value in path)
        parts.append(f'<path d="M{corners}" style="fill: none; stroke: var(--accent); stroke-width: 1.5"/>')
    parts += _draw_marks(marks, locate_x, locate_y)
    if horizontal:
        parts.append(_write((left + _RIGHT) / 2, _BOTTOM + 31, horizontal, "middle", "muted"))
    svg = (
        f'<svg viewBox="0 0 {_WIDTH} {_BOTTOM + (35 if horizontal else 20)}" aria-hidden="true">\n'
        + "\n".join(parts)
        + "\n</svg>"
    )
    has_intervals = any(mark.high is not None for mark in marks) and len(marks) <= _MOST_INTERVALS
    return Plot(heading, f"{caption} Lines: 95% confidence interval." if has_intervals else caption, svg)


def choose_date_ticks(first: date, last: date) -> list[Tick]:
    """Choose up to five days to label between two days: every few days, months or years."""
    span = (last - first).days
    for step in _DAY_STEPS:
        if span < step * _MOST_LABELS:
            days = [date.fromordinal(day) for day in range(first.toordinal(), last.toordinal() + 1, step)]
            return [(day.toordinal(), f"{day:%b} {day.day}") for day in days]
    months = 12 * (last.year - first.year) + last.month - first.month
    step = next((step for step in _MONTH_STEPS if months // step < _MOST_LABELS), _MONTH_STEPS[-1])
    start = 12 * first.year + first.month - 1
    numbers = range(-(-start // step) * step, 12 * last.year + last.month, step)
    days = [date(number // 12, number % 12 + 1, 1) for number in numbers]
    return [(day.toordinal(), f"{day:%Y}" if step >= 12 else f"{day:%b %Y}") for day in days]


def choose_number_ticks(first: int, last: int) -> list[Tick]:
    """Choose up to five whole numbers to label between two numbers."""
    sizes = (size * 10**power for power in range(10) for size in (1, 2, 5))
    step = next(size for size in sizes if (last - first) // size < _MOST_LABELS)
    return [(number, f"{number:,}") for number in range(-(-first // step) * step, last + 1, step)]


def write_integer(number: float) -> str:
    """Write a count on an axis: ``800``, ``1,500``, ``25k``, ``3M``."""
    for size, suffix in ((1e9, "B"), (1e6, "M"), (1e4, "")):
        if number >= size:
            return f"{number / size:g}{suffix}" if suffix else f"{number / 1e3:g}k"
    return f"{number:,g}"


def _draw_legend(marks: Iterable[Mark]) -> list[str]:
    """Draw the legend, if marks have more than one style."""
    styles = list(dict.fromkeys(mark.style for mark in marks))
    if len(styles) < 2:
        return []
    parts, x = [], 4.0
    for style in styles:
        parts.append(_draw_shapes(style, [(x, 25.0)], 6.0))
        parts.append(_write(x + 8, 28.5, style.label, "start", "muted"))
        x += 24 + _CHARACTER * len(style.label)
    return parts


def _draw_ticks(ticks: Sequence[tuple[float, str]]) -> list[str]:
    """Draw the labels of the horizontal axis. A label that would be cut or would touch the label before is left out."""
    parts, end = [], 0.0
    for x, label in ticks:
        half = _CHARACTER * len(label) / 2
        if x - half > end and x + half <= _WIDTH:
            parts.append(f'<path d="M{x:g} {_BOTTOM}v4" style="stroke: var(--muted)"/>')
            parts.append(_write(x, _BOTTOM + 16, label, "middle", "muted"))
            end = x + half + _CHARACTER
    return parts


def _draw_marks(
    marks: Sequence[Mark], locate_x: Callable[[float], float], locate_y: Callable[[float], float]
) -> list[str]:
    """Draw the intervals, and then the marks of each style in one element."""
    size = next((size for count, size in _SIZES if len(marks) <= count), _SMALLEST)
    parts = []
    groups: dict[Style, list[tuple[float, float]]] = {}
    whiskers = ""
    for mark in marks:
        x = locate_x(mark.place)
        groups.setdefault(mark.style, []).append((x, locate_y(mark.value)))
        if mark.low is not None and mark.high is not None and len(marks) <= _MOST_INTERVALS:
            whiskers += f"M{x:g} {locate_y(mark.high):g}V{locate_y(mark.low):g}"
    if whiskers:
        parts.append(f'<path d="{whiskers}" style="stroke: var(--muted); opacity: .55"/>')
    for style, points in groups.items():
        parts.append(_draw_shapes(style, points, size))
    return parts


def _draw_shapes(style: Style, points: Iterable[tuple[float, float]], size: float) -> str:
    color, half = f"var(--{style.color})", size / 2
    if style.shape == "dot":  # a line without length has round ends
        data = "".join(f"M{x:g} {y:g}h0" for x, y in points)
        return f'<path d="{data}" style="stroke: {color}; stroke-width: {size:g}; stroke-linecap: round"/>'
    half = max(half, 1.8)
    if style.shape == "square":
        data = "".join(f"M{x - half:.1f} {y - half:.1f}h{2 * half:g}v{2 * half:g}h{-2 * half:g}z" for x, y in points)
        return f'<path d="{data}" style="fill: var(--card); stroke: {color}; stroke-width: 1.3"/>'
    if style.shape == "cross":
        data = "".join(
            f"M{x - half:.1f} {y - half:.1f}l{2 * half:g} {2 * half:g}m0 {-2 * half:g}l{-2 * half:g} {2 * half:g}"
            for x, y in points
        )
        return f'<path d="{data}" style="fill: none; stroke: {color}; stroke-width: 1.3"/>'
    half += 1
    data = "".join(f"M{x - half:.1f} {y + half:.1f}l{half:g} {-2 * half:g}l{half:g} {2 * half:g}z" for x, y in points)
    return f'<path d="{data}" style="fill: {color}"/>'


def _draw_line(left: float, y: float, right: float) -> str:
    return f'<path d="M{left:g} {y:g}H{right:g}" style="stroke: var(--rule)"/>'


def _write(x: float, y: float, text: str, anchor: str, color: str) -> str:
    style = f"font-size: {_FONT}px; fill: var(--{color}); text-anchor: {anchor}"
    return f'<text x="{x:g}" y="{y:g}" style="{style}">{escape(text)}</text>'


def trace_steps(points: Sequence[tuple[float, float]], end: float) -> list[tuple[float, float]]:
    """Return the corners of a line of steps: a value holds from its place up to the place of the next value."""
    if not points:
        return []
    corners = [points[0]]
    for (_, before), (place, value) in pairwise(points):
        corners += [(place, before), (place, value)]
    return [*corners, (end, points[-1][1])]
