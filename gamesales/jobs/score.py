"""The nightly job: files of new titles in, dollars out, by the promoted version."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from gamesales.jobs.loading import load
from gamesales.registry.refs import Ref
from gamesales.registry.registry import ModelRegistry
from gamesales.scoring.inputs import find_inputs
from gamesales.scoring.options import Options
from gamesales.scoring.output import Target
from gamesales.scoring.plan import Plan, make_plan
from gamesales.scoring.run import estimate, resumable, score_files
from gamesales.scoring.run_report import RunReport, read_report
from gamesales.scoring.scorer import LoadedVersion


@dataclass(frozen=True)
class Night:
    """What a run is asked to do.

    ``sources`` are files, folders or globs; ``output`` is a .csv or .parquet file, or a folder of dated partitions;
    ``day`` is the date of the run, by default today in UTC; ``keep`` are the columns that pass through, by default all
    that are no feature; ``allow_empty`` tells whether nothing to read is a run without rows; ``as_of`` is the moment at
    which an alias is looked up, now by default; ``shadow`` is a second version to compare with.
    """

    sources: Sequence[str]
    output: Path
    day: date | None = None
    keep: Sequence[str] | None = None
    allow_empty: bool = False
    as_of: datetime | None = None
    shadow: Ref | None = None


@dataclass(frozen=True)
class Planned:
    """What a run would do; ``estimated_seconds`` is the time of a small piece of it, scaled up; None without rows."""

    run_id: str
    run_date: str
    model: str
    model_version: int
    output: str
    rows: int
    shards: int
    shards_resumed: int
    already_done: bool
    kept: list[str]
    inputs: list[dict[str, Any]]
    estimated_seconds: float | None


@dataclass(frozen=True)
class Backfill:
    """The runs of several dates, first date first."""

    runs: list[RunReport | Planned]


def score(
    registry: ModelRegistry,
    ref: Ref,
    night: Night,
    options: Options | None = None,
    *,
    on_plan: Callable[[int, int, str], None] = lambda rows, files, version: None,
    on_rows: Callable[[int], None] = lambda rows: None,
) -> RunReport:
    """Score files of titles with one version, resolved once for the whole run.

    Args:
        registry: where the version is.
        ref: which version; an alias is looked up once.
        night: what to score, and where to.
        options: how it is done.
        on_plan: called with rows, files and the version's name when the plan is made, before anything is written.
        on_rows: called with the number of rows done since the last call.
    """
    version, shadow, plan, target = _planned(registry, ref, night)
    on_plan(plan.rows, len(plan.inputs), f"{version.model}/{version.number}")
    return score_files(plan, version, target, replace(options or Options(), shadow=shadow), on_rows)


def plan_score(registry: ModelRegistry, ref: Ref, night: Night, options: Options | None = None) -> Planned:
    """Say what ``score`` would do, and write nothing."""
    version, _, plan, target = _planned(registry, ref, night)
    target.check([one.table.path for one in plan.inputs])
    options = options or Options()
    published = None if options.fresh else read_report(target)
    return Planned(
        run_id=plan.run_id,
        run_date=target.day.isoformat(),
        model=version.model,
        model_version=version.number,
        output=str(target.place),
        rows=plan.rows,
        shards=len(plan.shards),
        shards_resumed=0 if options.fresh else resumable(target, plan),
        already_done=published is not None and published.run_id == plan.run_id,
        kept=plan.kept.names,
        inputs=[{"name": one.name, "size": one.size, "rows": one.rows} for one in plan.inputs],
        estimated_seconds=estimate(plan, version, options.threads),
    )


def _planned(
    registry: ModelRegistry, ref: Ref, night: Night
) -> tuple[LoadedVersion, LoadedVersion | None, Plan, Target]:
    output = night.output
    if output.is_symlink():
        output = output.resolve()  # a link stays a link; the file that it names is replaced
    target = Target(output, night.day or datetime.now(UTC).date())
    settings = {
        "run_date": target.day.isoformat(),
        "format": output.suffix.lower() if target.is_file else ".parquet",
    }
    with find_inputs(night.sources, allow_empty=night.allow_empty, leave_out=target.leaves_out) as found:
        version = load(registry, ref, night.as_of)
        shadow = None if night.shadow is None else load(registry, night.shadow, night.as_of)
        if shadow is not None:
            settings["shadow"] = shadow.digest
        also = () if shadow is None else shadow.contract.features
        plan = make_plan(found, version.contract, version.digest, settings, keep=night.keep, also=also)
    return version, shadow, plan, target
