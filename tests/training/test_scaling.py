"""Min-max scaling equals scikit-learn's MinMaxScaler, and can be undone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.preprocessing import MinMaxScaler

from gamesales.data.contract import Column, Contract
from gamesales.training.scaling import fit_scaler, format_scaling_note

# Cents to billions of dollars, as in tables of titles. A scaler that divides by the range can't resolve smaller
# differences.
amounts = st.floats(-1e9, 1e9).map(lambda value: round(value, 2))
tables = st.integers(1, 12).flatmap(
    lambda rows: st.tuples(arrays(np.float64, (rows, 3), elements=amounts), arrays(np.float64, rows, elements=amounts))
)
few = settings(deadline=None, max_examples=60)


CONTRACT = Contract(Column("earned", "money"), tuple(Column(name, "number") for name in "abc"))


def fit_columns(values, earnings):
    return fit_scaler(CONTRACT, values, earnings)


@few
@given(tables, arrays(np.float64, 5, elements=amounts))
def test_unscaling_undoes_scaling(table, earnings):
    """``unscale(scale(y)) = y``, up to rounding."""
    _, scaling = fit_columns(*table)
    back = scaling.unscale_target(scaling.scale_target(earnings))
    # Two rounding errors, relative to the largest number of the computation.
    largest = max(np.abs(earnings).max(), np.abs(table[1]).max(), scaling.target_range)
    np.testing.assert_allclose(back, earnings, rtol=0, atol=1e-14 * largest)


@few
@given(tables, arrays(np.float64, (4, 3), elements=amounts), arrays(np.float64, 4, elements=amounts))
def test_scaling_equals_scikit_learn(table, values, earnings):
    """New titles are scaled as by scikit-learn, bit for bit."""
    _, scaling = fit_columns(*table)
    expected = MinMaxScaler().fit(np.column_stack(table)).transform(np.column_stack([values, earnings]))
    np.testing.assert_array_equal(scaling.scale_features(values), expected[:, :-1])
    np.testing.assert_array_equal(scaling.scale_target(earnings), expected[:, -1])


@few
@given(tables)
def test_training_range_is_0_to_1(table):
    """Each training column is scaled to 0 to 1. A constant column becomes 0."""
    _, scaling = fit_columns(*table)
    scaled = np.column_stack([scaling.scale_features(table[0]), scaling.scale_target(table[1])])
    raw = np.column_stack(table)
    constant = raw.min(axis=0) == raw.max(axis=0)
    rounding = 1e-15 * np.abs(scaling.offset).max() + 1e-12
    np.testing.assert_allclose(scaled.min(axis=0), 0, atol=rounding)
    np.testing.assert_allclose(scaled.max(axis=0), np.where(constant, 0, 1), atol=rounding)


@pytest.fixture
def course():
    """A scaling with the target range of the Keras course's file."""
    values = np.array([[2.0, 0, 39.99], [5.0, 1, 59.99], [3.0, 1, 59.99]])
    return fit_columns(values, np.array([31_355.0, 301_860.0, 100_000.0]))


def test_note_matches_course(course):
    """The note is the line of the Keras course."""
    _, scaling = course
    assert (
        "Note: total_earnings values were scaled by multiplying by 0.0000036968 and adding -0.115913"
        == format_scaling_note("total_earnings", scaling.scale[-1], scaling.offset[-1])
    )


def test_target_range_in_dollars(course):
    """The range of the target is in dollars."""
    assert 270_505.0 == pytest.approx(course[1].target_range)


def test_manifest_entry_scales_by_hand(course):
    """``value * scale + offset`` from the manifest scales a value."""
    _, scaling = course
    document = scaling.as_dict()
    assert ["a", "b", "c", "earned"] == [column["name"] for column in document["columns"]]
    price, earned = document["columns"][2:]
    assert 0.5 == pytest.approx(49.99 * price["scale"] + price["offset"])
    assert 1.0 == pytest.approx(301_860 * earned["scale"] + earned["offset"])


def test_scaler_has_column_names(course):
    """The scaler of scikit-learn has the column names and the same numbers."""
    scaler, scaling = course
    assert [*scaling.features, scaling.target] == list(scaler.feature_names_in_)
    np.testing.assert_array_equal(scaler.scale_, scaling.scale)
    np.testing.assert_array_equal(scaler.min_, scaling.offset)


@few
@given(arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 1e9).map(lambda value: round(value, 2))))
def test_log_target_undone(earnings):
    """A target that is scaled after a logarithm comes back, up to rounding, and lies from 0 to 1."""
    contract = Contract(Column("earned", "number", scale="log"), (Column("a", "number"),))
    _, scaling = fit_scaler(contract, np.zeros((len(earnings), 1)), earnings)
    scaled = scaling.scale_target(earnings)
    assert ((scaled >= -1e-9) & (scaled <= 1 + 1e-9)).all()
    np.testing.assert_allclose(scaling.unscale_target(scaled), earnings, rtol=1e-9, atol=1e-12 * earnings.max())
    restored = type(scaling).from_dict(scaling.as_dict())
    np.testing.assert_array_equal(restored.scale_target(earnings), scaled)


def test_log_target_stays_finite():
    """A prediction far beyond the training titles is ten times as large as the largest title, and not infinite."""
    contract = Contract(Column("earned", "number", scale="log"), (Column("a", "number"),))
    _, scaling = fit_scaler(contract, np.zeros((3, 1)), np.array([0.01, 1.0, 80.0]))
    highest = float(scaling.unscale_target(np.array([1e6]))[0])
    assert 800 <= highest < 1_000
