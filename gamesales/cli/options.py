"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from gamesales.errors import UsageError
from gamesales.registry.event import parse_time
from gamesales.registry.refs import CHAMPION, DEFAULT_MODEL, DEFAULT_REGISTRY, REGISTRY_VARIABLE

RegistryOption = Annotated[
    str,  # a Path would turn s3://bucket into s3:/bucket
    typer.Option("--registry", envvar=REGISTRY_VARIABLE, metavar="PATH", help="The registry, a folder or a URL."),
]
JobRegistryOption = Annotated[
    str | None,
    typer.Option(
        "--registry",
        envvar=REGISTRY_VARIABLE,
        metavar="PATH",
        help="The registry, a folder or a URL; by default as in the job file, or registry.",
    ),
]
NameOption = Annotated[str, typer.Option("--name", metavar="MODEL", help="The model.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print only one JSON document on stdout.")]
AliasOption = Annotated[str, typer.Option("--alias", metavar="NAME", help="The alias to set.")]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="The reason, for the log.")]
RefArgument = Annotated[
    str,
    typer.Argument(metavar="REF", help="A version: 4, champion, game-earnings/4 or game-earnings@champion."),
]
LimitOption = Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="Show at most N rows.")]
SinceOption = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Only from this time, or from the start of this date in UTC."),
]
UntilOption = Annotated[
    str | None,
    typer.Option("--until", metavar="TIME", help="Only up to this time, or up to the end of this date in UTC."),
]
AsOfOption = Annotated[
    str | None,
    typer.Option("--as-of", metavar="TIME", help="Show the state at this time, or at the end of this date in UTC."),
]

REGISTRY = DEFAULT_REGISTRY
NAME = DEFAULT_MODEL
ALIAS = CHAMPION


def choose_registry(option: str | None, job: str | None) -> str:
    """Return the registry of a job: that of the command line or the environment, or that of the job, or the default."""
    named = job if option is None else option
    return REGISTRY if named is None else named


def parse_span(since: str | None, until: str | None) -> tuple[str | None, str | None]:
    """Convert --since and --until to times of the log."""
    first = None if since is None else parse_time(since, "--since", is_end=False)
    last = None if until is None else parse_time(until, "--until", is_end=True)
    if first is not None and last is not None and first > last:
        raise UsageError(
            f"expected --since before --until, received {since} to {until}",
            hint=f"Swap them: --since {until} --until {since}",
        )
    return first, last


def parse_as_of(text: str | None) -> str | None:
    """Convert --as-of to a time of the log."""
    return None if text is None else parse_time(text, "--as-of", is_end=True)
