"""score, predict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gamesales.cli.options import NAME, REGISTRY, JsonOption, NameOption, RegistryOption
from gamesales.cli.render import show_json
from gamesales.jobs.loading import open_registry
from gamesales.registry.refs import CHAMPION, parse_ref

if TYPE_CHECKING:
    from gamesales.jobs.predict import Prediction

ModelOption = Annotated[str, typer.Option("--model", metavar="REF", help="Which version scores.")]


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
    from gamesales.cli.night import Asked, score_nights

    score_nights(
        Asked(
            inputs=inputs,
            output=output,
            job=job,
            day=day,
            first=first,
            last=last,
            model=model,
            workers=workers,
            keep=keep,
            max_rejects=max_rejects,
            unique_ids=unique_ids,
            as_of_date=as_of_date,
            shadow=shadow,
            metrics_file=metrics_file,
            allow_empty=allow_empty,
            fail_on_drift=fail_on_drift,
            fresh=fresh,
            dry_run=dry_run,
            engine=engine,
            log_format=log_format,
            registry=registry,
            name=name,
            as_json=as_json,
        )
    )


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
    print(f"${done.predicted_earnings:,.2f}{_between(done)}  by version {done.model_version} of {done.model}")
    if done.outside_training_range:
        print("(a characteristic lies outside what the version was trained on)")


def _between(done: Prediction) -> str:
    """Show the interval around a prediction; nothing where the version gives none."""
    if done.coverage is None:
        return ""
    low, high = done.predicted_earnings_low, done.predicted_earnings_high
    return f" ({100 * done.coverage:g} %: ${low:,.0f} to ${high:,.0f})"


COMMANDS = (score, predict)
