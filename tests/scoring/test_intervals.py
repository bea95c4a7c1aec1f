"""Prediction intervals of a run: two more columns, computed from the prediction alone."""

import math
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from gamesales import Registry, read_predictions
from gamesales.data import csv_scan, parquet_file
from gamesales.data.contract import OUTPUT_COLUMNS
from gamesales.data.screen import RejectLimit
from gamesales.errors import IntegrityError, SelfTestError, UsageError
from gamesales.scoring import shard_bounds
from gamesales.scoring.parts import make_part_schema
from gamesales.scoring.prediction_interval import PredictionInterval, interpolate
from gamesales.scoring.scorer import load_version
from support.runs import CONTRACT, DAY, network_version, read_csv, score, simple_version, snapshot, write_mixed
from support.versions import (
    FEATURES,
    INTERVAL,
    publish_simple,
    simple_details,
    simple_graph,
    title_values,
    titles_table,
)

SIMPLE = simple_version(interval=INTERVAL)
NETWORK = replace(network_version(), prediction_interval=PredictionInterval(**INTERVAL))
LOW, HIGH = "predicted_earnings_low", "predicted_earnings_high"
any_float = st.floats(allow_nan=False, allow_infinity=False)
numbers = st.floats(0, 1e300)
intervals = st.builds(PredictionInterval, st.floats(0.01, 0.99), numbers, numbers, numbers, st.booleans())
float_arrays = st.lists(any_float, max_size=20).map(lambda values: np.array(values, np.float64))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- The formula.


def test_bounds_follow_formula():
    """Bounds are prediction ± quantile · (floor + slope · |prediction|)."""
    low, high = PredictionInterval(0.9, 100.0, 0.05, 2.0, whole_units=False).bounds(np.array([0.0, 1000.0, 50_000.5]))
    np.testing.assert_allclose([0.0, 700.0, 44_800.45], low, rtol=1e-15)
    np.testing.assert_allclose([200.0, 1300.0, 55_200.55], high, rtol=1e-15)


def test_whole_units_round_outwards():
    """Whole units round the lower bound down and the upper bound up."""
    low, high = PredictionInterval(0.9, 100.0, 0.0, 1.0, whole_units=True).bounds(np.array([1000.01, 1000.99, 1000.0]))
    assert ([900, 900, 900], [1101, 1101, 1100]) == (low.tolist(), high.tolist())


@given(intervals, float_arrays)
def test_bounds_are_finite(interval, predictions):
    """Bounds are finite, around the prediction and not below zero, also for a negative prediction."""
    low, high = interval.bounds(predictions)
    assert np.isfinite([low, high]).all()
    assert (low >= 0).all()
    assert (low <= np.maximum(predictions, 0)).all()
    assert (high >= np.maximum(predictions, 0)).all()
    assert not np.signbit([low, high]).any(), "a CSV would say -0"


@given(intervals, float_arrays, numbers)
def test_larger_quantile_is_wider(interval, predictions, other_quantile):
    """A larger quantile gives no narrower interval."""
    narrow, wide = (
        replace(interval, quantile=quantile).bounds(predictions)
        for quantile in sorted((interval.quantile, other_quantile))
    )
    assert (wide[0] <= narrow[0]).all()
    assert (wide[1] >= narrow[1]).all()


@given(intervals, float_arrays, st.integers(0, 2**32))
def test_rows_are_independent(interval, predictions, seed):
    """The bounds of a row do not depend on the other rows, to the last bit."""
    order = np.random.default_rng(seed).permutation(len(predictions))
    for whole, part in zip(interval.bounds(predictions), interval.bounds(predictions[order]), strict=True):
        np.testing.assert_array_equal(whole[order], part)
    for row in range(len(predictions)):
        alone = interval.bounds(predictions[row : row + 1])
        assert [bound[row] for bound in interval.bounds(predictions)] == [bound[0] for bound in alone]


