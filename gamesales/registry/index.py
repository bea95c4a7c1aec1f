"""Where in a log each fact stands: the sequences of the events that tell it, and nothing of what they say.

An index is what a checkpoint keeps, and what a state reads its events by. Folding a log into it checks that each event
is one that its kind promises.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Self

from gamesales.errors import GamesalesError, IntegrityError
from gamesales.registry import log, sealing
from gamesales.registry.log import FIRST_PREVIOUS, Event
from gamesales.registry.store import Store

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


FORMAT = 1
# Events that are read one by one since the last checkpoint, at most: some 5 ms on a local disk.
EVERY = 64
# Checkpoints that stay: a reader who has just listed them must still find the one before the newest.
KEPT = 2
_NAME = re.compile(r"[0-9]{20}\.json")


class Checkpoints:
    """The checkpoints of one model's log."""

    def __init__(self, store: Store, model: str) -> None:
        self._store = store
        self._folder = f"{model}/checkpoints"

    def newest(self) -> Index:
        """Return the newest sound one's index, an empty one if there is none."""
        for key in reversed(self._keys()):
            index = self._read(key)
            if index is not None:
                return index
        return Index()

    def write(self, index: Index) -> None:
        """Write one, and remove the oldest. It is a cache: whatever fails here fails nobody's work."""
        with suppress(GamesalesError):
            data, _ = sealing.seal("checkpoint", {"format": FORMAT, "index": index.as_json()})
            self._store.create(self._key(index.last), data)
            for key in self._keys()[:-KEPT]:
                self._store.delete(key)

    def verify(self, events: Sequence[Event]) -> None:
        """Check that each says what the log says.

        Raises: IntegrityError: it names the one that does not.
        """
        expected, indices = Index(), {key: self._read(key) for key in self._keys()}
        waiting = {self._key(index.last): index for index in indices.values() if index is not None}
        sound = set()
        for event in events:
            expected.add(event)
            key = self._key(event.place)
            if waiting.get(key) == expected:
                sound.add(key)
        for key in indices:
            if key not in sound:
                raise IntegrityError(
                    f"{self._store.location}{key} does not say what the log says",
                    hint="Delete the file: checkpoints are made again from the log",
                )

    def _keys(self) -> list[str]:
        keys = self._store.list(self._folder)
        return [key for key in keys if _NAME.fullmatch(key.removeprefix(f"{self._folder}/"))]

    def _read(self, key: str) -> Index | None:
        try:
            fields, _ = sealing.unseal("checkpoint", self._store.read(key), key)
            index = Index.from_json(fields["index"]) if fields["format"] == FORMAT else None
        except (KeyError, ValueError, TypeError, AttributeError):  # removed meanwhile, damaged, of another release
            return None
        return index if index is not None and self._key(index.last) == key else None

    def _key(self, place: Place) -> str:
        return f"{self._folder}/{place[0]:020d}.json"


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
