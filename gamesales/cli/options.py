"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from gamesales.registry.refs import CHAMPION, DEFAULT_MODEL

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

REGISTRY = "registry"
NAME = DEFAULT_MODEL
ALIAS = CHAMPION
