"""Score files of new titles with the promoted version, for one date or for each date of a backfill."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gamesales.data.files import escape_surrogates
from gamesales.errors import LOGGER, UsageError, collect_warnings
from gamesales.jobs.loading import load, load_references, open_registry
from gamesales.jobs.run_end import (
    OnLine,
    get_exit_code,
    report_lineage,
    run_hook,
    run_hook_on_failure,
    write_metrics,
    write_metrics_at_end,
)
from gamesales.jobs.score_job import ScoreJob, get_end_of, warn_about_dates
from gamesales.registry.log import get_actor
from gamesales.registry.refs import DEFAULT_REGISTRY
from gamesales.registry.registry import ModelRegistry
from gamesales.report.format import format_count
from gamesales.scoring.engines import Engine
from gamesales.scoring.engines.local import run_shards as run_locally
from gamesales.scoring.inputs import find_inputs
from gamesales.scoring.listing import InputRules
from gamesales.scoring.output import OutputPaths
from gamesales.scoring.plan import MakePage, Plan, RunOptions, make_plan
from gamesales.scoring.run import count_resumable_shards, estimate_seconds, score_files
from gamesales.scoring.run_report import Release, RunReport, read_report
from gamesales.scoring.scorer import LoadedVersion
from gamesales.scoring.shard import make_result_schema
from gamesales.scoring.withheld import find_withheld, release_run

if TYPE_CHECKING:
    from gamesales.arrays import FloatArray
    from gamesales.lake.table_run import TableOutput

JOB_FILE = Path("jobs/score.toml")
OnPlan = Callable[[int, int, str], None]
OnRows = Callable[[int], None]
OnDone = Callable[[RunReport], None]


@dataclass(frozen=True)
class RunPreview:
    """What a run would do.

    Attributes:
        estimated_seconds: Extrapolated from a small piece of the run. None without rows.
        is_withheld: Whether a run of the same inputs is complete, but withheld because of drift.
        warnings: Problems with the dates.
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
    is_withheld: bool = False
    warnings: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        state = (
            "already done"
            if self.already_done
            else "withheld"
            if self.is_withheld
            else format_count(self.shards, "shard")
        )
        return f"RunPreview({self.run_date}: {self.rows:,} rows by version {self.model_version}, {state})"


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
    # After a rollback to a version of an earlier release, a job goes on. A person who asks for explanations gets them.
    values["requires_explanations"] = bool(values.get("explain"))
    if path is None and not JOB_FILE.exists():
        for name, label in (("inputs", "INPUT"), ("output", "--output")):
            if name not in values:
                raise UsageError(
                    f"{label} is missing, and there is no {JOB_FILE} to take it from",
                    hint="For example: gamesales score data/new_titles.csv --output predictions; or --job FILE",
                )
        job = ScoreJob(**values)
    else:
        from gamesales.jobs.score_job_file import read_score_job

        job = replace(read_score_job(path or JOB_FILE), **values)
    if not fail_on_drift:
        return job
    return replace(job, drift=replace(job.drift, fail=True), on_drift=values.get("on_drift", "fail"))


def score(
    job: ScoreJob,
    location: str | Path,
    dates: Sequence[date],
    *,
    on_plan: OnPlan = lambda rows, files, version: None,
    on_rows: OnRows = lambda rows: None,
    on_done: OnDone = lambda report: None,
    on_hook_line: OnLine = LOGGER.info,
) -> list[RunReport]:
    """Score the titles of each date. After each run, write the metrics file and run the hook of the job.

    Args:
        job: What to score, with which version and where to.
        location: The path or URL of the registry.
        dates: The dates to score.
        on_plan: Called with rows, files and the version when a run is planned, before anything is written.
        on_rows: Called with the number of rows done since the last call.
        on_done: Called with the report of each run.
        on_hook_line: Called with each line that a hook prints.

    Returns:
        A report for each date.
    """
    date_warnings = _find_date_warnings(job, dates)
    reports = []
    with ExitStack() as stack:
        engine: Engine | None = None
        for day in dates:
            with (
                run_hook_on_failure(job, day, on_hook_line),
                write_metrics_at_end(job) as ended,
                report_lineage(job, location, day, ended),
            ):
                with collect_warnings() as warnings:
                    engine = engine or stack.enter_context(_open_engine(job))
                    registry = open_registry(location, job.ref.model)
                    report = score_date(job, registry, day, on_plan=on_plan, on_rows=on_rows, engine=engine)
                report = replace(report, warnings=list(dict.fromkeys([*date_warnings, *warnings, *report.warnings])))
                ended.append(report)
                on_done(report)
            run_hook(job, report, get_exit_code(job, report), on_hook_line)
            reports.append(report)
    return reports


