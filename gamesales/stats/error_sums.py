"""Errors of many predictions, added up piece by piece: any order and any cut of the rows comes to the same.

What is kept does not grow with the predictions: some sums, and three numbers for each title whose earnings are known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Self

import numpy as np

from gamesales.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Joined:
    """Some predictions beside what their titles earned, US dollars; n rows.

    ``titles`` int64 (n,) numbers the titles, of which one may come more than once; ``actual`` and
    ``predicted`` are float64 (n,), finite; ``outside`` bool (n,) marks titles outside the range of training;
    ``low`` and ``high`` float64 (n,) are the bounds of the predictions, NaN where there are none.
    """

    titles: IntArray
    actual: FloatArray
    predicted: FloatArray
    outside: BoolArray
    low: FloatArray
    high: FloatArray

    def __len__(self) -> int:
        return len(self.titles)

    @property
    def errors(self) -> FloatArray:
        """Predicted minus actual."""
        return self.predicted - self.actual


@dataclass(frozen=True)
class Moments:
    """Count, mean, Σ(x − mean)² and the range of some numbers.

    Two are added as Chan, Golub and LeVeque do ("Algorithms for computing the sample variance", *The American
    Statistician* 37, 1983): Σx² − n·mean² would lose all digits where the mean is large beside the spread.
    """

    rows: int = 0
    mean: float = 0.0
    squares: float = 0.0
    lowest: float = math.inf
    highest: float = -math.inf

    @classmethod
    def of(cls, values: FloatArray) -> Self:
        """Sum up numbers: float64 (n,)."""
        if not len(values):
            return cls()
        mean = float(values.mean())
        return cls(len(values), mean, float(((values - mean) ** 2).sum()), float(values.min()), float(values.max()))

    def __add__(self, other: Moments) -> Moments:
        if not self.rows or not other.rows:
            return self if self.rows else other
        rows, apart = self.rows + other.rows, other.mean - self.mean
        return Moments(
            rows,
            self.mean + apart * other.rows / rows,
            self.squares + other.squares + apart**2 * self.rows * other.rows / rows,
            min(self.lowest, other.lowest),
            max(self.highest, other.highest),
        )

    @property
    def mean_or_none(self) -> float | None:
        return self.mean if self.rows else None


@dataclass(frozen=True)
class Tally:
    """What the figures are made of.

    ``errors`` are predicted minus actual, ``inside`` and ``outside`` their sizes inside and outside of the range that
    training saw; ``shares`` are the sizes as shares of what was earned, where that is above 0. ``bounded`` counts the
    predictions that have bounds, ``covered`` those whose bounds hold what was earned.
    """

    errors: Moments = field(default_factory=Moments)
    inside: Moments = field(default_factory=Moments)
    outside: Moments = field(default_factory=Moments)
    actual: Moments = field(default_factory=Moments)
    shares: Moments = field(default_factory=Moments)
    bounded: int = 0
    covered: int = 0

    @classmethod
    def of(cls, joined: Joined) -> Self:
        """Add up some predictions."""
        actual, errors = joined.actual, joined.errors
        sizes, earned = np.abs(errors), actual > 0
        covered = (joined.low <= actual) & (actual <= joined.high)  # NaN covers nothing
        return cls(
            errors=Moments.of(errors),
            inside=Moments.of(sizes[~joined.outside]),
            outside=Moments.of(sizes[joined.outside]),
            actual=Moments.of(actual),
            shares=Moments.of(sizes[earned] / actual[earned]),
            bounded=int(np.count_nonzero(np.isfinite(joined.low) & np.isfinite(joined.high))),
            covered=int(np.count_nonzero(covered)),
        )

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


class Gathered:
    """What some predictions add up to: a tally, sums for each title, and a few rows to draw.

    ``rows``, ``errors`` and ``sizes`` are float64 (titles,): how often each title was predicted, and the sums of its
    errors and of their sizes. ``drawn`` holds ``(actual, predicted)``, at most ``MOST_DRAWN`` of each date.
    """

    def __init__(self, titles: int) -> None:
        self.tally = Tally()
        self.drawn = Sample()
        self._sums = np.zeros((3, titles))

    @property
    def rows(self) -> FloatArray:
        rows: FloatArray = self._sums[0]
        return rows

    @property
    def errors(self) -> FloatArray:
        errors: FloatArray = self._sums[1]
        return errors

    @property
    def sizes(self) -> FloatArray:
        sizes: FloatArray = self._sums[2]
        return sizes

    @property
    def titles(self) -> int:
        """How many titles were predicted at least once."""
        return int(np.count_nonzero(self.rows))

    def take(self, joined: Joined, seed: Sequence[int]) -> None:
        """Add some predictions. Args: seed: decides which of them may be drawn."""
        errors = joined.errors
        self.tally += Tally.of(joined)
        self.drawn += Sample.of(joined, seed)
        for sums, values in zip(self._sums, (np.ones(len(joined)), errors, np.abs(errors)), strict=True):
            np.add.at(sums, joined.titles, values)

    def include(self, other: Gathered) -> None:
        """Add what others added up to, about the same titles."""
        self.tally += other.tally
        self.drawn += other.drawn
        self._sums += other._sums


# As many as the page shows one by one.
MOST_DRAWN = 1_500


@dataclass(frozen=True)
class Sample:
    """Rows drawn evenly from all that were added: those with the smallest of random keys.

    ``keys`` float64 (k,), ``actual`` and ``predicted`` float64 (k,); k is at most ``MOST_DRAWN``.
    """

    keys: FloatArray = field(default_factory=lambda: np.empty(0))
    actual: FloatArray = field(default_factory=lambda: np.empty(0))
    predicted: FloatArray = field(default_factory=lambda: np.empty(0))

    @classmethod
    def of(cls, joined: Joined, seed: Sequence[int]) -> Sample:
        """Draw from some predictions; the same seed draws the same."""
        keys = np.random.default_rng(seed).random(len(joined))
        return cls(keys, joined.actual, joined.predicted).smallest()

    def __add__(self, other: Sample) -> Sample:
        both = [np.concatenate([getattr(self, one.name), getattr(other, one.name)]) for one in fields(self)]
        return Sample(*both).smallest()

    def smallest(self) -> Sample:
        """Return those with the smallest keys, as many as are kept."""
        if len(self.keys) <= MOST_DRAWN:
            return self
        kept = np.sort(np.argpartition(self.keys, MOST_DRAWN)[:MOST_DRAWN])
        return Sample(self.keys[kept], self.actual[kept], self.predicted[kept])
