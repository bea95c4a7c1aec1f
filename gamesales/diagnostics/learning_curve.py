"""The learning curve and the spread over seeds: further networks of a job, measured on the test titles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gamesales.arrays import FloatArray, IntArray
from gamesales.data.contract import Contract
from gamesales.data.labeled_titles import LabeledTitles
from gamesales.errors import InputError
from gamesales.stats.clustered import Estimate, clustered_mean
from gamesales.training.fit import make_fitter
from gamesales.training.train_job import TrainJob

# The learning curve trains on one eighth, one fourth and one half of the titles.
_DIVISORS = (8, 4, 2)
# A network learns nothing from fewer titles.
_MIN_TITLES = 20


@dataclass(frozen=True)
class CurvePoint:
    """The mean absolute error on the test titles after training on some titles, with its 95% confidence interval."""

    titles: int
    mae: Estimate


@dataclass(frozen=True)
class LearningCurve:
    """The points of a learning curve.

    Attributes:
        points: the version's own point is the last.
        last_doubling: the change of the mean absolute error between the last two points.
    """

    points: list[CurvePoint]
    last_doubling: Estimate


@dataclass(frozen=True)
class SeedResult:
    """The mean absolute error on the test titles of the same network with another seed."""

    seed: int
    mae: float


def train_learning_curve(
    job: TrainJob,
    contract: Contract,
    fit_titles: LabeledTitles,
    test_titles: LabeledTitles,
    predicted: FloatArray,
    clusters: IntArray,
    on_stage: Callable[[str], None],
) -> LearningCurve | None:
    """Train on nested parts of the titles and measure the error of each network on the test titles.

    Args:
        job: the job of the version.
        contract: the contract of the titles.
        fit_titles: the titles on which the version's network was fitted.
        test_titles: the m test titles.
        predicted: float64 (m,), US dollars, the version's predictions for the test titles.
        clusters: int64 (m,), equal for titles with the same features.
        on_stage: called with a line of text when each training begins.

    Returns:
        The learning curve, or None if there are too few titles.

    Raises:
        InputError: a training run diverged, or predictions are not finite.
    """
    sizes = [size for divisor in _DIVISORS if _can_train(job, size := len(fit_titles) // divisor)]
    if not sizes:
        return None
    order = np.random.default_rng([job.training.seed, 3]).permutation(len(fit_titles))
    errors = []
    for number, size in enumerate(sizes, 1):
        on_stage(f"learning curve: training {number} of {len(sizes)}, on {size:,} titles")
        errors.append(_measure_errors(job, contract, fit_titles.take(np.sort(order[:size])), test_titles))
    errors.append(np.abs(predicted - test_titles.earnings))
    points = [
        CurvePoint(size, clustered_mean(error, clusters))
        for size, error in zip([*sizes, len(fit_titles)], errors, strict=True)
    ]
    return LearningCurve(points, clustered_mean(errors[-1] - errors[-2], clusters))


def train_other_seeds(
    job: TrainJob,
    contract: Contract,
    fit_titles: LabeledTitles,
    test_titles: LabeledTitles,
    on_stage: Callable[[str], None],
) -> list[SeedResult]:
    """Train the same network with the seeds after the job's seed, and measure each on the test titles.

    Raises:
        InputError: a training run diverged, or predictions are not finite.
    """
    results = []
    for number in range(1, job.report.seeds + 1):
        on_stage(f"other seeds: training {number} of {job.report.seeds}")
        seed = (job.training.seed + number) % 2**32
        errors = _measure_errors(job.with_seed(seed), contract, fit_titles, test_titles)
        results.append(SeedResult(seed, float(errors.mean())))
    return results


def _measure_errors(
    job: TrainJob, contract: Contract, fit_titles: LabeledTitles, test_titles: LabeledTitles
) -> FloatArray:
    """Train a network and return its absolute errors on the test titles, (m,), US dollars."""
    predicted = make_fitter(job, contract)(fit_titles.features, fit_titles.earnings)(test_titles.features)
    if not np.isfinite(predicted).all():
        raise InputError(f"predictions of a network trained on {len(fit_titles):,} titles are not finite numbers")
    return np.abs(predicted - test_titles.earnings)


def _can_train(job: TrainJob, size: int) -> bool:
    share = job.training.validation_share
    return size >= _MIN_TITLES and (not share or 0 < round(size * share) < size)
