"""Where a registry's files live, behind four verbs.

The one primitive that everything rests on is *create if absent*: of any number of writers of one key exactly
one succeeds, and nothing is ever overwritten. On a POSIX disk that is ``link()``, which fails if the name
exists, on a file that was written and fsynced under another name first (the way of Maildir and of Delta Lake's
local log store).
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from gamesales.data.durable import make_folder, sync
from gamesales.errors import IntegrityError, RegistryError, TryAgainError

# As long as a name may be on most disks, and a key in most object stores.
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._=-]{0,254}")
_KEY_LENGTH_LIMIT = 1024
_LINK = "{} is a symbolic link; a registry holds plain files only"
_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS}


class Store(Protocol):
    """Keys are relative POSIX paths such as ``game-earnings/log/00000000000000000001.json``."""

    @property
    def location(self) -> str:
        """The store as people name it, for messages."""

    def read(self, key: str, limit: int | None = None) -> bytes:
        """Return the bytes of a key, or the first ``limit`` of them. Raises: KeyError: there is no such key."""

    def create(self, key: str, data: bytes) -> bool:
        """Write a key that does not exist; return False, with nothing changed, if it does. Either way it is durable."""

    def list(self, prefix: str) -> list[str]:
        """Return all keys below the folder ``prefix``, sorted."""

    def delete(self, key: str) -> None:
        """Remove a key; a missing one is no error."""


class LocalStore:
    """A folder on a local disk with hard links."""

    def __init__(self, root: str | Path) -> None:
        self._root = Path(root)

    @property
    def location(self) -> str:
        return f"{self._root}/"

    def read(self, key: str, limit: int | None = None) -> bytes:
        path = self._path(key)
        with _explained(path):
            try:
                with open(_open_plain(path), "rb") as file:
                    # Of a short file no more room is asked for than it needs, however high the limit.
                    return file.read(limit if limit is None else min(limit, os.fstat(file.fileno()).st_size))
            except FileNotFoundError:
                raise KeyError(key) from None

    def create(self, key: str, data: bytes) -> bool:
        path = self._path(key)
        with _explained(path):
            make_folder(path.parent)
            temporary = path.parent / f".tmp-{secrets.token_hex(8)}"
            try:
                _write_durably(temporary, data)
                os.link(temporary, path)
                created = True
            except FileExistsError:
                created = False
            finally:
                temporary.unlink(missing_ok=True)
            sync(path.parent)  # of a file that was there too: what is built on it must not outlast it
        return created

    def list(self, prefix: str) -> list[str]:
        folder = self._path(prefix) if prefix else self._root
        with _explained(folder):
            return sorted(_keys(folder, f"{prefix}/" if prefix else ""))

    def delete(self, key: str) -> None:
        path = self._path(key)
        with _explained(path):
            try:
                path.unlink()
            except FileNotFoundError:
                return
            sync(path.parent)

    def _path(self, key: str) -> Path:
        if not is_safe_key(key):
            raise IntegrityError(
                f"{key!r} is not a key: expected names of letters, digits and ._=- joined by /, each of at most 255 "
                f"characters and in all {_KEY_LENGTH_LIMIT:,}"
            )
        path = str(self._root)
        for part in key.split("/"):
            # A link planted in a registry must lead neither readers nor writers out of it.
            path = os.path.join(path, part)  # noqa: PTH118 - a log's readers ask this thousands of times
            if os.path.islink(path):  # noqa: PTH114
                raise IntegrityError(_LINK.format(path))
        return Path(path)


def is_safe_key(key: str) -> bool:
    """Tell whether a key stays inside the store: no ``..``, no absolute path, no hidden name, none too long."""
    return len(key) <= _KEY_LENGTH_LIMIT and all(_PART.fullmatch(part) for part in key.split("/"))


def _keys(folder: Path, prefix: str) -> Iterator[str]:
    """Yield the keys below a folder; hidden names are a writer's temporary files."""
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _keys(Path(entry.path), f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name


def _open_plain(path: Path) -> int:
    """Open a plain file to read. A folder is refused, and a pipe, which would keep a reader waiting for ever."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise IntegrityError(f"{path} is not a plain file; a registry holds plain files only")
    return descriptor


def _write_durably(path: Path, data: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Tell an operating system's error by what a person can do about it."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise IntegrityError(_LINK.format(path)) from None
        if error.errno in {errno.ENOTDIR, errno.EEXIST}:
            parts = [*reversed(path.parents), path]
            found = next((part for part in parts if part.is_symlink() or part.is_file()), path)
            raise RegistryError(
                f"{found} is a file; expected a folder of the registry", hint="Name the registry: --registry PATH"
            ) from None
        if error.errno in _NO_HARD_LINKS:
            raise RegistryError(
                f"{path.parent} can't hold a registry: its file system has no hard links ({error.strerror})",
                hint="Put the registry on a local disk: --registry PATH",
            ) from None
        raise TryAgainError(
            f"{path}: {error.strerror}", hint="Check the disk's space and your permissions, then run it again"
        ) from None
