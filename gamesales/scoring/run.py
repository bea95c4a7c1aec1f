"""A scoring run: do the shards that are not done yet, count, publish.

Rows in must equal rows scored plus rows rejected, or nothing is published.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from gamesales.errors import InputError
from gamesales.scoring import commit, counts, doubled, drift
from gamesales.scoring.assembly import File, Folder, Result
from gamesales.scoring.counts import RejectLimit
from gamesales.scoring.engines import local
from gamesales.scoring.ledger import Ledger, ShardDone
from gamesales.scoring.plan import Plan
from gamesales.scoring.scorer import LoadedVersion
from gamesales.scoring.shard import TooManyError, added, score_shard
from gamesales.scoring.target import Target
from gamesales.scoring.titles import predict_titles


@dataclass(frozen=True)
class RunReport:
    """What a run did, as ``_run.json`` holds it.

    ``files`` are those with scored rows, with their sizes in bytes; ``already_done`` says that an earlier run had
    published just this; ``shards_resumed`` counts the shards that an interrupted run had done.
    """

    run_id: str
    run_date: str
    model: str
    model_version: int
    bundle_sha256: str
    output: str
    rejects: str | None
    rows_in: int
    rows_scored: int
    rows_rejected: int
    rows_outside_training_range: int
    inputs: list[dict[str, Any]]
    files: list[dict[str, Any]]
    doubled_ids: dict[str, Any] | None
    drift: dict[str, Any] | None
    shards: int
    shards_resumed: int
    started: str
    seconds: float
    already_done: bool = field(default=False)


@dataclass(frozen=True)
class Options:
    """How a run is done; none of it changes a byte of the result."""

    limit: RejectLimit = field(default_factory=RejectLimit)
    workers: int | None = None
    fresh: bool = False
    psi_threshold: float = drift.PSI_THRESHOLD
    unique_ids: bool = False

    @property
    def threads(self) -> int:
        """As many as asked for, or as there are cores."""
        return self.workers or _cores()


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
        input. TryAgainError: another run writes this result, or an input changed.
    """
    started = datetime.now(UTC)
    target.check([one.table.path for one in plan.inputs])
    with ExitStack() as stack:
        work = stack.enter_context(commit.workspace(target.work, plan.run_id, fresh=options.fresh))
        if not target.is_file:
            commit.restore(target.place)
        allowed = options.limit.allowed(plan.rows)
        published = None if options.fresh else read_report(target)
        if published and published.run_id == plan.run_id and _would_do(published, allowed, options):
            return replace(published, already_done=True)
        result = stack.enter_context(_result(plan, version, target, work))
        ledger = Ledger(work)
        resumed = ledger.done()
        on_rows(sum(one.rows_scored + one.rows_rejected for one in resumed.values()))
        done = dict(resumed)
        for number in resumed:
            result.add(number)
        try:
            _check_rejects(done, allowed)
            with closing(_do(plan, version, result, ledger, resumed, options, on_rows)) as coming:
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
        doubled_ids = _doubled_ids(plan, result, options)
        report = _report(plan, version, target, in_order, result.close(), started, options, len(resumed), doubled_ids)
        counts.check_invariant(report.rows_in, report.rows_scored, report.rows_rejected)
        result.publish(as_text(report), any_rejects=report.rows_rejected > 0)
    return report


def _would_do(published: RunReport, allowed: int, options: Options) -> bool:
    """Tell whether what is published is within the limits that are given now."""
    unique = not (published.doubled_ids and published.doubled_ids["ids"])
    return published.rows_rejected <= allowed and (unique or not options.unique_ids)


def _result(plan: Plan, version: LoadedVersion, target: Target, work: Path) -> Result:
    if target.is_file:
        return File(target, work, plan.kept, plan.metadata(version))
    return Folder(target, work, plan.run_id)


def _do(
    plan: Plan,
    version: LoadedVersion,
    result: Result,
    ledger: Ledger,
    resumed: dict[int, ShardDone],
    options: Options,
    on_rows: Callable[[int], None],
) -> Generator[tuple[int, ShardDone], None, None]:
    """Do the shards that are not done, and enter each in the ledger."""
    allowed = options.limit.allowed(plan.rows)

    def do(number: int, pulse: Callable[[int], None]) -> ShardDone:
        places = result.places(number)
        shard = plan.shards[number]
        done = score_shard(shard, plan, version, places, most_rejects=allowed, on_rows=pulse)
        counts.check_invariant(shard.rows, done.rows_scored, done.rows_rejected)
        ledger.record(number, done)
        return done

    missing = [shard.number for shard in plan.shards if shard.number not in resumed]
    return local.do_all(missing, do, options.threads, on_rows)


