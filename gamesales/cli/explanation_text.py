"""The explanation of a prediction as text for people."""

from __future__ import annotations

from collections.abc import Sequence

from gamesales.cli.table import format_table
from gamesales.report.format import format_amount, format_count, format_kind
from gamesales.scoring.explanation import ExplainedTitle, Explanation

# Titles of a run, and effects of each, that the terminal shows.
_SHOWN_TITLES, _SHOWN_EFFECTS = 10, 3


def format_explanation(explanation: Explanation) -> str:
    """Lay out the effect of each column, largest first, and how they add up to the prediction."""
    effects = explanation.effects
    cells = [
        *(_format_amount(effect.effect, explanation, signed=True) for effect in effects),
        *(_format_amount(amount, explanation) for amount in (explanation.mean, explanation.prediction)),
    ]
    cells = [cell.rjust(max(map(len, cells))) for cell in cells]
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
        more = ["" if error is None else _format_amount(error, explanation) for error in [*errors, None, None]]
        more = [cell.rjust(max(map(len, [header[-1], *more]))) for cell in more]
        return format_table(header, [[*row, *last] for row, *last in zip(rows, cells, more, strict=True)])
    return format_table(header, [[*row, cell] for row, cell in zip(rows, cells, strict=True)])


def format_top_titles(titles: Sequence[ExplainedTitle]) -> str:
    """Lay out the titles that a run explains, with their largest effects."""
    rows = [
        [
            ", ".join(filter(None, title.labels.values())) or f"row {title.row:,}",
            _format_amount(title.explanation.prediction, title.explanation),
            _format_largest(title.explanation),
        ]
        for title in titles[:_SHOWN_TITLES]
    ]
    return format_table(["highest predictions", "predicted", "largest effects"], rows)


def _format_largest(explanation: Explanation) -> str:
    return ", ".join(
        f"{effect.column} {format_kind(effect.value, effect.kind, effect.unit)} "
        + _format_amount(effect.effect, explanation, signed=True)
        for effect in explanation.effects[:_SHOWN_EFFECTS]
    )


def _format_amount(amount: float, explanation: Explanation, *, signed: bool = False) -> str:
    """Write an amount with the precision of the whole explanation, and a minus that a shell can read."""
    like = [explanation.prediction, explanation.mean, *(effect.effect for effect in explanation.effects)]
    return format_amount(amount, explanation.unit, like, signed=signed).replace("−", "-")
