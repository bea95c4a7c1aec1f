"""The log: one event per file, created if absent and never changed. It is a registry's only source of truth.

Event 7 is the file ``log/00000000000000000007.json``, sealed as event.py describes. Each event names the digest of the
event before it. So the log is a chain: if an event changes, every later event shows it.
"""

from __future__ import annotations

import getpass
import os
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from gamesales.data.files import escape_surrogates
from gamesales.errors import IntegrityError, TryAgainError, UsageError
from gamesales.old_keys import add_old_keys, drop_old_keys
from gamesales.registry.event import Event, EventRef, format_now, seal_event, unseal_event
from gamesales.registry.refs import format_command
from gamesales.storage.store import Store

# The previous digest that the first event names.
NO_PREVIOUS = "0" * 64
# An event holds a reason and some evidence: kilobytes. At most this many bytes of a larger file are read.
EVENT_SIZE_LIMIT = 16 * 1024 * 1024
_EVENT_NAME = re.compile(r"(?!0{20})[0-9]{20}\.json")
# Simultaneous requests to a remote store.
_MAX_REQUESTS = 16
# Events that are requested before the first of them is checked.
_BLOCK = 256


class EventLog:
    """The log of one model."""

    def __init__(self, store: Store, model: str) -> None:
        self._store, self._model = store, model
        self._folder = f"{model}/log"

    def has_events(self) -> bool:
        """Return whether the model has events. It reads one byte."""
        try:
            self._store.read(self._key(1), 1)
        except KeyError:
            return False
        return True

    def read(self, after: Event | None = None) -> list[Event]:
        """Read all events in order, each checked and linked to the event before it.

        Args:
            after: read only the events that follow this event, which was read and checked before.

        Raises:
            IntegrityError: an event was changed, is missing, or does not follow the event before it.
        """
        events: list[Event] = []
        end = self._find_last_sequence(after) + 1
        # In blocks: if the log has a hole, nothing beyond it is requested, whatever sequence its last name claims.
        for begin in range(after.sequence + 1 if after else 1, end, _BLOCK):
            block = range(begin, min(begin + _BLOCK, end))
            for sequence, event in zip(block, self._find_all(block), strict=True):
                events.append(self._check_link(self._require(event, sequence), events[-1] if events else after))
        return events

    def read_at(self, refs: Sequence[EventRef]) -> list[Event]:
        """Read the events that references point to.

        Raises:
            IntegrityError: an event is missing, was changed, or has another digest.
        """
        sequences = [sequence for sequence, _ in refs]
        candidates = zip(self._find_all(sequences), sequences, strict=True)
        events = [self._require(event, sequence) for event, sequence in candidates]
        for event, (sequence, digest) in zip(events, refs, strict=True):
            if event.ref != (sequence, digest):
                raise IntegrityError(
                    f"{self._location(sequence)} is event {event.sequence} with digest {event.digest}; "
                    f"expected event {sequence} with digest {digest}",
                    hint=f"Check the whole log: {format_command('verify', self._store.location, self._model)}",
                )
        return events

    def append(
        self,
        kind: str,
        reason: str,
        decide: Callable[[Sequence[Event]], Mapping[str, Any]],
        after: Event | None = None,
    ) -> Event:
        """Append one event, whose body ``decide`` makes from the events before it.

        A writer that loses the race for a sequence number reads the winner's event and decides again. So ``decide``
        always saw exactly the events before its own. If it raises, nothing is appended.

        Args:
            kind: the event's kind.
            reason: why it happens.
            decide: makes the body. Its argument is all events, or the events after ``after``.
            after: an event that was read and checked before, and all events before it.

        Raises:
            UsageError: the event is too large.
        """
        events = self.read(after)
        while True:
            previous = events[-1] if events else after
            fields = _make_fields(kind, reason, decide(events), previous)
            data, digest = seal_event(fields)
            if len(data) > EVENT_SIZE_LIMIT:
                raise UsageError(f"an event of {len(data):,} bytes is too large; the limit is {EVENT_SIZE_LIMIT:,}")
            sequence = fields["sequence"]
            if self._create(self._key(sequence), data):
                return Event(**{**fields, "body": drop_old_keys(fields["body"])}, digest=digest)
            # The winner's file is read even if a listing does not show it, for example a folder in its place.
            winner = self._check_link(self._require(self._find(sequence), sequence), previous)
            if winner.digest == digest:
                return winner  # this event, whose first write was answered with an error
            events.append(winner)
            self._read_on(events)

    def _find_last_sequence(self, after: Event | None) -> int:
        """Return the last event's sequence by its name. A listing has gaps if it is made while others write."""
        last = after.sequence if after else 0
        names = self._list_names(self._key(last) if after else "")
        return max((int(name[:20]) for name in names if _EVENT_NAME.fullmatch(name)), default=last)

    def list_other_names(self) -> list[str]:
        """List the names in the log's folder that are not names of events. Readers ignore them.

        A program that syncs folders leaves such files: a copy under way, or one of two copies that differ.
        """
        return sorted(name for name in self._list_names() if not _EVENT_NAME.fullmatch(name))

    def _list_names(self, after: str = "") -> set[str]:
        return {key.removeprefix(f"{self._folder}/").partition("/")[0] for key in self._store.list(self._folder, after)}

    def _read_on(self, events: list[Event]) -> None:
        """Read until the log ends. In a race this saves a write, and its fsync, that would lose."""
        while True:
            event = self._find(events[-1].sequence + 1)
            if event is None:
                return
            events.append(self._check_link(event, events[-1]))

    def _create(self, key: str, data: bytes) -> bool:
        try:
            return self._store.create(key, data)
        except TryAgainError as failure:
            # The write may have happened all the same. Then the file is ours or another writer's.
            try:
                is_ours = self._store.read(key, len(data) + 1) == data
            except KeyError:
                raise failure from None
            except TryAgainError:
                command = format_command("history", self._store.location, self._model)
                raise TryAgainError(
                    f"{failure}; it is not certain whether this event was written",
                    hint=f"Before you run it again, see: {command}",
                ) from None
        if is_ours:
            self._confirm_durable(key, data)
        return is_ours

    def _confirm_durable(self, key: str, data: bytes) -> None:
        """Make an event durable that was written although the write failed."""
        try:
            self._store.create(key, data)
        except TryAgainError as error:
            raise TryAgainError(
                f"{self._store.location}{key} is written, but a power cut may undo it: {error}",
                hint=f"See what is in the log: {format_command('history', self._store.location, self._model)}",
            ) from None

    def _find_all(self, sequences: Sequence[int]) -> Sequence[Event | None]:
        """Find events, many at once in a remote store, where each request takes long."""
        if not self._store.is_remote or len(sequences) < 2:
            return [self._find(sequence) for sequence in sequences]
        with ThreadPoolExecutor(_MAX_REQUESTS) as pool:
            return list(pool.map(self._find, sequences))

    def _find(self, sequence: int) -> Event | None:
        try:
            data = self._store.read(self._key(sequence), EVENT_SIZE_LIMIT + 1)
        except KeyError:
            return None
        event = unseal_event(data, self._location(sequence))
        return replace(event, body=drop_old_keys(event.body))

    def _require(self, event: Event | None, sequence: int) -> Event:
        if event is None:
            location = self._location(sequence)
            raise IntegrityError(f"{location} is missing", hint="Restore it from a backup of the registry")
        return event

    def _check_link(self, event: Event, previous: Event | None) -> Event:
        sequence, digest = (previous.sequence + 1, previous.digest) if previous else (1, NO_PREVIOUS)
        if event.sequence != sequence or event.previous != digest:
            raise IntegrityError(
                f"{self._location(sequence)} does not follow the event before it: expected event {sequence} after "
                f"{digest}, found event {event.sequence} after {event.previous}",
                hint="One of the two files was replaced; restore both from a backup of the registry",
            )
        return event

    def _location(self, sequence: int) -> str:
        return f"{self._store.location}{self._key(sequence)}"

    def _key(self, sequence: int) -> str:
        return f"{self._folder}/{sequence:020d}.json"


def _make_fields(kind: str, reason: str, body: Mapping[str, Any], previous: Event | None) -> dict[str, Any]:
    return {
        "sequence": previous.sequence + 1 if previous else 1,
        "id": uuid.uuid4().hex,
        "time": format_now(),
        "actor": escape_surrogates(get_actor()),
        "kind": kind,
        "reason": escape_surrogates(reason),
        "previous": previous.digest if previous else NO_PREVIOUS,
        "body": add_old_keys(dict(body)),
    }


def get_actor() -> str:
    """Return the user's name, or the user's number if there is no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
