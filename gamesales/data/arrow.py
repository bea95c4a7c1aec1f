"""Arrow columns as NumPy arrays and back, through their buffers.

``pa.array``, ``pa.scalar`` and ``Array.to_numpy`` import pandas wherever it is installed, 0.3 s that a scoring run
has no use for; buffers do not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gamesales.arrays import BoolArray

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


def to_numpy(array: pa.Array) -> npt.NDArray[np.generic]:
    """Return the values of a float or integer column without a copy; what stands at nulls is arbitrary.

    Args: array: Arrow (n,), float32, float64 or integers.  Returns: (n,) of the same type, read-only.
    """
    dtype = np.dtype(_NUMPY[array.type])
    if len(array) == 0:
        return np.empty(0, dtype)
    values = np.frombuffer(array.buffers()[1], dtype, len(array), array.offset * dtype.itemsize)
    values.flags.writeable = False
    return values


def is_plain(array: pa.Array) -> bool:
    """Tell whether ``to_numpy`` can hand over all of a column: numbers, and none of them null."""
    return array.type in _NUMPY and array.null_count == 0


def null_mask(array: pa.Array) -> BoolArray:
    """Return which values are null: bool (n,)."""
    if array.null_count == 0:
        return np.zeros(len(array), bool)
    if pa.types.is_null(array.type):
        return np.ones(len(array), bool)
    return bits(array.is_null())


def bits(array: pa.Array) -> BoolArray:
    """Return a boolean column without nulls as bool (n,)."""
    if len(array) == 0:
        return np.zeros(0, bool)
    packed = np.frombuffer(array.buffers()[1], np.uint8)
    return np.unpackbits(packed, count=array.offset + len(array), bitorder="little")[array.offset :].astype(bool)


def to_arrow(values: npt.NDArray[np.generic]) -> pa.Array:
    """Return floats, integers or bool (n,) as an Arrow column without nulls."""
    if values.dtype == np.bool_:
        packed = np.packbits(values.astype(np.bool_), bitorder="little")
        return pa.Array.from_buffers(pa.bool_(), len(values), [None, pa.py_buffer(packed)])
    arrow_type = next(arrow for arrow, numpy in _NUMPY.items() if np.dtype(numpy) == values.dtype)
    return pa.Array.from_buffers(arrow_type, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def keep_rows(column: pa.Array, wanted: BoolArray) -> pa.Array:
    """Return the wanted rows of a column of any type; ``wanted`` is bool (n,)."""
    try:
        return column.filter(to_arrow(wanted))
    except pa.ArrowNotImplementedError:  # views: Arrow can cut and join them only
        edges = np.flatnonzero(np.diff(wanted, prepend=False, append=False))
        runs = [
            column.slice(int(start), int(stop - start)) for start, stop in zip(edges[::2], edges[1::2], strict=True)
        ]
        return pa.concat_arrays([column.slice(0, 0), *runs])


def text_column(texts: Sequence[str]) -> pa.Array:
    """Return texts as an Arrow string column without nulls."""
    encoded = [text.encode("utf-8", "backslashreplace") for text in texts]
    offsets = np.zeros(len(encoded) + 1, np.int32)
    np.cumsum([len(value) for value in encoded], out=offsets[1:])
    return pa.Array.from_buffers(
        pa.string(), len(encoded), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    )
