"""Score one shard. A shard is a pure function of the plan: scored again, it gives the same bytes."""

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
from gamesales.data.files import fsync
from gamesales.data.screen import format_rejects
from gamesales.data.table import Batch
from gamesales.scoring.duplicates import Hashes, hash_ids, write_hashes
from gamesales.scoring.ledger import InputCounts, ShardResult
from gamesales.scoring.parts import RejectsWriter, make_part_schema, open_part
from gamesales.scoring.plan import Plan, Shard
from gamesales.scoring.predict import BatchPrediction, predict_batch
from gamesales.scoring.scorer import LoadedVersion
from gamesales.scoring.shadow import ShadowComparison, compare_with_shadow

_MAX_EXAMPLES = 3


@dataclass(frozen=True)
class ShardPaths:
    """Where a shard's files go.

    Attributes:
        work: the working folder; the other paths are relative to it.
        part: the scored rows; the suffix decides the format.
        rejects: the rejected rows.
        rejects_header: whether the file of rejects begins with a header.
        ids: the hashes of the titles' ids.
    """

    work: Path
    part: str
    rejects: str
    rejects_header: bool
    ids: str


def score_shard(
    shard: Shard,
    plan: Plan,
    version: LoadedVersion,
    paths: ShardPaths,
    *,
    max_rejects: int,
    on_rows: Callable[[int], None],
    shadow: LoadedVersion | None = None,
) -> ShardResult:
    """Read, screen, score and write the rows of a shard.

    The files get temporary names; ``fsync_and_rename`` gives them their final names. Scoring stops at the batch that
    exceeds ``max_rejects``. Then the only file is the rejects, under its final name.

    Args:
        shard: the rows to score.
        plan: the plan of the run.
        version: the version that scores.
        paths: where the files go.
        max_rejects: how many rows the whole run may reject.
        on_rows: called with the number of rows of each batch.
        shadow: a second version to compare with.

    Returns:
        The counts of the shard, and its files.

    Raises:
        InputError: an input is damaged.
        TryAgainError: an input was changed meanwhile.
    """
    part, rejects, ids = (paths.work / name for name in (paths.part, paths.rejects, paths.ids))
    schema = make_result_schema(plan, version)
    totals = _ShardTotals(shard)
    with ExitStack() as cleanup:
        cleanup.callback(_remove, temporary_path(part), temporary_path(rejects), temporary_path(ids))
        with ExitStack() as files:
            part_writer = files.enter_context(open_part(temporary_path(part), schema, plan.metadata(version)))
            rejects_writer = files.enter_context(RejectsWriter(temporary_path(rejects), header=paths.rejects_header))
            for source, batch in _read_batches(shard, plan, version, shadow):
                name = plan.inputs[source].name
                prediction = predict_batch(batch, version)
                part_writer.write(_make_result_batch(batch, prediction, schema, version))
                rejects_writer.write(name, prediction.screened.rejected)
                totals.add(source, name, prediction)
                if shadow is not None:
                    totals.add_comparison(compare_with_shadow(batch, prediction, name, version, shadow))
                if plan.identity:
                    columns = [batch.table.column(column) for column in plan.identity]
                    totals.add_ids(columns, prediction.screened.accepted)
                on_rows(len(batch.rows) + len(batch.malformed))
                if totals.rejected > max_rejects:
                    break
        if totals.rejected > max_rejects:
            os.replace(temporary_path(rejects), rejects)
            return totals.make_result({}, over_reject_limit=True)
        names = [paths.part] if rejects_writer.is_empty else [paths.part, paths.rejects]
        if plan.identity:
            names.append(paths.ids)
            write_hashes(temporary_path(ids), totals.join_ids())
        cleanup.pop_all()
    return totals.make_result({name: temporary_path(paths.work / name).stat().st_size for name in names})


def fsync_and_rename(work: Path, result: ShardResult) -> None:
    """Force a shard's files to the disk, then give them their final names."""
    for name in result.files:
        fsync(temporary_path(work / name))
        os.replace(temporary_path(work / name), work / name)


def temporary_path(path: Path) -> Path:
    """Return where a file is until it is complete and on the disk."""
    return path.with_name(f".{path.name}")


