"""Prediction intervals where titles are scored: two columns more, which follow from the prediction alone."""

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
from gamesales.scoring import plan as shards
from gamesales.scoring.parts import part_schema
from gamesales.scoring.scorer import Interval, load_version
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
NETWORK = replace(network_version(), interval=Interval(**INTERVAL))
LOW, HIGH = "predicted_earnings_low", "predicted_earnings_high"
any_dollars = st.floats(allow_nan=False, allow_infinity=False)
numbers = st.floats(0, 1e300)
intervals = st.builds(Interval, st.floats(0.01, 0.99), numbers, numbers, numbers, st.booleans())
arrays_of_dollars = st.lists(any_dollars, max_size=20).map(lambda dollars: np.array(dollars, np.float64))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- The arithmetic.


def test_bounds_follow_from_the_prediction_by_the_formula():
    low, high = Interval(0.9, 100.0, 0.05, 2.0, whole_units=False).bounds(np.array([0.0, 1000.0, 50_000.5]))
    np.testing.assert_allclose([0.0, 700.0, 44_800.45], low, rtol=1e-15)
    np.testing.assert_allclose([200.0, 1300.0, 55_200.55], high, rtol=1e-15)


def test_whole_units_are_rounded_outwards():
    low, high = Interval(0.9, 100.0, 0.0, 1.0, whole_units=True).bounds(np.array([1000.01, 1000.99, 1000.0]))
    assert ([900, 900, 900], [1101, 1101, 1100]) == (low.tolist(), high.tolist())


@given(intervals, arrays_of_dollars)
def test_bounds_are_finite_dollars_around_the_prediction_and_never_below_zero(interval, earnings):
    """Whatever the numbers: of a negative prediction, too, only what can be earned is left."""
    low, high = interval.bounds(earnings)
    assert np.isfinite([low, high]).all()
    assert (low >= 0).all()
    assert (low <= np.maximum(earnings, 0)).all()
    assert (high >= np.maximum(earnings, 0)).all()
    assert not np.signbit([low, high]).any(), "a CSV would say -0"


@given(intervals, arrays_of_dollars, numbers)
def test_a_larger_quantile_gives_no_narrower_interval(interval, earnings, other):
    narrow, wide = (replace(interval, quantile=one).bounds(earnings) for one in sorted((interval.quantile, other)))
    assert (wide[0] <= narrow[0]).all()
    assert (wide[1] >= narrow[1]).all()


@given(intervals, arrays_of_dollars, st.integers(0, 2**32))
def test_a_row_has_the_same_bounds_to_the_last_bit_in_any_company(interval, earnings, seed):
    order = np.random.default_rng(seed).permutation(len(earnings))
    for whole, part in zip(interval.bounds(earnings), interval.bounds(earnings[order]), strict=True):
        np.testing.assert_array_equal(whole[order], part)
    for place in range(len(earnings)):
        alone = interval.bounds(earnings[place : place + 1])
        assert [bound[place] for bound in interval.bounds(earnings)] == [bound[0] for bound in alone]


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
def test_numbers_that_make_no_interval_are_refused_in_a_manifest(change):
    details = {**simple_details(CONTRACT), "interval": INTERVAL | change}
    with pytest.raises(IntegrityError, match="lacks what scoring needs: expected an interval of finite numbers"):
        load_version("game-earnings", 7, "0" * 64, details, simple_graph())


@pytest.mark.parametrize("entry", [[], "90 %", 0.9, {key: INTERVAL[key] for key in list(INTERVAL)[1:]}])
def test_an_interval_of_another_shape_is_refused_in_a_manifest(entry):
    with pytest.raises(IntegrityError, match="lacks what scoring needs"):
        load_version("game-earnings", 7, "0" * 64, {**simple_details(CONTRACT), "interval": entry}, simple_graph())


# --- The self-test.


def with_golden_bounds(bounds):
    details = simple_details(CONTRACT)
    details["golden"]["prediction_bounds"] = bounds
    return load_version("game-earnings", 7, "0" * 64, {**details, "interval": INTERVAL}, simple_graph())


def test_other_bounds_around_the_golden_rows_fail_the_self_test():
    golden = simple_version().golden.earnings
    bounds = np.stack(Interval(**INTERVAL).bounds(golden))
    with_golden_bounds(bounds.tolist()).self_test()
    with pytest.raises(SelfTestError, match="version 7 of game-earnings fails its self-test: other bounds"):
        with_golden_bounds((bounds + np.array([[0], [1]])).tolist()).self_test()


@pytest.mark.parametrize("bounds", [[], [[1.0, 2.0]], [[1.0], [2.0]], "none"])
def test_golden_bounds_that_do_not_fit_their_rows_are_refused(bounds):
    with pytest.raises(IntegrityError, match="lacks what scoring needs"):
        with_golden_bounds(bounds)


