"""Aliases other than by promotion, and the end of a version: set, delete, list, retire."""

from __future__ import annotations

from dataclasses import dataclass

from gamesales.errors import NothingPromotedError, UsageError
from gamesales.jobs.promote import Promotion, promote
from gamesales.registry.refs import CHAMPION, Ref, check_alias, short_ref
from gamesales.registry.registry import ModelRegistry


@dataclass(frozen=True)
class AliasRow:
    """What an alias names, since when, on whose word and why, and what it named before that."""

    alias: str
    version: int
    since: str
    actor: str
    reason: str
    previous_version: int | None


@dataclass(frozen=True)
class Aliases:
    """All aliases of a model, sorted by name."""

    model: str
    registry: str
    aliases: list[AliasRow]


@dataclass(frozen=True)
class DeletedAlias:
    """An alias that names nothing any more, and what it named before."""

    model: str
    alias: str
    previous_version: int
    sequence: int


@dataclass(frozen=True)
class Retired:
    """A version that is out of use, since when, on whose word and why; ``changed``: it was in use until now."""

    model: str
    version: int
    changed: bool
    time: str
    actor: str
    reason: str


def set_alias(registry: ModelRegistry, alias: str, ref: Ref, reason: str = "") -> Promotion:
    """Make an alias name a version, which must be sound; no gate is asked.

    Raises: UsageError: it is the champion, of which the gate decides.
    """
    if check_alias(alias) == CHAMPION:
        named = f"@{ref.alias}" if ref.alias else short_ref(ref.model, ref.version or 0)
        raise UsageError(
            f"{CHAMPION} is what scores, and is set by a promotion, which asks the gate",
            hint=f"Promote it: gamesales promote {named}",
        )
    return promote(registry, ref, alias=alias, reason=reason)


def delete_alias(registry: ModelRegistry, alias: str, reason: str = "") -> DeletedAlias:
    """Let an alias name nothing.

    Raises: NothingPromotedError: it names nothing as it is. UsageError: it is the champion, and no reason is given.
    """
    if check_alias(alias) == CHAMPION and not reason.strip():
        raise UsageError(
            f"without a {CHAMPION} nothing scores, the nightly run neither; to delete it needs a reason, for the log",
            hint='Add --reason "…"; or go back to the version before: gamesales rollback',
        )
    if registry.state().aliased(alias) is None:
        raise NothingPromotedError(
            f"no version of {registry.model} is {alias} in {registry.location}; there is nothing to delete",
            hint="See what there is: gamesales alias list",
        )
    event = registry.delete_alias(alias, reason)
    return DeletedAlias(registry.model, alias, event.body["previous_version"], event.sequence)


def list_aliases(registry: ModelRegistry) -> Aliases:
    """List all aliases with the event that decided what each names."""
    state = registry.state()
    rows = []
    for alias, version in state.named.items():
        event = state.decided(alias)
        assert event is not None  # it names a version
        before = event.body.get("previous_version")
        rows.append(AliasRow(alias, version, event.time, event.actor, event.reason, before))
    return Aliases(registry.model, registry.location, rows)


def retire(registry: ModelRegistry, ref: Ref, reason: str) -> Retired:
    """Take a version out of use; its history stays, and its files until they are collected.

    Raises: UsageError: no reason is given, or an alias names it.
    """
    if not reason.strip():
        raise UsageError("to retire a version needs a reason, for the log", hint='Add --reason "…"')
    number = registry.find(registry.state(), ref, retired=True).number
    changed = registry.retire(number, reason) is not None
    event = registry.find(registry.state(), Ref(registry.model, version=number), retired=True).retired
    assert event is not None  # it was retired just now or before, and that is never undone
    return Retired(registry.model, number, changed, event.time, event.actor, event.reason)