def make_result_schema(plan: Plan, version: LoadedVersion) -> pa.Schema:
    """Return the columns of a run's result."""
    return make_part_schema(plan.passthrough, bounds=version.prediction_interval is not None)


def _read_batches(
    shard: Shard, plan: Plan, version: LoadedVersion, shadow: LoadedVersion | None
) -> Iterator[tuple[int, Batch]]:
    """Yield the batches of a shard, each with the index of its input."""
    features, passthrough = version.contract.feature_names, plan.passthrough.names
    if shadow is not None:
        features = tuple(dict.fromkeys([*features, *shadow.contract.feature_names]))
    names = list(dict.fromkeys([*features, *passthrough, *plan.identity]))
    numbers = [name for name in features if name not in passthrough]  # pass-through columns are not parsed
    for part in shard.ranges:
        source = plan.inputs[part.source]
        with source.require_unchanged():
            for batch in source.table.read_batches(names, part.start, part.stop, numbers):
                yield part.source, batch


def _make_result_batch(
    batch: Batch, prediction: BatchPrediction, schema: pa.Schema, version: LoadedVersion
) -> pa.RecordBatch:
    """Return the scored rows in the columns of the result."""
    accepted = prediction.screened.accepted
    numbers = np.full(len(prediction.predictions), version.number, np.int32)
    scored = (prediction.predictions, *prediction.bounds, prediction.outside_range, numbers)
    columns = [batch.table.column(name) for name in schema.names[: -len(scored)]]
    if not accepted.all():
        columns = [keep_rows(column, accepted) for column in columns]
    return pa.RecordBatch.from_arrays([*columns, *map(to_arrow, scored)], schema=schema)


class _ShardTotals:
    """Adds up the batches of a shard."""

    def __init__(self, shard: Shard) -> None:
        self._scored: Counter[int] = Counter({part.source: 0 for part in shard.ranges})
        self._rejected: Counter[int] = Counter()
        self._outside = 0
        self._outside_by_feature: list[int] = []
        self._histograms: list[list[int]] = []
        self._examples: tuple[str, ...] = ()
        self._ids: list[Hashes] = []
        self._comparison: ShadowComparison | None = None

    @property
    def rejected(self) -> int:
        return self._rejected.total()

    def add(self, source: int, name: str, prediction: BatchPrediction) -> None:
        """Add a batch of the input with this index and this name."""
        rejects = prediction.screened.rejected
        self._scored[source] += len(prediction.predictions)
        self._rejected[source] += len(rejects)
        self._outside += int(np.count_nonzero(prediction.outside_range))
        self._outside_by_feature = add_counts(self._outside_by_feature, prediction.outside_by_feature)
        histograms = [bins.tolist() for bins in prediction.histograms]
        totals = self._histograms or [[] for _ in histograms]
        self._histograms = [add_counts(total, bins) for total, bins in zip(totals, histograms, strict=True)]
        self._examples = (self._examples + format_rejects(name, rejects))[:_MAX_EXAMPLES]

    def add_comparison(self, comparison: ShadowComparison) -> None:
        """Add the comparison of a batch with the shadow."""
        self._comparison = comparison if self._comparison is None else self._comparison + comparison

    def add_ids(self, columns: Sequence[pa.Array], accepted: BoolArray) -> None:
        """Add the ids of a batch's scored rows."""
        scored = columns if accepted.all() else [keep_rows(column, accepted) for column in columns]
        self._ids.append(hash_ids(scored))

    def join_ids(self) -> Hashes:
        return np.concatenate([np.empty(0, np.uint64), *self._ids])

    def make_result(self, files: dict[str, int], *, over_reject_limit: bool = False) -> ShardResult:
        return ShardResult(
            inputs=[InputCounts(source, count, self._rejected[source]) for source, count in self._scored.items()],
            files=files,
            rows_outside_training_range=self._outside,
            outside_by_feature=self._outside_by_feature,
            histograms=self._histograms,
            examples=list(self._examples),
            shadow=self._comparison,
            over_reject_limit=over_reject_limit,
        )


def add_counts(totals: Sequence[int], counts: Sequence[int]) -> list[int]:
    """Add two lists of counts; an empty list stands for zeros."""
    if not totals or not counts:
        return list(totals or counts)
    return [total + count for total, count in zip(totals, counts, strict=True)]


def _remove(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
