"""The nightly job: files of new titles in, dollars out, by the promoted version."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from gamesales.jobs.loading import load
from gamesales.registry.registry import ModelRegistry, Ref
from gamesales.scoring.plan import Plan, make_plan
from gamesales.scoring.run import Options, RunReport, score_files
from gamesales.scoring.scorer import LoadedVersion
from gamesales.scoring.target import Target


def score(
    registry: ModelRegistry,
    ref: Ref,
    sources: Sequence[str],
    output: Path,
    *,
    day: date | None = None,
    keep: Sequence[str] | None = None,
    allow_empty: bool = False,
    options: Options | None = None,
    on_plan: Callable[[Plan, LoadedVersion], None] = lambda plan, version: None,
    on_rows: Callable[[int], None] = lambda rows: None,
) -> RunReport:
    """Score files of titles with one version, resolved once for the whole run.

    Args:
        registry: where the version is.
        ref: which version; an alias is looked up once.
        sources: files, folders or globs.
        output: a .csv or .parquet file, or a folder of dated partitions.
        day: the date of the run, by default today in UTC.
        keep: the columns that pass through; by default all that are no feature.
        allow_empty: whether nothing to read is a run without rows.
        options: how it is done.
        on_plan: called when the plan is made, before anything is written.
        on_rows: called with the number of rows done since the last call.
    """
    version = load(registry, ref)
    if output.is_symlink():
        output = output.resolve()  # a link stays a link; the file that it names is replaced
    target = Target(output, day or datetime.now(UTC).date())
    settings = {
        "run_date": target.day.isoformat(),
        "format": output.suffix.lower() if target.is_file else ".parquet",
    }
    plan = make_plan(
        sources,
        version.contract,
        version.digest,
        settings,
        keep=keep,
        allow_empty=allow_empty,
        leave_out=target.leaves_out,
    )
    on_plan(plan, version)
    return score_files(plan, version, target, options or Options(), on_rows)
