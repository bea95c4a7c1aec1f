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
from gamesales.data.contract import Contract
from gamesales.training.scaling import LogScale

# The grid. Boosting adds tree after tree, so a model with the most trees also gives the errors of models with fewer.
TREES = (100, 300, 600)
# The learning rate is chosen at the first depth.
DEPTHS = (3, 2, 4)
LEARNING_RATES = (0.2, 0.7)
# The grid for titles with categories or an uneven target, which have more to learn and less noise that repeats.
_DEEP_DEPTHS = (6, 3, 9)
_DEEP_LEARNING_RATES = (0.05, 0.2)
# The most categories of scikit-learn. Codes ascend from the most frequent value, so rare values are merged.
_MOST_CATEGORIES = 254
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
class BaselineData:
    """The facts about titles that baselines need besides numbers.

    Attributes:
        categories: the columns of codes.
        log: the logarithm of the target, whose errors boosting minimizes; None for the target itself.
    """

    categories: tuple[int, ...] = ()
    log: LogScale | None = None

    @classmethod
    def from_contract(cls, contract: Contract, log: LogScale | None) -> BaselineData:
        """Find the categories of a contract."""
        return cls(tuple(i for i, column in enumerate(contract.features) if column.kind == "category"), log)

    @property
    def is_deep(self) -> bool:
        """Whether the grid for titles with categories or an uneven target applies."""
        return bool(self.categories) or self.log is not None


PLAIN_DATA = BaselineData()


@dataclass(frozen=True)
class Baselines:
    """The baselines of a report. A baseline is the name of a model with its predictions.

    Predictions are float64 (m,), in the unit of the target.

    Attributes:
        boosting: the settings of gradient boosting.
        test: predictions for the test titles. The baseline that is usually best comes first.
        out_of_fold: by kind of folds, predictions for the training titles by models of the other folds.
    """

    boosting: BoostingSettings
    test: Mapping[str, FloatArray]
    out_of_fold: Mapping[str, Mapping[str, FloatArray]]


def fit_baselines(
    features: FloatArray,
    earnings: FloatArray,
    test: FloatArray,
    folds: Mapping[str, Sequence[IntArray]],
    seed: int,
    data: BaselineData = PLAIN_DATA,
) -> Baselines:
    """Tune gradient boosting, and predict with each baseline.

    Args:
        features: training features, (n, k), not scaled. NaN is a missing cell.
        earnings: training earnings, (n,), in the unit of the target.
        test: test features, (m, k), not scaled.
        folds: the rows of each fold, by kind of folds.
        seed: draws the folds and the sample of the tuning.
        data: the kinds of the columns and of the target.
    """
    features, test = (_merge_rare_categories(values, data) for values in (features, test))
    boosting = tune_boosting(features, earnings, seed, data)
    return Baselines(
        boosting,
        predict_baselines(features, earnings, test, boosting, data),
        {
            kind: predict_baselines_out_of_fold(features, earnings, parts, boosting, data)
            for kind, parts in folds.items()
        },
    )


def _merge_rare_categories(values: FloatArray, data: BaselineData) -> FloatArray:
    """Give codes that scikit-learn can't take the code 0."""
    merged = values.copy()
    for index in data.categories:
        merged[merged[:, index] >= _MOST_CATEGORIES, index] = 0
    return merged


def _fill_empty_columns(features: FloatArray) -> FloatArray:
    """Replace columns without any value by zeros, which scikit-learn's boosting can't bin otherwise."""
    return np.where(np.isnan(features).all(axis=0), 0.0, features)


def tune_boosting(
    features: FloatArray, earnings: FloatArray, seed: int, data: BaselineData = PLAIN_DATA
) -> BoostingSettings:
    """Choose the settings of gradient boosting by 3-fold cross-validation over a small grid.

    The learning rate is chosen first, and then the depth at this rate, each with every number of trees.

    Args:
        features: (n, k), not scaled. Of more than 5,000 titles, a sample decides.
        earnings: (n,), in the unit of the target.
        seed: draws the folds and the sample.
        data: the kinds of the columns and of the target.

    Returns:
        The settings with the lowest mean absolute error. With fewer than six titles, the default settings.
    """
    rows = np.random.default_rng([seed, 4]).permutation(len(earnings))[:_SAMPLE]
    if len(rows) < 2 * _FOLDS:
        return BoostingSettings(seed=seed)
    features, earnings = features[rows], earnings[rows]
    depths, rates = (_DEEP_DEPTHS, _DEEP_LEARNING_RATES) if data.is_deep else (DEPTHS, LEARNING_RATES)
    errors: dict[BoostingSettings, float] = {}

    def find_best(candidates: Iterable[BoostingSettings]) -> BoostingSettings:
        for candidate in candidates:
            errors.update(_cross_validate(features, earnings, candidate, data))
        return min(errors, key=lambda settings: errors[settings])

    with _limit_threads():
        best = find_best(BoostingSettings(max(TREES), depths[0], rate, seed) for rate in rates)
        return find_best(replace(best, trees=max(TREES), depth=depth) for depth in depths[1:])


