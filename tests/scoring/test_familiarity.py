"""Unfamiliar titles: combinations of flags, wider intervals, and guesses at the cause of values outside of training."""

import itertools
import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamesales.data.table import Batch
from gamesales.errors import IntegrityError
from gamesales.scoring.familiarity import (
    MAX_FLAGS,
    FlagCombinations,
    OutsideColumn,
    OutsideEncodedColumn,
    describe_outside,
    encode_flags,
    format_range,
    guess_cause,
)
from gamesales.scoring.predict import predict_batch
from gamesales.scoring.prediction_interval import Widening
from gamesales.scoring.scorer import load_version
from gamesales.training.evaluation import profile_features
from support.mixed import MIXED, mixed_cells, mixed_details, mixed_graph, mixed_values
from support.runs import CONTRACT, simple_version
from support.versions import FEATURES, INTERVAL, NEW_RECORD, SEEN_FLAGS, WIDENING, simple_earnings, title_values

# A title with the combination of flags that NEW_RECORD has seen.
SEEN_TITLE = [4.5, 1, 0, 0, 0, 1, 0, 0, 60]

# Rows, and the kind of their column.
KINDS = [(1, "category"), (12, "category"), (12, "date")]


def predict(values, **record):
    """Score rows with a simple version that recorded combinations and a widening."""
    values = np.array(values, np.float64)
    table = pa.RecordBatch.from_arrays([pa.array(column) for column in values.T], names=list(FEATURES))
    return predict_batch(Batch(table, np.arange(1, len(values) + 1)), simple_version(**(NEW_RECORD | record)))


def half_widths(prediction):
    low, high = prediction.bounds
    return np.maximum(high - prediction.predictions, prediction.predictions - low)


class TestCombinations:
    """Combinations of flags, as integers."""

    @given(st.data())
    def test_compare_equals_search(self, data):
        """The comparison equals a search through all combinations, for few and for many flags."""
        flags = data.draw(st.sampled_from([1, 3, 16, 17, 20, MAX_FLAGS]))
        rows = st.lists(st.lists(st.integers(0, 1), min_size=flags, max_size=flags), min_size=1, max_size=6)
        seen, titles = data.draw(rows), data.draw(rows)
        titles += [[1 - bit if place == 0 else bit for place, bit in enumerate(row)] for row in seen]
        codes = np.unique(encode_flags(list(np.array(seen).T))).astype(np.int64)
        expected = [min(2, *(sum(a != b for a, b in zip(x, y, strict=True)) for y in seen)) for x in titles]
        compared = FlagCombinations((True,) * flags, codes).compare(list(np.array(titles).T))
        assert (np.zeros(len(titles)) if compared is None else compared).tolist() == expected

    def test_nothing_recorded(self):
        """Without a record, no combination is new."""
        assert FlagCombinations((True, False), None).compare([np.array([1]), np.array([7])]) is None

    @pytest.mark.parametrize("entry", [{"columns": ["is_action"], "seen": [1]}, {**SEEN_FLAGS, "seen": [3, 1]}])
    def test_malformed_record(self, entry):
        """A record of other flags, or out of order, is refused."""
        with pytest.raises(IntegrityError, match="combinations"):
            simple_version(flag_combinations=entry)

    def test_old_version(self):
        """A version without a record marks no title as unfamiliar, and its intervals are equally wide everywhere."""
        assert FlagCombinations.from_manifest({}, CONTRACT) is None
        values = np.vstack([title_values(50), [*SEEN_TITLE[:-1], 999]])
        old = predict(values, flag_combinations=None, interval=INTERVAL)
        assert old.unfamiliar is None
        assert np.isfinite(old.bounds).all()
        assert old.outside_range[-1]


