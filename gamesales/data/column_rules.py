"""The rules for a column of a contract: the keys of each kind, and the values of each key."""

from __future__ import annotations

import math
import re
from datetime import date, datetime
from typing import TYPE_CHECKING, get_args

if TYPE_CHECKING:
    from gamesales.data.contract import Column

_FILLS = ("reject", "mean", "median", "category")
_TEXT_KINDS = ("category", "date")
# Each further key, with the kinds that take it.
_KEYS_OF_KINDS = {
    "encoding": ("rating", "price", "money", "number", "date"),
    "scale": ("rating", "price", "money", "number"),
    "values": ("category",),
    "min_count": ("category",),
    "unseen": ("category",),
    "date_format": ("date",),
}


def check_column(column: Column) -> None:
    """Check the keys of a column.

    Raises:
        ValueError: a key has the wrong type, does not belong to the kind of the column, or the range is empty.
    """
    _check_types(column)
    _check_keys_of_kind(column)
    _check_missing(column)
    bounds = (column.minimum, column.maximum, column.above)
    if column.kind in ("flag", *_TEXT_KINDS) and bounds != (None, None, None):
        meaning = "is 0 or 1" if column.kind == "flag" else "has no range"
        raise ValueError(f"a {column.kind} {meaning} and takes no minimum, maximum or above")
    lowest = max((bound for bound in (column.minimum, column.above) if bound is not None), default=None)
    if lowest is not None and column.maximum is not None and lowest >= column.maximum:
        raise ValueError(f"the range is empty: from {lowest} to {column.maximum}")


def _check_types(column: Column) -> None:
    from gamesales.data.contract import OUTPUT_COLUMNS, ColumnKind

    texts = (column.name, column.unit, column.description, column.date_format, *column.values)
    bounds = (column.minimum, column.maximum, column.above)
    if not all(isinstance(text, str) for text in texts) or column.kind not in get_args(ColumnKind):
        raise ValueError(f"expected text, and a kind of {', '.join(get_args(ColumnKind))}, received {column}")
    if any(bound is not None and type(bound) not in (int, float) for bound in bounds):
        raise ValueError(f"expected bounds that are numbers, received {column}")
    if not column.name or column.name != column.name.strip():
        raise ValueError(f"a column's name must not be empty or padded, received {column.name!r}")
    if column.name in OUTPUT_COLUMNS:
        raise ValueError(f"{column.name!r} is a column that scoring writes; choose another name")


def _check_keys_of_kind(column: Column) -> None:
    defaults = {key: type(column).__dataclass_fields__[key].default for key in _KEYS_OF_KINDS}
    for key, kinds in _KEYS_OF_KINDS.items():
        if getattr(column, key) != defaults[key] and column.kind not in kinds:
            raise ValueError(f"{key} belongs to a column of kind {' or '.join(kinds)}, and this is a {column.kind}")
    choices = {"encoding": ("minmax", "quantiles"), "scale": ("minmax", "log"), "unseen": ("other", "reject")}
    for key, allowed in choices.items():
        if getattr(column, key) not in allowed:
            raise ValueError(f"{key} expects {' or '.join(allowed)}, received {getattr(column, key)!r}")
    if type(column.min_count) is not int or column.min_count < 1:
        raise ValueError(f"min_count expects a whole number of 1 or more, received {column.min_count!r}")
    _check_values(column)
    if column.date_format:
        _check_date_format(column.date_format)


def _check_values(column: Column) -> None:
    values = column.values
    if len(set(values)) != len(values) or any(value != value.strip() or not value for value in values):
        raise ValueError(f"values expects different texts without blanks around them, received {list(values)}")
    for value in values:
        if (normal := normalize_text(value)) != value:
            raise ValueError(f"values expects {normal!r} instead of {value!r}: a whole number is its decimal digits")


def _check_date_format(text: str) -> None:
    if not _reads_dates(text) or ("%d" in text and not ("%m" in text or "%b" in text or "%B" in text)):
        raise ValueError(f'date_format expects a year, such as "%d/%m/%Y", "%b %d %Y" or "%Y", received {text!r}')


def _reads_dates(date_format: str) -> bool:
    """Return whether a date that is written in a format can be read again, at least its year."""
    day = date(2026, 11, 30)
    try:
        return datetime.strptime(day.strftime(date_format), date_format).year == day.year  # noqa: DTZ007
    except (ValueError, re.error):  # re.error: a directive occurs twice
        return False


def normalize_text(text: str) -> str:
    """Return a text as categories compare it: without blanks around it, and a whole number without ``.0``."""
    stripped = text.strip()
    whole = stripped.removesuffix(".0")
    return whole if whole is not stripped and whole.lstrip("-").isdecimal() and whole.isascii() else stripped


def _check_missing(column: Column) -> None:
    rule = column.missing
    if isinstance(rule, str):
        if rule not in _FILLS:
            raise ValueError(f"missing expects {', '.join(_FILLS)}, or a value, received {rule!r}")
        if rule == "category" and column.kind != "category":
            raise ValueError(f'missing = "category" belongs to a column of kind category, and this is a {column.kind}')
        if rule in ("mean", "median") and column.kind == "category":
            raise ValueError(f'a category has no {rule}; expected missing = "reject" or "category"')
        return
    if type(rule) not in (int, float) or not math.isfinite(rule) or column.kind in _TEXT_KINDS:
        raise ValueError(f"missing expects {', '.join(_FILLS)}, or for a number a value, received {rule!r}")
