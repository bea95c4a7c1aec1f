"""Split conformal calibration of prediction intervals, on titles that the network was not trained on.

The nonconformity score of a title is its absolute error, divided by a scale that grows with the prediction:

    score = |actual - predicted| / (floor + slope · |predicted|)

The conformal quantile of the scores, times the scale, is the half width of an interval. Such intervals contain the
earnings of at least the share ``coverage`` of new titles: Lei, G'Sell, Rinaldo, Tibshirani and Wasserman,
"Distribution-free predictive inference for regression", Journal of the American Statistical Association, 2018.
docs/explanation/intervals.md explains for which titles this holds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from gamesales.arrays import FloatArray, IntArray
from gamesales.data.contract import Contract
from gamesales.data.labeled_titles import LabeledTitles
from gamesales.errors import InputError
from gamesales.scoring.prediction_interval import PredictionInterval
from gamesales.stats.amounts import DOLLARS, format_amount
from gamesales.stats.clustered import wilson_interval
from gamesales.training.fit import PredictFunction, hold_out
from gamesales.training.folds import make_plain_folds, predict_out_of_fold, shuffle_rows
from gamesales.training.train_job import TrainJob
from gamesales.training.widening import WideningFit

# Bounds are rounded to whole dollars if the half width is at least this many dollars for any prediction.
_MIN_WIDTH_FOR_WHOLE_DOLLARS = 100.0
# The scale is fitted to the median errors of this many groups of titles with similar predictions.
_SCALE_GROUPS = 10
# The floor of the scale is at least this share of the median error: a prediction of 0 may be wrong too.
_MIN_FLOOR_SHARE = 0.1
# The floor is at least this many dollars, so that no scale is 0 when all predictions are exact.
_MIN_FLOOR = 0.01
# In other units, at least this share of the range of the target.
_MIN_FLOOR_OF_RANGE = 1e-9


@dataclass(frozen=True)
class CalibratedIntervals:
    """The prediction intervals of a version, and how they were calibrated.

    ``rows`` is the number of titles that they were calibrated on. ``out_of_fold_predictions``, float64 (rows,), US
    dollars, are the predictions of the method ``cv``; None with ``split``. ``widening`` is how intervals of unfamiliar
    titles widen, for the manifest; None with ``split``, which trains no networks that could be compared.
    """

    method: Literal["cv", "split"]
    rows: int
    interval: PredictionInterval
    out_of_fold_predictions: FloatArray | None = None
    widening: Mapping[str, Any] | None = None

    def as_dict(self, test: LabeledTitles, predicted: FloatArray) -> dict[str, Any]:
        """Return the entry of the manifest: the formula, and its coverage of test titles with these predictions."""
        lower, upper = self.interval.bounds(predicted)
        covered = int(np.count_nonzero(self.interval.contains(predicted, test.earnings)))
        share = covered / len(test)
        low, high = wilson_interval(share, len(test))
        return {
            **asdict(self.interval),
            "method": self.method,
            "rows": self.rows,
            "achieved": {"rows": len(test), "share": share, "low": low, "high": high},
            "median_width": float(np.median(upper - lower)),
            **({"widening": self.widening} if self.widening else {}),
        }


def split_for_calibration(job: TrainJob, titles: LabeledTitles) -> tuple[LabeledTitles, LabeledTitles]:
    """Split titles into training titles and, for the method ``split``, calibration titles.

    Raises:
        InputError: there are too few titles for the intervals of the job. This is checked before training.
    """
    spec, rows, seed = job.intervals, len(titles), job.training.seed
    method = spec.choose_method(rows)
    if method == "split":
        training, calibration = split_calibration_rows(rows, spec.calibration_share, seed)
        compute_quantile_rank(len(calibration), spec.coverage)
        return titles.take(training), titles.take(calibration)
    if method == "cv":
        make_plain_folds(rows, spec.folds, seed)
        compute_quantile_rank(rows, spec.coverage)
    return titles, titles.take(np.empty(0, np.int64))


def split_calibration_rows(rows: int, share: float, seed: int) -> tuple[IntArray, IntArray]:
    """Draw the rows to train on and the rows to calibrate on; see ``hold_out``."""
    return hold_out(shuffle_rows(rows, seed), share, "intervals.calibration_share")


def calibrate_intervals(
    job: TrainJob,
    contract: Contract,
    training: LabeledTitles,
    calibration: LabeledTitles,
    predict: PredictFunction,
    networks: Sequence[PredictFunction],
) -> CalibratedIntervals | None:
    """Calibrate the prediction intervals of a trained network, or return None if the job turns them off.

    Args:
        job: gives the method.
        contract: names the columns.
        training: the titles that the network was trained on.
        calibration: the titles to calibrate on with the method ``split``.
        predict: predicts with the network.
        networks: predict with the network of each fold, with the method ``cv``.
    """
    spec = job.intervals
    method = spec.choose_method(len(training) + len(calibration))
    if method == "none":
        return None
    min_floor = _MIN_FLOOR if contract.unit == DOLLARS else _MIN_FLOOR_OF_RANGE * float(np.ptp(training.earnings))
    if method == "split":
        titles, predicted = calibration, predict(calibration.features)
        scale = fit_scale(predict(training.features), training.earnings, min_floor)
    else:
        titles = training
        folds = make_plain_folds(len(titles), spec.folds, job.training.seed)
        predicted = predict_out_of_fold(networks, titles.features, folds)
        scale = fit_scale(predicted, titles.earnings, min_floor)
    scores = compute_nonconformity_scores(predicted, titles.earnings, *scale)
    quantile = compute_conformal_quantile(scores, spec.coverage)
    whole_units = quantile * scale[0] >= _MIN_WIDTH_FOR_WHOLE_DOLLARS
    interval = PredictionInterval(spec.coverage, *scale, quantile, whole_units)
    if method == "split":
        return CalibratedIntervals(method, len(titles), interval)
    widening = WideningFit(contract, titles.features, interval, predict, networks, job.training.seed).measure()
    return CalibratedIntervals(method, len(titles), interval, predicted, widening)


def describe_coverage(interval: Mapping[str, Any]) -> str:
    """Describe the coverage of the test titles in a line, from a manifest's ``interval``."""
    achieved = interval["achieved"]
    return (
        f"contain {100 * achieved['share']:.1f}% of the {achieved['rows']:,} test titles (95% confidence interval "
        f"{100 * achieved['low']:.1f}% to {100 * achieved['high']:.1f}%; expected {100 * interval['coverage']:g}%); "
        f"median width {format_amount(interval['median_width'])}"
    )


