"""The working folder of a run: only one run at a time uses it, and a run that was killed resumes from its files.

    WORK/lease-1.json       who works here: lease.py
    WORK/run-<token>/       the files of the run

A lock tells the processes of a host apart, and a lease the hosts. The files of a run are in a folder that is named
after its lease. A run that resumes renames it, so that a process that was replaced, and wakes up, can't write among
them.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from gamesales.data.files import make_folder
from gamesales.errors import TooManyRejectsError, TryAgainError, UsageError, warn
from gamesales.scoring.lease import LEASE_FILES, Lease, LeaseTimes
from gamesales.scoring.ledger import WITHHELD, remove_unfinished

# What flock(2) answers on a network file system without locks. The lease does without.
_NO_LOCK_ERRORS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL, errno.EBADF}
_RUN_FOLDERS = "run-*"
_REMOVED = ".gamesales-removed-"


@dataclass(frozen=True)
class Workspace:
    """The working folder of a run.

    Attributes:
        folder: where the run's files go.
        confirm: checks, right before anything is published, that no other run has taken the working folder. It raises
            TryAgainError.
    """

    folder: Path
    confirm: Callable[[], None]


@contextmanager
def open_workspace(
    folder: Path, run_id: str, *, fresh: bool, lease_times: LeaseTimes | None = None
) -> Iterator[Workspace]:
    """Make and lock the working folder of a run.

    Files that an interrupted run with the same id left there are kept; all other files are removed. The folder is
    removed at the end, unless the run is withheld. After a failure it stays if shards are finished, or if too many rows
    were rejected, so that people can inspect the rejects.

    Args:
        folder: the working folder.
        run_id: the identity of the run.
        fresh: whether to remove the files of an interrupted run too.
        lease_times: the intervals of the lease.

    Raises:
        TryAgainError: another run holds the folder, or has taken it.
        UsageError: the folder can't be made.
    """
    descriptor, lease = _lock(folder, lease_times)
    own = folder / f"run-{lease.token[:8]}"
    try:
        sweep(folder.parent)
        _adopt_files(folder, own, run_id, lease, fresh=fresh)
        yield Workspace(own, lease.confirm)
    except TooManyRejectsError:
        raise
    except BaseException as error:
        if isinstance(error, OSError) and not isinstance(error, TryAgainError) and not lease.is_held():
            raise lease.make_lost_error() from error
        if not any(own.glob("ledger/*.json")):
            discard(own, folder.parent)
        raise
    else:
        if not (own / WITHHELD).exists():
            discard(own, folder.parent)
    finally:
        lease.release()
        with suppress(OSError):
            folder.rmdir()  # it stays if it holds files
        os.close(descriptor)


def find_run(folder: Path, run_id: str) -> Path | None:
    """Return where a working folder holds the files of this run; None if it does not."""
    for mark in sorted(folder.glob(f"{_RUN_FOLDERS}/run_id")):
        with suppress(FileNotFoundError):  # its run has just ended
            if mark.read_bytes() == run_id.encode():
                return mark.parent
    return None


def _adopt_files(folder: Path, own: Path, run_id: str, lease: Lease, *, fresh: bool) -> None:
    """Keep the finished shards of an earlier run with the same id, and remove all other files of the working folder."""
    paths = list(folder.iterdir())
    if not lease.is_held():  # then the folder may hold the files of the next run
        raise lease.make_lost_error()
    earlier = None if fresh else find_run(folder, run_id)
    if earlier in paths:
        with suppress(OSError):  # a layer of a container's image: the run starts from the beginning
            os.rename(earlier, own)
            remove_unfinished(own)
    leases = list(folder.glob(LEASE_FILES))
    for path in paths:
        if path not in leases:
            discard(path, folder.parent)
    own.mkdir(exist_ok=True)
    (own / "run_id").write_text(run_id, encoding="utf-8")


def _lock(folder: Path, lease_times: LeaseTimes | None) -> tuple[int, Lease]:
    """Make a folder, lock it and take its lease. The lock ends with the descriptor, even after a crash."""
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
            _lock_descriptor(descriptor, folder)
            if _is_at(folder, descriptor):
                lease = Lease(folder, lease_times)
                lease.take()
                return descriptor, lease
        except FileNotFoundError:
            pass  # another host removed it
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # removed before it was locked here


def _lock_descriptor(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise TryAgainError(
            f"another run is writing this result (it has locked {folder})", hint="Wait until it ends"
        ) from None
    except OSError as error:
        if error.errno not in _NO_LOCK_ERRORS:
            raise


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


def discard(path: Path, parent: Path) -> None:
    """Remove a folder or a file: hide it in ``parent`` first, so that no other run can use it meanwhile.

    What can't be removed is reported, and a later run removes it. A file that a program has open on NFS stays, as
    ``.nfs…``, until the program closes it.
    """
    hidden = parent / f"{_REMOVED}{secrets.token_hex(8)}"
    try:
        os.rename(path, hidden)
    except FileNotFoundError:
        return
    except OSError:
        hidden = path  # a layer of a container's image
    _remove(hidden)
    if os.path.lexists(hidden):
        warn(f"{hidden} can't be removed yet, maybe because a program has a file in it open; a later run removes it")


def sweep(parent: Path) -> None:
    """Remove what earlier runs could not remove from a folder."""
    for path in parent.glob(f"{_REMOVED}*"):
        # Under a new name, because the run that has just hidden it may be removing it.
        hidden = parent / f"{_REMOVED}{secrets.token_hex(8)}"
        with suppress(OSError):
            os.rename(path, hidden)
            _remove(hidden)


def _remove(path: Path) -> None:
    """Remove a folder or a file as far as possible."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
