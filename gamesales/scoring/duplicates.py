"""Counting titles that come more than once in a run, in memory that does not grow with the run.

    each batch      hash_ids      64 bits for each title that has an id
    each shard      write_hashes  sorted, in a file of its own
    the whole run   count_doubled merges the files a range of hashes at a time
    for a message   find          what people call the titles whose hashes were doubled

Equal ids have equal hashes, however they are split into shards, sliced or encoded, so no doubled id is missed.
Different ids have different hashes if they are integers, or texts of one length of up to 8 bytes. Of n other ids,
two share a hash with a probability of about n^2 / 2^65: 0.007 % for 50 million. Nothing here withstands somebody who
makes ids collide on purpose; the worst that could come of it is a wrong count in a warning.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gamesales.arrays import BoolArray, IntArray
from gamesales.data.arrow import bits, null_mask, to_numpy
from gamesales.errors import ColumnsError

Hashes = npt.NDArray[np.uint64]

_FILE = np.dtype("<u8")
# Hashes in memory at a time: 8 MB, and a few times that while they are sorted and compared.
_AT_A_TIME = 1 << 20
_EXAMPLES = 3
# Longer texts are hashed one by one, so that a single huge cell can't cost a round of NumPy for each of its words.
_LONG = 256
# Keeps the first k bytes of a little-endian word, for k from 0 to 8.
_FIRST_BYTES = np.array([(1 << 8 * count) - 1 for count in range(9)], np.uint64)


@dataclass(frozen=True)
class Doubled:
    """How many ids came more than once, and how many rows came after the first one of their id.

    ``examples`` are the smallest few hashes of doubled ids: the same few however the run was split.
    """

    ids: int
    rows: int
    examples: tuple[int, ...] = ()


def hash_ids(columns: Sequence[pa.Array]) -> Hashes:
    """Hash the ids of a batch; titles without an id are left out, as there is nothing to compare them by.

    A title has no id if all its identity columns are null, NaN or empty text (which is how a CSV says null).

    Args: columns: one or more identity columns, each Arrow (n,): text, numbers, times or a dictionary of these.
    Returns: uint64 (m,) of the m titles that have an id, in row order.
    Raises: ColumnsError: a column is of a type that has no text.
    """
    hashes, has_id = _hashed(columns)
    return hashes[has_id]


def find(columns: Sequence[pa.Array], doubled: Sequence[int]) -> list[str]:
    """Return the ids in a batch that have one of these hashes, each once and in row order, as people read them.

    Args:
        columns: the identity columns of the batch, as ``hash_ids`` takes them.
        doubled: hashes, such as the examples of ``Doubled``.
    """
    hashes, has_id = _hashed(columns)
    rows = np.flatnonzero(has_id & np.isin(hashes, np.array(doubled, np.uint64)))
    first = rows[np.unique(hashes[rows], return_index=True)[1]]
    return [", ".join(_readable(column.slice(int(row), 1)) for column in columns) for row in np.sort(first)]


def write_hashes(path: Path, hashes: Hashes) -> None:
    """Write the hashes of a shard, sorted, as little-endian 64-bit words."""
    # Not by NumPy's tofile, which on a full disk raises an error without the system's number.
    path.write_bytes(np.sort(hashes).astype(_FILE, copy=False).data)


def count_doubled(paths: Sequence[Path]) -> Doubled:
    """Count doubled ids over all shards of a run.

    The hashes are compared a bucket at a time: those whose top bits are alike, about a million from all files.

    Args: paths: what ``write_hashes`` wrote, in any order.
    """
    total = sum(path.stat().st_size for path in paths) // _FILE.itemsize
    top_bits = (max(total - 1, 0) // _AT_A_TIME).bit_length()
    bounds = [_bounds(path, top_bits) for path in paths]
    distinct, ids, examples = 0, 0, list[int]()
    for bucket in range(1 << top_bits):
        pairs = [
            _at_most_two_of_each(block)
            for path, bound in zip(paths, bounds, strict=True)
            for block in _blocks(path, int(bound[bucket]), int(bound[bucket + 1]))
        ]
        hashes = np.sort(np.concatenate([np.empty(0, _FILE), *pairs]))
        first = _differs_from_the_one_before(hashes)
        doubled = hashes[1:][~first[1:] & first[:-1]]
        distinct += int(first.sum())
        ids += len(doubled)
        examples += doubled[: _EXAMPLES - len(examples)].tolist()
    return Doubled(ids, total - distinct, tuple(examples))


def _bounds(path: Path, top_bits: int) -> IntArray:
    """Return where each bucket begins in a file, and where the last one ends: int64 (buckets + 1,)."""
    size = path.stat().st_size // _FILE.itemsize
    if not size or not top_bits:
        return np.array([0] + [size] * (1 << top_bits))
    edges = np.arange(1, 1 << top_bits, dtype=_FILE) << np.uint64(64 - top_bits)
    # The mapping ends here: what stays mapped counts as memory, and a file kept open as one of a thousand or so.
    return np.concatenate([[0], np.searchsorted(np.memmap(path, _FILE, "r"), edges), [size]])


def _blocks(path: Path, start: int, stop: int) -> Iterator[Hashes]:
    for place in range(start, stop, _AT_A_TIME):
        yield np.fromfile(path, _FILE, min(_AT_A_TIME, stop - place), offset=place * _FILE.itemsize)


def _at_most_two_of_each(hashes: Hashes) -> Hashes:
    """Thin sorted hashes: two tell that there are more, and one id on every row must not fill the memory."""
    kept = np.ones(len(hashes), bool)
    kept[2:] = hashes[2:] != hashes[:-2]
    return hashes[kept]


def _differs_from_the_one_before(hashes: Hashes) -> BoolArray:
    first = np.ones(len(hashes), bool)
    first[1:] = hashes[1:] != hashes[:-1]
    return first


def _hashed(columns: Sequence[pa.Array]) -> tuple[Hashes, BoolArray]:
    """Return the hash of every row, uint64 (n,), and whether the row has an id, bool (n,)."""
    hashes, has_id = _hash_column(columns[0])
    for column in columns[1:]:
        more, present = _hash_column(column)
        hashes, has_id = _mix(hashes) ^ more, has_id | present
    return hashes, has_id


def _hash_column(column: pa.Array) -> tuple[Hashes, BoolArray]:
    """Return the hash of every value, 0 where there is none, and whether there is one."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    present = ~null_mask(column)
    if not present.any():
        return np.zeros(len(column), np.uint64), present
    if pa.types.is_floating(column.type):
        present &= ~bits(column.is_null(nan_is_null=True))
    integers = _as_integers(column)
    if integers is not None:
        hashes = _mix(to_numpy(integers).view(np.uint64))
    else:
        offsets, data = _as_bytes(column)
        present &= np.diff(offsets) > 0
        hashes = _hash_bytes(offsets, data)
    return np.where(present, hashes, np.uint64(0)), present


