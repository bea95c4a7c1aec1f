"""The log: one event a file, created if absent, never changed; the only source of truth of a registry.

The file of event 7 is ``log/00000000000000000007.json`` and holds exactly

    {"event":<canonical JSON>,"sha256":"<64 hex digits>"}

as sealing.py tells. Each event names the digest of the one before it, which makes the log a chain: no event but the
last can change without a later one showing it.
"""

from __future__ import annotations

import getpass
import os
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from gamesales.data.files import escape_surrogates
from gamesales.errors import IntegrityError, TryAgainError, UsageError
from gamesales.old_keys import add_old_keys, drop_old_keys
from gamesales.registry import sealing
from gamesales.registry.store import Store
from gamesales.registry.times import utc_now

FIRST_PREVIOUS = "0" * 64
# An event holds a reason and some evidence: kilobytes. Of a larger file no more than this is read.
EVENT_SIZE_LIMIT = 16 * 1024 * 1024
# Requests to a remote store at once, and events that are asked for before the first of them is looked at.
_AT_A_TIME, _BLOCK = 16, 256
_EVENT_NAME = re.compile(r"(?!0{20})[0-9]{20}\.json")
_FIELDS = {
    "sequence": int,
    "id": str,
    "time": str,
    "actor": str,
    "kind": str,
    "reason": str,
    "previous": str,
    "body": dict,
}

VERSION_REGISTERED = "version.registered"
VERSION_RETIRED = "version.retired"
EVALUATION_RECORDED = "evaluation.recorded"
ALIAS_SET = "alias.set"
ALIAS_DELETED = "alias.deleted"


@dataclass(frozen=True)
class Event:
    """One thing that happened: what (kind and body), when (UTC), by whom and why."""

    sequence: int
    id: str
    time: str
    actor: str
    kind: str
    reason: str
    previous: str
    body: Mapping[str, Any]
    digest: str

    @property
    def place(self) -> tuple[int, str]:
        """Where it stands and what it is: its sequence and its digest."""
        return self.sequence, self.digest


def seal(fields: Mapping[str, Any]) -> tuple[bytes, str]:
    """Return the bytes of an event's file and the event's digest."""
    return sealing.seal("event", fields)


def unseal(data: bytes, where: str) -> Event:
    """Check an event's file against its own digest, then parse it. The inverse of ``seal``.

    Raises: IntegrityError: the bytes are not those that were sealed; it names the file.
    """
    fields, digest = sealing.unseal("event", data, where)
    if not isinstance(fields, dict) or {name: type(value) for name, value in fields.items()} != _FIELDS:
        raise IntegrityError(f"{where} is not an event that this version of gamesales knows", hint="Upgrade gamesales")
    return Event(**fields, digest=digest)


