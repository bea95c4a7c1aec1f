"""What happened in a registry: who did what, when, why and on what evidence.

It reads events and not the state that they add up to, so that an event of a later release can be looked at too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from gamesales.errors import UsageError
from gamesales.registry import log
from gamesales.registry.log import Event
from gamesales.registry.refs import check_alias
from gamesales.registry.registry import ModelRegistry

KINDS = (
    log.VERSION_REGISTERED,
    log.VERSION_RETIRED,
    log.EVALUATION_RECORDED,
    log.ALIAS_SET,
    log.ALIAS_DELETED,
)


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
    """The events of a model that were asked for, newest first."""

    model: str
    registry: str
    events: list[EventRow]


@dataclass(frozen=True)
class Wanted:
    """Which events are told; by default all.

    They move or delete ``alias``; they concern ``version``, if only by taking an alias from it; they are of ``kind``,
    which is one of KINDS or the part before its dot; ``actor`` did it; they happened from ``since`` to ``until``, both
    included and as the log writes times. Of these, the newest ``limit``.
    """

    alias: str | None = None
    version: int | None = None
    kind: str | None = None
    actor: str | None = None
    since: str | None = None
    until: str | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.alias is not None:
            check_alias(self.alias)
        groups = sorted({kind.partition(".")[0] for kind in KINDS})
        if self.kind not in (None, *KINDS, *groups):
            raise UsageError(
                f"there are no events of kind {self.kind!r}; expected {', '.join(KINDS)}",
                hint=f"Or all kinds that begin alike: {', '.join(groups)}",
            )


def history(registry: ModelRegistry, wanted: Wanted | None = None) -> History:
    """Tell who did what, when and why, newest first."""
    wanted = wanted or Wanted()
    rows = [
        EventRow(event.sequence, event.time, event.actor, event.kind, event.reason, dict(event.body))
        for event in islice(_fitting(registry.events(), wanted), wanted.limit)
    ]
    return History(registry.model, registry.location, rows)


def _fitting(events: list[Event], wanted: Wanted) -> Iterator[Event]:
    return (event for event in reversed(events) if _fits(event, wanted))


def _fits(event: Event, wanted: Wanted) -> bool:
    body = event.body
    return (
        (wanted.alias is None or body.get("alias") == wanted.alias)
        and (wanted.version is None or wanted.version in (body.get("version"), body.get("previous_version")))
        and wanted.kind in (None, event.kind, event.kind.partition(".")[0])
        and wanted.actor in (None, event.actor)
        and (wanted.since is None or wanted.since <= event.time)
        and (wanted.until is None or event.time <= wanted.until)
    )
