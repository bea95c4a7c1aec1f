"""A version that scores: its graph, its self-test, and what it says of titles unlike those it was trained on."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamesales.data.table import Batch
from gamesales.errors import IntegrityError, SelfTestError
from gamesales.scoring.predict import predict_titles
from gamesales.scoring.scorer import CHUNK_ROWS, load_version
from support.runs import CONTRACT, network_version, simple_version
from support.versions import FEATURES, simple_details, simple_earnings, simple_graph, title_values

NETWORK = network_version()
VALUES = title_values(2 * CHUNK_ROWS + 300)
EARNINGS = NETWORK.scorer.score(VALUES)


@pytest.mark.parametrize("rows", [0, 1, CHUNK_ROWS - 1, CHUNK_ROWS, CHUNK_ROWS + 1, 3 * CHUNK_ROWS + 7])
def test_every_row_is_scored_by_the_formula(rows):
    values = title_values(rows)
    found = simple_version(bias=5.0).scorer.score(values)
    assert found.dtype == np.float64
    np.testing.assert_allclose(simple_earnings(values, 5.0), found, rtol=0, atol=1e-9)


@given(st.integers(0, len(VALUES)), st.integers(0, len(VALUES)))
@settings(deadline=None, max_examples=50)
def test_a_row_earns_the_same_to_the_last_bit_in_any_company(one, other):
    """A real network in single precision, whatever the number of rows beside it."""
    start, stop = sorted((one, other))
    np.testing.assert_array_equal(EARNINGS[start:stop], NETWORK.scorer.score(VALUES[start:stop]))


@given(st.integers(0, 2**32))
@settings(deadline=None, max_examples=20)
def test_the_order_of_rows_does_not_matter(seed):
    order = np.random.default_rng(seed).permutation(len(VALUES))
    np.testing.assert_array_equal(EARNINGS[order], NETWORK.scorer.score(VALUES[order]))


def test_threads_may_share_a_scorer():
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(NETWORK.scorer.score, [VALUES] * 12):
            np.testing.assert_array_equal(EARNINGS, found)


class TestSelfTest:
    def test_a_sound_version_passes(self):
        simple_version().self_test()
        NETWORK.self_test()

    @pytest.mark.parametrize(("off", "said"), [(5.0, "here it gives"), (np.nan, "should earn nan dollars")])
    def test_the_golden_row_that_differs_most_is_told(self, off, said):
        version = simple_version()
        expected = version.golden.earnings + np.array([0.02, off])
        broken = replace(version, golden=replace(version.golden, earnings=expected))
        with pytest.raises(SelfTestError, match=r"^version 1 of game-earnings fails its self-test: ") as failure:
            broken.self_test()
        assert "golden row 2 should earn" in failure.value.message
        assert said in failure.value.message
        assert "onnxruntime" in failure.value.hint

    def test_a_difference_within_the_tolerance_passes(self):
        version = simple_version()
        golden = replace(version.golden, earnings=version.golden.earnings + np.array([0.009, -0.009]))
        replace(version, golden=golden).self_test()


def outside(version, values):
    """Which rows lie outside the range that training saw."""
    table = pa.RecordBatch.from_arrays([pa.array(column) for column in np.asarray(values).T], names=list(FEATURES))
    return predict_titles(Batch(table, np.arange(1, len(values) + 1)), version).outside.tolist()


class TestOutsideTheTrainingRange:
    def test_below_or_above_in_any_column(self):
        version = simple_version()
        inside = np.array([[2, 0, 0, 0, 0, 0, 0, 0, 30], [5, 1, 1, 1, 1, 1, 1, 1, 70], [3, 0, 1, 0, 1, 0, 1, 0, 50]])
        assert outside(version, inside) == [False, False, False]
        below, above = inside.astype(float), inside.astype(float)
        below[0, 0] = 1.5
        above[1, -1] = 70.01
        assert outside(version, below) == [True, False, False]
        assert outside(version, above) == [False, True, False]

    def test_the_profile_may_list_the_columns_in_any_order(self):
        details = simple_details(CONTRACT)
        details["training_profile"].reverse()
        version = load_version("game-earnings", 1, "0" * 64, details, simple_graph())
        assert version.lowest.tolist() == simple_version().lowest.tolist()


class TestManifest:
    """A bundle that passes its digests but was made by a release that knew better, or worse."""

    def load(self, change):
        details = simple_details(CONTRACT)
        change(details)
        return load_version("game-earnings", 7, "0" * 64, details, simple_graph())

    @pytest.mark.parametrize("key", ["contract", "training_profile", "golden"])
    def test_a_missing_part_is_named(self, key):
        with pytest.raises(IntegrityError, match=rf"the manifest of version 7 of game-earnings lacks .*: '{key}'"):
            self.load(lambda details: details.pop(key))

    @pytest.mark.parametrize("key", ["values", "expected_predictions", "prediction_tolerance"])
    def test_a_missing_part_of_the_golden_rows_is_named(self, key):
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
    def test_golden_rows_that_test_nothing_are_refused(self, golden):
        with pytest.raises(IntegrityError, match="expected golden rows of 9 values with earnings and tolerance"):
            self.load(lambda details: details.update(golden=golden))

    @pytest.mark.parametrize(
        "golden", [None, {"values": [[1], [1, 2]], "expected_predictions": [], "prediction_tolerance": []}, "x"]
    )
    def test_golden_rows_of_another_kind_are_refused(self, golden):
        with pytest.raises(IntegrityError, match="lacks what scoring needs"):
            self.load(lambda details: details.update(golden=golden))

    def test_a_contract_that_breaks_its_rules_is_refused(self):
        with pytest.raises(IntegrityError, match="lacks what scoring needs"):
            self.load(lambda details: details["contract"].pop("target"))

    def test_a_feature_without_a_profile_is_named(self):
        with pytest.raises(IntegrityError, match=FEATURES[0]):
            self.load(lambda details: details["training_profile"].pop(0))

    @pytest.mark.parametrize("graph", [b"", b"no graph", simple_graph()[:-40]])
    def test_a_graph_that_can_not_be_loaded_is_told(self, graph):
        with pytest.raises(SelfTestError, match="the scoring graph can't be loaded here: "):
            load_version("game-earnings", 1, "0" * 64, simple_details(CONTRACT), graph)
