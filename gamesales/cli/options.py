"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gamesales.registry.registry import CHAMPION, DEFAULT_MODEL

RegistryOption = Annotated[
    Path,
    typer.Option("--registry", envvar="GAMESALES_REGISTRY", metavar="PATH", help="Where the versions are."),
]
NameOption = Annotated[str, typer.Option("--name", metavar="MODEL", help="Which model's versions.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else on stdout.")]
AliasOption = Annotated[str, typer.Option("--alias", metavar="NAME", help="Which alias to move.")]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the log.")]

REGISTRY = Path("registry")
NAME = DEFAULT_MODEL
ALIAS = CHAMPION
