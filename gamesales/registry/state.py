"""What the events of a log add up to: the versions, and which of them each alias names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import takewhile

from gamesales.errors import IntegrityError
from gamesales.registry import log
from gamesales.registry.log import Event


@dataclass(frozen=True)
class Evaluation:
    """What one version scored on one file, as an ``evaluation.recorded`` event tells it."""

    data: str
    data_sha256: str
    rows: int
    metrics: Mapping[str, float | None]
    time: str


@dataclass
class Version:
    """One registered version and what was said of it since."""

    number: int
    folder: str
    digest: str
    registered: Event
    evaluations: list[Evaluation] = field(default_factory=list)


@dataclass
class State:
    """The registry of one model after some number of events."""

    versions: dict[int, Version] = field(default_factory=dict)
    # Each alias's versions, oldest first; the last is the one that it names. A rollback removes the last.
    aliases: dict[str, list[int]] = field(default_factory=dict)
    # The moment that this was the state at, as the log writes times; None: now.
    as_of: str | None = None

    @property
    def newest(self) -> int:
        """The newest version's number, 0 before the first."""
        return max(self.versions, default=0)

    def aliased(self, alias: str) -> int | None:
        """Return the version that an alias names now."""
        stack = self.aliases.get(alias)
        return stack[-1] if stack else None

    def aliases_of(self, number: int) -> list[str]:
        """Return the aliases that name a version now, sorted."""
        return sorted(alias for alias in self.aliases if self.aliased(alias) == number)


def replay(events: Iterable[Event], as_of: str | None = None) -> State:
    """Fold events into the state that they add up to.

    Args:
        events: the log, oldest first.
        as_of: stop before the first event that is later than this time, which is written as the log writes times.

    Raises: IntegrityError: an event's body is not what its kind promises.
    """
    state = State(as_of=as_of)
    # Not every event whose time fits: where clocks disagree that could be a state which the log never had.
    for event in takewhile(lambda event: as_of is None or event.time <= as_of, events):
        try:
            _check_types(event)
            _APPLY[event.kind](state, event)
        except (KeyError, TypeError, IndexError, ValueError):
            raise IntegrityError(
                f"event {event.sequence} ({event.kind}) is not one that this release understands",
                hint="Upgrade gamesales",
            ) from None
    return state


def _check_types(event: Event) -> None:
    """Refuse values of other types. ``isinstance`` would take True for version 1."""
    for name, kind in _FIELDS[event.kind].items():
        if type(event.body[name]) is not kind:
            raise TypeError(name)


def _registered(state: State, event: Event) -> None:
    body = event.body
    if body["version"] != len(state.versions) + 1:
        raise ValueError("a number is given once, and in order")
    state.versions[body["version"]] = Version(body["version"], body["folder"], body["digest"], event)


def _alias_set(state: State, event: Event) -> None:
    stack = state.aliases.setdefault(event.body["alias"], [])
    number = state.versions[event.body["version"]].number
    if event.body["rollback"]:
        stack.pop()
    else:
        stack.append(number)


def _evaluated(state: State, event: Event) -> None:
    body = event.body
    evaluation = Evaluation(body["data"], body["data_sha256"], body["rows"], body["metrics"], event.time)
    state.versions[body["version"]].evaluations.append(evaluation)


_FIELDS: dict[str, dict[str, type]] = {
    log.VERSION_REGISTERED: {"version": int, "folder": str, "digest": str},
    log.ALIAS_SET: {"alias": str, "version": int, "rollback": bool},
    log.EVALUATION_RECORDED: {"version": int, "data": str, "data_sha256": str, "rows": int, "metrics": dict},
}
_APPLY = {
    log.VERSION_REGISTERED: _registered,
    log.ALIAS_SET: _alias_set,
    log.EVALUATION_RECORDED: _evaluated,
}