def _cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check_rejects(done: dict[int, ShardDone], allowed: int) -> None:
    """Stop as soon as it is clear that too much is rejected."""
    if sum(one.rows_rejected for one in done.values()) > allowed:
        raise TooManyError(ShardDone([], {}))


def _report(
    plan: Plan,
    version: LoadedVersion,
    target: Target,
    done: list[ShardDone],
    files: Any,
    started: datetime,
    options: Options,
    resumed: int,
    doubled_ids: dict[str, Any] | None,
) -> RunReport:
    scored, rejected = [0] * len(plan.inputs), [0] * len(plan.inputs)
    for one in (each for shard in done for each in shard.slices):
        scored[one.source] += one.rows_scored
        rejected[one.source] += one.rows_rejected
    inputs = [
        {"name": one.name, "size": one.size, "sha256": one.sha256, "rows": one.rows, "rejected": rejected[place]}
        for place, one in enumerate(plan.inputs)
    ]
    return RunReport(
        run_id=plan.run_id,
        run_date=target.day.isoformat(),
        model=version.model,
        model_version=version.number,
        bundle_sha256=version.digest,
        output=str(target.place),
        rejects=str(target.rejects) if sum(rejected) else None,
        rows_in=plan.rows,
        rows_scored=sum(scored),
        rows_rejected=sum(rejected),
        rows_outside_training_range=sum(one.rows_outside_training_range for one in done),
        inputs=inputs,
        files=[{"name": target.path.name if target.is_file else one.name, "size": one.stat().st_size} for one in files],
        doubled_ids=doubled_ids,
        drift=_drift(version, done, sum(scored), options.psi_threshold),
        shards=len(done),
        shards_resumed=resumed,
        started=started.isoformat(timespec="seconds"),
        seconds=round((datetime.now(UTC) - started).total_seconds(), 3),
    )


def _doubled_ids(plan: Plan, result: Result, options: Options) -> dict[str, Any] | None:
    """Count the ids that come more than once; None where titles have none.

    Raises: InputError: there are such, and there may be none.
    """
    if not plan.identity:
        return None
    places = [result.places(shard.number) for shard in plan.shards]
    found = doubled.count_doubled([one.work / one.ids for one in places])
    examples = _examples(plan, found.examples)
    if found.ids and options.unique_ids:
        raise InputError(
            f"{found.ids:,} ids come more than once, {found.rows:,} rows too many ({', '.join(examples)}); "
            "nothing was published",
            hint="Mend the inputs, or leave out --unique-ids",
        )
    return {"ids": found.ids, "rows": found.rows, "examples": examples}


def _examples(plan: Plan, hashes: Sequence[int]) -> list[str]:
    """Read the inputs again until the ids with these hashes are found."""
    found: dict[str, None] = {}
    for one in plan.inputs if hashes else ():
        for batch in one.table.batches(plan.identity):
            found |= dict.fromkeys(doubled.find([batch.table.column(name) for name in plan.identity], hashes))
            if len(found) >= len(hashes):
                return list(found)
    return list(found)


def _drift(version: LoadedVersion, done: list[ShardDone], rows: int, threshold: float) -> dict[str, Any] | None:
    """Hold the rows that were scored to those of training; None for a version that does not say what those were."""
    if version.profiles is None:
        return None
    bins = [np.zeros(len(profile.counts), np.int64) for profile in version.profiles]
    outside = [0] * len(version.contract.features)
    for one in done:
        if one.histograms:
            bins = [total + found for total, found in zip(bins, one.histograms, strict=True)]
            outside = added(outside, one.outside_by_feature)
    judged = drift.judge(version.profiles, bins, [*outside, None], rows, threshold)
    return {**asdict(judged), "drifted": list(judged.drifted)}


def as_text(report: RunReport) -> str:
    """Return a report as its file holds it."""
    return json.dumps(asdict(report), indent=1, ensure_ascii=False) + "\n"


def read_report(target: Target) -> RunReport | None:
    """Read the report of what is published; None if that is not all there, or is another release's."""
    try:
        report = RunReport(**json.loads(target.report.read_bytes()))
        folder = target.path.parent if target.is_file else target.place
        sizes = {str(one["name"]): one["size"] for one in report.files}
        whole = all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, TypeError, LookupError):
        return None
    return report if whole else None


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
