"""One version's past predictions, added up date by date and judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

from gamesales.arrays import BoolArray
from gamesales.backtest.actuals import Actuals
from gamesales.backtest.evidence import Known
from gamesales.backtest.join import Matched, join_date
from gamesales.data.contract import Contract
from gamesales.report.format import count, money, percent, signed_money
from gamesales.scoring.results import Past
from gamesales.stats.error_sums import Gathered, Sample
from gamesales.stats.errors import Figures, Shift, against_holdout, bias_shift, error_shift, figures

Evidence = Literal["recorded", "recorded before", "would be recorded", "refused"]


@dataclass(frozen=True)
class Dated:
    """One date: what was matched, and the figures. All its predictions are of one version."""

    date: str
    version: int
    digest: str
    rows: int
    waiting: int
    without_id: int
    titles_doubled: int
    figures: Figures


@dataclass(frozen=True)
class Monthly:
    """One version's predictions of a calendar month."""

    month: str
    version: int
    digest: str
    figures: Figures


@dataclass(frozen=True)
class Judged:
    """One version over all its dates.

    ``newest_from`` is the first of its newer dates, the later half: ``against_holdout`` compares their error with the
    version's holdout, ``error_shift`` and ``bias_shift`` with the older half; ``verdict`` tells it in words.
    ``refused`` says why nothing was recorded, where ``evidence`` says so.
    """

    model: str
    version: int
    digest: str
    first_date: str
    last_date: str
    dates: int
    newest_from: str
    figures: Figures
    metrics: dict[str, float | None]
    holdout: dict[str, float | None] | None
    target_coverage: float | None
    against_holdout: Shift | None
    error_shift: Shift | None
    bias_shift: Shift | None
    verdict: list[str]
    evidence: Evidence
    refused: str


@dataclass(frozen=True)
class Found:
    """One version's results, oldest first, and what the registry knows of it."""

    pasts: Sequence[Past]
    known: Known


@dataclass(frozen=True)
class Traced:
    """What came of a version's dates.

    ``sample`` has some of its predictions to draw, ``predicted`` bool (titles,) tells which titles with earnings it
    predicted, and ``example_ids`` shows some ids as they were predicted.
    """

    judged: Judged
    months: list[Monthly]
    dates: list[Dated]
    sample: Sample
    predicted: BoolArray
    example_ids: str


def trace(found: Found, actuals: Actuals, contract: Contract, on_date: Callable[[str], None]) -> Traced:
    """Add up a version's dates, one at a time: in halves, to see what changed, and by months."""
    older, newer = Gathered(len(actuals)), Gathered(len(actuals))
    middle = len(found.pasts) // 2
    months, dates, example_ids = list[Monthly](), list[Dated](), ""
    for month, members in groupby(enumerate(found.pasts), key=lambda one: f"{one[1].day:%Y-%m}"):
        gathered = Gathered(len(actuals))
        for place, past in members:
            on_date(past.day.isoformat())
            matched = join_date(past, actuals, contract) if past.columns else Matched(Gathered(len(actuals)))
            example_ids = example_ids or matched.example_ids
            dates.append(_dated(past, matched))
            (older if place < middle else newer).include(matched.gathered)
            gathered.include(matched.gathered)
        months.append(Monthly(month, found.pasts[0].version, found.pasts[0].digest, figures(gathered)))
    judged = _judge(found, older, newer)
    older.include(newer)
    return Traced(judged, months, dates, older.drawn, older.rows > 0, example_ids)


def _dated(past: Past, matched: Matched) -> Dated:
    return Dated(
        date=past.day.isoformat(),
        version=past.version,
        digest=past.digest,
        rows=matched.rows,
        waiting=matched.waiting,
        without_id=matched.without_id,
        titles_doubled=matched.doubled,
        figures=figures(matched.gathered),
    )


