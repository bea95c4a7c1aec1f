"""score, predict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

from gamesales.cli import progress
from gamesales.cli.options import NAME, REGISTRY, JsonOption, NameOption, RegistryOption
from gamesales.cli.output import show_json
from gamesales.cli.runs import show_planned, show_run
from gamesales.errors import UsageError
from gamesales.jobs.loading import open_registry
from gamesales.jobs.score import Backfill, Night, Planned, plan_score
from gamesales.jobs.score import score as run_score
from gamesales.jobs.score_job import ScoreJob, days, end_of, load_score_job, on_date, today
from gamesales.registry.registry import CHAMPION, ModelRegistry, Ref, parse_ref
from gamesales.scoring.counts import RejectLimit
from gamesales.scoring.options import Options
from gamesales.scoring.outcome import RunReport

# Published, but the titles are not those of training.
DRIFTED = 6
JOB = Path("jobs/score.toml")

ModelOption = Annotated[str, typer.Option("--model", metavar="REF", help="Which version scores.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(score)
    app.command()(predict)


def score(
    inputs: Annotated[
        list[str] | None, typer.Argument(metavar="INPUT", help="CSV or Parquet files, folders of them, or globs.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="A .csv or .parquet file; anything else is a folder of dated partitions."),
    ] = None,
    job: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The job file, for what the command line does not give.")
    ] = None,
    day: Annotated[
        str | None,
        typer.Option("--date", metavar="YYYY-MM-DD", help="The date of the run; today by default."),
    ] = None,
    first: Annotated[
        str | None, typer.Option("--from", metavar="YYYY-MM-DD", help="Backfill: a run for each date from here…")
    ] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="YYYY-MM-DD", help="…to here.")] = None,
    model: Annotated[
        str | None, typer.Option(metavar="REF", help="Which version scores; @champion by default.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Threads that score; one per core by default.")
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(metavar="COLUMNS", help="Columns that pass through, joined by commas; all by default."),
    ] = None,
    max_rejects: Annotated[
        str | None,
        typer.Option(metavar="N|N%", help="How many rows may be rejected: 10 or 1 %, whichever is more."),
    ] = None,
    unique_ids: Annotated[
        bool, typer.Option("--unique-ids", help="A title_id that comes more than once stops the run.")
    ] = False,
    as_of_date: Annotated[
        bool, typer.Option("--as-of-date", help="Score with what REF named at the end of each date.")
    ] = False,
    shadow: Annotated[
        str | None, typer.Option(metavar="REF", help="A second version that scores too, to be compared.")
    ] = None,
    metrics_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the run's metrics here, for Prometheus.")
    ] = None,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="No files to read are a run without rows.")
    ] = False,
    fail_on_drift: Annotated[
        bool, typer.Option("--fail-on-drift", help="End with exit code 6 if a column drifted; the result is published.")
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Do again what is done already.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and write nothing.")] = False,
    engine: Annotated[
        str, typer.Option(metavar="local", help="What does the shards: threads of this process.")
    ] = "local",
    log_format: Annotated[str, typer.Option(metavar="text|json", help="How progress is told on stderr.")] = "text",
    registry: RegistryOption = REGISTRY,
    name: Annotated[str | None, typer.Option("--name", metavar="MODEL", help="Which model's versions.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Predict what the titles in files will earn, with the promoted version; without INPUT, as jobs/score.toml says."""
    _check_arguments(output, log_format, engine)
    given = _job(job, inputs, output)
    sources, target = inputs or given.inputs, output or given.output
    parsed = parse_ref(model or given.model, name or given.name)
    options = Options(
        limit=given.limit if max_rejects is None else RejectLimit.parse(max_rejects),
        workers=workers or given.workers,
        fresh=fresh,
        psi_threshold=given.drift.threshold,
        unique_ids=unique_ids or given.unique_ids,
    )
    kept = given.keep if keep is None else tuple(one for one in keep.split(",") if one)
    fails = fail_on_drift or given.drift.fail
    done = []
    for one in _days(day, first, last, given):
        night = Night(
            sources=on_date(sources, one),
            output=target,
            day=one,
            keep=kept,
            allow_empty=allow_empty or given.allow_empty,
            as_of=end_of(one, given.timezone) if as_of_date else None,
            shadow=_shadow_ref(shadow or given.shadow, parsed),
        )
        with _metrics(None if dry_run else metrics_file or given.metrics_file, parsed.model, fails) as published:
            done.append(_one_night(open_registry(registry, parsed.model), parsed, night, options, dry_run, log_format))
            published(done[-1])
    if as_json:
        show_json(done[0]) if first is None else show_json(Backfill(done))
    else:
        for each in done:
            show_planned(each) if isinstance(each, Planned) else show_run(each)
    if fails and any(_drifted(each) for each in done):
        raise typer.Exit(DRIFTED)


def predict(
    title: Annotated[list[str], typer.Argument(metavar="NAME=VALUE", help="The characteristics of one title.")],
    model: ModelOption = f"@{CHAMPION}",
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Predict what one title will earn, as in: gamesales predict critic_rating=4.5 is_action=1 and so on."""
    from gamesales.jobs.predict import parse_title
    from gamesales.jobs.predict import predict as run

    parsed = parse_ref(model, name)
    done = run(open_registry(registry, parsed.model), parsed, parse_title(title))
    if as_json:
        show_json(done)
        return
    print(f"${done.predicted_earnings:,.2f}  by version {done.model_version} of {done.model}")
    if done.outside_training_range:
        print("(a characteristic lies outside what the version was trained on)")


def _job(path: Path | None, inputs: Sequence[str] | None, output: Path | None) -> ScoreJob:
    """Read the job file that is named, or else the usual one if it is there or needed."""
    if path is not None:
        return load_score_job(path)
    if JOB.exists():
        return load_score_job(JOB)
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
    from gamesales.report import prometheus

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
