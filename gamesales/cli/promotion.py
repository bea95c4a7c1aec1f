"""promote, rollback: what is live."""

from __future__ import annotations

from typing import Annotated

import typer

from gamesales.cli.options import (
    ALIAS,
    NAME,
    REGISTRY,
    AliasOption,
    JsonOption,
    NameOption,
    ReasonOption,
    RefArgument,
    RegistryOption,
)
from gamesales.cli.output import show_json
from gamesales.jobs import promote as promoting
from gamesales.jobs.loading import open_registry
from gamesales.registry.refs import parse_ref


def promote(
    ref: RefArgument,
    alias: AliasOption = ALIAS,
    reason: ReasonOption = "",
    force: Annotated[bool, typer.Option("--force", help="Override the gate; needs --reason.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Ask the gate and change nothing.")] = False,
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Let a version score from now on, if the gate agrees."""
    parsed = parse_ref(ref, name)
    opened = open_registry(registry, parsed.model)
    done = promoting.promote(opened, parsed, alias=alias, reason=reason, force=force, dry_run=dry_run)
    if as_json:
        show_json(done)
    elif not done.changed:
        print(f"{done.model}@{done.alias} is version {done.version} already; nothing was changed")
    elif done.dry_run:
        print(f"{done.model}@{done.alias} would become version {done.version}{_was(done)}; nothing was changed")
    else:
        print(
            f"{done.model}@{done.alias} is now version {done.version}{_was(done)}{' (forced)' if done.forced else ''}"
        )


def rollback(
    alias: AliasOption = ALIAS,
    reason: ReasonOption = "",
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Let the version before score again; a second time goes one further back."""
    done = promoting.roll_back(open_registry(registry, name), alias=alias, reason=reason)
    if as_json:
        show_json(done)
    else:
        print(f"{done.model}@{done.alias} is version {done.version} again{_was(done)}")


def _was(done: promoting.Promotion) -> str:
    return f" (was {done.previous_version or 'unset'})"


COMMANDS = (promote, rollback)
