"""The index of a log: where each fact is, but not what it says; and the checkpoints that keep an index.

An index maps versions, evaluations and aliases to the events that set them. A state reads its events by it. Folding a
log into an index checks that each event has the body that its kind promises.

A checkpoint is a sealed file with the index after some event. A checkpoint only locates events. Its content is never
trusted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
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
_RELEASE = re.compile(r"[0-9]+(\.[0-9]+){1,3}", re.ASCII)


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
            self._fold(event.kind, event.body, event.ref)
        except (KeyError, TypeError, IndexError, ValueError):
            raise IntegrityError(
                f"this release does not understand event {event.sequence} ({event.kind})",
                hint=f"Upgrade gamesales{_format_required_release(event.body)}",
            ) from None
        self.last = event.ref

    def _fold(self, kind: str, body: Mapping[str, Any], ref: EventRef) -> None:
        for name, expected in _BODY_TYPES[kind].items():
            if type(body[name]) is not expected:  # isinstance would take True for version 1
                raise TypeError(name)
        if kind == ALIAS_DELETED:
            del self.aliases[body["alias"]]
            return
        number = body["version"]
        if kind == VERSION_REGISTERED:
            if number != len(self.versions) + 1:
                raise ValueError("numbers are given once, and in order")
            self.versions[number] = ref
        elif number not in self.versions:
            raise ValueError("no such version")
        elif kind == VERSION_RETIRED:
            if number in self.retired:
                raise ValueError("the version is retired")
            self.retired[number] = ref
        elif kind == EVALUATION_RECORDED:
            self.evaluations.setdefault(number, []).append(ref)
        elif body["rollback"]:
            stack = self.aliases[body["alias"]]
            stack.pop()
            stack[-1] = ref  # the alias names the earlier version again, and this event is the last that set it
        else:
            self.aliases.setdefault(body["alias"], []).append(ref)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Make an index from a document of ``as_json``. Any other document raises ValueError or a similar error."""
        if document.keys() != {column.name for column in fields(cls)}:
            raise ValueError("other fields")
        return cls(
            last=_check_ref(document["last"]),
            versions={int(number): _check_ref(ref) for number, ref in document["versions"].items()},
            retired={int(number): _check_ref(ref) for number, ref in document["retired"].items()},
            evaluations={int(number): list(map(_check_ref, refs)) for number, refs in document["evaluations"].items()},
            aliases={alias: list(map(_check_ref, refs)) for alias, refs in document["aliases"].items()},
        )


def _format_required_release(body: Mapping[str, Any]) -> str:
    """Name the release that reads an event: a later release writes it into events of a new kind."""
    release = body.get("needs_release")
    return f" to {release} or later" if isinstance(release, str) and _RELEASE.fullmatch(release) else ""


def _check_ref(ref: Any) -> EventRef:
    sequence, digest = ref
    # Only types and size, as this runs thousands of times. The event that is read must have this very digest.
    if type(sequence) is not int or type(digest) is not str or len(digest) != 64:
        raise ValueError("not a reference to an event")
    return sequence, digest


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
                    f"{self._store.location}{key} does not match the log",
                    hint="Delete the file. Checkpoints are rebuilt from the log",
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
