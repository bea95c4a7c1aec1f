"""Sums of prediction errors that are added piece by piece. The order and the size of the pieces do not matter.

Memory does not grow with the number of predictions: it holds a few sums, three numbers for each title with known
earnings, and a sample of the predictions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Self

import numpy as np

from gamesales.arrays import BoolArray, FloatArray, IntArray

# The number of predictions that the page plots as points.
MAX_SAMPLE_ROWS = 1_500


@dataclass(frozen=True)
class MatchedRows:
    """Predictions matched with the actual earnings of their titles, n rows in the unit of the target.

    Attributes:
        titles: int64 (n,), the number of each row's title. A title may have several rows.
        actual: float64 (n,), finite.
        predicted: float64 (n,), finite.
        outside: bool (n,), True for titles outside the training range.
        low: float64 (n,), the lower bound of the prediction interval; NaN if there is no interval.
        high: float64 (n,), the upper bound; NaN if there is no interval.
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
        """Predicted minus actual, float64 (n,)."""
        return self.predicted - self.actual


@dataclass(frozen=True)
class Moments:
    """The count, mean, sum of squared deviations and range of some numbers.

    The sum of two follows Chan, Golub and LeVeque, "Algorithms for computing the sample variance", *The American
    Statistician* 37, 1983. The simpler Σx² − n·mean² loses all digits where the mean is much larger than the spread.
    """

    rows: int = 0
    mean: float = 0.0
    squares: float = 0.0
    lowest: float = math.inf
    highest: float = -math.inf

    @classmethod
    def of(cls, values: FloatArray) -> Self:
        """Compute the moments of float64 (n,)."""
        if not len(values):
            return cls()
        mean = float(values.mean())
        return cls(len(values), mean, float(((values - mean) ** 2).sum()), float(values.min()), float(values.max()))

    def __add__(self, other: Moments) -> Moments:
        if not self.rows or not other.rows:
            return self if self.rows else other
        rows, difference = self.rows + other.rows, other.mean - self.mean
        return Moments(
            rows,
            self.mean + difference * other.rows / rows,
            self.squares + other.squares + difference**2 * self.rows * other.rows / rows,
            min(self.lowest, other.lowest),
            max(self.highest, other.highest),
        )

    @property
    def mean_or_none(self) -> float | None:
        """The mean; None if there are no numbers."""
        return self.mean if self.rows else None


@dataclass(frozen=True)
class ErrorSums:
    """The sums that error metrics are computed from.

    Attributes:
        errors: predicted minus actual.
        inside: absolute errors inside the training range.
        outside: absolute errors outside the training range.
        actual: actual earnings.
        relative: absolute errors relative to actual earnings, of titles that earned more than 0.
        with_interval: the number of predictions with a prediction interval.
        covered: the number of predictions whose interval contains the actual earnings.
    """

    errors: Moments = field(default_factory=Moments)
    inside: Moments = field(default_factory=Moments)
    outside: Moments = field(default_factory=Moments)
    actual: Moments = field(default_factory=Moments)
    relative: Moments = field(default_factory=Moments)
    with_interval: int = 0
    covered: int = 0

    @classmethod
    def of(cls, matched: MatchedRows) -> Self:
        """Sum up the errors of matched rows."""
        actual, errors = matched.actual, matched.errors
        absolute, positive = np.abs(errors), actual > 0
        covered = (matched.low <= actual) & (actual <= matched.high)  # False where the bounds are NaN
        return cls(
            errors=Moments.of(errors),
            inside=Moments.of(absolute[~matched.outside]),
            outside=Moments.of(absolute[matched.outside]),
            actual=Moments.of(actual),
            relative=Moments.of(absolute[positive] / actual[positive]),
            with_interval=int(np.count_nonzero(np.isfinite(matched.low) & np.isfinite(matched.high))),
            covered=int(np.count_nonzero(covered)),
        )

    def __add__(self, other: ErrorSums) -> ErrorSums:
        names = [part.name for part in fields(self)]
        return ErrorSums(*(getattr(self, name) + getattr(other, name) for name in names))


@dataclass(frozen=True)
class PredictionSample:
    """A uniform random sample of predictions: the rows with the smallest random keys.

    Attributes:
        keys: float64 (k,), k at most ``MAX_SAMPLE_ROWS``.
        actual: float64 (k,).
        predicted: float64 (k,).
    """

    keys: FloatArray = field(default_factory=lambda: np.empty(0))
    actual: FloatArray = field(default_factory=lambda: np.empty(0))
    predicted: FloatArray = field(default_factory=lambda: np.empty(0))

    @classmethod
    def of(cls, matched: MatchedRows, seed: Sequence[int]) -> PredictionSample:
        """Draw a sample of matched rows. The same seed draws the same sample."""
        keys = np.random.default_rng(seed).random(len(matched))
        return cls(keys, matched.actual, matched.predicted).keep_smallest()

    def __add__(self, other: PredictionSample) -> PredictionSample:
        names = [part.name for part in fields(self)]
        both = [np.concatenate([getattr(self, name), getattr(other, name)]) for name in names]
        return PredictionSample(*both).keep_smallest()

    def keep_smallest(self) -> PredictionSample:
        """Return the ``MAX_SAMPLE_ROWS`` rows with the smallest keys."""
        if len(self.keys) <= MAX_SAMPLE_ROWS:
            return self
        kept = np.sort(np.argpartition(self.keys, MAX_SAMPLE_ROWS)[:MAX_SAMPLE_ROWS])
        return PredictionSample(self.keys[kept], self.actual[kept], self.predicted[kept])


class TitleSums:
    """The errors of many predictions: their totals, their sums for each title, and a sample of them.

    Attributes:
        totals: the sums over all predictions.
        sample: some predictions to plot.
        rows: the number of predictions of each title, float64 (titles,).
        errors: the sum of the errors of each title, float64 (titles,).
        absolute_errors: the sum of the absolute errors of each title, float64 (titles,).
    """

    def __init__(self, titles: int) -> None:
        self.totals = ErrorSums()
        self.sample = PredictionSample()
        self.rows = np.zeros(titles)
        self.errors = np.zeros(titles)
        self.absolute_errors = np.zeros(titles)

    @property
    def titles(self) -> int:
        """The number of titles with at least one prediction."""
        return int(np.count_nonzero(self.rows))

    def add(self, matched: MatchedRows, seed: Sequence[int]) -> None:
        """Add predictions. Each piece needs another seed for its sample."""
        errors = matched.errors
        self.totals += ErrorSums.of(matched)
        self.sample += PredictionSample.of(matched, seed)
        np.add.at(self.rows, matched.titles, 1.0)
        np.add.at(self.errors, matched.titles, errors)
        np.add.at(self.absolute_errors, matched.titles, np.abs(errors))

    def merge(self, other: TitleSums) -> None:
        """Add the sums of other predictions of the same titles."""
        self.totals += other.totals
        self.sample += other.sample
        self.rows += other.rows
        self.errors += other.errors
        self.absolute_errors += other.absolute_errors
