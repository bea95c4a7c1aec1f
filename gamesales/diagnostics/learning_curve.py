"""Would more titles help, and would another seed? Further networks of a job, measured on the test titles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gamesales.arrays import FloatArray, IntArray
from gamesales.data.contract import Contract
from gamesales.data.labeled_titles import Titles
from gamesales.errors import InputError
from gamesales.stats import clustered as means
from gamesales.training.fit import learner
from gamesales.training.train_job import TrainJob

_SHARES = (8, 4, 2)
# Fewer titles than this teach a network nothing.
_FEWEST = 20


@dataclass(frozen=True)
class Point:
    """The average error on the test titles after learning from so many titles, with 95 % bounds."""

    titles: int
    mae: means.Estimate


@dataclass(frozen=True)
class LearningCurve:
    """The points, the version's own last, and by how much the last doubling changed the average error."""

    points: list[Point]
    last_doubling: means.Estimate


@dataclass(frozen=True)
class Seeded:
    """The average error on the test titles of the same network from another seed."""

    seed: int
    mae: float


def learning_curve(
    job: TrainJob,
    contract: Contract,
    learnt: Titles,
    test: Titles,
    predicted: FloatArray,
    labels: IntArray,
    on_stage: Callable[[str], None],
) -> LearningCurve | None:
    """Train on an eighth, a fourth and a half of the titles, each part of the next, and measure on the test titles.

    Args:
        job: how.
        contract: of the titles.
        learnt: what the version learnt from.
        test: m titles.
        predicted: float64 (m,), what the version says of them, US dollars.
        labels: int64 (m,), alike for titles with the same features.
        on_stage: called with a line as each training begins.

    Returns: None where there are too few titles for a curve.
    Raises: InputError: a training diverged, or predictions are no finite numbers.
    """
    sizes = [size for share in _SHARES if _can_learn(job, size := len(learnt) // share)]
    if not sizes:
        return None
    order = _order(len(learnt), job.training.seed)
    errors = []
    for number, size in enumerate(sizes, 1):
        on_stage(f"learning curve: training {number} of {len(sizes)}, on {size:,} titles")
        part = learnt.take(np.sort(order[:size]))
        errors.append(_errors(job, contract, part, test))
    errors.append(np.abs(predicted - test.earnings))
    points = [Point(size, means.mean(error, labels)) for size, error in zip([*sizes, len(learnt)], errors, strict=True)]
    return LearningCurve(points, means.mean(errors[-1] - errors[-2], labels))


def other_seeds(
    job: TrainJob, contract: Contract, learnt: Titles, test: Titles, on_stage: Callable[[str], None]
) -> list[Seeded]:
    """Train the same network from the seeds that follow the job's, and measure each on the test titles.

    Raises: InputError: a training diverged, or predictions are no finite numbers.
    """
    found = []
    for number in range(1, job.report.seeds + 1):
        on_stage(f"other seeds: training {number} of {job.report.seeds}")
        seed = (job.training.seed + number) % 2**32
        seeded = job.model_copy(update={"training": job.training.model_copy(update={"seed": seed})})
        errors = _errors(seeded, contract, learnt, test)
        found.append(Seeded(seed, float(errors.mean())))
    return found


def _errors(job: TrainJob, contract: Contract, part: Titles, test: Titles) -> FloatArray:
    """Learn from some titles, and return the sizes of the errors on the test titles, (m,), US dollars."""
    guess = learner(job, contract)(part.features, part.earnings)(test.features)
    if not np.isfinite(guess).all():
        raise InputError(f"predictions after learning from {len(part):,} titles are no finite numbers")
    return np.abs(guess - test.earnings)


def _can_learn(job: TrainJob, size: int) -> bool:
    share = job.training.validation_share
    return size >= _FEWEST and (not share or 0 < round(size * share) < size)


def _order(rows: int, seed: int) -> IntArray:
    return np.random.default_rng([seed, 3]).permutation(rows)