def check_coverage(interval: Mapping[str, Any] | None) -> list[str]:
    """Return a warning if the coverage of the test titles is significantly below the expected one."""
    if interval is None or interval["achieved"]["high"] >= interval["coverage"]:
        return []
    coverage = f"The coverage is too low: prediction intervals {describe_coverage(interval)}."
    return [f"{coverage} Are the test titles like the training titles?"]


def fit_scale(predicted: FloatArray, actual: FloatArray, min_floor: float = _MIN_FLOOR) -> tuple[float, float]:
    """Fit how the typical error grows with the prediction.

    The fit is a line through the medians of ten groups of titles with similar predictions. Medians are robust against
    outliers.

    Args:
        predicted: float64 (n,), n > 0, in the target's unit.
        actual: float64 (n,), in this unit.
        min_floor: the smallest floor.

    Returns:
        The floor, in this unit, above 0, and the slope, unitless, at least 0.

    Raises:
        InputError: a prediction is not a finite number.
    """
    sizes, errors = np.abs(predicted), np.abs(actual - predicted)
    if not np.isfinite(errors).all():
        raise InputError(
            f"{np.count_nonzero(~np.isfinite(errors)):,} predictions of calibration titles are not finite numbers",
            hint="Use another network, or a lower learning rate",
        )
    groups = np.array_split(np.argsort(sizes, kind="stable"), min(_SCALE_GROUPS, len(sizes)))
    group_sizes = np.array([np.median(sizes[group]) for group in groups])
    group_errors = np.array([np.median(errors[group]) for group in groups])
    centered = group_sizes - group_sizes.mean()
    slope = max(0.0, float(centered @ group_errors) / (float(centered @ centered) or 1.0))
    min_floor = max(min_floor, _MIN_FLOOR_SHARE * float(np.median(errors)))
    return max(min_floor, float(group_errors.mean() - slope * group_sizes.mean())), slope


def compute_nonconformity_scores(predicted: FloatArray, actual: FloatArray, floor: float, slope: float) -> FloatArray:
    """Compute the nonconformity score of each title: two arrays (n,) to float64 (n,), unitless."""
    scale = floor + slope * np.abs(predicted)
    return np.asarray(np.abs(actual - predicted) / scale, np.float64)


def compute_conformal_quantile(scores: FloatArray, coverage: float) -> float:
    """Compute the conformal quantile: the ceil((n + 1) · coverage)-th smallest of n scores.

    If a new score is exchangeable with them, it is equally likely to fall into each of the n + 1 gaps. So it is at most
    the quantile with a probability of at least ``coverage``. Without ties, the probability is below
    ``coverage + 1 / (n + 1)``.

    Raises:
        InputError: there are too few scores.
    """
    index = compute_quantile_rank(len(scores), coverage) - 1
    return float(np.partition(scores, index)[index])


def compute_quantile_rank(rows: int, coverage: float) -> int:
    """Compute the rank of the conformal quantile among a number of scores, from 1 for the smallest.

    Raises:
        InputError: there are too few scores for the coverage.
    """
    share = Fraction(str(coverage))  # exact: 20 · 0.55 is 11, but slightly more in floating point
    rank = math.ceil((rows + 1) * share)
    if rank > rows:
        raise InputError(
            f"intervals.coverage is {coverage}, which needs {math.ceil(share / (1 - share)):,} titles to calibrate on; "
            f"there are {rows:,}",
            hint="Lower intervals.coverage, or train on more titles",
        )
    return rank