@contextmanager
def _open_engine(job: ScoreJob) -> Iterator[Engine]:
    """Yield the engine of a job. The runs of all dates share a Ray, which starts while the first run is planned."""
    if job.engine == "local":
        yield run_locally
        return
    from gamesales.scoring.engines.ray_engine import RayEngine

    with RayEngine() as engine:
        engine.start(job.workers)
        yield engine


def preview(job: ScoreJob, location: str | Path, dates: Sequence[date]) -> list[RunPreview]:
    """Return what ``score`` would do for each date. Write nothing."""
    date_warnings = _find_date_warnings(job, dates)
    registry = open_registry(location, job.ref.model)
    return [replace(_preview_date(job, registry, day), warnings=date_warnings) for day in dates]


def _find_date_warnings(job: ScoreJob, dates: Sequence[date]) -> list[str]:
    with collect_warnings() as warnings:
        warn_about_dates(job, dates)
    return warnings


def score_date(
    job: ScoreJob,
    registry: ModelRegistry,
    day: date,
    *,
    on_plan: OnPlan = lambda rows, files, version: None,
    on_rows: OnRows = lambda rows: None,
    engine: Engine = run_locally,
) -> RunReport:
    """Score the titles of one date with one version. An alias is resolved once."""
    version, shadow, plan, output = _plan_date(job, registry, day)
    on_plan(plan.rows, len(plan.inputs), f"{version.model}/{version.number}")
    options = _make_options(job, shadow, registry.location)
    if isinstance(output, OutputPaths):
        return score_files(plan, version, output, options, on_rows, engine)
    from gamesales.lake.table_run import score_into_table

    return score_into_table(plan, version, output, options, on_rows, engine)


def release(
    job: ScoreJob,
    day: date,
    reason: str,
    on_hook_line: OnLine = LOGGER.info,
    *,
    location: str | Path = DEFAULT_REGISTRY,
) -> RunReport:
    """Publish the withheld run of a date as it was scored, write the metrics file, and run the hook for success.

    Args:
        job: Where the result goes. Its inputs are not read.
        day: The date of the run.
        reason: Why, for the report of the run.
        on_hook_line: Called with each line that the hook prints.
        location: The path or URL of the registry, for the page of the run.

    Raises:
        UsageError: No run of the date is withheld, or another run was published since.
        InputError: The files of the run were changed.
        TryAgainError: Another run writes this result.
    """
    if not reason.strip():
        raise UsageError("a release needs a reason", hint='For example: --reason "a sale of sports titles"')
    actor, now = get_actor(), datetime.now(UTC).isoformat(timespec="seconds")
    released = Release(escape_surrogates(actor), now, escape_surrogates(reason))
    report = _release(_find_output(job, day), released, _choose_page_maker(job, location))
    write_metrics(job, 0, report)
    run_hook(job, report, 0, on_hook_line)
    return report


def _release(output: OutputPaths | TableOutput, release: Release, maker: MakePage | None) -> RunReport:
    if isinstance(output, OutputPaths):
        return release_run(output, release, maker)
    from gamesales.lake.release import release_table_run

    return release_table_run(output, release, maker)


