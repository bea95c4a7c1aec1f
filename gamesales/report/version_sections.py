"""What the page says of a version's ``evaluation``, as the manifest has it: tables, and sentences to read them by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gamesales.report.format import MISSING, count, finite, fraction, money, percent, scientific, signed_money
from gamesales.report.svg import Plot
from gamesales.report.version_plots import left_out, plot_learning_curve, plots_of_dependence

Document = Mapping[str, Any]

_SURE = "95\u00a0% sure"


@dataclass(frozen=True)
class Whisker:
    """Where an interval and its middle lie on a line of a table, in percent of its length."""

    left: float
    width: float
    at: float


@dataclass(frozen=True)
class Part:
    """One line of a table of slices or of columns."""

    label: str
    cells: Sequence[str]
    whisker: Whisker
    is_marked: bool = False


@dataclass(frozen=True)
class Told:
    """All that the page says of an evaluation."""

    lead: str
    luck: Sequence[tuple[str, Sequence[tuple[str, str]]]]
    luck_notes: Sequence[str]
    learning_curve: Plot | None
    slices: Sequence[tuple[str, Sequence[Part]]]
    checks: Sequence[tuple[str, str]]
    importance: Sequence[Part]
    dependence: Sequence[Plot]
    dependence_note: str
    notes: Sequence[str]


def tell(found: Document, metrics: Document) -> Told:
    """Put an evaluation into words.

    Args: found: the manifest's ``evaluation``; metrics: the version's own figures on the test titles.
    """
    order = [one["columns"][0] for one in found["importance"] if len(one["columns"]) == 1]
    curve = found["learning_curve"]
    return Told(
        lead=_lead(found["holdout"]["lead"]),
        luck=_luck(found, metrics),
        luck_notes=_luck_notes(found),
        learning_curve=plot_learning_curve(curve) if curve else None,
        slices=_slices(found["slices"]),
        checks=_checks(found["residuals"]),
        importance=_importance(found["importance"]),
        dependence=plots_of_dependence(found["dependence"], order),
        dependence_note=left_out(found["dependence"]),
        notes=[one["text"] for one in found["notices"] if one["level"] == "note"],
    )


def _lead(lead: Document) -> str:
    change, over = lead["error_change"], lead["over"]
    if change["low"] is None:
        return f"Too few titles to say how surely it differs from {over}."
    between = f"{money(abs(change['low']))} to {money(abs(change['high']))}"
    if change["low"] > 0:
        return f"{_SURE}: on all such titles, it is closer than {over} by {between}."
    if change["high"] < 0:
        return f"{_SURE}: on all such titles, {over} is closer by {money(-change['high'])} to {money(-change['low'])}."
    low, high = signed_money(change["low"]), signed_money(change["high"])
    return f"Chance may explain the difference from {over}: {low} to {high}."


def _luck(found: Document, metrics: Document) -> list[tuple[str, Sequence[tuple[str, str]]]]:
    """Set this version beside other networks of the job, and beside what no model can be better than.

    Returns: who, and for each figure what is written large and what is written small.
    """
    lead = found["holdout"]["lead"]
    rows = [("This version, on the test titles", _figures(found["holdout"], metrics, lead["mae"], lead["over"]))]
    for kind, told in (("plain", "titles at random"), ("grouped", "titles unlike those learnt from")):
        one = found["kfold"][kind]
        if one:
            rival = min(one["baselines"], key=lambda name: _mae_of(one["baselines"], name))
            cells = _figures(one, one["metrics"], _mae_of(one["baselines"], rival), rival)
            rows.append((f"{one['folds']} other networks, on {told}", cells))
    noise = found["noise"]
    if noise:
        scaled = noise["scaled_mse"]
        bounds = f"{scientific(scaled['low'])} to {scientific(scaled['high'])}" if finite(scaled["low"]) else ""
        nothing = (MISSING, "")
        cells = ((f"{noise['titles']:,}", ""), nothing, (scientific(scaled["value"]), bounds), nothing, nothing)
        rows.append(("The noise, which no model can predict", cells))
    return rows


def _mae_of(baselines: Document, name: str) -> float:
    return float(baselines[name]["mae"])


def _figures(one: Document, metrics: Document, rival_mae: float, rival: str) -> Sequence[tuple[str, str]]:
    mae, scaled = one["intervals"]["mae"], one["intervals"]["scaled_mse"]
    return (
        (f"{one['rows']:,}", ""),
        (money(metrics["mae"]), " to ".join(map(money, mae))),
        (scientific(metrics["scaled_mse"]), " to ".join(map(scientific, scaled))),
        (fraction(metrics["r2"]), ""),
        (money(rival_mae), rival),
    )


def _luck_notes(found: Document) -> list[str]:
    notes = []
    seeds = [one["mae"] for one in found["seeds"]]
    if seeds:
        notes.append(
            f"The same network on the same titles, from {count(len(seeds), 'other seed')}: {money(min(seeds))} to "
            f"{money(max(seeds))} off on average."
        )
    plain, grouped = found["kfold"]["plain"], found["kfold"]["grouped"]
    for one, how in ((plain, "other titles"), (grouped, "other titles, none like those learnt from")):
        if one:
            low, high = min(one["folds_mae"]), max(one["folds_mae"])
            notes.append(f"Network by network, on {how}: {money(low)} to {money(high)} off on average.")
    if not plain or not grouped:
        notes.append(
            "K-fold was left out, in whole or in part: the job has report.folds = 0, more titles than "
            "report.most_titles, or too few to be cut."
        )
    noise = found["noise"]
    if noise:
        notes.append(
            f"Noise: {noise['titles']:,} titles have the same features as another, and their earnings still differ, by "
            f"{money(noise['rmse'])} from their mean (root mean square)."
        )
    return notes


def _slices(slices: Sequence[Document]) -> list[tuple[str, Sequence[Part]]]:
    most = max((_top(one["mae"]) for one in slices), default=0.0)
    families: dict[str, list[Part]] = {}
    for one in slices:
        mae, bias = one["mae"], one["bias"]["value"]
        times = f"{one['times']:.2f}\u00a0×" if one["times"] is not None else MISSING
        held = MISSING if one["held"] is None else percent(100 * one["held"])
        cells = (money(mae["value"]), _between(mae), signed_money(bias), times, held, f"{one['rows']:,}")
        families.setdefault(one["family"], []).append(Part(one["label"], cells, _whisker(mae, most), one["is_worse"]))
    return list(families.items())


def _importance(columns: Sequence[Document]) -> list[Part]:
    most = max((_top(one["error_change"]) for one in columns), default=0.0)
    return [
        Part(
            " / ".join(one["columns"]),
            (money(one["error_change"]["value"]), _between(one["error_change"])),
            _whisker(one["error_change"], most),
        )
        for one in columns
    ]


def _checks(residuals: Document) -> list[tuple[str, str]]:
    bias, columns, order = residuals["bias"], residuals["columns"], residuals["order"]
    low, high = money(residuals["lowest_fifth"]), money(residuals["highest_fifth"])
    clear = [f"{one['of']} ({_correlation(one)})" for one in columns if one["is_clear"]]
    leans = bias["low"] is not None and (bias["low"] > 0 or bias["high"] < 0)
    sure = f", {_SURE} {_between(bias, signed_money)}" if bias["low"] is not None else ""
    return [
        ("Do they lean?", f"{_yes(leans)}: {signed_money(bias['value'])} on average{sure}."),
        (
            "Do they grow?",
            f"{low} on average in the fifth of titles with the lowest predictions, {high} in the highest.",
        ),
        (
            "Do they go with a column?",
            f"Yes: {', '.join(clear)}, as correlations." if clear else "Not clearly with any.",
        ),
        ("… or with the row before?", f"{_yes(order['is_clear'])}: correlation {_correlation(order)}."),
    ]


def _yes(is_clear: bool) -> str:
    return "Yes" if is_clear else "Not clearly"


def _correlation(one: Document) -> str:
    return f"{one['value']:+.2f}".replace("-", "−")


def _top(estimate: Document) -> float:
    return max(float(estimate["value"]), float(estimate["high"] or 0.0))


def _between(estimate: Document, write: Any = money) -> str:
    return MISSING if estimate["low"] is None else f"{write(estimate['low'])} to {write(estimate['high'])}"


def _whisker(estimate: Document, most: float) -> Whisker:
    value = estimate["value"]
    low, high = (value if estimate[key] is None else estimate[key] for key in ("low", "high"))

    def at(usd: float) -> float:
        return round(100 * min(max(usd, 0.0), most) / most, 1) if most > 0 else 0.0

    return Whisker(at(low), round(at(high) - at(low), 1), at(value))
