"""Explanations of predictions, as documents have them. ``explain`` computes them."""

from __future__ import annotations

from dataclasses import dataclass

from gamesales.stats.amounts import DOLLARS, choose_decimals


@dataclass(frozen=True)
class ColumnEffect:
    """How far a column moves a prediction.

    Attributes:
        column: the name of the column.
        kind: its kind in the contract.
        unit: its unit in the contract; empty for a flag.
        value: the value of the title: a number, the text of a category, or a date in ISO 8601. None for a missing cell.
        effect: in the unit of the target; negative if the column lowers the prediction.
        standard_error: of a sampled effect; None for an exact effect.
    """

    column: str
    kind: str
    unit: str
    value: float | str | None
    effect: float
    standard_error: float | None

    @property
    def text(self) -> str:
        """The value with its unit."""
        if self.value is None or isinstance(self.value, str):
            return "missing" if self.value is None else self.value
        return f"{self.value:g} {self.unit}"


@dataclass(frozen=True)
class Explanation:
    """Why a title has its prediction: the mean and all effects add up to it.

    Attributes:
        prediction: the prediction for the title, in the unit of the target.
        mean: the mean prediction for the reference titles.
        unit: the unit of the target.
        reference_titles: the number of reference titles.
        effects: the effect of each column, largest first.
    """

    prediction: float
    mean: float
    unit: str
    reference_titles: int
    effects: list[ColumnEffect]

    def __repr__(self) -> str:
        digits = self._decimals
        largest = [f"{effect.column} {effect.effect:+,.{digits}f}" for effect in self.effects[:3]]
        more = ["…"] * (len(self.effects) > 3)
        mean, prediction = f"{self.mean:,.{digits}f}", f"{self.prediction:,.{digits}f}"
        return f"Explanation({prediction} from a mean of {mean}: {', '.join([*largest, *more])})"

    def _repr_html_(self) -> str:
        from gamesales.display import make_table

        digits = self._decimals
        rows = [[effect.column, effect.text, f"{effect.effect:+,.{digits}f}"] for effect in self.effects]
        mean, prediction = f"{self.mean:,.{digits}f}", f"{self.prediction:,.{digits}f}"
        ends = [["mean", "", mean], *rows, ["prediction", "", prediction]]
        return make_table(f"effects in {self.unit}" if self.unit else "effects", ["column", "value", "effect"], ends)

    @property
    def _decimals(self) -> int:
        """Cents, or the decimals of four digits of the prediction or the mean, whichever are more."""
        return min(max(2, choose_decimals((self.prediction, self.mean), 4)), 9) if self.unit != DOLLARS else 2


@dataclass(frozen=True)
class ExplainedTitle:
    """A title of a run with its explanation.

    Attributes:
        row: its row in the result, from 1.
        labels: its first copied columns as text, by name.
    """

    row: int
    labels: dict[str, str]
    explanation: Explanation
