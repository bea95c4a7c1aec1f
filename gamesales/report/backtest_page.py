"""The page of a backtest: what past predictions were worth, date by date and version by version.

It shows the document that ``gamesales backtest --json`` prints, and some of the predictions one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from gamesales.report.backtest_plots import Series, plot_over_time
from gamesales.report.canvas import Plot
from gamesales.report.plots import plot_predictions
from gamesales.report.version_page import environment
from gamesales.report.words import MISSING, compact_money, count, finite, fraction, money, percent, signed_money

Array = npt.NDArray[np.float64]
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


def render_backtest_page(done: Document, drawn: Sequence[tuple[Array, Array]]) -> str:
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
    mae = [money(figures[f"mae_{end}_usd"]) for end in ("low", "high")]
    bias = figures["bias_usd"]
    return [
        f"{figures['rows']:,}",
        money(figures["mae_usd"]),
        MISSING if MISSING in mae else " to ".join(mae),
        money(figures["rmse_usd"]),
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
        [one for version in done["versions"] if (one := _series(done, version, *names))]
        for names in (("mae", "usd"), ("bias", "usd"), ("coverage", ""))
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


def _series(done: Document, version: Document, figure: str, unit: str) -> Series | None:
    """Collect a version's figure by date, with its band and what it is held to; None where it has none."""
    keys = ["_".join(filter(None, (figure, end, unit))) for end in ("", "low", "high")]
    days = [one for one in done["dates"] if one["digest"] == version["digest"] and finite(one["figures"][keys[0]])]
    if not days:
        return None
    values, low, high = (
        np.array([np.nan if one["figures"][key] is None else one["figures"][key] for one in days]) for key in keys
    )
    held_to = {"mae": (version["holdout"] or {}).get("mae_usd"), "coverage": version["target_coverage"]}
    dates = [date.fromisoformat(one["date"]) for one in days]
    return Series(f"version {version['version']}", dates, values, low, high, held_to.get(figure))


def _one_by_one(versions: Sequence[Document], drawn: Sequence[tuple[Array, Array]]) -> list[Plot]:
    return [
        replace(plot_predictions(actual, predicted, f"version {version['version']}"), caption=_dots(version, actual))
        for version, (actual, predicted) in zip(versions, drawn, strict=True)
        if len(actual)
    ]


def _dots(version: Document, drawn: Array) -> str:
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
