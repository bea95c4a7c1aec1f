"""Score one shard. A shard is a pure function of the plan: scored again, it gives the same bytes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from gamesales.data.arrow import keep_rows
from gamesales.data.contract import UNFAMILIAR_COLUMN
from gamesales.data.files import fsync
from gamesales.data.screen import format_rejects
from gamesales.data.table import Batch
from gamesales.errors import ColumnsError, GamesalesError
from gamesales.scoring.duplicates import ShardIds, hash_ids, write_hashes
from gamesales.scoring.ledger import ShardResult
from gamesales.scoring.parts import RejectsWriter, make_part_schema, open_part
from gamesales.scoring.passthrough import convert_column
from gamesales.scoring.plan import Input, Plan
from gamesales.scoring.predict import BatchPrediction, predict_batch
from gamesales.scoring.scored_titles import PredictionCache
from gamesales.scoring.scorer import LoadedVersion
from gamesales.scoring.shadow import compare_with_shadow
from gamesales.scoring.shard_bounds import Shard

if TYPE_CHECKING:
    from gamesales.data.remote_file import TablePath
    from gamesales.scoring.top_titles import TopTitleList


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


@dataclass(frozen=True)
class ShardTask:
    """What distinguishes a shard from the other shards of its run.

    Attributes:
        inputs: the inputs that it reads, by their index in the plan.
        paths: where its files go.
    """

    shard: Shard
    inputs: Mapping[int, Input]
    paths: ShardPaths

    @property
    def local_paths(self) -> Sequence[Path]:
        """The paths that must be visible where the shard is scored."""
        paths = [source.table.path for source in self.inputs.values()]
        return [self.paths.work, *(path for path in paths if isinstance(path, Path))]


@dataclass(frozen=True)
class ShardScorer:
    """Scores any shard of a run, in this process or in another process, which gets a pickle of it.

    A pickle has neither the inputs nor the shards of the plan, so that it is small whatever the run is. When it is
    unpickled, the golden rows are reproduced.

    Attributes:
        plan: the plan of the run.
        version: the version that scores.
        max_rejects: the limit of the whole run.
        shadow: a second version to compare with.
        cache: what shards of the same process share.
    """

    plan: Plan
    version: LoadedVersion
    max_rejects: int
    shadow: LoadedVersion | None = None
    cache: PredictionCache = field(default_factory=PredictionCache)

    def __reduce__(self) -> tuple[Callable[..., ShardScorer], tuple[object, ...]]:
        plan = replace(self.plan, inputs=(), shards=())
        return _restore_scorer, (plan, self.version, self.max_rejects, self.shadow)

    def score(self, task: ShardTask, on_rows: Callable[[int], None]) -> ShardResult:
        """Score a shard. See ``score_shard``."""
        return score_shard(
            task,
            self.plan,
            self.version,
            max_rejects=self.max_rejects,
            on_rows=on_rows,
            shadow=self.shadow,
            cache=self.cache,
        )


def _restore_scorer(plan: Plan, version: LoadedVersion, max_rejects: int, shadow: LoadedVersion | None) -> ShardScorer:
    """Build an unpickled scorer, and run the self-tests of its versions."""
    for loaded in filter(None, (version, shadow)):
        loaded.run_self_test()
    return ShardScorer(plan, version, max_rejects, shadow)


def make_task(plan: Plan, number: int, paths: ShardPaths) -> ShardTask:
    """Make the task of the shard with this number."""
    shard = plan.shards[number]
    return ShardTask(shard, {part.source: plan.inputs[part.source] for part in shard.ranges}, paths)


def score_shard(
    task: ShardTask,
    plan: Plan,
    version: LoadedVersion,
    *,
    max_rejects: int,
    on_rows: Callable[[int], None],
    shadow: LoadedVersion | None = None,
    cache: PredictionCache | None = None,
) -> ShardResult:
    """Read, screen, score and write the rows of a shard.

    The files get temporary names; ``fsync_and_rename`` gives them their final names. Scoring stops at the batch that
    exceeds ``max_rejects``, the limit of the whole run. Then the only file is the rejects, under its final name.
    ``on_rows`` is called with the number of rows of each batch. Shards of the same run may share a ``cache``.

    Raises:
        InputError: an input is damaged.
        TryAgainError: an input was changed meanwhile.
        GamesalesError: rows were lost.
    """
    shard, paths = task.shard, task.paths
    part, rejects, ids = (temporary_path(paths.work / name) for name in (paths.part, paths.rejects, paths.ids))
    schema = make_result_schema(plan, version)
    total, shard_ids, top_titles = ShardResult(), ShardIds(), _open_top_titles(plan)
    with ExitStack() as cleanup:
        cleanup.callback(_remove, part, rejects, ids)
        with (
            open_part(part, schema, plan.metadata(version)) as write_part,
            RejectsWriter(rejects, header=paths.rejects_header) as rejects_writer,
        ):
            for source, batch in _read_batches(task, plan, version, shadow):
                name, path = task.inputs[source].name, task.inputs[source].table.path
                prediction = predict_batch(batch, version, cache)
                copied = _copy_columns(batch, plan, path, prediction)
                columns = [*copied, *prediction.make_columns(version.number).values()]
                write_part(pa.RecordBatch.from_arrays(columns, schema=schema))
                rejects_writer.write(name, prediction.screened.rejected)
                counts = _count_batch(source, name, prediction, len(batch.blank))
                if shadow is not None:
                    counts.shadow = compare_with_shadow(batch, prediction, name, version, shadow)
                total.add(counts)
                if plan.identity:
                    shard_ids.add(_select_scored(batch, plan.identity, prediction))
                if top_titles is not None:
                    top_titles.add(prediction, copied)
                on_rows(batch.row_count)
                if total.rows_rejected > max_rejects:
                    break
        if total.rows_rejected > max_rejects:
            os.replace(rejects, paths.work / paths.rejects)
            total.over_reject_limit = True
            return total
        check_row_count(shard.rows, total.rows_scored, total.rows_rejected, total.rows_blank)
        names = [paths.part, paths.rejects] if total.rows_rejected else [paths.part]
        total.id_range = shard_ids.range
        total.top_titles = [] if top_titles is None else top_titles.titles
        if plan.identity and (hashes := shard_ids.hashes) is not None:
            names.append(paths.ids)
            write_hashes(ids, hashes)
        cleanup.pop_all()
    total.files = {name: temporary_path(paths.work / name).stat().st_size for name in names}
    return total


def _open_top_titles(plan: Plan) -> TopTitleList | None:
    """Return an empty list of the titles to explain; None if the run explains none."""
    if not plan.explain:
        return None
    from gamesales.scoring.top_titles import TopTitleList  # only a run with explanations needs it

    return TopTitleList(plan)


def check_row_count(rows_in: int, scored: int, rejected: int, blank: int = 0) -> None:
    """Check that rows read = rows scored + rows rejected + blank rows.

    Raises:
        GamesalesError: rows were lost.
    """
    if rows_in != scored + rejected + blank:
        raise GamesalesError(
            f"rows were lost: {rows_in:,} read, {scored:,} scored, {rejected:,} rejected, {blank:,} blank; "
            "nothing was published",
            hint="Report this with the input file",
        )


def hash_shard(task: ShardTask, plan: Plan, version: LoadedVersion, result: ShardResult) -> None:
    """Read a scored shard again and write the hashes of its ids, which it left out because they ascend."""
    is_whole = result.rows_rejected == result.rows_blank == 0  # otherwise the batches show which rows were scored
    names, hashes, cache = plan.identity if is_whole else None, [np.empty(0, np.uint64)], PredictionCache()
    for _, batch in _read_batches(task, plan, version, names=names):
        columns = [batch.table.column(name) for name in plan.identity]
        if not is_whole:
            columns = _select_scored(batch, plan.identity, predict_batch(batch, version, cache))
        hashes.append(hash_ids(columns))
    write_hashes(task.paths.work / task.paths.ids, np.sort(np.concatenate(hashes)))


def fsync_and_rename(work: Path, result: ShardResult) -> None:
    """Force a shard's files to the disk, then give them their final names."""
    for name in result.files:
        fsync(temporary_path(work / name))
        os.replace(temporary_path(work / name), work / name)


