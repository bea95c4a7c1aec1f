"""Taking the SHA-256 of files in the background, while what does not depend on it goes on."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

# Hashing is bound by memory and disk before it is by more cores.
_MOST_THREADS = 4
_PIECE_BYTES = 1 << 20


@contextmanager
def hashing(paths: Sequence[Path]) -> Iterator[Callable[[int], str]]:
    """Hash files in their order; when the body ends, what is not done is given up.

    Yields: a function which waits for the digest of the file at a place in ``paths``, 64 hex digits, or raises the
        OSError that reading it did.
    """
    given_up = threading.Event()

    def digest(path: Path) -> str:
        hasher, piece = hashlib.sha256(), memoryview(bytearray(_PIECE_BYTES))
        with path.open("rb", buffering=0) as file:
            while not given_up.is_set() and (read := file.readinto(piece)):
                hasher.update(piece[:read])
        return hasher.hexdigest()

    pool = ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1))
    try:
        coming = [pool.submit(digest, path) for path in paths]
        yield lambda place: coming[place].result()
    finally:
        given_up.set()
        pool.shutdown(cancel_futures=True)
