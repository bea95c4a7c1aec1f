"""List the events of a registry: who did what, when, why and on what evidence.

Events are read from the log and not from the state, so that an event of a later release is listed too.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any

from gamesales.errors import UsageError
from gamesales.registry.event import (
    ALIAS_DELETED,
    ALIAS_SET,
    EVALUATION_RECORDED,
    VERSION_REGISTERED,
    VERSION_RETIRED,
    Event,
)
from gamesales.registry.refs import check_alias
from gamesales.registry.registry import ModelRegistry

KINDS = (
    VERSION_REGISTERED,
    VERSION_RETIRED,
    EVALUATION_RECORDED,
    ALIAS_SET,
    ALIAS_DELETED,
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
class EventList:
    """The events that match a filter, newest first."""

    model: str
    registry: str
    events: list[EventRow]


@dataclass(frozen=True)
class EventFilter:
    """Which events to list. The default is all events.

    Attributes:
        alias: only events that set or delete this alias.
        version: only events about this version, or that take an alias from it.
        kind: only events of this kind, one of KINDS, or the part of a kind before its dot.
        actor: only events by this person.
        since: only events at this time or later. Times are written as in the log.
        until: only events at this time or earlier.
        limit: the most events to list. The newest are kept.
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
                f"expected an event kind, one of {', '.join(KINDS)}, found {self.kind!r}",
                hint=f"Or give a group of kinds: {', '.join(groups)}",
            )

    def matches(self, event: Event) -> bool:
        """Whether an event matches the filter. The limit is not considered."""
        body = event.body
        return (
            (self.alias is None or body.get("alias") == self.alias)
            and (self.version is None or self.version in (body.get("version"), body.get("previous_version")))
            and self.kind in (None, event.kind, event.kind.partition(".")[0])
            and self.actor in (None, event.actor)
            and (self.since is None or self.since <= event.time)
            and (self.until is None or event.time <= self.until)
        )


def list_events(registry: ModelRegistry, event_filter: EventFilter | None = None) -> EventList:
    """List the events that match a filter, newest first."""
    event_filter = event_filter or EventFilter()
    matching = (event for event in reversed(registry.read_events()) if event_filter.matches(event))
    rows = [
        EventRow(event.sequence, event.time, event.actor, event.kind, event.reason, dict(event.body))
        for event in islice(matching, event_filter.limit)
    ]
    return EventList(registry.model, registry.location, rows)
