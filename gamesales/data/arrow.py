"""Arrow columns as NumPy arrays, numbers and JSON, and arrays as Arrow columns.

``pa.array``, ``pa.scalar`` and ``Array.to_numpy`` import pandas if it is installed, which takes 0.3 s. The buffers that
are used here do not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gamesales.arrays import BoolArray, FloatArray

_S = TypeVar("_S", bound=np.generic)
# Floats or integers of any size.
Numbers = npt.NDArray[Any]

# In the metadata of a field: why the values of the column can't be read exactly.
FAULT_KEY = b"gamesales.fault"
_SWAPPED_MARKS = bytes.maketrans(b".,", b",.")
_FLAG_WORDS = {"true": 1.0, "false": 0.0}
# The texts that Arrow parses as NaN.
_NAN = re.compile(r"[+-]?nan(\(\w*\))?", re.IGNORECASE)
_NUMPY = {
    pa.float64(): np.float64,
    pa.float32(): np.float32,
    pa.int64(): np.int64,
    pa.int32(): np.int32,
    pa.int16(): np.int16,
    pa.int8(): np.int8,
    pa.uint64(): np.uint64,
    pa.uint32(): np.uint32,
    pa.uint16(): np.uint16,
    pa.uint8(): np.uint8,
}
# Some programs write text without saying so: Impala, Hive, and Spark with binaryAsString.
_TEXT_OF_BYTES = {
    pa.binary(): pa.string(),
    pa.large_binary(): pa.large_string(),
    pa.binary_view(): pa.string_view(),
}


def to_numpy(array: pa.Array) -> npt.NDArray[np.generic]:
    """Return a float or integer column as an array, without a copy.

    Args:
        array: Arrow (n,) of float32, float64 or integers.

    Returns:
        (n,) of the same type, read-only. The values of nulls are arbitrary.

    Raises:
        KeyError: the column has another type.
    """
    dtype = np.dtype(_NUMPY[array.type])
    if len(array) == 0:
        return np.empty(0, dtype)
    values = np.frombuffer(array.buffers()[1], dtype, len(array), array.offset * dtype.itemsize)
    values.flags.writeable = False
    return values


def null_mask(array: pa.Array) -> BoolArray:
    """Return bool (n,), True where a column is null."""
    if array.null_count == 0:
        return np.zeros(len(array), bool)
    if pa.types.is_null(array.type):
        return np.ones(len(array), bool)
    return unpack_bools(array.is_null())


def unpack_bools(array: pa.Array) -> BoolArray:
    """Return a boolean column without nulls as bool (n,)."""
    if len(array) == 0:
        return np.zeros(0, bool)
    packed = np.frombuffer(array.buffers()[1], np.uint8)
    return np.unpackbits(packed, count=array.offset + len(array), bitorder="little")[array.offset :].astype(bool)


def to_arrow(values: npt.NDArray[np.generic], nulls: BoolArray | None = None) -> pa.Array:
    """Return an array (n,) of floats, integers or bool as an Arrow column.

    Args:
        values: the values.
        nulls: bool (n,), which values are null; by default none.
    """
    validity = None
    if nulls is not None and nulls.any():
        validity = pa.py_buffer(np.packbits(~nulls, bitorder="little"))
    if values.dtype == np.bool_:
        packed = np.packbits(values.astype(np.bool_), bitorder="little")
        return pa.Array.from_buffers(pa.bool_(), len(values), [validity, pa.py_buffer(packed)])
    arrow_type = next(arrow for arrow, numpy in _NUMPY.items() if np.dtype(numpy) == values.dtype)
    return pa.Array.from_buffers(arrow_type, len(values), [validity, pa.py_buffer(np.ascontiguousarray(values))])


def take(values: npt.NDArray[_S], indices: npt.NDArray[np.intp]) -> npt.NDArray[_S]:
    """Return ``values[indices]`` of valid indices, (n,)."""
    return values.take(indices, out=allocate(len(indices), values.dtype), mode="clip")


def allocate(size: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return an array (size,) with arbitrary values, in memory of Arrow, which is reused. NumPy's is cleared."""
    return np.frombuffer(pa.allocate_buffer(size * np.dtype(dtype).itemsize), dtype)


