"""What ``gamesales score`` does with what it was asked: the job file filled in, a run for each date, all of it told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import typer

from gamesales.cli import progress
from gamesales.cli.render import show_json
from gamesales.cli.runs import show_planned, show_run
from gamesales.data.screen import RejectLimit
from gamesales.errors import UsageError
from gamesales.jobs.loading import open_registry
from gamesales.jobs.score import Backfill, Night, Planned, plan_score
from gamesales.jobs.score import score as run_score
from gamesales.jobs.score_job import ScoreJob, days, end_of, on_date, today
from gamesales.registry.refs import Ref, parse_ref
from gamesales.registry.registry import ModelRegistry
from gamesales.scoring.options import Options
from gamesales.scoring.run_report import RunReport

# Published, but the titles are not those of training.
DRIFTED = 6
JOB = Path("jobs/score.toml")


@dataclass(frozen=True)
class Asked:
    """The command line of ``gamesales score``; None where it says nothing."""

    inputs: list[str] | None
    output: Path | None
    job: Path | None
    day: str | None
    first: str | None
    last: str | None
    model: str | None
    workers: int | None
    keep: str | None
    max_rejects: str | None
    unique_ids: bool
    as_of_date: bool
    shadow: str | None
    metrics_file: Path | None
    allow_empty: bool
    fail_on_drift: bool
    fresh: bool
    dry_run: bool
    engine: str
    log_format: str
    registry: str
    name: str | None
    as_json: bool


def score_nights(asked: Asked) -> None:
    """Score each date that was asked for, and show what came of it."""
    _check_arguments(asked.output, asked.log_format, asked.engine)
    given = _job(asked.job, asked.inputs, asked.output)
    sources, target = asked.inputs or given.inputs, asked.output or given.output
    parsed = parse_ref(asked.model or given.model, asked.name or given.name)
    options = Options(
        limit=given.limit if asked.max_rejects is None else RejectLimit.parse(asked.max_rejects),
        workers=asked.workers or given.workers,
        fresh=asked.fresh,
        psi_threshold=given.drift.threshold,
        unique_ids=asked.unique_ids or given.unique_ids,
    )
    kept = given.keep if asked.keep is None else tuple(one for one in asked.keep.split(",") if one)
    fails = asked.fail_on_drift or given.drift.fail
    metrics_file = None if asked.dry_run else asked.metrics_file or given.metrics_file
    done = []
    for one in _days(asked.day, asked.first, asked.last, given):
        night = Night(
            sources=on_date(sources, one),
            output=target,
            day=one,
            keep=kept,
            allow_empty=asked.allow_empty or given.allow_empty,
            as_of=end_of(one, given.timezone) if asked.as_of_date else None,
            shadow=_shadow_ref(asked.shadow or given.shadow, parsed),
        )
        with _metrics(metrics_file, parsed.model, fails) as published:
            registry = open_registry(asked.registry, parsed.model)
            done.append(_one_night(registry, parsed, night, options, asked.dry_run, asked.log_format))
            published(done[-1])
    if asked.as_json:
        show_json(done[0]) if asked.first is None else show_json(Backfill(done))
    else:
        for each in done:
            show_planned(each) if isinstance(each, Planned) else show_run(each)
    if fails and any(_drifted(each) for each in done):
        raise typer.Exit(DRIFTED)


def _job(path: Path | None, inputs: Sequence[str] | None, output: Path | None) -> ScoreJob:
    """Read the job file that is named, or else the usual one if it is there or needed."""
    if path is not None or JOB.exists():
        from gamesales.jobs.score_job_file import load_score_job

        return load_score_job(path or JOB)
    if not inputs or output is None:
        raise UsageError(
            f"{'INPUT' if not inputs else '--output'} is not given, and there is no {JOB} that says it",
            hint="For example: gamesales score data/new_titles.csv --output predictions",
        )
    return ScoreJob(inputs=tuple(inputs), output=output)


def _shadow_ref(text: str | None, ref: Ref) -> Ref | None:
    """Read the reference of a second version, which must be of the same model."""
    if text is None:
        return None
    shadow = parse_ref(text, ref.model)
    if shadow.model != ref.model:
        raise UsageError(f"--shadow expects a version of {ref.model}, received one of {shadow.model}")
    return shadow


def _check_arguments(output: Path | None, log_format: str, engine: str) -> None:
    if output is not None and str(output) in ("", "."):
        raise UsageError("expected an --output that is a path", hint="For example: --output predictions")
    if log_format not in ("text", "json"):
        raise UsageError(f"--log-format expects text or json, received {log_format!r}")
    if engine != "local":
        raise UsageError(f"--engine expects local, received {engine!r}")


def _days(day: str | None, first: str | None, last: str | None, job: ScoreJob) -> list[date]:
    if first is None and last is None:
        return [_parse_day(day, "--date") if day is not None else today(job.timezone)]
    if first is None or last is None or day is not None:
        raise UsageError("a backfill takes --from and --to, and no --date")
    return days(_parse_day(first, "--from"), _parse_day(last, "--to"))


def _one_night(
    registry: ModelRegistry, ref: Ref, night: Night, options: Options, dry_run: bool, log_format: str
) -> RunReport | Planned:
    if dry_run:
        return plan_score(registry, ref, night, options)
    with progress.scoring(log_format) as shown:
        done = run_score(registry, ref, night, options, on_plan=shown.on_plan, on_rows=shown.on_rows)
    progress.say_done(
        log_format,
        run_id=done.run_id,
        run_date=done.run_date,
        rows_in=done.rows_in,
        rows_scored=done.rows_scored,
        rows_rejected=done.rows_rejected,
        already_done=done.already_done,
        seconds=done.seconds,
    )
    return done


@contextmanager
def _metrics(path: Path | None, model: str, fails: bool) -> Iterator[Callable[[RunReport | Planned], None]]:
    """Write what came of a run as metrics, be it a failure; ``fails`` says whether drift is one."""
    run: list[RunReport] = []

    def published(done: RunReport | Planned) -> None:
        if isinstance(done, RunReport):
            run.append(done)

    code = 0
    try:
        yield published
        code = DRIFTED if fails and any(map(_drifted, run)) else 0
    except BaseException as error:
        code = getattr(error, "exit_code", 130 if isinstance(error, KeyboardInterrupt) else 1)
        raise
    finally:
        if path is not None:
            from gamesales.report import prometheus

            columns = run[0].drift["columns"] if run and run[0].drift else []
            outcome = prometheus.Outcome(
                model=model,
                exit_code=code,
                finished=datetime.now(UTC),
                report=asdict(run[0]) if run else None,
                psi={one["column"]: one["psi"] for one in columns},
            )
            prometheus.write(path, outcome)


def _drifted(done: RunReport | Planned) -> bool:
    return isinstance(done, RunReport) and bool(done.drift and done.drift["drifted"])


def _parse_day(text: str, option: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} expects YYYY-MM-DD, received {text!r}") from None
