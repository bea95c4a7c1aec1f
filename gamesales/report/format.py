"""How the pages write numbers."""

import math
from collections.abc import Callable, Iterable
from typing import TypeGuard

MISSING = "—"


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


def format_range(bounds: Iterable[float | None], write: Callable[[float], str] = format_money) -> str:
    """Write ``$10 to $20``, or a dash if a bound is missing."""
    finite = [bound for bound in bounds if is_finite(bound)]
    return " to ".join(map(write, finite)) if len(finite) == 2 else MISSING
