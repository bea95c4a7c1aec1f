"""The prediction interval of a version, and how it widens for titles unlike the training titles.

docs/explanation/intervals.md explains both formulas.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gamesales.arrays import BoolArray, FloatArray
from gamesales.data.arrow import Numbers
from gamesales.scoring.familiarity import ONE_FLAG_DIFFERS, UNLIKE_ALL

_LARGEST = float(np.finfo(np.float64).max)
_NUMBERS = ("coverage", "floor", "slope", "quantile")


@dataclass(frozen=True)
class PredictionInterval:
    """The formula of a version's prediction intervals: prediction ± quantile · (floor + slope · |prediction|).

    Attributes:
        coverage: the share of titles whose actual value should lie within the interval, 0 to 1.
        floor: in the unit of the target.
        slope: no unit.
        quantile: no unit.
        whole_units: whether bounds are rounded outwards to whole units. Nobody needs the cents of a bound, and writing
            them takes twice as long.

    Raises:
        ValueError: the numbers make no interval.
    """

    coverage: float
    floor: float
    slope: float
    quantile: float
    whole_units: bool

    def __post_init__(self) -> None:
        numbers: list[Any] = [getattr(self, name) for name in _NUMBERS]
        finite = all(type(number) in (int, float) and math.isfinite(number) for number in numbers)
        if not (finite and min(numbers) >= 0 and 0 < self.coverage < 1) or self.whole_units not in (True, False):
            raise ValueError(f"expected an interval of finite numbers from 0, coverage below 1, received {self}")

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> PredictionInterval | None:
        """Read the interval of a manifest; None for a version without prediction intervals."""
        entry = manifest.get("interval")
        if entry is None:
            return None
        return cls(*(entry[name] for name in (*_NUMBERS, "whole_units")))

    def bounds(self, predictions: FloatArray, growth: FloatArray | None = None) -> tuple[FloatArray, FloatArray]:
        """Compute the bounds around predictions, not below 0.

        Each bound is computed by itself, so that no row's bounds depend on the other rows.

        Args:
            predictions: float64 (n,), finite.
            growth: float64 (n,), by how much each half width grows, in units of ``floor + slope · |prediction|``; NaN
                for a title without an interval. By default none grows.

        Returns:
            The lower and the upper bounds, float64 (n,) each, finite or NaN, in the unit of the target.
        """
        floor, slope = (min(self.quantile * factor, _LARGEST) for factor in (self.floor, self.slope))
        with np.errstate(over="ignore"):  # an overflow becomes the largest number below
            half_width = slope * np.abs(predictions)
            half_width += floor
            if growth is not None:
                unit = self.slope * np.abs(predictions)
                unit += self.floor
                half_width += growth * np.minimum(unit, _LARGEST, out=unit)  # 0 times infinity would be NaN
            low, high = predictions - half_width, np.add(half_width, predictions, out=half_width)
        for bound, round_outwards in ((low, np.floor), (high, np.ceil)):  # in place: nine times as fast as with copies
            if self.whole_units:
                round_outwards(bound, out=bound)
            np.clip(bound, 0.0, _LARGEST, out=bound)
            np.add(bound, 0.0, out=bound)  # -0 becomes 0
        return low, high

    def contains(self, predictions: FloatArray, actual: FloatArray) -> BoolArray:
        """Mark the titles whose actual value lies within the interval: two arrays (n,) to bool (n,)."""
        low, high = self.bounds(predictions)
        return np.asarray((low <= actual) & (actual <= high))


@dataclass(frozen=True)
class Widening:
    """By how much the half width of a prediction interval grows for an unfamiliar title.

    The growth is in units of ``floor + slope · |prediction|``, like the quantile of ``PredictionInterval``.

    Attributes:
        distances: float64 (d,), from 0, ascending, in units of the column's range in training.
        below: for each feature, float64 (d,), the growth at these distances below the training minimum; None if
            nothing is known about values outside of the training range.
        above: the same above the training maximum.
        combination: the growth for a combination of flags that differs by one flag from a combination in training;
            None if it is not known.
    """

    distances: FloatArray
    below: tuple[FloatArray | None, ...]
    above: tuple[FloatArray | None, ...]
    combination: float | None

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any], feature_names: Sequence[str]) -> Widening | None:
        """Read the rule of a manifest; None if nothing is known about unfamiliar titles.

        Raises:
            ValueError: the entry is malformed.
        """
        entry = (manifest.get("interval") or {}).get("widening")
        if entry is None:
            return None
        columns = {column["name"]: column for column in entry["columns"]}
        distances = np.array(entry["distances"], np.float64)
        below, above = (
            tuple(np.array(columns[name][side], np.float64) if name in columns else None for name in feature_names)
            for side in ("below", "above")
        )
        rule = cls(distances, below, above, entry["combination"])
        rule.check()
        return rule

    def check(self) -> None:
        """Raise ValueError unless all numbers are finite and ascend with the distance."""
        rows = [row for row in (*self.below, *self.above) if row is not None]
        fit = all(row.shape == self.distances.shape and row.min() >= 0 and np.isfinite(row).all() for row in rows)
        ascend = self.distances.ndim == 1 and len(self.distances) > 1 and (np.diff(self.distances) > 0).all()
        if not (fit and ascend and (self.combination is None or 0 <= self.combination < math.inf)):
            raise ValueError(f"expected a widening of ascending distances and numbers from 0, received {self}")

    def compute(
        self,
        columns: Sequence[Numbers],
        outside: Sequence[BoolArray | None],
        ranges: tuple[FloatArray, FloatArray],
        combinations: npt.NDArray[np.uint8] | None,
    ) -> FloatArray:
        """Compute how much the half width grows for each of n titles. Several causes add up.

        Args:
            columns: the features, (n,) each.
            outside: for each feature, bool (n,), which values are outside the training range; None if none is.
            ranges: the minimum and the maximum of each feature in training, float64 (k,) each.
            combinations: (n,), the result of ``FlagCombinations.compare``.

        Returns:
            float64 (n,), 0 for a familiar title. NaN where the rule does not reach.
        """
        total = np.zeros(len(columns[0]))
        for column, mask, low, high, below, above in zip(
            columns, outside, *ranges, self.below, self.above, strict=True
        ):
            if mask is not None:
                rows = np.flatnonzero(mask)
                total[rows] += self._interpolate(column[rows], low, high, below, above)
        if combinations is not None:
            total[combinations == ONE_FLAG_DIFFERS] += np.nan if self.combination is None else self.combination
            total[combinations == UNLIKE_ALL] = np.nan
        return total

    def _interpolate(
        self, values: Numbers, low: float, high: float, below: FloatArray | None, above: FloatArray | None
    ) -> FloatArray:
        """Interpolate the growth for values outside the range of a column; NaN beyond the recorded distances."""
        if below is None or above is None or low >= high:
            return np.full(len(values), np.nan)
        # Distances below the range are negative.
        distances, growths = (
            np.concatenate([-self.distances[::-1], self.distances]),
            np.concatenate([below[::-1], above]),
        )
        with np.errstate(over="ignore"):
            distance: FloatArray = (values - np.where(values < low, low, high)) / (high - low)
        return interpolate(distance, distances, growths)


def interpolate(positions: FloatArray, knots: FloatArray, values: FloatArray) -> FloatArray:
    """Interpolate linearly, to the last bit as ``np.interp``, in half the time.

    Args:
        positions: float64 (n,), without NaN.
        knots: float64 (d,), in ascending order. Of two equal knots, the second counts.
        values: float64 (d,), the values at the knots.

    Returns:
        float64 (n,); NaN outside of the knots.
    """
    if not len(positions):
        return np.empty(0)
    lowest, highest = positions.min(), positions.max()
    interval = np.full(len(positions), max(np.count_nonzero(knots <= lowest) - 1, 0), np.int8)
    for knot in knots[(knots > max(lowest, knots[0])) & (knots <= highest)]:
        interval += positions >= knot
    with np.errstate(invalid="ignore", divide="ignore"):  # between equal knots, and at infinity
        slopes = np.append(np.diff(values) / np.diff(knots), 0.0)
        interpolated: FloatArray = slopes[interval] * (positions - knots[interval]) + values[interval]
    if lowest < knots[0] or highest > knots[-1]:
        interpolated[(positions < knots[0]) | (positions > knots[-1])] = np.nan
    return interpolated
