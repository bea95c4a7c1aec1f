"""Sums of errors, their metrics, and comparisons of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamesales.stats.clustered import wilson_interval
from gamesales.stats.error_metrics import (
    compare_bias,
    compare_mae,
    compare_with_holdout,
    compute_error_metrics,
)
from gamesales.stats.error_sums import MAX_SAMPLE_ROWS, MatchedRows, TitleSums


def draw_rows(seed, rows, titles=60, shift=0.0):
    """Draw predictions with a mean error of ``shift``."""
    random = np.random.default_rng(seed)
    actual = random.uniform(1, 1e5, titles)
    title = random.integers(0, titles, rows)
    predicted = actual[title] + random.normal(shift, 1000, rows)
    low, high = predicted - 1500, predicted + 1500
    return MatchedRows(title, actual[title], predicted, random.random(rows) < 0.2, low, high)


def select(matched, rows):
    return MatchedRows(*(getattr(matched, name)[rows] for name in matched.__dataclass_fields__))


def add_up(*pieces, titles=60):
    sums = TitleSums(titles)
    for number, piece in enumerate(pieces):
        sums.add(piece, (0, number))
    return sums


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 400), st.integers(0, 400))
def test_pieces_add_up_to_the_whole(seed, rows, middle):
    """The order of the rows and their division into pieces do not matter."""
    whole = draw_rows(seed, rows)
    order = np.random.default_rng(seed).permutation(rows)
    pieces = select(whole, order[:middle]), select(whole, order[middle:])
    expected, actual = compute_error_metrics(add_up(whole)), compute_error_metrics(add_up(*pieces))
    present = {name: value for name, value in vars(expected).items() if value is not None}
    assert present == pytest.approx({name: vars(actual)[name] for name in present}, rel=1e-9, abs=1e-6)
    assert {None} >= {value for name, value in vars(actual).items() if name not in present}


def test_no_rows_have_no_metrics():
    """Without rows, counts are 0 and metrics are None."""
    metrics = compute_error_metrics(add_up())
    assert {None, 0} == set(vars(metrics).values())


def test_sample_is_small_and_uniform():
    """The sample keeps the rows with the smallest keys of all pieces."""
    whole = add_up(*(draw_rows(seed, 4000) for seed in range(3)))
    assert MAX_SAMPLE_ROWS == len(whole.sample.keys)
    assert whole.sample.keys.max() < 0.25


def test_change_is_told_from_chance():
    """A larger error or bias is reported as a change, and equal ones are within chance."""
    before = add_up(draw_rows(1, 2000))
    assert "within chance" == compare_mae(before, add_up(draw_rows(2, 2000))).change
    worse = compare_mae(before, add_up(draw_rows(2, 2000, shift=900.0)))
    assert "up" == worse.change
    assert worse.difference_low < worse.value_difference < worse.difference_high
    assert "up" == compare_bias(before, add_up(draw_rows(2, 2000, shift=900.0))).change
    assert "down" == compare_mae(add_up(draw_rows(2, 2000, shift=900.0)), before).change
    assert "within chance" == compare_mae(before, before).change


def test_few_titles_have_no_interval():
    """Below 30 titles there are no intervals, and no comparison is decided."""
    few = add_up(draw_rows(1, 500, titles=20), titles=20)
    assert (None, None) == (compute_error_metrics(few).bias_low, compute_error_metrics(few).mae_high)
    assert "too few titles" == compare_mae(few, few).change
    assert "too few titles" == compare_with_holdout(few, 400, {"mae": 1.0, "rmse": 2.0}).change
    assert compare_with_holdout(few, 400, {"mae": None}) is None


def test_interval_covers_true_bias():
    """About 95% of the intervals contain the bias of 0, although each title has ten rows with the same error."""
    covered = 0
    for seed in range(400):
        errors = np.random.default_rng(seed).normal(0, 1000, 80)
        title = np.tile(np.arange(80), 10)
        no_bounds = np.full(800, np.nan)
        rows = MatchedRows(title, np.full(800, 1e5), 1e5 + errors[title], np.zeros(800, bool), no_bounds, no_bounds)
        metrics = compute_error_metrics(add_up(rows, titles=80))
        covered += metrics.bias_low <= 0 <= metrics.bias_high
    assert 0.92 <= covered / 400 <= 0.98


@pytest.mark.parametrize(
    ("share", "rows", "expected"), [(0.9, 100, (0.8256, 0.9448)), (1.0, 10, (0.7225, 1.0)), (0.0, 10, (0.0, 0.2775))]
)
def test_wilson_interval_matches_textbook(share, rows, expected):
    """The interval has the values of the published formula."""
    assert wilson_interval(share, rows) == pytest.approx(expected, abs=1e-4)
