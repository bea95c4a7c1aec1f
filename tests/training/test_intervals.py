"""Conformal calibration: the quantile and its rank, the scale, the split, and the coverage of new titles."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gamesales.errors import InputError
from gamesales.scoring.prediction_interval import PredictionInterval
from gamesales.stats.clustered import wilson_interval
from gamesales.training import intervals as calibration
from gamesales.training.train_job import IntervalsSpec

coverages = st.integers(1, 99).map(lambda percent: percent / 100)
distinct_scores = st.lists(st.floats(0, 1e6), min_size=2, max_size=120, unique=True).map(np.array)


def simulate_errors(rows, seed=1):
    """Draw predictions, and actual earnings with an error of 100 dollars plus 1% of the prediction."""
    rng = np.random.default_rng(seed)
    predicted = rng.uniform(5_000, 250_000, rows)
    return predicted, predicted + rng.normal(size=rows) * (100 + 0.01 * predicted)


# --- The conformal quantile.


@given(distinct_scores, coverages)
def test_quantile_covers_exchangeable_scores(scores, coverage):
    """With each of n + 1 scores in turn as the new one, exactly ceil((n + 1) c) of n + 1 are covered."""
    rows = len(scores) - 1
    if math.ceil(round((rows + 1) * coverage, 6)) > rows:
        with pytest.raises(InputError, match=f"there are {rows}"):
            calibration.compute_conformal_quantile(scores[1:], coverage)
        return
    covered = [
        scores[new] <= calibration.compute_conformal_quantile(np.delete(scores, new), coverage)
        for new in range(rows + 1)
    ]
    assert coverage - 1e-9 <= np.mean(covered) < coverage + 1 / (rows + 1)


@given(hnp.arrays(float, st.integers(150, 200), elements=st.floats(0, 9)), st.lists(coverages, min_size=2, max_size=2))
def test_quantile_grows_with_coverage(scores, pair):
    """A larger coverage never has a smaller quantile."""
    less, more = sorted(pair)
    assert calibration.compute_conformal_quantile(scores, less) <= calibration.compute_conformal_quantile(scores, more)


@given(hnp.arrays(float, st.integers(20, 60), elements=st.floats(0, 9)), st.integers(0, 2**32))
def test_order_of_scores_irrelevant(scores, seed):
    """The order of the scores does not matter."""
    shuffled = np.random.default_rng(seed).permutation(scores)
    assert calibration.compute_conformal_quantile(scores, 0.9) == calibration.compute_conformal_quantile(shuffled, 0.9)


@pytest.mark.parametrize(
    ("rows", "coverage", "rank"), [(9, 0.9, 9), (19, 0.55, 11), (999, 0.9, 900), (1000, 0.9, 901), (99, 0.99, 99)]
)
def test_rank_is_exact(rows, coverage, rank):
    """The rank is computed from the decimal digits. In floating point, 20 times 0.55 is more than 11."""
    assert rank == calibration.compute_quantile_rank(rows, coverage)


@pytest.mark.parametrize(("coverage", "minimum"), [(0.9, 9), (0.95, 19), (0.99, 99), (0.5, 1)])
def test_too_few_titles_for_coverage(coverage, minimum):
    """The error names the number of titles that a coverage needs."""
    assert minimum == calibration.compute_quantile_rank(minimum, coverage)
    with pytest.raises(InputError, match=f"needs {minimum} titles to calibrate on; there are {minimum - 1}"):
        calibration.compute_quantile_rank(minimum - 1, coverage)


# --- The scale.


def test_scale_fits_error_growth():
    """The floor and the slope fit the growth of the errors."""
    floor, slope = calibration.fit_scale(*simulate_errors(20_000))
    typical = 0.6745  # the median absolute value of a standard normal
    assert floor == pytest.approx(100 * typical, rel=0.25)
    assert slope == pytest.approx(0.01 * typical, rel=0.1)


def test_scale_robust_to_outliers():
    """Outliers hardly change the slope."""
    predicted, actual = simulate_errors(2_000)
    outliers = actual.copy()
    outliers[::50] += 1e7
    np.testing.assert_allclose(
        calibration.fit_scale(predicted, actual)[1], calibration.fit_scale(predicted, outliers)[1], 0.2
    )


@given(
    hnp.arrays(float, 30, elements=st.floats(-1e6, 1e6)),
    hnp.arrays(float, 30, elements=st.floats(-1e6, 1e6)),
    st.integers(1, 30),
)
def test_scale_is_positive(predicted, actual, rows):
    """Any titles give a positive scale and finite scores."""
    floor, slope = calibration.fit_scale(predicted[:rows], actual[:rows])
    assert floor >= 0.01
    assert slope >= 0
    assert np.isfinite(calibration.compute_nonconformity_scores(predicted, actual, floor, slope)).all()


def test_non_finite_predictions_refused():
    """Predictions that are not finite numbers are refused."""
    with pytest.raises(InputError, match="2 predictions of calibration titles are not finite numbers"):
        calibration.fit_scale(np.array([1.0, np.nan, np.inf]), np.ones(3))


# --- The split.


@given(st.integers(2, 300), st.floats(0.01, 0.99), st.integers(0, 2**32 - 1))
def test_split_uses_each_row_once(rows, share, seed):
    """Each row is in one part, and the share is right."""
    if not 0 < round(rows * share) < rows:
        with pytest.raises(InputError, match=r"intervals\.calibration_share is"):
            calibration.split_calibration_rows(rows, share, seed)
        return
    training, calibration_rows = calibration.split_calibration_rows(rows, share, seed)
    assert sorted([*training, *calibration_rows]) == list(range(rows))
    assert len(calibration_rows) == round(rows * share)


@pytest.mark.parametrize(("rows", "method"), [(1_000, "cv"), (20_000, "cv"), (20_001, "split")])
def test_method_depends_on_rows(rows, method):
    """``auto`` is ``cv`` up to 20,000 rows, and ``split`` beyond."""
    assert method == IntervalsSpec().choose_method(rows)
    assert "split" == IntervalsSpec(method="split").choose_method(rows)


# --- Coverage.


def test_wilson_interval_of_textbook():
    """The 95% Wilson interval of 9 in 10 is 59.6% to 98.2%."""
    assert wilson_interval(0.9, 10) == pytest.approx((0.5958, 0.9821), abs=1e-4)


@given(st.integers(1, 5_000), st.floats(0, 1))
def test_wilson_interval_contains_share(rows, part):
    """A share is within its Wilson interval."""
    share = round(rows * part) / rows
    low, high = wilson_interval(share, rows)
    assert 0 <= low <= share + 1e-12
    assert share - 1e-12 <= high <= 1


@settings(deadline=None, max_examples=5)
@given(st.integers(0, 2**32 - 1))
def test_coverage_of_new_titles(seed):
    """Calibrated on 2,000 titles, the coverage of 20,000 new ones is within four standard deviations of 90%."""
    past, new = simulate_errors(2_000, seed), simulate_errors(20_000, seed + 1)
    scale = calibration.fit_scale(*past)
    quantile = calibration.compute_conformal_quantile(calibration.compute_nonconformity_scores(*past, *scale), 0.9)
    covered = PredictionInterval(0.9, *scale, quantile, whole_units=False).contains(*new).mean()
    assert covered == pytest.approx(0.9, abs=4 * math.sqrt(0.09 / 2_000 + 0.09 / 20_000))
