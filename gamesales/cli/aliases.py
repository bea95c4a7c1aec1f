"""alias set, alias delete, alias list; retire: what people say of versions besides promoting them."""

from __future__ import annotations

from typing import Annotated

import typer

from gamesales.cli.group import Group
from gamesales.cli.options import (
    NAME,
    REGISTRY,
    JsonOption,
    NameOption,
    ReasonOption,
    RefArgument,
    RegistryOption,
)
from gamesales.cli.output import moment, one_line, show_json, table
from gamesales.jobs import aliases as naming
from gamesales.jobs.loading import open_registry
from gamesales.registry.refs import parse_ref

AliasArgument = Annotated[str, typer.Argument(metavar="NAME", help="Letters, digits and _, such as challenger.")]


def set_alias(
    alias: AliasArgument,
    ref: RefArgument,
    reason: ReasonOption = "",
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Let an alias name a version that is sound; champion is set by promote, which asks the gate."""
    parsed = parse_ref(ref, name)
    done = naming.set_alias(open_registry(registry, parsed.model), alias, parsed, reason)
    if as_json:
        show_json(done)
    elif not done.changed:
        print(f"{done.model}@{done.alias} is version {done.version} already; nothing was changed")
    else:
        print(f"{done.model}@{done.alias} is now version {done.version} (was {done.previous_version or 'unset'})")


def delete_alias(
    alias: AliasArgument,
    reason: ReasonOption = "",
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Let an alias name nothing; the champion only with --reason, as without one nothing scores."""
    done = naming.delete_alias(open_registry(registry, name), alias, reason)
    if as_json:
        show_json(done)
    else:
        print(f"{done.model}@{done.alias} names nothing any more (was {done.previous_version})")


def list_aliases(registry: RegistryOption = REGISTRY, name: NameOption = NAME, as_json: JsonOption = False) -> None:
    """List what each alias names, since when, on whose word and why, and what it named before."""
    listed = naming.list_aliases(open_registry(registry, name))
    if as_json:
        show_json(listed)
    elif not listed.aliases:
        print(f"no alias names a version of {listed.model} in {listed.registry}. Promote one: gamesales promote REF")
    else:
        rows = [
            [row.alias, str(row.version), moment(row.since), row.actor, str(row.previous_version or "-"), row.reason]
            for row in listed.aliases
        ]
        print(table(["alias", "version", "since", "by", "before", "why"], rows))


def retire(
    ref: RefArgument,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the log; it must be given.")] = "",
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Take a version out of use for good; no alias may name it. Its history stays."""
    parsed = parse_ref(ref, name)
    done = naming.retire(open_registry(registry, parsed.model), parsed, reason)
    if as_json:
        show_json(done)
    elif done.changed:
        print(f"version {done.version} of {done.model} is retired")
    else:
        because = f": {done.reason}" if done.reason else ""
        told = f"was retired on {moment(done.time)} UTC by {done.actor}{because}; nothing was changed"
        print(one_line(f"version {done.version} of {done.model} {told}"))


alias = Group(
    "alias",
    "Let names such as challenger stand for versions.",
    {"set": set_alias, "delete": delete_alias, "list": list_aliases},
)
COMMANDS = (alias, retire)
