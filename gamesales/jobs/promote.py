"""A version becomes champion, if the gate lets it; or the champion before it becomes champion again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gamesales.errors import UsageError
from gamesales.jobs.hearing import Hearing
from gamesales.jobs.loading import load_registered
from gamesales.registry import gate
from gamesales.registry.log import Event
from gamesales.registry.refs import CHAMPION, Ref, check_alias, short_ref
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.state import State, Version
from gamesales.scoring.scorer import LoadedVersion


@dataclass(frozen=True)
class Promotion:
    """What an alias names after a promotion or a rollback, what it named before, and on what evidence.

    ``holdout`` and ``comparison`` are None where nothing was compared.
    """

    model: str
    alias: str
    version: int
    previous_version: int | None
    changed: bool
    dry_run: bool
    sequence: int | None
    forced: bool = False
    findings: list[dict[str, Any]] = field(default_factory=list)
    holdout: dict[str, str] | None = None
    comparison: dict[str, Any] | None = None


def promote(
    registry: ModelRegistry,
    ref: Ref,
    *,
    alias: str = CHAMPION,
    reason: str = "",
    force: bool = False,
    dry_run: bool = False,
    holdout: Path | None = None,
) -> Promotion:
    """Make an alias name a version.

    The version must verify and reproduce its golden rows, whatever ``force`` says; ``champion`` asks the gate too.

    Args:
        registry: where the version is.
        ref: which version.
        alias: what is to name it.
        reason: why, for the log.
        force: whether it happens even if the gate refuses.
        dry_run: whether to ask the gate alone.
        holdout: what to compare on instead of the file that training held back.

    Raises: GateRefusedError: a condition does not hold. IntegrityError, SelfTestError: the version is not sound.
        UsageError: forced without a reason. InputError: the holdout that was given can't be used.
    """
    check_alias(alias)
    if force and not reason.strip():
        raise UsageError("--force needs a reason, for the log", hint='Add --reason "…"')
    if holdout and alias != CHAMPION:
        raise UsageError(f"--holdout is for {CHAMPION}, which alone the gate guards; {alias} is compared with nothing")
    state = registry.state()
    version = registry.find(state, ref)
    loaded = _sound(registry, version)
    current = state.aliased(alias)
    if current == version.number:
        return Promotion(registry.model, alias, current, current, changed=False, dry_run=dry_run, sequence=None)

    hearing = Hearing(registry, version, loaded, holdout, dry_run=dry_run) if alias == CHAMPION else None

    def judge(state: State, version: Version) -> Mapping[str, Any]:
        findings, details = hearing.hear(state, version) if hearing else ([], {})
        return gate.judge(short_ref(registry.model, version.number), findings, force=force, details=details)

    if dry_run:
        evidence = judge(state, version)
        return Promotion(
            registry.model, alias, version.number, current, changed=True, dry_run=True, sequence=None, **evidence
        )
    event = registry.set_alias(alias, version.number, reason, judge)
    if event is None:  # another writer set it to the same version meanwhile
        same = Ref(registry.model, version=version.number)
        return promote(registry, same, alias=alias, reason=reason, force=force, holdout=holdout)
    return _promotion(registry, event)


def roll_back(registry: ModelRegistry, *, alias: str = CHAMPION, reason: str = "") -> Promotion:
    """Make an alias name the version that it named before. The version must be sound; the gate is not asked."""

    def judge(_state: State, version: Version) -> Mapping[str, Any]:
        _sound(registry, version)
        return {"findings": [], "forced": False}

    return _promotion(registry, registry.roll_back(alias, reason, judge))


def _sound(registry: ModelRegistry, version: Version) -> LoadedVersion:
    registry.bundle(version).verify()
    return load_registered(registry, version)


def _promotion(registry: ModelRegistry, event: Event) -> Promotion:
    body = event.body
    return Promotion(
        registry.model,
        body["alias"],
        body["version"],
        body["previous_version"],
        changed=True,
        dry_run=False,
        sequence=event.sequence,
        **body["evidence"],
    )
