"""Publish a result as a whole or not at all.

A run works in a folder of its own next to the result. It holds a lock on the folder that ends with the process, and
moves its files to the visible paths at the very end. A run that was killed resumes from the files in its folder.
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

from gamesales.data.files import fsync, make_folder
from gamesales.errors import TooManyRejectsError, TryAgainError, UsageError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


@contextmanager
def open_workspace(folder: Path, run_id: str, *, fresh: bool) -> Iterator[Path]:
    """Make and lock the working folder of a run.

    Files that an interrupted run with the same id left there are kept; all other files are removed. The folder is
    removed at the end. After a failure it stays if shards are finished, or if too many rows were rejected, so that
    people can inspect the rejects.

    Args:
        folder: the working folder.
        run_id: the identity of the run.
        fresh: whether to remove the files of an interrupted run too.

    Raises:
        TryAgainError: another run holds the lock.
        UsageError: the folder can't be made.
    """
    descriptor = _lock(folder)
    try:
        if fresh or not holds_run(folder, run_id):
            _empty(folder)
            (folder / "run_id").write_text(run_id, encoding="utf-8")
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


def holds_run(folder: Path, run_id: str) -> bool:
    """Return whether a working folder holds the files of this run."""
    mark = folder / "run_id"
    return mark.is_file() and mark.read_text(encoding="utf-8") == run_id


def _lock(folder: Path) -> int:
    """Make a folder and lock it for this process. The lock ends with the descriptor, even after a crash."""
    while True:
        _make(folder)
        try:
            # Not through a link: another folder would be emptied.
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue  # the run that held it ended and removed it
        except NotADirectoryError:
            raise UsageError(f"{folder} is not the working folder of a run", hint="Give another --output") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise TryAgainError(
                f"another run is writing this result (it has locked {folder})", hint="Wait until it ends"
            ) from None
        if _is_at(folder, descriptor):
            return descriptor
        os.close(descriptor)  # removed before it was locked here


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
        raise UsageError(f"can't create a folder in {folder.parent}", hint="Give another --output") from None


def _is_at(folder: Path, descriptor: int) -> bool:
    """Return whether a path still names an open folder."""
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


def publish_file(staged: Path, visible: Path, rejects: tuple[Path | None, Path], report: tuple[Path, Path]) -> None:
    """Move a single-file result and its sidecars to their visible paths.

    The old report is removed first and the new report is moved last, so an existing report always describes the
    result next to it. Each step is on the disk before the next, so this also holds after a power cut.

    Args:
        staged: the result.
        visible: its visible path.
        rejects: the rejected rows, None without rejects, and their visible path.
        report: the report and its visible path.
    """
    for path in (staged, rejects[0], report[0]):
        if path is not None:
            fsync(path)
    report[1].unlink(missing_ok=True)
    fsync(visible.parent)
    if rejects[0] is None:
        rejects[1].unlink(missing_ok=True)
    else:
        os.replace(rejects[0], rejects[1])
    os.replace(staged, visible)
    fsync(visible.parent)
    os.replace(*report)
    fsync(visible.parent)


def publish_folder(staged: Path, visible: Path) -> None:
    """Replace the folder ``visible`` by the folder ``staged`` in one step. The old folder is left at ``staged``."""
    for path in staged.rglob("*"):
        fsync(path)
    fsync(staged)
    if not visible.exists():
        os.rename(staged, visible)
    elif not _exchange(staged, visible):
        # Without an exchange, a reader finds no folder for a moment, but never a mixture.
        os.rename(visible, backup_path(visible))
        try:
            os.rename(staged, visible)
        except BaseException:
            os.rename(backup_path(visible), visible)
            raise
        shutil.rmtree(backup_path(visible))
    fsync(visible.parent)


def backup_path(visible: Path) -> Path:
    """Return where the old folder is during a swap by two renames; no run removes this path."""
    return visible.with_name(f".{visible.name}.old")


def finish_swap(visible: Path) -> None:
    """Finish a swap by two renames that a crash interrupted: restore the old folder, or remove it if replaced."""
    if not backup_path(visible).exists():
        return
    if visible.exists():
        shutil.rmtree(backup_path(visible))
    else:
        os.rename(backup_path(visible), visible)


def _exchange(first: Path, second: Path) -> bool:
    """Swap two paths by ``renameat2(2)``; return False if the system has no such call."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL):
        return False
    raise OSError(number, os.strerror(number), str(second))
