"""gc: what a registry may forget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from gamesales.cli.options import NAME, REGISTRY, JsonOption, NameOption, RegistryOption
from gamesales.cli.output import show_json
from gamesales.jobs.loading import open_registry
from gamesales.jobs.retention import Collected, collect
from gamesales.registry.retention import Retention

_KEPT = Retention()


def gc(
    newest: Annotated[
        int, typer.Option("--keep-newest", min=0, metavar="N", help="Keep so many of the newest versions.")
    ] = _KEPT.newest,
    held_days: Annotated[
        int, typer.Option("--keep-days", min=0, metavar="DAYS", help="Keep what an alias named in the last days.")
    ] = _KEPT.held_days,
    orphan_days: Annotated[
        int,
        typer.Option("--orphan-days", min=1, metavar="DAYS", help="Remove what no event names from this age on."),
    ] = _KEPT.orphan_days,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and change nothing.")] = False,
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Retire versions that nobody needs any more, and remove their files; their history stays."""
    done = collect(open_registry(registry, name), Retention(newest, held_days, orphan_days), dry_run=dry_run)
    if as_json:
        show_json(done)
    else:
        print(_told(done))


def _told(done: Collected) -> str:
    would = "would be " if done.dry_run else ""
    lines = [f"retired     {_listed([str(number) for number in done.versions])}", *_bundles(done.bundles)]
    lines.append(f"{done.files:,} files of bundles and {done.temporary_files:,} temporary files {would}removed")
    if done.dry_run:
        lines.append("nothing was changed")
    return "\n".join(lines)


def _bundles(folders: Sequence[str]) -> list[str]:
    return [f"bundle      {folder}" for folder in folders]


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"


COMMANDS = (gc,)
