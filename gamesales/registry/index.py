"""Where in a log each fact stands: the sequences of the events that tell it, and nothing of what they say.

An index is what a checkpoint keeps, and what a state reads its events by. Folding a log into it checks that each event
is one that its kind promises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from gamesales.errors import IntegrityError
from gamesales.registry import log
from gamesales.registry.log import FIRST_PREVIOUS, Event

# An event's sequence and digest.
Place = tuple[int, str]


@dataclass
class Index:
    """The places of a log's events.

    ``last`` is the last event that was folded in; ``versions`` and ``retired`` map a version's number to its
    ``version.registered`` and ``version.retired``; ``evaluations`` to its evaluations, oldest first; ``aliases`` maps
    an alias to the events that set it, oldest first: the last decides, and a rollback takes it away.
    """

    last: Place = (0, FIRST_PREVIOUS)
    versions: dict[int, Place] = field(default_factory=dict)
    retired: dict[int, Place] = field(default_factory=dict)
    evaluations: dict[int, list[Place]] = field(default_factory=dict)
    aliases: dict[str, list[Place]] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        """Fold in the next event.

        Raises: IntegrityError: its body is not what its kind promises; to go on would be to guess.
        """
        try:
            _check_types(event)
            _ADD[event.kind](self, event.body, event.place)
        except (KeyError, TypeError, IndexError, ValueError):
            raise IntegrityError(
                f"event {event.sequence} ({event.kind}) is not one that this release understands",
                hint="Upgrade gamesales",
            ) from None
        self.last = event.place

    def as_json(self) -> dict[str, Any]:
        """Return what ``from_json`` makes an equal index of."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """Raises: ValueError, TypeError, KeyError: this is not what ``as_json`` returned."""
        if found.keys() != {each.name for each in fields(cls)}:
            raise ValueError("other fields")
        return cls(
            last=_place(found["last"]),
            versions={int(number): _place(one) for number, one in found["versions"].items()},
            retired={int(number): _place(one) for number, one in found["retired"].items()},
            evaluations={int(number): [_place(one) for one in each] for number, each in found["evaluations"].items()},
            aliases={alias: [_place(one) for one in each] for alias, each in found["aliases"].items()},
        )


def _place(found: Any) -> Place:
    sequence, digest = found
    # No more than types and size, thousands of times; the event that is found there must have this very digest.
    if type(sequence) is not int or type(digest) is not str or len(digest) != 64:
        raise ValueError("no place")
    return sequence, digest


def _check_types(event: Event) -> None:
    """Refuse values of other types. ``isinstance`` would take True for version 1."""
    for name, kind in _FIELDS[event.kind].items():
        if type(event.body[name]) is not kind:
            raise TypeError(name)


def _registered(index: Index, body: Mapping[str, Any], place: Place) -> None:
    if body["version"] != len(index.versions) + 1:
        raise ValueError("a number is given once, and in order")
    index.versions[body["version"]] = place


def _retired(index: Index, body: Mapping[str, Any], place: Place) -> None:
    if body["version"] not in index.versions or body["version"] in index.retired:
        raise ValueError("only what is there is retired, and once")
    index.retired[body["version"]] = place


def _evaluated(index: Index, body: Mapping[str, Any], place: Place) -> None:
    if body["version"] not in index.versions:
        raise ValueError("no such version")
    index.evaluations.setdefault(body["version"], []).append(place)


def _alias_set(index: Index, body: Mapping[str, Any], place: Place) -> None:
    if body["version"] not in index.versions:
        raise ValueError("no such version")
    stack = index.aliases.setdefault(body["alias"], [])
    if body["rollback"]:
        stack.pop()
        stack[-1] = place  # it names that version again, and this event is what says so
    else:
        stack.append(place)


def _alias_deleted(index: Index, body: Mapping[str, Any], _place: Place) -> None:
    del index.aliases[body["alias"]]


_FIELDS: dict[str, dict[str, type]] = {
    log.VERSION_REGISTERED: {"version": int, "folder": str, "digest": str},
    log.VERSION_RETIRED: {"version": int, "digest": str},
    log.EVALUATION_RECORDED: {
        "version": int,
        "digest": str,
        "data": str,
        "data_sha256": str,
        "rows": int,
        "metrics": dict,
    },
    log.ALIAS_SET: {"alias": str, "version": int, "digest": str, "rollback": bool},
    log.ALIAS_DELETED: {"alias": str},
}
_ADD: dict[str, Callable[[Index, Mapping[str, Any], Place], None]] = {
    log.VERSION_REGISTERED: _registered,
    log.VERSION_RETIRED: _retired,
    log.EVALUATION_RECORDED: _evaluated,
    log.ALIAS_SET: _alias_set,
    log.ALIAS_DELETED: _alias_deleted,
}
