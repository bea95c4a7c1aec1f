"""Min-max scaling: the MinMaxScaler(0, 1) of the Keras course, as two numbers per column.

scikit-learn's scaler computes ``x * scale_ + min_``; both numbers are kept in float64.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from gamesales.arrays import FloatArray


@dataclass(frozen=True)
class Scaling:
    """``scaled = value * scale + offset``, for each column.

    ``features`` and ``target`` are names. ``scale`` and ``offset`` are float64 (k + 1,), with the target last.
    """

    features: tuple[str, ...]
    target: str
    scale: FloatArray
    offset: FloatArray

    def scale_features(self, values: npt.NDArray[np.floating[Any]]) -> FloatArray:
        """Scale features: (n, k) to float64 (n, k), unitless."""
        return np.asarray(values * self.scale[:-1] + self.offset[:-1], np.float64)

    def scale_target(self, earnings: npt.NDArray[np.floating[Any]]) -> FloatArray:
        """Scale the target: (n,) US dollars to float64 (n,), unitless."""
        return np.asarray(earnings * self.scale[-1] + self.offset[-1], np.float64)

    def unscale_target(self, scaled: npt.NDArray[np.floating[Any]]) -> FloatArray:
        """Undo the target's scaling: (n,) unitless to float64 (n,), US dollars."""
        return np.asarray((scaled.astype(np.float64) - self.offset[-1]) / self.scale[-1], np.float64)

    @property
    def target_scale(self) -> float:
        """Scaled units for each unit of the target."""
        return float(self.scale[-1])

    @property
    def target_range(self) -> float:
        """The range of the target in training, US dollars."""
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
        numbers = [np.array([float(column[key]) for column in columns]) for key in ("scale", "offset")]
        if not (np.isfinite(numbers).all() and numbers[0].all()):
            raise ValueError("expected finite numbers, and scales other than 0")
        return cls(tuple(features), target, *numbers)


def fit_scaler(features: Sequence[str], target: str, values: FloatArray, earnings: FloatArray) -> tuple[Any, Scaling]:
    """Fit scikit-learn's MinMaxScaler on titles.

    Args:
        features: the names of the k features.
        target: the name of the target.
        values: the features, float64 (n, k).
        earnings: the target, float64 (n,), US dollars.

    Returns:
        The fitted scaler, for people, and its numbers, for the graph.
    """
    import pandas as pd
    from sklearn.preprocessing import MinMaxScaler

    names = [*features, target]
    scaler = MinMaxScaler(feature_range=(0, 1)).fit(pd.DataFrame(np.column_stack([values, earnings]), columns=names))
    return scaler, Scaling(tuple(features), target, scaler.scale_.astype(np.float64), scaler.min_.astype(np.float64))


def format_scaling_note(column: str, scale: float, offset: float) -> str:
    """Describe the scaling of a column as the Keras course does."""
    return f"Note: {column} values were scaled by multiplying by {scale:.10f} and adding {offset:.6f}"
