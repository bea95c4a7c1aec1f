"""The ledger of a run: one small file for each finished shard, written when the shard's own files are on the disk.

    WORK/ledger/00007.json        the shard's counts, and its files with their sizes

A run that was killed resumes from here. Shards without an entry are scored again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gamesales.data.screen import SHOWN_REJECTS
from gamesales.scoring.shadow import ShadowComparison


@dataclass
class ShardResult:
    """The counts of the rows of a shard, and its files.

    Attributes:
        scored: rows scored, by the index of their input in the plan.
        rejected: rows rejected, by the index of their input in the plan.
        rows_outside_training_range: scored rows with a feature outside its range in training.
        outside_by_feature: for each feature, the scored rows outside its range in training; empty without rows.
        histograms: for each feature and then the predictions, rows in each bin of the training profile; empty without
            rows or profiles.
        examples: the first rejects as text.
        shadow: the comparison with the shadow version; None without a shadow.
        files: path below the working folder to size in bytes.
        over_reject_limit: the shard alone rejected more rows than the whole run may. Its counts end there, it has no
            files except its rejects, and it does not enter the ledger.
    """

    scored: dict[int, int] = field(default_factory=dict)
    rejected: dict[int, int] = field(default_factory=dict)
    rows_outside_training_range: int = 0
    outside_by_feature: list[int] = field(default_factory=list)
    histograms: list[list[int]] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)
    shadow: ShadowComparison | None = None
    files: dict[str, int] = field(default_factory=dict)
    over_reject_limit: bool = False

    @property
    def rows_scored(self) -> int:
        return sum(self.scored.values())

    @property
    def rows_rejected(self) -> int:
        return sum(self.rejected.values())

    def add(self, other: ShardResult) -> None:
        """Add the counts of other rows, not their files."""
        for counts, more in ((self.scored, other.scored), (self.rejected, other.rejected)):
            for source, rows in more.items():
                counts[source] = counts.get(source, 0) + rows
        self.rows_outside_training_range += other.rows_outside_training_range
        self.outside_by_feature = _add_counts(self.outside_by_feature, other.outside_by_feature)
        totals = self.histograms or [[] for _ in other.histograms]
        bins = other.histograms or [[] for _ in totals]
        self.histograms = [_add_counts(total, more) for total, more in zip(totals, bins, strict=True)]
        self.examples = [*self.examples, *other.examples][:SHOWN_REJECTS]
        if other.shadow is not None:
            self.shadow = other.shadow if self.shadow is None else self.shadow + other.shadow


def _add_counts(totals: Sequence[int], counts: Sequence[int]) -> list[int]:
    """Add two lists of counts; an empty list stands for zeros."""
    if not totals or not counts:
        return list(totals or counts)
    return [total + count for total, count in zip(totals, counts, strict=True)]


def record_shard(work: Path, number: int, result: ShardResult) -> None:
    """Enter a shard whose files are on the disk.

    The entry itself is not forced to the disk: if a power cut loses it, the shard is scored again.
    """
    path = work / f"ledger/{number:05d}.json"
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(asdict(result)), encoding="utf-8")
    os.replace(temporary, path)


def read_ledger(work: Path) -> dict[int, ShardResult]:
    """Return the finished shards by number: those with an entry whose files are all complete."""
    entries = {int(path.stem): _read_entry(path) for path in sorted(work.glob("ledger/*.json"))}
    return {number: result for number, result in entries.items() if result and _is_complete(work, result.files)}


def _is_complete(work: Path, files: Mapping[str, int]) -> bool:
    paths = {work / name: size for name, size in files.items()}
    return all(path.is_file() and path.stat().st_size == size for path, size in paths.items())


def _read_entry(path: Path) -> ShardResult | None:
    """Read an entry; None if another release wrote it or a power cut truncated it."""
    try:
        fields = json.loads(path.read_bytes())
        for name in ("scored", "rejected"):
            fields[name] = {int(source): rows for source, rows in fields[name].items()}
        if fields["shadow"] is not None:
            fields["shadow"] = ShadowComparison(**fields["shadow"])
        return ShardResult(**fields)
    except (ValueError, TypeError, LookupError, AttributeError):
        return None
