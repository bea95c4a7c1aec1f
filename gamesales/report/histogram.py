"""Two histograms in the same bins, drawn as SVG without a plotting library: training and a run.

Each bin has two bars, the share of the training titles and the share of the run. The bins have different widths, so
they are listed one below the other with their ranges, and no axis pretends that they are equally wide. The bars start
at 0. Training is an outline and the run is filled, so that nobody needs the colors to tell them apart.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Sequence
from html import escape
from itertools import pairwise

from gamesales.report.svg import Plot

# In units of the plots that matplotlib draws: a label of 10 is as large as theirs.
_WIDTH, _LEFT, _RIGHT, _TOP = 320, 104, 306, 30
_ROW, _BAR, _FONT = 23, 8, 10
# A longer label needs more space than _LEFT, and is cut to this many characters. Wide characters count twice.
_CHARACTER, _GAP, _MAX_LABEL = 6.3, 10, 22
# Ends of the axis in percent, and the distance of its ticks.
_SCALES = ((5, 1), (10, 2), (20, 5), (40, 10), (60, 20), (100, 25))


def plot_histograms(
    heading: str, caption: str, labels: Sequence[str], training: Sequence[int], counts: Sequence[int]
) -> Plot:
    """Plot the share of the training titles and of the titles of a run in each bin.

    Args:
        heading: the heading of the plot.
        caption: its caption.
        labels: the range of each bin, b texts.
        training: the training titles in each bin, b numbers with a sum above 0.
        counts: the titles of the run in each bin, b numbers. All may be 0.
    """
    labels = [cut_label(label) for label in labels]
    left = max(_LEFT, round(_GAP + _CHARACTER * max(map(_measure_width, labels))))
    before, now = _compute_shares(training), _compute_shares(counts)
    limit, step = next((scale for scale in _SCALES if scale[0] >= max(*before, *now) - 1e-9), _SCALES[-1])
    bottom = _TOP + _ROW * len(labels) + 4
    parts = [*_draw_legend(left), *_draw_axis(left, limit, step, bottom)]
    for number, (label, *shares) in enumerate(zip(labels, before, now, strict=True)):
        top = _TOP + _ROW * number + 3
        parts.append(_write(left - 6, top + 12, label, "end", "ink"))
        widths = [round((_RIGHT - left) * share / limit, 1) for share in shares]
        parts.append(_draw_bar(left, top, widths[0], is_filled=False))
        parts.append(_draw_bar(left, top + _BAR + 1, widths[1], is_filled=True))
    svg = f'<svg viewBox="0 0 {_WIDTH} {bottom + 32}" aria-hidden="true">\n' + "\n".join(parts) + "\n</svg>"
    return Plot(heading, caption, svg)


def label_bins(edges: Sequence[float], write: Callable[[float], str]) -> list[str]:
    """Write the ranges of the bins between edges. A column with the values 0 and 1 is a flag."""
    if list(edges) == [0.5]:
        return ["0 (no)", "1 (yes)"]
    if not edges:
        return ["all values"]
    texts = list(map(write, edges))
    if len(set(texts)) < len(texts):  # such as years, which differ in their last digit
        texts = [f"{edge:.7g}".replace("-", "−") for edge in edges]
    middle = [f"{low} to {high}" for low, high in pairwise(texts)]
    return [f"below {texts[0]}", *middle, f"{texts[-1]} or more"]


def write_number(number: float) -> str:
    """Write an edge of a bin in few characters: ``49.99``, ``1.2e+06``."""
    return f"{number:.4g}".replace("-", "−")


def write_amount(amount: float, sign: str = "$") -> str:
    """Write an edge in dollars in few characters: ``$950``, ``$43.2k``, ``$1.25M``. Other units have no ``sign``."""
    rounded = float(f"{amount:.3g}")
    for size, suffix in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(rounded) >= size:
            return f"{'−' if amount < 0 else ''}{sign}{abs(rounded) / size:.3g}{suffix}"
    return f"{'−' if amount < 0 else ''}{sign}{abs(rounded):.3g}"


def write_price(price: float) -> str:
    """Write an edge in dollars and cents, and a large edge in few characters: ``$44.99``, ``$1.25M``."""
    return write_amount(price) if abs(price) >= 1000 else f"{'−' if price < 0 else ''}${abs(price):.2f}"


def cut_label(label: str) -> str:
    """Cut a label to the space that a plot has for it."""
    if _measure_width(label) <= _MAX_LABEL:
        return label
    while _measure_width(label) >= _MAX_LABEL:
        label = label[:-1]
    return f"{label}…"


def _measure_width(label: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in label)


def _compute_shares(counts: Sequence[int]) -> list[float]:
    """Return the share of each bin in percent."""
    total = math.fsum(counts)
    return [100 * count / total if total else 0.0 for count in counts]


def _draw_legend(left: int) -> list[str]:
    return [
        _draw_bar(left, 6, 16, is_filled=False),
        _write(left + 21, 14, "training", "start", "muted"),
        _draw_bar(left + 82, 6, 16, is_filled=True),
        _write(left + 103, 14, "this run", "start", "muted"),
    ]


def _draw_axis(left: int, limit: int, step: int, bottom: int) -> list[str]:
    parts = [_write((left + _RIGHT) // 2, bottom + 28, "share of the titles", "middle", "muted")]
    for percent in range(0, limit + 1, step):
        x = round(left + (_RIGHT - left) * percent / limit, 1)
        parts.append(f'<path d="M{x} {_TOP - 4}V{bottom}" style="stroke: var(--rule)"/>')
        parts.append(_write(x, bottom + 13, f"{percent}%", "middle", "muted"))
    return parts


def _draw_bar(x: float, y: float, width: float, *, is_filled: bool) -> str:
    if is_filled:
        return f'<rect x="{x}" y="{y}" width="{width}" height="{_BAR}" style="fill: var(--accent)"/>'
    inner = max(width - 1, 0)  # the outline is half outside of its rectangle
    return (
        f'<rect x="{x + 0.5}" y="{y + 0.5}" width="{inner:g}" height="{_BAR - 1}" '
        'style="fill: none; stroke: var(--muted)"/>'
    )


def _write(x: float, y: float, text: str, anchor: str, color: str) -> str:
    style = f"font-size: {_FONT}px; fill: var(--{color}); text-anchor: {anchor}"
    return f'<text x="{x}" y="{y}" style="{style}">{escape(text)}</text>'
