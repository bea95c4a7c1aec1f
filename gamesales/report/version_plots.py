"""Plots of a version's ``evaluation``: its learning curve, and how its predictions depend on each feature."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.report.category_plots import label_dates, plot_category
from gamesales.report.format import (
    MISSING_CELL,
    format_compact_money,
    format_count,
    format_money,
    format_signed_money,
    is_finite,
)
from gamesales.report.page import Document
from gamesales.report.svg import DASHED, PALETTE, Plot, format_axis, open_axes, render_svg
from gamesales.stats.amounts import DOLLARS, amounts_in, label_amounts

_MAX_NAME = 26
# Rows of the plot of flags that fit into the usual height.
_ROWS = 8
# Plots of further features would make the page heavy.
_MAX_FEATURE_PLOTS = 12


def plot_learning_curve(curve: Document) -> Plot:
    """Plot the average error on the test titles against the number of training titles."""
    from matplotlib import ticker

    points = curve["points"]
    titles = np.array([point["titles"] for point in points], np.float64)
    value, low, high = (
        np.array([_get_bound(point["mae"], key) for point in points]) for key in ("value", "low", "high")
    )
    with open_axes("learning-curve", label_amounts("Average error"), "Training titles (log scale)") as (figure, axes):
        axes.set_xscale("log")
        axes.fill_between(titles, low, high, color=PALETTE["accent"], alpha=0.14, lw=0)
        axes.plot(titles, value, lw=1.5, marker="o", ms=4, color=PALETTE["accent"])
        axes.set_ylim(0, float(max(high.max(), value.max())) * 1.05 or 1.0)
        axes.set_xticks(titles, [f"{size:,.0f}" for size in titles])
        axes.xaxis.set_minor_locator(ticker.NullLocator())
        format_axis(axes.yaxis)
        svg = render_svg(figure)
    caption = f"Learning curve. {_describe_last_doubling(curve['last_doubling'], value)}"
    legend = "Band: 95% confidence interval. One network per point."
    return Plot("Would more titles help?", f"{caption} {legend}", svg)


def _describe_last_doubling(change: Document, value: FloatArray) -> str:
    fact = (
        f"The last doubling of the training titles changed the average error from {format_money(float(value[-2]))} to "
        f"{format_money(float(value[-1]))}"
    )
    if change["high"] is not None and change["high"] < 0:
        return f"{fact}, so more titles are likely to help."
    if change["low"] is not None and change["low"] > 0:
        return f"{fact}, so training may be too short for the number of titles."
    return f"{fact}. The difference is within chance, so more titles may not help."


def _get_bound(estimate: Document, key: str) -> float:
    """Return a bound of an estimate, or its value if it has no interval."""
    bound = estimate[key]
    return float(estimate["value"] if bound is None else bound)


def plot_dependences(dependences: Sequence[Document], order: Sequence[str]) -> list[Plot]:
    """Plot how predictions depend on each feature: all flags in one plot, each other feature in its own.

    Args:
        dependences: the evaluation's ``dependence``.
        order: names of the features, the most important first.
    """
    rank = {name: place for place, name in enumerate(order)}
    varying = [dependence for dependence in dependences if len(dependence["prediction_mean"]) > 1]
    varying.sort(key=lambda dependence: rank[dependence["columns"][0]])
    varying = [dependence for dependence in varying if all(map(is_finite, dependence["prediction_mean"]))]
    flags = [dependence for dependence in varying if dependence["kind"] in ("flag", "flags")]
    others = [dependence for dependence in varying if dependence not in flags][:_MAX_FEATURE_PLOTS]
    plots = [(plot_category if _is_choice(effect) else plot_partial_dependence)(effect) for effect in others]
    return [*([plot_flag_effects(flags)] if flags else []), *plots]


def _is_choice(dependence: Document) -> bool:
    """Return whether a plot has no axis of numbers: for a category, or for one value that may be missing."""
    return dependence["kind"] == "category" or sum(value is not None for value in dependence["values"]) < 2


def describe_constant_features(dependences: Sequence[Document]) -> str:
    """Say how many features are constant, and so have no plot; empty if there are none."""
    constant = sum(len(dependence["prediction_mean"]) == 1 for dependence in dependences)
    if not constant:
        return ""
    return f"No plot for {format_count(constant, 'feature')} without variation in the training titles."


def plot_partial_dependence(dependence: Document) -> Plot:
    """Plot the average prediction against one feature, with a band for the changes of single titles."""
    values, mean, low, high = (
        np.array(dependence[key], np.float64)
        for key in ("values", "prediction_mean", "prediction_low", "prediction_high")
    )
    with_missing, is_present = mean, np.isfinite(values)  # a missing cell is last, and has no value
    values, mean, low, high = (numbers[is_present] for numbers in (values, mean, low, high))
    name, is_money = dependence["columns"][0], "$" in dependence["labels"][0]
    _, _, unit = dependence["labels"][0].partition(" ")  # "2 stars"
    horizontal = _shorten(name) + (f", {unit}" if unit else "")
    with open_axes(f"dependence-{name}", label_amounts("Average prediction"), horizontal) as (figure, axes):
        axes.fill_between(values, mean[0] + low, mean[0] + high, color=PALETTE["accent"], alpha=0.14, lw=0)
        axes.plot(values, mean, lw=1.5, marker="o", ms=3.5, color=PALETTE["accent"])
        if not is_present.all():
            axes.axhline(with_missing[-1], **DASHED)
        if dependence["kind"] == "date":
            label_dates(axes.xaxis, values)
        else:
            format_axis(axes.xaxis, _format_dollars if is_money else _format_number, ticks=6)
        format_axis(axes.yaxis)
        svg = render_svg(figure)
    change, first, last = mean[-1] - mean[0], dependence["labels"][0], dependence["labels"][len(values) - 1]
    dashed = "" if is_present.all() else " Dashed line: a missing value."
    caption = (
        f"Partial dependence: {format_signed_money(float(change))} from {first} to {last}, all else equal. "
        f"Band: 80% of titles.{dashed}"
    )
    return Plot(name, caption, svg)


def _format_dollars(amount: float) -> str:
    with amounts_in(DOLLARS):  # whatever the unit of the predictions is
        return format_compact_money(amount)


def _format_number(number: float) -> str:
    return f"{number:g}".replace("-", "−")


def plot_flag_effects(dependences: Sequence[Document]) -> Plot:
    """Plot how each flag changes the prediction; flags of a group are compared with the first flag of the group."""
    effects = sorted(_list_effects(dependences), key=lambda effect: effect[1])
    names = [_shorten(name) for name, *_ in effects]
    mean, low, high = (np.array([effect[place] for effect in effects]) for place in (1, 2, 3))
    rows = np.arange(len(effects))
    with open_axes("changes", "", label_amounts("Change of the prediction"), max(1.0, len(effects) / _ROWS)) as (
        figure,
        axes,
    ):
        axes.axvline(0, **DASHED)
        axes.hlines(rows, low, high, color=PALETTE["accent"], lw=5, alpha=0.25)
        axes.plot(mean, rows, "o", ms=5, color=PALETTE["accent"])
        axes.set_yticks(rows, names)
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x")
        axes.set_ylim(-0.6, len(effects) - 0.4)
        format_axis(axes.xaxis)
        svg = render_svg(figure)
    references = [dependence["labels"][0] for dependence in dependences if dependence["kind"] == "flags"]
    compared = f" Flags that exclude each other are compared with {' and '.join(references)}." if references else ""
    caption = f"Change from no to yes, all else equal. Dot: average. Bar: 80% of titles.{compared}"
    return Plot("Effect of each flag", caption, svg)


def _list_effects(dependences: Sequence[Document]) -> list[tuple[str, float, float, float]]:
    """Return the flag's name and the mean, low and high change of the prediction, for each flag."""
    return [
        (
            _name_effect(dependence, place),
            mean - dependence["prediction_mean"][0],
            low,
            high,
        )
        for dependence in dependences
        for place, (mean, low, high) in enumerate(
            zip(
                dependence["prediction_mean"],
                dependence["prediction_low"],
                dependence["prediction_high"],
                strict=True,
            )
        )
        if place
    ]


def _name_effect(dependence: Document, place: int) -> str:
    label = str(dependence["labels"][place])
    if dependence["kind"] != "flag":
        return label
    name = str(dependence["columns"][-1])
    return f"{name}: {label}" if label == MISSING_CELL else name


def _shorten(name: str) -> str:
    return name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…"