def _judge(found: Found, older: Gathered, newer: Gathered) -> Judged:
    """Work out what a version's predictions were worth; whether that is recorded is decided later."""
    whole = Gathered(len(older.rows))
    whole.include(older)
    whole.include(newer)
    total, known, first, last = figures(whole), found.known, found.pasts[0], found.pasts[-1]
    holdout = known.holdout
    newest_from = found.pasts[len(found.pasts) // 2].day.isoformat()
    compared = against_holdout(newer, holdout.rows, holdout.metrics) if holdout else None
    shift = error_shift(older, newer)
    return Judged(
        model=first.model,
        version=first.version,
        digest=first.digest,
        first_date=first.day.isoformat(),
        last_date=last.day.isoformat(),
        dates=len(found.pasts),
        newest_from=newest_from,
        figures=total,
        metrics=_metrics(total, known.manifest),
        holdout=dict(holdout.metrics) if holdout else None,
        target_coverage=known.target_coverage,
        against_holdout=compared,
        error_shift=shift,
        bias_shift=bias_shift(older, newer),
        verdict=sentences(total, newest_from, compared, shift, known.target_coverage),
        evidence="refused",
        refused=known.refused,
    )


def _metrics(found: Figures, manifest: Mapping[str, Any]) -> dict[str, float | None]:
    """Return figures by the names that training gives them."""
    columns = manifest.get("scaling", {}).get("columns", [])
    scale: float | None = columns[-1]["scale"] if columns else None
    return {
        "scaled_mse": None if scale is None or found.rmse is None else (found.rmse * scale) ** 2,
        "mae": found.mae,
        "rmse": found.rmse,
        "r2": found.r2,
        "mape_percent": found.mape_percent,
    }


def sentences(
    found: Figures, newest_from: str, holdout: Shift | None, drift: Shift | None, target_coverage: float | None
) -> list[str]:
    """Say how far off a version was, whether its newest dates are worse than promised, and whether it is drifting.

    Args:
        found: its figures over all dates.
        newest_from: the first of its newest dates.
        holdout: from its holdout to its newest dates; None: there is none.
        drift: from its older to its newer dates; None: there is but one date.
        target_coverage: which share of earnings its intervals promise to hold.
    """
    if not found.rows:
        return ["None of its titles has earnings yet."]
    said = [_overall(found), _newest(newest_from, holdout)]
    if drift:
        said.append(_drift(newest_from, drift))
    if found.coverage is not None:
        said.append(_coverage(found, target_coverage))
    return said


def _overall(found: Figures) -> str:
    predictions = f"{count(found.rows, 'prediction')} of {count(found.titles, 'title')}"
    return f"Off by {money(found.mae)} on average, on {predictions}; {_bias(found)}."


def _bias(found: Figures) -> str:
    bias, low, high = found.bias, found.bias_low, found.bias_high
    if bias is None or low is None or high is None:
        return "too few titles to say whether it leans"
    sure = f"95\u00a0% sure: {signed_money(low)} to {signed_money(high)}"
    if low <= 0 <= high:
        return f"whether it leans can't be told from chance ({signed_money(bias)}; {sure})"
    return f"{'too high' if bias > 0 else 'too low'} by {money(abs(bias))} ({sure})"


def _newest(newest_from: str, shift: Shift | None) -> str:
    if shift is None:
        return "There is no holdout figure to compare it with."
    figures = f"{money(shift.value_after)} against {money(shift.value_before)}"
    since = f"From {newest_from} on"
    if shift.change == "too few titles":
        return f"{since} it is off by {figures} on its holdout; too few titles to say whether that is worse."
    if shift.change == "within chance":
        return f"{since} it is as far off as on its holdout, as far as can be told: {figures} ({_sure(shift)})."
    word = "worse" if shift.change == "up" else "better"
    return f"{since} it is {word} than on its holdout: {figures} ({_sure(shift)})."


def _drift(newest_from: str, shift: Shift) -> str:
    figures = f"{money(shift.value_before)} before {newest_from}, {money(shift.value_after)} since"
    if shift.change == "too few titles":
        return f"Too few titles to say whether its error is changing: {figures}."
    if shift.change == "within chance":
        return f"No change over time that can be told from chance: {figures} ({_sure(shift)})."
    return f"Its error is {'growing' if shift.change == 'up' else 'shrinking'}: {figures} ({_sure(shift)})."


def _sure(shift: Shift) -> str:
    low, high = signed_money(shift.difference_low or 0.0), signed_money(shift.difference_high or 0.0)
    return f"difference {signed_money(shift.value_difference)}, 95\u00a0% sure: {low} to {high}"


def _coverage(found: Figures, target: float | None) -> str:
    held, low, high = (100 * (one or 0.0) for one in (found.coverage, found.coverage_low, found.coverage_high))
    said = f"Its intervals held {percent(held)} of what was earned (95\u00a0% sure: {percent(low)} to {percent(high)})"
    if target is None:
        return f"{said}."
    promised = 100 * target
    verdict = "fewer than" if high < promised else "more than" if low > promised else "as"
    return f"{said}, {verdict} the {percent(promised)} that they promise."
