"""Where a registry's files are, behind a few verbs.

The one primitive is *create if absent*: of any number of writers of a key exactly one succeeds, and nothing is ever
overwritten. A POSIX disk has ``link()``, which fails if the name exists. The file is written and fsynced under another
name first, as in Maildir and in Delta Lake's local log store. A local vfat or exFAT disk has no links, but its
``renameat2(RENAME_NOREPLACE)`` fails if the name exists. An object store has conditional writes: cloud.py.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

from gamesales.data.files import (
    NO_HARD_LINK_ERRORS,
    RENAME_NOREPLACE,
    fsync,
    link_new_name,
    make_folder,
    read_file_system,
    rename_with,
)
from gamesales.errors import IntegrityError, RegistryError, TryAgainError, UsageError
from gamesales.storage.keys import CLOUD_FORMS, FileStat, check_key, hide_secrets

_CLOUD_URL = re.compile(r"(?:s3|gs|az)://|memory:$")
_FILE_URL = re.compile(r"file:///")
# A URL that went through a path has one slash left.
_ANY_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|(?:s3|gs|az|file|memory):")
_TEMPORARY = ".tmp-"
_SYMLINK_MESSAGE = "{} is a symbolic link; a registry holds plain files only"
# Local file systems without hard links whose rename is atomic, because one kernel alone makes their names. A server or
# a FUSE daemon may accept the flag RENAME_NOREPLACE and check the name before it renames, not while it does.
_RENAME_FILE_SYSTEMS = {"vfat", "exfat"}
_ELSEWHERE_HINT = (
    "A registry works on a local disk, on NFS, or in an object store (docs/reference/registry.md): --registry PATH"
)


class Store(Protocol):
    """Keys are relative POSIX paths such as ``game-earnings/log/00000000000000000001.json``."""

    @property
    def location(self) -> str:
        """The store as people name it, for messages. A key can be appended directly."""

    @property
    def is_remote(self) -> bool:
        """Whether reading needs a network, so that a local cache is worthwhile."""

    def read(self, key: str, limit: int | None = None) -> bytes:
        """Read the bytes of a key, or only the first ``limit`` bytes.

        Raises:
            KeyError: there is no such key.
        """

    def create(self, key: str, data: bytes) -> bool:
        """Write a key that does not exist; return False, with nothing changed, if it exists. Either way it is durable.

        If answers can get lost on the way, a store also returns True if the key holds exactly these bytes, because
        it may have written them. A writer that must know that it won writes bytes that no other writer would.
        """

    def check_writable(self, prefix: str) -> None:
        """Check that keys can be created below the folder ``prefix``. Nothing stays behind, and nothing is promised.

        Raises:
            GamesalesError: the error that ``create`` would raise.
        """

    def list(self, prefix: str, after: str = "") -> list[str]:
        """List all keys below the folder ``prefix`` that are greater than the key ``after``, sorted."""

    def list_files(self, prefix: str) -> dict[str, FileStat]:
        """Return the size of each key below the folder ``prefix``, and when it was written, without reading it."""

    def list_folders(self) -> Sequence[str]:
        """List the names of the folders at the top, sorted. Hidden folders are left out."""

    def delete(self, key: str) -> None:
        """Remove a key. It is no error if the key is missing."""

    def sweep(self, prefix: str, before: float, *, dry_run: bool) -> int:
        """Remove, or only count, temporary files of killed writers below a folder that are older than ``before``.

        Younger files may be in use. Times are seconds since 1970.
        """


def open_store(location: str | Path, *, timeout: int | None = None) -> Store:
    """Open the store at a path or a URL. It creates nothing and sends nothing before it is used.

    Args:
        location: a folder, ``file:///folder``, ``s3://bucket/prefix``, ``gs://bucket/prefix``,
            ``az://container/prefix``; or ``memory:``, an empty store that ends with the process.
        timeout: the seconds that one request to an object store may take, its body included; 20 by default.

    Raises:
        UsageError: the URL is of another kind.
    """
    text = str(location)
    if _CLOUD_URL.match(text):
        from gamesales.storage.cloud import CloudStore

        return CloudStore(text, timeout)
    if _FILE_URL.match(text):
        return LocalStore(unquote(text.removeprefix("file://")))
    if _ANY_URL.match(text):
        raise UsageError(
            f"{hide_secrets(text)!r} can't hold a registry; expected a folder, file:///FOLDER, {CLOUD_FORMS}",
            hint="Write a lowercase scheme with two slashes, or ./ before a folder name with a colon",
        )
    return LocalStore(text)


class LocalStore:
    """A folder on a disk with hard links, or on a local vfat or exFAT disk.

    Args:
        root: the folder.
        file_system: the type of its file system, as the kernel names it; by default it is looked up when needed.
    """

    is_remote = False

    def __init__(self, root: str | Path, file_system: str | None = None) -> None:
        self._root, self._file_system = Path(root), file_system
        self._make_name: Callable[[Path, Path], bool] | None = None

    @property
    def location(self) -> str:
        return f"{self._root}/"

    def read(self, key: str, limit: int | None = None) -> bytes:
        path = self._path(key)
        with _translate_os_errors(path):
            try:
                with open(_open_plain(path), "rb") as file:
                    # Do not allocate a high limit for a short file.
                    return file.read(limit if limit is None else min(limit, os.fstat(file.fileno()).st_size))
            except FileNotFoundError:
                raise KeyError(key) from None

    def create(self, key: str, data: bytes) -> bool:
        path = self._path(key)
        with _translate_os_errors(path):
            make_folder(path.parent)
            temporary = path.parent / f"{_TEMPORARY}{secrets.token_hex(8)}"
            try:
                _write_durably(temporary, data)
                make_name = self._make_name = self._make_name or self._probe(temporary)
                created = make_name(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
            fsync(path.parent)  # also if the file existed: what depends on it must not be durable before it
        return created

    def check_writable(self, prefix: str) -> None:
        folder = self._path(prefix)
        with _translate_os_errors(folder):
            while not os.path.lexists(folder):  # create would make this folder
                folder = folder.parent
            temporary = folder / f"{_TEMPORARY}{secrets.token_hex(8)}"
            try:
                _write_durably(temporary, b"")
                self._probe(temporary)
            finally:
                temporary.unlink(missing_ok=True)

    def list(self, prefix: str, after: str = "") -> list[str]:
        folder = self._path(prefix) if prefix else self._root
        with _translate_os_errors(folder):
            return sorted(_walk_keys(folder, f"{prefix}/" if prefix else "", after))

    def list_files(self, prefix: str) -> dict[str, FileStat]:
        files = {}
        for key in self.list(prefix):
            with suppress(FileNotFoundError):
                status = (self._root / key).lstat()
                files[key] = FileStat(status.st_size, status.st_mtime)
        return files

    def list_folders(self) -> Sequence[str]:
        with _translate_os_errors(self._root), suppress(FileNotFoundError), os.scandir(self._root) as entries:
            return sorted(
                entry.name for entry in entries if entry.name[0] != "." and entry.is_dir(follow_symlinks=False)
            )
        return []

    def delete(self, key: str) -> None:
        path = self._path(key)
        with _translate_os_errors(path):
            try:
                path.unlink()
            except FileNotFoundError:
                return
            changed = path.parent
            with suppress(OSError):
                path.parent.rmdir()  # no key needs an empty folder
                changed = path.parent.parent
            with suppress(FileNotFoundError):  # another process has removed the last key of the folder
                fsync(changed)

    def sweep(self, prefix: str, before: float, *, dry_run: bool) -> int:
        folder = self._path(prefix)
        with _translate_os_errors(folder):
            old = [path for path in folder.rglob("*") if path.lstat().st_mtime < before]
            stale = [path for path in old if path.name.startswith(_TEMPORARY)]
            if not dry_run:
                for path in stale:
                    path.unlink(missing_ok=True)
                for path in old:
                    if path.is_dir():
                        with suppress(OSError):
                            path.rmdir()  # the folder of a removed bundle; a folder with files stays
        return len(stale)

    def _probe(self, temporary: Path) -> Callable[[Path, Path], bool]:
        """Return the way to give a file its name. Refuse a disk that has none, or that lets a name be created twice."""
        try:
            return self._try_twice(link_new_name, temporary)
        except OSError as error:
            if error.errno not in NO_HARD_LINK_ERRORS:
                raise
            reason = error.strerror
        file_system = read_file_system(temporary) if self._file_system is None else self._file_system
        if file_system in _RENAME_FILE_SYSTEMS:
            with suppress(OSError):  # an old kernel
                return self._try_twice(_rename_to_new_name, temporary)
        raise RegistryError(
            f"{temporary.parent} can't hold a registry: its file system has no hard links "
            f"({file_system or 'unknown'}: {reason})",
            hint=_ELSEWHERE_HINT,
        )

    def _try_twice(self, make_name: Callable[[Path, Path], bool], temporary: Path) -> Callable[[Path, Path], bool]:
        """Try to give two files one name, and return the way to do it if it works for the first of them only."""
        first, second, name = (temporary.with_name(f"{temporary.name}-{part}") for part in ("first", "second", "probe"))
        try:
            first.touch()
            second.touch()
            if make_name(first, name) and not make_name(second, name):
                return make_name
        finally:
            for path in (first, second, name):
                path.unlink(missing_ok=True)
        raise RegistryError(
            f"{temporary.parent} can't hold a registry: its file system let a name be created twice",
            hint=_ELSEWHERE_HINT,
        )

    def _path(self, key: str) -> Path:
        check_key(key)
        path = str(self._root)
        for part in key.split("/"):
            # A planted symbolic link must not lead readers or writers out of the registry.
            path = os.path.join(path, part)  # noqa: PTH118 - runs thousands of times for a log
            if os.path.islink(path):  # noqa: PTH114
                raise IntegrityError(_SYMLINK_MESSAGE.format(path))
        return Path(path)


def _rename_to_new_name(source: Path, target: Path) -> bool:
    """Rename a file, unless the new name is taken. Return whether it was renamed."""
    try:
        rename_with(RENAME_NOREPLACE, source, target)
    except FileExistsError:
        return False
    return True


def _walk_keys(folder: Path, prefix: str, after: str) -> Iterator[str]:
    """Yield the keys below a folder that are greater than ``after``. Hidden names are temporary files of writers."""
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        key = prefix + entry.name
        # By the name alone, so that events that were read before cost almost nothing.
        if entry.name.startswith(".") or (key < after and not after.startswith(key)):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk_keys(Path(entry.path), f"{key}/", after)
        elif key > after:
            yield key


def _open_plain(path: Path) -> int:
    """Open a plain file to read. Refuse a folder, and a pipe, which would block a reader forever."""
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
def _translate_os_errors(path: Path) -> Iterator[None]:
    """Turn an OSError into an error of this package, with a hint."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise IntegrityError(_SYMLINK_MESSAGE.format(path)) from None
        if error.errno in {errno.ENOTDIR, errno.EEXIST}:
            parts = [*reversed(path.parents), path]
            file = next((part for part in parts if part.is_symlink() or part.is_file()), path)
            raise RegistryError(
                f"{file} is a file; expected a folder of the registry", hint="Name the registry: --registry PATH"
            ) from None
        raise TryAgainError(
            f"{path}: {error.strerror}", hint="Check the disk's space and your permissions, then run it again"
        ) from None
