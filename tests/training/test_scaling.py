"""Min-max scaling: the same numbers as scikit-learn's MinMaxScaler, and back again."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.preprocessing import MinMaxScaler

from gamesales.training.scaling import fit_scaler, scaling_note

# Numbers as tables of titles hold them: cents to billions of dollars. Smaller differences than these are none to a
# scaler that divides by the range.
amounts = st.floats(-1e9, 1e9).map(lambda value: round(value, 2))
tables = st.integers(1, 12).flatmap(
    lambda rows: st.tuples(arrays(np.float64, (rows, 3), elements=amounts), arrays(np.float64, rows, elements=amounts))
)
few = settings(deadline=None, max_examples=60)


def fitted(values, earnings):
    return fit_scaler(["a", "b", "c"], "earned", values, earnings)


@few
@given(tables, arrays(np.float64, 5, elements=amounts))
def test_unscaling_undoes_scaling(table, earnings):
    _, scaling = fitted(*table)
    back = scaling.unscale_target(scaling.scale_target(earnings))
    # Two roundings, of numbers as large as the largest on the way.
    largest = max(np.abs(earnings).max(), np.abs(table[1]).max(), scaling.target_range)
    np.testing.assert_allclose(back, earnings, rtol=0, atol=1e-14 * largest)


@few
@given(tables, arrays(np.float64, (4, 3), elements=amounts), arrays(np.float64, 4, elements=amounts))
def test_other_titles_scale_as_scikit_learns_scaler_scales_them(table, values, earnings):
    _, scaling = fitted(*table)
    expected = MinMaxScaler().fit(np.column_stack(table)).transform(np.column_stack([values, earnings]))
    np.testing.assert_array_equal(scaling.scale_features(values), expected[:, :-1])
    np.testing.assert_array_equal(scaling.scale_target(earnings), expected[:, -1])


@few
@given(tables)
def test_training_titles_fill_0_to_1(table):
    """A column that never changes becomes 0 and divides by nothing."""
    _, scaling = fitted(*table)
    scaled = np.column_stack([scaling.scale_features(table[0]), scaling.scale_target(table[1])])
    raw = np.column_stack(table)
    constant = raw.min(axis=0) == raw.max(axis=0)
    rounding = 1e-15 * np.abs(scaling.offset).max() + 1e-12
    np.testing.assert_allclose(scaled.min(axis=0), 0, atol=rounding)
    np.testing.assert_allclose(scaled.max(axis=0), np.where(constant, 0, 1), atol=rounding)


@pytest.fixture
def course():
    """A scaling with the range that the course's own file has."""
    values = np.array([[2.0, 0, 39.99], [5.0, 1, 59.99], [3.0, 1, 59.99]])
    return fitted(values, np.array([31_355.0, 301_860.0, 100_000.0]))


def test_the_note_is_the_courses_own_line(course):
    _, scaling = course
    assert (
        "Note: total_earnings values were scaled by multiplying by 0.0000036968 and adding -0.115913"
        == scaling_note("total_earnings", scaling.scale[-1], scaling.offset[-1])
    )


def test_the_range_of_the_target_is_in_dollars(course):
    assert 270_505.0 == pytest.approx(course[1].target_range)


def test_the_manifest_tells_how_to_scale_by_hand(course):
    _, scaling = course
    document = scaling.as_dict()
    assert ["a", "b", "c", "earned"] == [column["name"] for column in document["columns"]]
    price, earned = document["columns"][2:]
    assert 0.5 == pytest.approx(49.99 * price["scale"] + price["offset"])
    assert 1.0 == pytest.approx(301_860 * earned["scale"] + earned["offset"])


def test_the_scaler_for_people_knows_the_columns_by_name(course):
    scaler, scaling = course
    assert [*scaling.features, scaling.target] == list(scaler.feature_names_in_)
    np.testing.assert_array_equal(scaler.scale_, scaling.scale)
    np.testing.assert_array_equal(scaler.min_, scaling.offset)
