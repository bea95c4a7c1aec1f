"""Scoring one shard: a pure function of the plan, which may be done again and gives the same bytes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from gamesales.arrays import BoolArray
from gamesales.data.arrow import keep_rows, to_arrow
from gamesales.data.files import sync
from gamesales.data.screen import told
from gamesales.data.table import BadRow, Batch
from gamesales.scoring.duplicates import Hashes, hash_ids, write_hashes
from gamesales.scoring.ledger import ShardDone, SliceCounts
from gamesales.scoring.parts import RejectsWriter, open_part, part_schema
from gamesales.scoring.plan import Input, Plan, Shard, Slice
from gamesales.scoring.predict import Predicted, predict_titles
from gamesales.scoring.scorer import LoadedVersion
from gamesales.scoring.shadow import Comparison, compare


@dataclass(frozen=True)
class ShardPaths:
    """Where a shard's files go, below the working folder: the part's name decides its format."""

    work: Path
    part: str
    rejects: str
    rejects_header: bool
    ids: str


class TooManyError(Exception):
    """A shard alone rejected more rows than the whole run may; what it rejected so far is in its rejects file."""

    def __init__(self, done: ShardDone) -> None:
        super().__init__()
        self.done = done


def score_shard(
    shard: Shard,
    plan: Plan,
    version: LoadedVersion,
    places: ShardPaths,
    *,
    most_rejects: int,
    on_rows: Callable[[int], None],
    shadow: LoadedVersion | None = None,
) -> ShardDone:
    """Read, screen, score and write the rows of a shard, into hidden files that ``settle`` gives their names.

    Raises: TooManyError: it is hopeless. InputError, TryAgainError: an input is damaged, or was changed meanwhile.
    """
    part, rejects, ids = (places.work / name for name in (places.part, places.rejects, places.ids))
    tally = _Tally(shard)
    schema = result_schema(plan, version)
    with ExitStack() as undo:
        undo.callback(_remove, hidden(part), hidden(rejects), hidden(ids))
        with ExitStack() as files:
            scored = files.enter_context(open_part(hidden(part), schema, plan.metadata(version)))
            rejected = files.enter_context(RejectsWriter(hidden(rejects), header=places.rejects_header))
            for one, batch in _batches(shard, plan, version, shadow):
                predicted = predict_titles(batch, version)
                scored.write(_result(batch, predicted, schema, version))
                rejected.write(plan.inputs[one.source].name, predicted.screened.rejected)
                tally.add(one, plan.inputs[one.source], predicted)
                if shadow is not None:
                    tally.compare(compare(batch, predicted, plan.inputs[one.source].name, version, shadow))
                if plan.identity:
                    tally.add_ids([batch.table.column(name) for name in plan.identity], predicted.screened.accepted)
                on_rows(len(batch.rows) + len(batch.malformed))
                if tally.rejected > most_rejects:
                    break
        if tally.rejected > most_rejects:
            os.replace(hidden(rejects), rejects)
            raise TooManyError(tally.done({}))
        names = [places.part] if rejected.is_empty else [places.part, places.rejects]
        if plan.identity:
            names.append(places.ids)
            write_hashes(hidden(ids), tally.ids())
        undo.pop_all()
    return tally.done({name: hidden(places.work / name).stat().st_size for name in names})


def settle(work: Path, done: ShardDone) -> None:
    """Bring the files that ``score_shard`` made to the disk, then give them their names."""
    for name in done.files:
        sync(hidden(work / name))
        os.replace(hidden(work / name), work / name)


def _batches(
    shard: Shard, plan: Plan, version: LoadedVersion, shadow: LoadedVersion | None
) -> Iterator[tuple[Slice, Batch]]:
    features, kept = version.contract.feature_names, plan.kept.names
    if shadow is not None:
        features = tuple(dict.fromkeys([*features, *shadow.contract.feature_names]))
    names = list(dict.fromkeys([*features, *kept, *plan.identity]))
    numbers = [name for name in features if name not in kept]  # what passes through is not parsed
    for one in shard.slices:
        source = plan.inputs[one.source]
        with source.unchanged():
            for batch in source.table.batches(names, one.start, one.stop, numbers):
                yield one, batch


def result_schema(plan: Plan, version: LoadedVersion) -> pa.Schema:
    """Return the columns of a run's result."""
    return part_schema(plan.kept, bounds=version.interval is not None)


def _result(batch: Batch, predicted: Predicted, schema: pa.Schema, version: LoadedVersion) -> pa.RecordBatch:
    """Return the scored rows in the result's columns."""
    accepted = predicted.screened.accepted
    number = np.full(len(predicted.earnings), version.number, np.int32)
    ours = (predicted.earnings, *predicted.bounds, predicted.outside, number)
    columns = [batch.table.column(name) for name in schema.names[: -len(ours)]]
    if not accepted.all():
        columns = [keep_rows(column, accepted) for column in columns]
    return pa.RecordBatch.from_arrays([*columns, *map(to_arrow, ours)], schema=schema)


class _Tally:
    """Adds up what the batches of a shard came to."""

    def __init__(self, shard: Shard) -> None:
        self._scored: Counter[int] = Counter({one.source: 0 for one in shard.slices})
        self._rejected: Counter[int] = Counter()
        self._outside = 0
        self._outside_by_feature: list[int] = []
        self._histograms: list[list[int]] = []
        self._examples: tuple[str, ...] = ()
        self._ids: list[Hashes] = []
        self._shadow: Comparison | None = None

    @property
    def rejected(self) -> int:
        return self._rejected.total()

    def add_ids(self, columns: Sequence[pa.Array], accepted: BoolArray) -> None:
        """Take in the ids of a batch's scored rows."""
        chosen = columns if accepted.all() else [keep_rows(column, accepted) for column in columns]
        self._ids.append(hash_ids(chosen))

    def compare(self, found: Comparison) -> None:
        """Take in how a second version's predictions of a batch differ."""
        self._shadow = found if self._shadow is None else self._shadow + found

    def ids(self) -> Hashes:
        return np.concatenate([np.empty(0, np.uint64), *self._ids])

    def add(self, one: Slice, source: Input, predicted: Predicted) -> None:
        bad: Sequence[BadRow] = predicted.screened.rejected
        self._scored[one.source] += len(predicted.earnings)
        self._rejected[one.source] += len(bad)
        self._outside += int(np.count_nonzero(predicted.outside))
        self._outside_by_feature = added(self._outside_by_feature, predicted.outside_by_feature)
        histograms = [one.tolist() for one in predicted.histograms]
        old = self._histograms or [[] for _ in histograms]
        self._histograms = [added(before, more) for before, more in zip(old, histograms, strict=True)]
        self._examples = (self._examples + told(source.name, bad))[:3]

    def done(self, files: dict[str, int]) -> ShardDone:
        slices = [SliceCounts(source, count, self._rejected[source]) for source, count in self._scored.items()]
        return ShardDone(
            slices,
            files,
            self._outside,
            self._outside_by_feature,
            self._histograms,
            list(self._examples),
            self._shadow,
        )


def hidden(path: Path) -> Path:
    """Return where a file lies until it is whole and on the disk."""
    return path.with_name(f".{path.name}")


def added(before: Sequence[int], more: Sequence[int]) -> list[int]:
    """Add two lists of counts, of which either may be empty for none so far."""
    if not before or not more:
        return list(before or more)
    return [one + other for one, other in zip(before, more, strict=True)]


def _remove(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
