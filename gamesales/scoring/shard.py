"""Score one shard. A shard is a pure function of the plan: scored again, it gives the same bytes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from gamesales.data.arrow import keep_rows, to_arrow
from gamesales.data.files import fsync
from gamesales.data.screen import format_rejects
from gamesales.data.table import Batch
from gamesales.scoring.duplicates import hash_ids, write_hashes
from gamesales.scoring.ledger import ShardResult
from gamesales.scoring.parts import RejectsWriter, make_part_schema, open_part
from gamesales.scoring.plan import Plan, Shard
from gamesales.scoring.predict import BatchPrediction, predict_batch
from gamesales.scoring.scorer import LoadedVersion
from gamesales.scoring.shadow import compare_with_shadow


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
    exceeds ``max_rejects``, the limit of the whole run. Then the only file is the rejects, under its final name.
    ``on_rows`` is called with the number of rows of each batch.

    Raises:
        InputError: an input is damaged.
        TryAgainError: an input was changed meanwhile.
    """
    part, rejects, ids = (temporary_path(paths.work / name) for name in (paths.part, paths.rejects, paths.ids))
    schema = make_result_schema(plan, version)
    total, hashes = ShardResult(), [np.empty(0, np.uint64)]
    with ExitStack() as cleanup:
        cleanup.callback(_remove, part, rejects, ids)
        with (
            open_part(part, schema, plan.metadata(version)) as write_part,
            RejectsWriter(rejects, header=paths.rejects_header) as rejects_writer,
        ):
            for source, batch in _read_batches(shard, plan, version, shadow):
                name = plan.inputs[source].name
                prediction = predict_batch(batch, version)
                write_part(_make_result_batch(batch, prediction, schema, version))
                rejects_writer.write(name, prediction.screened.rejected)
                counts = _count_batch(source, name, prediction)
                if shadow is not None:
                    counts.shadow = compare_with_shadow(batch, prediction, name, version, shadow)
                total.add(counts)
                if plan.identity:
                    hashes.append(hash_ids(_select_scored(batch, plan.identity, prediction)))
                on_rows(len(batch.rows) + len(batch.malformed))
                if total.rows_rejected > max_rejects:
                    break
        if total.rows_rejected > max_rejects:
            os.replace(rejects, paths.work / paths.rejects)
            total.over_reject_limit = True
            return total
        names = [paths.part, paths.rejects] if total.rows_rejected else [paths.part]
        if plan.identity:
            names.append(paths.ids)
            write_hashes(ids, np.concatenate(hashes))
        cleanup.pop_all()
    total.files = {name: temporary_path(paths.work / name).stat().st_size for name in names}
    return total


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


def _select_scored(batch: Batch, names: Sequence[str], prediction: BatchPrediction) -> list[pa.Array]:
    """Return columns of a batch with the scored rows only."""
    accepted = prediction.screened.accepted
    columns = [batch.table.column(name) for name in names]
    return columns if accepted.all() else [keep_rows(column, accepted) for column in columns]


def _make_result_batch(
    batch: Batch, prediction: BatchPrediction, schema: pa.Schema, version: LoadedVersion
) -> pa.RecordBatch:
    """Return the scored rows in the columns of the result."""
    numbers = np.full(len(prediction.predictions), version.number, np.int32)
    scored = (prediction.predictions, *prediction.bounds, prediction.outside_range, numbers)
    columns = _select_scored(batch, schema.names[: -len(scored)], prediction)
    return pa.RecordBatch.from_arrays([*columns, *map(to_arrow, scored)], schema=schema)


def _count_batch(source: int, name: str, prediction: BatchPrediction) -> ShardResult:
    """Count the rows of a batch of the input with this index and this name."""
    rejects = prediction.screened.rejected
    return ShardResult(
        scored={source: len(prediction.predictions)},
        rejected={source: len(rejects)},
        rows_outside_training_range=int(np.count_nonzero(prediction.outside_range)),
        outside_by_feature=prediction.outside_by_feature,
        histograms=[bins.tolist() for bins in prediction.histograms],
        examples=list(format_rejects(name, rejects)),
    )


def _remove(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
