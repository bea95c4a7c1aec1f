"""Titles that stand in the titles twice: in training and in the test, or several times in training.

That features are alike is usual in a store of half stars and three prices. That earnings are alike too may be a copy,
or chance, where earnings come in steps. So matches are compared with those after a shift by a difference that is common
between titles with the same features: chance matches both about as often.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gamesales.model.folds import FloatArray
from gamesales.model.notices import Notice, Sample
from gamesales.model.twins import label

# More than this share of the titles, and more than a few.
_SHARE, _FEWEST = 0.01, 3
# So many times as often as after a shift is no chance.
_TIMES = 2
# Shifts that are tried: the most common differences.
_SHIFTS = 5


def about_copies(past: Sample, test: Sample) -> Iterator[Notice]:
    """Look for test titles that were learnt from, and for training titles that count twice."""
    twins = int(np.isin(test.labels, past.labels).sum())
    learnt, tested = label(_whole(past, 0.0), _whole(test, 0.0))
    copied = int(np.isin(tested, learnt).sum())
    if _is_news(copied, past, test):
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
    again = int((np.bincount(learnt)[learnt] > 1).sum())
    if _is_news(again, past, past):
        doubled = len(learnt) - len(np.unique(learnt))
        yield Notice(
            "warning",
            "doubled rows",
            f"{doubled:,} of {len(past.rows):,} training titles repeat another one, features and earnings: they count "
            "more, and folds and noise look better than they are. Remove them if they are the same titles.",
        )


def _is_news(matches: int, past: Sample, others: Sample) -> bool:
    """Whether others match titles of training more often than chance explains."""
    return matches > max(_FEWEST, _SHARE * len(others.rows)) and matches > _TIMES * _by_chance(past, others)


def _by_chance(past: Sample, others: Sample) -> int:
    """Count how many of the others match a title of training if they earn a usual difference more or less; the most."""
    most = 0
    for shift in _usual_differences(past):
        learnt, shifted = label(_whole(past, 0.0), _whole(others, shift))
        most = max(most, int(np.isin(shifted, learnt).sum()))
    return most


def _usual_differences(past: Sample) -> FloatArray:
    """Return the most common differences in dollars between a title and the next with the same features."""
    order = np.argsort(past.labels, kind="stable")
    apart, alike = np.diff(past.earnings_usd[order]), np.diff(past.labels[order]) == 0
    found, times = np.unique(np.abs(apart[alike & (apart != 0)]), return_counts=True)
    usual = found[np.argsort(-times, kind="stable")[:_SHIFTS]]
    return np.concatenate([usual, -usual])


def _whole(sample: Sample, shift_usd: float) -> FloatArray:
    return np.stack([sample.labels.astype(np.float64), sample.earnings_usd + shift_usd], axis=1)
