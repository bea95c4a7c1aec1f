"""score, predict."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from gamesales.cli import progress
from gamesales.cli.options import NAME, REGISTRY, JsonOption, NameOption, RegistryOption
from gamesales.cli.output import show_json
from gamesales.errors import UsageError
from gamesales.jobs.loading import open_registry
from gamesales.registry.registry import CHAMPION, parse_ref

ModelOption = Annotated[str, typer.Option("--model", metavar="REF", help="Which version scores.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(score)
    app.command()(predict)


def score(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT", help="CSV or Parquet files, folders of them, or globs.")
    ],
    output: Annotated[
        Path,
        typer.Option(metavar="PATH", help="A .csv or .parquet file; anything else is a folder of dated partitions."),
    ],
    day: Annotated[
        str | None,
        typer.Option("--date", metavar="YYYY-MM-DD", help="The date of the run; today in UTC by default."),
    ] = None,
    model: ModelOption = f"@{CHAMPION}",
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Threads that score; one per core by default.")
    ] = None,
    max_rejects: Annotated[
        str | None,
        typer.Option(metavar="N|N%", help="How many rows may be rejected: 10 or 1 %, whichever is more."),
    ] = None,
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Predict what the titles in files will earn, with the promoted version."""
    from gamesales.jobs.score import score as run
    from gamesales.scoring.counts import RejectLimit
    from gamesales.scoring.run import Options

    if str(output) in ("", "."):
        raise UsageError("--output needs a path", hint="For example: --output predictions/")
    parsed = parse_ref(model, name)
    limit = RejectLimit() if max_rejects is None else RejectLimit.parse(max_rejects)
    with progress.rows() as on_rows:
        done = run(
            open_registry(registry, parsed.model),
            parsed,
            inputs,
            output,
            day=_parse_day(day),
            options=Options(limit=limit, workers=workers),
            on_rows=on_rows,
        )
    if as_json:
        show_json(done)
        return
    scored = f"{done.rows_scored:,} of {done.rows_in:,} titles scored"
    print(f"{scored} by version {done.model_version} in {done.seconds:.2f} s")
    if done.rows_rejected:
        print(f"{done.rows_rejected:,} rejected, with reasons: {done.rejects}")
    if done.rows_outside_training_range:
        print(f"{done.rows_outside_training_range:,} outside the range of the training titles (flagged)")
    print(f"written to {done.output}")


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


def _parse_day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--date expects YYYY-MM-DD, received {text!r}") from None
