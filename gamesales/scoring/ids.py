"""Identity columns of a batch: a hash of each id, and the range of ids that ascend."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gamesales.arrays import BoolArray
from gamesales.data.arrow import allocate, null_mask, to_numpy, unpack_bools
from gamesales.errors import ColumnsError

Hashes = npt.NDArray[np.uint64]
# The first and the last of ids that ascend, as texts with the same order.
IdRange = tuple[str, str]
HASH_DTYPE = np.dtype("<u8")
# Longer texts are hashed one by one: a single huge cell would cost a round of NumPy for each of its words.
_MAX_VECTOR_BYTES = 256
# Masks that keep the first k bytes of a little-endian word, for k from 0 to 8.
_FIRST_BYTES = np.array([(1 << 8 * count) - 1 for count in range(9)], np.uint64)
# Types whose values are bytes or UTF-8 text already.
_BYTES_TYPES = (
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_fixed_size_binary,
    pa.types.is_binary_view,
    pa.types.is_string,
    pa.types.is_large_string,
)


def hash_rows(columns: Sequence[IdColumn]) -> tuple[Hashes, BoolArray]:
    """Return the hash of every row, uint64 (n,), and whether the row has an id, bool (n,)."""
    hashes, has_id = columns[0].hash(), columns[0].present
    for column in columns[1:]:
        hashes, has_id = mix(hashes) ^ column.hash(), has_id | column.present
    return hashes, has_id


class IntegerIds:
    """An identity column of integers or times: n values, and which of them are present, bool (n,)."""

    def __init__(self, values: Hashes, present: BoolArray) -> None:
        self._words, self.present = values, present

    def hash(self) -> Hashes:
        """Return the hash of every value, uint64 (n,), 0 for no value."""
        return _clear(mix(self._words), self.present)

    def find_range(self) -> IdRange | None:
        """Return the first and the last value; None if the values do not ascend strictly, or if one is missing."""
        values = self._words.view(np.int64)
        if not self.present.all() or not (values[1:] > values[:-1]).all():
            return None
        return f"{int(values[0]) + 2**63:016x}", f"{int(values[-1]) + 2**63:016x}"


class TextIds:
    """An identity column of texts as bytes.

    Args:
        offsets: integers (n + 1,), where each text begins in the bytes, and where the last text ends.
        data: the bytes, with 8 zeros at the end.
        present: bool (n,), False for a value that is missing.
    """

    def __init__(self, offsets: npt.NDArray[Any], data: npt.NDArray[np.uint8], present: BoolArray) -> None:
        self._starts, self._lengths, self._data = offsets[:-1], offsets[1:] - offsets[:-1], data
        self.present = present & (self._lengths > 0)
        size = int(self._lengths[0]) if len(self._lengths) else 0
        # The length of all texts; 0 if their lengths differ.
        self._size = size if size <= _MAX_VECTOR_BYTES and (self._lengths == size).all() else 0

    def hash(self) -> Hashes:
        """Return the hash of every text, by its length and then 8 bytes at a time: uint64 (n,), 0 for no value."""
        hashes = mix(self._lengths.astype(np.uint64))
        for rows, words in self._read_words():
            hashes[rows] = mix(hashes[rows] ^ words)
        for row in np.flatnonzero(self._lengths > _MAX_VECTOR_BYTES):
            hashes[row] = int.from_bytes(hashlib.blake2b(self._get_text(row), digest_size=8).digest(), "little")
        return _clear(hashes, self.present)

    def find_range(self) -> IdRange | None:
        """Return the first and the last text as hexadecimal digits, after their lengths.

        None if the texts do not ascend strictly, by length and then by bytes, or if one is missing or very long.
        """
        lengths = self._lengths
        if not self.present.all() or lengths[-1] > _MAX_VECTOR_BYTES or (lengths[1:] < lengths[:-1]).any():
            return None
        are_equal = lengths[1:] == lengths[:-1]
        for rows, words in self._read_words():
            column = words.byteswap()  # numbers in the order of the bytes
            if not self._size:
                column, shorter = np.zeros(len(lengths), np.uint64), column
                column[rows] = shorter
            if (column[:-1] < column[1:]).all():
                are_equal[:] = False
                break
            if (are_equal & (column[:-1] > column[1:])).any():
                return None
            are_equal &= column[:-1] == column[1:]
        if are_equal.any():
            return None
        first, last = (f"{int(lengths[row]):03} {self._get_text(row).hex()}" for row in (0, -1))
        return first, last

    def _get_text(self, row: int | np.intp) -> bytes:
        return self._data[self._starts[row] : self._starts[row] + self._lengths[row]].tobytes()

    def _read_words(self) -> Iterator[tuple[slice | npt.NDArray[np.intp], Hashes]]:
        """Yield the words of all texts but the very long ones, 8 bytes at a time, with zeros behind the end of a text.

        Yields:
            The rows whose texts reach that far, and their words.
        """
        if self._size:
            for offset in range(0, self._size, 8):
                words = np.ndarray(len(self._starts), HASH_DTYPE, self._data.data, offset, (self._size,))
                rest = self._size - offset
                yield slice(None), words if rest >= 8 else words & _FIRST_BYTES[rest]
            return
        # The word that begins at each byte, without a copy.
        words = np.ndarray(len(self._data) - 7, HASH_DTYPE, self._data.data, strides=(1,))
        rows = np.flatnonzero(self._lengths <= _MAX_VECTOR_BYTES)
        for offset in range(0, _MAX_VECTOR_BYTES, 8):
            rows = rows[self._lengths[rows] > offset]
            if not len(rows):
                break
            mask = _FIRST_BYTES[np.minimum(self._lengths[rows] - offset, 8)]
            yield rows, words[self._starts[rows] + offset] & mask


IdColumn = IntegerIds | TextIds


def read_ids(column: pa.Array) -> IdColumn:
    """Read an identity column.

    Raises:
        ColumnsError: the column has a type that can't be written as text.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if isinstance(column, pa.ExtensionArray):  # such as a UUID
        column = column.storage
    present = ~null_mask(column)
    if pa.types.is_floating(column.type) and present.any():
        present &= ~unpack_bools(column.is_null(nan_is_null=True))
    if not present.any():
        return IntegerIds(np.zeros(len(column), np.uint64), present)
    integers = _as_integers(column)
    if integers is not None:
        return IntegerIds(to_numpy(integers).view(np.uint64), present)
    return TextIds(*_as_bytes(column), present)


