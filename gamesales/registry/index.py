"""The index of a log: where each fact is, but not what it says; and the checkpoints that keep an index.

An index maps versions, evaluations and aliases to the events that set them. A state reads its events by it. Folding a
log into an index checks that each event has the body that its kind promises.

A checkpoint is a sealed file with the index after some event. A checkpoint only locates events. Its content is never
trusted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from gamesales.errors import GamesalesError, IntegrityError
from gamesales.registry.event import (
    ALIAS_DELETED,
    ALIAS_SET,
    EVALUATION_RECORDED,
    VERSION_REGISTERED,
    VERSION_RETIRED,
    Event,
    EventRef,
    seal_json,
    unseal_json,
)
from gamesales.registry.log import NO_PREVIOUS
from gamesales.registry.store import Store

# A reader reads at most this many events after the last checkpoint, one by one: some 5 ms on a local disk.
EVENTS_PER_CHECKPOINT = 64
# A reader that has just listed the checkpoints must still find the one before the newest.
CHECKPOINTS_KEPT = 2
_FORMAT = 1
_CHECKPOINT_NAME = re.compile(r"[0-9]{20}\.json")


@dataclass
class Index:
    """References to the events that matter for each version and alias.

    ``last`` is the last event that was folded in. ``versions`` and ``retired`` map a version's number to its
    ``version.registered`` and ``version.retired``. ``evaluations`` maps it to its evaluations, oldest first.
    ``aliases`` maps an alias to the events that set it, oldest first: the last event names the target, and a rollback
    removes the last event.
    """

    last: EventRef = (0, NO_PREVIOUS)
    versions: dict[int, EventRef] = field(default_factory=dict)
    retired: dict[int, EventRef] = field(default_factory=dict)
    evaluations: dict[int, list[EventRef]] = field(default_factory=dict)
    aliases: dict[str, list[EventRef]] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        """Fold in the next event.

        Raises:
            IntegrityError: the event's kind is unknown, or its body is not the body that its kind promises.
        """
        try:
            _check_types(event)
            _FOLD[event.kind](self, event.body, event.ref)
        except (KeyError, TypeError, IndexError, ValueError):
            raise IntegrityError(
                f"event {event.sequence} ({event.kind}) is not one that this release understands",
                hint="Upgrade gamesales",
            ) from None
        self.last = event.ref

    def as_json(self) -> dict[str, Any]:
        """Return a JSON document. The inverse of ``from_json``."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Make an index from the document that ``as_json`` returned.

        Raises:
            ValueError, TypeError, KeyError: the document is another one.
        """
        if document.keys() != {column.name for column in fields(cls)}:
            raise ValueError("other fields")
        return cls(
            last=_check_ref(document["last"]),
            versions={int(number): _check_ref(ref) for number, ref in document["versions"].items()},
            retired={int(number): _check_ref(ref) for number, ref in document["retired"].items()},
            evaluations={int(number): list(map(_check_ref, refs)) for number, refs in document["evaluations"].items()},
            aliases={alias: list(map(_check_ref, refs)) for alias, refs in document["aliases"].items()},
        )


def _check_ref(ref: Any) -> EventRef:
    sequence, digest = ref
    # Only types and size, as this runs thousands of times. The event that is read must have this very digest.
    if type(sequence) is not int or type(digest) is not str or len(digest) != 64:
        raise ValueError("not a reference to an event")
    return sequence, digest


def _check_types(event: Event) -> None:
    """Refuse values of other types. ``isinstance`` would take True for version 1."""
    for name, kind in _BODY_TYPES[event.kind].items():
        if type(event.body[name]) is not kind:
            raise TypeError(name)


def _add_version(index: Index, body: Mapping[str, Any], ref: EventRef) -> None:
    if body["version"] != len(index.versions) + 1:
        raise ValueError("numbers are given once, and in order")
    index.versions[body["version"]] = ref


def _retire_version(index: Index, body: Mapping[str, Any], ref: EventRef) -> None:
    if body["version"] not in index.versions or body["version"] in index.retired:
        raise ValueError("the version does not exist or is retired")
    index.retired[body["version"]] = ref


def _add_evaluation(index: Index, body: Mapping[str, Any], ref: EventRef) -> None:
    if body["version"] not in index.versions:
        raise ValueError("no such version")
    index.evaluations.setdefault(body["version"], []).append(ref)


def _set_alias(index: Index, body: Mapping[str, Any], ref: EventRef) -> None:
    if body["version"] not in index.versions:
        raise ValueError("no such version")
    stack = index.aliases.setdefault(body["alias"], [])
    if body["rollback"]:
        stack.pop()
        stack[-1] = ref  # the alias names the earlier version again, and this event is the last that set it
    else:
        stack.append(ref)


def _delete_alias(index: Index, body: Mapping[str, Any], _ref: EventRef) -> None:
    del index.aliases[body["alias"]]


_BODY_TYPES: dict[str, dict[str, type]] = {
    VERSION_REGISTERED: {"version": int, "folder": str, "digest": str},
    VERSION_RETIRED: {"version": int, "digest": str},
    EVALUATION_RECORDED: {
        "version": int,
        "digest": str,
        "data": str,
        "data_sha256": str,
        "rows": int,
        "metrics": dict,
    },
    ALIAS_SET: {"alias": str, "version": int, "digest": str, "rollback": bool},
    ALIAS_DELETED: {"alias": str},
}
_FOLD: dict[str, Callable[[Index, Mapping[str, Any], EventRef], None]] = {
    VERSION_REGISTERED: _add_version,
    VERSION_RETIRED: _retire_version,
    EVALUATION_RECORDED: _add_evaluation,
    ALIAS_SET: _set_alias,
    ALIAS_DELETED: _delete_alias,
}


class CheckpointStore:
    """The checkpoints of one model's log. They can be deleted at any time."""

    def __init__(self, store: Store, model: str) -> None:
        self._store = store
        self._folder = f"{model}/checkpoints"

    def read_newest(self) -> Index:
        """Read the newest checkpoint that is sound, and return its index; an empty index if there is none."""
        for key in reversed(self._keys()):
            index = self._read(key)
            if index is not None:
                return index
        return Index()

    def write(self, index: Index) -> None:
        """Write a checkpoint and remove old ones. A failure is ignored, because checkpoints are only a cache."""
        with suppress(GamesalesError):
            data, _ = seal_json("checkpoint", {"format": _FORMAT, "index": index.as_json()})
            self._store.create(self._key(index.last), data)
            for key in self._keys()[:-CHECKPOINTS_KEPT]:
                self._store.delete(key)

    def verify(self, events: Sequence[Event]) -> None:
        """Check that every checkpoint equals the index of the log at its event.

        Raises:
            IntegrityError: a checkpoint differs from the log, or can't be read.
        """
        expected, indexes = Index(), {key: self._read(key) for key in self._keys()}
        sound = set()
        for event in events:
            expected.add(event)
            key = self._key(event.ref)
            if indexes.get(key) == expected:
                sound.add(key)
        for key in indexes:
            if key not in sound:
                raise IntegrityError(
                    f"{self._store.location}{key} does not say what the log says",
                    hint="Delete the file. Checkpoints are made again from the log",
                )

    def _keys(self) -> list[str]:
        keys = self._store.list(self._folder)
        return [key for key in keys if _CHECKPOINT_NAME.fullmatch(key.removeprefix(f"{self._folder}/"))]

    def _read(self, key: str) -> Index | None:
        try:
            document, _ = unseal_json("checkpoint", self._store.read(key), key)
            index = Index.from_json(document["index"]) if document["format"] == _FORMAT else None
        except (KeyError, ValueError, TypeError, AttributeError):  # removed meanwhile, damaged, of another release
            return None
        return index if index is not None and self._key(index.last) == key else None

    def _key(self, ref: EventRef) -> str:
        return f"{self._folder}/{ref[0]:020d}.json"
