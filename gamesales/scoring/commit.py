"""Making a result appear whole or not at all.

A run works in a folder of its own beside the result, holds a lock on it that dies with the process, and moves
what it made into place at the very end. A run that was killed finds there what it had done.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gamesales.data.files import make_folder, sync
from gamesales.errors import TooManyRejectsError, TryAgainError, UsageError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


@contextmanager
def workspace(folder: Path, run_id: str, *, fresh: bool) -> Iterator[Path]:
    """Make the working folder of a run and hold it. What the same run left in it is kept, all else is removed.

    It is removed at the end; after a failure it stays if shards are done, or if too much was rejected, for people to
    look into.

    Raises: TryAgainError: another run holds it. UsageError: it can't be made there.
    """
    descriptor = _locked(folder)
    try:
        mark = folder / "run_id"
        if fresh or not mark.is_file() or mark.read_text(encoding="utf-8") != run_id:
            _empty(folder)
            mark.write_text(run_id, encoding="utf-8")
        yield folder
    except TooManyRejectsError:
        raise
    except BaseException:
        if not any(folder.glob("ledger/*.json")):
            shutil.rmtree(folder, ignore_errors=True)
        raise
    else:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)


def _locked(folder: Path) -> int:
    """Make a folder and lock it for this process; the lock ends with the descriptor, so a crash leaves none behind."""
    while True:
        _make(folder)
        try:
            # Not through a link, which would have another folder emptied.
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue  # a run that ends has just removed it
        except NotADirectoryError:
            raise UsageError(f"{folder} is in the way: not a folder of a run", hint="Give another --output") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise TryAgainError(
                f"another run is writing this result (it holds {folder})", hint="Wait for it to end"
            ) from None
        if _is_at(folder, descriptor):
            return descriptor
        os.close(descriptor)  # removed before it was locked


def _make(folder: Path) -> None:
    try:
        make_folder(folder.parent)
    except (FileExistsError, NotADirectoryError):
        raise UsageError(f"{folder.parent} is not a folder", hint="Give another --output") from None
    try:
        folder.mkdir()
    except FileExistsError:
        pass
    except FileNotFoundError:
        raise UsageError(f"no folder can be made in {folder.parent}", hint="Give another --output") from None


def _is_at(folder: Path, descriptor: int) -> bool:
    """Tell whether an open folder is the one that stands at a path now."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(folder))
    except FileNotFoundError:
        return False


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def publish_file(made: Path, place: Path, rejects: tuple[Path | None, Path], report: tuple[Path, Path]) -> None:
    """Move a result and what comes with it into place, each file whole.

    The report goes first and comes last, so that a report which is there tells of the result beside it; after a power
    cut too, as the disk is given no choice of order.

    Args:
        made: the result.
        place: where readers look for it.
        rejects: the rejected rows, None if there are none, and their place.
        report: the report and its place.
    """
    for path in (made, rejects[0], report[0]):
        if path is not None:
            sync(path)
    report[1].unlink(missing_ok=True)
    sync(place.parent)
    if rejects[0] is None:
        rejects[1].unlink(missing_ok=True)
    else:
        os.replace(rejects[0], rejects[1])
    os.replace(made, place)
    sync(place.parent)
    os.replace(*report)
    sync(place.parent)


def publish_folder(made: Path, place: Path) -> None:
    """Put a folder in another one's place in one step; the old one is left where the new one was made."""
    for path in made.rglob("*"):
        sync(path)
    sync(made)
    if not place.exists():
        os.rename(made, place)
    elif not _exchange(made, place):
        # The next best: a reader finds no folder for a moment, never a mixture.
        os.rename(place, parked(place))
        try:
            os.rename(made, place)
        except BaseException:
            os.rename(parked(place), place)
            raise
        shutil.rmtree(parked(place))
    sync(place.parent)


def parked(place: Path) -> Path:
    """Return where a folder waits while another takes its place, outside of what any run removes."""
    return place.with_name(f".{place.name}.old")


def restore(place: Path) -> None:
    """Finish a swap by two renames that a crash cut off: bring the old folder back, or remove it if it was replaced."""
    if not parked(place).exists():
        return
    if place.exists():
        shutil.rmtree(parked(place))
    else:
        os.rename(parked(place), place)


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
