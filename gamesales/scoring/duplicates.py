"""Count duplicate ids of a run, in memory that does not grow with the run.

    each batch      ShardIds.add      whether its ids ascend; if not, 64 bits for each title with an id
    each shard      write_hashes      the hashes, sorted, in a file of its own; none for ids that ascend
    the whole run   are_unique        compares the ranges of ascending ids
                    count_duplicates  if they overlap: merges the files, one range of hashes at a time
    for a message   find_ids          the ids of some duplicate hashes

Ids usually ascend from row to row and from file to file. Such ids are unique, and none is hashed.

Equal ids have equal hashes, however they are split into shards, sliced or encoded, so no duplicate is missed. Different
ids have different hashes if they are integers, or texts of equal length of up to 8 bytes. Of n other ids, two share a
hash with a probability of about n^2 / 2^65: 0.007% for 50 million. The hash does not withstand deliberate collisions;
the worst result would be a wrong count in a warning.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from gamesales.arrays import BoolArray, IntArray
from gamesales.scoring.ids import HASH_DTYPE, Hashes, IdRange, hash_rows, read_ids

# Hashes in memory at a time: 8 MB, and a few times as much while they are sorted and compared.
_CHUNK_HASHES = 1 << 20
_MAX_EXAMPLES = 3


class ShardIds:
    """The ids of a shard: their range if they ascend strictly, or their hashes.

    Integers and times ascend by value, texts by length and then by bytes. Ids that ascend in the first batch and not in
    a later batch have neither.

    Attributes:
        range: the first and the last id; None if the ids do not ascend, or if there are none.
    """

    def __init__(self) -> None:
        self.range: IdRange | None = None
        self._hashes: list[Hashes] | None = [np.empty(0, np.uint64)]
        self._is_empty = True

    @property
    def hashes(self) -> Hashes | None:
        """The hashes, uint64 (m,), ascending; None if the ids ascend, or did in the first batch."""
        return None if self._hashes is None else np.sort(np.concatenate(self._hashes))

    def add(self, columns: Sequence[pa.Array]) -> None:
        """Add the ids of a batch, as for ``hash_ids``."""
        if not len(columns[0]):
            return
        ids = [read_ids(column) for column in columns]
        if self._is_empty or self.range is not None:
            self.range = self._extend_range(ids[0].find_range() if len(ids) == 1 else None)
            self._hashes = None if self.range is not None else self._hashes
        self._is_empty = False
        if self._hashes is not None:
            hashes, has_id = hash_rows(ids)
            self._hashes.append(hashes if has_id.all() else hashes[has_id])

    def _extend_range(self, batch: IdRange | None) -> IdRange | None:
        if batch is None or self.range is None:
            return batch
        return (self.range[0], batch[1]) if self.range[1] < batch[0] else None


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
    hashes, has_id = hash_rows([read_ids(column) for column in columns])
    return hashes if has_id.all() else hashes[has_id]


def find_ids(columns: Sequence[pa.Array], duplicate_hashes: Sequence[int]) -> list[str]:
    """Find the ids of a batch that have one of these hashes.

    Args:
        columns: the identity columns of the batch, as for ``hash_ids``.
        duplicate_hashes: hashes, such as the examples of ``count_duplicates``.

    Returns:
        The ids as text, each once, in row order.
    """
    hashes, has_id = hash_rows([read_ids(column) for column in columns])
    rows = np.flatnonzero(has_id & np.isin(hashes, np.array(duplicate_hashes, np.uint64)))
    first = rows[np.unique(hashes[rows], return_index=True)[1]]
    return [", ".join(_format_cell(column.slice(int(row), 1)) for column in columns) for row in np.sort(first)]


def write_hashes(path: Path, hashes: Hashes) -> None:
    """Write the hashes of a shard as little-endian 64-bit words."""
    # Not by NumPy's tofile: on a full disk its error has no errno.
    path.write_bytes(hashes.astype(HASH_DTYPE, copy=False).data)


def are_unique(ranges: Sequence[IdRange | None]) -> bool:
    """Return whether all ids of a run are known to be unique, from the range of each shard."""
    ascending = sorted(id_range for id_range in ranges if id_range is not None)
    return len(ascending) == len(ranges) and all(last < first for (_, last), (first, _) in pairwise(ascending))


def count_duplicates(paths: Sequence[Path]) -> tuple[int, int, list[int]]:
    """Count duplicate ids over all shards of a run.

    The hashes are compared in buckets of equal top bits, about a million hashes of all files at a time.

    Args:
        paths: the files of ``write_hashes`` with ascending hashes, in any order.

    Returns:
        How many ids have more than one row, how many rows follow the first row of their id, and a few hashes of
        duplicate ids, the smallest, so that they do not depend on the shards.
    """
    total = sum(path.stat().st_size for path in paths) // HASH_DTYPE.itemsize
    top_bits = (max(total - 1, 0) // _CHUNK_HASHES).bit_length()
    bounds_by_file = [_find_bucket_bounds(path, top_bits) for path in paths]
    distinct, ids, examples = 0, 0, list[int]()
    for bucket in range(1 << top_bits):
        chunks = [
            _keep_two_of_each(chunk)
            for path, bounds in zip(paths, bounds_by_file, strict=True)
            for chunk in _read_chunks(path, int(bounds[bucket]), int(bounds[bucket + 1]))
        ]
        hashes = np.sort(np.concatenate([np.empty(0, HASH_DTYPE), *chunks]))
        is_first = _mark_first(hashes)
        duplicates = hashes[1:][~is_first[1:] & is_first[:-1]]
        distinct += int(is_first.sum())
        ids += len(duplicates)
        examples += duplicates[: _MAX_EXAMPLES - len(examples)].tolist()
    return ids, total - distinct, examples


def _find_bucket_bounds(path: Path, top_bits: int) -> IntArray:
    """Return the index at which each bucket of a file begins, and the end of the last: int64 (buckets + 1,)."""
    size = path.stat().st_size // HASH_DTYPE.itemsize
    if not size or not top_bits:
        return np.array([0] + [size] * (1 << top_bits))
    edges = np.arange(1, 1 << top_bits, dtype=HASH_DTYPE) << np.uint64(64 - top_bits)
    # The mapping ends here: mapped pages count as memory, and open files count towards the limit of about a thousand.
    return np.concatenate([[0], np.searchsorted(np.memmap(path, HASH_DTYPE, "r"), edges), [size]])


def _read_chunks(path: Path, start: int, stop: int) -> Iterator[Hashes]:
    for index in range(start, stop, _CHUNK_HASHES):
        yield np.fromfile(path, HASH_DTYPE, min(_CHUNK_HASHES, stop - index), offset=index * HASH_DTYPE.itemsize)


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
