"""A waterfall of an explanation, drawn as SVG without a plotting library: from the mean prediction to the prediction.

Each column has an arrow that starts where the column above it ends. A filled arrow to the right raises the prediction,
and an outlined arrow to the left lowers it, so that nobody needs the colors to tell them apart. The axis is linear. It
need not start at 0, because a waterfall has places and differences, and no bars from 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from gamesales.report.format import format_amount, format_compact_money, format_count, format_kind
from gamesales.report.html import make_details, make_table
from gamesales.report.page import Document, TableRow
from gamesales.report.svg import Plot
from gamesales.stats.amounts import DOLLARS, amounts_in

# Of more columns, the smallest effects share an arrow.
_MOST_ARROWS = 12
# In the units of the histograms, so that the texts of all plots have the same size.
_WIDTH, _LEFT, _RIGHT, _TOP = 320, 8, 312, 6
_ROW, _BAR, _TIP, _FONT = 28, 9, 5, 10
# A tick that is closer to an end is left out, because its label would be cut.
_HALF_LABEL = 12
# A longer label would reach the amounts. The table has it whole.
_MOST_CHARACTERS = 36
# Round steps between two ticks, as multiples of a power of ten, and the largest number of steps.
_STEPS, _MOST_STEPS = (1, 2, 2.5, 5, 10), 6


def plot_waterfall(heading: str, explanation: Document) -> Plot:
    """Plot an explanation, with a table of the same numbers below.

    Args:
        heading: names the title.
        explanation: as in the report of a run.
    """
    unit, mean, prediction = (explanation[key] for key in ("unit", "mean", "prediction"))
    amounts = _list_amounts(explanation)
    difference = format_amount(abs(prediction - mean), unit, amounts)
    direction = "above" if prediction >= mean else "below"
    caption = f"Predicted {format_amount(prediction, unit, amounts)}, {difference} {direction} the mean."
    return Plot(heading, caption, _draw(explanation), _make_table(heading, explanation))


def _list_amounts(explanation: Document) -> list[float]:
    """List all amounts, which are written with the same precision."""
    return [explanation["prediction"], explanation["mean"], *(effect["effect"] for effect in explanation["effects"])]


def _name_mean(explanation: Document) -> str:
    return f"mean of {format_count(explanation['reference_titles'], 'reference title')}"


def _name_effect(effect: Document) -> str:
    return f"{effect['column']}: {format_kind(effect['value'], effect['kind'], effect['unit'])}"


def _make_table(heading: str, explanation: Document) -> str:
    unit, amounts, effects = explanation["unit"], _list_amounts(explanation), explanation["effects"]
    is_sampled = any(effect["standard_error"] is not None for effect in effects)
    rows = [TableRow(_name_mean(explanation), (format_amount(explanation["mean"], unit, amounts), *[""] * is_sampled))]
    for effect in effects:
        cells = [format_amount(effect["effect"], unit, amounts, signed=True)]
        if is_sampled:
            cells.append(format_amount(effect["standard_error"], unit, amounts))
        rows.append(TableRow(_name_effect(effect), cells))
    rows.append(TableRow("prediction", (format_amount(explanation["prediction"], unit, amounts), *[""] * is_sampled)))
    headings = ["Column", "Effect", *(["Standard error"] if is_sampled else [])]
    return make_details("As a table", make_table(f"Explanation of {heading}", headings, rows))


def _draw(explanation: Document) -> str:
    steps = _group_effects(explanation["effects"])
    unit, amounts = explanation["unit"], _list_amounts(explanation)
    ends = [explanation["mean"]]
    for _, effect, _ in steps:
        ends.append(ends[-1] + effect)
    low, high = min(ends), max(ends)
    margin = 0.04 * (high - low) or 1.0
    scale = _Scale(low - margin, high + margin)
    bottom = _TOP + _ROW * (len(steps) + 2)
    parts = _draw_axis(scale, bottom, unit)
    parts += _draw_row(0, _name_mean(explanation), format_amount(explanation["mean"], unit, amounts))
    parts.append(_draw_mark(0, scale.place(ends[0])))
    for number, (label, effect, error) in enumerate(steps, 1):
        start, end = scale.place(ends[number - 1]), scale.place(ends[number])
        amount = format_amount(effect, unit, amounts, signed=True)
        if error is not None:
            amount += f" ± {format_amount(error, unit, amounts)}"
        parts += [_draw_connector(number, start), _draw_arrow(number, start, end), *_draw_row(number, label, amount)]
    last = len(steps) + 1
    parts.append(_draw_connector(last, scale.place(ends[-1])))
    parts += _draw_row(last, "prediction", format_amount(explanation["prediction"], unit, amounts))
    parts.append(_draw_mark(last, scale.place(ends[-1])))
    svg = "\n".join(parts)
    return f'<svg viewBox="0 0 {_WIDTH} {bottom + 22}" aria-hidden="true">\n{svg}\n</svg>'


def _group_effects(effects: Sequence[Document]) -> list[tuple[str, float, float | None]]:
    """Return the label, the effect and the standard error of each arrow, largest first."""
    count = len(effects) if len(effects) <= _MOST_ARROWS else _MOST_ARROWS - 1
    steps = [(_name_effect(effect), effect["effect"], effect["standard_error"]) for effect in effects[:count]]
    if others := effects[count:]:
        steps.append((f"{len(others)} other columns", math.fsum(effect["effect"] for effect in others), None))
    return steps


class _Scale:
    """Places amounts between the ends of the axis."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def place(self, amount: float) -> float:
        return round(_LEFT + (_RIGHT - _LEFT) * (amount - self.low) / (self.high - self.low), 1)

    def list_ticks(self) -> list[float]:
        """List round amounts between the ends."""
        least = (self.high - self.low) / _MOST_STEPS
        power = 10.0 ** math.floor(math.log10(least))
        step = next(size * power for size in _STEPS if size * power >= least * (1 - 1e-9))
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [number * step for number in range(first, last + 1)]


