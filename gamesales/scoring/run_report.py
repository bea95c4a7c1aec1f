"""What a run came to: its report, which is kept beside the result and read by the next run."""

from __future__ import annotations

import functools
import json
import operator
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from gamesales.errors import InputError
from gamesales.old_keys import add_old_keys, drop_old_keys
from gamesales.scoring import drift, shadow
from gamesales.scoring import duplicates as doubled
from gamesales.scoring.ledger import ShardDone
from gamesales.scoring.options import Options
from gamesales.scoring.output import Result, Target
from gamesales.scoring.plan import Plan
from gamesales.scoring.scorer import LoadedVersion
from gamesales.scoring.shard import added


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
    shadow: dict[str, Any] | None
    shards: int
    shards_resumed: int
    started: str
    seconds: float
    already_done: bool = field(default=False)


def make_report(
    plan: Plan,
    version: LoadedVersion,
    target: Target,
    done: list[ShardDone],
    files: Sequence[Path],
    started: datetime,
    options: Options,
    resumed: int,
    doubled_ids: dict[str, Any] | None,
) -> RunReport:
    """Add up what the shards of a run came to.

    Args:
        plan: what was to be done.
        version: what scored.
        target: where to.
        done: the shards, in order.
        files: the files with scored rows.
        started: when the run began.
        options: how it was done.
        resumed: how many shards an earlier try had done.
        doubled_ids: as ``doubled_ids`` found them.
    """
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
        shadow=_shadow(version, done, options.shadow),
        drift=_drift(version, done, sum(scored), options.psi_threshold),
        shards=len(done),
        shards_resumed=resumed,
        started=started.isoformat(timespec="seconds"),
        seconds=round((datetime.now(UTC) - started).total_seconds(), 3),
    )


def _shadow(version: LoadedVersion, done: list[ShardDone], other: LoadedVersion | None) -> dict[str, Any] | None:
    """Tell how a second version differs; None where there is none."""
    if other is None:
        return None
    found = [one.shadow for one in done if one.shadow is not None]
    return shadow.report(functools.reduce(operator.add, found) if found else None, version, other)


def doubled_ids(plan: Plan, result: Result, options: Options) -> dict[str, Any] | None:
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
    """Read the inputs again until the ids with these hashes are found.

    Raises: TryAgainError: an input was changed meanwhile.
    """
    found: dict[str, None] = {}
    for one in plan.inputs if hashes else ():
        with one.unchanged():
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
    return json.dumps(add_old_keys(asdict(report)), indent=1, ensure_ascii=False) + "\n"


def read_report(target: Target) -> RunReport | None:
    """Read the report of what is published; None if that is not all there, or is another release's."""
    try:
        report = RunReport(**drop_old_keys(json.loads(target.report.read_bytes())))
        folder = target.path.parent if target.is_file else target.place
        sizes = {str(one["name"]): one["size"] for one in report.files}
        whole = all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, TypeError, LookupError):
        return None
    return report if whole else None
