"""Amounts in the unit of the target, as text. Dollars have their sign, other units follow the number.

Dozens of functions write amounts, and few of them know the contract. The caller that knows it sets the unit:

    with amounts_in(contract.unit):
        ...

A result that is shown later remembers the unit in which it was made (``InUnit``). See
docs/decisions/2026-11-30-unit-of-a-text.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, ClassVar, ParamSpec, TypeVar

DOLLARS = "US dollars"
# Smaller amounts are written with a power of ten.
_SMALLEST = 1e-6
# A part of the largest amount of a figure that is this small may be a rounding error, and is written as 0.
_ROUNDING = 1e-9

P = ParamSpec("P")
R = TypeVar("R")

_unit: ContextVar[str] = ContextVar("unit", default=DOLLARS)


def get_unit() -> str:
    """Return the unit of the amounts in texts, such as ``hours``. It is ``US dollars`` unless it is set."""
    return _unit.get()


def set_unit(unit: str) -> None:
    """Set the unit of the amounts in texts, for the rest of a ``keeps_unit`` function or an ``amounts_in`` block."""
    _unit.set(unit)


@contextmanager
def amounts_in(unit: str) -> Iterator[None]:
    """Write the amounts of the body in a unit."""
    token = _unit.set(unit)
    try:
        yield
    finally:
        _unit.reset(token)


def keeps_unit(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function that calls ``set_unit``: its caller has the same unit after the call as before."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with amounts_in(get_unit()):
            return function(*args, **kwargs)

    return call


class InUnit:
    """A result with amounts, which remembers the unit of its texts. The unit is no field, so JSON does not have it."""

    unit_of_text: ClassVar[str] = DOLLARS

    def __post_init__(self) -> None:
        object.__setattr__(self, "unit_of_text", get_unit())


def unit_of(result: object) -> str:
    """Return the unit of a result that is ``InUnit``, and otherwise the current unit."""
    return result.unit_of_text if isinstance(result, InUnit) else get_unit()


def read_unit(document: Mapping[str, Any]) -> str:
    """Read the unit of the target from a manifest. A manifest without a contract is about dollars."""
    contract = document.get("contract")
    target = contract.get("target") if isinstance(contract, Mapping) else None
    return name_unit(target.get("unit"), target.get("kind")) if isinstance(target, Mapping) else DOLLARS


def name_unit(unit: object, kind: object) -> str:
    """Return the unit of a column. Money and prices without a unit are in dollars, as they always were."""
    text = unit if isinstance(unit, str) else ""
    return DOLLARS if not text and kind in ("money", "price") else text


def record_unit(unit: str) -> dict[str, str]:
    """Return the key that the log adds to metrics. Metrics without the key are in dollars."""
    return {} if unit == DOLLARS else {"unit": unit}


def read_recorded_unit(body: Mapping[str, Any]) -> str:
    """Read the unit of metrics in the log."""
    unit = body.get("unit", DOLLARS)
    return unit if isinstance(unit, str) else DOLLARS


def choose_decimals(amounts: Iterable[float], significant: int) -> int:
    """Choose the decimals with which the largest amount of a figure has some number of significant digits."""
    largest = max((abs(amount) for amount in amounts if math.isfinite(amount)), default=0.0)
    return max(significant - 1 - math.floor(math.log10(largest)), 0) if largest else 0


def write_number(amount: float, like: Iterable[float] = (), significant: int = 3) -> str:
    """Write an amount without its sign and its unit, such as ``0.388`` or ``12,345``.

    Args:
        amount: in any unit.
        like: further amounts of the same figure. All of them are written with the same precision, unless the amount
            would be rounded to 0.
        significant: the digits of the largest amount. All digits before the decimal point are written.
    """
    largest = max((abs(number) for number in [amount, *like] if math.isfinite(number)), default=0.0)
    if 0 < largest < _SMALLEST:
        return f"{abs(amount):.{significant - 1}e}"
    decimals = choose_decimals([largest], significant)
    if _ROUNDING * largest < abs(amount) < 0.5 * 10**-decimals:
        return write_number(amount, (), significant)
    return f"{abs(amount):,.{decimals}f}"


def format_amount(
    amount: float, decimals: int = 0, *, like: Iterable[float] = (), significant: int = 3, sign: str = "$"
) -> str:
    """Write an amount in plain ASCII in the current unit: ``-$1,250`` or ``0.388 million units``.

    Args:
        amount: in the current unit.
        decimals: of dollars.
        like: further amounts of the same figure, which set the precision of other units.
        significant: the digits of other units.
        sign: the sign of dollars; empty where it is left out.
    """
    unit = get_unit()
    minus = "-" if amount < 0 else ""
    if unit == DOLLARS:
        return f"{minus}{sign}{abs(amount):,.{decimals}f}"
    return f"{minus}{write_number(amount, like, significant)} {unit}".rstrip()


def is_amount(text: str) -> bool:
    """Return whether a text ends with the current unit, other than dollars."""
    unit = get_unit()
    return unit not in ("", DOLLARS) and text.endswith(f" {unit}")


def name_amounts() -> str:
    """Name the current unit in a sentence about errors: ``dollars`` or ``hours``, and ``absolute terms`` if empty."""
    unit = get_unit()
    return "dollars" if unit == DOLLARS else unit or "absolute terms"


def label_amounts(label: str) -> str:
    """Add the unit to the label of an axis, whose ticks have no unit. Ticks in dollars have their sign."""
    unit = get_unit()
    return label if unit in ("", DOLLARS) else f"{label}, {unit}"
