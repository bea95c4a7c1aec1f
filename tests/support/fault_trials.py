"""An action on an object store that is tried again and again, through a proxy with faults, from the same start."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from gamesales.errors import GamesalesError
from gamesales.lake import location
from gamesales.storage import cloud
from gamesales.storage.store import open_store
from support.fault_proxy import Fault, FaultProxy
from support.sampling import sample

# Seconds that an action may take with the clients below, whatever fails.
TIME_LIMIT = 15


@contextmanager
def quick_clients():
    """Let retries not wait and be few, let a request time out after a second, and cache no files."""
    waits = dict.fromkeys(("init_backoff", "max_backoff"), timedelta(milliseconds=1))
    table = {"timeout": "1s", "max_retries": "2", "backoff_config.init_backoff": "1ms"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(cloud._RETRIES, "backoff", cloud._RETRIES["backoff"] | waits)
        patch.setitem(cloud._RETRIES, "max_retries", 2)
        patch.setitem(cloud._TIMEOUTS, "timeout", "1s")
        patch.setattr(location, "_TIMEOUT", 1)
        patch.setattr(location, "_RETRIES", location._RETRIES | table)
        patch.setenv("GAMESALES_CACHE", "/dev/null/cache")
        yield


class FaultTrials:
    """An action that is tried again and again on the same content of a store.

    Args:
        server: the object store.
        url: all that the action may change is below it.
        act: the action. It makes its clients anew, from the environment.
        read: returns what the store contains for a reader, to compare.
    """

    def __init__(self, server, url: str, act: Callable[[], object], read: Callable[[], Any]) -> None:
        self.server, self.url, self._act, self._read = server, url, act, read
        with server.entered():
            self._keys = self._read_keys()
        self.old = self.read()
        error, proxy = self.run()
        assert error is None
        self.requests, self.new = proxy.requests, self.read()

    def read(self) -> Any:
        """Read the contents without the proxy."""
        with self.server.entered():
            return self._read()

    def run(self, faults=lambda number: Fault.NONE, **options) -> tuple[GamesalesError | None, FaultProxy]:
        """Act through a proxy; return the error, or None, and the proxy."""
        begin, error = time.monotonic(), None
        with FaultProxy(self.server, faults, late=1.5, **options) as proxy, proxy.server.entered():
            try:
                self._act()
            except GamesalesError as failure:
                error = failure
        assert time.monotonic() - begin < TIME_LIMIT, proxy
        return error, proxy

    def restore(self) -> None:
        """Give the store the content that it had before the first action."""
        with self.server.entered():
            store = open_store(self.url)
            present = set(store.list(""))
            for key in present - self._keys.keys():
                store.delete(key)
            for key in self._keys.keys() - present:
                store.create(key, self._keys[key])

    def _read_keys(self) -> dict[str, bytes]:
        store = open_store(self.url)
        return {key: store.read(key) for key in store.list("")}

    def draw(self, name: str, faults, writes: int, reads: int) -> list[tuple[int, Fault]]:
        """Return samples of the faults of requests: some of writes, some of reads."""
        points: dict[bool, list[tuple[int, Fault]]] = {True: [], False: []}
        for request in self.requests:
            is_write = request.method in {"PUT", "DELETE"} or "comp=batch" in request.path
            points[is_write] += [(request.number, fault) for fault in faults]
        return sample(f"writes of {name}", points[True], writes) + sample(f"reads of {name}", points[False], reads)