class TestIntervals:
    """Prediction intervals of unfamiliar titles."""

    def test_familiar_title(self):
        """A familiar title has the plain interval."""
        prediction = predict([SEEN_TITLE])
        assert not prediction.unfamiliar.any()
        assert half_widths(prediction) == pytest.approx(2 * (100 + 0.05 * prediction.predictions), abs=1)

    # The training range of unit_price is 30 to 70. The scale of an interval is 100 + 0.05 · prediction.
    @pytest.mark.parametrize(
        ("price", "growth"), [(70.0078125, 1), (90, 1.5), (110, 2), (130, 4), (150, 6), (10, 2), (29.9921875, 1)]
    )
    def test_growth_with_distance(self, price, growth):
        """The interval grows with the distance from the training range, by the recorded numbers."""
        title = [*SEEN_TITLE[:-1], price]
        prediction = predict([title])
        scale = 100 + 0.05 * simple_earnings([title])
        assert prediction.unfamiliar.all()
        assert half_widths(prediction) == pytest.approx((2 + growth) * scale, abs=1.1)

    @pytest.mark.parametrize(
        "title",
        [
            [*SEEN_TITLE[:-1], 150.1],
            [1.9, *SEEN_TITLE[1:]],
            [4.5, 0, 1, 1, 1, 1, 0, 0, 60],
        ],
    )
    def test_withheld(self, title):
        """There is no interval far outside, for a column without numbers, or for a combination unlike all others."""
        prediction = predict([title, SEEN_TITLE])
        assert np.isnan(prediction.bounds).tolist() == [[True, False]] * 2
        assert prediction.rows_without_interval == 1
        assert prediction.unfamiliar.tolist() == [True, False]

    def test_causes_add_up(self):
        """A new combination next to a known one, and a price outside, widen the interval together."""
        title = [4.5, 1, 0, 0, 0, 1, 1, 0, 110]
        scale = 100 + 0.05 * simple_earnings([title])
        assert half_widths(predict([title])) == pytest.approx((2 + 10 + 2) * scale, abs=1)

    def test_no_rule(self):
        """A version with combinations but no rule gives unfamiliar titles no interval."""
        prediction = predict([SEEN_TITLE, [*SEEN_TITLE[:-1], 71]], interval=INTERVAL)
        assert np.isnan(prediction.bounds[0]).tolist() == [False, True]

    def test_repeated_rows(self):
        """Titles that repeat are scored once, with the same result as alone."""
        values = np.array(
            [SEEN_TITLE, [*SEEN_TITLE[:-1], 110], [*SEEN_TITLE[:-1], 500], [4.5, 0, 0, 0, 0, 1, 0, 0, 60]]
        )
        many, few = predict(np.tile(values, (2_000, 1))), predict(values)
        for name in ("predictions", "outside_range", "unfamiliar"):
            assert np.array_equal(getattr(many, name), np.tile(getattr(few, name), 2_000))
        assert np.array_equal(many.bounds, np.tile(few.bounds, 2_000), equal_nan=True)
        assert many.rows_without_interval == 2_000 * few.rows_without_interval
        assert many.outside_by_feature == [2_000 * rows for rows in few.outside_by_feature]
        assert many.sums == pytest.approx([2_000 * total for total in few.sums])
        assert many.extremes == few.extremes

    @pytest.mark.parametrize(
        "change",
        [
            {"distances": [0.0, 2.0, 1.0]},
            {"combination": -1.0},
            {"columns": [{"name": "unit_price", "below": [1.0], "above": [1.0]}]},
        ],
    )
    def test_malformed_rule(self, change):
        """A rule whose numbers do not fit together is refused."""
        with pytest.raises(IntegrityError, match="lacks what scoring needs"):
            simple_version(**(NEW_RECORD | {"interval": {**INTERVAL, "widening": WIDENING | change}}))

    def test_no_rule_in_manifest(self):
        """A manifest without intervals has no rule."""
        assert Widening.from_manifest({}, FEATURES) is None


