"""Show one version in full, as it is now or as it was at a time in the past."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gamesales.registry.event import Event
from gamesales.registry.refs import Ref
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.state import Span, list_alias_spans, replay


@dataclass(frozen=True)
class Retirement:
    """The retirement of a version: when, by whom and why."""

    time: str
    actor: str
    reason: str


@dataclass(frozen=True)
class VersionDetails:
    """One version in full.

    ``spans`` says from when to when each alias named the version. ``manifest`` is None if the files were removed after
    the retirement.
    """

    model: str
    version: int
    as_of: str | None
    aliases: list[str]
    registered: str
    actor: str
    reason: str
    digest: str
    bundle: str
    retired: Retirement | None
    spans: list[Span]
    evaluations: list[dict[str, Any]]
    manifest: dict[str, Any] | None


def show(registry: ModelRegistry, ref: Ref, as_of: str | None = None) -> VersionDetails:
    """Return all that the registry has about a version. The manifest is checked against the log.

    Args:
        registry: the registry of the model.
        ref: the version. An alias is resolved as of the time.
        as_of: a time, as the log writes it. Later events are ignored.
    """
    events = registry.read_events()
    state = replay(events, as_of)
    version = registry.find(state, ref, allow_retired=True)
    is_removed = registry.is_removed(replay(events).read_version(version.number))
    return VersionDetails(
        model=registry.model,
        version=version.number,
        as_of=as_of,
        aliases=state.aliases_of(version.number),
        registered=version.registration.time,
        actor=version.registration.actor,
        reason=version.registration.reason,
        digest=version.digest,
        bundle=f"{registry.location}{version.folder}",
        retired=_make_retirement(version.retirement),
        spans=[span for span in list_alias_spans(events[: state.index.last[0]]) if span.version == version.number],
        evaluations=[_copy_mappings(asdict(evaluation)) for evaluation in version.read_evaluations()],
        manifest=None if is_removed else dict(registry.open_bundle(version).manifest),
    )


def _make_retirement(event: Event | None) -> Retirement | None:
    return Retirement(event.time, event.actor, event.reason) if event else None


def _copy_mappings(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Turn each mapping into a plain dict, which JSON can write."""
    return {key: dict(value) if isinstance(value, Mapping) else value for key, value in fields.items()}
