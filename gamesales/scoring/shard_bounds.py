"""The bounds of shards: consecutive rows of a run that are scored together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

# The usual number of shards of a run: enough to keep any usual number of workers busy to the end.
TARGET_SHARDS = 64
MIN_SHARD_ROWS, MAX_SHARD_ROWS = 1 << 18, 1 << 21
# A segment can only be read from its beginning, so each piece of it costs reading past the pieces before. A segment is
# cut only if it is more than this share of the run, because workers would wait for it, and into few pieces.
_LARGE_SHARE, _MAX_PIECES = 1 / 8, 4


@dataclass(frozen=True)
class RowRange:
    """The rows ``start + 1`` to ``stop`` of one input; ``source`` is the index of the input in the plan."""

    source: int
    start: int
    stop: int


@dataclass(frozen=True)
class Shard:
    """Consecutive rows of a run, possibly from several inputs."""

    number: int
    ranges: tuple[RowRange, ...]

    @property
    def rows(self) -> int:
        return sum(part.stop - part.start for part in self.ranges)


def cut_shards(segments: Sequence[Sequence[int]]) -> list[Shard]:
    """Cut a run into shards, at least one; the bounds depend on the inputs alone.

    Args:
        segments: for each input, the rows of each segment that can be read by itself.
    """
    total = sum(map(sum, segments))
    target = min(max(-(-total // TARGET_SHARDS), MIN_SHARD_ROWS), MAX_SHARD_ROWS)
    shards: list[list[RowRange]] = [[]]
    filled = 0
    for source, rows_per_segment in enumerate(segments):
        for piece in _cut_segments(source, rows_per_segment, target, total):
            # Cut where the shard is closest to the target: large shards make workers wait for the last.
            if filled and filled + (piece.stop - piece.start) / 2 > target:
                shards.append([])
                filled = 0
            shards[-1].append(piece)
            filled += piece.stop - piece.start
    return [Shard(number, tuple(_join_ranges(ranges))) for number, ranges in enumerate(shards)]


def _cut_segments(source: int, rows_per_segment: Sequence[int], target: int, total: int) -> Iterator[RowRange]:
    """Yield the segments of an input, large segments in equal pieces."""
    start = 0
    for rows in rows_per_segment:
        pieces = min(max(rows // target, 1), _MAX_PIECES) if rows > _LARGE_SHARE * total else 1
        bounds = [start + rows * piece // pieces for piece in range(pieces + 1)]
        yield from (RowRange(source, first, last) for first, last in pairwise(bounds) if last > first)
        start += rows


def _join_ranges(ranges: Sequence[RowRange]) -> Iterator[RowRange]:
    """Join adjacent ranges of one input."""
    joined: list[RowRange] = []
    for part in ranges:
        if joined and (joined[-1].source, joined[-1].stop) == (part.source, part.start):
            joined[-1] = RowRange(part.source, joined[-1].start, part.stop)
        else:
            joined.append(part)
    yield from joined
