"""A version is examined before it is registered: how good it is, how surely, for which titles, and why.

What is found goes into the manifest as ``evaluation``, and onto the page from there; docs/evaluation.md explains it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gamesales.arrays import FloatArray, IntArray
from gamesales.data.contract import Column, Contract
from gamesales.data.labeled_titles import Titles
from gamesales.diagnostics import checks as concerns
from gamesales.diagnostics import checks as notices
from gamesales.diagnostics import groups as families
from gamesales.diagnostics import groups as slices
from gamesales.diagnostics import importance, residuals
from gamesales.diagnostics import leakage as copies
from gamesales.diagnostics.checks import Notice
from gamesales.diagnostics.groups import Family
from gamesales.diagnostics.learning_curve import Seeded, learning_curve, other_seeds
from gamesales.errors import InputError
from gamesales.stats import clustered as means
from gamesales.stats import same_features as twins
from gamesales.training import intervals as calibration
from gamesales.training import kfold
from gamesales.training.folds import Predict
from gamesales.training.intervals import Calibrated
from gamesales.training.scaling import Scaling
from gamesales.training.train_job import TrainJob

# Digits that a figure of the manifest keeps: more than its interval has.
_DIGITS = 6
_PREDICTED = Column("predicted earnings", "money")


@dataclass(frozen=True)
class Subject:
    """What is examined: a trained network, not yet a version.

    ``past`` are the n titles of training, of which ``learnt`` is what was learnt from; ``test`` the m held back.
    ``predicted_past`` and ``predicted`` are float64 (n,) and (m,), what the network says of them; ``guesses`` what the
    baselines say of the latter; ``predict`` asks the scoring graph, (·, k) to (·,), all US dollars.
    """

    job: TrainJob
    contract: Contract
    past: Titles
    learnt: Titles
    test: Titles
    predicted_past: FloatArray
    predicted: FloatArray
    guesses: Mapping[str, FloatArray]
    predict: Predict
    scaling: Scaling
    calibrated: Calibrated | None

    @property
    def errors(self) -> FloatArray:
        return self.predicted - self.test.earnings


def examine(subject: Subject, on_stage: Callable[[str], None]) -> dict[str, Any]:
    """Examine a version.

    Args: on_stage: called with a line as each further training begins.
    Returns: ready for JSON: no NaN, and numbers of six digits.
    """
    past, test = subject.past, subject.test
    labels = twins.label(past.features, test.features)
    scales = _scales(subject)
    noise = twins.noise(
        (labels[0], labels[1]), (past.earnings, test.earnings), subject.predicted, np.concatenate(scales)
    )
    groups = families.one_hot(subject.contract, past.features)
    held = subject.calibrated.interval.holds(subject.predicted, test.earnings) if subject.calibrated else None
    parts = slices.measure(_families(subject, groups), subject.errors, scales[1], labels[1], held)
    checks = residuals.check(
        subject.contract.feature_names, test.features, subject.errors, subject.predicted, scales[1], labels[1]
    )
    failed: list[Notice] = []
    crossed, sizes = _kfold(subject, labels[0], on_stage, failed)
    curve = _learning_curve(subject, labels[1], on_stage, failed)
    seeds = _other_seeds(subject, on_stage, failed)
    both = [
        notices.Sample(one.features, one.earnings, label, one.rows)
        for one, label in zip((past, test), labels, strict=True)
    ]
    told = [
        *failed,
        *notices.notices(subject.contract, *both),
        *copies.about_copies(*both),
        *concerns.about_folds(sizes.get("plain"), sizes.get("grouped"), labels[0]),
        *concerns.about_seeds(float(np.abs(subject.errors).mean()), [one.mae for one in seeds]),
        *concerns.about_slices(parts),
        *concerns.about_order(checks.order),
        *concerns.about_fit(subject.errors, noise),
    ]
    found: dict[str, Any] = _compact(
        {
            "holdout": _holdout(subject, labels[1]),
            "kfold": crossed,
            "noise": _noise(noise, subject.scaling),
            "slices": [asdict(one) for one in parts],
            "residuals": asdict(checks),
            "seeds": [asdict(one) for one in seeds],
            "learning_curve": curve,
            **_reasons(subject, labels[1], groups),
            "notices": [asdict(one) for one in told],
        }
    )
    return found


def _trains(subject: Subject) -> bool:
    """Whether the job wants further networks for titles so many."""
    return len(subject.past) <= subject.job.report.most_titles


def _learning_curve(
    subject: Subject, labels: IntArray, on_stage: Callable[[str], None], failed: list[Notice]
) -> dict[str, Any] | None:
    job = subject.job
    if not job.report.learning_curve or not _trains(subject):
        return None
    try:
        curve = learning_curve(job, subject.contract, subject.learnt, subject.test, subject.predicted, labels, on_stage)
    except InputError as error:
        failed.append(_failure("the learning curve", error))
        return None
    return asdict(curve) if curve else None


def _other_seeds(subject: Subject, on_stage: Callable[[str], None], failed: list[Notice]) -> list[Seeded]:
    if not _trains(subject):
        return []
    try:
        return other_seeds(subject.job, subject.contract, subject.learnt, subject.test, on_stage)
    except InputError as error:
        failed.append(_failure("other seeds", error))
        return []


def _failure(what: str, error: InputError) -> Notice:
    """Tell that networks of the report failed, which is no reason to throw away the one that did not."""
    text = f"Networks for {what} could not be used: {error.message}. This job may fail on other titles or seeds."
    return Notice("warning", "failed networks", text)


def _reasons(subject: Subject, labels: IntArray, groups: Sequence[tuple[int, ...]]) -> dict[str, Any]:
    """Ask the scoring graph what it makes of each column."""
    titles, seed = (subject.test.features, subject.test.earnings), subject.job.training.seed
    shuffled = importance.importance(subject.contract, subject.predict, titles, labels, groups, seed)
    curves = importance.dependence(subject.contract, subject.predict, subject.past.features, groups, seed)
    return {"importance": [asdict(one) for one in shuffled], "dependence": [asdict(one) for one in curves]}


def _scales(subject: Subject) -> tuple[FloatArray, FloatArray]:
    """Return how many dollars titles of such a size miss by as a rule, of training and of the test: (n,), (m,)."""
    if subject.calibrated:
        floor, slope = subject.calibrated.interval.floor, subject.calibrated.interval.slope
    else:
        floor, slope = calibration.fit_scale(subject.predicted, subject.test.earnings)
    past, test = (floor + slope * np.abs(predicted) for predicted in (subject.predicted_past, subject.predicted))
    return past, test


def _families(subject: Subject, groups: Sequence[tuple[int, ...]]) -> list[Family]:
    found = families.families(subject.contract, subject.test.features, groups)
    return [*found, Family(_PREDICTED.name, (), *families.divide(subject.predicted, _PREDICTED))]


def _holdout(subject: Subject, labels: IntArray) -> dict[str, Any]:
    """Tell how surely the figures on the test titles are known, and the lead over the best baseline."""
    actual, sizes = subject.test.earnings, np.abs(subject.errors)
    off = {name: np.abs(guess - actual) for name, guess in subject.guesses.items()}
    rival = min(off, key=lambda name: float(off[name].mean()))
    return {
        "rows": len(actual),
        "distinct": int(np.count_nonzero(np.bincount(labels))),
        "intervals": kfold.intervals(subject.test, subject.errors, labels, subject.scaling),
        "lead": {
            "over": rival,
            "mae": float(off[rival].mean()),
            "error_change": asdict(means.mean(off[rival] - sizes, labels)),
        },
    }


def _kfold(
    subject: Subject, labels: IntArray, on_stage: Callable[[str], None], failed: list[Notice]
) -> tuple[dict[str, Any], dict[str, FloatArray]]:
    """Do plain and grouped k-fold, as far as the job wants it and there are titles for it.

    Returns: what was found, and the sizes of the errors, float64 (n,), US dollars, of each kind that was done.
    """
    job, past, seed = subject.job, subject.past, subject.job.training.seed
    found: dict[str, Any] = dict.fromkeys(kfold.KINDS)
    sizes: dict[str, FloatArray] = {}
    for kind in kfold.KINDS:
        # Prediction intervals by cv come from plain folds already.
        predicted = subject.calibrated.out_of_fold if kind == "plain" and subject.calibrated else None
        number = job.report.folds if predicted is None else job.intervals.folds
        there = len(past) if kind == "plain" else len(np.unique(labels))
        if predicted is None and not (0 < number <= there and _trains(subject)):
            continue
        parts = kfold.cut(past, kind, number, seed)
        if predicted is None:
            try:
                predicted = kfold.predict(job, subject.contract, past, parts, kind, on_stage)
            except InputError as error:
                failed.append(_failure(f"{kind} k-fold", error))
                continue
        found[kind] = asdict(kfold.judge(past, predicted, kind, parts, labels, subject.scaling, seed))
        sizes[kind] = np.abs(predicted - past.earnings)
    return found, sizes


def _noise(noise: twins.Noise | None, scaling: Scaling) -> dict[str, Any] | None:
    if noise is None:
        return None
    squared = float(scaling.scale[-1]) ** 2
    variance = noise.variance
    low, high = (None if one is None else max(one, 0.0) * squared for one in (variance.low, variance.high))
    return {
        "titles": noise.titles,
        "degrees": noise.degrees,
        "rmse": variance.value**0.5,
        "scaled_mse": {"value": variance.value * squared, "low": low, "high": high},
        "f": noise.f,
        "p": noise.p,
    }


def _compact(found: Any) -> Any:
    """Round all numbers to six digits: a manifest is read by people too."""
    if isinstance(found, dict):
        return {key: _compact(value) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return [_compact(value) for value in found]
    return float(f"{found:.{_DIGITS}g}") if isinstance(found, float) else found
