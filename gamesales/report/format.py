"""How the pages write figures, and what they conclude from them in one sentence."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeGuard

Metrics = Mapping[str, Mapping[str, float | None]]

MISSING = "—"

# Below this ratio "1.2 times closer" reads worse than "17 % closer".
_TIMES_FROM = 1.5


@dataclass(frozen=True)
class Verdict:
    """One sentence about a version, and whether it is good news (``None``: nothing to compare with)."""

    sentence: str
    better: bool | None


def finite(value: float | None) -> TypeGuard[float]:
    """Tell whether there is a number to show: neither ``None`` nor NaN nor infinite."""
    return value is not None and math.isfinite(value)


def money(usd: float | None) -> str:
    """Write an amount as ``$1,234``; with cents below ten dollars, so that a small error is never "$0"."""
    if not finite(usd):
        return MISSING
    amount = f"{abs(usd):,.0f}" if abs(usd) >= 10 or usd == 0 else f"{abs(usd):.2f}"
    return f"−${amount}" if usd < 0 else f"${amount}"


def signed_money(usd: float) -> str:
    """Write a difference with its sign, as in ``+$35``."""
    return f"+{money(usd)}" if usd > 0 else money(usd)


def compact_money(usd: float) -> str:
    """Write a tick of an axis shortly: ``$500``, ``$150k``, ``$1.2M``."""
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(usd) >= size:
            return f"{'−' if usd < 0 else ''}${abs(usd) / size:g}{unit}"
    return f"{'−' if usd < 0 else ''}${abs(usd):g}"


def percent(value: float | None) -> str:
    """Write a percentage as ``1.0 %``; two decimals below one."""
    if not finite(value):
        return MISSING
    return f"{value:,.{1 if abs(value) >= 0.995 else 2}f}\u00a0%"


def scientific(value: float | None) -> str:
    """Write a unitless error as ``1.23e-05``."""
    return f"{value:.2e}" if finite(value) else MISSING


def fraction(value: float | None) -> str:
    """Write a share of one, such as R², as ``0.9987``."""
    return f"{value:.4f}".replace("-", "−") if finite(value) else MISSING


def count(number: int, noun: str) -> str:
    """Write ``1 title`` or ``1,000 titles``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def verdict(titles: int, metrics: Metrics) -> Verdict:
    """Say how far off a version is, and whether that beats the best baseline.

    Args:
        titles: how many titles were held back.
        metrics: who -> figures; the first is the version, the others are baselines.
    """
    if titles == 0 or not metrics:
        return Verdict("No title was held back, so nobody knows how good this version is.", None)
    own, *baselines = metrics.values()
    error = own.get("mae")
    seen = f"On {count(titles, 'title')} that it never saw, this version"
    if not finite(error):
        return Verdict(f"{seen} gives no usable answer: its average error is not a number.", False)
    share = own.get("mape_percent")
    off = f"{seen} is off by {money(error)} on average" + (f" ({percent(share)})" if finite(share) else "")
    named = zip(list(metrics)[1:], baselines, strict=True)
    rivals = [(mae, name) for name, figures in named if finite(mae := figures.get("mae"))]
    if not rivals:
        return Verdict(f"{off}; there is no baseline to compare it with.", None)
    rival_error, rival = min(rivals)
    return Verdict(f"{off}: {_comparison(error, rival_error, rival)}.", error < rival_error)


def _comparison(error: float, rival_error: float, rival: str) -> str:
    """Compare two average errors in words, without flattering a small lead."""
    if error >= rival_error:
        return f"not better than {rival}, which is off by {money(rival_error)}"
    closer = 100 * (1 - error / rival_error)
    if closer < 1:
        return f"hardly better than {rival}, which is off by {money(rival_error)}"
    ratio = rival_error / error if error else math.inf
    if not _TIMES_FROM <= ratio < 1000:
        return f"{closer:.0f}\u00a0% closer than {rival}"
    return f"{ratio:.{1 if ratio < 9.95 else 0}f}\u00a0times closer than {rival}"
