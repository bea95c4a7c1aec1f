"""The baselines of a report: the mean, a linear regression, and gradient boosting that is tuned as users tune it.

Gradient boosting with default settings errs about twice as much as with tuned settings. A version that is only compared
with the defaults looks better than it is. docs/explanation/report.md has the figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from gamesales.arrays import FloatArray

# The grid. Boosting adds tree after tree, so a model with the most trees also gives the errors of models with fewer.
TREES = (100, 300, 1_000)
DEPTHS = (2, 3, 4)
LEARNING_RATES = (0.1, 0.2)
_FOLDS = 3
# Up to this many titles, boosting finds exact splits. With histograms it is faster, and worse on few titles.
_MAX_EXACT_TITLES = 10_000
# Tuning on more titles would take minutes.
_EXACT_SAMPLE, _HISTOGRAM_SAMPLE = 2_000, 5_000


@dataclass(frozen=True)
class BoostingSettings:
    """The settings of gradient boosting. The defaults are those of scikit-learn."""

    trees: int = 100
    depth: int = 3
    learning_rate: float = 0.1
    seed: int = 1

    def __str__(self) -> str:
        return f"{self.trees:,} trees of depth {self.depth}, learning rate {self.learning_rate:g}"


def tune_boosting(features: FloatArray, earnings: FloatArray, seed: int) -> BoostingSettings:
    """Choose the settings of gradient boosting by 3-fold cross-validation over a small grid.

    Args:
        features: (n, k), not scaled. Of more than 2,000 titles, a sample decides.
        earnings: (n,), US dollars.
        seed: draws the folds and the sample.

    Returns:
        The settings with the lowest mean absolute error. With fewer than six titles, the default settings.
    """
    sample = _EXACT_SAMPLE if len(earnings) <= _MAX_EXACT_TITLES else _HISTOGRAM_SAMPLE
    rows = np.random.default_rng([seed, 4]).permutation(len(earnings))[:sample]
    if len(rows) < 2 * _FOLDS:
        return BoostingSettings(seed=seed)
    errors: dict[BoostingSettings, float] = {}
    for fold, depth, rate in product(np.array_split(rows, _FOLDS), DEPTHS, LEARNING_RATES):
        others = np.setdiff1d(rows, fold)
        model = _make_boosting(BoostingSettings(max(TREES), depth, rate, seed), len(earnings))
        with _limit_threads():
            predictions = list(model.fit(features[others], earnings[others]).staged_predict(features[fold]))
        for trees in TREES:
            settings = BoostingSettings(trees, depth, rate, seed)
            error = float(np.abs(predictions[trees - 1] - earnings[fold]).sum())
            errors[settings] = errors.get(settings, 0.0) + error
    return min(errors, key=lambda settings: errors[settings])


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
        "gradient boosting": _make_boosting(boosting, len(earnings)),
        "linear regression": LinearRegression(),
        "mean of training": DummyRegressor(),
    }
    with _limit_threads():
        return {
            name: np.asarray(model.fit(features, earnings).predict(test), np.float64)
            for name, model in baselines.items()
        }


def _limit_threads() -> Any:
    """Use one thread. Threads of OpenMP wait for each other in a loop, which takes minutes on a busy machine."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, "openmp")


def _make_boosting(settings: BoostingSettings, titles: int) -> Any:
    """Make the model for a number of titles: with exact splits, or with histograms where exact splits take too long."""
    from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor

    shared = {"max_depth": settings.depth, "learning_rate": settings.learning_rate, "random_state": settings.seed}
    if titles <= _MAX_EXACT_TITLES:
        return GradientBoostingRegressor(n_estimators=settings.trees, **shared)
    return HistGradientBoostingRegressor(max_iter=settings.trees, early_stopping=False, **shared)
