"""Results and errors as text for people, or as one JSON document for programs."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from gamesales.cli.table import format_table
from gamesales.cli.terminal import DIM, fit_lines, paint, set_color, to_one_line, use_screen_of
from gamesales.errors import LOGGER
from gamesales.old_keys import add_old_keys
from gamesales.stats.amounts import amounts_in, format_amount, unit_of

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# The units of sizes, in steps of 1,000.
_UNITS = ("bytes", "KB", "MB", "GB", "TB", "PB")
# The headings of metrics that a narrow screen leaves out, the least important first.
OPTIONAL_METRICS = ("scaled MSE", "RMSE", "R2", "MAPE")
T = TypeVar("T", bound="DataclassInstance")


def show_result(result: T, format_result: Callable[[T], str], *, as_json: bool) -> None:
    """Print a result, which is a dataclass, as text for people or as one JSON document for programs."""
    if as_json:
        print(json.dumps(add_old_keys(asdict(result)), ensure_ascii=False, indent=1))
    else:
        with amounts_in(unit_of(result)):
            show_text(lambda: format_result(result), sys.stdout)


def show_text(format_text: Callable[[], str], stream: TextIO | None) -> None:
    """Print a text, laid out for the screen of a stream. The last line names columns that did not fit."""
    if stream is None:  # closed
        return
    with use_screen_of(stream) as screen:
        text = fit_lines(format_text(), screen)
        if screen.left_out:
            note = f"left out: {', '.join(screen.left_out)}. All columns: --wide"
            text += "\n\n" + set_color(fit_lines(note, screen), DIM)
    print(text, file=stream, flush=stream is sys.stderr)


def show_error(code: str, message: str, hint: str, *, as_json: bool, evidence: Mapping[str, Any] | None = None) -> None:
    """Print an error on stderr for people, and with ``as_json`` also as a JSON document on stdout for programs.

    Only the JSON document has the evidence of the gate. The text is on stderr in any case: cron sends it as a mail.
    """
    if as_json:
        error = {"code": code, "message": message, "hint": hint, **({"evidence": evidence} if evidence else {})}
        with suppress(OSError):  # stdout is full or closed; stderr has the error too
            print(json.dumps({"error": add_old_keys(error)}, ensure_ascii=False))
    hint_line = f"\n       {to_one_line(hint)}" if hint else ""
    with suppress(OSError):  # stderr is full; the exit code says that the command failed
        show_text(lambda: f"{paint('error:')} {to_one_line(message)}{hint_line}", sys.stderr)


class _WarningHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        message = to_one_line(record.getMessage())
        show_text(lambda: f"{paint('warning:')} {message}", sys.stderr)


@contextmanager
def show_warnings() -> Iterator[None]:
    """Print the warnings of the body on stderr, a line for each."""
    handler = _WarningHandler(logging.WARNING)
    LOGGER.addHandler(handler)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)


def format_metrics_table(metrics: Mapping[str, Mapping[str, float | None]]) -> str:
    """Lay out the metrics of each version or baseline, a line for each."""
    from gamesales.stats.metrics import HEADINGS, format_metrics  # scoring does not load it

    rows = [[name, *format_metrics(values)] for name, values in metrics.items()]
    return format_table(["", *HEADINGS], rows, optional=OPTIONAL_METRICS)


def format_intervals(intervals: Mapping[str, Sequence[float]]) -> str:
    """Write the confidence intervals of the mean absolute error and of the scaled mean squared error."""
    (low_mae, high_mae), (low_mse, high_mse) = intervals["mae"], intervals["scaled_mse"]
    low, high = (format_amount(bound, like=(low_mae, high_mae)) for bound in (low_mae, high_mae))
    return f"MAE {low} to {high}, scaled MSE {low_mse:.2e} to {high_mse:.2e}"


def format_size(size: float) -> str:
    """Write a number of bytes with three digits or fewer, in steps of 1,000."""
    unit = 0
    while size >= 999.5 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.1f} {_UNITS[unit]}" if unit and size < 99.95 else f"{size:.0f} {_UNITS[unit]}"
