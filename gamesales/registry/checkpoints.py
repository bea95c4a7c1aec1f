"""Checkpoints: what a log's events add up to is found without reading all of them.

    checkpoints/00000000000000000640.json     the index of events 1 to 640, sealed as events are

A checkpoint only says where the deciding events stand; they are read and checked themselves. It is a cache that may be
deleted at any time: without it the log is read from its beginning. One that is damaged is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress

from gamesales.errors import GamesalesError, IntegrityError
from gamesales.registry import sealing
from gamesales.registry.index import Index, Place
from gamesales.registry.log import Event
from gamesales.registry.store import Store

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
