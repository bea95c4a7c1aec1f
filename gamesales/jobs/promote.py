"""A version becomes champion, if the gate lets it; or the champion before it becomes champion again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gamesales.errors import UsageError
from gamesales.jobs.loading import load_registered
from gamesales.registry import gate
from gamesales.registry.log import Event
from gamesales.registry.refs import CHAMPION, Ref, check_alias
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.state import State, Version


@dataclass(frozen=True)
class Promotion:
    """What an alias names after a promotion or a rollback, what it named before, and on what evidence."""

    model: str
    alias: str
    version: int
    previous_version: int | None
    changed: bool
    dry_run: bool
    forced: bool
    findings: list[dict[str, Any]]
    sequence: int | None


def promote(
    registry: ModelRegistry,
    ref: Ref,
    *,
    alias: str = CHAMPION,
    reason: str = "",
    force: bool = False,
    dry_run: bool = False,
) -> Promotion:
    """Make an alias name a version.

    The version must verify and reproduce its golden rows, whatever ``force`` says; ``champion`` asks the gate too.

    Raises: GateRefusedError: a condition does not hold. IntegrityError, SelfTestError: the version is not sound.
        UsageError: forced without a reason.
    """
    if force and not reason.strip():
        raise UsageError("--force needs a reason, for the log", hint='Add --reason "…"')
    check_alias(alias)

    def judge(_state: State, version: Version) -> Mapping[str, Any]:
        _check_soundness(registry, version)
        findings = [gate.evaluation_is_recorded(version)] if alias == CHAMPION else []
        return gate.judge(version, findings, force=force)

    state = registry.state()
    version = registry.find(state, ref)
    if dry_run or state.aliased(alias) == version.number:
        evidence = judge(state, version)
        changed = state.aliased(alias) != version.number
        return Promotion(
            registry.model,
            alias,
            version.number,
            state.aliased(alias),
            changed,
            dry_run,
            **evidence,
            sequence=None,
        )
    event = registry.set_alias(alias, version.number, reason, judge)
    if event is None:  # another writer set it to the same version meanwhile
        return promote(registry, ref, alias=alias, reason=reason, force=force)
    return _promotion(registry, event)


def roll_back(registry: ModelRegistry, *, alias: str = CHAMPION, reason: str = "") -> Promotion:
    """Make an alias name the version that it named before. The version must be sound; the gate is not asked."""

    def judge(_state: State, version: Version) -> Mapping[str, Any]:
        _check_soundness(registry, version)
        return {"findings": [], "forced": False}

    return _promotion(registry, registry.roll_back(alias, reason, judge))


def _check_soundness(registry: ModelRegistry, version: Version) -> None:
    registry.bundle(version).verify()
    load_registered(registry, version)


def _promotion(registry: ModelRegistry, event: Event) -> Promotion:
    body = event.body
    return Promotion(
        registry.model,
        body["alias"],
        body["version"],
        body["previous_version"],
        changed=True,
        dry_run=False,
        **body["evidence"],
        sequence=event.sequence,
    )
