"""Between which dollars a title's earnings lie: two numbers around each prediction, computed from it alone.

    half the width = quantile · (floor_usd + slope · |prediction|)

``gamesales/model/calibration.py`` is where the three numbers come from, and docs/intervals.md tells what they promise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_MOST = float(np.finfo(np.float64).max)
_NUMBERS = ("coverage", "floor_usd", "slope", "quantile")


@dataclass(frozen=True)
class Interval:
    """What a version's intervals are made of.

    ``coverage`` is the share of titles that they are to hold; ``floor_usd`` is in US dollars, the other numbers have no
    unit. With ``whole_dollars``, bounds are rounded outwards: nobody plans by the cents of a bound, and writing them
    takes half as long.

    Raises: ValueError: no interval can be made of these numbers.
    """

    coverage: float
    floor_usd: float
    slope: float
    quantile: float
    whole_dollars: bool

    def __post_init__(self) -> None:
        numbers: list[Any] = [getattr(self, name) for name in _NUMBERS]
        finite = all(type(one) in (int, float) and math.isfinite(one) for one in numbers)
        if not (finite and min(numbers) >= 0 and 0 < self.coverage < 1) or self.whole_dollars not in (True, False):
            raise ValueError(f"expected an interval of finite numbers from 0, coverage below 1, received {self}")

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> Interval | None:
        """Read a manifest's; None for a version that gives no intervals.

        Raises: ValueError, LookupError, TypeError: it is malformed.
        """
        entry = manifest.get("interval")
        if entry is None:
            return None
        return cls(*(entry[name] for name in (*_NUMBERS, "whole_dollars")))

    def bounds(self, earnings_usd: Floats) -> tuple[Floats, Floats]:
        """Return the lower and the upper bounds of predictions: those of the interval, cut at 0 dollars.

        Each number is computed by itself, so that no row's bounds depend on what others came with it.

        Args: earnings_usd: float64 (n,), finite.
        Returns: two of float64 (n,), US dollars, finite, not below 0, the lower one first.
        """
        least, share = (min(self.quantile * one, _MOST) for one in (self.floor_usd, self.slope))
        with np.errstate(over="ignore"):  # what is too large for a number becomes the largest one
            half = share * np.abs(earnings_usd)
            half += least
            low, high = earnings_usd - half, np.add(half, earnings_usd, out=half)
        for bound, outwards in ((low, np.floor), (high, np.ceil)):  # in place: nine times as fast as with fresh arrays
            if self.whole_dollars:
                outwards(bound, out=bound)
            np.clip(bound, 0.0, _MOST, out=bound)
            np.add(bound, 0.0, out=bound)  # -0 becomes 0
        return low, high

    def holds(self, earnings_usd: Floats, actual_usd: Floats) -> npt.NDArray[np.bool_]:
        """Tell of which titles the actual earnings lie within the interval: two of (n,) to bool (n,)."""
        low, high = self.bounds(earnings_usd)
        return np.asarray((low <= actual_usd) & (actual_usd <= high))