def keep_rows(column: pa.Array, mask: BoolArray) -> pa.Array:
    """Return the rows of a column where ``mask``, bool (n,), is True. The column may have any type."""
    try:
        return column.filter(to_arrow(mask))
    except pa.ArrowNotImplementedError:  # Arrow can't filter views; it can only slice and concatenate them
        edges = np.flatnonzero(np.diff(mask, prepend=False, append=False))
        runs = [
            column.slice(int(start), int(stop - start)) for start, stop in zip(edges[::2], edges[1::2], strict=True)
        ]
        return pa.concat_arrays([column.slice(0, 0), *runs])


def spread_rows(column: pa.Array, mask: BoolArray) -> pa.Array:
    """Undo ``keep_rows``: give each row its place among the rows of ``mask``, bool (n,). Rows of False are null."""
    return column if mask.all() else column.take(to_arrow(np.cumsum(mask) - 1, nulls=~mask))


def make_text_column(texts: Sequence[str]) -> pa.Array:
    """Make an Arrow string column without nulls. Surrogates are replaced by backslash escapes."""
    encoded = [text.encode("utf-8", "backslashreplace") for text in texts]
    offsets = np.zeros(len(encoded) + 1, np.int32)
    np.cumsum([len(value) for value in encoded], out=offsets[1:])
    return pa.Array.from_buffers(
        pa.string(), len(encoded), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    )


def swap_decimal_marks(array: pa.Array) -> pa.Array:
    """Exchange points and commas in a column of text, so that a number with a decimal comma can be parsed.

    A number with a decimal point can't be parsed then. Columns of other types stay as they are.
    """
    if array.type != pa.string():
        return array
    validity, offsets, data = array.buffers()
    swapped = pa.py_buffer(bytes(data or b"").translate(_SWAPPED_MARKS))
    return pa.Array.from_buffers(pa.string(), len(array), [validity, offsets, swapped], offset=array.offset)


def convert_to_numbers(
    array: pa.Array, *, words: bool = False, missing_values: Collection[str] = (), may_be_missing: bool = False
) -> tuple[Numbers, BoolArray]:
    """Convert a column to numbers.

    Args:
        array: Arrow (n,) of booleans, numbers, decimals, text, bytes that are text, nulls, or a dictionary of these.
        words: whether the words ``true`` and ``false`` are 1 and 0.
        missing_values: the texts that stand for a missing cell, besides the empty text. The text of a number stands for
            this number in a column of any type.
        may_be_missing: whether NaN is a missing cell, as pandas writes it, and not a fault.

    Returns:
        The numbers (n,), NaN where a cell is not a number, and bool (n,), True where a cell is missing. A column of
        floats or integers without nulls keeps its type and is not copied. Other columns become float64.
    """
    may_be_missing = may_be_missing or any(map(_NAN.fullmatch, missing_values))
    numbers, missing = _convert(array, words=words, missing_values=missing_values, may_be_missing=may_be_missing)
    listed = [number for number in map(_parse_number, missing_values) if not math.isnan(number)]
    is_listed = np.isin(numbers, listed) if listed else missing
    if (is_listed & ~missing).any():
        missing = missing | is_listed
        return np.where(missing, np.nan, numbers), missing
    return numbers, missing


def _convert(
    array: pa.Array, *, words: bool, missing_values: Collection[str], may_be_missing: bool
) -> tuple[Numbers, BoolArray]:
    if array.type in _NUMPY and array.null_count == 0:
        numbers = to_numpy(array)
        is_gap = may_be_missing and numbers.dtype.kind == "f"
        return numbers, np.isnan(numbers) if is_gap else np.zeros(len(array), bool)
    if pa.types.is_boolean(array.type) and array.null_count == 0:
        return unpack_bools(array).view(np.int8), np.zeros(len(array), bool)
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if pa.types.is_decimal(array.type):
        # As text: Arrow casts a 1 with eleven decimals to the float 0.9999999999999999, which is not a flag.
        array = array.cast(pa.string())
    if array.type in _TEXT_OF_BYTES:
        array = array.view(_TEXT_OF_BYTES[array.type])
    if is_text(array.type):
        return _parse_text(array, words=words, missing_values=missing_values, may_be_missing=may_be_missing)
    missing = null_mask(array)
    if missing.all():
        return np.full(len(array), np.nan), missing
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    # safe=False rounds 64-bit integers above 2^53. No feature is that exact.
    numbers = to_numpy(array.cast(pa.float64(), safe=False)).astype(np.float64)
    numbers[missing] = np.nan
    return numbers, np.isnan(numbers) if may_be_missing else missing


