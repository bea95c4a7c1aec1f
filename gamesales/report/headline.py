"""The headline of a version's page: the comparison with the champion and with the best baseline, in one sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping

from gamesales.report.format import format_count, format_money, format_percent, format_signed_money, is_finite
from gamesales.report.page import Document

# Name of a model -> metric -> value. The first model is the version. The champion, if there is one, is the second, and
# the others are baselines. All are measured on the same titles.
Metrics = Mapping[str, Mapping[str, float | None]]

# Below this ratio "1.2 times lower" reads worse than "17% lower".
_MIN_RATIO_AS_TIMES = 1.5


def label_champion(gate: Document) -> str:
    """Return the label of the champion in a table."""
    return f"version {gate['champion']}, champion"


def _name_champion(gate: Document) -> str:
    return f"the champion, version {gate['champion']}"


def write_headline(titles: int, metrics: Metrics, gate: Document | None = None) -> tuple[str, bool | None]:
    """Compare the average error of a version with the champion and with the best baseline, in one sentence.

    If the gate would refuse the version, the sentence says so and praises nothing.

    Args:
        titles: the number of test titles.
        metrics: of the version, the champion and the baselines.
        gate: the manifest's ``gate``; None: the version was not compared with a champion.

    Returns:
        The sentence, and whether the version beats the baselines and passes the gate (None: nothing to compare).
    """
    if gate and gate["refusal"]:
        return _write_refusal(gate), False
    if titles == 0 or not metrics:
        return "There are no test titles, so the accuracy of this version is unknown.", None
    (_, version), *baselines = metrics.items()
    error = version.get("mae")
    subject = f"On {format_count(titles, 'test title')}, this version"
    if not is_finite(error):
        return f"{subject} has no average error: its predictions are not finite numbers.", False
    mape = version.get("mape_percent")
    percent = f" (MAPE {format_percent(mape)})" if is_finite(mape) else ""
    sentence = f"{subject} has an average error of {format_money(error)}{percent}"
    champion = label_champion(gate) if gate else ""
    errors = {name: mae for name, values in baselines if is_finite(mae := values.get("mae"))}
    comparisons = []
    if gate and champion in errors:
        comparisons.append(_compare_errors(error, errors[champion], _name_champion(gate)))
    ranking = [(mae, name) for name, mae in errors.items() if name != champion]
    if not ranking:
        ending = f": {comparisons[0]}" if comparisons else "; there is no baseline to compare it with"
        return f"{sentence}{ending}.", None
    best_error, best = min(ranking)
    comparisons.append(_compare_errors(error, best_error, best))
    return f"{sentence}: {'; '.join(comparisons)}.", error < best_error


def _write_refusal(gate: Document) -> str:
    """Say that the gate would refuse a version, with both average errors if they were compared."""
    comparison = gate["comparison"]
    if comparison is None or comparison["passes"]:
        return "The gate would refuse this version. The first warning says why."
    errors = format_money(comparison["candidate_mae"]), format_money(comparison["champion_mae"])
    sentence = (
        f"The gate would refuse this version: on {format_count(comparison['rows'], 'test title')}, its average "
        f"error is {errors[0]}, and {_name_champion(gate)}, has {errors[1]}"
    )
    limit = comparison["champion_mae"] + comparison["limit"]
    if comparison["candidate_mae"] <= limit:
        return f"{sentence}. So few titles do not show that it is at most {100 * comparison['margin']:g}% worse."
    return f"{sentence}."


def describe_comparison(gate: Document) -> str:
    """Describe the comparison with the champion, title by title; empty if they were not compared."""
    comparison = gate["comparison"]
    if comparison is None:
        return ""
    return (
        f"On {format_count(comparison['rows'], 'title')}, the average error of this version minus the error of "
        f"{_name_champion(gate)}, is {format_signed_money(comparison['difference'])}, and at most "
        f"{format_signed_money(comparison['bound'])} with {100 * comparison['confidence']:g}% confidence. The gate "
        f"allows {format_signed_money(comparison['limit'])}."
    )


def _compare_errors(error: float, baseline_error: float, baseline: str) -> str:
    """Compare two average errors in words, without flattering a small lead."""
    if error >= baseline_error:
        return f"not better than {baseline}, which has {format_money(baseline_error)}"
    percent = 100 * (1 - error / baseline_error)
    if percent < 1:
        return f"hardly better than {baseline}, which has {format_money(baseline_error)}"
    ratio = baseline_error / error if error else math.inf
    if not _MIN_RATIO_AS_TIMES <= ratio < 1000:
        return f"{percent:.0f}% lower than {baseline}"
    return f"{ratio:.{1 if ratio < 9.95 else 0}f}\u00a0times lower than {baseline}"
