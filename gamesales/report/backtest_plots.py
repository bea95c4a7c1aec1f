"""Plots of figures over time, a line for each version."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from gamesales.report.canvas import PALETTE, Plot, finish, open_axes

Array = npt.NDArray[np.float64]

# More versions than these share colours, and are told apart by the marks.
_COLOURS = ("accent", "second", "ink", "muted")
_MARKS = ("o", "s", "^", "D", "v")
# Of more dates than this the marks would touch.
_MOST_MARKS = 60


@dataclass(frozen=True)
class Series:
    """One version's figure by date.

    ``values`` float64 (d,) with a band from ``low`` to ``high``, float64 (d,) each, NaN where there is none;
    ``reference`` is what the figure is held to, drawn dashed; None: nothing.
    """

    label: str
    dates: Sequence[date]
    values: Array
    low: Array
    high: Array
    reference: float | None = None


def plot_over_time(
    name: str,
    heading: str,
    caption: str,
    vertical: str,
    series: Sequence[Series],
    tick: Callable[[float], str],
    *,
    zero: bool = False,
) -> Plot:
    """Draw a figure over time.

    Args:
        name: tells this plot from others on the page.
        heading: what it shows.
        caption: what to see in it.
        vertical: the figure and its unit.
        series: the versions.
        tick: writes a value of the figure.
        zero: whether 0 means "right", and has a line of its own.
    """
    from matplotlib import dates, ticker

    time_axis: Any = dates  # its functions carry no types

    with open_axes(name, vertical, "") as (figure, axes):
        if zero:
            axes.axhline(0, color=PALETTE["ink"], lw=0.8, ls=(0, (4, 3)))
        for place, one in enumerate(series):
            colour = PALETTE[_COLOURS[place % len(_COLOURS)]]
            days = np.asarray(time_axis.date2num(list(one.dates)), np.float64)
            mark = _MARKS[place % len(_MARKS)] if len(days) <= _MOST_MARKS else ""
            axes.fill_between(days, one.low, one.high, color=colour, alpha=0.14, lw=0)
            axes.plot(days, one.values, lw=1.5, marker=mark, ms=3.5, color=colour, label=one.label)
            if one.reference is not None:
                ends = [days[0] - 0.4, days[-1] + 0.4]
                axes.plot(ends, [one.reference] * 2, color=colour, lw=0.9, ls=(0, (4, 3)))
        locator = time_axis.AutoDateLocator(minticks=2, maxticks=6)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(time_axis.ConciseDateFormatter(locator))
        axes.yaxis.set_major_locator(ticker.MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: tick(value)))
        if len(series) > 1:
            axes.legend(loc="best", labelcolor=PALETTE["ink"], handlelength=1.4)
        svg = finish(figure)
    return Plot(heading, caption, svg)
