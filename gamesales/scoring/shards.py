"""Cutting the rows of a run into shards: what is done, written and remembered at a time.

The bounds follow from the inputs alone, never from workers or engine, so that neither changes a byte of the result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

# About so many shards a run: enough to keep any usual number of workers busy to the end.
SHARDS = 64
FEWEST_ROWS, MOST_ROWS = 1 << 18, 1 << 21
# A stretch that can only be read from its beginning is cut where it is so large a share of the run that workers would
# wait for it, and into so many pieces at most: each reads past those before it.
_LARGE, _CUTS = 1 / 8, 4


@dataclass(frozen=True)
class Slice:
    """The rows ``start + 1`` to ``stop`` of one input, named by its place in the plan."""

    source: int
    start: int
    stop: int


@dataclass(frozen=True)
class Shard:
    """Consecutive rows of a run, which may come from several inputs."""

    number: int
    slices: tuple[Slice, ...]

    @property
    def rows(self) -> int:
        return sum(one.stop - one.start for one in self.slices)


def cut(units: Sequence[Sequence[int]]) -> list[Shard]:
    """Cut a run into shards, at least one.

    Args: units: for each input, the rows of each stretch that can be read by itself.
    """
    total = sum(map(sum, units))
    wanted = min(max(-(-total // SHARDS), FEWEST_ROWS), MOST_ROWS)
    shards: list[list[Slice]] = [[]]
    filled = 0
    for source, each in enumerate(units):
        for piece in _pieces(source, each, wanted, total):
            if filled >= wanted:
                shards.append([])
                filled = 0
            shards[-1].append(piece)
            filled += piece.stop - piece.start
    return [Shard(number, tuple(_joined(slices))) for number, slices in enumerate(shards)]


def _pieces(source: int, units: Sequence[int], wanted: int, total: int) -> Iterator[Slice]:
    """Yield an input's stretches, the large ones in equal pieces."""
    start = 0
    for rows in units:
        pieces = min(max(rows // wanted, 1), _CUTS) if rows > _LARGE * total else 1
        bounds = [start + rows * piece // pieces for piece in range(pieces + 1)]
        yield from (Slice(source, first, last) for first, last in pairwise(bounds) if last > first)
        start += rows


def _joined(slices: Sequence[Slice]) -> Iterator[Slice]:
    """Join what follows each other in one input."""
    joined: list[Slice] = []
    for one in slices:
        if joined and (joined[-1].source, joined[-1].stop) == (one.source, one.start):
            joined[-1] = Slice(one.source, joined[-1].start, one.stop)
        else:
            joined.append(one)
    yield from joined
