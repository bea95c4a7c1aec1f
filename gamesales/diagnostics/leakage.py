"""Titles that stand in the titles twice: in training and in the test, or several times in training.

That features are alike is usual in a store of half stars and three prices. That earnings are alike too may be a copy,
or chance, where earnings come in steps. So matches are compared with those after a shift by a difference that is common
between titles with the same features: chance matches both about as often.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gamesales.arrays import BoolArray, FloatArray, IntArray
from gamesales.diagnostics.checks import Notice, Sample

# More than this share of the titles, and more than a few.
_SHARE, _FEWEST = 0.01, 3
# So many times as often as after a shift is no chance.
_TIMES = 2
# Shifts that are tried: the most common differences.
_SHIFTS = 5
# Titles that are shifted; of more, so many are enough to know how many match.
_MOST_SHIFTED = 50_000


def about_copies(past: Sample, test: Sample) -> Iterator[Notice]:
    """Look for test titles that were learnt from, and for training titles that count twice."""
    known = _Known(past)
    twins = int(np.isin(test.labels, past.labels).sum())
    copied = known.matches(test, 0.0)
    if _is_news(copied, known, test):
        yield Notice(
            "warning",
            "test in training",
            f"{copied:,} of {len(test.rows):,} test titles are in training too, features and earnings: the errors on "
            "this page flatter. Remove them from one of the files.",
        )
    elif twins:
        yield Notice(
            "note",
            "twins",
            f"{twins:,} of {len(test.rows):,} test titles have the same features as a training title. "
            "For titles unlike any other, look at the grouped folds.",
        )
    if _is_news(known.repeating, known, past):
        yield Notice(
            "warning",
            "doubled rows",
            f"{known.doubled:,} of {len(past.rows):,} training titles repeat another one, features and earnings: they "
            "count more, and folds and noise look better than they are. Remove them if they are the same titles.",
        )


class _Known:
    """The training titles, numbered by features and earnings together.

    ``doubled`` of them repeat an earlier one; ``repeating`` counts those earlier ones too.
    """

    def __init__(self, past: Sample) -> None:
        self._earnings, place = np.unique(past.earnings, return_inverse=True)
        self._numbers, rows = np.unique(self._number(past.labels, place.reshape(-1)), return_counts=True)
        self.doubled = int((rows - 1).sum())
        self.repeating = int(rows[rows > 1].sum())
        self._shifts = _usual_differences(past)

    def matches(self, others: Sample, amount: float) -> int:
        """Count the others that match a training title if they earn so much more."""
        earned = others.earnings + amount
        place = np.minimum(np.searchsorted(self._earnings, earned), len(self._earnings) - 1)
        there = self._earnings[place] == earned
        return int(_is_in(self._number(others.labels[there], place[there]), self._numbers).sum())

    def by_chance(self, others: Sample) -> float:
        """Count the others that match after a usual shift, of all shifts the most; of many titles, every so manieth."""
        every = -(-len(others.rows) // _MOST_SHIFTED)
        some = others.every(every)
        # Steps of 316.67 dollars, rounded, are now 316 and now 317.
        near = ([shift - 1, shift, shift + 1] for shift in self._shifts)
        return every * max((sum(self.matches(some, shift) for shift in shifts if shift) for shifts in near), default=0)

    def _number(self, labels: IntArray, place: IntArray) -> IntArray:
        return labels * len(self._earnings) + place


def _is_in(numbers: IntArray, known: IntArray) -> BoolArray:
    """Tell which numbers are known; ``known`` is ascending, which ``np.isin`` would not make use of."""
    place = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
    return np.asarray(known[place] == numbers)


def _is_news(matches: int, known: _Known, others: Sample) -> bool:
    """Whether others match titles of training more often than chance explains."""
    return matches > max(_FEWEST, _SHARE * len(others.rows)) and matches > _TIMES * known.by_chance(others)


def _usual_differences(past: Sample) -> FloatArray:
    """Return the most common differences in dollars between a title and the next with the same features, both ways."""
    order = np.argsort(past.labels, kind="stable")
    apart, alike = np.diff(past.earnings[order]), np.diff(past.labels[order]) == 0
    found, times = np.unique(np.abs(apart[alike & (apart != 0)]), return_counts=True)
    usual = found[np.argsort(-times, kind="stable")[:_SHIFTS]]
    return np.concatenate([usual, -usual])
