"""Options that several commands share. Only Typer needs them, so that a plain command line starts without them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gamesales.cli.completion import complete_aliases, complete_choices, complete_refs
from gamesales.registry.refs import REGISTRY_VARIABLE

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
AliasOption = Annotated[
    str, typer.Option("--alias", metavar="NAME", help="The alias to set.", autocompletion=complete_aliases)
]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="The reason, for the log.")]
RefArgument = Annotated[
    str,
    typer.Argument(
        metavar="REF",
        help="A version: 4, champion, game-earnings/4 or game-earnings@champion.",
        autocompletion=complete_refs,
    ),
]
PublicKeyOption = Annotated[
    Path | None,
    typer.Option("--require-signature", metavar="FILE", help="A public key that must have signed the promotion."),
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
KeyOption = Annotated[
    Path, typer.Option("--key", metavar="FILE", help="The private key, a PEM file; GAMESALES_KEY_PASSWORD unlocks it.")
]
PolicyFileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A TOML file: approvals = N and [keys].")]
AliasArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="The alias, of letters, digits and _, such as challenger.",
        autocompletion=complete_aliases,
    ),
]
JobArgument = Annotated[Path, typer.Argument(metavar="JOB", help="The job file.")]
PresetOption = Annotated[
    str | None,
    typer.Option(
        "--preset",
        metavar="NAME",
        help="Take the network and its training from a preset: course.",
        autocompletion=complete_choices("course"),
    ),
]
