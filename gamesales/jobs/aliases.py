"""Set, delete and list aliases, and retire versions. Promotions and rollbacks are in `promote`."""

from __future__ import annotations

from dataclasses import dataclass

from gamesales.errors import NothingPromotedError, UsageError
from gamesales.jobs.promote import Promotion, promote
from gamesales.registry.refs import CHAMPION, Ref, check_alias, format_ref
from gamesales.registry.registry import ModelRegistry


@dataclass(frozen=True)
class AliasRow:
    """An alias and the version that it names: since when, by whom and why, and the version that it named before."""

    alias: str
    version: int
    since: str
    actor: str
    reason: str
    previous_version: int | None


@dataclass(frozen=True)
class AliasList:
    """All aliases of a model, sorted by name."""

    model: str
    registry: str
    aliases: list[AliasRow]


@dataclass(frozen=True)
class AliasDeletion:
    """A deleted alias, and the version that it named."""

    model: str
    alias: str
    previous_version: int
    sequence: int


@dataclass(frozen=True)
class RetirementResult:
    """A retired version: when, by whom and why. ``changed`` is False if it was retired before."""

    model: str
    version: int
    changed: bool
    time: str
    actor: str
    reason: str


def set_alias(registry: ModelRegistry, alias: str, ref: Ref, reason: str = "") -> Promotion:
    """Make an alias name a version. The version must be sound. The gate is not asked.

    Raises:
        UsageError: the alias is ``champion``, which only a promotion may set.
    """
    if check_alias(alias) == CHAMPION:
        name = f"@{ref.alias}" if ref.alias else format_ref(ref.model, ref.version or 0)
        raise UsageError(
            f"{CHAMPION} is the version that scores; only a promotion may set it, because it asks the gate",
            hint=f"Promote it: gamesales promote {name}",
        )
    return promote(registry, ref, alias=alias, reason=reason)


def delete_alias(registry: ModelRegistry, alias: str, reason: str = "") -> AliasDeletion:
    """Delete an alias.

    Raises:
        NothingPromotedError: there is no such alias.
        UsageError: the alias is ``champion``, and no reason is given.
    """
    if check_alias(alias) == CHAMPION and not reason.strip():
        raise UsageError(
            f"without a {CHAMPION}, nothing scores, not even the nightly run; deleting it needs a reason, for the log",
            hint='Add --reason "…"; or go back to the version before: gamesales rollback',
        )
    if registry.read_state().target_of(alias) is None:
        raise NothingPromotedError(
            f"no version of {registry.model} is {alias} in {registry.location}; there is nothing to delete",
            hint="List all aliases: gamesales alias list",
        )
    event = registry.delete_alias(alias, reason)
    return AliasDeletion(registry.model, alias, event.body["previous_version"], event.sequence)


def list_aliases(registry: ModelRegistry) -> AliasList:
    """List all aliases, each with the event that last set it."""
    state = registry.read_state()
    rows = []
    for alias, version in state.read_targets().items():
        event = state.last_set_event(alias)
        assert event is not None  # the alias names a version
        previous = event.body.get("previous_version")
        rows.append(AliasRow(alias, version, event.time, event.actor, event.reason, previous))
    return AliasList(registry.model, registry.location, rows)


def retire(registry: ModelRegistry, ref: Ref, reason: str) -> RetirementResult:
    """Take a version out of use for good. Its history stays. Its files stay until garbage collection.

    Raises:
        UsageError: no reason is given, or an alias names the version.
    """
    if not reason.strip():
        raise UsageError("to retire a version needs a reason, for the log", hint='Add --reason "…"')
    number = registry.find(registry.read_state(), ref, allow_retired=True).number
    changed = registry.retire(number, reason) is not None
    event = registry.find(registry.read_state(), Ref(registry.model, version=number), allow_retired=True).retirement
    assert event is not None  # the version was retired now or earlier, and a retirement is never undone
    return RetirementResult(registry.model, number, changed, event.time, event.actor, event.reason)
