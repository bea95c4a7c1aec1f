"""Conformal calibration: how wide an interval must be to hold a given share of titles that were not learnt from.

The score of such a title is how far its prediction is off, in units of a scale that grows with the prediction:

    score = |actual - predicted| / (floor + slope · |predicted|)

An interval of ``quantile`` such units to either side, the conformal quantile of the scores, holds the given share of
new titles: Lei, G'Sell, Rinaldo, Tibshirani and Wasserman, "Distribution-free predictive inference for regression",
Journal of the American Statistical Association, 2018. What that promises, and for which titles: docs/intervals.md.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from gamesales.errors import InputError
from gamesales.model.folds import FloatArray, Places, shuffled

# Groups of titles of like size whose typical errors the scale is drawn through.
_GROUPS = 10
# The floor is at least this share of the typical error: a prediction of nothing may be off too.
_LEAST_FLOOR = 0.1
# And at least this many dollars, so that a scale is never 0, where every prediction is right.
_CENT = 0.01


def set_aside(rows: int, share: float, seed: int) -> tuple[Places, Places]:
    """Draw which rows to learn from and which to calibrate on, each in file order.

    Returns: int64 (n - m,) and (m,), where m is ``share`` of n, rounded.
    Raises: InputError: one of them would have no rows.
    """
    aside = round(rows * share)
    if not 0 < aside < rows:
        raise InputError(f"{rows} training rows can't be split: intervals.calibration_share is {share}")
    order = shuffled(rows, seed)
    return np.sort(order[aside:]), np.sort(order[:aside])


def fit_scale(predicted_usd: FloatArray, actual_usd: FloatArray) -> tuple[float, float]:
    """Fit how the typical error grows with the prediction.

    A line through the medians of ten groups of titles of like size: a few wild errors move no median.

    Args: predicted_usd, actual_usd: float64 (n,), n > 0.
    Returns: the floor, US dollars, above 0, and the slope, dollars a dollar, not below 0.
    Raises: InputError: a prediction is no finite number.
    """
    sizes, errors = np.abs(predicted_usd), np.abs(actual_usd - predicted_usd)
    if not np.isfinite(errors).all():
        raise InputError(
            f"{int((~np.isfinite(errors)).sum()):,} predictions of titles to calibrate on are no finite numbers",
            hint="Use another network, or a lower learning rate",
        )
    groups = np.array_split(np.argsort(sizes, kind="stable"), min(_GROUPS, len(sizes)))
    size = np.array([np.median(sizes[group]) for group in groups])
    error = np.array([np.median(errors[group]) for group in groups])
    spread = size - size.mean()
    slope = max(0.0, float(spread @ error) / (float(spread @ spread) or 1.0))
    least = max(_CENT, _LEAST_FLOOR * float(np.median(errors)))
    return max(least, float(error.mean() - slope * size.mean())), slope


def scores(predicted_usd: FloatArray, actual_usd: FloatArray, floor_usd: float, slope: float) -> FloatArray:
    """Return how far predictions are off, in units of their scale: two of (n,) to float64 (n,)."""
    scale = floor_usd + slope * np.abs(predicted_usd)
    return np.asarray(np.abs(actual_usd - predicted_usd) / scale, np.float64)


def conformal_quantile(found: FloatArray, coverage: float) -> float:
    """Return the score that a new one is at most, with a probability of ``coverage`` or a little more.

    It is the ceil((n + 1) · coverage)-th smallest of n. If all n + 1 are exchangeable, the new one is as likely to fall
    into any of the n + 1 gaps, so the probability is between ``coverage`` and ``coverage + 1 / (n + 1)`` where no two
    are equal, and at least ``coverage`` where some are.

    Args: found: float64 (n,); coverage: between 0 and 1.
    Raises: InputError: too few; see ``rank``.
    """
    place = rank(len(found), coverage) - 1
    return float(np.partition(found, place)[place])


def rank(rows: int, coverage: float) -> int:
    """Return which of so many scores, from the smallest, 1, is their conformal quantile.

    Raises: InputError: too few; the coverage could not be reached by any of them.
    """
    share = Fraction(str(coverage))  # as it was written: 20 · 0.55 is 11, and not a little more
    place = math.ceil((rows + 1) * share)
    if place > rows:
        raise InputError(
            f"intervals.coverage is {coverage}, which takes {math.ceil(share / (1 - share)):,} titles to calibrate on; "
            f"there are {rows:,}",
            hint="Lower intervals.coverage, or train on more titles",
        )
    return place
