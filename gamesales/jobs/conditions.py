"""What people ask of a version's figures: ``mae<5000``, and the best first."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gamesales.errors import UsageError

# The figures of an evaluation by the names that people type; the longer ones, with their units, are understood too.
FIGURES = {
    "mae": "mae_usd",
    "rmse": "rmse_usd",
    "scaled_mse": "scaled_mse",
    "r2": "r2",
    "mape": "mape_percent",
}
HIGHER_IS_BETTER = {"r2"}
_COMPARE = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
}
_CONDITION = re.compile(
    r"\s*(?P<name>\w+)\s*(?P<sign><=|>=|==|!=|<|>|=)\s*(?P<bound>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*",
    re.ASCII,
)


@dataclass(frozen=True)
class Condition:
    """A figure, a sign such as ``<``, and a number."""

    figure: str
    sign: str
    bound: float

    def holds(self, metrics: Mapping[str, Any]) -> bool:
        """Tell whether it is true of an evaluation; of a figure that is not known, nothing is."""
        value = figure(metrics, self.figure)
        return value is not None and bool(_COMPARE[self.sign](value, self.bound))


def parse_condition(text: str) -> Condition:
    """Read ``mae_usd<5000``. Raises: UsageError: it is no figure, sign and number."""
    match = _CONDITION.fullmatch(text)
    if match is None or not math.isfinite(float(match["bound"])):
        raise UsageError(
            f"--where expects a figure, a sign and a number, such as 'mae<5000' or 'r2>=0.99', received {text!r}",
            hint=f"Figures: {', '.join(FIGURES)}; signs: {' '.join(_COMPARE)}; in quotes, for the shell's sake",
        )
    names = {**FIGURES, **{name: name for name in FIGURES.values()}}
    if match["name"] not in names:
        raise UsageError(
            f"--where knows no figure {match['name']!r}; expected one of {', '.join(FIGURES)}",
            hint="For example: --where 'mae<5000'",
        )
    return Condition(names[match["name"]], match["sign"], float(match["bound"]))


def figure(metrics: Mapping[str, Any], name: str) -> float | None:
    """Return a figure if it is a finite number."""
    value = metrics.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)
