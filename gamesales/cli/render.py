"""Results as text for people, or as one JSON document for programs."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from gamesales.old_keys import add_old_keys

# Control characters, line and paragraph separators, halves of characters.
_NOT_IN_A_LINE = {"Cc", "Zl", "Zp", "Cs"}
# What turns the direction of writing, so that a text reads as another.
_TURNS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def show_json(result: Any) -> None:
    """Print a result, a dataclass, as one JSON document."""
    print(json.dumps(add_old_keys(asdict(result)), ensure_ascii=False, indent=1))


def show_error(code: str, message: str, hint: str, *, as_json: bool, evidence: Mapping[str, Any] | None = None) -> None:
    """Print a failure: on stderr for people, as a document on stdout for programs.

    Args: evidence: the gate's, which goes into the document.
    """
    if as_json:
        error = {"code": code, "message": message, "hint": hint, **({"evidence": evidence} if evidence else {})}
        print(json.dumps({"error": error}, ensure_ascii=False))
        return
    print(f"error: {one_line(message)}", file=sys.stderr)
    if hint:
        print(f"       {one_line(hint)}", file=sys.stderr)


def one_line(text: str) -> str:
    """Bring a text of the registry into one line: a line break or an escape in a reason must not forge another line."""
    return text if text.isprintable() else "".join(" " if _is_harmful(one) else one for one in text)


def _is_harmful(character: str) -> bool:
    return unicodedata.category(character) in _NOT_IN_A_LINE or unicodedata.bidirectional(character) in _TURNS


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a table in columns as wide as they need; columns of numbers are aligned right.

    A cell may be any text: it is brought into one line.
    """
    rows = [[one_line(cell) for cell in row] for row in rows]
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


def metrics_table(who: Mapping[str, Mapping[str, float | None]]) -> str:
    """Lay out metrics, a line for each version or baseline."""
    header = ["", "scaled MSE", "MAE", "RMSE", "R2", "MAPE"]
    return table(header, [[name, *metric_cells(metrics)] for name, metrics in who.items()])


def metric_cells(metrics: Mapping[str, float | None]) -> list[str]:
    """Format metrics in the order of ``metrics_table``."""
    formats = {
        "scaled_mse": "{:.2e}",
        "mae": "${:,.0f}",
        "rmse": "${:,.0f}",
        "r2": "{:.4f}",
        "mape_percent": "{:.2f} %",
    }
    values = [(form, metrics.get(key)) for key, form in formats.items()]
    return ["-" if value is None else form.format(value) for form, value in values]


def moment(time: str) -> str:
    """Shorten a time of the log to the minute."""
    return f"{time[:10]} {time[11:16]}"


def _is_number(cell: str) -> bool:
    return cell == "-" or re.fullmatch(r"-?\$?[\d,.]+(e-?\d+)?( %)?", cell) is not None
