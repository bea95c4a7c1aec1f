"""The ledger of a run: one small file for each finished shard, written when the shard's own files are on the disk.

    WORK/ledger/00007.json        the shard's counts, and its files with their sizes

A run that was killed resumes from here. Shards without an entry are scored again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gamesales.scoring.shadow import ShadowComparison


@dataclass(frozen=True)
class InputCounts:
    """Rows of one input in a shard; ``source`` is the index of the input in the plan."""

    source: int
    rows_scored: int
    rows_rejected: int


@dataclass(frozen=True)
class ShardResult:
    """The counts of a shard, and its files.

    Attributes:
        inputs: counts by input.
        files: the shard's files: path below the working folder to size in bytes.
        rows_outside_training_range: scored rows with a feature outside its range in training.
        outside_by_feature: for each feature, the scored rows outside its range in training.
        histograms: for each feature and then the predictions, rows in each bin of the training profile.
        examples: the first rejects as text.
        shadow: the comparison with the shadow version; None without a shadow.
        over_reject_limit: the shard alone rejected more rows than the whole run may. Its counts end there, it has no
            files except its rejects, and it does not enter the ledger.
    """

    inputs: list[InputCounts]
    files: dict[str, int]
    rows_outside_training_range: int = 0
    outside_by_feature: list[int] = field(default_factory=list)
    histograms: list[list[int]] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)
    shadow: ShadowComparison | None = None
    over_reject_limit: bool = False

    @property
    def rows_scored(self) -> int:
        return sum(counts.rows_scored for counts in self.inputs)

    @property
    def rows_rejected(self) -> int:
        return sum(counts.rows_rejected for counts in self.inputs)


class Ledger:
    """The ledger in the working folder of a run."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self._folder = work / "ledger"

    def record(self, number: int, result: ShardResult) -> None:
        """Enter a shard whose files are on the disk.

        The entry itself is not forced to the disk: if a power cut loses it, the shard is scored again.
        """
        self._folder.mkdir(exist_ok=True)
        path = self._folder / f"{number:05d}.json"
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(asdict(result)), encoding="utf-8")
        os.replace(temporary, path)

    def read(self) -> dict[int, ShardResult]:
        """Return the finished shards by number: those with an entry whose files are all complete."""
        entries = {int(path.stem): _read_entry(path) for path in self._folder.glob("*.json")}
        return {
            number: result for number, result in sorted(entries.items()) if result and self._is_complete(result.files)
        }

    def _is_complete(self, files: Mapping[str, int]) -> bool:
        paths = {self._work / name: size for name, size in files.items()}
        return all(path.is_file() and path.stat().st_size == size for path, size in paths.items())


def _read_entry(path: Path) -> ShardResult | None:
    """Read an entry; None if another release wrote it or a power cut truncated it."""
    try:
        fields = json.loads(path.read_bytes())
        inputs, shadow = [InputCounts(**counts) for counts in fields["inputs"]], fields["shadow"]
        shadow = None if shadow is None else ShadowComparison(**shadow)
        return ShardResult(**{**fields, "inputs": inputs, "shadow": shadow})
    except (ValueError, TypeError, LookupError):
        return None
