"""The explanation of a prediction as text for people."""

from __future__ import annotations

from gamesales.cli.table import format_table
from gamesales.report.format import format_amount, format_count, format_kind
from gamesales.scoring.explanation import Explanation


def format_explanation(explanation: Explanation) -> str:
    """Lay out the effect of each column, largest first, and how they add up to the prediction."""
    effects, unit = explanation.effects, explanation.unit
    amounts = [explanation.prediction, explanation.mean, *(effect.effect for effect in effects)]
    cells = [
        *(format_amount(effect.effect, unit, amounts, signed=True) for effect in effects),
        *(format_amount(amount, unit, amounts) for amount in (explanation.mean, explanation.prediction)),
    ]
    cells = [cell.replace("−", "-").rjust(max(map(len, cells))) for cell in cells]
    mean = f"mean of {format_count(explanation.reference_titles, 'reference title')}"
    rows = [
        *([effect.column, format_kind(effect.value, effect.kind, effect.unit)] for effect in effects),
        [mean, ""],
        ["sum = prediction", ""],
    ]
    header = ["column", "value", "effect"]
    errors = [effect.standard_error for effect in effects]
    if any(error is not None for error in errors):
        header.append("standard error")
        cells_of_errors = [
            "" if error is None else format_amount(error, unit, amounts) for error in [*errors, None, None]
        ]
        return format_table(header, [[*row, *more] for row, *more in zip(rows, cells, cells_of_errors, strict=True)])
    return format_table(header, [[*row, cell] for row, cell in zip(rows, cells, strict=True)])