@pytest.mark.parametrize(
    "change",
    [
        {"coverage": 0},
        {"coverage": 1.0},
        {"coverage": None},
        {"floor": -1.0},
        {"floor": math.nan},
        {"slope": -0.1},
        {"slope": "0.1"},
        {"quantile": math.inf},
        {"quantile": True},
        {"whole_units": None},
    ],
)
def test_invalid_numbers_are_refused(change):
    """A manifest with numbers that make no interval is refused."""
    details = {**simple_details(CONTRACT), "interval": INTERVAL | change}
    with pytest.raises(IntegrityError, match="lacks what scoring needs: expected an interval of finite numbers"):
        load_version("game-earnings", 7, "0" * 64, details, simple_graph())


@pytest.mark.parametrize("entry", [[], "90 %", 0.9, {key: INTERVAL[key] for key in list(INTERVAL)[1:]}])
def test_malformed_entry_is_refused(entry):
    """A manifest with a malformed interval is refused."""
    with pytest.raises(IntegrityError, match="lacks what scoring needs"):
        load_version("game-earnings", 7, "0" * 64, {**simple_details(CONTRACT), "interval": entry}, simple_graph())


# --- The self-test.


def load_with_golden_bounds(bounds):
    details = simple_details(CONTRACT)
    details["golden"]["prediction_bounds"] = bounds
    return load_version("game-earnings", 7, "0" * 64, {**details, "interval": INTERVAL}, simple_graph())


def test_golden_bounds_must_match():
    """Other bounds of the golden rows fail the self-test."""
    golden = simple_version().golden.predictions
    bounds = np.stack(PredictionInterval(**INTERVAL).bounds(golden))
    load_with_golden_bounds(bounds.tolist()).run_self_test()
    with pytest.raises(SelfTestError, match="version 7 of game-earnings fails its self-test: the bounds of its golden"):
        load_with_golden_bounds((bounds + np.array([[0], [1]])).tolist()).run_self_test()


@pytest.mark.parametrize("bounds", [[], [[1.0, 2.0]], [[1.0], [2.0]], "none"])
def test_golden_bounds_shape(bounds):
    """Golden bounds of the wrong shape are refused."""
    with pytest.raises(IntegrityError, match="lacks what scoring needs"):
        load_with_golden_bounds(bounds)


# --- The result.


def test_reserved_columns():
    """The columns of the result are the columns that an input may not have."""
    assert list(OUTPUT_COLUMNS) == make_part_schema(pa.schema([]), bounds=True).names


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ""])
def test_result_has_bounds(here, suffix):
    """Every kind of result has the two bounds after the prediction."""
    parquet.write_table(titles_table(500, title_id=[f"T{row}" for row in range(500)]), "t.parquet")
    score(SIMPLE, "t.parquet", f"out{suffix}")
    table = read_predictions(f"out{suffix}", DAY)
    assert ["title_id", *OUTPUT_COLUMNS] == table.column_names
    predicted, low, high = (table.column(name).to_numpy() for name in ("predicted_earnings", LOW, HIGH))
    np.testing.assert_array_equal([low, high], SIMPLE.prediction_interval.bounds(predicted))


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ""])
def test_result_without_bounds(here, suffix):
    """A version without prediction intervals writes no bounds."""
    parquet.write_table(titles_table(50), "t.parquet")
    score(simple_version(), "t.parquet", f"out{suffix}")
    expected = ["predicted_earnings", "outside_training_range", "model_version"]
    assert expected == read_predictions(f"out{suffix}", DAY).column_names


