"""Count duplicate ids of a run, in memory that does not grow with the run.

    each batch      ShardIds.add      64 bits for each title with an id, and whether the ids ascend
    each shard      ShardIds.write    a file of its own
    the whole run   count_duplicates  compares the ranges of ascending ids; if they overlap, merges the files, one range
                                      of hashes at a time
    for a message   find_ids          the ids of some duplicate hashes

Ids usually ascend from row to row and from file to file. Such ids are unique, and nothing is sorted.

Equal ids have equal hashes, however they are split into shards, sliced or encoded, so no duplicate is missed. Different
ids have different hashes if they are integers, or texts of equal length of up to 8 bytes. Of n other ids, two share a
hash with a probability of about n^2 / 2^65: 0.007% for 50 million. The hash does not withstand deliberate collisions;
the worst result would be a wrong count in a warning.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gamesales.arrays import BoolArray, IntArray
from gamesales.data.arrow import null_mask, to_numpy, unpack_bools
from gamesales.errors import ColumnsError

Hashes = npt.NDArray[np.uint64]
# The first and the last of ids that ascend, as texts with the same order.
IdRange = tuple[str, str]

_HASH_DTYPE = np.dtype("<u8")
# Hashes in memory at a time: 8 MB, and a few times as much while they are sorted and compared.
_CHUNK_HASHES = 1 << 20
_MAX_EXAMPLES = 3
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


class ShardIds:
    """The ids of a shard: their hashes, and their range if they ascend strictly.

    Integers and times ascend by value, texts by length and then by bytes.
    """

    def __init__(self) -> None:
        self._hashes = [np.empty(0, np.uint64)]
        self._range: IdRange | None = None
        self._are_ascending = True

    @property
    def range(self) -> IdRange | None:
        """The first and the last id; None if the ids do not ascend, or if there are none."""
        return self._range if self._are_ascending else None

    def add(self, columns: Sequence[pa.Array]) -> None:
        """Add the ids of a batch, as for ``hash_ids``."""
        self._hashes.append(hash_ids(columns))
        if self._are_ascending and len(columns[0]):
            batch = _find_range(columns[0]) if len(columns) == 1 else None
            self._are_ascending = batch is not None and (self._range is None or self._range[1] < batch[0])
            if batch is not None:
                self._range = (batch[0] if self._range is None else self._range[0], batch[1])

    def write(self, path: Path) -> None:
        """Write the hashes, sorted unless the ids ascend, as little-endian 64-bit words."""
        hashes = np.concatenate(self._hashes)
        write_hashes(path, hashes if self.range else np.sort(hashes))


def hash_ids(columns: Sequence[pa.Array]) -> Hashes:
    """Hash the ids of a batch. Titles without an id are left out.

    A title has no id if all its identity columns are null, NaN or empty text, as a CSV writes null.

    Args:
        columns: one or more identity columns, each Arrow (n,): text, bytes, UUIDs, numbers, times or a dictionary
            of these.

    Returns:
        uint64 (m,), the hashes of the m titles with an id, in row order.

    Raises:
        ColumnsError: a column has a type that can't be written as text.
    """
    hashes, has_id = _hash_rows(columns)
    return hashes if has_id.all() else hashes[has_id]


def find_ids(columns: Sequence[pa.Array], duplicate_hashes: Sequence[int]) -> list[str]:
    """Find the ids of a batch that have one of these hashes.

    Args:
        columns: the identity columns of the batch, as for ``hash_ids``.
        duplicate_hashes: hashes, such as the examples of ``count_duplicates``.

    Returns:
        The ids as text, each once, in row order.
    """
    hashes, has_id = _hash_rows(columns)
    rows = np.flatnonzero(has_id & np.isin(hashes, np.array(duplicate_hashes, np.uint64)))
    first = rows[np.unique(hashes[rows], return_index=True)[1]]
    return [", ".join(_format_cell(column.slice(int(row), 1)) for column in columns) for row in np.sort(first)]


def write_hashes(path: Path, hashes: Hashes) -> None:
    """Write hashes as little-endian 64-bit words."""
    # Not by NumPy's tofile: on a full disk its error has no errno.
    path.write_bytes(hashes.astype(_HASH_DTYPE, copy=False).data)


def count_duplicates(shards: Sequence[tuple[Path, IdRange | None]]) -> tuple[int, int, list[int]]:
    """Count duplicate ids over all shards of a run.

    If the ranges of ascending ids overlap, their files are sorted. Then the hashes are compared in buckets of equal top
    bits, about a million hashes of all files at a time.

    Args:
        shards: the files of ``ShardIds.write`` with their ranges, in any order.

    Returns:
        How many ids have more than one row, how many rows follow the first row of their id, and a few hashes of
        duplicate ids, the smallest, so that they do not depend on the shards.
    """
    ranges = sorted(shard_range for _, shard_range in shards if shard_range is not None)
    paths = [path for path, _ in shards]
    total = sum(path.stat().st_size for path in paths) // _HASH_DTYPE.itemsize
    hashed = sum(path.stat().st_size for path, shard_range in shards if shard_range is None)
    if not hashed and all(last < first for (_, last), (first, _) in pairwise(ranges)):
        return 0, 0, []
    for path, shard_range in shards:
        if shard_range is not None:
            _sort_file(path)
    top_bits = (max(total - 1, 0) // _CHUNK_HASHES).bit_length()
    bounds_by_file = [_find_bucket_bounds(path, top_bits) for path in paths]
    distinct, ids, examples = 0, 0, list[int]()
    for bucket in range(1 << top_bits):
        chunks = [
            _keep_two_of_each(chunk)
            for path, bounds in zip(paths, bounds_by_file, strict=True)
            for chunk in _read_chunks(path, int(bounds[bucket]), int(bounds[bucket + 1]))
        ]
        hashes = np.sort(np.concatenate([np.empty(0, _HASH_DTYPE), *chunks]))
        is_first = _mark_first(hashes)
        duplicates = hashes[1:][~is_first[1:] & is_first[:-1]]
        distinct += int(is_first.sum())
        ids += len(duplicates)
        examples += duplicates[: _MAX_EXAMPLES - len(examples)].tolist()
    return ids, total - distinct, examples


def _sort_file(path: Path) -> None:
    """Sort the hashes of a file. If the process ends meanwhile, the file is as before."""
    temporary = path.with_name(f".{path.name}")
    write_hashes(temporary, np.sort(np.fromfile(path, _HASH_DTYPE)))
    os.replace(temporary, path)


def _find_bucket_bounds(path: Path, top_bits: int) -> IntArray:
    """Return the index at which each bucket of a file begins, and the end of the last: int64 (buckets + 1,)."""
    size = path.stat().st_size // _HASH_DTYPE.itemsize
    if not size or not top_bits:
        return np.array([0] + [size] * (1 << top_bits))
    edges = np.arange(1, 1 << top_bits, dtype=_HASH_DTYPE) << np.uint64(64 - top_bits)
    # The mapping ends here: mapped pages count as memory, and open files count towards the limit of about a thousand.
    return np.concatenate([[0], np.searchsorted(np.memmap(path, _HASH_DTYPE, "r"), edges), [size]])


def _read_chunks(path: Path, start: int, stop: int) -> Iterator[Hashes]:
    for index in range(start, stop, _CHUNK_HASHES):
        yield np.fromfile(path, _HASH_DTYPE, min(_CHUNK_HASHES, stop - index), offset=index * _HASH_DTYPE.itemsize)


def _keep_two_of_each(hashes: Hashes) -> Hashes:
    """Thin sorted hashes: two equal hashes prove a duplicate, and one id on every row must not fill the memory."""
    kept = np.ones(len(hashes), bool)
    kept[2:] = hashes[2:] != hashes[:-2]
    return hashes[kept]


def _mark_first(hashes: Hashes) -> BoolArray:
    """Mark the first of each run of equal hashes."""
    is_first = np.ones(len(hashes), bool)
    is_first[1:] = hashes[1:] != hashes[:-1]
    return is_first


def _hash_rows(columns: Sequence[pa.Array]) -> tuple[Hashes, BoolArray]:
    """Return the hash of every row, uint64 (n,), and whether the row has an id, bool (n,)."""
    hashes, has_id = _hash_column(columns[0])
    for column in columns[1:]:
        column_hashes, present = _hash_column(column)
        hashes, has_id = _mix(hashes) ^ column_hashes, has_id | present
    return hashes, has_id


def _hash_column(column: pa.Array) -> tuple[Hashes, BoolArray]:
    """Return the hash of every value, uint64 (n,), 0 for no value, and whether there is a value, bool (n,)."""
    column = _get_storage(column)
    present = ~null_mask(column)
    if not present.any():
        return np.zeros(len(column), np.uint64), present
    if pa.types.is_floating(column.type):
        present &= ~unpack_bools(column.is_null(nan_is_null=True))
    integers = _as_integers(column)
    if integers is not None:
        hashes = _mix(to_numpy(integers).view(np.uint64))
    else:
        offsets, data = _as_bytes(column)
        present &= np.diff(offsets) > 0
        hashes = _hash_bytes(offsets, data)
    return hashes if present.all() else np.where(present, hashes, np.uint64(0)), present


def _get_storage(column: pa.Array) -> pa.Array:
    """Return the values of a dictionary, and the storage of an extension type, such as a UUID."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.storage if isinstance(column, pa.ExtensionArray) else column