def _draw_axis(scale: _Scale, bottom: int, unit: str) -> list[str]:
    parts = []
    for tick in scale.list_ticks():
        x = scale.place(tick)
        if _LEFT + _HALF_LABEL <= x <= _RIGHT - _HALF_LABEL:
            parts.append(f'<path d="M{x} {_TOP}V{bottom}" style="stroke: var(--rule)"/>')
            with amounts_in(unit):
                label = format_compact_money(tick) if unit == DOLLARS else f"{tick:g}".replace("-", "−")
            parts.append(_write(x, bottom + 14, label, "middle", "muted"))
    return parts


def _draw_row(number: int, label: str, amount: str) -> list[str]:
    y = _TOP + _ROW * number + 10
    label = label if len(label) <= _MOST_CHARACTERS else f"{label[: _MOST_CHARACTERS - 1]}…"
    return [_write(_LEFT, y, label, "start", "ink"), _write(_RIGHT, y, amount, "end", "ink")]


def _find_bar(number: int) -> int:
    """Return the upper edge of the arrow of a row."""
    return _TOP + _ROW * number + 14


def _draw_mark(number: int, x: float) -> str:
    y = _find_bar(number)
    return f'<path d="M{x} {y}V{y + _BAR}" style="stroke: var(--ink); stroke-width: 3"/>'


def _draw_connector(number: int, x: float) -> str:
    y = _find_bar(number)
    return f'<path d="M{x} {y - _ROW + _BAR}V{y}" style="stroke: var(--muted); stroke-dasharray: 2 2"/>'


def _draw_arrow(number: int, start: float, end: float) -> str:
    """Draw an arrow between two places: filled to the right, and only its outline to the left."""
    y, middle = _find_bar(number), _find_bar(number) + _BAR / 2
    tip = min(_TIP, abs(end - start))
    neck = round(end - math.copysign(tip, end - start), 1)
    color = "fill: var(--accent)" if end >= start else "fill: var(--card); stroke: var(--second); stroke-width: 1.5"
    return f'<path d="M{start} {y}H{neck}L{end} {middle}L{neck} {y + _BAR}H{start}Z" style="{color}"/>'


def _write(x: float, y: float, text: str, anchor: str, color: str) -> str:
    # The outline of the text hides the lines behind it.
    outline = "stroke: var(--card); stroke-width: 3px; paint-order: stroke"
    style = f"font-size: {_FONT}px; fill: var(--{color}); text-anchor: {anchor}; {outline}"
    return f'<text x="{x}" y="{y}" style="{style}">{escape(text)}</text>'
