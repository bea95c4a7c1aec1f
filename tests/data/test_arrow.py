"""Arrow columns as NumPy arrays and numbers, and arrays as Arrow columns."""

import math
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from gamesales.data.arrow import convert_to_numbers, make_text_column, null_mask, to_arrow, to_numpy, unpack_bools

arrays = st_numpy.arrays(
    st.sampled_from([np.float64, np.float32, np.int64, np.int32, np.int8, np.bool_]).map(np.dtype), st.integers(0, 70)
)


@given(arrays)
@settings(deadline=None, max_examples=100)
def test_to_arrow_keeps_values(values):
    """An Arrow column has the values of the array and no nulls."""
    column = to_arrow(values)
    column.validate(full=True)
    assert column.null_count == 0
    np.testing.assert_array_equal(values, np.array(column.to_pylist(), values.dtype))


@given(arrays, st.integers(0, 20), st.integers(0, 20))
@settings(deadline=None, max_examples=100)
def test_slice_has_its_own_values(values, start, length):
    """A slice shares its buffers with the whole column, bits included."""
    convert = unpack_bools if values.dtype == np.bool_ else to_numpy
    np.testing.assert_array_equal(values[start : start + length], convert(to_arrow(values).slice(start, length)))


@given(st.lists(st.none() | st.integers(-5, 5), max_size=30), st.integers(0, 10))
@settings(deadline=None, max_examples=100)
def test_null_mask_marks_nulls(values, start):
    """The mask is True exactly where a value is null, also in a slice."""
    expected = [value is None for value in values[start:]]
    assert expected == null_mask(pa.array(values, pa.int64()).slice(start)).tolist()


def test_untyped_nulls_are_null():
    """A column of the null type is all null."""
    assert null_mask(pa.nulls(3)).tolist() == [True, True, True]


def test_strided_arrays_are_converted():
    """The array may be a column of a matrix."""
    table = np.arange(12.0).reshape(4, 3)
    assert to_arrow(table[:, 1]).to_pylist() == [1.0, 4.0, 7.0, 10.0]


def test_to_numpy_does_not_copy():
    """The array is a read-only view of the Arrow buffer."""
    column = pa.array([1.0, 2.0, 3.0])
    values = to_numpy(column)
    assert column.buffers()[1].address == values.ctypes.data
    assert not values.flags.writeable


@given(st.lists(st.text(), max_size=10))
@settings(deadline=None, max_examples=100)
def test_make_text_column(texts):
    """Text is kept. Half a surrogate pair, which is not text, is escaped."""
    column = make_text_column(texts)
    column.validate(full=True)
    assert [text.encode("utf-8", "backslashreplace").decode() for text in texts] == column.to_pylist()


@pytest.mark.parametrize("column", [pa.array(["x"]), pa.array([1], pa.date32())])
def test_other_types_are_refused(column):
    """Text and dates have no NumPy array."""
    with pytest.raises(KeyError):
        to_numpy(column)


def to_numbers(array):
    return convert_to_numbers(array)[0].tolist()


class TestNumbers:
    @given(st.lists(st.none() | st.integers(0, 200).map(lambda half: half / 2), max_size=20))
    @settings(deadline=None, max_examples=100)
    def test_types_give_same_numbers(self, values):
        """Floats, decimals, text and dictionaries give the same numbers, with nulls and in a slice."""
        exact = pa.array(values, pa.float64())
        texts = [None if value is None else repr(value) for value in values]
        decimals = pa.array([None if value is None else Decimal(value) for value in values], pa.decimal128(10, 2))
        padded = pa.array([7.0, None, *values], pa.float64()).slice(2)
        for column in (
            exact.cast(pa.float32()),
            decimals,
            decimals.cast(pa.decimal128(38, 18)),  # as Spark writes them
            decimals.cast(pa.decimal256(40, 5)),
            pa.array(texts, pa.string()),
            pa.array(texts, pa.large_string()),
            pa.array(texts, pa.string_view()),
            exact.dictionary_encode(),
            pa.array(texts, pa.string()).dictionary_encode(),
            padded,
            padded.dictionary_encode(),
        ):
            expected, missing = convert_to_numbers(exact)
            result, also_missing = convert_to_numbers(column)
            np.testing.assert_array_equal(expected, result)
            np.testing.assert_array_equal(missing, also_missing)
            assert missing.tolist() == [value is None for value in values]

    @pytest.mark.parametrize("arrow_type", [pa.int8(), pa.uint8(), pa.int64(), pa.uint64(), pa.float16(), pa.bool_()])
    def test_flags_of_any_type(self, arrow_type):
        """A flag may have any numeric type or booleans, with nulls."""
        column = pa.array([1, 0, None, 1]).cast(arrow_type)
        assert to_numbers(column)[:2] == [1.0, 0.0]
        assert convert_to_numbers(column)[1].tolist() == [False, False, True, False]

    def test_untyped_nulls_are_missing(self):
        """Nulls of the null type are missing cells."""
        assert convert_to_numbers(pa.nulls(2))[1].tolist() == [True, True]

    def test_large_integers_are_rounded(self):
        """An integer above 2^53 is rounded to a float."""
        assert np.float64(to_numbers(pa.array([2**53 + 1, 2**63 - 1]))).tolist() == [2.0**53, 2.0**63]

    @given(st.one_of(st.text(max_size=8), st.text("0123456789.eE+-_ infnatrueINFNAT\t", max_size=8)))
    @example("inf")
    @example("1e400")
    @example("٣")
    @settings(deadline=None, max_examples=300)
    def test_text_is_parsed_independently(self, text):
        """Arrow parses a plain column at once. It gives the numbers that single cells give."""
        text = text.encode("utf-8", "replace").decode()
        alone, with_junk = convert_to_numbers(pa.array([text]))[0], convert_to_numbers(pa.array([text, "junk"]))[0]
        np.testing.assert_array_equal(alone, with_junk[:1])

    def test_true_and_false_are_flags(self):
        """The words true and false are numbers in flag columns only."""
        words = pa.array(["true", "False", "1"])
        assert convert_to_numbers(words, words=True)[0].tolist() == [1.0, 0.0, 1.0]
        assert np.isnan(convert_to_numbers(words)[0]).tolist() == [True, True, False]

    @pytest.mark.parametrize("text", ["1_000", "0x10", "1,5", "$5", "five", "1 2", "--1", "1e", "."])
    def test_text_that_is_not_a_number(self, text):
        """Text that Python or people may read as a number is not a number."""
        assert math.isnan(to_numbers(pa.array([text]))[0])

    def test_invalid_utf8_is_not_a_number(self):
        """Parquet does not check that its text is UTF-8."""
        column = pa.Array.from_buffers(pa.string(), 2, pa.array([b"\xff1", b"2"]).buffers())
        result = to_numbers(column)
        assert math.isnan(result[0])
        assert result[1] == 2.0
