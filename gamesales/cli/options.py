"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from gamesales.errors import UsageError
from gamesales.registry.refs import CHAMPION, DEFAULT_MODEL
from gamesales.registry.times import read_time

RegistryOption = Annotated[
    str,  # a Path would make s3:/bucket of s3://bucket
    typer.Option(
        "--registry", envvar="GAMESALES_REGISTRY", metavar="PATH", help="Where the versions are: a folder or a URL."
    ),
]
NameOption = Annotated[str, typer.Option("--name", metavar="MODEL", help="Which model's versions.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else on stdout.")]
AliasOption = Annotated[str, typer.Option("--alias", metavar="NAME", help="Which alias to move.")]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the log.")]
RefArgument = Annotated[
    str, typer.Argument(metavar="REF", help="4, game-earnings/4, @champion or game-earnings@champion")
]
LimitOption = Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="How many at most.")]
SinceOption = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="From then on: a date, from its beginning in UTC, or a moment."),
]
UntilOption = Annotated[
    str | None,
    typer.Option("--until", metavar="TIME", help="Up to then: a date, to its end in UTC, or a moment."),
]
AsOfOption = Annotated[
    str | None,
    typer.Option("--as-of", metavar="TIME", help="As it was then: at a date's end in UTC, or at 2026-11-24T02:00."),
]

REGISTRY = "registry"
NAME = DEFAULT_MODEL
ALIAS = CHAMPION


def parse_span(since: str | None, until: str | None) -> tuple[str | None, str | None]:
    """Read --since and --until as the log writes times."""
    first = None if since is None else read_time(since, "--since", ends=False)
    last = None if until is None else read_time(until, "--until", ends=True)
    if first is not None and last is not None and first > last:
        raise UsageError(
            f"expected --since before --until, received {since} to {until}",
            hint=f"Swap them: --since {until} --until {since}",
        )
    return first, last


def parse_as_of(text: str | None) -> str | None:
    """Read --as-of as the log writes times."""
    return None if text is None else read_time(text, "--as-of", ends=True)
