"""All about one version: what the log says of it, now or as of a time, and its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gamesales.registry.log import Event
from gamesales.registry.refs import Ref
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.spans import Span, spans
from gamesales.registry.state import replay


@dataclass(frozen=True)
class Retirement:
    """When a version was taken out of use, by whom and why."""

    time: str
    actor: str
    reason: str


@dataclass(frozen=True)
class Shown:
    """One version whole; ``spans`` tell since when and until when each alias named it.

    ``manifest`` is None if the version's files were removed after it was retired.
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


def show(registry: ModelRegistry, ref: Ref, as_of: str | None = None) -> Shown:
    """Tell all about one version; its manifest is checked against the log.

    Args:
        registry: where it is.
        ref: which; an alias is resolved as of the time.
        as_of: a time as the log writes it. What came later is left out.
    """
    events = registry.events()
    state = replay(events, as_of)
    version = registry.find(state, ref, retired=True)
    is_removed = registry.is_removed(replay(events).version(version.number))
    return Shown(
        model=registry.model,
        version=version.number,
        as_of=as_of,
        aliases=state.aliases_of(version.number),
        registered=version.registered.time,
        actor=version.registered.actor,
        reason=version.registered.reason,
        digest=version.digest,
        bundle=f"{registry.location}{version.folder}",
        retired=_retirement(version.retired),
        spans=[span for span in spans(events[: state.index.last[0]]) if span.version == version.number],
        evaluations=[_plain(asdict(evaluation)) for evaluation in version.evaluations],
        manifest=None if is_removed else dict(registry.bundle(version).manifest),
    )


def _retirement(event: Event | None) -> Retirement | None:
    return Retirement(event.time, event.actor, event.reason) if event else None


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: dict(value) if isinstance(value, Mapping) else value for key, value in fields.items()}
