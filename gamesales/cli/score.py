"""The commands score and predict."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from gamesales.cli.render import show_result, show_text
from gamesales.cli.values import NAME, REGISTRY, check_choice
from gamesales.errors import UsageError
from gamesales.registry.refs import CHAMPION, choose_registry

if TYPE_CHECKING:
    import typer

    from gamesales.cli.completion import complete_choices, complete_refs
    from gamesales.cli.options import JobRegistryOption, JsonOption, NameOption, PublicKeyOption, RegistryOption
    from gamesales.jobs.predict import Prediction
    from gamesales.jobs.score import RunPreview
    from gamesales.scoring.run_report import RunReport


def score(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT",
            help="CSV or Parquet files, folders, globs or Delta tables, or their URLs; - is standard input.",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="A .csv, .csv.gz or .parquet file, a folder of dated partitions, the URL of a Delta table, or - for "
            "CSV on stdout.",
        ),
    ] = None,
    output_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="delta",
            help="Write a Delta table to a folder.",
            autocompletion=complete_choices("delta"),
        ),
    ] = None,
    job: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The job file, which other arguments override.")
    ] = None,
    day: Annotated[
        str | None, typer.Option("--date", metavar="YYYY-MM-DD", help="The date of the run; today by default.")
    ] = None,
    first: Annotated[
        str | None, typer.Option("--from", metavar="YYYY-MM-DD", help="The first date of a backfill.")
    ] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="YYYY-MM-DD", help="The last date of a backfill.")] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="REF", help="The version that scores; champion by default.", autocompletion=complete_refs),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Parts of the input to score at a time; one for each core by default."),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMNS", help="Columns to copy to the result, separated by commas; by default all but features."
        ),
    ] = None,
    max_rejects: Annotated[
        str | None,
        typer.Option(metavar="N|N%", help="Rejects to allow in a run; by default 10 rows or 1%, whichever is larger."),
    ] = None,
    max_outside: Annotated[
        str | None,
        typer.Option(metavar="N%", help="Titles outside the training range to allow in a run; by default all."),
    ] = None,
    unique_ids: Annotated[bool, typer.Option("--unique-ids", help="Stop the run if there are duplicate ids.")] = False,
    as_of_date: Annotated[
        bool, typer.Option("--as-of-date", help="Use the version that REF named at the end of each date.")
    ] = False,
    shadow: Annotated[
        str | None,
        typer.Option(
            metavar="REF",
            help="A second version that scores the same titles for comparison.",
            autocompletion=complete_refs,
        ),
    ] = None,
    explain: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Explain the N titles with the highest predictions, in the report."),
    ] = None,
    metrics_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write metrics for Prometheus to this file.")
    ] = None,
    lineage: Annotated[
        str | None, typer.Option(metavar="URL|FILE", help="Send OpenLineage events to a receiver or a file.")
    ] = None,
    require_signature: PublicKeyOption = None,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Publish an empty result if there are no input files.")
    ] = False,
    on_drift: Annotated[
        str | None,
        typer.Option(
            metavar="warn|fail|withhold",
            autocompletion=complete_choices("warn", "fail", "withhold"),
            help="If a column drifted: publish; publish and exit with 6; or publish nothing and exit with 8.",
        ),
    ] = None,
    fail_on_drift: Annotated[bool, typer.Option("--fail-on-drift", help="The same as --on-drift fail.")] = False,
    release: Annotated[
        str | None, typer.Option(metavar="YYYY-MM-DD", help="Publish the withheld run of this date as it was scored.")
    ] = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why a withheld run is published, for its report.")] = "",
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Score again, even if the result is already published.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what a run would do, and write nothing.")] = False,
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="local|ray",
            autocompletion=complete_choices("local", "ray"),
            help="How shards run: in threads of this process, which is the default, or as tasks of a Ray cluster.",
        ),
    ] = None,
    log_format: Annotated[
        str,
        typer.Option(
            metavar="text|json",
            help="The format of progress on stderr.",
            autocompletion=complete_choices("text", "json"),
        ),
    ] = "text",
    registry: JobRegistryOption = None,
    name: Annotated[str | None, typer.Option("--name", metavar="MODEL", help="The model.")] = None,
    as_json: JsonOption = False,
) -> int:
    """Predict the earnings of titles in files; without INPUT, run the job in jobs/score.toml.

    Examples:
        gamesales score
        gamesales score data/new_titles.csv --output predictions
        gamesales score --from 2026-11-01 --to 2026-11-07
    """
    from gamesales.cli import progress, streams
    from gamesales.cli.run_text import format_run
    from gamesales.jobs.run_end import explain_exit_code, get_exit_code
    from gamesales.jobs.score import JOB_FILE, Backfill, load_score_job, preview
    from gamesales.jobs.score import release as release_date
    from gamesales.jobs.score import score as run
    from gamesales.jobs.score_job import DRIFT_ACTIONS, OUTPUT_FORMATS, choose_dates, parse_date
    from gamesales.scoring.engines import ENGINES
    from gamesales.scoring.output import parse_output

    check_choice("--log-format", log_format, "text", "json")
    if engine is not None:
        check_choice("--engine", engine, *ENGINES)
    if output_format is not None:
        check_choice("--format", output_format, *OUTPUT_FORMATS)
    if on_drift is not None:
        check_choice("--on-drift", on_drift, *DRIFT_ACTIONS)
    if release is not None:
        if inputs or day or first or last or dry_run:
            raise UsageError("--release takes no INPUT and no other date", hint="--release DATE --reason TEXT")
        inputs = None if job or JOB_FILE.exists() else [streams.STREAM]  # not read
    elif reason:
        raise UsageError("--reason is for --release", hint="--release DATE --reason TEXT")
    settings = load_score_job(
        job,
        inputs=tuple(inputs) if inputs else None,
        output=None if output is None else parse_output(output),
        format=output_format,
        name=name or None,
        model=model or None,
        keep=None if keep is None else tuple(column for column in keep.split(",") if column),
        max_rejects=max_rejects,
        max_outside=max_outside,
        on_drift=on_drift,
        engine=engine,
        workers=workers,
        unique_ids=unique_ids or None,
        allow_empty=allow_empty or None,
        metrics_file=metrics_file,
        lineage=lineage,
        require_signature=require_signature,
        shadow=shadow or None,
        explain=explain,
        fail_on_drift=fail_on_drift,
        as_of_date=as_of_date,
        fresh=fresh,
    )
    location = choose_registry(registry, settings.registry)
    if release is not None:
        released = release_date(settings, parse_date(release, "--release"), reason, progress.say, location=location)
        show_result(released, format_run, as_json=as_json)
        return 0
    dates = choose_dates(
        settings.timezone,
        day=None if day is None else parse_date(day, "--date"),
        first=None if first is None else parse_date(first, "--from"),
        last=None if last is None else parse_date(last, "--to"),
    )
    streams.check_streams(settings, as_json=as_json, is_backfill=first is not None)
    runs: list[RunReport] | list[RunPreview]
    with streams.spool_streams(settings) as spooled:
        reports: list[RunReport] = []
        if dry_run:
            runs = preview(spooled, location, dates)
        else:
            with progress.show_scoring(log_format, len(dates)) as callbacks:
                runs = reports = run(spooled, location, dates, **callbacks)
        if streams.writes_stdout(settings):
            runs = streams.hide_files(runs)
    if streams.writes_stdout(settings):
        show_text(lambda: format_run(runs[0]), sys.stderr)
    elif first is None:
        show_result(runs[0], format_run, as_json=as_json)
    else:
        show_result(Backfill(runs), lambda backfill: "\n".join(map(format_run, backfill.runs)), as_json=as_json)
    for report in reports:
        if get_exit_code(settings, report):
            progress.say(explain_exit_code(settings, report))
    return max((get_exit_code(settings, report) for report in reports), default=0)


def predict(
    title: Annotated[
        list[str], typer.Argument(metavar="NAME=VALUE", help="The features of a title. An empty value is missing.")
    ],
    explain: Annotated[
        bool, typer.Option("--explain", help="Show how far each column moves the prediction away from the mean.")
    ] = False,
    model: Annotated[
        str, typer.Option("--model", metavar="REF", help="The version that scores.", autocompletion=complete_refs)
    ] = f"@{CHAMPION}",
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    r"""Predict the earnings of one title.

    Examples:
        gamesales predict genre=RPG platform=PS4 year= released=2026-11-30
        gamesales predict critic_rating=4.5 is_action=1 \
            is_exclusive_to_us=0 is_portable=1 is_role_playing=0 \
            is_sequel=1 is_sports=0 suitable_for_kids=1 \
            unit_price=59.99
    """
    from gamesales.jobs.loading import open_ref
    from gamesales.jobs.predict import parse_title
    from gamesales.jobs.predict import predict as run

    prediction = run(*open_ref(registry, model, name), parse_title(title), explain=explain)
    show_result(prediction, _format_prediction, as_json=as_json)


def _format_prediction(prediction: Prediction) -> str:
    from gamesales.jobs.predict import describe_unseen
    from gamesales.stats.amounts import format_amount

    interval = ""
    low, high = prediction.predicted_earnings_low, prediction.predicted_earnings_high
    if prediction.coverage is not None and low is not None and high is not None:
        bounds = " to ".join(format_amount(bound, like=(low, high)) for bound in (low, high))
        interval = f" ({100 * prediction.coverage:g}%: {bounds})"
    amount = format_amount(prediction.predicted_earnings, 2, significant=6)
    lines = [f"{amount}{interval}  by version {prediction.model_version} of {prediction.model}"]
    for value in prediction.outside:
        first, last = map(_write_value, (value.training_minimum, value.training_maximum))
        training = first if first == last else f"{first} to {last}"
        shown = _write_value(value.value)
        lines.append(f"({value.column} is {shown}, outside the range of the training titles: {training})")
    lines += [f"({describe_unseen(value)}{'; scored as other' if value.value else ''})" for value in prediction.unseen]
    if prediction.unfamiliar and not (prediction.outside or prediction.unseen or prediction.clipped):
        lines.append("(no training title had this combination of flags)")
    if prediction.clipped:
        lines.append("(the network predicts a value that the target can't have; this is the nearest one it can have)")
    if prediction.coverage is not None and low is None:
        lines.append("(no prediction interval: the title is too unlike the training titles)")
    if prediction.explanation is not None:
        from gamesales.cli.explanation_text import format_explanation

        lines.append(f"\n{format_explanation(prediction.explanation)}")
    return "\n".join(lines)


def _write_value(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:,.10g}"
