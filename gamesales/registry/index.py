"""The index of a log: where each fact is, but not what it says; and the checkpoints that keep an index.

An index maps versions, evaluations and aliases to the events that set them. A state reads its events by it. Folding a
log into an index checks that each event has the body that its kind promises.

A checkpoint is a sealed file with the index after some event. A checkpoint only locates events. Its content is never
trusted.
"""

from __future__ import annotations

import json
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
    POLICY_SET,
    SIGNATURE_RECORDED,
    VERSION_REGISTERED,
    VERSION_RETIRED,
    Event,
    EventRef,
    seal_json,
    unseal_json,
)
from gamesales.registry.log import NO_PREVIOUS
from gamesales.storage.store import Store

# A reader reads at most this many events after the last checkpoint, one by one: some 5 ms on a local disk.
EVENTS_PER_CHECKPOINT = 64
# A reader that has just listed the checkpoints must still find the one before the newest.
CHECKPOINTS_KEPT = 2
_FORMAT = 2
# Checkpoints of releases before 0.2.0. They lack fields, so they are checked but never read.
_OLD_FORMAT = 1
_NEW_FIELDS = {"alias_changes", "signatures", "policy"}
_CHECKPOINT_NAME = re.compile(r"[0-9]{20}\.json")
_RELEASE = re.compile(r"[0-9]+(\.[0-9]+){1,3}", re.ASCII)


@dataclass
class Index:
    """References to the events that matter for each version and alias.

    ``last`` is the last event that was folded in. ``versions`` and ``retired`` map a version's number to its
    ``version.registered`` and ``version.retired``. ``evaluations`` maps it to its evaluations, oldest first.
    ``aliases`` maps an alias to the events that set it, oldest first: the last event names the target, and a rollback
    removes the last event. ``alias_changes`` maps an alias to the event that last set or deleted it. ``signatures``
    maps the SHA-256 of a statement to its signatures. ``policy`` is the event that set the policy.
    """

    last: EventRef = (0, NO_PREVIOUS)
    versions: dict[int, EventRef] = field(default_factory=dict)
    retired: dict[int, EventRef] = field(default_factory=dict)
    evaluations: dict[int, list[EventRef]] = field(default_factory=dict)
    aliases: dict[str, list[EventRef]] = field(default_factory=dict)
    alias_changes: dict[str, EventRef] = field(default_factory=dict)
    signatures: dict[str, list[EventRef]] = field(default_factory=dict)
    policy: EventRef | None = None

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
        if kind == SIGNATURE_RECORDED:
            self.signatures.setdefault(body["statement_sha256"], []).append(ref)
        elif kind == POLICY_SET:
            if body["previous_policy"] != (self.policy[1] if self.policy else ""):
                raise ValueError("it replaces another policy")
            self.policy = ref
        elif kind == ALIAS_DELETED:
            del self.aliases[body["alias"]]
            self.alias_changes[body["alias"]] = ref
        else:
            self._fold_version(kind, body, ref)

    def _fold_version(self, kind: str, body: Mapping[str, Any], ref: EventRef) -> None:
        """Fold in an event about a version."""
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
        else:
            self._fold_alias(body, ref)

    def _fold_alias(self, body: Mapping[str, Any], ref: EventRef) -> None:
        """Fold in an event that sets an alias. Earlier releases did not write ``previous_change``."""
        alias = body["alias"]
        if body.get("previous_change", change := self.find_alias_change(alias)) != change:
            raise ValueError("it follows another change of the alias")
        if body["rollback"]:
            stack = self.aliases[alias]
            stack.pop()
            stack[-1] = ref  # the alias names the earlier version again, and this event is the last that set it
        else:
            self.aliases.setdefault(alias, []).append(ref)
        self.alias_changes[alias] = ref

    def find_alias_change(self, alias: str) -> str:
        """Return the digest of the event that last set or deleted an alias; empty if there is none."""
        return self.alias_changes[alias][1] if alias in self.alias_changes else ""

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
            alias_changes={alias: _check_ref(ref) for alias, ref in document["alias_changes"].items()},
            signatures={digest: list(map(_check_ref, refs)) for digest, refs in document["signatures"].items()},
            policy=None if document["policy"] is None else _check_ref(document["policy"]),
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
    SIGNATURE_RECORDED: {"statement_sha256": str, "purpose": str, "digest": str, "key": str, "signature": dict},
    POLICY_SET: {"policy": dict, "digest": str, "previous_policy": str, "approvals": list},
}


def _make_content(form: int, index: Index) -> dict[str, Any]:
    """Return the content of a checkpoint as a release of its format writes it."""
    document = json.loads(json.dumps(index.as_json()))  # with texts as keys
    left_out = _NEW_FIELDS if form == _OLD_FORMAT else ()
    return {"format": form, "index": {name: value for name, value in document.items() if name not in left_out}}


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
            data, _ = seal_json("checkpoint", _make_content(_FORMAT, index))
            self._store.create(self._key(index.last), data)
            for key in self._keys()[:-CHECKPOINTS_KEPT]:
                self._store.delete(key)

    def verify(self, events: Sequence[Event]) -> None:
        """Check that every checkpoint equals the index of the log at its event.

        Raises:
            IntegrityError: a checkpoint differs from the log, or can't be read.
        """
        expected, contents = Index(), {key: self._read_content(key) for key in self._keys()}
        sound = set()
        for event in events:
            expected.add(event)
            key = self._key(event.ref)
            if key in contents and contents[key] in [_make_content(form, expected) for form in (_FORMAT, _OLD_FORMAT)]:
                sound.add(key)
        for key in contents:
            if key not in sound:
                raise IntegrityError(
                    f"{self._store.location}{key} does not match the log",
                    hint="Delete the file. Checkpoints are rebuilt from the log",
                )

    def _keys(self) -> list[str]:
        keys = self._store.list(self._folder)
        return [key for key in keys if _CHECKPOINT_NAME.fullmatch(key.removeprefix(f"{self._folder}/"))]

    def _read_content(self, key: str) -> Any:
        try:
            return unseal_json("checkpoint", self._store.read(key), key)[0]
        except (KeyError, ValueError):  # removed meanwhile, damaged
            return None

    def _read(self, key: str) -> Index | None:
        try:
            content = self._read_content(key)
            index = Index.from_json(content["index"]) if content["format"] == _FORMAT else None
        except (KeyError, ValueError, TypeError, AttributeError):  # damaged, of another release
            return None
        return index if index is not None and self._key(index.last) == key else None

    def _key(self, ref: EventRef) -> str:
        return f"{self._folder}/{ref[0]:020d}.json"
