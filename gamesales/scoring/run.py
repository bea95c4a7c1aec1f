"""A scoring run: do the shards that are not done yet, count, publish.

Rows in must equal rows scored plus rows rejected, or nothing is published.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from gamesales.data import screen as counts
from gamesales.data.files import FULL, explaining
from gamesales.scoring import commit
from gamesales.scoring.engines import local
from gamesales.scoring.ledger import Ledger, ShardDone
from gamesales.scoring.options import Options
from gamesales.scoring.output import File, Folder, Result, Target
from gamesales.scoring.plan import Plan
from gamesales.scoring.predict import predict_titles
from gamesales.scoring.run_report import RunReport, as_text, doubled_ids, make_report, read_report
from gamesales.scoring.scorer import LoadedVersion
from gamesales.scoring.shard import TooManyError, result_schema, score_shard, settle


def score_files(
    plan: Plan,
    version: LoadedVersion,
    target: Target,
    options: Options,
    on_rows: Callable[[int], None] = lambda rows: None,
) -> RunReport:
    """Score every row of a plan and publish the result, whole or not at all; what is published already stays.

    Args: on_rows: called with the number of rows done since the last call.
    Raises: TooManyRejectsError: the rejects lie in the working folder. UsageError: the result would replace an
        input. TryAgainError: another run writes this result, an input changed, or the disk is full.
    """
    started = datetime.now(UTC)
    target.check([one.table.path for one in plan.inputs])
    with ExitStack() as stack:
        stack.enter_context(explaining(FULL, target.place, outcome="nothing is half written"))
        work = stack.enter_context(commit.workspace(target.work, plan.run_id, fresh=options.fresh))
        if not target.is_file:
            commit.restore(target.place)
        allowed = options.limit.allowed(plan.rows)
        published = None if options.fresh else read_report(target)
        if published and published.run_id == plan.run_id and _would_do(published, allowed, options):
            return replace(published, already_done=True)
        result = stack.enter_context(_result(plan, version, target, work))
        resumed = Ledger(work).done()
        on_rows(sum(one.rows_scored + one.rows_rejected for one in resumed.values()))
        done = dict(resumed)
        for number in resumed:
            result.add(number)
        try:
            _check_rejects(done, allowed)
            with closing(_do(plan, version, result, work, resumed, options, on_rows)) as coming:
                for number, one in coming:
                    done[number] = one
                    result.add(number)
                    _check_rejects(done, allowed)
        except TooManyError as error:
            result.abandon()
            everything = [*(done[number] for number in sorted(done)), error.done]
            raise counts.too_many(
                sum(each.rows_rejected for each in everything),
                plan.rows,
                allowed,
                [example for each in everything for example in each.examples],
                str(result.rejects),
            ) from None
        in_order = [done[number] for number in range(len(plan.shards))]
        found = doubled_ids(plan, result, options)
        report = make_report(plan, version, target, in_order, result.close(), started, options, len(resumed), found)
        counts.check_invariant(report.rows_in, report.rows_scored, report.rows_rejected)
        result.publish(as_text(report), any_rejects=report.rows_rejected > 0)
    return report


def _would_do(published: RunReport, allowed: int, options: Options) -> bool:
    """Tell whether what is published is within the limits that are given now."""
    unique = not (published.doubled_ids and published.doubled_ids["ids"])
    return published.rows_rejected <= allowed and (unique or not options.unique_ids)


def _result(plan: Plan, version: LoadedVersion, target: Target, work: Path) -> Result:
    if target.is_file:
        return File(target, work, result_schema(plan, version), plan.metadata(version))
    return Folder(target, work, plan.run_id)


def _do(
    plan: Plan,
    version: LoadedVersion,
    result: Result,
    work: Path,
    resumed: dict[int, ShardDone],
    options: Options,
    on_rows: Callable[[int], None],
) -> Generator[tuple[int, ShardDone], None, None]:
    """Do the shards that are not done, and enter each in the ledger."""
    allowed, ledger = options.limit.allowed(plan.rows), Ledger(work)

    def do(number: int, pulse: Callable[[int], None]) -> ShardDone:
        places = result.places(number)
        shard = plan.shards[number]
        done = score_shard(shard, plan, version, places, most_rejects=allowed, on_rows=pulse, shadow=options.shadow)
        counts.check_invariant(shard.rows, done.rows_scored, done.rows_rejected)
        return done

    def finish(number: int, done: ShardDone) -> None:
        settle(work, done)
        ledger.record(number, done)

    missing = [shard.number for shard in plan.shards if shard.number not in resumed]
    return local.do_all(missing, do, finish, options.threads, on_rows)


def _check_rejects(done: dict[int, ShardDone], allowed: int) -> None:
    """Stop as soon as it is clear that too much is rejected."""
    if sum(one.rows_rejected for one in done.values()) > allowed:
        raise TooManyError(ShardDone([], {}))


def resumable(target: Target, plan: Plan) -> int:
    """Count the shards that an interrupted run of the same plan has left."""
    mark = target.work / "run_id"
    if not mark.is_file() or mark.read_text(encoding="utf-8") != plan.run_id:
        return 0
    return len(Ledger(target.work).done())


def estimate(plan: Plan, version: LoadedVersion, threads: int) -> float | None:
    """Estimate the seconds that a run takes, from the time of its first rows; writing is not in it."""
    one = next((each for shard in plan.shards for each in shard.slices), None)
    if one is None:
        return None
    started = time.perf_counter()
    numbers = version.contract.feature_names
    batch = next(plan.inputs[one.source].table.batches(numbers, one.start, one.stop, numbers))
    predict_titles(batch, version)
    each = (time.perf_counter() - started) / max(len(batch.rows), 1)
    return round(each * plan.rows / min(threads, len(plan.shards)), 2)
