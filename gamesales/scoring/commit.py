"""Making a result appear whole or not at all.

A run works in a folder of its own beside the result, holds a lock on it that dies with the process, and moves
what it made into place at the very end.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gamesales.errors import TooManyRejectsError, TryAgainError, UsageError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


@contextmanager
def workspace(folder: Path) -> Iterator[Path]:
    """Make the working folder of a run and hold it; what an earlier run left in it is removed.

    It is removed at the end; only what was rejected too often stays, for people to look into.

    Raises: TryAgainError: another run holds it. UsageError: there is no folder to make it in.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UsageError(f"{folder.parent} is not a folder", hint="Give another --output") from None
    descriptor = _locked(folder)
    try:
        _empty(folder)
        yield folder
    except TooManyRejectsError:
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    else:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)


def _locked(folder: Path) -> int:
    """Lock a folder for this process; the lock ends with the descriptor, so a crash leaves none behind."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise TryAgainError(
            f"another run is writing this result (it holds {folder})", hint="Wait for it to end"
        ) from None
    return descriptor


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def publish_file(moves: Sequence[tuple[Path | None, Path]]) -> None:
    """Move files into place, each whole; the last move is the one that readers wait for.

    A ``None`` in a file's place removes what an earlier run left there.
    """
    for made, _ in moves:
        if made is not None:
            _fsync(made)
    for made, place in moves:
        if made is None:
            place.unlink(missing_ok=True)
        else:
            os.replace(made, place)
    _fsync(moves[-1][1].parent)


def publish_folder(made: Path, place: Path) -> None:
    """Put a folder in another one's place in one step; the old one is removed afterwards."""
    for path in made.rglob("*"):
        _fsync(path)
    _fsync(made)
    if not place.exists():
        os.rename(made, place)
    elif not _exchange(made, place):
        # The next best: a reader finds no folder for a moment, never a mixture.
        retired = made.with_name(f"{made.name}.old")
        os.rename(place, retired)
        os.rename(made, place)
    _fsync(place.parent)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two paths by ``renameat2(2)``; return False where the system has no such call."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL):
        return False
    raise OSError(number, os.strerror(number), str(other))


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
