"""Plots of results as SVG, and the headline of the page.

Bars start at 0 on a linear axis. A line on each bar leads from the smallest to the largest value of all rounds. The bar
of gamesales is filled and the others are outlined, so that nobody needs the colors to tell them apart. A plot has a
background of its own, and follows the light or dark mode of its reader.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from benchmarks.bench import OURS, load_contenders
from benchmarks.tables import BASE_ROWS, by_round, compute_rates, format_number, group, select, show

# The case and the contender of the headline.
CASE, COURSE = "parquet, continuous titles", "course"
FOLDER = "images"
NOTE = """Both plots: Parquet to Parquet, continuous titles, whole processes ([scoring](#scoring)). The line on a bar
leads from the smallest to the largest value of all rounds."""

# In pixels. Labels are above their bars, so that a plot is legible on a phone.
_WIDTH, _LEFT, _RIGHT, _TOP = 480, 16, 464, 52
_ROW, _BAR = 42, 14
_STEPS, _MOST_STEPS = (1, 2, 2.5, 5, 10), 6
_STYLE = """\
text { font: 12px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: #1a1d21; }
text { stroke: #ffffff; stroke-width: 4px; paint-order: stroke; }
.title { font-weight: 600; font-size: 14px; } .muted { fill: #5f6770; } .card { fill: #ffffff; stroke: #e1e4e8; }
.rule { stroke: #e1e4e8; } .ours { fill: #2159c4; stroke: #2159c4; } .other { fill: none; stroke: #5f6770; }
.range { stroke: #1a1d21; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
  text { fill: #e8eaed; stroke: #1a1d21; } .muted { fill: #9aa3ad; } .card { fill: #1a1d21; stroke: #2d3238; }
  .rule { stroke: #2d3238; } .ours { fill: #85aefc; stroke: #85aefc; } .other { stroke: #9aa3ad; }
  .range { stroke: #e8eaed; }
}"""


@dataclass(frozen=True)
class BarPlot:
    """A plot with a bar for each contender.

    Attributes:
        name: of its file, without a suffix.
        heading: what is measured.
        axis: the unit of the axis.
        unit: the unit of the values, as ``tables.show`` takes it.
        scale: the number of units of the values in a unit of the axis.
        filled: the label of the filled bar.
        bars: the label of each contender, and its values in all rounds.
    """

    name: str
    heading: str
    axis: str
    unit: str
    scale: float
    filled: str
    bars: Sequence[tuple[str, Sequence[float]]]

    @property
    def path(self) -> str:
        """The path of its file, relative to the page."""
        return f"{FOLDER}/{self.name}.svg"

    def describe(self) -> str:
        """Return the text alternative: the heading, and the median of each bar."""
        medians = (f"{label} {show([statistics.median(values)], self.unit)}" for label, values in self.bars)
        return f"{self.heading}: {'; '.join(medians).replace(' (once)', '')}"


def build_plots(results: Mapping[str, Any]) -> list[BarPlot]:
    """Build the plots of a page; none without measurements of gamesales in the suite of scoring."""
    groups = group(_select_runs(results), "contender")
    if OURS not in groups:
        return []
    labels = {contender.name: contender.label for contender in load_contenders()}
    rates = {labels[name]: [*compute_rates(runs).values()] for name, runs in groups.items()}
    times = {labels[name]: [*by_round(select(runs, rows=BASE_ROWS)).values()] for name, runs in groups.items()}
    title, ours = f"Time for {BASE_ROWS:,} titles, start-up included", labels[OURS]
    plots = (
        BarPlot(
            "benchmarks-rates", "Rows per second", "million rows per second", "rows/s", 1e6, ours, _rank(rates)[::-1]
        ),
        BarPlot("benchmarks-times", title, "seconds", "s", 1, ours, _rank(times)),
    )
    return [plot for plot in plots if plot.bars]


def _rank(bars: Mapping[str, Sequence[float]]) -> list[tuple[str, Sequence[float]]]:
    """Return the bars that have values, the lowest median first."""
    return sorted(
        ((label, values) for label, values in bars.items() if values), key=lambda bar: statistics.median(bar[1])
    )


def write_headline(results: Mapping[str, Any]) -> str:
    """Return the most important result in two sentences; empty without measurements of gamesales."""
    ours, course = (select(_select_runs(results), contender=name) for name in (OURS, COURSE))
    rates, slow_rates = compute_rates(ours), compute_rates(course)
    ratios = [rates[number] / slow_rates[number] for number in rates.keys() & slow_rates.keys()]
    if not ratios:
        return ""
    first, slow_first = (
        format_number(statistics.median(by_round(select(runs, rows=BASE_ROWS)).values())) for runs in (ours, course)
    )
    millions = format_number(statistics.median(rates.values()) / 1e6)
    return (
        f"**On {results['machine']['cores']} cores, gamesales scores {millions} million titles per second, "
        f"{format_number(statistics.median(ratios))} times as many as pandas with Keras. {BASE_ROWS:,} titles take "
        f"{first} s instead of {slow_first} s.**"
    )


def draw(plot: BarPlot) -> str:
    """Draw a plot as an SVG file."""
    largest = max(max(values) for _, values in plot.bars) / plot.scale
    step = _choose_step(largest)
    limit = step * math.ceil(largest / step * (1 - 1e-9))
    bottom = _TOP + _ROW * len(plot.bars)

    def place(value: float) -> float:
        return round(_LEFT + (_RIGHT - _LEFT) * value / limit, 1)

    parts = [_write(_LEFT, 30, plot.heading, "title")]
    for tick in range(round(limit / step) + 1):
        x, anchor = place(tick * step), "start" if not tick else "end" if tick * step >= limit else "middle"
        parts.append(f'<path class="rule" d="M{x} {_TOP - 8}V{bottom}"/>')
        parts.append(_write(x, bottom + 16, f"{tick * step:g}", "muted", anchor))
    parts.append(_write((_LEFT + _RIGHT) / 2, bottom + 34, plot.axis, "muted", "middle"))
    for number, (label, values) in enumerate(plot.bars):
        y = _TOP + _ROW * number
        low, median, high = (place(pick(values) / plot.scale) for pick in (min, statistics.median, max))
        kind = "ours" if label == plot.filled else "other"
        parts.append(f'<path class="{kind}" d="M{_LEFT} {y + 17}H{median}v{_BAR}H{_LEFT}z"/>')
        parts.append(f'<path class="range" d="M{low} {y + 17 + _BAR / 2}H{high}"/>')
        parts += [_write(_LEFT, y + 11, label), _write(_RIGHT, y + 11, show(values, plot.unit), anchor="end")]
    height = bottom + 46
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
        f'height="{height}" role="img">\n<title>{escape(plot.describe())}</title>\n<style>\n{_STYLE}\n</style>\n'
        f'<rect class="card" x="0.5" y="0.5" width="{_WIDTH - 1}" height="{height - 1}" rx="8"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _select_runs(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    return select(results["suites"].get("scoring", {"runs": []})["runs"], case=CASE)


def _choose_step(largest: float) -> float:
    """Choose a round step between two ticks of an axis from 0 to the largest value."""
    least = largest / _MOST_STEPS
    power = 10.0 ** math.floor(math.log10(least))
    return next(size * power for size in _STEPS if size * power >= least * (1 - 1e-9))


def _write(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    name = f' class="{kind}"' if kind else ""
    return f'<text{name} x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'
