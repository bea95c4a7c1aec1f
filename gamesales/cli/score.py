"""The commands score and predict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gamesales.cli.options import NAME, REGISTRY, JsonOption, NameOption, RegistryOption
from gamesales.cli.render import format_table, show_result
from gamesales.errors import UsageError
from gamesales.jobs.loading import open_ref
from gamesales.registry.refs import CHAMPION
from gamesales.report.format import format_count

if TYPE_CHECKING:
    from gamesales.jobs.predict import Prediction
    from gamesales.jobs.score import RunPreview
    from gamesales.scoring.drift import ColumnDrift
    from gamesales.scoring.run_report import RunReport
    from gamesales.scoring.shadow import ShadowReport

# Inputs that a preview lists.
_SHOWN_INPUTS = 20


def score(
    inputs: Annotated[
        list[str] | None, typer.Argument(metavar="INPUT", help="CSV or Parquet files, folders or globs.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="PATH", help="A .csv or .parquet file, or a folder of dated partitions.")
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
        str | None, typer.Option(metavar="REF", help="The version that scores; @champion by default.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Threads that score; one for each core by default.")
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
    unique_ids: Annotated[bool, typer.Option("--unique-ids", help="Stop the run if there are duplicate ids.")] = False,
    as_of_date: Annotated[
        bool, typer.Option("--as-of-date", help="Resolve REF as of the end of each date instead of now.")
    ] = False,
    shadow: Annotated[
        str | None, typer.Option(metavar="REF", help="A second version that scores the same titles for comparison.")
    ] = None,
    metrics_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write metrics for Prometheus to this file.")
    ] = None,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Publish an empty result if there are no input files.")
    ] = False,
    fail_on_drift: Annotated[
        bool, typer.Option("--fail-on-drift", help="Publish the result, but exit with 6 if a column drifted.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Score again, even if the result is already published.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what a run would do, and write nothing.")] = False,
    engine: Annotated[
        str, typer.Option(metavar="local", help="How shards run; local means threads of this process.")
    ] = "local",
    log_format: Annotated[str, typer.Option(metavar="text|json", help="The format of progress on stderr.")] = "text",
    registry: RegistryOption = REGISTRY,
    name: Annotated[str | None, typer.Option("--name", metavar="MODEL", help="The model.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Predict the earnings of titles in files; without INPUT, run the job in jobs/score.toml."""
    from gamesales.cli import progress
    from gamesales.jobs.score import Backfill, get_exit_code, load_score_job, preview
    from gamesales.jobs.score import score as run
    from gamesales.jobs.score_job import choose_dates, parse_date

    _check_choice("--log-format", log_format, "text", "json")
    _check_choice("--engine", engine, "local")
    settings = load_score_job(
        job,
        inputs=tuple(inputs) if inputs else None,
        output=output,
        name=name or None,
        model=model or None,
        keep=None if keep is None else tuple(column for column in keep.split(",") if column),
        max_rejects=max_rejects,
        workers=workers,
        unique_ids=unique_ids or None,
        allow_empty=allow_empty or None,
        metrics_file=metrics_file,
        shadow=shadow or None,
        fail_on_drift=fail_on_drift,
        as_of_date=as_of_date,
        fresh=fresh,
    )
    dates = choose_dates(
        settings.timezone,
        day=None if day is None else parse_date(day, "--date"),
        first=None if first is None else parse_date(first, "--from"),
        last=None if last is None else parse_date(last, "--to"),
    )
    runs: list[RunReport] | list[RunPreview]
    if dry_run:
        runs, exit_code = preview(settings, registry, dates), 0
    else:
        with progress.show_scoring(log_format) as callbacks:
            runs = reports = run(settings, registry, dates, **callbacks)
        exit_code = max(get_exit_code(settings, report) for report in reports)
    if first is None:
        show_result(runs[0], _format_run, as_json=as_json)
    else:
        show_result(Backfill(runs), lambda backfill: "\n".join(map(_format_run, backfill.runs)), as_json=as_json)
    if exit_code:
        raise typer.Exit(exit_code)


def _check_choice(option: str, value: str, *choices: str) -> None:
    if value not in choices:
        raise UsageError(f"{option} expects {' or '.join(choices)}, received {value!r}")


def _format_run(item: RunReport | RunPreview) -> str:
    from gamesales.scoring.run_report import RunReport

    return _format_report(item) if isinstance(item, RunReport) else _format_preview(item)


