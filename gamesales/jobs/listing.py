"""What the registry holds and what happened in it, for people to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gamesales.registry.refs import Ref
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.state import State, Version


@dataclass(frozen=True)
class VersionRow:
    """One version in a list: its number, its aliases, and its latest evaluation if there is one."""

    version: int
    aliases: list[str]
    registered: str
    actor: str
    reason: str
    digest: str
    metrics: dict[str, float | None] | None


@dataclass(frozen=True)
class Versions:
    """All versions of a model, newest first."""

    model: str
    registry: str
    versions: list[VersionRow]


@dataclass(frozen=True)
class Shown:
    """One version whole: what the log says of it, and its manifest."""

    model: str
    version: int
    aliases: list[str]
    registered: str
    actor: str
    reason: str
    digest: str
    bundle: str
    evaluations: list[dict[str, Any]]
    manifest: dict[str, Any]


@dataclass(frozen=True)
class EventRow:
    """One event of the log."""

    sequence: int
    time: str
    actor: str
    kind: str
    reason: str
    body: dict[str, Any]


@dataclass(frozen=True)
class History:
    """The events of a model, newest first."""

    model: str
    registry: str
    events: list[EventRow]


@dataclass(frozen=True)
class Verified:
    """What was checked and found sound."""

    model: str
    registry: str
    events: int
    files: int


def list_versions(registry: ModelRegistry) -> Versions:
    """List all versions, newest first."""
    state = registry.state()
    rows = [_row(state, version) for _, version in sorted(state.versions.items(), reverse=True)]
    return Versions(registry.model, registry.location, rows)


def show(registry: ModelRegistry, ref: Ref) -> Shown:
    """Tell all about one version; its manifest is checked against the log."""
    state = registry.state()
    version = registry.find(state, ref)
    bundle = registry.bundle(version)
    row = _row(state, version)
    return Shown(
        model=registry.model,
        version=row.version,
        aliases=row.aliases,
        registered=row.registered,
        actor=row.actor,
        reason=row.reason,
        digest=row.digest,
        bundle=bundle.where,
        evaluations=[_plain(asdict(evaluation)) for evaluation in version.evaluations],
        manifest=dict(bundle.manifest),
    )


def history(registry: ModelRegistry) -> History:
    """Tell who did what, when and why, newest first."""
    rows = [
        EventRow(event.sequence, event.time, event.actor, event.kind, event.reason, dict(event.body))
        for event in reversed(registry.events())
    ]
    return History(registry.model, registry.location, rows)


def verify(registry: ModelRegistry, ref: Ref | None = None) -> Verified:
    """Check the whole log, and the files of one version or of all.

    Raises: IntegrityError: it names the first event or file that is wrong.
    """
    events, files = registry.verify(ref)
    return Verified(registry.model, registry.location, events, files)


def _row(state: State, version: Version) -> VersionRow:
    event = version.registered
    evaluation = version.evaluation
    latest = dict(evaluation.metrics) if evaluation else None
    aliases = state.aliases_of(version.number)
    return VersionRow(version.number, aliases, event.time, event.actor, event.reason, version.digest, latest)


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: dict(value) if isinstance(value, Mapping) else value for key, value in fields.items()}
