"""Write a file whole or not at all.

    with replacing(Path("titles.csv")) as temporary:
        temporary.write_text("…")

A reader of ``titles.csv`` sees the old file or the new one, never a part, even across a crash or a power cut:
the bytes reach the disk before the name does. What fails, Ctrl-C included, removes the temporary file; only
SIGKILL or a power cut leaves one, as ``.gamesales-….tmp`` in the same folder, safe to delete.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from gamesales.errors import TryAgainError, UsageError

# Only writing meets a full disk; the others the body may meet in reading, and they are not ours to explain.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
REFUSED = FULL | {errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the body a temporary file to fill, and move it to ``path`` when the body ends well.

    The new file has the rights that a plain ``open`` would give it, and a symbolic link stays a link.

    Args: path: the file to make or replace; its folder must exist.
    Yields: an empty file in the folder of ``path``, to be written, and closed, by name.
    Raises: UsageError: the folder does not exist, or ``path`` is something else than a file.
        TryAgainError: the disk is full or the rights are missing; ``path`` is as it was before.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".gamesales-{secrets.token_hex(8)}.tmp")
    _check(target)
    try:
        with explaining(REFUSED, path):
            temporary.touch(exist_ok=False)  # not mkstemp, whose 0600 would outlive the move
        with explaining(FULL, path):
            yield temporary
        with explaining(REFUSED, path):
            sync(temporary)
            temporary.replace(target)
        with explaining(REFUSED, path, outcome="it is written, but a power cut may undo that"):
            sync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def explaining(numbers: frozenset[int], path: Path, *, outcome: str = "nothing was changed") -> Iterator[None]:
    """Tell which path the body could not write, where the system tells only why.

    Args:
        numbers: the system's errors that are explained; others pass.
        path: what was to be written.
        outcome: what holds all the same.

    Raises: TryAgainError: the body raised one of them.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in numbers:
            raise
        folder = path.absolute().parent
        raise TryAgainError(
            f"can't write {path}: {os.strerror(error.errno)}; {outcome}",
            hint=f"See df -h '{folder}' and ls -ld '{folder}', then run the same command again",
        ) from error


def _check(path: Path) -> None:
    """Refuse a missing folder, and what a rename would destroy: a folder, a device, a pipe."""
    if not path.parent.is_dir():
        raise UsageError(f"no folder {path.parent} to write {path.name} in", hint=f"mkdir -p '{path.parent}'")
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "a device or a pipe"
        raise UsageError(f"expected the path of a file, received {kind}: {path}", hint="Give another path")


def sync(path: Path) -> None:
    """Force a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, each name on the disk before anything is put inside.

    The name of a folder that is there already is synced too: whoever made it a moment ago may not have come to that.
    """
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
    sync(folder.parent)


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


Stamp = tuple[int, int]


def stamp(path: Path) -> Stamp:
    """Return a file's size in bytes and the time of its last change in nanoseconds.

    Raises: TryAgainError: it was removed.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        raise TryAgainError(
            f"{path} was removed while this run needed it; nothing was published", hint="Run it again"
        ) from None
    return status.st_size, status.st_mtime_ns


@contextmanager
def unchanged(path: Path, since: Stamp) -> Iterator[None]:
    """Hold a file to a stamp, before and after the body reads it.

    Raises: TryAgainError: it was changed or removed, be it that the body stumbled over that.
    """
    _require_unchanged(path, since)
    try:
        yield
    except Exception:
        _require_unchanged(path, since)
        raise
    _require_unchanged(path, since)


def _require_unchanged(path: Path, since: Stamp) -> None:
    if stamp(path) != since:
        raise TryAgainError(
            f"{path} was changed while this run read it; nothing was published",
            hint="Run it again when the file is complete",
        )


def escape_surrogates(text: str) -> str:
    """Return text as JSON can hold it: what came in another encoding has surrogates, which become backslashes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
