"""K-fold: how far off networks of a job are on titles that they did not learn from, with each title predicted once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from gamesales.arrays import FloatArray, IntArray
from gamesales.data.contract import Contract
from gamesales.data.labeled_titles import Titles
from gamesales.errors import InputError
from gamesales.stats.bootstrap import clustered_percentiles, seed_from
from gamesales.training import folds
from gamesales.training.fit import learner
from gamesales.training.metrics import Metrics, baseline_predictions, metrics
from gamesales.training.scaling import Scaling
from gamesales.training.train_job import TrainJob

# Of 100 such intervals about 95 hold the error on all titles of the kind.
LEVELS = (0.025, 0.975)

# Plain folds take each title for itself; grouped folds keep titles with the same features together.
Kind = Literal["plain", "grouped"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class KFold:
    """What k-fold found: errors over all titles, each predicted by a network that learnt from the other folds.

    ``intervals`` are 95 % bounds of ``mae`` and ``scaled_mse``; ``folds_mae`` are the average errors fold by
    fold, each another network's on other titles; ``baselines`` are their figures on the same folds.
    """

    kind: Kind
    folds: int
    rows: int
    metrics: Metrics
    intervals: dict[str, list[float]]
    folds_mae: list[float]
    baselines: dict[str, Metrics]


def cut(titles: Titles, kind: Kind, number: int, seed: int) -> list[IntArray]:
    """Cut titles into folds.

    Raises: InputError: too few titles, or too few that differ.
    """
    return (
        folds.cut_grouped(titles.features, number, seed) if kind == "grouped" else folds.cut(len(titles), number, seed)
    )


def predict(
    job: TrainJob,
    contract: Contract,
    titles: Titles,
    parts: Sequence[IntArray],
    kind: Kind,
    on_stage: Callable[[str], None],
) -> FloatArray:
    """Predict each of n titles by a network of the job that learnt from the other folds: float64 (n,), US dollars.

    Args: on_stage: called with a line as each training begins.
    Raises: InputError: training diverged, or predictions are no finite numbers.
    """

    def on_fold(number: int) -> None:
        on_stage(f"{kind} k-fold: training {number} of {len(parts)}")

    predicted = folds.out_of_fold(learner(job, contract), titles.features, titles.earnings, parts, on_fold)
    if not np.isfinite(predicted).all():
        raise InputError(f"{int((~np.isfinite(predicted)).sum()):,} predictions of {kind} k-fold are no finite numbers")
    return predicted


def judge(
    titles: Titles,
    predicted: FloatArray,
    kind: Kind,
    parts: Sequence[IntArray],
    labels: IntArray,
    scaling: Scaling,
    seed: int,
) -> KFold:
    """Work out the figures of out-of-fold predictions, and those of the baselines on the same folds.

    Args:
        titles: n of them.
        predicted: float64 (n,), US dollars.
        kind: how the folds were cut.
        parts: the folds that they were found by.
        labels: int64 (n,), alike for titles with the same features, which are drawn together when chance is measured.
        scaling: in whose units the scaled error is.
        seed: of the baselines.
    """
    actual = titles.earnings
    return KFold(
        kind,
        len(parts),
        len(titles),
        metrics(actual, predicted, scaling),
        intervals(titles, predicted - actual, labels, scaling),
        [float(np.abs(predicted[part] - actual[part]).mean()) for part in parts],
        {name: metrics(actual, guess, scaling) for name, guess in _baselines(titles, parts, seed).items()},
    )


def intervals(titles: Titles, errors: FloatArray, labels: IntArray, scaling: Scaling) -> dict[str, list[float]]:
    """Return 95 % bounds of the average error and of the scaled mean squared error. Args: errors: float64 (n,)."""
    scaled = errors * float(scaling.scale[-1])
    return bounds(titles, np.abs(errors), scaled**2, labels)


def bounds(titles: Titles, sizes: FloatArray, squared: FloatArray, labels: IntArray) -> dict[str, list[float]]:
    """The same of the sizes of errors and of their scaled squares, float64 (n,) each."""
    seed = seed_from(titles.sha256)
    return {
        "mae": clustered_percentiles(sizes, labels, LEVELS, seed),
        "scaled_mse": clustered_percentiles(squared, labels, LEVELS, seed),
    }


def _baselines(titles: Titles, parts: Sequence[IntArray], seed: int) -> dict[str, FloatArray]:
    found: dict[str, FloatArray] = {}
    for part in parts:
        others = np.setdiff1d(np.arange(len(titles)), part)
        learnt = titles.features[others], titles.earnings[others]
        for name, guess in baseline_predictions(*learnt, titles.features[part], seed).items():
            found.setdefault(name, np.empty(len(titles)))[part] = guess
    return found
