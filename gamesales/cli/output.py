"""Results as text for people, or as one JSON document for programs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any


def show_json(result: Any) -> None:
    """Print a result, a dataclass, as one JSON document."""
    print(json.dumps(asdict(result), ensure_ascii=False, indent=1))


def show_error(code: str, message: str, hint: str, *, as_json: bool, evidence: Mapping[str, Any] | None = None) -> None:
    """Print a failure: on stderr for people, as a document on stdout for programs.

    Args: evidence: the gate's, which goes into the document.
    """
    if as_json:
        error = {"code": code, "message": message, "hint": hint, **({"evidence": evidence} if evidence else {})}
        print(json.dumps({"error": error}, ensure_ascii=False))
        return
    print(f"error: {message}", file=sys.stderr)
    if hint:
        print(f"       {hint}", file=sys.stderr)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a table in columns as wide as they need; columns of numbers are aligned right."""
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
        "mae_usd": "${:,.0f}",
        "rmse_usd": "${:,.0f}",
        "r2": "{:.4f}",
        "mape_percent": "{:.2f} %",
    }
    values = [(form, metrics.get(key)) for key, form in formats.items()]
    return ["-" if value is None else form.format(value) for form, value in values]


def mae_words(comparison: Mapping[str, Any] | None) -> str:
    """Tell in a few words how a candidate compared with the champion; nothing if it was not compared."""
    return "" if not comparison else f", MAE ${comparison['candidate_mae']:,.0f} to ${comparison['champion_mae']:,.0f}"


def moment(time: str) -> str:
    """Shorten a time of the log to the minute."""
    return f"{time[:10]} {time[11:16]}"


def _is_number(cell: str) -> bool:
    return cell == "-" or re.fullmatch(r"-?\$?[\d,.]+(e-?\d+)?( %)?", cell) is not None
