"""How the pages write numbers, and the headline that sums a version up in one sentence."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeGuard

# Name of a model -> metric -> value.
Metrics = Mapping[str, Mapping[str, float | None]]

MISSING = "—"

# Below this ratio "1.2 times lower" reads worse than "17% lower".
_MIN_RATIO_AS_TIMES = 1.5


@dataclass(frozen=True)
class Headline:
    """One sentence about a version, and whether the version beats the baselines (``None``: there are none)."""

    sentence: str
    is_better: bool | None


def is_finite(value: float | None) -> TypeGuard[float]:
    """Return whether there is a number to show: not ``None``, NaN or infinite."""
    return value is not None and math.isfinite(value)


def format_money(amount: float | None) -> str:
    """Write an amount as ``$1,234``; with cents below ten dollars, so that a small error is never "$0"."""
    if not is_finite(amount):
        return MISSING
    digits = f"{abs(amount):,.0f}" if abs(amount) >= 10 or amount == 0 else f"{abs(amount):.2f}"
    return f"−${digits}" if amount < 0 else f"${digits}"


def format_signed_money(amount: float) -> str:
    """Write a difference with its sign, as in ``+$35``."""
    return f"+{format_money(amount)}" if amount > 0 else format_money(amount)


def format_compact_money(amount: float) -> str:
    """Write an amount briefly, for the ticks of an axis: ``$500``, ``$150k``, ``$1.2M``."""
    for size, suffix in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(amount) >= size:
            return f"{'−' if amount < 0 else ''}${abs(amount) / size:g}{suffix}"
    return f"{'−' if amount < 0 else ''}${abs(amount):g}"


def format_percent(value: float | None) -> str:
    """Write a percentage as ``1.0%``; with two decimals below 1%."""
    if not is_finite(value):
        return MISSING
    return f"{value:,.{1 if abs(value) >= 0.995 else 2}f}%"


def format_share(share: float | None) -> str:
    """Write a share from 0 to 1 as a percentage."""
    return format_percent(100 * share) if is_finite(share) else MISSING


def format_scientific(value: float | None) -> str:
    """Write a unitless error as ``1.23e-05``."""
    return f"{value:.2e}" if is_finite(value) else MISSING


def format_fraction(value: float | None) -> str:
    """Write a fraction of 1, such as R², as ``0.9987``."""
    return f"{value:.4f}".replace("-", "−") if is_finite(value) else MISSING


def format_count(number: int, noun: str) -> str:
    """Write ``1 title`` or ``1,000 titles``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def write_headline(titles: int, metrics: Metrics) -> Headline:
    """Compare the average error of a version with the best baseline, in one sentence.

    Args:
        titles: the number of test titles.
        metrics: model -> metrics; the first model is the version, the others are baselines.
    """
    if titles == 0 or not metrics:
        return Headline("There are no test titles, so nobody knows how good this version is.", None)
    own, *baselines = metrics.values()
    error = own.get("mae")
    subject = f"On {format_count(titles, 'test title')}, this version"
    if not is_finite(error):
        return Headline(f"{subject} gives no usable answer: its average error is not a number.", is_better=False)
    mape = own.get("mape_percent")
    percent = f" (MAPE {format_percent(mape)})" if is_finite(mape) else ""
    sentence = f"{subject} has an average error of {format_money(error)}{percent}"
    by_name = zip(list(metrics)[1:], baselines, strict=True)
    ranking = [(mae, name) for name, values in by_name if is_finite(mae := values.get("mae"))]
    if not ranking:
        return Headline(f"{sentence}; there is no baseline to compare it with.", None)
    best_error, best = min(ranking)
    return Headline(f"{sentence}: {_compare_errors(error, best_error, best)}.", error < best_error)


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