@given(st.integers(0, 60), st.integers(1, 60))
@settings(deadline=None, max_examples=20)
def test_repeated_rows_have_same_bounds(rows, distinct):
    """Distinct rows are scored once. Their bounds are copied to all equal rows."""
    values = np.resize(title_values(distinct), (rows * 40, len(FEATURES)))
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "t.parquet"
        parquet.write_table(pa.table(dict(zip(FEATURES, values.T, strict=True))), path)
        score(NETWORK, path, Path(name) / "out.parquet")
        table = parquet.read_table(Path(name) / "out.parquet")
    expected = NETWORK.prediction_interval.bounds(NETWORK.scorer.score(values))
    np.testing.assert_array_equal(expected, [table.column(name_of_bound).to_numpy() for name_of_bound in (LOW, HIGH)])


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ""])
def test_worker_count_is_irrelevant(here, monkeypatch, suffix):
    """Any number of workers writes the same bytes."""
    monkeypatch.setattr(parquet_file, "BATCH_ROWS", 300)
    monkeypatch.setattr(csv_scan, "CHUNK_BYTES", 20_000)
    monkeypatch.setattr(shard_bounds, "MIN_SHARD_ROWS", 500)
    write_mixed(here / "in", 8_000)
    results = []
    for workers in (1, 3):
        score(NETWORK, "in", f"out{workers}{suffix}", workers=workers, limit=RejectLimit(share=1.0))
        out = here / f"out{workers}{suffix}"
        files = snapshot(out) if out.is_dir() else {out.name: out.read_bytes()}
        results.append([content for name, content in files.items() if not name.endswith("_run.json")])
    assert results[0] == results[1]


def test_csv_bounds_are_whole(here):
    """Bounds in a CSV are whole numbers."""
    parquet.write_table(titles_table(20), "t.parquet")
    score(SIMPLE, "t.parquet", "out.csv")
    for row in read_csv(here / "out.csv"):
        assert row[LOW].isdigit()
        assert row[HIGH].isdigit()


def test_shadow_with_or_without_bounds(cli, simple_registry, tmp_path):
    """The result has the columns of the version that scores, not of the shadow."""
    publish_simple(simple_registry, bias=10.0, interval=INTERVAL)
    parquet.write_table(titles_table(30), "t.parquet")
    for model, shadow, has_bounds in (("@champion", "2", False), ("2", "@champion", True)):
        ran = cli(
            "score", "t.parquet", "--output", f"{has_bounds}.parquet", "--model", model, "--shadow", shadow, "--json"
        )
        assert (0, 30) == (ran.code, ran.document["shadow"]["rows_compared"]), ran.err
        assert has_bounds == (LOW in parquet.read_schema(f"{has_bounds}.parquet").names)


# --- The Python API.


def test_api_bounds(simple_registry, tmp_path):
    """The Python API gives the same bounds as a run."""
    publish_simple(simple_registry, interval=INTERVAL)
    predictor, titles = Registry(tmp_path / "registry").load("2"), titles_table(40)
    low, high = predictor.predict_interval(titles)
    np.testing.assert_array_equal((low, high), PredictionInterval(**INTERVAL).bounds(predictor.predict(titles)))
    assert (0.9, np.float64, (40,)) == (predictor.coverage, low.dtype, high.shape)


def test_api_without_intervals(simple_registry, tmp_path):
    """The Python API refuses bounds of a version without prediction intervals."""
    predictor = Registry(tmp_path / "registry").load("1")
    assert predictor.coverage is None
    with pytest.raises(UsageError, match="version 1 of game-earnings has no prediction intervals") as refused:
        predictor.predict_interval(titles_table(3))
    assert "[intervals]" in refused.value.hint


@given(st.data())
def test_interpolation_equals_numpy(data):
    """The interpolation equals NumPy's to the last bit, also at the knots, and is NaN outside of them."""
    numbers = st.floats(0.0, 10.0)
    distances = np.array(sorted(data.draw(st.lists(numbers, min_size=2, max_size=7, unique=True))))
    knots = np.concatenate([-distances[::-1], distances])
    values = np.array(data.draw(st.lists(numbers, min_size=len(knots), max_size=len(knots))))
    places = st.one_of(st.floats(-20.0, 20.0), st.sampled_from(knots.tolist()), st.just(math.inf))
    positions = np.array(data.draw(st.lists(places, max_size=30)), np.float64)
    if (np.diff(knots)[np.diff(knots) > 0] < 1e-300).any():
        return  # slopes overflow
    expected = np.interp(positions, knots, values, left=np.nan, right=np.nan) if len(positions) else []
    np.testing.assert_array_equal(interpolate(positions, knots, values), expected)
