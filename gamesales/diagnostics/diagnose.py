"""The diagnosis of a trained model before it is registered: its errors, their uncertainty, their causes.

The manifest keeps the diagnosis as ``evaluation``, and the report page shows it. See docs/explanation/report.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np

from gamesales.arrays import FloatArray, IntArray
from gamesales.data.contract import Column, Contract
from gamesales.data.labeled_titles import LabeledTitles
from gamesales.diagnostics.checks import CheckInput, Notice, run_checks
from gamesales.diagnostics.importance import measure_dependence, measure_importance
from gamesales.diagnostics.residuals import (
    GroupErrors,
    Grouping,
    find_one_hot_flags,
    make_groupings,
    measure_groups,
    measure_residuals,
    split_column,
)
from gamesales.errors import InputError
from gamesales.stats.clustered import clustered_mean
from gamesales.stats.same_features import NoiseEstimate, estimate_noise, number_distinct_rows
from gamesales.training.baselines import BoostingSettings
from gamesales.training.fit import PredictFunction, make_fitter
from gamesales.training.folds import (
    FOLD_KINDS,
    bootstrap_confidence_intervals,
    make_folds,
    measure_kfold,
    predict_kfold,
)
from gamesales.training.intervals import CalibratedIntervals, fit_scale
from gamesales.training.scaling import Scaling
from gamesales.training.train_job import TrainJob

# Numbers in the manifest keep this many digits, which is more than their confidence intervals justify.
_DIGITS = 6
_PREDICTED = Column("predicted earnings", "money")
# The learning curve trains on one eighth, one fourth and one half of the titles.
_DIVISORS = (8, 4, 2)
# A network learns nothing from fewer titles.
_MIN_TITLES = 20

T = TypeVar("T")


@dataclass(frozen=True)
class TrainedModel:
    """A trained network that is not yet registered.

    Attributes:
        training_titles: the n titles of the training file.
        fit_titles: the training titles that the network was fitted on.
        test_titles: the m titles of the test file.
        training_predictions: float64 (n,), US dollars.
        test_predictions: float64 (m,), US dollars.
        boosting: the settings of gradient boosting, a baseline.
        baseline_predictions: by name of the baseline, predictions for the test titles, float64 (m,), US dollars.
        predict: runs the scoring graph, from (rows, k) to (rows,), US dollars.
        intervals: its prediction intervals. None if the job wants none.
    """

    job: TrainJob
    contract: Contract
    training_titles: LabeledTitles
    fit_titles: LabeledTitles
    test_titles: LabeledTitles
    training_predictions: FloatArray
    test_predictions: FloatArray
    boosting: BoostingSettings
    baseline_predictions: Mapping[str, FloatArray]
    predict: PredictFunction
    scaling: Scaling
    intervals: CalibratedIntervals | None

    @property
    def errors(self) -> FloatArray:
        """Predicted minus actual earnings of the test titles, float64 (m,)."""
        return self.test_predictions - self.test_titles.earnings

    @property
    def may_train_more(self) -> bool:
        """Whether the training file is small enough to train further networks for the report."""
        return len(self.training_titles) <= self.job.report.most_titles


def diagnose(model: TrainedModel, on_stage: Callable[[str], None]) -> dict[str, Any]:
    """Measure and check a trained model.

    ``on_stage`` is called with a line of text when each further training begins.

    Returns:
        A document for JSON, with finite numbers of six digits.
    """
    training, test, seed = model.training_titles, model.test_titles, model.job.training.seed
    training_clusters, test_clusters = number_distinct_rows(training.features, test.features)
    typical_training_errors, typical_test_errors = _estimate_typical_errors(model)
    noise = estimate_noise(
        (training_clusters, test_clusters),
        (training.earnings, test.earnings),
        model.test_predictions,
        np.concatenate([typical_training_errors, typical_test_errors]),
    )
    one_hot = find_one_hot_flags(model.contract, training.features)
    groups = _measure_groups(model, one_hot, typical_test_errors, test_clusters)
    residuals = measure_residuals(
        model.contract.feature_names,
        test.features,
        model.errors,
        model.test_predictions,
        typical_test_errors,
        test_clusters,
    )

    failures: list[Notice] = []
    kfold, fold_errors = _run_kfold(model, training_clusters, on_stage, failures)
    curve = _try_training("the learning curve", failures, lambda: train_learning_curve(model, test_clusters, on_stage))
    seeds = _try_training("other seeds", failures, lambda: train_other_seeds(model, on_stage)) or []

    importance = measure_importance(
        model.contract, model.predict, test.features, test.earnings, test_clusters, one_hot, seed
    )
    dependence = measure_dependence(model.contract, model.predict, training.features, one_hot, seed)
    notices = run_checks(
        CheckInput(
            contract=model.contract,
            training=training,
            test=test,
            training_clusters=training_clusters,
            test_clusters=test_clusters,
            errors=model.errors,
            noise=noise,
            groups=groups,
            order=residuals.order,
            fold_errors=fold_errors,
            seed_errors=[seed["mae"] for seed in seeds],
        )
    )
    document: dict[str, Any] = _round_numbers(
        {
            "holdout": _measure_holdout(model, test_clusters),
            "kfold": kfold,
            "noise": _describe_noise(noise, model.scaling),
            "slices": [asdict(group) for group in groups],
            "residuals": asdict(residuals),
            "seeds": seeds,
            "learning_curve": curve,
            "importance": [asdict(column) for column in importance],
            "dependence": [asdict(column) for column in dependence],
            "notices": [asdict(notice) for notice in [*failures, *notices]],
        }
    )
    return document


def _estimate_typical_errors(model: TrainedModel) -> tuple[FloatArray, FloatArray]:
    """Return the typical absolute errors for the predicted amounts of training and test titles: (n,), (m,)."""
    if model.intervals:
        floor, slope = model.intervals.interval.floor, model.intervals.interval.slope
    else:
        floor, slope = fit_scale(model.test_predictions, model.test_titles.earnings)
    return floor + slope * np.abs(model.training_predictions), floor + slope * np.abs(model.test_predictions)


def _measure_groups(
    model: TrainedModel, one_hot: Sequence[tuple[int, ...]], typical_errors: FloatArray, clusters: IntArray
) -> list[GroupErrors]:
    test = model.test_titles
    groupings = make_groupings(model.contract, test.features, one_hot)
    by_prediction = Grouping(_PREDICTED.name, (), *split_column(model.test_predictions, _PREDICTED))
    within_interval = (
        model.intervals.interval.contains(model.test_predictions, test.earnings) if model.intervals else None
    )
    return measure_groups([*groupings, by_prediction], model.errors, typical_errors, clusters, within_interval)


def _run_kfold(
    model: TrainedModel, clusters: IntArray, on_stage: Callable[[str], None], failures: list[Notice]
) -> tuple[dict[str, Any], dict[str, FloatArray]]:
    """Run plain and grouped k-fold, if the job wants them and there are enough titles.

    Returns:
        The result and the absolute errors, float64 (n,), US dollars, by kind of folds.
    """
    job, titles, seed = model.job, model.training_titles, model.job.training.seed
    results: dict[str, Any] = dict.fromkeys(FOLD_KINDS)
    errors: dict[str, FloatArray] = {}
    for kind in FOLD_KINDS:
        # Calibration by cross-validation has already predicted the plain folds.
        predicted = model.intervals.out_of_fold_predictions if kind == "plain" and model.intervals else None
        count = job.report.folds if predicted is None else job.intervals.folds
        available = len(titles) if kind == "plain" else len(np.unique(clusters))
        if predicted is None and not (0 < count <= available and model.may_train_more):
            continue
        folds = make_folds(titles, kind, count, seed)
        if predicted is None:
            predicted = _try_training(
                f"{kind} k-fold",
                failures,
                lambda: predict_kfold(job, model.contract, titles, folds, kind, on_stage),  # noqa: B023
            )
        if predicted is not None:
            results[kind] = measure_kfold(titles, predicted, kind, folds, clusters, model.scaling, model.boosting)
            errors[kind] = np.abs(predicted - titles.earnings)
    return results, errors


def train_learning_curve(
    model: TrainedModel, clusters: IntArray, on_stage: Callable[[str], None]
) -> dict[str, Any] | None:
    """Train on nested parts of the titles, and measure the error of each network on the test titles.

    Returns:
        The points of the curve, of which the version's own point is the last, and the change of the mean absolute error
        between the last two points. None if the job wants no curve, or there are too few or too many titles.

    Raises:
        InputError: a training run diverged, or predictions are not finite.
    """
    job, titles = model.job, model.fit_titles
    sizes = [size for divisor in _DIVISORS if _can_train(job, size := len(titles) // divisor)]
    if not (job.report.learning_curve and model.may_train_more and sizes):
        return None
    order = np.random.default_rng([job.training.seed, 3]).permutation(len(titles))
    errors = []
    for number, size in enumerate(sizes, 1):
        on_stage(f"learning curve: training {number} of {len(sizes)}, on {size:,} titles")
        errors.append(_train_and_measure(model, job, titles.take(np.sort(order[:size]))))
    errors.append(np.abs(model.errors))
    return {
        "points": [
            {"titles": size, "mae": asdict(clustered_mean(error, clusters))}
            for size, error in zip([*sizes, len(titles)], errors, strict=True)
        ],
        "last_doubling": asdict(clustered_mean(errors[-1] - errors[-2], clusters)),
    }


def _can_train(job: TrainJob, size: int) -> bool:
    share = job.training.validation_share
    return size >= _MIN_TITLES and (not share or 0 < round(size * share) < size)


def train_other_seeds(model: TrainedModel, on_stage: Callable[[str], None]) -> list[dict[str, Any]]:
    """Train the same network with the seeds after the job's seed, and measure its error on the test titles.

    Raises:
        InputError: a training run diverged, or predictions are not finite.
    """
    count = model.job.report.seeds if model.may_train_more else 0
    results = []
    for number in range(1, count + 1):
        on_stage(f"other seeds: training {number} of {count}")
        seed = (model.job.training.seed + number) % 2**32
        errors = _train_and_measure(model, model.job.with_seed(seed), model.fit_titles)
        results.append({"seed": seed, "mae": float(errors.mean())})
    return results


def _train_and_measure(model: TrainedModel, job: TrainJob, titles: LabeledTitles) -> FloatArray:
    """Train a network, and return its absolute errors on the test titles, (m,), US dollars."""
    predicted = make_fitter(job, model.contract)(titles.features, titles.earnings)(model.test_titles.features)
    if not np.isfinite(predicted).all():
        raise InputError(f"predictions of a network trained on {len(titles):,} titles are not finite numbers")
    return np.abs(predicted - model.test_titles.earnings)


def _try_training(purpose: str, failures: list[Notice], train: Callable[[], T]) -> T | None:
    """Train further networks. If they fail, the version is still good, so the failure becomes a notice."""
    try:
        return train()
    except InputError as error:
        text = f"Networks for {purpose} could not be used: {error.message}. This job may fail on other titles or seeds."
        failures.append(Notice("warning", "failed networks", text))
        return None


def _measure_holdout(model: TrainedModel, clusters: IntArray) -> dict[str, Any]:
    """Return the confidence intervals of the test metrics and the lead over the best baseline."""
    actual = model.test_titles.earnings
    baselines = {name: np.abs(predicted - actual) for name, predicted in model.baseline_predictions.items()}
    best = min(baselines, key=lambda name: float(baselines[name].mean()))
    return {
        "rows": len(actual),
        "distinct": int(np.count_nonzero(np.bincount(clusters))),
        "intervals": bootstrap_confidence_intervals(model.test_titles, model.errors, clusters, model.scaling),
        "lead": {
            "best_baseline": best,
            "mae": float(baselines[best].mean()),
            "error_change": asdict(clustered_mean(baselines[best] - np.abs(model.errors), clusters)),
        },
    }


def _describe_noise(noise: NoiseEstimate | None, scaling: Scaling) -> dict[str, Any] | None:
    if noise is None:
        return None
    variance, squared_scale = noise.variance, scaling.target_scale**2
    low, high = (None if bound is None else max(bound, 0.0) * squared_scale for bound in (variance.low, variance.high))
    return {
        "titles": noise.titles,
        "degrees": noise.degrees,
        "rmse": variance.value**0.5,
        "scaled_mse": {"value": variance.value * squared_scale, "low": low, "high": high},
        "f": noise.f,
        "p": noise.p,
    }


def _round_numbers(document: Any) -> Any:
    """Round all floating-point numbers of a document, because people read manifests too."""
    if isinstance(document, dict):
        return {key: _round_numbers(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [_round_numbers(value) for value in document]
    return float(f"{document:.{_DIGITS}g}") if isinstance(document, float) else document