def temporary_path(path: Path) -> Path:
    """Return where a file is until it is complete and on the disk."""
    return path.with_name(f".{path.name}")


def make_result_schema(plan: Plan, version: LoadedVersion) -> pa.Schema:
    """Return the columns of a run's result.

    Raises:
        ColumnsError: the inputs have the column ``unfamiliar``, in any case, and the version writes it.
    """
    clashes = [name for name in plan.passthrough.names if name.lower() == UNFAMILIAR_COLUMN]
    if version.combinations is not None and clashes:
        raise ColumnsError(
            f"{plan.inputs[0].table.path}: {clashes[0]} is a column that scoring writes",
            hint="Rename or drop the column, or leave it out of --keep",
        )
    return make_part_schema(
        plan.passthrough,
        bounds=version.prediction_interval is not None,
        unfamiliar=version.combinations is not None,
    )


def _read_batches(
    task: ShardTask,
    plan: Plan,
    version: LoadedVersion,
    shadow: LoadedVersion | None = None,
    names: Sequence[str] | None = None,
) -> Iterator[tuple[int, Batch]]:
    """Yield the batches of a shard with the columns ``names``, by default all; each with the index of its input."""
    contracts = [loaded.contract for loaded in (version, shadow) if loaded is not None]
    features, passthrough = [name for contract in contracts for name in contract.feature_names], plan.passthrough.names
    texts = {name for contract in contracts for name in set(contract.feature_names) - set(contract.number_names)}
    if names is None:
        names = list(dict.fromkeys([*features, *passthrough, *plan.identity]))
    # Pass-through columns are not parsed.
    numbers = [name for name in dict.fromkeys(features) if name in names and name not in {*passthrough, *texts}]
    for part in task.shard.ranges:
        source = task.inputs[part.source]
        with source.require_unchanged():
            for batch in source.table.read_batches(names, part.start, part.stop, numbers):
                yield part.source, batch


