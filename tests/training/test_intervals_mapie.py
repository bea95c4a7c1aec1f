"""Calibration held to MAPIE, the library of conformal prediction: the same titles give the same intervals.

MAPIE is in requirements/dev.lock; where it is not installed, these tests are skipped.
"""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import PredefinedSplit

from gamesales.scoring.scorer import Interval
from gamesales.training import folds
from gamesales.training import intervals as calibration

mapie = pytest.importorskip("mapie.regression", reason="mapie is not installed: pip install -r requirements/dev.lock")
conformity_scores = pytest.importorskip("mapie.conformity_scores")

COVERAGES = (0.5, 0.8, 0.9, 0.95, 0.99)
SEED = 7


@pytest.fixture(scope="module", params=[201, 250])
def store(request):
    """Features and dollars of past and of new titles: errors grow with what a title earns."""
    rng = np.random.default_rng(SEED)
    features = rng.uniform(0, 1, (request.param + 60, 3))
    middle = 60_000 + features @ [90_000.0, 40_000.0, 10_000.0]
    earnings = middle * (1 + 0.05 * rng.standard_t(3, len(middle)))
    return features[:-60], earnings[:-60], features[-60:]


class Typical(RegressorMixin, BaseEstimator):
    """The scale of a title, as an estimator of MAPIE's: from the features, by way of the prediction."""

    def __init__(self, model=None, scale=None):
        self.model, self.scale = model, scale
        self.fitted_ = True

    def fit(self, features, errors):
        return self

    def predict(self, features):
        floor, slope = self.scale
        return floor + slope * np.abs(self.model.predict(features))


def ours(predicted, actual, scale, coverage, answers):
    """Our bounds around ``answers``, neither rounded nor, as none is that low, cut."""
    quantile = calibration.conformal_quantile(calibration.scores(predicted, actual, *scale), coverage)
    return np.stack(Interval(coverage, *scale, quantile, whole_units=False).bounds(answers), axis=1)


@pytest.mark.parametrize("coverage", COVERAGES)
def test_a_split_of_even_width(store, coverage):
    features, earnings, new = store
    model = LinearRegression().fit(features[:100], earnings[:100])
    reference = mapie.SplitConformalRegressor(model, coverage, conformity_score="absolute", prefit=True)
    _, bounds = reference.conformalize(features[100:], earnings[100:]).predict_interval(new)
    found = ours(model.predict(features[100:]), earnings[100:], (1.0, 0.0), coverage, model.predict(new))
    np.testing.assert_allclose(found, bounds[:, :, 0], rtol=1e-12)


@pytest.mark.parametrize("coverage", COVERAGES)
def test_a_split_whose_width_follows_the_prediction(store, coverage):
    """MAPIE's residual normalised score, with our scale as its estimator of residuals."""
    features, earnings, new = store
    model = LinearRegression().fit(features[:100], earnings[:100])
    scale = calibration.fit_scale(model.predict(features[:100]), earnings[:100])
    score = conformity_scores.ResidualNormalisedScore(residual_estimator=Typical(model, scale), prefit=True)
    reference = mapie.SplitConformalRegressor(model, coverage, conformity_score=score, prefit=True)
    _, bounds = reference.conformalize(features[100:], earnings[100:]).predict_interval(new)
    found = ours(model.predict(features[100:]), earnings[100:], scale, coverage, model.predict(new))
    np.testing.assert_allclose(found, bounds[:, :, 0], rtol=1e-9)


def cross(store, coverage, method):
    """Our bounds by folds, and MAPIE's, around the predictions of a model that learnt from all titles."""
    features, earnings, new = store
    parts = folds.cut(len(features), 5, SEED)
    predicted = folds.out_of_fold(lambda x, y: LinearRegression().fit(x, y).predict, features, earnings, parts)
    answers = LinearRegression().fit(features, earnings).predict(new)
    number = np.empty(len(features), int)
    for place, fold in enumerate(parts):
        number[fold] = place
    reference = mapie.CrossConformalRegressor(
        LinearRegression(), coverage, conformity_score="absolute", method=method, cv=PredefinedSplit(number)
    )
    _, bounds = reference.fit_conformalize(features, earnings).predict_interval(new)
    return ours(predicted, earnings, (1.0, 0.0), coverage, answers), bounds[:, :, 0]


@pytest.mark.parametrize("coverage", COVERAGES)
def test_folds_around_the_network_that_learnt_from_all(store, coverage):
    """MAPIE calls this method base."""
    found, bounds = cross(store, coverage, "base")
    np.testing.assert_allclose(found, bounds, rtol=1e-12)


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_folds_come_close_to_cv_plus(store, coverage):
    """CV+, of which there is a proof, moves bounds by what its models differ: here, a twentieth of the width."""
    found, bounds = cross(store, coverage, "plus")
    width = np.diff(bounds)
    assert (np.abs(found - bounds) < 0.05 * width).all()