def _clear(hashes: Hashes, present: BoolArray) -> Hashes:
    return hashes if present.all() else np.where(present, hashes, np.uint64(0))


def mix(words: Hashes) -> Hashes:
    """Mix the bits of 64-bit words (n,); different words stay different.

    The step and finalizer of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA
    2014, doi:10.1145/2660193.2660195; the constants are David Stafford's "Mix13").
    """
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def _as_integers(column: pa.Array) -> pa.Array | None:
    """Return integers and times as int64; None for other types."""
    if pa.types.is_uint64(column.type):
        return column.view(pa.int64())
    if pa.types.is_temporal(column.type) and column.type.bit_width in (32, 64):
        # Not as text: Arrow would look up the time zone.
        column = column.view(pa.int32() if column.type.bit_width == 32 else pa.int64())
    if column.type == pa.int64():
        return column
    return column.cast(pa.int64()) if pa.types.is_integer(column.type) else None


def _as_bytes(column: pa.Array) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]:
    """Return the offsets of the values in the bytes, (n + 1,), and the bytes with 8 zeros at the end."""
    try:
        if not any(test(column.type) for test in _BYTES_TYPES):
            column = column.cast(pa.string())
        if not (pa.types.is_string(column.type) or pa.types.is_binary(column.type)):
            column = column.cast(pa.large_binary())
    except pa.ArrowException:
        raise ColumnsError(
            f"an identity column has type {column.type}; expected text or numbers",
            hint="See docs/reference/contract.md for the columns that identify a title",
        ) from None
    dtype = np.dtype(np.int64 if pa.types.is_large_binary(column.type) else np.int32)
    _, offset_buffer, data_buffer = column.buffers()
    offsets = np.frombuffer(offset_buffer, dtype, len(column) + 1, column.offset * dtype.itemsize)
    size = int(offsets[-1] - offsets[0])
    data = allocate(size + 8, np.uint8)
    data[size:] = 0
    if size:
        data[:size] = np.frombuffer(data_buffer, np.uint8, size, int(offsets[0]))
    return offsets - offsets[0], data
