"""A cache on the local disk for the files of a remote registry.

A file is named by the SHA-256 of its bytes, so it is never out of date. It is checked whenever it is read, so it need
not be trusted. A failure of the cache is never an error.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
from pathlib import Path

SIZE_LIMIT = 2 * 1024**3  # bytes
_DIGEST = re.compile(r"[0-9a-f]{64}")
_CACHE_FILE = re.compile(r"[0-9a-f]{64}|\.tmp-[0-9a-f]{16}")


def open_default_cache() -> Cache | None:
    """Open the cache in ``$GAMESALES_CACHE``, or else where the system keeps caches; None if there is no home."""
    location = os.environ.get("GAMESALES_CACHE")
    if location:
        return Cache(Path(location))
    system = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not system.is_absolute():
        system = Path(os.path.expanduser("~/.cache"))  # noqa: PTH111 - Path's own raises where there is no home
    return Cache(system / "gamesales") if system.is_absolute() else None


class Cache:
    """A folder of files that are named by their digests. Above the limit, the least recently used are removed.

    Args:
        folder: made when the first file is put.
        limit: bytes.
    """

    def __init__(self, folder: Path, limit: int = SIZE_LIMIT) -> None:
        self._folder = folder / "sha256"
        self._limit = limit

    def get(self, digest: str) -> bytes | None:
        """Return the bytes with a digest, or None. A damaged file is removed."""
        if not _DIGEST.fullmatch(digest):
            return None
        path = self._folder / digest
        try:
            data = path.read_bytes()
        except OSError:
            return None
        is_sound = hashlib.sha256(data).hexdigest() == digest
        with contextlib.suppress(OSError):
            if is_sound:
                os.utime(path)  # used now
            else:
                path.unlink()
        return data if is_sound else None

    def put(self, digest: str, data: bytes) -> None:
        """Keep bytes under their digest, if possible."""
        if not _DIGEST.fullmatch(digest) or len(data) > self._limit:
            return
        temporary = self._folder / f".tmp-{secrets.token_hex(8)}"
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                temporary.write_bytes(data)
                temporary.replace(self._folder / digest)
            finally:
                temporary.unlink(missing_ok=True)
            self._shrink()

    def _shrink(self) -> None:
        """Remove the least recently used files, also stale temporary files, but no file that is not the cache's."""
        files = [(entry.stat(follow_symlinks=False), entry.path) for entry in self._list_files()]
        excess = sum(stat.st_size for stat, _ in files) - self._limit
        for stat, path in sorted(files, key=lambda file: file[0].st_mtime_ns):
            if excess <= 0:
                return
            Path(path).unlink(missing_ok=True)
            excess -= stat.st_size

    def _list_files(self) -> list[os.DirEntry[str]]:
        return [entry for entry in os.scandir(self._folder) if _CACHE_FILE.fullmatch(entry.name)]
