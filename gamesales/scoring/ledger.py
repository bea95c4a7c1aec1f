"""The ledger of a run: one small file for each finished shard, written when the shard's own files are on the disk.

    WORK/ledger/00007.json        the shard's counts, and its files with their sizes

A run that was killed resumes from here. Shards without an entry are scored again.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from gamesales.data.screen import SHOWN_REJECTS
from gamesales.errors import TryAgainError
from gamesales.scoring.ids import IdRange
from gamesales.scoring.shadow import ShadowComparison

# In a run's folder: the mark of a complete run that was not published, because the job withholds it.
WITHHELD = "withheld.json"

# The extremes of a column whose cells are all missing.
_NO_VALUES = (math.inf, -math.inf)

N = TypeVar("N", int, float)


@dataclass(frozen=True)
class TopTitle:
    """A title with one of the highest predictions.

    Attributes:
        row: its row among the scored rows of the shard or of the run, from 1.
        predicted: its prediction.
        values: its features, in the order of the contract.
        labels: its first copied columns as text, by name.
    """

    row: int
    predicted: float
    values: list[float]
    labels: dict[str, str]


@dataclass
class ShardResult:
    """The counts of the rows of a shard, and its files.

    Attributes:
        scored: rows scored, by the index of their input in the plan.
        rejected: rows rejected, by the index of their input in the plan.
        blank: rows without any value, by the index of their input in the plan.
        rows_outside_training_range: scored rows with a feature outside its range in training.
        rows_unfamiliar: scored rows that are unlike the training titles; see ``BatchPrediction``.
        rows_clipped: scored rows whose prediction was moved into the target's allowed range.
        rows_without_interval: scored rows whose prediction interval is not known.
        outside_by_feature: for each feature, the scored rows outside its range in training; empty without rows.
        extremes: for each feature, the smallest and the largest value of the scored rows; empty without rows.
        sums: for each feature and then the predictions, the sum over the scored rows; empty without rows.
        histograms: for each feature and then the predictions, rows in each bin of the training profile; empty without
            rows or profiles.
        examples: the first rejects as text.
        shadow: the comparison with the shadow version; None without a shadow.
        id_range: the range of the ids; None if they do not ascend, or if there are none.
        top_titles: the titles with the highest predictions, highest first; empty if the run explains no titles.
        files: path below the working folder to size in bytes.
        over_reject_limit: the shard alone rejected more rows than the whole run may. Its counts end there, it has no
            files except its rejects, and it does not enter the ledger.
    """

    scored: dict[int, int] = field(default_factory=dict)
    rejected: dict[int, int] = field(default_factory=dict)
    blank: dict[int, int] = field(default_factory=dict)
    rows_outside_training_range: int = 0
    rows_unfamiliar: int = 0
    rows_clipped: int = 0
    rows_without_interval: int = 0
    outside_by_feature: list[int] = field(default_factory=list)
    extremes: list[tuple[float, float]] = field(default_factory=list)
    sums: list[float] = field(default_factory=list)
    histograms: list[list[int]] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)
    shadow: ShadowComparison | None = None
    id_range: IdRange | None = None
    top_titles: list[TopTitle] = field(default_factory=list)
    files: dict[str, int] = field(default_factory=dict)
    over_reject_limit: bool = False

    @property
    def rows_scored(self) -> int:
        return sum(self.scored.values())

    @property
    def rows_rejected(self) -> int:
        return sum(self.rejected.values())

    @property
    def rows_blank(self) -> int:
        return sum(self.blank.values())

    def add(self, other: ShardResult) -> None:
        """Add the counts of other rows, not their ids, titles and files."""
        for name in ("scored", "rejected", "blank"):
            counts, more = getattr(self, name), getattr(other, name)
            for source, rows in more.items():
                counts[source] = counts.get(source, 0) + rows
        self.rows_outside_training_range += other.rows_outside_training_range
        self.rows_unfamiliar += other.rows_unfamiliar
        self.rows_clipped += other.rows_clipped
        self.rows_without_interval += other.rows_without_interval
        self.outside_by_feature = _add_counts(self.outside_by_feature, other.outside_by_feature)
        self.extremes = _join_extremes(self.extremes, other.extremes)
        self.sums = _add_counts(self.sums, other.sums)
        totals = self.histograms or [[] for _ in other.histograms]
        bins = other.histograms or [[] for _ in totals]
        self.histograms = [_add_counts(total, more) for total, more in zip(totals, bins, strict=True)]
        self.examples = [*self.examples, *other.examples][:SHOWN_REJECTS]
        if other.shadow is not None:
            self.shadow = other.shadow if self.shadow is None else self.shadow + other.shadow


def _add_counts(totals: Sequence[N], counts: Sequence[N]) -> list[N]:
    """Add two lists of counts or sums; an empty list stands for zeros."""
    if not totals or not counts:
        return list(totals or counts)
    return [total + count for total, count in zip(totals, counts, strict=True)]


def _join_extremes(
    first: Sequence[tuple[float, float]], second: Sequence[tuple[float, float]]
) -> list[tuple[float, float]]:
    """Join the extremes of two sets of rows; an empty list stands for no rows."""
    if not first or not second:
        return list(first or second)
    return [(min(a[0], b[0]), max(a[1], b[1])) for a, b in zip(first, second, strict=True)]


def record_shard(work: Path, number: int, result: ShardResult) -> None:
    """Enter a shard whose files are on the disk.

    The entry itself is not forced to the disk: if a power cut loses it, the shard is scored again.
    """
    path = work / f"ledger/{number:05d}.json"
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(format_entry(result), encoding="utf-8")
    os.replace(temporary, path)


def read_ledger(work: Path) -> dict[int, ShardResult]:
    """Return the finished shards by number: those with an entry whose files are all complete."""
    return {number: result for number, result in _read_entries(work).items() if _is_complete(work, result.files)}


def remove_unfinished(work: Path) -> None:
    """Remove the files of shards without an entry, and everything that was made from the shards.

    Another process may still have them open, and must not write to the files that a resumed run makes.
    """
    kept = {work / name for result in _read_entries(work).values() for name in result.files}
    kept |= {work / "run_id", work / WITHHELD, *work.glob("ledger/*.json")}
    for path in work.rglob("*"):
        if path not in kept and (path.is_symlink() or not path.is_dir()):
            path.unlink()


def require_complete(work: Path, results: Iterable[ShardResult]) -> None:
    """Check that all files of finished shards are there, right before they are published.

    Raises:
        TryAgainError: a file is missing or has another size.
    """
    for result in results:
        if not _is_complete(work, result.files):
            raise TryAgainError(
                f"files in {work} were removed or changed while this run needed them; nothing was published",
                hint="Run it again",
            )


def _is_complete(work: Path, files: Mapping[str, int]) -> bool:
    paths = {work / name: size for name, size in files.items()}
    return all(path.is_file() and path.stat().st_size == size for path, size in paths.items())


def _read_entries(work: Path) -> dict[int, ShardResult]:
    entries = {int(path.stem): parse_entry(path.read_bytes()) for path in sorted(work.glob("ledger/*.json"))}
    return {number: result for number, result in entries.items() if result}


def format_entry(result: ShardResult) -> str:
    """Return the content of a shard's entry. It is valid JSON, so a number that is not finite is null."""
    fields = asdict(result)
    fields["extremes"] = [list(map(_drop_infinity, extremes)) for extremes in result.extremes]
    for title in fields["top_titles"]:
        title["values"] = list(map(_drop_infinity, title["values"]))
    return json.dumps(fields)


def _drop_infinity(number: float) -> float | None:
    return number if math.isfinite(number) else None


def parse_entry(content: bytes) -> ShardResult | None:
    """Parse an entry; None if another release wrote it or a power cut truncated it."""
    try:
        fields = json.loads(content)
        for name in ("scored", "rejected", "blank"):
            fields[name] = {int(source): rows for source, rows in fields[name].items()}
        if fields["shadow"] is not None:
            fields["shadow"] = ShadowComparison(**fields["shadow"])
        if fields.get("id_range") is not None:  # earlier releases have none
            fields["id_range"] = tuple(fields["id_range"])
        fields["extremes"] = [
            _NO_VALUES if None in extremes else tuple(extremes) for extremes in fields.get("extremes", ())
        ]
        fields["top_titles"] = [_parse_title(title) for title in fields.get("top_titles", ())]
        return ShardResult(**fields)
    except (ValueError, TypeError, LookupError, AttributeError):
        return None


def _parse_title(title: Mapping[str, Any]) -> TopTitle:
    return TopTitle(**{**title, "values": [math.nan if value is None else value for value in title["values"]]})
