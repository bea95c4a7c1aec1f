"""Cutting titles into folds, so that each is predicted by a network that never learnt from it.

Plain folds take each row for itself. Grouped folds keep rows with the same features together: a title of which a twin
was learnt from says little about titles that are new.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence

import numpy as np

from gamesales.arrays import FloatArray, IntArray
from gamesales.errors import InputError

Predict = Callable[[FloatArray], FloatArray]
Learn = Callable[[FloatArray, FloatArray], Predict]


def cut(rows: int, folds: int, seed: int) -> list[IntArray]:
    """Cut rows at random into folds of equal size but for one row: each int64 (m,).

    Raises: InputError: fewer rows than folds.
    """
    _check(rows, folds, "rows")
    return np.array_split(shuffled(rows, seed), folds)


def cut_grouped(features: FloatArray, folds: int, seed: int) -> list[IntArray]:
    """Cut rows at random into folds of about equal size, with rows of the same features in the same fold.

    The largest groups are dealt first, each to the fold that has the fewest rows; those of one size come in random
    order.

    Args: features: (n, k).  Returns: int64 (m,) for each fold.
    Raises: InputError: fewer groups than folds.
    """
    _, group, sizes = np.unique(features, axis=0, return_inverse=True, return_counts=True)
    _check(len(sizes), folds, "distinct rows")
    order = shuffled(len(sizes), seed)
    order = order[np.argsort(-sizes[order], kind="stable")]
    filled, fold_of = [(0, fold) for fold in range(folds)], np.empty(len(sizes), np.int64)
    for one in order:
        rows, fold = filled[0]
        fold_of[one] = fold
        heapq.heapreplace(filled, (rows + int(sizes[one]), fold))
    fold_of_row = fold_of[group.reshape(-1)]
    return [np.flatnonzero(fold_of_row == fold) for fold in range(folds)]


def out_of_fold(
    learn: Learn,
    features: FloatArray,
    earnings: FloatArray,
    folds: Sequence[IntArray],
    on_fold: Callable[[int], None] = lambda number: None,
) -> FloatArray:
    """Predict each row by a network that learnt from the other folds alone.

    Args:
        learn: given (m, k) features and (m,) dollars, returns what predicts dollars from features.
        features: (n, k), in their own units.
        earnings: (n,).
        folds: the rows, cut into parts.
        on_fold: called with the number of a fold, from 1, as it begins.

    Returns: float64 (n,), US dollars.
    """
    predicted = np.empty(len(earnings), np.float64)
    for number, fold in enumerate(folds, 1):
        on_fold(number)
        others = np.setdiff1d(np.arange(len(earnings)), fold)
        predicted[fold] = learn(features[others], earnings[others])(features[fold])
    return predicted


def shuffled(rows: int, seed: int) -> IntArray:
    """Draw an order that has nothing to do with the one that validation rows are drawn by; int64 (n,)."""
    return np.random.default_rng([seed, 1]).permutation(rows)


def _check(there: int, folds: int, what: str) -> None:
    if there < folds:
        raise InputError(f"{there} {what} of training can't be cut into {folds} folds", hint="Ask for fewer folds")
