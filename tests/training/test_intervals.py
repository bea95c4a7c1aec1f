"""Conformal calibration: its laws, its limits, and MAPIE, a library that computes the same, as the reference."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gamesales.errors import InputError
from gamesales.scoring.scorer import Interval
from gamesales.stats.errors import wilson
from gamesales.training import intervals as calibration
from gamesales.training.spec import IntervalsSpec

coverages = st.integers(1, 99).map(lambda percent: percent / 100)
distinct_scores = st.lists(st.floats(0, 1e6), min_size=2, max_size=120, unique=True).map(np.array)


def noisy(rows, seed=1):
    """Predictions, and actual earnings that are off by 100 dollars and 1 % of the prediction."""
    rng = np.random.default_rng(seed)
    predicted = rng.uniform(5_000, 250_000, rows)
    return predicted, predicted + rng.normal(size=rows) * (100 + 0.01 * predicted)


# --- The conformal quantile.


@given(distinct_scores, coverages)
def test_of_exchangeable_scores_the_share_that_is_held_is_as_asked_or_a_little_more(scores, coverage):
    """The law: each of n + 1 scores in turn is the new one. Exactly ceil((n + 1) c) of n + 1 are held."""
    rows = len(scores) - 1
    if math.ceil(round((rows + 1) * coverage, 6)) > rows:
        with pytest.raises(InputError, match=f"there are {rows}"):
            calibration.conformal_quantile(scores[1:], coverage)
        return
    held = [scores[new] <= calibration.conformal_quantile(np.delete(scores, new), coverage) for new in range(rows + 1)]
    assert coverage - 1e-9 <= np.mean(held) < coverage + 1 / (rows + 1)


@given(hnp.arrays(float, st.integers(150, 200), elements=st.floats(0, 9)), st.lists(coverages, min_size=2, max_size=2))
def test_more_coverage_takes_no_smaller_a_quantile(scores, pair):
    less, more = sorted(pair)
    assert calibration.conformal_quantile(scores, less) <= calibration.conformal_quantile(scores, more)


@given(hnp.arrays(float, st.integers(20, 60), elements=st.floats(0, 9)), st.integers(0, 2**32))
def test_the_order_of_scores_does_not_matter(scores, seed):
    shuffled = np.random.default_rng(seed).permutation(scores)
    assert calibration.conformal_quantile(scores, 0.9) == calibration.conformal_quantile(shuffled, 0.9)


@pytest.mark.parametrize(
    ("rows", "coverage", "rank"), [(9, 0.9, 9), (19, 0.55, 11), (999, 0.9, 900), (1000, 0.9, 901), (99, 0.99, 99)]
)
def test_the_rank_is_that_of_the_decimals_as_they_were_written(rows, coverage, rank):
    """In floating point, 20 times 0.55 is more than 11."""
    assert rank == calibration.rank(rows, coverage)


@pytest.mark.parametrize(("coverage", "fewest"), [(0.9, 9), (0.95, 19), (0.99, 99), (0.5, 1)])
def test_how_many_titles_a_coverage_takes_is_told(coverage, fewest):
    assert fewest == calibration.rank(fewest, coverage)
    with pytest.raises(InputError, match=f"takes {fewest} titles to calibrate on; there are {fewest - 1}"):
        calibration.rank(fewest - 1, coverage)


# --- The scale.


def test_the_scale_finds_how_errors_grow():
    floor, slope = calibration.fit_scale(*noisy(20_000))
    typical = 0.6745  # the median of a standard normal's size
    assert floor == pytest.approx(100 * typical, rel=0.25)
    assert slope == pytest.approx(0.01 * typical, rel=0.1)


def test_wild_errors_do_not_move_the_scale_much():
    predicted, actual = noisy(2_000)
    wild = actual.copy()
    wild[::50] += 1e7
    np.testing.assert_allclose(
        calibration.fit_scale(predicted, actual)[1], calibration.fit_scale(predicted, wild)[1], 0.2
    )


@given(
    hnp.arrays(float, 30, elements=st.floats(-1e6, 1e6)),
    hnp.arrays(float, 30, elements=st.floats(-1e6, 1e6)),
    st.integers(1, 30),
)
def test_any_titles_give_a_scale_that_can_be_divided_by(predicted, actual, rows):
    floor, slope = calibration.fit_scale(predicted[:rows], actual[:rows])
    assert floor >= 0.01
    assert slope >= 0
    assert np.isfinite(calibration.scores(predicted, actual, floor, slope)).all()


def test_predictions_that_are_no_numbers_are_told():
    with pytest.raises(InputError, match="2 predictions of titles to calibrate on are no finite numbers"):
        calibration.fit_scale(np.array([1.0, np.nan, np.inf]), np.ones(3))


# --- Rows that were not learnt from.


@given(st.integers(2, 300), st.floats(0.01, 0.99), st.integers(0, 2**32 - 1))
def test_rows_set_aside_are_not_learnt_from(rows, share, seed):
    if not 0 < round(rows * share) < rows:
        with pytest.raises(InputError, match=r"intervals\.calibration_share is"):
            calibration.set_aside(rows, share, seed)
        return
    learnt, aside = calibration.set_aside(rows, share, seed)
    assert sorted([*learnt, *aside]) == list(range(rows))
    assert len(aside) == round(rows * share)


@pytest.mark.parametrize(("rows", "method"), [(1_000, "cv"), (20_000, "cv"), (20_001, "split")])
def test_many_rows_are_split_and_few_are_used_in_full(rows, method):
    assert method == IntervalsSpec().method_for(rows)
    assert "split" == IntervalsSpec(method="split").method_for(rows)


# --- Achieved coverage.


def test_wilsons_interval_is_that_of_the_paper():
    """Wilson's 95 % interval of 9 in 10: 59.6 % to 98.2 %, as textbooks have it."""
    assert wilson(0.9, 10) == pytest.approx((0.5958, 0.9821), abs=1e-4)


@given(st.integers(1, 5_000), st.floats(0, 1))
def test_the_share_lies_within_its_own_interval(rows, part):
    share = round(rows * part) / rows
    low, high = wilson(share, rows)
    assert 0 <= low <= share + 1e-12
    assert share - 1e-12 <= high <= 1


@settings(deadline=None, max_examples=5)
@given(st.integers(0, 2**32 - 1))
def test_intervals_hold_as_many_new_titles_as_they_promise(seed):
    """Calibrated on 2,000 titles and asked of 20,000: within four standard deviations of 90 %."""
    past, new = noisy(2_000, seed), noisy(20_000, seed + 1)
    scale = calibration.fit_scale(*past)
    quantile = calibration.conformal_quantile(calibration.scores(*past, *scale), 0.9)
    held = Interval(0.9, *scale, quantile, whole_units=False).holds(*new).mean()
    assert held == pytest.approx(0.9, abs=4 * math.sqrt(0.09 / 2_000 + 0.09 / 20_000))
