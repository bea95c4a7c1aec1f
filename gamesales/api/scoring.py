"""Score files of titles, and look at scoring runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar

from gamesales.data.dialect import CsvDialect
from gamesales.errors import UsageError, expect_failures
from gamesales.jobs.score_job import DriftAction, OutputFormat, ScoreJob, choose_dates, parse_date
from gamesales.registry.refs import choose_registry
from gamesales.scoring.engines import EngineName
from gamesales.scoring.output import parse_output

if TYPE_CHECKING:
    from gamesales.jobs.run_page import RunPageResult
    from gamesales.jobs.runs import RunList
    from gamesales.jobs.score import RunPreview
    from gamesales.scoring.run_report import RunReport

P = ParamSpec("P")
R = TypeVar("R")
Inputs = str | Path | Sequence[str | Path]


class _ScoreRequest(NamedTuple):
    job: ScoreJob
    registry: str
    dates: list[date]


def _make_request(
    inputs: Inputs | None = None,
    output: str | Path | None = None,
    *,
    job: str | Path | None = None,
    registry: str | Path | None = None,
    day: str | date | None = None,
    first: str | date | None = None,
    last: str | date | None = None,
    output_format: OutputFormat | None = None,
    name: str | None = None,
    model: str | None = None,
    as_of_date: bool = False,
    require_signature: str | Path | None = None,
    shadow: str | None = None,
    explain: int | None = None,
    keep: Sequence[str] | None = None,
    max_rejects: str | int | None = None,
    max_outside: str | None = None,
    on_drift: DriftAction | None = None,
    drift_threshold: float | None = None,
    unique_ids: bool | None = None,
    allow_empty: bool | None = None,
    fresh: bool = False,
    timezone: str | None = None,
    engine: EngineName | None = None,
    workers: int | None = None,
    csv: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
    exclude: Sequence[str] | None = None,
    require: str | None = None,
    page: bool | None = None,
    metrics_file: str | Path | None = None,
    lineage: str | None = None,
    on_success: Sequence[str] | None = None,
    on_failure: Sequence[str] | None = None,
    hook_timeout: int | None = None,
) -> _ScoreRequest:
    values: dict[str, Any] = {
        "inputs": _to_texts(inputs),
        "output": _to_output(output),
        "format": output_format,
        "name": name,
        "model": model,
        "as_of_date": as_of_date,
        "require_signature": _to_path(require_signature),
        "shadow": shadow,
        "explain": explain,
        "requires_explanations": True if explain else None,
        "keep": _to_texts(keep),
        "max_rejects": None if max_rejects is None else str(max_rejects),
        "max_outside": max_outside,
        "on_drift": on_drift,
        "unique_ids": unique_ids,
        "allow_empty": allow_empty,
        "fresh": fresh,
        "timezone": timezone,
        "engine": engine,
        "workers": workers,
        "csv": None if csv is None else _to_dialect(csv),
        "columns": columns,
        "exclude": _to_texts(exclude),
        "require": require,
        "page": page,
        "metrics_file": _to_path(metrics_file),
        "lineage": lineage,
        "on_success": _to_texts(on_success),
        "on_failure": _to_texts(on_failure),
        "hook_timeout": hook_timeout,
    }
    settings = _make_job(job, {name: value for name, value in values.items() if value is not None})
    if drift_threshold is not None:
        settings = replace(settings, drift=replace(settings.drift, threshold=drift_threshold))
    dates = choose_dates(
        settings.timezone, day=_to_date(day, "day"), first=_to_date(first, "first"), last=_to_date(last, "last")
    )
    location = choose_registry(None if registry is None else str(registry), settings.registry)
    return _ScoreRequest(settings, location, dates)


def _make_job(job: str | Path | None, values: Mapping[str, Any]) -> ScoreJob:
    from gamesales.jobs.score import JOB_FILE, load_score_job

    missing = [name for name in ("inputs", "output") if name not in values]
    if job is not None or len(missing) == 2:
        return load_score_job(JOB_FILE if job is None else Path(job), **values)
    if missing:
        raise UsageError(
            f"score expects inputs and output, or a job; {missing[0]} is missing",
            hint='For example: score("data/new_titles.csv", "predictions")',
        )
    return ScoreJob(**values)


def _take_arguments_of(function: Callable[P, object]) -> Callable[[Callable[..., R]], Callable[P, R]]:
    """Give a function the signature of another function, for people, type checkers and notebooks."""
    signature = inspect.signature(function)

    def decorate(target: Callable[..., R]) -> Callable[P, R]:
        @wraps(target)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                signature.bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{target.__name__}() {error}") from None
            return target(*args, **kwargs)

        returned = inspect.signature(target).return_annotation
        call.__signature__ = signature.replace(return_annotation=returned)  # type: ignore[attr-defined]
        return call

    return decorate


@_take_arguments_of(_make_request)
@expect_failures()
def score(*args: Any, **kwargs: Any) -> list[RunReport]:  # noqa: D417 - the arguments of _make_request
    """Score files of titles for a date, or for each date of a backfill, as ``gamesales score`` does.

    The metrics file, the lineage events and the hooks work as for the command. Warnings go to the logger
    ``gamesales``, and into the reports. Runs of the same output exclude each other, also between machines. Call
    ``score`` in one thread at a time; threads of a process would share their warnings.

    Args:
        inputs: CSV or Parquet files, folders, globs or Delta tables, or their URLs. ``{date}`` stands for the date of
            the run, and ``{date:%Y/%m/%d}`` for another form of it.
        output: A .csv, .csv.gz or .parquet file, a folder of dated partitions, or the URL of a Delta table.
        job: A job file. Other arguments override its values. Without inputs, output and job, ``jobs/score.toml``.
        registry: The folder or URL of the registry. None: as in the job file, or ``registry``.
        day: The date of the run, such as ``2026-11-23``. The default is today.
        first: The first date of a backfill.
        last: The last date of a backfill.
        output_format: ``delta`` if the output is a folder that holds a Delta table.
        name: The model of references that name none.
        model: The reference of the version that scores. The default is ``@champion``.
        as_of_date: Whether references are resolved as of the end of each date, and not now.
        require_signature: A public key that must have signed the promotion of the version, or its use.
        shadow: The reference of a second version that scores the same titles for comparison.
        explain: How many titles, those with the highest predictions, are explained in the report. The default is none.
        keep: Columns to copy to the result. The default is all columns that are not features.
        max_rejects: The number of rejects to allow, such as 25 or ``1%``. The default is 10 rows or 1%, whichever is
            larger.
        max_outside: The share of titles outside the training range to allow, such as ``20%``. The default is all.
        on_drift: What a drifted column does: ``warn`` or ``fail`` publish, ``withhold`` publishes nothing; then
            ``is_withheld`` is set in the report of the run. The default is ``warn``.
        drift_threshold: The population stability index above which a column has drifted. The default is 0.25.
        unique_ids: Whether duplicate ids stop a run.
        allow_empty: Whether a run without input files is a run without rows.
        fresh: Whether to score again if the result is already published.
        timezone: The time zone of the dates. The default is UTC.
        engine: How shards run: ``local`` in threads of this process, ``ray`` as tasks of the Ray that this process is
            connected to, of the cluster at RAY_ADDRESS, or of a local Ray.
        workers: Threads or tasks that score at a time. The default is one for each core.
        csv: The dialect of CSV files: ``delimiter``, ``decimal``, ``escape`` and ``encoding``, as in a job file.
        columns: The columns that have other names in the files: our name, and the name in the files.
        exclude: Patterns of files in input folders that are not inputs, such as ``*.md``.
        require: A file that each input folder must have, such as ``_SUCCESS``.
        page: Whether to publish an HTML page with each result.
        metrics_file: Where to write metrics for Prometheus after each run.
        lineage: Where OpenLineage events go: the URL of a receiver, or a file.
        on_success: A program and its arguments, started after a run that would have exit code 0.
        on_failure: The same after any other run, unless it is interrupted.
        hook_timeout: The seconds after which such a program is killed. The default is 60.

    Returns:
        The report of each run, in the order of the dates.

    Raises:
        UsageError: An argument or the job file is wrong, or the output would replace an input.
        InputError: An input can't be used, too many rows are rejected, or too many are outside the training range.
            Nothing is published for that date.
        RegistryError: The registry can't serve the version.
        NotApprovedError: The key has not signed the version.
        TryAgainError: A run could not finish now.
    """
    from gamesales.jobs.score import score as run

    return run(*_make_request(*args, **kwargs))


@_take_arguments_of(_make_request)
@expect_failures()
def preview_run(*args: Any, **kwargs: Any) -> list[RunPreview]:
    """Return what ``score`` would do with the same arguments for each date, and write nothing.

    The arguments and the errors are those of ``score``.
    """
    from gamesales.jobs.score import preview

    return preview(*_make_request(*args, **kwargs))


@expect_failures()
def release_run(
    day: str | date,
    reason: str,
    *,
    output: str | Path | None = None,
    output_format: OutputFormat | None = None,
    job: str | Path | None = None,
    registry: str | Path | None = None,
) -> RunReport:
    """Publish the withheld run of a date as it was scored. The metrics file and the hooks of the job work as usual.

    Args:
        day: The date of the run, such as ``2026-11-23``.
        reason: Why, for the report of the run.
        output: The output of ``score``. None: that of the job.
        output_format: ``delta`` if the output is a folder that holds a Delta table.
        job: The job file. Without output and job, ``jobs/score.toml``.
        registry: The folder or URL of the registry, for the page of the run. None: as in the job file, or ``registry``.

    Raises:
        UsageError: The reason is empty, no run of the date is withheld, or another run was published since.
        InputError: The files of the run were changed.
        TryAgainError: Another run writes this result.
    """
    from gamesales.jobs.score import release

    inputs = () if job is None and output is not None else None  # they are not read
    settings, location, (run_date,) = _make_request(
        inputs, output, job=job, registry=registry, day=day, output_format=output_format
    )
    return release(settings, run_date, reason, location=location)


@expect_failures()
def runs(output: str | Path | None = None, *, job: str | Path | None = None, limit: int | None = None) -> RunList:
    """List the scoring runs of an output, newest date first, with rows, rejects and drift.

    Args:
        output: The output of ``score``. None: that of the job.
        job: The job file. Without output and job, ``jobs/score.toml``.
        limit: The most dates to list.

    Raises:
        InputNotFoundError: There is no run.
        UsageError: There is neither an output nor a job.
    """
    from gamesales.jobs.runs import choose_output, list_runs

    return list_runs(choose_output(None if output is None else str(output), _to_path(job)), limit)


@expect_failures()
def report_run(
    day: str | date,
    page: str | Path | None = None,
    *,
    output: str | Path | None = None,
    job: str | Path | None = None,
    registry: str | Path | None = None,
) -> RunPageResult:
    """Write an HTML page about a scoring run: version, rejects, predictions and drift.

    Args:
        day: The date of the run, such as ``2026-11-23``.
        page: Where to write the page. None: ``run-YYYY-MM-DD.html``.
        output: The output of ``score``. None: that of the job.
        job: The job file. Without output and job, ``jobs/score.toml``.
        registry: The folder or URL of the registry, for why the version was live. None: as in the job file, or
            ``registry``.

    Raises:
        InputNotFoundError: The date has no complete run.
        UsageError: There is neither an output nor a job.
    """
    from gamesales.jobs.run_page import write_run_page
    from gamesales.jobs.runs import choose_output, choose_run_registry

    chosen = choose_output(None if output is None else str(output), _to_path(job))
    named = choose_run_registry(_to_path(job)) if output is None or job is not None else None
    location = choose_registry(None if registry is None else str(registry), named)
    run_date = parse_date(day, "day") if isinstance(day, str) else day
    return write_run_page(chosen, run_date, Path(f"run-{run_date}.html") if page is None else Path(page), location)


def _to_date(day: str | date | None, label: str) -> date | None:
    return parse_date(day, label) if isinstance(day, str) else day


def _to_dialect(settings: Mapping[str, str]) -> CsvDialect:
    try:
        return CsvDialect(**settings)
    except (TypeError, ValueError) as error:
        raise UsageError(f"csv: {error}", hint='For example: csv={"delimiter": ";", "decimal": ","}') from None


def _to_output(output: str | Path | None) -> str | Path | None:
    return parse_output(output) if isinstance(output, str) else output


def _to_path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)


def _to_texts(values: Inputs | None) -> tuple[str, ...] | None:
    if values is None:
        return None
    return (str(values),) if isinstance(values, (str, Path)) else tuple(map(str, values))
