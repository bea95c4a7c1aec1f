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
from gamesales.diagnostics.checks import run_checks
from gamesales.diagnostics.groups import Grouping, find_one_hot_flags, make_groupings, split_column
from gamesales.diagnostics.importance import measure_dependence, measure_importance
from gamesales.diagnostics.notices import CheckInput, Notice
from gamesales.diagnostics.residuals import GroupErrors, measure_groups, measure_residuals
from gamesales.errors import InputError
from gamesales.stats.clustered import clustered_mean
from gamesales.stats.same_features import NoiseEstimate, estimate_noise, number_distinct_rows
from gamesales.training.baselines import Baselines
from gamesales.training.fit import PredictFunction
from gamesales.training.folds import (
    FOLD_KINDS,
    FoldKind,
    bootstrap_confidence_intervals,
    measure_kfold,
    predict_kfold,
)
from gamesales.training.intervals import CalibratedIntervals, fit_scale
from gamesales.training.refits import CURVE, SEEDS, Refits, draw_learning_curve
from gamesales.training.scaling import Scaling
from gamesales.training.train_job import TrainJob

# Numbers in the manifest keep this many digits, which is more than their confidence intervals justify.
_DIGITS = 6
_PREDICTED = "predicted earnings"

T = TypeVar("T")


@dataclass(frozen=True)
class TrainedModel:
    """A trained network that is not yet registered.

    Attributes:
        training_titles: the n titles of the training file.
        fit_titles: the training titles that the network was fitted on.
        test_titles: the m titles of the test file.
        training_predictions: float64 (n,), in the target's unit.
        test_predictions: float64 (m,), in the target's unit.
        baselines: the predictions of the baselines.
        folds: the rows of each fold that the report measures, by kind of folds.
        predict: runs the scoring graph, from (rows, k) to (rows,), in the target's unit.
        intervals: its prediction intervals. None if the job wants none.
        refits: further networks of the job.
    """

    job: TrainJob
    contract: Contract
    training_titles: LabeledTitles
    fit_titles: LabeledTitles
    test_titles: LabeledTitles
    training_predictions: FloatArray
    test_predictions: FloatArray
    baselines: Baselines
    folds: Mapping[FoldKind, Sequence[IntArray]]
    predict: PredictFunction
    scaling: Scaling
    intervals: CalibratedIntervals | None
    refits: Refits

    @property
    def errors(self) -> FloatArray:
        """Predicted minus actual earnings of the test titles, float64 (m,)."""
        return self.test_predictions - self.test_titles.earnings


def diagnose(model: TrainedModel) -> dict[str, Any]:
    """Measure and check a trained model.

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
    ordered = [index for index, column in enumerate(model.contract.features) if column.kind != "category"]
    residuals = measure_residuals(
        [model.contract.features[index].name for index in ordered],
        test.features[:, ordered],
        model.errors,
        model.test_predictions,
        typical_test_errors,
        test_clusters,
    )

    failures: list[Notice] = []
    kfold, fold_errors = _run_kfold(model, training_clusters, failures)
    curve = _try_refits("the learning curve", failures, lambda: measure_learning_curve(model, test_clusters))
    seeds = _try_refits("other seeds", failures, lambda: measure_other_seeds(model)) or []

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
    predicted = Column(_PREDICTED, "number", model.contract.unit)
    by_prediction = Grouping(_PREDICTED, (), *split_column(model.test_predictions, predicted))
    within_interval = (
        model.intervals.interval.contains(model.test_predictions, test.earnings) if model.intervals else None
    )
    return measure_groups([*groupings, by_prediction], model.errors, typical_errors, clusters, within_interval)


def _run_kfold(
    model: TrainedModel, clusters: IntArray, failures: list[Notice]
) -> tuple[dict[str, Any], dict[str, FloatArray]]:
    """Measure plain and grouped k-fold, if their networks were trained.

    Returns:
        The result and the absolute errors, float64 (n,), in the target's unit, by kind of folds.
    """
    titles, refits = model.training_titles, model.refits
    results: dict[str, Any] = dict.fromkeys(FOLD_KINDS)
    errors: dict[str, FloatArray] = {}
    for kind, folds in model.folds.items():
        # Calibration by cross-validation has already predicted the plain folds.
        predicted = model.intervals.out_of_fold_predictions if kind == "plain" and model.intervals else None
        if predicted is None:
            predicted = _try_refits(
                f"{kind} k-fold",
                failures,
                lambda: predict_kfold(refits.get(kind), titles, folds, kind),  # noqa: B023
            )
        if predicted is not None:
            baselines = model.baselines.out_of_fold[kind]
            results[kind] = measure_kfold(titles, predicted, kind, folds, clusters, model.scaling, baselines)
            errors[kind] = np.abs(predicted - titles.earnings)
    return results, errors


def measure_learning_curve(model: TrainedModel, clusters: IntArray) -> dict[str, Any] | None:
    """Measure the error on the test titles of networks that were trained on nested parts of the titles.

    Returns:
        The points of the curve, of which the version's own point is the last, and the change of the mean absolute error
        between the last two points. None if there are no such networks.

    Raises:
        InputError: a training diverged, or predictions are not finite.
    """
    if CURVE not in model.refits:
        return None
    titles = len(model.fit_titles)
    sizes = [*map(len, draw_learning_curve(model.job, titles)), titles]
    errors = [*_measure_refits(model, CURVE), np.abs(model.errors)]
    return {
        "points": [
            {"titles": size, "mae": asdict(clustered_mean(error, clusters))}
            for size, error in zip(sizes, errors, strict=True)
        ],
        "last_doubling": asdict(clustered_mean(errors[-1] - errors[-2], clusters)),
    }


def measure_other_seeds(model: TrainedModel) -> list[dict[str, Any]]:
    """Measure the error on the test titles of networks that were trained from the seeds after the job's seed.

    Raises:
        InputError: a training diverged, or predictions are not finite.
    """
    if SEEDS not in model.refits:
        return []
    return [
        {"seed": (model.job.training.seed + number) % 2**32, "mae": float(errors.mean())}
        for number, errors in enumerate(_measure_refits(model, SEEDS), 1)
    ]


def _measure_refits(model: TrainedModel, purpose: str) -> list[FloatArray]:
    """Return the absolute errors of each network of a purpose on the test titles, (m,), in the target's unit."""
    predictions = [predict(model.test_titles.features) for predict in model.refits.get(purpose)]
    if not np.isfinite(predictions).all():
        raise InputError(f"predictions of a network for {purpose} are not finite numbers")
    return [np.abs(predicted - model.test_titles.earnings) for predicted in predictions]


def _try_refits(purpose: str, failures: list[Notice], measure: Callable[[], T]) -> T | None:
    """Measure further networks. If they failed, the version is still good, so the failure becomes a notice."""
    try:
        return measure()
    except InputError as error:
        text = f"Networks for {purpose} could not be used: {error.message}. This job may fail on other titles or seeds."
        failures.append(Notice("warning", "failed networks", text))
        return None


def _measure_holdout(model: TrainedModel, clusters: IntArray) -> dict[str, Any]:
    """Return the confidence intervals of the test metrics and the lead over the best baseline."""
    actual = model.test_titles.earnings
    baselines = {name: np.abs(predicted - actual) for name, predicted in model.baselines.test.items()}
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
