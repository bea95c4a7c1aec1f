"""Min-max scaling: the MinMaxScaler(0, 1) of the Keras course, as two numbers per column.

scikit-learn's scaler computes ``x * scale_ + min_``; both numbers are kept in float64. With ``scale = "log"``, the
target is scaled after a logarithm. A contract with categories, dates or gaps leaves its features to the encoder of the
network; see ``encoding``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from gamesales.arrays import FloatArray
from gamesales.data.contract import Contract
from gamesales.training.encoding import needs_encoding

# The quantile of the target, above its minimum, that is added before its logarithm.
_SHIFT_QUANTILE = 0.25
# A prediction is at most this many times as far from 0 as the training titles, so that no exponential overflows.
_MOST_BEYOND_TRAINING = 10.0


@dataclass(frozen=True)
class LogScale:
    """The logarithm of a target: ``log(value + shift)``.

    Attributes:
        shift: in the unit of the target.
        lowest, highest: the limits of the logarithm of a prediction.
        target_range: the range of the target in training, in its unit.
    """

    shift: float
    lowest: float
    highest: float
    target_range: float

    @classmethod
    def fit(cls, earnings: FloatArray) -> Self:
        """Fit the logarithm of a target (n,)."""
        smallest, largest = float(earnings.min()), float(earnings.max())
        shift = _choose_shift(earnings)
        margin = math.log(_MOST_BEYOND_TRAINING)
        lowest, highest = math.log(smallest + shift) - margin, math.log(largest + shift) + margin
        return cls(shift, lowest, highest, largest - smallest if largest > smallest else 1.0)

    def apply(self, values: FloatArray) -> FloatArray:
        """Return the logarithms of values (n,); values below the limits get the lowest logarithm."""
        return np.log(np.maximum(values + self.shift, math.exp(self.lowest)))

    def invert(self, logarithms: FloatArray) -> FloatArray:
        """Return the values of logarithms (n,) within the limits."""
        return np.asarray(np.exp(np.clip(logarithms, self.lowest, self.highest)) - self.shift, np.float64)


def _choose_shift(earnings: FloatArray) -> float:
    """Choose the number that is added before the logarithm, so that the smallest values are not spread out.

    Without it, the step from 0.01 to 0.02 would count as much as the step from 10 to 20.
    """
    smallest = float(earnings.min())
    above = earnings[earnings > smallest]
    step = float(np.quantile(above - smallest, _SHIFT_QUANTILE)) if len(above) else 1.0
    return max(step - smallest, 0.0) if smallest <= 0 else step


@dataclass(frozen=True)
class Scaling:
    """``scaled = value * scale + offset``, for each column.

    ``features`` and ``target`` are names. ``scale`` and ``offset`` are float64 (k + 1,), with the target last. With
    ``log``, the value of the target is its logarithm.
    """

    features: tuple[str, ...]
    target: str
    scale: FloatArray
    offset: FloatArray
    log: LogScale | None = None

    def scale_features(self, values: npt.NDArray[np.floating[Any]]) -> FloatArray:
        """Scale features: (n, k) to float64 (n, k), unitless."""
        return np.asarray(values * self.scale[:-1] + self.offset[:-1], np.float64)

    def scale_target(self, earnings: npt.NDArray[np.floating[Any]]) -> FloatArray:
        """Scale the target: (n,) in its unit to float64 (n,), unitless."""
        values = earnings if self.log is None else self.log.apply(np.asarray(earnings, np.float64))
        return np.asarray(values * self.scale[-1] + self.offset[-1], np.float64)

    def unscale_target(self, scaled: npt.NDArray[np.floating[Any]]) -> FloatArray:
        """Undo the target's scaling: (n,) unitless to float64 (n,), in the unit of the target."""
        values = np.asarray((scaled.astype(np.float64) - self.offset[-1]) / self.scale[-1], np.float64)
        return values if self.log is None else self.log.invert(values)

    @property
    def target_scale(self) -> float:
        """The share of the range of the target in training that each of its units is."""
        return float(self.scale[-1]) if self.log is None else 1.0 / self.log.target_range

    @property
    def target_range(self) -> float:
        """The range of the target in training, in its unit."""
        return 1.0 / self.target_scale

    def as_dict(self) -> dict[str, Any]:
        """Return the entry of the manifest, ready for JSON."""
        names = [*self.features, self.target]
        return {
            "method": "min-max to 0..1: value * scale + offset",
            "columns": [
                {"name": name, "scale": float(scale), "offset": float(offset)}
                for name, scale, offset in zip(names, self.scale, self.offset, strict=True)
            ],
            **({"log": asdict(self.log)} if self.log else {}),
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Read a document that ``as_dict`` returned.

        Raises:
            LookupError: a key is missing.
            TypeError: a value has another type.
            ValueError: a number is not finite, or a scale is 0.
        """
        columns = document["columns"]
        *features, target = [str(column["name"]) for column in columns]
        scale, offset = (np.array([float(column[key]) for column in columns]) for key in ("scale", "offset"))
        log = {key: float(value) for key, value in document.get("log", {}).items()}
        if not (np.isfinite([scale, offset]).all() and scale.all() and all(map(math.isfinite, log.values()))):
            raise ValueError("expected finite numbers, and scales other than 0")
        return cls(tuple(features), target, scale, offset, LogScale(**log) if log else None)


def fit_scaler(contract: Contract, values: FloatArray, earnings: FloatArray) -> tuple[Any, Scaling]:
    """Fit scikit-learn's MinMaxScaler on titles.

    Args:
        contract: names the k features and the target. Features that an encoder takes are not scaled.
        values: the features, float64 (n, k).
        earnings: the target, float64 (n,), in its unit.

    Returns:
        The fitted scaler, for people, and its numbers, for the graph.
    """
    import pandas as pd
    from sklearn.preprocessing import MinMaxScaler

    names, target = contract.feature_names, contract.target.name
    log = LogScale.fit(earnings) if contract.target.scale == "log" else None
    targets = earnings if log is None else log.apply(earnings)
    if needs_encoding(contract):
        values = np.zeros_like(values)  # the encoder scales them
    table = pd.DataFrame(np.column_stack([values, targets]), columns=[*names, target])
    scaler = MinMaxScaler(feature_range=(0, 1)).fit(table)
    scale, offset = scaler.scale_.astype(np.float64), scaler.min_.astype(np.float64)
    return scaler, Scaling(names, target, scale, offset, log)


def format_scaling_note(column: str, scale: float, offset: float) -> str:
    """Describe the scaling of a column as the Keras course does."""
    return f"Note: {column} values were scaled by multiplying by {scale:.10f} and adding {offset:.6f}"
