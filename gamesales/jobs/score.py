"""Score files of new titles with the promoted version, for one date or for each date of a backfill."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from gamesales.errors import EXIT_CONDITION_NOT_MET, EXIT_INTERRUPTED, GamesalesError, UsageError
from gamesales.jobs.loading import load, open_registry
from gamesales.jobs.score_job import ScoreJob, get_end_of
from gamesales.registry.registry import ModelRegistry
from gamesales.scoring.inputs import find_inputs
from gamesales.scoring.output import OutputPaths
from gamesales.scoring.plan import Plan, RunOptions, make_plan
from gamesales.scoring.run import count_resumable_shards, estimate_seconds, score_files
from gamesales.scoring.run_report import RunReport, read_report
from gamesales.scoring.scorer import LoadedVersion

JOB_FILE = Path("jobs/score.toml")
OnPlan = Callable[[int, int, str], None]
OnRows = Callable[[int], None]
OnDone = Callable[[RunReport], None]


@dataclass(frozen=True)
class RunPreview:
    """What a run would do.

    Attributes:
        estimated_seconds: Extrapolated from a small piece of the run. None without rows.
    """

    run_id: str
    run_date: str
    model: str
    model_version: int
    output: str
    rows: int
    shards: int
    shards_resumed: int
    already_done: bool
    passthrough_columns: list[str]
    inputs: list[dict[str, Any]]
    estimated_seconds: float | None


@dataclass(frozen=True)
class Backfill:
    """The runs of several dates, first date first."""

    runs: Sequence[RunReport | RunPreview]


def load_score_job(path: Path | None = None, *, fail_on_drift: bool = False, **options: Any) -> ScoreJob:
    """Read the job file and replace its values by the values of the command line.

    Args:
        path: The job file. None reads jobs/score.toml, which may be absent if inputs and output are among the options.
        fail_on_drift: Whether drift fails the job, whatever the job file says.
        **options: Fields of ``ScoreJob``. None keeps the value of the job file, or the default.

    Raises:
        JobFileError: A key is missing, unknown or wrong.
        UsageError: There is no job file, and inputs or output are missing.
    """
    values = {name: value for name, value in options.items() if value is not None}
    if path is None and not JOB_FILE.exists():
        for name, label in (("inputs", "INPUT"), ("output", "--output")):
            if name not in values:
                raise UsageError(
                    f"{label} is missing, and there is no {JOB_FILE} to take it from",
                    hint="For example: gamesales score data/new_titles.csv --output predictions",
                )
        job = ScoreJob(**values)
    else:
        from gamesales.jobs.score_job_file import read_score_job

        job = replace(read_score_job(path or JOB_FILE), **values)
    return replace(job, drift=replace(job.drift, fail=True)) if fail_on_drift else job


def score(
    job: ScoreJob,
    location: str | Path,
    dates: Sequence[date],
    *,
    on_plan: OnPlan = lambda rows, files, version: None,
    on_rows: OnRows = lambda rows: None,
    on_done: OnDone = lambda report: None,
) -> list[RunReport]:
    """Score the titles of each date, and write the metrics file after each run.

    Args:
        job: What to score, with which version and where to.
        location: The path or URL of the registry.
        dates: The dates to score.
        on_plan: Called with rows, files and the version when a run is planned, before anything is written.
        on_rows: Called with the number of rows done since the last call.
        on_done: Called with the report of each run.

    Returns:
        A report for each date.
    """
    reports = []
    for day in dates:
        report, exit_code = None, 0
        try:
            report = score_date(job, open_registry(location, job.ref.model), day, on_plan=on_plan, on_rows=on_rows)
            exit_code = get_exit_code(job, report)
            on_done(report)
        except BaseException as error:
            is_interrupt = isinstance(error, KeyboardInterrupt)
            exit_code = getattr(error, "exit_code", EXIT_INTERRUPTED if is_interrupt else GamesalesError.exit_code)
            raise
        finally:
            if job.metrics_file is not None:
                from gamesales.report.prometheus import write_metrics

                document = None if report is None else asdict(report)
                write_metrics(job.metrics_file, job.ref.model, exit_code, datetime.now(UTC), document)
        reports.append(report)
    return reports


def preview(job: ScoreJob, location: str | Path, dates: Sequence[date]) -> list[RunPreview]:
    """Return what ``score`` would do for each date. Write nothing."""
    registry = open_registry(location, job.ref.model)
    return [_preview_date(job, registry, day) for day in dates]


def score_date(
    job: ScoreJob,
    registry: ModelRegistry,
    day: date,
    *,
    on_plan: OnPlan = lambda rows, files, version: None,
    on_rows: OnRows = lambda rows: None,
) -> RunReport:
    """Score the titles of one date with one version. An alias is resolved once."""
    version, shadow, plan, output = _plan_date(job, registry, day)
    on_plan(plan.rows, len(plan.inputs), f"{version.model}/{version.number}")
    return score_files(plan, version, output, _make_options(job, shadow), on_rows)


def get_exit_code(job: ScoreJob, report: RunReport) -> int:
    """Return the exit code of a run that is published: 0, or 6 if a column drifted and drift fails the job."""
    drifted = report.drift is not None and bool(report.drift.drifted)
    return EXIT_CONDITION_NOT_MET if job.drift.fail and drifted else 0


def _preview_date(job: ScoreJob, registry: ModelRegistry, day: date) -> RunPreview:
    version, _, plan, output = _plan_date(job, registry, day)
    output.check([file.table.path for file in plan.inputs])
    published = None if job.fresh else read_report(output)
    return RunPreview(
        run_id=plan.run_id,
        run_date=output.run_date.isoformat(),
        model=version.model,
        model_version=version.number,
        output=str(output.visible),
        rows=plan.rows,
        shards=len(plan.shards),
        shards_resumed=0 if job.fresh else count_resumable_shards(output, plan),
        already_done=published is not None and published.run_id == plan.run_id,
        passthrough_columns=plan.passthrough.names,
        inputs=[{"name": file.name, "size": file.size, "rows": file.rows} for file in plan.inputs],
        estimated_seconds=estimate_seconds(plan, version, job.workers),
    )


def _plan_date(
    job: ScoreJob, registry: ModelRegistry, day: date
) -> tuple[LoadedVersion, LoadedVersion | None, Plan, OutputPaths]:
    """Find the inputs of a date, load the version and its shadow, and plan the run."""
    path = job.output
    if path.is_symlink():
        path = path.resolve()  # a link stays a link; its target is replaced
    output = OutputPaths(path, day)
    as_of = get_end_of(day, job.timezone) if job.as_of_date else None
    settings = {"run_date": day.isoformat(), "format": path.suffix.lower() if output.is_file else ".parquet"}
    inputs = job.resolve_inputs(day)
    with find_inputs(inputs, allow_empty=job.allow_empty, exclude=output.excluded_folder) as files:
        version = load(registry, job.ref, as_of)
        shadow = None if job.shadow_ref is None else load(registry, job.shadow_ref, as_of)
        if shadow is not None:
            settings["shadow"] = shadow.digest
        extra = () if shadow is None else shadow.contract.features
        plan = make_plan(files, version.contract, version.digest, settings, keep=job.keep, extra_features=extra)
    return version, shadow, plan, output


def _make_options(job: ScoreJob, shadow: LoadedVersion | None) -> RunOptions:
    return RunOptions(
        limit=job.reject_limit,
        workers=job.workers,
        fresh=job.fresh,
        psi_threshold=job.drift.threshold,
        unique_ids=job.unique_ids,
        shadow=shadow,
    )
