"""Strips: estimates with their confidence intervals, one below the other on a common scale that starts at 0."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from gamesales.report.format import format_compact_money, is_finite

# Round steps between two ticks, as multiples of a power of ten.
_STEPS = (1, 2, 2.5, 5, 10)
# The share by which rounded products may differ.
_ROUNDING = 1e-9
# More ticks would not fit on a phone.
_MOST_STEPS = 3
# Labels with more characters would overlap.
_MOST_CHARACTERS = 15


@dataclass(frozen=True)
class Strip:
    """An estimate with its confidence interval, in percent of the scale's length.

    Attributes:
        low: the left end of the interval. The same as ``place`` if there is no interval.
        width: the width of the interval.
        place: the estimate.
        is_beyond: whether the estimate is beyond the scale.
    """

    low: float
    width: float
    place: float
    is_beyond: bool = False


@dataclass(frozen=True)
class StripScale:
    """A scale from 0 dollars to ``limit``, with a tick at every ``step``."""

    limit: float
    step: float

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """The place of each tick in percent, and its label. If not all labels fit, only the ends have labels."""
        count = round(self.limit / self.step)
        labels = [format_compact_money(tick * self.step) for tick in range(count + 1)]
        if len("".join(labels)) > _MOST_CHARACTERS:
            labels[1:-1] = [""] * (count - 1)
        return [(round(100 * tick / count, 2), label) for tick, label in enumerate(labels)]

    @property
    def spacing(self) -> float:
        """The distance between two ticks, in percent."""
        return self.ticks[1][0]

    def draw(self, value: float | None, low: float | None = None, high: float | None = None) -> Strip | None:
        """Place an estimate and its interval, if it has one, on the scale; None without a finite estimate."""
        if not is_finite(value):
            return None
        has_interval = is_finite(low) and is_finite(high)
        left, place, right = map(self._scale, (low, value, high) if has_interval else (value, value, value))
        return Strip(left, round(right - left, 1), place, is_beyond=value > self.limit * (1 + _ROUNDING))

    def _scale(self, amount: float | None) -> float:
        return round(100 * min(max(amount or 0.0, 0.0), self.limit) / self.limit, 1)


def choose_scale(amounts: Iterable[float | None]) -> StripScale:
    """Choose a scale with a few round ticks that holds all amounts that are finite."""
    largest = max((amount for amount in amounts if is_finite(amount)), default=0.0)
    if largest / _MOST_STEPS <= 0:  # also of numbers too small to be divided
        return StripScale(1.0, 1.0)
    power = 10.0 ** math.floor(math.log10(largest / _MOST_STEPS))
    step = next(size * power for size in _STEPS if size * power * _MOST_STEPS >= largest * (1 - _ROUNDING))
    return StripScale(step * math.ceil(largest / step * (1 - _ROUNDING)), step)
