"""What a backtest found, in words that say how sure they are."""

from __future__ import annotations

from gamesales.model.accuracy import Figures, Shift
from gamesales.report.words import count, money, percent, signed_money


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
    return f"Off by {money(found.mae_usd)} on average, on {predictions}; {_bias(found)}."


def _bias(found: Figures) -> str:
    bias, low, high = found.bias_usd, found.bias_low_usd, found.bias_high_usd
    if bias is None or low is None or high is None:
        return "too few titles to say whether it leans"
    sure = f"95\u00a0% sure: {signed_money(low)} to {signed_money(high)}"
    if low <= 0 <= high:
        return f"whether it leans can't be told from chance ({signed_money(bias)}; {sure})"
    return f"{'too high' if bias > 0 else 'too low'} by {money(abs(bias))} ({sure})"


def _newest(newest_from: str, shift: Shift | None) -> str:
    if shift is None:
        return "There is no holdout figure to compare it with."
    figures = f"{money(shift.after_usd)} against {money(shift.before_usd)}"
    since = f"From {newest_from} on"
    if shift.change == "too few titles":
        return f"{since} it is off by {figures} on its holdout; too few titles to say whether that is worse."
    if shift.change == "within chance":
        return f"{since} it is as far off as on its holdout, as far as can be told: {figures} ({_sure(shift)})."
    word = "worse" if shift.change == "up" else "better"
    return f"{since} it is {word} than on its holdout: {figures} ({_sure(shift)})."


def _drift(newest_from: str, shift: Shift) -> str:
    figures = f"{money(shift.before_usd)} before {newest_from}, {money(shift.after_usd)} since"
    if shift.change == "too few titles":
        return f"Too few titles to say whether its error is changing: {figures}."
    if shift.change == "within chance":
        return f"No change over time that can be told from chance: {figures} ({_sure(shift)})."
    return f"Its error is {'growing' if shift.change == 'up' else 'shrinking'}: {figures} ({_sure(shift)})."


def _sure(shift: Shift) -> str:
    low, high = shift.low_usd or 0.0, shift.high_usd or 0.0
    return (
        f"difference {signed_money(shift.difference_usd)}, 95\u00a0% sure: {signed_money(low)} to {signed_money(high)}"
    )


def _coverage(found: Figures, target: float | None) -> str:
    held, low, high = (100 * (one or 0.0) for one in (found.coverage, found.coverage_low, found.coverage_high))
    said = f"Its intervals held {percent(held)} of what was earned (95\u00a0% sure: {percent(low)} to {percent(high)})"
    if target is None:
        return f"{said}."
    promised = 100 * target
    verdict = "fewer than" if high < promised else "more than" if low > promised else "as"
    return f"{said}, {verdict} the {percent(promised)} that they promise."