def _parse_text(
    array: pa.Array, *, words: bool, missing_values: Collection[str], may_be_missing: bool
) -> tuple[FloatArray, BoolArray]:
    """Parse text: all cells at once if they are plain numbers, otherwise each distinct text once."""
    if array.null_count == 0:
        try:
            numbers = to_numpy(array.cast(pa.float64())).astype(np.float64)
        except pa.ArrowInvalid:
            pass
        else:
            if not np.isnan(numbers).any():
                return numbers, np.zeros(len(array), bool)
    nulls = null_mask(array)
    encoded = array.dictionary_encode()
    cells = encoded.dictionary.cast(pa.large_binary()).to_pylist()  # Parquet does not check that text is UTF-8
    texts = ["" if cell is None else cell.decode(errors="replace").strip() for cell in cells]
    indices = np.where(nulls, len(texts), to_numpy(encoded.indices))
    is_missing = [not text or text in missing_values for text in texts]
    if may_be_missing:
        is_missing = [gone or bool(_NAN.fullmatch(text)) for gone, text in zip(is_missing, texts, strict=True)]
    blank = np.array([*is_missing, True])
    numbers = np.array([*(_parse_number(text, words=words) for text in texts), np.nan])
    numbers[blank] = np.nan
    return numbers[indices], blank[indices]


def _parse_number(text: str, *, words: bool = False) -> float:
    if words and text.lower() in _FLAG_WORDS:
        return _FLAG_WORDS[text.lower()]
    try:
        # float also accepts 1_000, which is not a number in a table.
        return float(text) if "_" not in text else np.nan
    except ValueError:
        return np.nan


def convert_to_json(column: pa.Array) -> list[Any]:
    """Convert cells to values that JSON can hold: exactly if possible, otherwise as text."""
    try:
        # to_pylist of times fails beyond the year 9999, and loads pandas for nanoseconds.
        values = (column.cast(pa.string()) if pa.types.is_temporal(column.type) else column).to_pylist()
    except (pa.ArrowException, OverflowError, ValueError):
        values = [_convert_cell(column.slice(index, 1)) for index in range(len(column))]
    return [_make_json_value(value) for value in values]


def _make_json_value(value: Any) -> Any:
    """Convert a value that JSON lacks, such as NaN or bytes, to text."""
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _convert_cell(cell: pa.Array) -> Any:
    """Convert a column of a single cell."""
    try:
        return (cell.cast(pa.string()) if pa.types.is_temporal(cell.type) else cell)[0].as_py()
    except (pa.ArrowException, OverflowError, ValueError):
        return " ".join(str(cell).split())


def is_ascii(column: pa.Array) -> bool:
    """Return whether a column is known to have ASCII only. False is possible for any text that is not a string."""
    if not pa.types.is_string(column.type):
        return False
    offsets, data = column.buffers()[1:]
    if not len(column) or data is None:
        return True
    edges = np.frombuffer(offsets, np.int32)[[column.offset, column.offset + len(column)]]
    return bytes(memoryview(data)[edges[0] : edges[1]]).isascii()


def is_text(arrow_type: pa.DataType) -> bool:
    """Return whether a column of this type has text."""
    return any(test(arrow_type) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def may_be_text(arrow_type: pa.DataType) -> bool:
    """Return whether a column of this type has text, or bytes that may be text."""
    return is_text(arrow_type) or arrow_type in _TEXT_OF_BYTES