class EventLog:
    """The log of one model."""

    def __init__(self, store: Store, model: str) -> None:
        self._store = store
        self._folder = f"{model}/log"

    def read(self, after: Event | None = None) -> list[Event]:
        """Return all events in order, each checked and linked to the one before it.

        Args: after: return those that follow this one, which was read and checked already.
        Raises: IntegrityError: an event was changed, is missing, or does not follow the one before it.
        """
        events: list[Event] = []
        end = self._last(after) + 1
        # By the block: of a log with a hole nothing beyond it is asked for, whatever its last name promises.
        for begin in range(after.sequence + 1 if after else 1, end, _BLOCK):
            block = range(begin, min(begin + _BLOCK, end))
            for sequence, event in zip(block, self._find_all(block), strict=True):
                events.append(self._linked(self._found(event, sequence), events[-1] if events else after))
        return events

    def events(self, places: Sequence[tuple[int, str]]) -> list[Event]:
        """Return the events at some places, which are known by their digests.

        Raises: IntegrityError: one is missing, was changed, or is another one.
        """
        sequences = [sequence for sequence, _ in places]
        found = [self._found(event, at) for event, at in zip(self._find_all(sequences), sequences, strict=True)]
        for event, (sequence, digest) in zip(found, places, strict=True):
            if event.place != (sequence, digest):
                raise IntegrityError(
                    f"{self._where(sequence)} is event {event.sequence} with digest {event.digest}; "
                    f"expected event {sequence} with digest {digest}",
                    hint="Check the whole log: gamesales verify",
                )
        return found

    def _last(self, after: Event | None) -> int:
        """Return the last event's sequence, from the names alone: a listing made while others write has gaps."""
        known = after.sequence if after else 0
        keys = self._store.list(self._folder, self._key(known) if after else "")
        strangers = [key for key in keys if not _EVENT_NAME.fullmatch(key.removeprefix(f"{self._folder}/"))]
        if strangers:
            raise IntegrityError(
                f"{self._store.location}{strangers[0]} is not an event of this log",
                hint="Move the file elsewhere",
            )
        return max((int(key[-25:-5]) for key in keys), default=known)

    def append(
        self,
        kind: str,
        reason: str,
        decide: Callable[[Sequence[Event]], Mapping[str, Any]],
        after: Event | None = None,
    ) -> Event:
        """Append one event, whose body ``decide`` makes from the events before it.

        Whoever loses the race for a sequence number reads again and decides again, so that ``decide`` always
        saw exactly the events that come before its own. It may raise, and then nothing is appended.

        Args:
            kind: what happens.
            reason: why.
            decide: is given all events, or those after a known one.
            after: an event that is known already, with all before it.
        """
        events = self.read(after)
        while True:
            before = events[-1] if events else after
            fields = _fields(kind, reason, decide(events), before)
            data, digest = seal(fields)
            if len(data) > EVENT_SIZE_LIMIT:
                raise UsageError(f"an event of {len(data):,} bytes is too large; it may have {EVENT_SIZE_LIMIT:,}")
            if self._create(self._key(fields["sequence"]), data):
                return Event(**{**fields, "body": drop_old_keys(fields["body"])}, digest=digest)
            # Whatever won is there now, and is read even if a listing does not show it: a folder in its place, say.
            sequence = fields["sequence"]
            events.append(self._linked(self._found(self._find(sequence), sequence), before))
            self._follow(events)

    def _follow(self, events: list[Event]) -> None:
        """Read on for as long as there are events: in a race that spares a write that would be lost, and its fsync."""
        while True:
            event = self._find(events[-1].sequence + 1)
            if event is None:
                return
            events.append(self._linked(event, events[-1]))

    def _create(self, key: str, data: bytes) -> bool:
        try:
            return self._store.create(key, data)
        except TryAgainError:
            # The answer is unclear: the file may be there all the same, and then it is ours or another's.
            try:
                is_ours = self._store.read(key, len(data) + 1) == data
            except KeyError:
                is_ours = None
            if is_ours is None:
                raise
        if is_ours:
            self._settle(key, data)
        return is_ours

    def _settle(self, key: str, data: bytes) -> None:
        """Make an event of ours that was found in its place durable, or say that it is not."""
        try:
            self._store.create(key, data)
        except TryAgainError as error:
            raise TryAgainError(
                f"{self._store.location}{key} is written, but a power cut may undo it: {error}",
                hint="See what holds now: gamesales history",
            ) from None

    def _found(self, event: Event | None, sequence: int) -> Event:
        if event is None:
            where = self._where(sequence)
            raise IntegrityError(f"{where} is missing", hint="Restore it from a backup of the registry")
        return event

    def _find_all(self, sequences: Sequence[int]) -> Sequence[Event | None]:
        """Find events; in a remote store many at a time, as each takes its time to come."""
        if not self._store.is_remote or len(sequences) < 2:
            return [self._find(sequence) for sequence in sequences]
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            return list(pool.map(self._find, sequences))

    def _find(self, sequence: int) -> Event | None:
        try:
            data = self._store.read(self._key(sequence), EVENT_SIZE_LIMIT + 1)
        except KeyError:
            return None
        event = unseal(data, self._where(sequence))
        return replace(event, body=drop_old_keys(event.body))

    def _linked(self, event: Event, before: Event | None) -> Event:
        sequence, previous = (before.sequence + 1, before.digest) if before else (1, FIRST_PREVIOUS)
        if event.sequence != sequence or event.previous != previous:
            raise IntegrityError(
                f"{self._where(sequence)} does not follow the event before it: expected event {sequence} after "
                f"{previous}, found event {event.sequence} after {event.previous}",
                hint="One of the two files was replaced; restore both from a backup of the registry",
            )
        return event

    def _where(self, sequence: int) -> str:
        return f"{self._store.location}{self._key(sequence)}"

    def _key(self, sequence: int) -> str:
        return f"{self._folder}/{sequence:020d}.json"


def _fields(kind: str, reason: str, body: Mapping[str, Any], before: Event | None) -> dict[str, Any]:
    return {
        "sequence": before.sequence + 1 if before else 1,
        "id": uuid.uuid4().hex,
        "time": utc_now(),
        "actor": escape_surrogates(actor()),
        "kind": kind,
        "reason": escape_surrogates(reason),
        "previous": before.digest if before else FIRST_PREVIOUS,
        "body": add_old_keys(dict(body)),
    }


def actor() -> str:
    """Return who is at work: the user's name, or the user's number where it has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