def _mix(words: Hashes) -> Hashes:
    """Scatter 64-bit words, (n,), one to one.

    The step and finalizer of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA
    2014, doi:10.1145/2660193.2660195; the constants are David Stafford's "Mix13").
    """
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def _as_integers(column: pa.Array) -> pa.Array | None:
    """Return integers and times as int64, None for other types."""
    if pa.types.is_uint64(column.type):
        return column.view(pa.int64())
    if pa.types.is_temporal(column.type) and column.type.bit_width in (32, 64):
        # Not as text, for which Arrow looks up the time zone.
        column = column.view(pa.int32() if column.type.bit_width == 32 else pa.int64())
    return column.cast(pa.int64()) if pa.types.is_integer(column.type) else None


def _as_bytes(column: pa.Array) -> tuple[IntArray, npt.NDArray[np.uint8]]:
    """Return where the text of each value begins in the bytes, int64 (n + 1,), and the bytes with 8 more behind."""
    try:
        if not any(test(column.type) for test in _HOLDS_BYTES):
            column = column.cast(pa.string())
        column = column.cast(pa.large_binary())
    except pa.ArrowException:
        raise ColumnsError(
            f"an identity column has type {column.type}; expected text or numbers",
            hint="See docs/contract.md for the columns that identify a title",
        ) from None
    _, offset_buffer, data_buffer = column.buffers()
    offsets = np.frombuffer(offset_buffer, np.int64, len(column) + 1, column.offset * 8)
    size = int(offsets[-1] - offsets[0])
    data = np.zeros(size + 8, np.uint8)
    if size:
        data[:size] = np.frombuffer(data_buffer, np.uint8, size, int(offsets[0]))
    return offsets - offsets[0], data


_HOLDS_BYTES = (
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_fixed_size_binary,
    pa.types.is_binary_view,
    pa.types.is_string,
    pa.types.is_large_string,
)


def _hash_bytes(offsets: IntArray, data: npt.NDArray[np.uint8]) -> Hashes:
    """Hash texts by their lengths and then 8 bytes at a time, all texts at once; uint64 (n,)."""
    starts, lengths = offsets[:-1], np.diff(offsets)
    # The word that begins at each byte, without a copy.
    words = np.ndarray(len(data) - 7, _FILE, data.data, strides=(1,))
    hashes = _mix(lengths.astype(np.uint64))
    rows = np.flatnonzero(lengths <= _LONG)
    for place in range(0, _LONG, 8):
        rows = rows[lengths[rows] > place]
        if not len(rows):
            break
        kept = _FIRST_BYTES[np.minimum(lengths[rows] - place, 8)]
        hashes[rows] = _mix(hashes[rows] ^ (words[starts[rows] + place] & kept))
    for row in np.flatnonzero(lengths > _LONG):
        digest = hashlib.blake2b(data[starts[row] : offsets[row + 1]].data, digest_size=8).digest()
        hashes[row] = int.from_bytes(digest, "little")
    return hashes


def _readable(cell: pa.Array) -> str:
    """Return a column of one value as text, empty if there is none."""
    if pa.types.is_dictionary(cell.type):
        cell = cell.dictionary_decode()
    try:
        text: str | None = cell.cast(pa.string())[0].as_py()
    except pa.ArrowException:  # bytes that are no text, a time zone that this machine does not know
        return str(cell).strip("[]\n ")
    return text or ""
