"""What a run has done so far: one small file for each shard, written when all that the shard made is on the disk.

    WORK/ledger/00007.json        the shard's counts, and the files that it made with their sizes

A run that is killed goes on from here; what is not in the ledger is done again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gamesales.scoring.shadow import Comparison


@dataclass(frozen=True)
class SliceCounts:
    """Rows of one input in a shard."""

    source: int
    rows_scored: int
    rows_rejected: int


@dataclass(frozen=True)
class ShardDone:
    """What a shard came to.

    ``files`` are those that it made, path below the working folder to size in bytes; ``histograms`` and
    ``outside_by_feature`` are as in ``Predicted``, added up; ``examples`` tell the first rejects in words.
    """

    slices: list[SliceCounts]
    files: dict[str, int]
    rows_outside_training_range: int = 0
    outside_by_feature: list[int] = field(default_factory=list)
    histograms: list[list[int]] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)
    shadow: Comparison | None = None

    @property
    def rows_scored(self) -> int:
        return sum(one.rows_scored for one in self.slices)

    @property
    def rows_rejected(self) -> int:
        return sum(one.rows_rejected for one in self.slices)


class Ledger:
    """The ledger of one run in its working folder."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self._folder = work / "ledger"

    def record(self, number: int, done: ShardDone) -> None:
        """Enter a shard, whose files must be on the disk by now.

        The entry need not be: if a power cut takes it, the shard is done again.
        """
        self._folder.mkdir(exist_ok=True)
        path = self._folder / f"{number:05d}.json"
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(asdict(done)), encoding="utf-8")
        os.replace(temporary, path)

    def done(self) -> dict[int, ShardDone]:
        """Return the shards that need not be done again: entered, and every file of theirs is there, whole."""
        entered = {int(path.stem): _read(path) for path in self._folder.glob("*.json")}
        return {number: one for number, one in sorted(entered.items()) if one and self._is_there(one.files)}

    def _is_there(self, files: Mapping[str, int]) -> bool:
        paths = {self._work / name: size for name, size in files.items()}
        return all(path.is_file() and path.stat().st_size == size for path, size in paths.items())


def _read(path: Path) -> ShardDone | None:
    """Read an entry; one of another release, or cut off by a power cut, is none."""
    try:
        fields = json.loads(path.read_bytes())
        slices, shadow = [SliceCounts(**one) for one in fields["slices"]], fields["shadow"]
        return ShardDone(**{**fields, "slices": slices, "shadow": None if shadow is None else Comparison(**shadow)})
    except (ValueError, TypeError, LookupError):
        return None