def _cross_validate(
    features: FloatArray, earnings: FloatArray, settings: BoostingSettings, data: BaselineData
) -> dict[BoostingSettings, float]:
    """Return the sum of the absolute errors with these settings, and with each smaller number of trees of the grid."""
    errors = {replace(settings, trees=trees): 0.0 for trees in TREES if trees <= settings.trees}
    for fold in np.array_split(np.arange(len(earnings)), _FOLDS):
        training = _fill_empty_columns(np.delete(features, fold, axis=0)), _transform(np.delete(earnings, fold), data)
        stages = list(_make_boosting(settings, data).fit(*training).staged_predict(features[fold]))
        for staged in errors:
            predicted = _invert(stages[staged.trees - 1], data)
            errors[staged] += float(np.abs(predicted - earnings[fold]).sum())
    return errors


def _transform(earnings: FloatArray, data: BaselineData) -> FloatArray:
    return earnings if data.log is None else data.log.apply(earnings)


def _invert(predicted: FloatArray, data: BaselineData) -> FloatArray:
    return np.asarray(predicted if data.log is None else data.log.invert(predicted), np.float64)


def predict_baselines(
    features: FloatArray,
    earnings: FloatArray,
    test: FloatArray,
    boosting: BoostingSettings,
    data: BaselineData = PLAIN_DATA,
) -> dict[str, FloatArray]:
    """Predict the test titles with each baseline.

    Args:
        features: training features, (n, k), not scaled.
        earnings: training earnings, (n,), in the unit of the target.
        test: test features, (m, k), not scaled.
        boosting: the settings of gradient boosting.
        data: the kinds of the columns and of the target.

    Returns:
        The predictions of each baseline, float64 (m,), in the unit of the target. The baseline that is usually best
        comes first.
    """
    from sklearn.dummy import DummyRegressor

    has_gaps = bool(np.isnan(features).any() or np.isnan(test).any())
    linear = _make_linear(features.shape[1], data, has_gaps=has_gaps)
    baselines = {"gradient boosting": _make_boosting(boosting, data), "linear regression": linear}
    features, target = _fill_empty_columns(features), _transform(earnings, data)
    with _limit_threads():
        predicted = {
            name: _invert(model.fit(features, target).predict(test), data) for name, model in baselines.items()
        }
    mean = DummyRegressor().fit(features, earnings).predict(test)
    return {**predicted, "mean of training": np.asarray(mean, np.float64)}


def predict_baselines_out_of_fold(
    features: FloatArray,
    earnings: FloatArray,
    folds: Sequence[IntArray],
    boosting: BoostingSettings,
    data: BaselineData = PLAIN_DATA,
) -> dict[str, FloatArray]:
    """Predict each title with baselines that were fitted on the other folds.

    Args:
        features: (n, k), not scaled.
        earnings: (n,), in the unit of the target.
        folds: the rows of each fold. Together they have each row once.
        boosting: the settings of gradient boosting.
        data: the kinds of the columns and of the target.

    Returns:
        As ``predict_baselines``, float64 (n,).
    """
    predicted: dict[str, FloatArray] = {}
    for fold in folds:
        others = np.setdiff1d(np.arange(len(earnings)), fold)
        parts = predict_baselines(features[others], earnings[others], features[fold], boosting, data)
        for name, values in parts.items():
            predicted.setdefault(name, np.empty(len(earnings)))[fold] = values
    return predicted


def _limit_threads() -> Any:
    """Use one thread. Threads of OpenMP wait for each other in a loop, which takes minutes on a busy machine."""
    import sklearn.ensemble  # noqa: F401  only loaded libraries are limited
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, "openmp")


def _make_linear(columns: int, data: BaselineData, *, has_gaps: bool) -> Any:
    """Make a linear regression: of the numbers alone, or with indicators of categories and means for missing cells."""
    from sklearn.linear_model import LinearRegression

    if not data.categories and not has_gaps:
        return LinearRegression()
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, OneHotEncoder

    numbers = [index for index in range(columns) if index not in data.categories]
    transformer = make_column_transformer(
        (make_pipeline(SimpleImputer(keep_empty_features=True), MinMaxScaler()), numbers),
        (OneHotEncoder(handle_unknown="ignore"), list(data.categories)),
    )
    return make_pipeline(transformer, Ridge())


def _make_boosting(settings: BoostingSettings, data: BaselineData) -> Any:
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
        categorical_features=list(data.categories) or None,
    )
