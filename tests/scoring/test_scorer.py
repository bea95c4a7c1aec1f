"""A version that scores: its graph, its self-test and its training range."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamesales.data.table import Batch
from gamesales.errors import IntegrityError, SelfTestError
from gamesales.scoring.predict import predict_batch
from gamesales.scoring.scorer import CHUNK_ROWS, SMALL_GRAPH_BYTES, SMALL_GRAPH_CHUNK_ROWS, Scorer, load_version
from support.runs import CONTRACT, network_version, simple_version
from support.versions import FEATURES, simple_details, simple_earnings, simple_graph, title_values

NETWORK = network_version()
CHUNK = NETWORK.scorer.chunk_rows
VALUES = title_values(2 * CHUNK + 300)
EARNINGS = NETWORK.scorer.score(VALUES)


@pytest.mark.parametrize("rows", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7])
def test_rows_follow_formula(rows):
    """Every row is scored, also in the last, padded chunk."""
    values = title_values(rows)
    predictions = simple_version(bias=5.0).scorer.score(values)
    assert predictions.dtype == np.float64
    np.testing.assert_allclose(simple_earnings(values, 5.0), predictions, rtol=0, atol=1e-9)


@pytest.mark.parametrize("is_small", [True, False])
def test_chunks_depend_on_the_graph(monkeypatch, is_small):
    """All calls of a graph have the same number of rows, larger for a small graph."""
    graph, calls = simple_graph(), []
    monkeypatch.setattr("gamesales.scoring.scorer.SMALL_GRAPH_BYTES", len(graph) if is_small else len(graph) - 1)
    scorer = Scorer(graph)
    run = scorer._run
    monkeypatch.setattr(scorer, "_run", lambda chunk: calls.append(len(chunk)) or run(chunk))
    for rows in (1, 10_000):
        scorer.score(title_values(rows))
    assert {SMALL_GRAPH_CHUNK_ROWS if is_small else CHUNK_ROWS} == set(calls)
    assert len(graph) < SMALL_GRAPH_BYTES


@given(st.integers(0, len(VALUES)), st.integers(0, len(VALUES)))
@settings(deadline=None, max_examples=50)
def test_rows_are_independent(first, second):
    """A prediction does not depend on the other rows, to the last bit, in single precision."""
    start, stop = sorted((first, second))
    np.testing.assert_array_equal(EARNINGS[start:stop], NETWORK.scorer.score(VALUES[start:stop]))


@given(st.integers(0, 2**32))
@settings(deadline=None, max_examples=20)
def test_row_order_is_irrelevant(seed):
    """The order of the rows does not change a prediction."""
    order = np.random.default_rng(seed).permutation(len(VALUES))
    np.testing.assert_array_equal(EARNINGS[order], NETWORK.scorer.score(VALUES[order]))


def test_scorer_is_thread_safe():
    """Threads may share a scorer."""
    with ThreadPoolExecutor(4) as pool:
        for predictions in pool.map(NETWORK.scorer.score, [VALUES] * 12):
            np.testing.assert_array_equal(EARNINGS, predictions)


class TestSelfTest:
    """Golden rows are scored again on this machine."""

    def test_sound_version_passes(self):
        """A sound version passes."""
        simple_version().run_self_test()
        NETWORK.run_self_test()

    @pytest.mark.parametrize(("difference", "message"), [(5.0, ", found "), (np.nan, "expected nan, found ")])
    def test_worst_row_is_named(self, difference, message):
        """The error names the golden row with the largest difference."""
        version = simple_version()
        expected = version.golden.predictions + np.array([0.02, difference])
        broken = replace(version, golden=replace(version.golden, predictions=expected))
        with pytest.raises(SelfTestError, match=r"^version 1 of game-earnings fails its self-test: ") as failure:
            broken.run_self_test()
        assert "golden row 2: expected " in failure.value.message
        assert message in failure.value.message
        assert "onnxruntime" in failure.value.hint

    def test_tolerance_is_allowed(self):
        """A difference within the tolerance passes."""
        version = simple_version()
        golden = replace(version.golden, predictions=version.golden.predictions + np.array([0.009, -0.009]))
        replace(version, golden=golden).run_self_test()


def mark_outside(version, values):
    """Mark the rows outside the training range."""
    table = pa.RecordBatch.from_arrays([pa.array(column) for column in np.asarray(values).T], names=list(FEATURES))
    return predict_batch(Batch(table, np.arange(1, len(values) + 1)), version).outside_range.tolist()


class TestTrainingRange:
    """Rows outside the training range are marked."""

    def test_below_or_above_in_any_column(self):
        """A row is marked if any feature is below or above its range."""
        version = simple_version()
        inside = np.array([[2, 0, 0, 0, 0, 0, 0, 0, 30], [5, 1, 1, 1, 1, 1, 1, 1, 70], [3, 0, 1, 0, 1, 0, 1, 0, 50]])
        assert mark_outside(version, inside) == [False, False, False]
        below, above = inside.astype(float), inside.astype(float)
        below[0, 0] = 1.5
        above[1, -1] = 70.01
        assert mark_outside(version, below) == [True, False, False]
        assert mark_outside(version, above) == [False, True, False]

    def test_profile_order_is_irrelevant(self):
        """The profile may list the columns in any order."""
        details = simple_details(CONTRACT)
        details["training_profile"].reverse()
        version = load_version("game-earnings", 1, "0" * 64, details, simple_graph())
        assert version.training_min.tolist() == simple_version().training_min.tolist()


class TestManifest:
    """A bundle of another release passes its digests but lacks something."""

    def load(self, change):
        details = simple_details(CONTRACT)
        change(details)
        return load_version("game-earnings", 7, "0" * 64, details, simple_graph())

    @pytest.mark.parametrize("key", ["contract", "training_profile", "golden"])
    def test_missing_part_is_named(self, key):
        """A missing key of the manifest is named."""
        with pytest.raises(IntegrityError, match=rf"the manifest of version 7 of game-earnings lacks .*: '{key}'"):
            self.load(lambda details: details.pop(key))

    @pytest.mark.parametrize("key", ["values", "expected_predictions", "prediction_tolerance"])
    def test_missing_golden_key_is_named(self, key):
        """A missing key of the golden rows is named."""
        with pytest.raises(IntegrityError, match=rf"'{key}'"):
            self.load(lambda details: details["golden"].pop(key))

    @pytest.mark.parametrize(
        "golden",
        [
            {"values": [], "expected_predictions": [], "prediction_tolerance": []},
            {"values": [[1] * 9], "expected_predictions": [1, 2], "prediction_tolerance": [1]},
            {"values": [[1] * 8], "expected_predictions": [1], "prediction_tolerance": [1]},
            {"values": [[1] * 9], "expected_predictions": [1], "prediction_tolerance": []},
            {"values": [[1] * 9], "expected_predictions": 1, "prediction_tolerance": [1]},
        ],
    )
    def test_golden_shapes_are_checked(self, golden):
        """Golden rows of the wrong shape, or none, are refused."""
        with pytest.raises(IntegrityError, match="expected golden rows of 9 values with predictions, tolerance"):
            self.load(lambda details: details.update(golden=golden))

    @pytest.mark.parametrize(
        "golden", [None, {"values": [[1], [1, 2]], "expected_predictions": [], "prediction_tolerance": []}, "x"]
    )
    def test_malformed_golden_rows(self, golden):
        """Golden rows that are no numbers are refused."""
        with pytest.raises(IntegrityError, match="lacks what scoring needs"):
            self.load(lambda details: details.update(golden=golden))

    def test_invalid_contract_is_refused(self):
        """An invalid contract is refused."""
        with pytest.raises(IntegrityError, match="lacks what scoring needs"):
            self.load(lambda details: details["contract"].pop("target"))

    def test_feature_without_profile(self):
        """A feature without a profile is named."""
        with pytest.raises(IntegrityError, match=FEATURES[0]):
            self.load(lambda details: details["training_profile"].pop(0))

    @pytest.mark.parametrize("graph", [b"", b"no graph", simple_graph()[:-40]])
    def test_broken_graph_is_refused(self, graph):
        """A graph that can't be loaded is refused."""
        with pytest.raises(SelfTestError, match="the scoring graph can't be loaded here: "):
            load_version("game-earnings", 1, "0" * 64, simple_details(CONTRACT), graph)