def _find_range(column: pa.Array) -> IdRange | None:
    """Return the first and the last id of a column, (n,) with n > 0; None if the ids do not ascend strictly.

    The ids are text in the same order. A missing id ends the search.
    """
    column = _get_storage(column)
    if column.null_count or pa.types.is_floating(column.type):
        return None
    if (integers := _as_integers(column)) is not None:
        values: IntArray = to_numpy(integers).astype(np.int64, copy=False)
        if not (values[1:] > values[:-1]).all():
            return None
        first, last = (f"{int(values[index]) + 2**63:016x}" for index in (0, -1))
    else:
        offsets, data = _as_bytes(column)
        if not _do_texts_ascend(offsets, data):
            return None
        texts = (data[offsets[index] : offsets[index + 1]].tobytes() for index in (0, len(column) - 1))
        first, last = (f"{len(text):03} {text.hex()}" for text in texts)
    return first, last


def _do_texts_ascend(offsets: IntArray, data: npt.NDArray[np.uint8]) -> bool:
    """Return whether texts ascend strictly, by length and then by bytes. Empty and very long texts do not."""
    starts, lengths = offsets[:-1], np.diff(offsets)
    if lengths[0] == 0 or lengths[-1] > _MAX_VECTOR_BYTES or (lengths[1:] < lengths[:-1]).any():
        return False
    words = _view_words(data)
    # The rows that equal the next row so far.
    rows = np.flatnonzero(lengths[1:] == lengths[:-1])
    for offset in range(0, int(lengths[-1]), 8):
        if (lengths[rows] <= offset).any():  # equal texts
            return False
        mask = _FIRST_BYTES[np.minimum(lengths[rows] - offset, 8)]
        word, next_word = ((words[starts[index] + offset] & mask).byteswap() for index in (rows, rows + 1))
        if (word > next_word).any():
            return False
        rows = rows[word == next_word]
    return not len(rows)


