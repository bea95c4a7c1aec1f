"""Since when and until when an alias named a version, of the whole log: what it said at any time is in one of these."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from gamesales.registry import log
from gamesales.registry.log import Event


@dataclass(frozen=True)
class Span:
    """A time in which an alias named a version: from ``since`` on, up to but not at ``until``; None: still."""

    alias: str
    version: int
    since: str
    until: str | None


def spans(events: Iterable[Event]) -> list[Span]:
    """Return all spans in the order in which they began. One that another event of the same moment ended is empty.

    Args: events: the log, oldest first, each event one that a state could be made of.
    """
    told: list[Span] = []
    live: dict[str, int] = {}  # alias to the place of its span
    now = ""
    for event in events:
        # Where clocks disagree, an event counts from the latest time before it on, as in a state as of a moment.
        now = max(now, event.time)
        if event.kind in (log.ALIAS_SET, log.ALIAS_DELETED):
            place = live.pop(event.body["alias"], None)
            if place is not None:
                told[place] = replace(told[place], until=now)
        if event.kind == log.ALIAS_SET:
            live[event.body["alias"]] = len(told)
            told.append(Span(event.body["alias"], event.body["version"], now, None))
    return told
