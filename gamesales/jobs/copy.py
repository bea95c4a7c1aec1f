"""Copy a version to another registry, with its evaluations and with the record of where it comes from.

The copy has the same bundle, byte for byte, so its digest is the same. Aliases are not copied: the other registry
promotes by its own gate. A second copy of the same version adds only the evaluations that are new.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gamesales.registry.event import Event
from gamesales.registry.refs import Ref
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.state import Version


@dataclass(frozen=True)
class CopyResult:
    """A copied version.

    Attributes:
        model: the model, in both registries.
        version: its number in the registry that it was copied to.
        changed: whether this call registered it. False: it was there before.
        digest: the SHA-256 of the manifest, the same in both registries.
        evaluations: the number of evaluations that this call copied.
        source: the registry that it was copied from.
        source_version: its number there.
        registry: the registry that it was copied to.
    """

    model: str
    version: int
    changed: bool
    digest: str
    evaluations: int
    source: str
    source_version: int
    registry: str


def copy_version(source: ModelRegistry, ref: Ref, target: ModelRegistry, reason: str) -> CopyResult:
    """Copy a version and its evaluations to another registry of the same model. Every byte is checked.

    If the copy is interrupted, the next call does the rest.

    Raises:
        UnknownVersionError: the source has no such version, or it is retired.
        IntegrityError: a file or an event of the source was changed.
    """
    version, bundle = source.resolve(ref)
    number, is_new = target.publish_copy(bundle, _find_origin(version.registration, source), reason)
    evaluations = sum(_copy_evaluation(event, source, target, number) for event in version.read_evaluation_events())
    return CopyResult(
        model=target.model,
        version=number,
        changed=is_new,
        digest=version.digest,
        evaluations=evaluations,
        source=source.location,
        source_version=version.number,
        registry=target.location,
    )


def _copy_evaluation(event: Event, source: ModelRegistry, target: ModelRegistry, number: int) -> bool:
    """Record the evaluation of an event for a version of another registry. Return False if it has it."""
    origin = _find_origin(event, source)

    def is_recorded(version: Version) -> bool:
        return any(_find_origin(past, target)["event"] == origin["event"] for past in version.read_evaluation_events())

    return target.record_evaluation(number, {**event.body, "origin": origin}, event.reason, is_recorded) is not None


def _find_origin(event: Event, registry: ModelRegistry) -> Mapping[str, Any]:
    """Return where an event was first written. A copy of a copy has the origin of the first."""
    origin = event.body.get("origin")
    if isinstance(origin, Mapping) and isinstance(origin.get("event"), str):
        return origin
    return {
        "registry": registry.location,
        "version": event.body["version"],
        "event": event.digest,
        "time": event.time,
        "actor": event.actor,
        "reason": event.reason,
    }