# --- The result.


def test_our_columns_are_those_that_an_input_may_not_have():
    assert list(OUTPUT_COLUMNS) == part_schema(pa.schema([]), bounds=True).names


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ""])
def test_every_kind_of_result_has_the_two_columns_beside_the_prediction(here, suffix):
    parquet.write_table(titles_table(500, title_id=[f"T{row}" for row in range(500)]), "t.parquet")
    score(SIMPLE, "t.parquet", f"out{suffix}")
    found = read_predictions(f"out{suffix}", DAY)
    assert ["title_id", *OUTPUT_COLUMNS] == found.column_names
    predicted, low, high = (found.column(name).to_numpy() for name in ("predicted_earnings", LOW, HIGH))
    np.testing.assert_array_equal([low, high], SIMPLE.interval.bounds(predicted))


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ""])
def test_a_version_without_intervals_writes_the_columns_of_ever(here, suffix):
    parquet.write_table(titles_table(50), "t.parquet")
    score(simple_version(), "t.parquet", f"out{suffix}")
    expected = ["predicted_earnings", "outside_training_range", "model_version"]
    assert expected == read_predictions(f"out{suffix}", DAY).column_names


@given(st.integers(0, 60), st.integers(1, 60))
@settings(deadline=None, max_examples=20)
def test_bounds_of_rows_that_repeat_are_those_of_rows_that_do_not(rows, kinds):
    """Distinct rows are scored once, and their bounds handed to all that are alike."""
    values = np.resize(title_values(kinds), (rows * 40, len(FEATURES)))
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "t.parquet"
        parquet.write_table(pa.table(dict(zip(FEATURES, values.T, strict=True))), path)
        score(NETWORK, path, Path(name) / "out.parquet")
        found = parquet.read_table(Path(name) / "out.parquet")
    expected = NETWORK.interval.bounds(NETWORK.scorer.score(values))
    np.testing.assert_array_equal(expected, [found.column(one).to_numpy() for one in (LOW, HIGH)])


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ""])
def test_any_number_of_workers_writes_the_same_bytes(here, monkeypatch, suffix):
    monkeypatch.setattr(parquet_file, "BATCH_ROWS", 300)
    monkeypatch.setattr(csv_scan, "CHUNK_BYTES", 20_000)
    monkeypatch.setattr(shards, "FEWEST_ROWS", 500)
    write_mixed(here / "in", 8_000)
    results = []
    for workers in (1, 3):
        score(NETWORK, "in", f"out{workers}{suffix}", workers=workers, limit=RejectLimit(share=1.0))
        out = here / f"out{workers}{suffix}"
        files = snapshot(out) if out.is_dir() else {out.name: out.read_bytes()}
        results.append([content for name, content in files.items() if not name.endswith("_run.json")])
    assert results[0] == results[1]


def test_bounds_in_a_csv_are_whole_units(here):
    parquet.write_table(titles_table(20), "t.parquet")
    score(SIMPLE, "t.parquet", "out.csv")
    for row in read_csv(here / "out.csv"):
        assert row[LOW].isdigit()
        assert row[HIGH].isdigit()


def test_a_shadow_may_give_intervals_or_not(cli, simple_registry, tmp_path):
    """The result is the champion's, and so are its columns."""
    publish_simple(simple_registry, bias=10.0, interval=INTERVAL)
    parquet.write_table(titles_table(30), "t.parquet")
    for model, shadow, there in (("@champion", "2", False), ("2", "@champion", True)):
        ran = cli("score", "t.parquet", "--output", f"{there}.parquet", "--model", model, "--shadow", shadow, "--json")
        assert (0, 30) == (ran.code, ran.document["shadow"]["rows_compared"]), ran.err
        assert there == (LOW in parquet.read_schema(f"{there}.parquet").names)


# --- The Python API.


def test_the_api_gives_the_bounds_that_a_run_writes(simple_registry, tmp_path):
    publish_simple(simple_registry, interval=INTERVAL)
    predictor, titles = Registry(tmp_path / "registry").load("2"), titles_table(40)
    low, high = predictor.predict_interval(titles)
    np.testing.assert_array_equal((low, high), Interval(**INTERVAL).bounds(predictor.predict(titles)))
    assert (0.9, np.float64, (40,)) == (predictor.coverage, low.dtype, high.shape)


def test_a_version_without_intervals_is_told_from_the_api(simple_registry, tmp_path):
    predictor = Registry(tmp_path / "registry").load("1")
    assert predictor.coverage is None
    with pytest.raises(UsageError, match="version 1 of game-earnings gives no prediction intervals") as refused:
        predictor.predict_interval(titles_table(3))
    assert "[intervals]" in refused.value.hint