def _format_report(report: RunReport) -> str:
    lines = []
    if report.already_done:
        lines.append(f"{report.run_date} is already done: same version, same inputs. To score again: --fresh")
    scored = f"{report.rows_scored:,} of {format_count(report.rows_in, 'title')} scored"
    resumed = (
        f", {report.shards_resumed} of {format_count(report.shards, 'shard')} resumed" if report.shards_resumed else ""
    )
    lines.append(f"{scored} by version {report.model_version} in {report.seconds:.2f} s{resumed}")
    if report.rows_rejected:
        lines.append(f"{report.rows_rejected:,} rejected, with reasons: {report.rejects}")
    if report.rows_outside_training_range:
        lines.append(f"{report.rows_outside_training_range:,} outside the range of the training titles (flagged)")
    if report.duplicate_ids and report.duplicate_ids.ids:
        duplicates = report.duplicate_ids
        examples = ", ".join(duplicates.examples)
        ids, rows = format_count(duplicates.ids, "duplicate id"), format_count(duplicates.rows, "extra row")
        lines.append(f"{ids}, {rows}: {examples}")
    if report.drift and report.drift.drifted:
        lines += [f"drift in {', '.join(report.drift.drifted)}\n", _format_drift(report.drift.columns) + "\n"]
    if report.shadow:
        lines.append(_format_shadow(report.shadow))
    return "\n".join([*lines, f"written to {report.output}"])


def _format_drift(columns: Sequence[ColumnDrift]) -> str:
    """Lay out drift, a line for each column, the largest excess over its limit first."""
    ordered = sorted(columns, key=lambda column: column.limit - column.psi)
    rows = [
        [
            column.column,
            f"{column.psi:.3f}",
            f"{column.psi_by_chance:.3f}",
            f"{column.limit:.3f}",
            "-" if column.share_outside is None else f"{column.share_outside:.1%}",
            "drifted" if column.drifted else "",
        ]
        for column in ordered
    ]
    return format_table(["column", "PSI", "by chance", "limit", "outside", ""], rows)


def _format_shadow(shadow: ShadowReport) -> str:
    """Write in a line how the predictions of the shadow differ. The report has the details."""
    from gamesales.scoring.shadow import ShadowDifferences

    version = f"shadow: version {shadow.model_version}"
    if not isinstance(shadow, ShadowDifferences):
        return f"{version} scored no title"
    mean, absolute = shadow.mean_difference, shadow.mean_absolute_difference
    direction = "higher" if mean >= 0 else "lower"
    beyond = ", ".join(f"{share:.1%} of titles by more than {by}" for by, share in shadow.share_beyond.items())
    missing = f"; {format_count(shadow.rows_not_scored, 'title')} not scored" if shadow.rows_not_scored else ""
    return (
        f"{version} predicts ${abs(mean):,.0f} {direction} on average; mean absolute difference ${absolute:,.0f}; "
        f"{beyond}{missing}"
    )


def _format_preview(preview: RunPreview) -> str:
    rows, files = format_count(preview.rows, "row"), format_count(len(preview.inputs), "file")
    first = f"{preview.run_date}: {rows} in {files}, by version {preview.model_version}"
    if preview.already_done:
        return f"{first}\nalready done; nothing would be written to {preview.output}"
    inputs = [
        f"  {file['name']}  {format_count(file['rows'], 'row')}, {format_count(file['size'], 'byte')}"
        for file in preview.inputs
    ]
    resumed = f", {preview.shards_resumed} of them resumed" if preview.shards_resumed else ""
    passthrough = ", ".join(preview.passthrough_columns) or "none"
    lines = [
        first,
        *inputs[:_SHOWN_INPUTS],
        *(["  …"] if len(inputs) > _SHOWN_INPUTS else []),
        f"in {format_count(preview.shards, 'shard')}{resumed}; columns copied from the inputs: {passthrough}",
    ]
    if preview.estimated_seconds is not None:
        lines.append(f"about {preview.estimated_seconds:.1f} s, to {preview.output}")
    return "\n".join(lines)


def predict(
    title: Annotated[list[str], typer.Argument(metavar="NAME=VALUE", help="The features of a title.")],
    model: Annotated[str, typer.Option("--model", metavar="REF", help="The version that scores.")] = f"@{CHAMPION}",
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Predict the earnings of one title; for example, gamesales predict critic_rating=4.5 is_action=1 and so on."""
    from gamesales.jobs.predict import parse_title
    from gamesales.jobs.predict import predict as run

    prediction = run(*open_ref(registry, model, name), parse_title(title))
    show_result(prediction, _format_prediction, as_json=as_json)


def _format_prediction(prediction: Prediction) -> str:
    interval = ""
    if prediction.coverage is not None:
        low, high = prediction.predicted_earnings_low, prediction.predicted_earnings_high
        interval = f" ({100 * prediction.coverage:g}%: ${low:,.0f} to ${high:,.0f})"
    version = f"by version {prediction.model_version} of {prediction.model}"
    note = "\n(a feature is outside the range of the training titles)" if prediction.outside_training_range else ""
    return f"${prediction.predicted_earnings:,.2f}{interval}  {version}{note}"
