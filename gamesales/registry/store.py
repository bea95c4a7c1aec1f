"""Where a registry's files live, behind four verbs.

The one primitive that everything rests on is *create if absent*: of any number of writers of one key exactly
one succeeds, and nothing is ever overwritten. On a POSIX disk that is ``link()``, which fails if the name
exists, on a file that was written and fsynced under another name first (the way of Maildir and of Delta Lake's
local log store). In an object store it is a write on condition that the key does not exist; see cloud.py.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

from gamesales.data.files import make_folder, sync
from gamesales.errors import IntegrityError, RegistryError, TryAgainError, UsageError
from gamesales.registry.keys import CLOUD_FORMS, check_key

_CLOUD = re.compile(r"(?:s3|gs|az)://|memory:$")
_FILE = re.compile(r"file:///")
# A single slash is what is left of a URL that went through a path.
_ANY_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|(?:s3|gs|az|file|memory):")
_TEMPORARY = ".tmp-"
_LINK = "{} is a symbolic link; a registry holds plain files only"
_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS}


class Store(Protocol):
    """Keys are relative POSIX paths such as ``game-earnings/log/00000000000000000001.json``."""

    @property
    def location(self) -> str:
        """The store as people name it, for messages; a key can follow it directly."""

    @property
    def is_remote(self) -> bool:
        """Whether reading takes a network, so that a copy on the local disk is worth having."""

    def read(self, key: str, limit: int | None = None) -> bytes:
        """Return the bytes of a key, or the first ``limit`` of them. Raises: KeyError: there is no such key."""

    def create(self, key: str, data: bytes) -> bool:
        """Write a key that does not exist; return False, with nothing changed, if it does. Either way it is durable.

        A store whose answers may get lost on the way also returns True if the key holds exactly these bytes: then
        they can be its own. Whoever must know that he was the one writes bytes that nobody else would.
        """

    def list(self, prefix: str, after: str = "") -> list[str]:
        """Return all keys below the folder ``prefix``, sorted; only those greater than the key ``after``."""

    def delete(self, key: str) -> None:
        """Remove a key; a missing one is no error."""

    def sweep(self, prefix: str, before: float, *, dry_run: bool) -> int:
        """Remove what killed writers left below a folder, out of sight of ``list``; return how many files it was.

        Args: before: seconds since 1970; younger ones may be in use. dry_run: count them only.
        """


def open_store(location: str | Path) -> Store:
    """Open the store at a path or a URL. Nothing is created, and nothing asked of a network, before it is used.

    Args: location: a folder, ``file:///folder``, ``s3://bucket/prefix``, ``gs://bucket/prefix``,
        ``az://container/prefix``; or ``memory:``, a store that is empty and gone with the process.
    Raises: UsageError: it is a URL of another kind.
    """
    text = str(location)
    if _CLOUD.match(text):
        from gamesales.registry.cloud import CloudStore

        return CloudStore(text)
    if _FILE.match(text):
        return LocalStore(unquote(text.removeprefix("file://")))
    if _ANY_URL.match(text):
        raise UsageError(
            f"{text!r} can't hold a registry; expected a folder, file:///FOLDER, {CLOUD_FORMS}",
            hint="Write a URL as text with two slashes, and a folder whose name has a colon as ./NAME",
        )
    return LocalStore(text)


class LocalStore:
    """A folder on a local disk with hard links."""

    is_remote = False

    def __init__(self, root: str | Path) -> None:
        self._root = Path(root)
        self._is_probed = False

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
            temporary = path.parent / f"{_TEMPORARY}{secrets.token_hex(8)}"
            try:
                _write_durably(temporary, data)
                self._probe(temporary)
                os.link(temporary, path)
                created = True
            except FileExistsError:
                created = False
            finally:
                temporary.unlink(missing_ok=True)
            sync(path.parent)  # of a file that was there too: what is built on it must not outlast it
        return created

    def list(self, prefix: str, after: str = "") -> list[str]:
        folder = self._path(prefix) if prefix else self._root
        with _explained(folder):
            return sorted(_keys(folder, f"{prefix}/" if prefix else "", after))

    def delete(self, key: str) -> None:
        path = self._path(key)
        with _explained(path):
            try:
                path.unlink()
            except FileNotFoundError:
                return
            try:
                path.parent.rmdir()  # a folder without files is no key's
            except OSError:
                sync(path.parent)
            else:
                sync(path.parent.parent)

    def sweep(self, prefix: str, before: float, *, dry_run: bool) -> int:
        folder = self._path(prefix)
        with _explained(folder):
            old = [path for path in folder.rglob("*") if path.lstat().st_mtime < before]
            stale = [path for path in old if path.name.startswith(_TEMPORARY)]
            if not dry_run:
                for path in stale:
                    path.unlink(missing_ok=True)
                for path in old:
                    if path.is_dir():
                        with suppress(OSError):
                            path.rmdir()  # of a bundle that was removed; one with files stays
        return len(stale)

    def _probe(self, temporary: Path) -> None:
        """Once, before the first name is given: refuse a disk whose ``link()`` does not mind that a name is taken."""
        if self._is_probed:
            return
        probe = temporary.with_name(f"{temporary.name}-probe")
        os.link(temporary, probe)
        try:
            os.link(temporary, probe)
        except FileExistsError:
            self._is_probed = True
        finally:
            probe.unlink()
        if not self._is_probed:
            raise RegistryError(
                f"{temporary.parent} can't hold a registry: its file system let one name be taken twice",
                hint="Put the registry on a local disk: --registry PATH",
            )

    def _path(self, key: str) -> Path:
        check_key(key)
        path = str(self._root)
        for part in key.split("/"):
            # A link planted in a registry must lead neither readers nor writers out of it.
            path = os.path.join(path, part)  # noqa: PTH118 - a log's readers ask this thousands of times
            if os.path.islink(path):  # noqa: PTH114
                raise IntegrityError(_LINK.format(path))
        return Path(path)


def _keys(folder: Path, prefix: str, after: str) -> Iterator[str]:
    """Yield the keys below a folder that are greater than ``after``; hidden names are a writer's temporary files."""
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        key = prefix + entry.name
        # By the name alone, so that the many events that a reader knows already cost it next to nothing.
        if entry.name.startswith(".") or (key < after and not after.startswith(key)):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _keys(Path(entry.path), f"{key}/", after)
        elif key > after:
            yield key


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
