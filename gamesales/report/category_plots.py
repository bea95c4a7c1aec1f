"""Plots of categories and dates on a version's page: the average prediction by the text of a value, or over dates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.data.categories import shorten_label
from gamesales.data.dates import format_date
from gamesales.report.format import format_money
from gamesales.report.histogram import cut_label
from gamesales.report.page import Document
from gamesales.report.svg import PALETTE, Plot, format_axis, open_axes, render_svg
from gamesales.stats.amounts import label_amounts

if TYPE_CHECKING:
    from matplotlib.axis import Axis

# Rows that fit into the usual height.
_ROWS = 8
_DATE_TICKS = 3


def plot_category(dependence: Document) -> Plot:
    """Plot the average prediction for each value of a category, with a bar for the changes of single titles."""
    mean, low, high = (
        np.array(dependence[key], np.float64) for key in ("prediction_mean", "prediction_low", "prediction_high")
    )
    name, labels = (
        shorten_label(dependence["columns"][0]),
        [cut_label(shorten_label(label)) for label in dependence["labels"]],
    )
    rows = np.arange(len(mean))[::-1]
    height = max(1.0, len(mean) / _ROWS)
    with open_axes(f"dependence-{name}", "", label_amounts("Average prediction"), height) as (figure, axes):
        axes.hlines(rows, mean[0] + low, mean[0] + high, color=PALETTE["accent"], lw=5, alpha=0.25)
        axes.plot(mean, rows, "o", ms=5, color=PALETTE["accent"])
        axes.set_yticks(rows, labels)
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x")
        axes.set_ylim(-0.6, len(mean) - 0.4)
        format_axis(axes.xaxis)
        svg = render_svg(figure)
    lowest, highest = int(mean.argmin()), int(mean.argmax())
    amounts = [float(mean[lowest]), float(mean[highest])]
    caption = (
        f"Partial dependence: {format_money(amounts[0], amounts)} on average for {labels[lowest]}, "
        f"{format_money(amounts[1], amounts)} for {labels[highest]}, all else equal. The most frequent values are at "
        f"the top. Bar: the change from {labels[0]}, for 80% of titles."
    )
    return Plot(name, caption, svg)


def label_dates(axis: Axis, days: FloatArray) -> None:
    """Write three dates in ISO 8601 on an axis of days since 1970-01-01."""
    ticks = np.unique(np.linspace(days[0], days[-1], _DATE_TICKS).round())
    axis.set_ticks(ticks, list(map(format_date, ticks)))