def _preview_date(job: ScoreJob, registry: ModelRegistry, day: date) -> RunPreview:
    version, _, plan, output = _plan_date(job, registry, day)
    output.check([file.table.path for file in plan.inputs], make_result_schema(plan, version))
    published, withheld, resumed = (None, None, 0) if job.fresh else _read_state(output, plan)
    return RunPreview(
        run_id=plan.run_id,
        run_date=output.run_date.isoformat(),
        model=version.model,
        model_version=version.number,
        output=output.name,
        rows=plan.rows,
        shards=len(plan.shards),
        shards_resumed=resumed,
        already_done=published is not None and published.run_id == plan.run_id,
        is_withheld=withheld is not None and withheld.run_id == plan.run_id,
        passthrough_columns=plan.passthrough.names,
        inputs=[{"name": file.name, "size": file.size, "rows": file.rows} for file in plan.inputs],
        estimated_seconds=estimate_seconds(plan, version, job.workers),
    )


def _read_state(output: OutputPaths | TableOutput, plan: Plan) -> tuple[RunReport | None, RunReport | None, int]:
    """Return the published and the withheld run of a date, and how many shards of this run are finished."""
    if not isinstance(output, OutputPaths):
        from gamesales.lake.table_run import read_state

        return read_state(output, plan)
    withheld = find_withheld(output)
    report = None if withheld is None else withheld.report
    return read_report(output), report, count_resumable_shards(output, plan)


def _plan_date(
    job: ScoreJob, registry: ModelRegistry, day: date
) -> tuple[LoadedVersion, LoadedVersion | None, Plan, OutputPaths | TableOutput]:
    """Find the inputs of a date, load the version and its shadow, and plan the run."""
    if not job.inputs:
        raise UsageError("inputs expects at least one file, folder or URL, received none")
    output = _find_output(job, day)
    as_of = get_end_of(day, job.timezone) if job.as_of_date else None
    settings = {"run_date": day.isoformat(), "format": output.suffix}
    inputs = job.resolve_inputs(day)
    rules = InputRules(job.exclude, job.resolve_required_file(day), job.allow_empty, output.all)
    with find_inputs(inputs, rules) as files:
        version = load(registry, job.ref, as_of, job.require_signature)
        shadow = None if job.shadow_ref is None else load(registry, job.shadow_ref, as_of)
        if shadow is not None:
            settings["shadow"] = shadow.digest
        extra = () if shadow is None else shadow.contract.features
        references = _load_references(job, registry, version)
        plan = make_plan(
            files,
            version.contract,
            version.digest,
            settings,
            keep=job.keep,
            extra_features=extra,
            partition=output.partition,
            table_format=job.table_format,
            conform=None if isinstance(output, OutputPaths) else output.conform,
            explain=job.explain,
            references=references,
        )
    return version, shadow, plan, output


def _load_references(job: ScoreJob, registry: ModelRegistry, version: LoadedVersion) -> FloatArray | None:
    """Load the reference titles of a version, if the job explains titles; None if the version has none.

    Raises:
        NoReferenceTitlesError: The version has none, and the job requires explanations.
    """
    if not job.explain or not (version.reference_titles or job.requires_explanations):
        return None
    return load_references(registry, version)


def _find_output(job: ScoreJob, day: date) -> OutputPaths | TableOutput:
    if not job.writes_table:
        path = Path(job.output)
        return OutputPaths(path.resolve() if path.is_symlink() else path, day)  # a link stays a link
    from gamesales.lake.location import TableLocation
    from gamesales.lake.table_run import TableOutput

    return TableOutput(TableLocation(str(job.output)), day)


def _choose_page_maker(job: ScoreJob, location: str | Path) -> MakePage | None:
    if not job.page:
        return None
    from gamesales.jobs.run_page import make_page_maker

    return make_page_maker(location)


def _make_options(job: ScoreJob, shadow: LoadedVersion | None, location: str) -> RunOptions:
    return RunOptions(
        limit=job.reject_limit,
        workers=job.workers,
        fresh=job.fresh,
        psi_threshold=job.drift.threshold,
        unique_ids=job.unique_ids,
        shadow=shadow,
        max_outside=job.outside_limit,
        withhold_drift=job.drift_action == "withhold",
        make_page=_choose_page_maker(job, location),
    )