def _view_words(data: npt.NDArray[np.uint8]) -> Hashes:
    """Return the word of 8 bytes that begins at each byte, without a copy."""
    return np.ndarray(len(data) - 7, _HASH_DTYPE, data.data, strides=(1,))


def _mix(words: Hashes) -> Hashes:
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
    return column.cast(pa.int64()) if pa.types.is_integer(column.type) else None


def _as_bytes(column: pa.Array) -> tuple[IntArray, npt.NDArray[np.uint8]]:
    """Return the offsets of the values in the bytes, int64 (n + 1,), and the bytes with 8 zeros at the end."""
    try:
        if not any(test(column.type) for test in _BYTES_TYPES):
            column = column.cast(pa.string())
        column = column.cast(pa.large_binary())
    except pa.ArrowException:
        raise ColumnsError(
            f"an identity column has type {column.type}; expected text or numbers",
            hint="See docs/reference/contract.md for the columns that identify a title",
        ) from None
    _, offset_buffer, data_buffer = column.buffers()
    offsets = np.frombuffer(offset_buffer, np.int64, len(column) + 1, column.offset * 8)
    size = int(offsets[-1] - offsets[0])
    data = np.zeros(size + 8, np.uint8)
    if size:
        data[:size] = np.frombuffer(data_buffer, np.uint8, size, int(offsets[0]))
    return offsets - offsets[0], data


def _hash_bytes(offsets: IntArray, data: npt.NDArray[np.uint8]) -> Hashes:
    """Hash all texts at once, by their lengths and then 8 bytes at a time: uint64 (n,)."""
    starts, lengths = offsets[:-1], np.diff(offsets)
    words = _view_words(data)
    hashes = _mix(lengths.astype(np.uint64))
    rows = np.flatnonzero(lengths <= _MAX_VECTOR_BYTES)
    for offset in range(0, _MAX_VECTOR_BYTES, 8):
        rows = rows[lengths[rows] > offset]
        if not len(rows):
            break
        mask = _FIRST_BYTES[np.minimum(lengths[rows] - offset, 8)]
        hashes[rows] = _mix(hashes[rows] ^ (words[starts[rows] + offset] & mask))
    for row in np.flatnonzero(lengths > _MAX_VECTOR_BYTES):
        digest = hashlib.blake2b(data[starts[row] : offsets[row + 1]].data, digest_size=8).digest()
        hashes[row] = int.from_bytes(digest, "little")
    return hashes


def _format_cell(cell: pa.Array) -> str:
    """Return a column of one value as text, empty for no value."""
    if pa.types.is_dictionary(cell.type):
        cell = cell.dictionary_decode()
    try:
        if isinstance(cell.type, pa.UuidType):
            return str(cell[0].as_py() or "")
        text: str | None = cell.cast(pa.string())[0].as_py()
    except pa.ArrowException:  # bytes that are not UTF-8, or a time zone that is unknown on this machine
        return str(cell).strip("[]\n ")
    return text or ""
