"""The page of a backtest: what past predictions were worth, date by date and version by version.

It shows the document that ``gamesales backtest --json`` prints, and some of the predictions one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.report.format import MISSING, compact_money, count, finite, fraction, money, percent, signed_money
from gamesales.report.plots import plot_predictions
from gamesales.report.svg import PALETTE, Plot, finish, open_axes
from gamesales.report.version_page import environment

Document = Mapping[str, Any]

COLUMNS = (
    "Predictions",
    "Average error",
    "95\u00a0% sure",
    "RMSE",
    "Leans by",
    "Share of earnings",
    "Variance explained",
    "Held by intervals",
    "Outside of training",
)
_BAND = "The band is 95\u00a0% sure."


@dataclass(frozen=True)
class Line:
    """One line of a table: what it is about, and its figures as text."""

    who: str
    cells: Sequence[str]


def render_backtest_page(done: Document, drawn: Sequence[tuple[FloatArray, FloatArray]]) -> str:
    """Write the page as one self-contained HTML document; the same backtest gives the same bytes.

    Args:
        done: the document.
        drawn: for each version, what some titles earned and what it had said: float64 (n,) each, finite.
    """
    versions = done["versions"]
    newest = max(versions, key=lambda one: (one["last_date"], one["version"]))
    return (
        environment()
        .get_template("backtest.html.j2")
        .render(
            done=done,
            headline=_headline(newest),
            alarming=any(_is_alarming(one) for one in versions),
            columns=COLUMNS,
            versions=[Line(f"Version {one['version']}", _cells(one["figures"])) for one in versions],
            months=[
                Line(f"{one['month']}, version {one['version']}", _cells(one["figures"])) for one in done["months"]
            ],
            plots=[*_over_time(done), *_one_by_one(versions, drawn)],
            facts=_facts(done),
            notes=_notes(done),
        )
    )


def _headline(version: Document) -> str:
    """Say the most important thing of the newest version: how it does beside what was promised of it."""
    said = version["verdict"][1 if len(version["verdict"]) > 1 else 0]
    return f"Version {version['version']}: {said[0].lower()}{said[1:]}"


def _is_alarming(version: Document) -> bool:
    shifts = (version["against_holdout"], version["error_shift"])
    return any(shift is not None and shift["change"] == "up" for shift in shifts)


def _cells(figures: Document) -> list[str]:
    mae = [money(figures[f"mae_{end}"]) for end in ("low", "high")]
    bias = figures["bias"]
    return [
        f"{figures['rows']:,}",
        money(figures["mae"]),
        MISSING if MISSING in mae else " to ".join(mae),
        money(figures["rmse"]),
        signed_money(bias) if finite(bias) else MISSING,
        percent(figures["mape_percent"]),
        fraction(figures["r2"]),
        _share(figures["coverage"]),
        _share(figures["outside_share"]),
    ]


def _share(share: float | None) -> str:
    return percent(100 * share) if finite(share) else MISSING


def _compact_share(share: float) -> str:
    return f"{100 * share:g}\u00a0%"


def _over_time(done: Document) -> list[Plot]:
    """Draw error, bias and coverage by date, of dates that have predictions with earnings."""
    error, bias, coverage = (
        [one for version in done["versions"] if (one := _series(done, version, name))]
        for name in ("mae", "bias", "coverage")
    )
    if not error:
        return []
    dashed = " Dashed: on the holdout." if any(one.reference is not None for one in error) else ""
    plots = [
        plot_over_time("error", "Average error by date", _BAND + dashed, "Average error", error, compact_money),
        plot_over_time(
            "bias",
            "Leaning by date",
            f"Above 0 predictions are too high. {_BAND}",
            "Mean of predicted minus actual",
            bias,
            compact_money,
            zero=True,
        ),
    ]
    if coverage:
        dashed = " Dashed: what they promise." if any(one.reference is not None for one in coverage) else ""
        caption = f"The share of earnings that lay within the intervals. {_BAND}{dashed}"
        plots.append(
            plot_over_time("coverage", "Held by intervals", caption, "Share of titles", coverage, _compact_share)
        )
    return plots


def _series(done: Document, version: Document, figure: str) -> Series | None:
    """Collect a version's figure by date, with its band and what it is held to; None where it has none."""
    keys = ["_".join(filter(None, (figure, end))) for end in ("", "low", "high")]
    days = [one for one in done["dates"] if one["digest"] == version["digest"] and finite(one["figures"][keys[0]])]
    if not days:
        return None
    values, low, high = (
        np.array([np.nan if one["figures"][key] is None else one["figures"][key] for one in days]) for key in keys
    )
    held_to = {"mae": (version["holdout"] or {}).get("mae"), "coverage": version["target_coverage"]}
    dates = [date.fromisoformat(one["date"]) for one in days]
    return Series(f"version {version['version']}", dates, values, low, high, held_to.get(figure))


def _one_by_one(versions: Sequence[Document], drawn: Sequence[tuple[FloatArray, FloatArray]]) -> list[Plot]:
    return [
        replace(plot_predictions(actual, predicted, f"version {version['version']}"), caption=_dots(version, actual))
        for version, (actual, predicted) in zip(versions, drawn, strict=True)
        if len(actual)
    ]


def _dots(version: Document, drawn: FloatArray) -> str:
    """Tell what a dot is, and that not all of them are shown where that is so."""
    rows = version["figures"]["rows"]
    some = f" {len(drawn):,} of {rows:,}, drawn evenly." if len(drawn) < rows else ""
    return f"One dot is one prediction.{some} On the dashed line it is exactly right."


def _facts(done: Document) -> dict[str, str]:
    return {
        "Predictions": f"{done['predictions']}, {count(len(done['dates']), 'date')}, {count(done['rows'], 'row')}",
        "Actual earnings": f"{done['actuals']}, {count(done['actuals_rows'], 'title')}, "
        f"sha256 {done['actuals_sha256'][:12]}",
        "Joined": f"{count(done['matched'], 'prediction')}; {done['waiting']:,} wait for their titles' earnings",
        "Never predicted": f"{count(done['actuals_never_predicted'], 'title')} with earnings",
        **{
            f"Version {one['version']}": f"digest {one['digest'][:12]}, {one['first_date']} to {one['last_date']}; "
            f"evidence {one['evidence']}{': ' + one['refused'] if one['refused'] else ''}"
            for one in done["versions"]
        },
    }


def _notes(done: Document) -> list[str]:
    """Say what was not joined and what counts twice."""
    notes = [f"{one['place']} left out: {one['reason']}." for one in done["dates_left_out"]]
    if done["actuals_left_out"]:
        reasons = "; ".join(done["actuals_reasons"])
        notes.append(f"{count(done['actuals_left_out'], 'row')} of {done['actuals']} left out: {reasons}.")
    if done["without_id"]:
        notes.append(f"{count(done['without_id'], 'prediction')} without an id.")
    notes += [
        f"{one['date']}: {count(one['titles_doubled'], 'title')} predicted twice, and counted twice."
        for one in done["dates"]
        if one["titles_doubled"]
    ]
    return notes


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
    values: FloatArray
    low: FloatArray
    high: FloatArray
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
