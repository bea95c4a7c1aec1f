"""The plots of how surely a version is good, and of what it makes of each column; drawn from its ``evaluation``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.report.format import compact_money, count, finite, money, signed_money
from gamesales.report.svg import PALETTE, Plot, finish, open_axes

Document = Mapping[str, Any]

_LONGEST_NAME = 26
# Lines of a plot of changes that fit into a figure of the usual height.
_LINES = 8
# More columns than these are not drawn: the page would be heavy, and nobody reads on.
MOST_DRAWN = 12


def plot_learning_curve(curve: Document) -> Plot:
    """Draw the average error by the number of titles that were learnt from."""
    from matplotlib import ticker

    points = curve["points"]
    titles = np.array([point["titles"] for point in points], np.float64)
    value, low, high = (
        np.array([_or_value(point["mae"], key) for point in points]) for key in ("value", "low", "high")
    )
    with open_axes("learning-curve", "Average error", "Titles learnt from") as (figure, axes):
        axes.set_xscale("log")
        axes.fill_between(titles, low, high, color=PALETTE["accent"], alpha=0.14, lw=0)
        axes.plot(titles, value, lw=1.5, marker="o", ms=4, color=PALETTE["accent"])
        axes.set_ylim(0, float(max(high.max(), value.max())) * 1.05 or 1.0)
        axes.set_xticks(titles, [f"{size:,.0f}" for size in titles])
        axes.xaxis.set_minor_locator(ticker.NullLocator())
        axes.yaxis.set_major_locator(ticker.MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda usd, _: compact_money(usd)))
        svg = finish(figure)
    return Plot("Would more titles help?", _last_doubling(curve["last_doubling"], value), svg)


def _last_doubling(change: Document, value: FloatArray) -> str:
    fell = f"The last doubling took the average error from {money(float(value[-2]))} to {money(float(value[-1]))}"
    if change["high"] is not None and change["high"] < 0:
        return f"{fell}: more titles are likely to help. The band is 95\u00a0% sure; one network a point."
    if change["low"] is not None and change["low"] > 0:
        return f"{fell}: training may be too short for so many titles. The band is 95\u00a0% sure; one network a point."
    return f"{fell}, within chance: more titles may not help. The band is 95\u00a0% sure; one network a point."


def _or_value(estimate: Document, key: str) -> float:
    found = estimate[key]
    return float(estimate["value"] if found is None else found)


def plot_dependence(part: Document) -> Plot:
    """Draw what is predicted on average, by the value of one column, with the spread of single titles' changes."""
    from matplotlib import ticker

    value, mean, low, high = (
        np.array(part[key], np.float64) for key in ("values", "prediction_mean", "prediction_low", "prediction_high")
    )
    name = part["columns"][0]
    with open_axes(f"dependence-{name}", "Predicted on average", _short(name)) as (figure, axes):
        axes.fill_between(value, mean[0] + low, mean[0] + high, color=PALETTE["accent"], alpha=0.14, lw=0)
        axes.plot(value, mean, lw=1.5, marker="o", ms=3.5, color=PALETTE["accent"])
        axes.xaxis.set_major_locator(ticker.MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
        axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda number, _: _tick(number, part["kind"])))
        axes.yaxis.set_major_locator(ticker.MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda usd, _: compact_money(usd)))
        svg = finish(figure)
    change, first, last = mean[-1] - mean[0], part["labels"][0], part["labels"][-1]
    caption = (
        f"{signed_money(float(change))} from {first} to {last}, all else equal; the band holds eight titles in ten."
    )
    return Plot(name, caption, svg)


def _tick(number: float, kind: str) -> str:
    return compact_money(number) if kind in ("price", "money") else f"{number:g}".replace("-", "−")


def plot_changes(parts: Sequence[Document]) -> Plot:
    """Draw what setting each flag does to the prediction, and each of a group of flags beside the group's first."""
    from matplotlib import ticker

    lines = sorted(_changes(parts), key=lambda line: line[1])
    names = [_short(name) for name, *_ in lines]
    mean, low, high = (np.array([line[place] for line in lines]) for place in (1, 2, 3))
    place = np.arange(len(lines))
    with open_axes("changes", "", "Change of the prediction", max(1.0, len(lines) / _LINES)) as (figure, axes):
        axes.axvline(0, color=PALETTE["ink"], lw=0.8, ls=(0, (4, 3)))
        axes.hlines(place, low, high, color=PALETTE["accent"], lw=5, alpha=0.25)
        axes.plot(mean, place, "o", ms=5, color=PALETTE["accent"])
        axes.set_yticks(place, names)
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x")
        axes.set_ylim(-0.6, len(lines) - 0.4)
        axes.xaxis.set_major_locator(ticker.MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda usd, _: compact_money(usd)))
        svg = finish(figure)
    firsts = [part["labels"][0] for part in parts if part["kind"] == "flags"]
    beside = f" Of flags that exclude each other, beside {' and '.join(firsts)}." if firsts else ""
    caption = f"From no to yes, all else equal: the dot on average, the bar for eight titles in ten.{beside}"
    return Plot("What a flag changes", caption, svg)


def _changes(parts: Sequence[Document]) -> list[tuple[str, float, float, float]]:
    """Collect name, mean, low and high of each change."""
    return [
        (
            part["columns"][-1] if part["kind"] == "flag" else part["labels"][place],
            mean - part["prediction_mean"][0],
            low,
            high,
        )
        for part in parts
        for place, (mean, low, high) in enumerate(
            zip(part["prediction_mean"], part["prediction_low"], part["prediction_high"], strict=True)
        )
        if place
    ]


def plots_of_dependence(parts: Sequence[Document], order: Sequence[str]) -> list[Plot]:
    """Draw every column, the most important first: flags in one plot, each other column in its own."""
    rank = {name: place for place, name in enumerate(order)}
    varying = sorted(
        (part for part in parts if len(part["prediction_mean"]) > 1), key=lambda part: rank[part["columns"][0]]
    )
    varying = [part for part in varying if all(map(finite, part["prediction_mean"]))]
    flags = [part for part in varying if part["kind"] in ("flag", "flags")]
    others = [part for part in varying if part not in flags][:MOST_DRAWN]
    return [*([plot_changes(flags)] if flags else []), *map(plot_dependence, others)]


def left_out(parts: Sequence[Document]) -> str:
    """Say which columns are constant, and so have no plot."""
    constant = [part["columns"][0] for part in parts if len(part["prediction_mean"]) == 1]
    return f"{count(len(constant), 'column')} without a plot, being constant in training." if constant else ""


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
