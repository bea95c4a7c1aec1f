"""A scoring run: score the shards that are not finished, count the rows, publish.

A run is published only if rows read = rows scored + rows rejected + blank rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from gamesales.data.files import DISK_FULL_ERRORS, explain_write_errors
from gamesales.data.screen import SHOWN_REJECTS
from gamesales.errors import TooManyOutsideError, TooManyRejectsError, collect_warnings
from gamesales.scoring.commit import recover_folder
from gamesales.scoring.engines import Engine, RowsCallback, TaskScorer
from gamesales.scoring.engines.local import count_cores, run_shards
from gamesales.scoring.familiarity import describe_outside
from gamesales.scoring.ledger import WITHHELD, ShardResult, read_ledger, record_shard, require_complete
from gamesales.scoring.output import OutputPaths, open_output
from gamesales.scoring.plan import Plan, RunOptions
from gamesales.scoring.predict import predict_batch
from gamesales.scoring.run_report import RunReport, format_report, read_report, report_files
from gamesales.scoring.run_summary import find_duplicates, make_report, warn_about_rows
from gamesales.scoring.scorer import LoadedVersion
from gamesales.scoring.shard import (
    ShardPaths,
    ShardScorer,
    check_row_count,
    fsync_and_rename,
    make_result_schema,
    make_task,
)
from gamesales.scoring.withheld import WithheldRun, hash_files, make_page, read_withheld
from gamesales.scoring.workspace import find_run, open_workspace


def score_files(
    plan: Plan,
    version: LoadedVersion,
    target: OutputPaths,
    options: RunOptions,
    on_rows: Callable[[int], None] = lambda rows: None,
    run_shards: Engine = run_shards,
) -> RunReport:
    """Score every row of a plan and publish the result as a whole, or withhold it because of drift.

    A result that is already published or withheld is kept. ``on_rows`` is called with the number of rows scored since
    the last call. ``run_shards`` is the engine; by default threads of this process.

    Raises:
        TooManyRejectsError: too many rows were rejected; the rejects are in the working folder.
        TooManyOutsideError: too many rows are outside the training range.
        UsageError: the result would replace an input.
        TryAgainError: another run writes this result, an input was changed, or the disk is full.
    """
    started = datetime.now(UTC)
    target.check([source.table.path for source in plan.inputs], make_result_schema(plan, version))
    with ExitStack() as stack:
        stack.enter_context(explain_write_errors(DISK_FULL_ERRORS, target.visible, outcome="nothing is half written"))
        warnings = stack.enter_context(collect_warnings())
        workspace = stack.enter_context(open_workspace(target.work, plan.run_id, fresh=options.fresh))
        work = workspace.folder
        if not target.is_file:
            recover_folder(target.visible, work, plan.run_id)
        published = None if options.fresh else read_report(target)
        if published and published.run_id == plan.run_id and is_acceptable(published, options):
            (work / WITHHELD).unlink(missing_ok=True)
            return replace(published, already_done=True)
        if (withheld := read_withheld(work)) and is_acceptable(withheld.report, options):
            return replace(_locate_rejects(withheld.report, target, work), already_done=True)
        (work / WITHHELD).unlink(missing_ok=True)
        schema, metadata = make_result_schema(plan, version), plan.metadata(version)
        output = stack.enter_context(open_output(target, work, plan.run_id, schema, metadata))
        resumed = read_ledger(work)
        on_rows(sum(plan.shards[number].rows for number in resumed))
        paths = [output.paths_of(shard.number) for shard in plan.shards]
        scorer = ShardScorer(plan, version, options.limit.allowed(plan.rows), options.shadow)

        def finish(number: int, result: ShardResult) -> None:
            if not result.over_reject_limit:
                fsync_and_rename(work, result)
                record_shard(work, number, result)

        results = score_shards(plan, scorer, paths, resumed, finish, output.add, options, on_rows, run_shards)
        if error := find_too_many_rejects(plan, results, options, str(output.rejects)):
            output.join_rejects()
            raise error
        in_order = [results[shard.number] for shard in plan.shards]
        duplicates = find_duplicates(plan, version, paths, in_order, options)
        require_complete(work, in_order)
        files = output.close()
        report = make_report(
            plan,
            version,
            in_order,
            options,
            run_date=target.run_date,
            output=str(target.visible),
            rejects=str(target.rejects),
            files=report_files(target, files),
            started=started,
            resumed=len(resumed),
            duplicates=duplicates,
        )
        check_report(report, options)
        report = replace(report, warnings=list(warnings))
        if is_to_withhold(report, options):
            report = replace(report, is_withheld=True)
            replaces = None if (previous := read_report(target)) is None else previous.run_id
            workspace.confirm()
            WithheldRun(report, replaces, hash_files(work), schema, metadata).write(work)
            output.join_rejects()
            return _locate_rejects(report, target, work)
        page = make_page(options.make_page, report, target, files, output.list_rejects())
        output.publish(format_report(report), workspace.confirm, page)
    return replace(report, warnings=warnings)


def is_acceptable(published: RunReport, options: RunOptions) -> bool:
    """Return whether a published result is within the limits of this run, which may be stricter."""
    allowed = options.limit.allowed(published.rows_in - published.rows_blank)
    unique = published.duplicate_ids is None or not published.duplicate_ids.ids
    inside = published.rows_outside_training_range <= options.max_outside * published.rows_scored
    return published.rows_rejected <= allowed and (unique or not options.unique_ids) and inside


def _locate_rejects(report: RunReport, target: OutputPaths, work: Path) -> RunReport:
    """Return the report of a withheld run with the path that its rejects have until it is published."""
    return replace(report, rejects=report.rejects and str(target.staged_rejects(work)))


def is_to_withhold(report: RunReport, options: RunOptions) -> bool:
    """Return whether a complete run is not published because of drift."""
    return options.withhold_drift and report.drift is not None and bool(report.drift.drifted)


def check_report(report: RunReport, options: RunOptions) -> None:
    """Check the counts of a complete run, and warn about its rows.

    Raises:
        GamesalesError: rows were lost.
        TooManyOutsideError: more rows are outside the training range than the share that is allowed.
    """
    check_row_count(report.rows_in, report.rows_scored, report.rows_rejected, report.rows_blank)
    outside, rows = report.rows_outside_training_range, report.rows_scored
    if outside > options.max_outside * rows:
        raise TooManyOutsideError(
            f"{outside:,} of {rows:,} titles ({outside / rows:.1%}) are outside the training range, more than the "
            f"{100 * options.max_outside:.10g}% allowed; nothing was published. "
            f"{describe_outside(report.outside_columns)}",
            hint="Correct the inputs, or allow more: --max-outside N%",
        )
    warn_about_rows(report)


def score_shards(
    plan: Plan,
    scorer: TaskScorer,
    paths: Sequence[ShardPaths],
    resumed: Mapping[int, ShardResult],
    finish: Callable[[int, ShardResult], None],
    add: Callable[[int], None],
    options: RunOptions,
    on_rows: RowsCallback,
    run_shards: Engine,
) -> dict[int, ShardResult]:
    """Score the shards that are not finished.

    Args:
        plan: the plan of the run.
        scorer: scores its tasks.
        paths: where the files of each shard go.
        resumed: the shards that are finished.
        finish: completes a scored shard; see ``Engine``.
        add: called with the number of each shard that is finished, also of those in ``resumed``.
        options: the options of the run.
        on_rows: called with the rows scored since the last call.
        run_shards: the engine.

    Returns:
        The results by shard number. Shards are missing if more rows were rejected than the run may reject.
    """
    allowed = options.limit.allowed(plan.rows)
    results = dict(resumed)
    for number in resumed:
        add(number)
    if _count_rejects(results) > allowed:
        return results
    missing = [shard.number for shard in plan.shards if shard.number not in resumed]
    tasks = [make_task(plan, number, paths[number]) for number in missing]
    with closing(run_shards(tasks, scorer, finish, options.workers, on_rows)) as finished:
        for number, result in finished:
            results[number] = result
            if not result.over_reject_limit:
                add(number)
            if _count_rejects(results) > allowed:
                break
    return results


def _count_rejects(results: Mapping[int, ShardResult]) -> int:
    return sum(result.rows_rejected for result in results.values())


def find_too_many_rejects(
    plan: Plan, results: Mapping[int, ShardResult], options: RunOptions, rejects: str
) -> TooManyRejectsError | None:
    """Return an error if more rows were rejected than the run may reject; ``rejects`` is where they are.

    The error describes the rejects in shard order; a shard that stopped early comes last.
    """
    allowed = options.limit.allowed(plan.rows - sum(result.rows_blank for result in results.values()))
    if _count_rejects(results) <= allowed:
        return None
    ordered = sorted(results.items(), key=lambda item: (item[1].over_reject_limit, item[0]))
    examples = [example for _, result in ordered for example in result.examples]
    return TooManyRejectsError(
        f"{_count_rejects(results):,} of {plan.rows:,} rows were rejected, more than the {allowed:,} allowed; "
        f"nothing was published. First: {'; '.join(examples[:SHOWN_REJECTS])}",
        hint=f"The rejects so far, with reasons: {rejects}. To allow more: --max-rejects N or N%",
    )


def count_resumable_shards(target: OutputPaths, plan: Plan) -> int:
    """Count the shards that an interrupted run of the same plan has finished."""
    work = find_run(target.work, plan.run_id)
    return 0 if work is None else len(read_ledger(work))


def estimate_seconds(plan: Plan, version: LoadedVersion, workers: int | None) -> float | None:
    """Estimate the duration of a run in seconds from the time of its first batch, without writing.

    Returns:
        The duration; None for a run without rows.
    """
    first = next((part for shard in plan.shards for part in shard.ranges), None)
    if first is None:
        return None
    started = time.perf_counter()
    names, numbers = version.contract.feature_names, version.contract.number_names
    batch = next(plan.inputs[first.source].table.read_batches(names, first.start, first.stop, numbers))
    predict_batch(batch, version)
    seconds_per_row = (time.perf_counter() - started) / max(len(batch.rows), 1)
    return round(seconds_per_row * plan.rows / min(workers or count_cores(), len(plan.shards)), 2)
