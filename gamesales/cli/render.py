"""Results and errors as text for people, or as one JSON document for programs."""

from __future__ import annotations

import json
import logging
import re
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from gamesales.errors import LOGGER
from gamesales.old_keys import add_old_keys

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

# Unicode categories: control characters, line and paragraph separators, surrogates.
_HARMFUL_CATEGORIES = {"Cc", "Zl", "Zp", "Cs"}
# Characters that change the direction of writing, so that a text reads as another text.
_DIRECTION_CONTROLS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def show_result(result: T, format_result: Callable[[T], str], *, as_json: bool) -> None:
    """Print a result, which is a dataclass, as text for people or as one JSON document for programs."""
    if as_json:
        print(json.dumps(add_old_keys(asdict(result)), ensure_ascii=False, indent=1))
    else:
        print(format_result(result))


def show_error(code: str, message: str, hint: str, *, as_json: bool, evidence: Mapping[str, Any] | None = None) -> None:
    """Print an error on stderr for people, and with ``as_json`` also as a JSON document on stdout for programs.

    Only the JSON document has the evidence of the gate. The text is on stderr in any case: cron sends it as a mail.
    """
    if as_json:
        error = {"code": code, "message": message, "hint": hint, **({"evidence": evidence} if evidence else {})}
        with suppress(OSError):  # stdout is full or closed; stderr has the error too
            print(json.dumps({"error": add_old_keys(error)}, ensure_ascii=False))
    print(f"error: {to_one_line(message)}", file=sys.stderr)
    if hint:
        print(f"       {to_one_line(hint)}", file=sys.stderr)


class _WarningHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        print(f"warning: {to_one_line(record.getMessage())}", file=sys.stderr, flush=True)


@contextmanager
def show_warnings() -> Iterator[None]:
    """Print the warnings of the body on stderr, a line for each."""
    handler = _WarningHandler(logging.WARNING)
    LOGGER.addHandler(handler)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a table. Columns of numbers are aligned right, and each cell becomes one line."""
    rows = [[to_one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    right = [all(_is_number(cell) for cell in column) and bool(rows) for column in zip(*rows, strict=True)]
    right = right or [False] * len(header)
    lines = [header, *rows]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def format_metrics_table(metrics: Mapping[str, Mapping[str, float | None]]) -> str:
    """Lay out the metrics of each version or baseline, a line for each."""
    from gamesales.stats.metrics import HEADINGS, format_metrics  # scoring does not load it

    return format_table(["", *HEADINGS], [[name, *format_metrics(values)] for name, values in metrics.items()])


def format_intervals(intervals: Mapping[str, Sequence[float]]) -> str:
    """Write the confidence intervals of the mean absolute error and of the scaled mean squared error."""
    (low_mae, high_mae), (low_mse, high_mse) = intervals["mae"], intervals["scaled_mse"]
    return f"MAE ${low_mae:,.0f} to ${high_mae:,.0f}, scaled MSE {low_mse:.2e} to {high_mse:.2e}"


def format_minute(time: str) -> str:
    """Shorten a time of the log to the minute."""
    return f"{time[:10]} {time[11:16]}"


def to_one_line(text: str) -> str:
    """Replace line breaks and control characters, so that a reason can't forge another line of output."""
    if text.isprintable():
        return text
    return "".join(" " if _is_harmful(character) else character for character in text)


def _is_harmful(character: str) -> bool:
    category, direction = unicodedata.category(character), unicodedata.bidirectional(character)
    return category in _HARMFUL_CATEGORIES or direction in _DIRECTION_CONTROLS


def _is_number(cell: str) -> bool:
    return cell == "-" or re.fullmatch(r"-?\$?[\d,.]+(e-?\d+)?%?", cell) is not None
