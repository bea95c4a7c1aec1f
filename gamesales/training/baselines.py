"""The baselines of a report: the mean, a linear regression, and gradient boosting that is tuned as users tune it.

Gradient boosting with default settings errs about twice as much as with tuned settings. A version that is only compared
with the defaults looks better than it is. docs/explanation/report.md has the figures.

Nothing here needs TensorFlow. Arguments and results are arrays and plain values, and are the same in any process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gamesales.arrays import FloatArray, IntArray

# The grid. Boosting adds tree after tree, so a model with the most trees also gives the errors of models with fewer.
TREES = (100, 300, 600)
# The learning rate is chosen at the first depth.
DEPTHS = (3, 2, 4)
LEARNING_RATES = (0.2, 0.7)
_FOLDS = 3
# Tuning on more titles would take longer and choose the same.
_SAMPLE = 5_000
# The smallest number of titles in a leaf. scikit-learn's 20 is too many for repeated features, and 1 is too few for
# small files of continuous columns.
_LEAF_TITLES = 5
# Shrinks the values of small leaves. Without it, high learning rates give erratic errors.
_L2 = 1.0


@dataclass(frozen=True)
class BoostingSettings:
    """The settings of gradient boosting. The defaults apply to files that are too small for tuning."""

    trees: int = 100
    depth: int = 3
    learning_rate: float = 0.1
    seed: int = 1

    def __str__(self) -> str:
        return f"{self.trees:,} trees of depth {self.depth}, learning rate {self.learning_rate:g}"


@dataclass(frozen=True)
class Baselines:
    """The baselines of a report. A baseline is the name of a model with its predictions, float64 (m,), US dollars.

    Attributes:
        boosting: the settings of gradient boosting.
        test: predictions for the test titles. The baseline that is usually best comes first.
        out_of_fold: by kind of folds, predictions for the training titles by models of the other folds.
    """

    boosting: BoostingSettings
    test: Mapping[str, FloatArray]
    out_of_fold: Mapping[str, Mapping[str, FloatArray]]


def fit_baselines(
    features: FloatArray, earnings: FloatArray, test: FloatArray, folds: Mapping[str, Sequence[IntArray]], seed: int
) -> Baselines:
    """Tune gradient boosting, and predict with each baseline.

    Args:
        features: training features, (n, k), not scaled.
        earnings: training earnings, (n,), US dollars.
        test: test features, (m, k), not scaled.
        folds: the rows of each fold, by kind of folds.
        seed: draws the folds and the sample of the tuning.
    """
    boosting = tune_boosting(features, earnings, seed)
    return Baselines(
        boosting,
        predict_baselines(features, earnings, test, boosting),
        {kind: predict_baselines_out_of_fold(features, earnings, parts, boosting) for kind, parts in folds.items()},
    )


def tune_boosting(features: FloatArray, earnings: FloatArray, seed: int) -> BoostingSettings:
    """Choose the settings of gradient boosting by 3-fold cross-validation over a small grid.

    The learning rate is chosen first, and then the depth at this rate, each with every number of trees.

    Args:
        features: (n, k), not scaled. Of more than 5,000 titles, a sample decides.
        earnings: (n,), US dollars.
        seed: draws the folds and the sample.

    Returns:
        The settings with the lowest mean absolute error. With fewer than six titles, the default settings.
    """
    rows = np.random.default_rng([seed, 4]).permutation(len(earnings))[:_SAMPLE]
    if len(rows) < 2 * _FOLDS:
        return BoostingSettings(seed=seed)
    features, earnings = features[rows], earnings[rows]
    errors: dict[BoostingSettings, float] = {}

    def find_best(candidates: Iterable[BoostingSettings]) -> BoostingSettings:
        for candidate in candidates:
            errors.update(_cross_validate(features, earnings, candidate))
        return min(errors, key=lambda settings: errors[settings])

    with _limit_threads():
        best = find_best(BoostingSettings(max(TREES), DEPTHS[0], rate, seed) for rate in LEARNING_RATES)
        return find_best(replace(best, trees=max(TREES), depth=depth) for depth in DEPTHS[1:])


def _cross_validate(
    features: FloatArray, earnings: FloatArray, settings: BoostingSettings
) -> dict[BoostingSettings, float]:
    """Return the sum of the absolute errors with these settings, and with each smaller number of trees of the grid."""
    errors = {replace(settings, trees=trees): 0.0 for trees in TREES if trees <= settings.trees}
    for fold in np.array_split(np.arange(len(earnings)), _FOLDS):
        training = np.delete(features, fold, axis=0), np.delete(earnings, fold)
        predictions = list(_make_boosting(settings).fit(*training).staged_predict(features[fold]))
        for staged in errors:
            errors[staged] += float(np.abs(predictions[staged.trees - 1] - earnings[fold]).sum())
    return errors


def predict_baselines(
    features: FloatArray, earnings: FloatArray, test: FloatArray, boosting: BoostingSettings
) -> dict[str, FloatArray]:
    """Predict the test titles with each baseline.

    Args:
        features: training features, (n, k), not scaled.
        earnings: training earnings, (n,), US dollars.
        test: test features, (m, k), not scaled.
        boosting: the settings of gradient boosting.

    Returns:
        The predictions of each baseline, float64 (m,), US dollars. The baseline that is usually best comes first.
    """
    from sklearn.dummy import DummyRegressor
    from sklearn.linear_model import LinearRegression

    baselines: dict[str, Any] = {
        "gradient boosting": _make_boosting(boosting),
        "linear regression": LinearRegression(),
        "mean of training": DummyRegressor(),
    }
    with _limit_threads():
        return {
            name: np.asarray(model.fit(features, earnings).predict(test), np.float64)
            for name, model in baselines.items()
        }


def predict_baselines_out_of_fold(
    features: FloatArray, earnings: FloatArray, folds: Sequence[IntArray], boosting: BoostingSettings
) -> dict[str, FloatArray]:
    """Predict each title with baselines that were fitted on the other folds.

    Args:
        features: (n, k), not scaled.
        earnings: (n,), US dollars.
        folds: the rows of each fold. Together they have each row once.
        boosting: the settings of gradient boosting.

    Returns:
        As ``predict_baselines``, float64 (n,).
    """
    predicted: dict[str, FloatArray] = {}
    for fold in folds:
        others = np.setdiff1d(np.arange(len(earnings)), fold)
        for name, values in predict_baselines(features[others], earnings[others], features[fold], boosting).items():
            predicted.setdefault(name, np.empty(len(earnings)))[fold] = values
    return predicted


def _limit_threads() -> Any:
    """Use one thread. Threads of OpenMP wait for each other in a loop, which takes minutes on a busy machine."""
    import sklearn.ensemble  # noqa: F401  only loaded libraries are limited
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, "openmp")


def _make_boosting(settings: BoostingSettings) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(
        max_iter=settings.trees,
        max_depth=settings.depth,
        max_leaf_nodes=None,
        min_samples_leaf=_LEAF_TITLES,
        l2_regularization=_L2,
        learning_rate=settings.learning_rate,
        early_stopping=False,
        random_state=settings.seed,
    )
