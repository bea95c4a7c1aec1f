"""Prediction intervals of a version in training: how wide they must be, and how many test titles they hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from gamesales.arrays import FloatArray, IntArray
from gamesales.data.contract import Contract
from gamesales.data.labeled_titles import Titles
from gamesales.errors import InputError
from gamesales.scoring.scorer import Interval
from gamesales.stats.errors import wilson
from gamesales.training import folds
from gamesales.training.fit import learner
from gamesales.training.folds import shuffled
from gamesales.training.train_job import TrainJob

# Bounds are rounded to whole dollars where the narrowest interval reaches at least this far to either side.
_REACH_FOR_WHOLE_DOLLARS = 100.0


@dataclass(frozen=True)
class Calibrated:
    """A version's intervals, and how many titles they were calibrated on, by which method.

    ``out_of_fold`` float64 (rows,) are the predictions that were found by ``cv``, US dollars; None by another method.
    """

    method: Literal["cv", "split"]
    rows: int
    interval: Interval
    out_of_fold: FloatArray | None = None

    def as_dict(self, test: Titles, predicted: FloatArray) -> dict[str, Any]:
        """Return what the manifest keeps: the numbers, and what they achieve on titles that nothing was fitted to.

        Args: test: the held-back titles; predicted: (n,), what the version says of them, US dollars.
        """
        low, high = self.interval.bounds(predicted)
        held = int(np.count_nonzero(self.interval.holds(predicted, test.earnings)))
        share = held / len(test)
        least, most = wilson(share, len(test))
        return {
            **asdict(self.interval),
            "method": self.method,
            "rows": self.rows,
            "achieved": {"rows": len(test), "share": share, "low": least, "high": most},
            "median_width": float(np.median(high - low)),
        }


def divide(job: TrainJob, past: Titles) -> tuple[Titles, Titles]:
    """Return the titles that the network learns from, and those set aside to calibrate on: none but for a split.

    Raises: InputError: there are too few for the job's intervals; better told now than after training.
    """
    spec, rows, seed = job.intervals, len(past), job.training.seed
    method = spec.method_for(rows)
    if method == "split":
        learnt, aside = set_aside(rows, spec.calibration_share, seed)
        rank(len(aside), spec.coverage)
        return past.take(learnt), past.take(aside)
    if method == "cv":
        folds.cut(rows, spec.folds, seed)
        rank(rows, spec.coverage)
    return past, past.take(np.empty(0, np.int64))


def calibrate(
    job: TrainJob,
    contract: Contract,
    learnt: Titles,
    aside: Titles,
    predict: folds.Predict,
    on_stage: Callable[[str], None],
) -> Calibrated | None:
    """Find how wide the intervals of a network that is trained must be; None if the job wants none.

    Args:
        job: how.
        contract: of the titles.
        learnt: what the network learnt from.
        aside: what it did not learn from, if that is the method.
        predict: the network's predictions, (n, k) to (n,), US dollars.
        on_stage: called with a line as each further training begins.
    """
    spec = job.intervals
    method = spec.method_for(len(learnt) + len(aside))
    if method == "none":
        return None
    if method == "split":
        titles, predicted = aside, predict(aside.features)
        scale = fit_scale(predict(learnt.features), learnt.earnings)
    else:
        titles = learnt
        predicted = folds.out_of_fold(
            learner(job, contract),
            titles.features,
            titles.earnings,
            folds.cut(len(titles), spec.folds, job.training.seed),
            lambda number: on_stage(f"calibrating prediction intervals: training {number} of {spec.folds}"),
        )
        scale = fit_scale(predicted, titles.earnings)
    found = scores(predicted, titles.earnings, *scale)
    quantile = conformal_quantile(found, spec.coverage)
    whole = quantile * scale[0] >= _REACH_FOR_WHOLE_DOLLARS
    interval = Interval(spec.coverage, *scale, quantile, whole)
    return Calibrated(method, len(titles), interval, predicted if method == "cv" else None)


def in_words(interval: Mapping[str, Any]) -> str:
    """Tell what a manifest's intervals promise and achieve, in a line."""
    achieved = interval["achieved"]
    return (
        f"for {100 * interval['coverage']:g} % of titles hold {100 * achieved['share']:.1f} % of the "
        f"{achieved['rows']:,} test titles (of all, {100 * achieved['low']:.1f} to {100 * achieved['high']:.1f} %); "
        f"median width ${interval['median_width']:,.0f}"
    )


def warnings(interval: Mapping[str, Any] | None) -> list[str]:
    """Tell what to look into before promoting: intervals that hold fewer test titles than chance explains."""
    if interval is None or interval["achieved"]["high"] >= interval["coverage"]:
        return []
    return [f"Prediction intervals hold too few: those {in_words(interval)}. Are these titles like those of training?"]


# Groups of titles of like size whose typical errors the scale is drawn through.
_GROUPS = 10
# The floor is at least this share of the typical error: a prediction of nothing may be off too.
_LEAST_FLOOR = 0.1
# And at least this many dollars, so that a scale is never 0, where every prediction is right.
_CENT = 0.01


def set_aside(rows: int, share: float, seed: int) -> tuple[IntArray, IntArray]:
    """Draw which rows to learn from and which to calibrate on, each in file order.

    Returns: int64 (n - m,) and (m,), where m is ``share`` of n, rounded.
    Raises: InputError: one of them would have no rows.
    """
    aside = round(rows * share)
    if not 0 < aside < rows:
        raise InputError(f"{rows} training rows can't be split: intervals.calibration_share is {share}")
    order = shuffled(rows, seed)
    return np.sort(order[aside:]), np.sort(order[:aside])


def fit_scale(predicted: FloatArray, actual: FloatArray) -> tuple[float, float]:
    """Fit how the typical error grows with the prediction.

    A line through the medians of ten groups of titles of like size: a few wild errors move no median.

    Args: predicted, actual: float64 (n,), n > 0.
    Returns: the floor, US dollars, above 0, and the slope, dollars a dollar, not below 0.
    Raises: InputError: a prediction is no finite number.
    """
    sizes, errors = np.abs(predicted), np.abs(actual - predicted)
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


def scores(predicted: FloatArray, actual: FloatArray, floor: float, slope: float) -> FloatArray:
    """Return how far predictions are off, in units of their scale: two of (n,) to float64 (n,)."""
    scale = floor + slope * np.abs(predicted)
    return np.asarray(np.abs(actual - predicted) / scale, np.float64)


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
