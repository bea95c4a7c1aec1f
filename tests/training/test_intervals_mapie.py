"""Calibration against MAPIE, a library of conformal prediction: the same titles give the same intervals.

MAPIE is in requirements/dev.lock. Without it, these tests are skipped.
"""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import PredefinedSplit

from gamesales.scoring.prediction_interval import PredictionInterval
from gamesales.training import folds
from gamesales.training import intervals as calibration

mapie = pytest.importorskip("mapie.regression", reason="mapie is not installed: pip install -r requirements/dev.lock")
conformity_scores = pytest.importorskip("mapie.conformity_scores")

COVERAGES = (0.5, 0.8, 0.9, 0.95, 0.99)
SEED = 7


@pytest.fixture(scope="module", params=[201, 250])
def titles(request):
    """Features and earnings of training titles, and features of new titles; errors grow with the earnings."""
    rng = np.random.default_rng(SEED)
    features = rng.uniform(0, 1, (request.param + 60, 3))
    middle = 60_000 + features @ [90_000.0, 40_000.0, 10_000.0]
    earnings = middle * (1 + 0.05 * rng.standard_t(3, len(middle)))
    return features[:-60], earnings[:-60], features[-60:]


class ScaleEstimator(RegressorMixin, BaseEstimator):
    """The scale of a title as a residual estimator for MAPIE: it predicts, and scales the prediction."""

    def __init__(self, model=None, scale=None):
        self.model, self.scale = model, scale
        self.fitted_ = True

    def fit(self, features, errors):
        return self

    def predict(self, features):
        floor, slope = self.scale
        return floor + slope * np.abs(self.model.predict(features))


def compute_bounds(predicted, actual, scale, coverage, new_predictions):
    """Compute our bounds around ``new_predictions``, without rounding. None is low enough to be cut at 0."""
    quantile = calibration.compute_conformal_quantile(
        calibration.compute_nonconformity_scores(predicted, actual, *scale), coverage
    )
    return np.stack(PredictionInterval(coverage, *scale, quantile, whole_units=False).bounds(new_predictions), axis=1)


@pytest.mark.parametrize("coverage", COVERAGES)
def test_split_with_constant_width(titles, coverage):
    """A constant scale gives the intervals of the absolute score."""
    features, earnings, new = titles
    model = LinearRegression().fit(features[:100], earnings[:100])
    reference = mapie.SplitConformalRegressor(model, coverage, conformity_score="absolute", prefit=True)
    _, bounds = reference.conformalize(features[100:], earnings[100:]).predict_interval(new)
    computed = compute_bounds(model.predict(features[100:]), earnings[100:], (1.0, 0.0), coverage, model.predict(new))
    np.testing.assert_allclose(computed, bounds[:, :, 0], rtol=1e-12)


@pytest.mark.parametrize("coverage", COVERAGES)
def test_split_with_growing_width(titles, coverage):
    """A growing scale gives the intervals of MAPIE's residual normalized score."""
    features, earnings, new = titles
    model = LinearRegression().fit(features[:100], earnings[:100])
    scale = calibration.fit_scale(model.predict(features[:100]), earnings[:100])
    score = conformity_scores.ResidualNormalisedScore(residual_estimator=ScaleEstimator(model, scale), prefit=True)
    reference = mapie.SplitConformalRegressor(model, coverage, conformity_score=score, prefit=True)
    _, bounds = reference.conformalize(features[100:], earnings[100:]).predict_interval(new)
    computed = compute_bounds(model.predict(features[100:]), earnings[100:], scale, coverage, model.predict(new))
    np.testing.assert_allclose(computed, bounds[:, :, 0], rtol=1e-9)


def compute_cv_bounds(titles, coverage, method):
    """Compute our bounds of the method ``cv`` and MAPIE's, around a model that was trained on all titles."""
    features, earnings, new = titles
    parts = folds.make_plain_folds(len(features), 5, SEED)
    others = folds.list_other_rows(len(features), parts)
    networks = [LinearRegression().fit(features[rows], earnings[rows]).predict for rows in others]
    predicted = folds.predict_out_of_fold(networks, features, parts)
    new_predictions = LinearRegression().fit(features, earnings).predict(new)
    fold_of_row = np.empty(len(features), int)
    for index, fold in enumerate(parts):
        fold_of_row[fold] = index
    reference = mapie.CrossConformalRegressor(
        LinearRegression(), coverage, conformity_score="absolute", method=method, cv=PredefinedSplit(fold_of_row)
    )
    _, bounds = reference.fit_conformalize(features, earnings).predict_interval(new)
    return compute_bounds(predicted, earnings, (1.0, 0.0), coverage, new_predictions), bounds[:, :, 0]


@pytest.mark.parametrize("coverage", COVERAGES)
def test_cv_equals_base_method(titles, coverage):
    """The method ``cv`` is MAPIE's method ``base``."""
    computed, bounds = compute_cv_bounds(titles, coverage, "base")
    np.testing.assert_allclose(computed, bounds, rtol=1e-12)


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_cv_close_to_cv_plus(titles, coverage):
    """CV+, which has a proof, differs by the differences of its models: here, less than 5% of the width."""
    computed, bounds = compute_cv_bounds(titles, coverage, "plus")
    width = np.diff(bounds)
    assert (np.abs(computed - bounds) < 0.05 * width).all()
