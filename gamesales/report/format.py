"""How the pages write numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeGuard

from gamesales.stats.amounts import DOLLARS, amounts_in, choose_decimals, get_unit, name_unit, write_number

if TYPE_CHECKING:
    from gamesales.data.contract import Column

MISSING = "—"
# What is written for a missing cell of a title.
MISSING_CELL = "missing"
# Longer texts of a table are cut.
_MOST_CHARACTERS = 60
# Amounts from here on are written in thousands.
_IN_THOUSANDS = 10_000
_MILLION = 1e6


def is_finite(value: float | None) -> TypeGuard[float]:
    """Return whether there is a number to show: not ``None``, NaN or infinite."""
    return value is not None and math.isfinite(value)


def format_money(amount: float | None, like: Iterable[float | None] = ()) -> str:
    """Write an amount as ``$1,234``; with cents below ten dollars, so that a small error is never "$0".

    Other units have three digits and the name of the unit: ``0.388 million units``.

    Args:
        amount: in the current unit of texts.
        like: further amounts of the same figure. All of them are written with the same precision.
    """
    if not is_finite(amount):
        return MISSING
    amounts, unit = [number for number in [amount, *like] if is_finite(number)], get_unit()
    if unit != DOLLARS:
        digits = write_number(amount, amounts)
        return f"{'−' if amount < 0 and _has_digits(digits) else ''}{digits} {unit}".rstrip()
    largest = max(map(abs, amounts))
    digits = f"{abs(amount):,.0f}" if largest >= 10 or largest == 0 else f"{abs(amount):.2f}"
    return f"−${digits}" if amount < 0 and _has_digits(digits) else f"${digits}"


def format_signed_money(amount: float | None, like: Iterable[float | None] = ()) -> str:
    """Write a difference with its sign, as in ``+$35``, with the precision of ``format_money``."""
    text = format_money(amount, like)
    return f"+{text}" if is_finite(amount) and amount > 0 and _has_digits(text.removesuffix(get_unit())) else text


def _has_digits(text: str) -> bool:
    """Return whether a number is not written as 0."""
    return any(digit in text for digit in "123456789")


def format_compact_money(amount: float) -> str:
    """Write an amount briefly, for the ticks of an axis: ``$500``, ``$150k``, ``$1.2M``.

    Other units are left out. The label of the axis has them (``label_amounts``).
    """
    sign = f"{'−' if amount < 0 else ''}{'$' if get_unit() == DOLLARS else ''}"
    for size, suffix in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(amount) >= size:
            return f"{sign}{abs(amount) / size:g}{suffix}"
    return f"{sign}{abs(amount):g}"


def format_percent(value: float | None, like: Iterable[float | None] = ()) -> str:
    """Write a percentage as ``1.0%``; with two decimals below 1%.

    Args:
        value: in percent.
        like: further percentages of the same figure. All of them are written with the same precision.
    """
    if not is_finite(value):
        return MISSING
    smallest = min(abs(number) for number in [value, *like] if is_finite(number))
    return f"{value:,.{1 if smallest >= 0.995 else 2}f}%"


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


def format_range(bounds: Iterable[float | None], write: Callable[..., str] = format_money) -> str:
    """Write ``$10 to $20``, both ends with the same precision, or a dash if a bound is missing."""
    finite = [bound for bound in bounds if is_finite(bound)]
    if len(finite) != 2:
        return MISSING
    like = {"like": finite} if write in (format_money, format_signed_money, format_percent) else {}
    return " to ".join(write(bound, **like) for bound in finite)


def format_minute(time: str) -> str:
    """Shorten a time of the log to the minute; a dash without a time."""
    return f"{time[:10]} {time[11:16]}" if time else MISSING


def format_value(value: float, column: Column) -> str:
    """Write a value of a column with its unit: ``4.5 stars``, ``$59.99``, ``$120k``, ``$6.5M``.

    A code of a category is its text, a date is in ISO 8601, and NaN is ``missing``.
    """
    if math.isnan(value):
        return MISSING_CELL
    if column.kind in ("category", "date"):
        return shorten(_write_text(value, column))
    if name_unit(column.unit, column.kind) == DOLLARS:
        if abs(value) >= _MILLION:
            return f"${value / _MILLION:,.4g}M"
        return f"${value / 1000:,.0f}k" if abs(value) >= _IN_THOUSANDS else f"${value:,.2f}"
    if abs(value) >= _IN_THOUSANDS and column.kind != "rating":
        return f"{value:,.0f} {column.unit}".strip()
    return f"{value:.4g} {column.unit}".strip()


def _write_text(value: float, column: Column) -> str:
    from gamesales.data.categories import format_code  # most commands write no codes, and need no Arrow
    from gamesales.data.dates import format_date

    return format_code(column, value) if column.kind == "category" else format_date(value)


def shorten(text: str) -> str:
    """Cut a long text of a table, which may have megabytes."""
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 1]}…"


def format_kind(value: float | str | None, kind: str, unit: str) -> str:
    """Write a value of a kind of the contract: ``yes`` or ``no`` for a flag, otherwise with its unit.

    Categories and dates are their text, and None is ``missing``.
    """
    if value is None or isinstance(value, str):
        return MISSING_CELL if value is None else shorten(value)
    if kind == "flag":
        return "yes" if value else "no"
    if unit == DOLLARS:
        return f"${value:,.2f}"
    # A year has no thousands separator.
    digits = f"{value:.7g}" if kind == "number" and abs(value) < _IN_THOUSANDS else f"{value:,.7g}"
    return f"{digits} {unit}".strip().replace("-", "−")


def format_amount(amount: float, unit: str, like: Iterable[float], *, signed: bool = False) -> str:
    """Write an amount in a unit: ``$1,234``, or ``12.5 hours`` with four digits of the largest amount.

    Args:
        amount: in the unit.
        unit: such as ``US dollars``.
        like: all amounts of the same figure. They are written with the same precision.
        signed: whether it is a difference, which has its sign.
    """
    if unit == DOLLARS:
        with amounts_in(DOLLARS):
            return format_signed_money(amount, like) if signed else format_money(amount, like)
    largest = max(map(abs, like), default=0.0) or 1.0
    digits = min(choose_decimals([largest], 4), 9)
    text = f"{amount:{'+' if signed else ''},.{digits}f} {unit}".strip()
    return text.replace("-", "−", 1)
