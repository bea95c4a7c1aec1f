"""Arrow columns as NumPy arrays and back, through their buffers."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from gamesales.data.arrow import bits, null_mask, text_column, to_arrow, to_numpy

arrays = st_numpy.arrays(
    st.sampled_from([np.float64, np.float32, np.int64, np.int32, np.int8, np.bool_]).map(np.dtype), st.integers(0, 70)
)


@given(arrays)
@settings(deadline=None, max_examples=100)
def test_arrow_holds_the_values_of_the_array(values):
    column = to_arrow(values)
    column.validate(full=True)
    assert column.null_count == 0
    np.testing.assert_array_equal(values, np.array(column.to_pylist(), values.dtype))


@given(arrays, st.integers(0, 20), st.integers(0, 20))
@settings(deadline=None, max_examples=100)
def test_a_cut_out_column_gives_its_own_values(values, start, length):
    """A slice shares its buffers with the whole column, bits included."""
    back = bits if values.dtype == np.bool_ else to_numpy
    np.testing.assert_array_equal(values[start : start + length], back(to_arrow(values).slice(start, length)))


@given(st.lists(st.none() | st.integers(-5, 5), max_size=30), st.integers(0, 10))
@settings(deadline=None, max_examples=100)
def test_nulls_are_found(values, start):
    expected = [value is None for value in values[start:]]
    assert expected == null_mask(pa.array(values, pa.int64()).slice(start)).tolist()


def test_a_column_of_nulls_is_all_null():
    assert null_mask(pa.nulls(3)).tolist() == [True, True, True]


def test_the_array_may_have_any_strides():
    table = np.arange(12.0).reshape(4, 3)
    assert to_arrow(table[:, 1]).to_pylist() == [1.0, 4.0, 7.0, 10.0]


def test_numbers_are_handed_over_without_a_copy():
    column = pa.array([1.0, 2.0, 3.0])
    values = to_numpy(column)
    assert column.buffers()[1].address == values.ctypes.data
    assert not values.flags.writeable


@given(st.lists(st.text(), max_size=10))
@settings(deadline=None, max_examples=100)
def test_texts_become_a_column(texts):
    """Half a surrogate pair, which is no text, is spelt out instead of stopping the work."""
    column = text_column(texts)
    column.validate(full=True)
    assert [text.encode("utf-8", "backslashreplace").decode() for text in texts] == column.to_pylist()


@pytest.mark.parametrize("column", [pa.array(["x"]), pa.array([1], pa.date32())])
def test_other_types_are_refused(column):
    with pytest.raises(KeyError):
        to_numpy(column)