def _select_scored(batch: Batch, names: Sequence[str], prediction: BatchPrediction) -> list[pa.Array]:
    """Return columns of a batch with the scored rows only."""
    accepted = prediction.screened.accepted
    columns = [batch.table.column(name) for name in names]
    return columns if accepted.all() else [keep_rows(column, accepted) for column in columns]


def _copy_columns(batch: Batch, plan: Plan, path: TablePath, prediction: BatchPrediction) -> list[pa.Array]:
    """Return the pass-through columns of the scored rows, with their types in the result."""
    columns = _select_scored(batch, plan.passthrough.names, prediction)
    return [convert_column(column, field, path) for column, field in zip(columns, plan.passthrough, strict=True)]


def _count_batch(source: int, name: str, prediction: BatchPrediction, blank: int) -> ShardResult:
    """Count the rows of a batch of the input with this index and this name; ``blank`` rows have no value."""
    rejects = prediction.screened.rejected
    return ShardResult(
        scored={source: len(prediction.predictions)},
        rejected={source: len(rejects)},
        blank={source: blank},
        rows_outside_training_range=int(np.count_nonzero(prediction.outside_range)),
        rows_unfamiliar=0 if prediction.unfamiliar is None else int(np.count_nonzero(prediction.unfamiliar)),
        rows_clipped=prediction.rows_clipped,
        rows_without_interval=prediction.rows_without_interval,
        outside_by_feature=prediction.outside_by_feature,
        extremes=prediction.extremes,
        sums=prediction.sums,
        histograms=[bins.tolist() for bins in prediction.histograms],
        examples=list(format_rejects(name, rejects)),
    )


def _remove(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
