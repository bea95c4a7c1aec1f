"""The log: one event a file, created if absent, never changed; the only source of truth of a registry.

The file of event 7 is ``log/00000000000000000007.json`` and holds exactly

    {"event":<canonical JSON>,"sha256":"<64 hex digits>"}

where the digest is of the bytes between ``{"event":`` and ``,"sha256":``. So the bytes are checked before any
parser sees them, and every byte of the file is either digested or fixed. Each event names the digest of the one
before it, which makes the log a chain: no event but the last can change without a later one showing it.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gamesales.errors import IntegrityError, TryAgainError, UsageError
from gamesales.registry.store import Store

FIRST_PREVIOUS = "0" * 64
# An event holds a reason and some evidence: kilobytes. Of a larger file no more than this is read.
EVENT_SIZE_LIMIT = 16 * 1024 * 1024
_HEAD = b'{"event":'
_MIDDLE = b',"sha256":"'
_TAIL = b'"}\n'
_SEAL_SIZE = len(_MIDDLE) + 64 + len(_TAIL)
_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
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
ALIAS_SET = "alias.set"
EVALUATION_RECORDED = "evaluation.recorded"


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


def canonical_json(value: object) -> bytes:
    """Encode so that equal values have equal bytes: sorted keys, no spaces, UTF-8, no NaN."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def seal(fields: Mapping[str, Any]) -> tuple[bytes, str]:
    """Return the bytes of an event's file and the event's digest."""
    content = canonical_json(fields)
    digest = hashlib.sha256(content).hexdigest()
    return _HEAD + content + _MIDDLE + digest.encode("ascii") + _TAIL, digest


def unseal(data: bytes, where: str) -> Event:
    """Check an event's file against its own digest, then parse it. The inverse of ``seal``.

    Raises: IntegrityError: the bytes are not those that were sealed; it names the file.
    """
    content, seal_bytes = data[len(_HEAD) : -_SEAL_SIZE], data[-_SEAL_SIZE:]
    digest = hashlib.sha256(content).hexdigest()
    expected = _MIDDLE + digest.encode("ascii") + _TAIL
    if not data.startswith(_HEAD) or seal_bytes != expected:
        raise IntegrityError(
            f"{where} was changed: its content has sha256 {digest}, its seal reads {seal_bytes[-67:-3]!r}",
            hint="Restore this file from a backup of the registry",
        )
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict) or {name: type(value) for name, value in fields.items()} != _FIELDS:
        raise IntegrityError(f"{where} is not an event that this version of gamesales knows", hint="Upgrade gamesales")
    return Event(**fields, digest=digest)


class EventLog:
    """The log of one model."""

    def __init__(self, store: Store, model: str) -> None:
        self._store = store
        self._folder = f"{model}/log"

    def read(self, known: Sequence[Event] = ()) -> list[Event]:
        """Return all events in order, each checked and linked to the one before it.

        Args: known: the first events, if they were read and checked already.
        Raises: IntegrityError: an event was changed, is missing, or does not follow the one before it.
        """
        events = list(known)
        for sequence in range(len(events) + 1, self._last() + 1):
            events.append(self._checked(sequence, events[-1] if events else None))
        return events

    def _last(self) -> int:
        """Return the last event's sequence, from the names alone: a listing made while others write has gaps."""
        keys = self._store.list(self._folder)
        strangers = [key for key in keys if not _EVENT_NAME.fullmatch(key.removeprefix(f"{self._folder}/"))]
        if strangers:
            raise IntegrityError(
                f"{self._store.location}{strangers[0]} is not an event of this log",
                hint="Move the file elsewhere",
            )
        return max((int(key[-25:-5]) for key in keys), default=0)

    def append(self, kind: str, reason: str, decide: Callable[[Sequence[Event]], Mapping[str, Any]]) -> Event:
        """Append one event, whose body ``decide`` makes from all events before it.

        Whoever loses the race for a sequence number reads again and decides again, so that ``decide`` always
        saw exactly the events that come before its own. It may raise, and then nothing is appended.
        """
        events = self.read()
        while True:
            fields = _fields(kind, reason, decide(events), events[-1] if events else None)
            data, digest = seal(fields)
            if len(data) > EVENT_SIZE_LIMIT:
                raise UsageError(f"an event of {len(data):,} bytes is too large; it may have {EVENT_SIZE_LIMIT:,}")
            if self._create(self._key(fields["sequence"]), data):
                return Event(**fields, digest=digest)
            # Whatever won is there now, and is read even if a listing does not show it: a folder in its place, say.
            events.append(self._checked(fields["sequence"], events[-1] if events else None))
            events = self.read(events)

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

    def _checked(self, sequence: int, before: Event | None) -> Event:
        key = self._key(sequence)
        where = f"{self._store.location}{key}"
        try:
            event = unseal(self._store.read(key, EVENT_SIZE_LIMIT + 1), where)
        except KeyError:
            raise IntegrityError(f"{where} is missing", hint="Restore it from a backup of the registry") from None
        previous = before.digest if before else FIRST_PREVIOUS
        if event.sequence != sequence or event.previous != previous:
            raise IntegrityError(
                f"{where} does not follow the event before it: expected event {sequence} after {previous}, "
                f"found event {event.sequence} after {event.previous}",
                hint="One of the two files was replaced; restore both from a backup of the registry",
            )
        return event

    def _key(self, sequence: int) -> str:
        return f"{self._folder}/{sequence:020d}.json"


def _fields(kind: str, reason: str, body: Mapping[str, Any], before: Event | None) -> dict[str, Any]:
    return {
        "sequence": before.sequence + 1 if before else 1,
        "id": uuid.uuid4().hex,
        "time": utc_now(),
        "actor": plain(actor()),
        "kind": kind,
        "reason": plain(reason),
        "previous": before.digest if before else FIRST_PREVIOUS,
        "body": body,
    }


def plain(text: str) -> str:
    """Return text as JSON can hold it: what came in another encoding has surrogates, which become backslashes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def utc_now() -> str:
    """Return the time as the log writes it."""
    return utc(datetime.now(UTC))


def utc(moment: datetime) -> str:
    """Write a moment, which knows its time zone, as the log does: ``2026-11-24T02:00:00.123456Z``."""
    return moment.astimezone(UTC).strftime(_TIME)


def check_time(text: str) -> str:
    """Return a time if it is written as the log writes it; only such times can be compared as text."""
    try:
        written = datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        written = None
    if written is None or utc(written) != text:
        raise UsageError(f"{text!r} is no time of the log; expected one such as 2026-11-24T02:00:00.123456Z, in UTC")
    return text


def actor() -> str:
    """Return who is at work: the user's name, or the user's number where it has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