class TestCategories:
    """Titles with categories, dates and missing cells."""

    @staticmethod
    def predict_genres(codes, trained_on):
        """Score titles of some genres with a version that was trained on some genres."""
        training = mixed_values(300, seed=3)
        training[:, 0] = np.resize(trained_on, 300)
        details = mixed_details() | {"training_profile": profile_features(MIXED, training), "interval": INTERVAL}
        values = mixed_values(len(codes), seed=4)
        values[:, 0] = codes
        version = load_version("game-sales", 1, "2" * 64, json.loads(json.dumps(details)), mixed_graph())
        cells = mixed_cells(values)
        return predict_batch(Batch(pa.RecordBatch.from_pydict(cells), np.arange(1, len(codes) + 1)), version)

    @pytest.mark.parametrize(
        ("trained_on", "unfamiliar"),
        [([1, 2, 3], [True, False, False, False]), ([1, 3], [True, False, True, False]), ([0, 1, 2, 3], [False] * 4)],
    )
    def test_unseen_category_is_unfamiliar(self, trained_on, unfamiliar):
        """A genre that training did not have is unfamiliar, and its interval is not narrower; missing cells are not."""
        prediction = self.predict_genres([0, 1, 2, 3], trained_on)
        assert unfamiliar == prediction.unfamiliar.tolist() == prediction.outside_range.tolist()
        assert sum(unfamiliar) == prediction.outside_by_feature[0] == prediction.rows_without_interval
        assert [0] * 5 == prediction.outside_by_feature[1:]


class TestClipping:
    """Predictions outside of the allowed range of the target."""

    def test_negative_predictions(self):
        """A prediction below the minimum becomes the minimum, is flagged and counted. Others keep their bytes."""
        values = np.array([SEEN_TITLE, [2, 1, 0, 0, 0, 1, 0, 0, 30]])
        raw = simple_earnings(values, -4_000)
        prediction = predict_batch(
            Batch(pa.RecordBatch.from_arrays(list(map(pa.array, values.T)), names=list(FEATURES)), np.arange(1, 3)),
            simple_version(bias=-4_000.0, **NEW_RECORD),
        )
        assert raw[1] < 0 < raw[0]
        assert prediction.predictions.tolist() == [raw[0], 0]
        assert prediction.unfamiliar.tolist() == [False, True]
        assert not prediction.outside_range.any()
        assert prediction.rows_clipped == 1
        assert (prediction.bounds[0] <= prediction.predictions).all()


def test_guess_cause():
    """The guesses name units and scaling, and only where all values fit."""
    price = (39.99, 59.99)
    assert "100 times as large" in guess_cause((3_999, 5_999), price)
    assert "1,000 times as large" in guess_cause((39_990, 59_990), price)
    assert "100 times as small" in guess_cause((39.99, 59.99), (3_999, 5_999))
    assert "already scaled" in guess_cause((0.0, 1.0), (2.0, 5.0))
    for values in ((20.0, 600.0), (39.99, 5_999), (61, 90)):
        assert guess_cause(values, price) == ""


def test_format_range():
    """A range of one value is the value."""
    assert [format_range(a, b) for a, b in itertools.pairwise([1, 1, 2_000.5])] == ["1", "1 to 2,000.5"]


@pytest.mark.parametrize(
    ("columns", "end"), [(1, "in training 30 to 70"), (3, "in training 30 to 70"), (5, "and 2 more")]
)
def test_describe_outside(columns, end):
    """A message describes three columns and counts the others."""
    described = describe_outside([OutsideColumn("unit_price", 2, 80.0, 90.0, 30.0, 70.0, "")] * columns)
    assert described.count("unit_price 80 to 90") == min(columns, 3)
    assert described.endswith(end)


def test_describe_outside_category_and_date():
    """New values of a category are counted, and dates are written as dates."""
    facts = {"minimum": 16_000.0, "maximum": 16_000.0, "training_minimum": 10.0, "training_maximum": 11.0}
    columns = [OutsideEncodedColumn("made", rows, **facts, likely_cause="", kind=kind) for rows, kind in KINDS]
    assert (
        "made: 1 row with values that training did not have; made: 12 rows with values that training did not have; "
        "made 2013-10-22, in training 1970-01-11 to 1970-01-12"
    ) == describe_outside(columns)
