"""Files on disk: write them atomically and durably, hash them, and notice when they change.

    with replace_file(Path("titles.csv")) as temporary:
        temporary.write_text("…")

A reader of ``titles.csv`` sees the old file or the new file, also after a crash or a power cut.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from gamesales.errors import TryAgainError, UsageError, warn

if TYPE_CHECKING:
    from gamesales.data.remote_file import TablePath

# Only a write can fail with these errors. A read can fail with the others of WRITE_ERRORS too.
DISK_FULL_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
WRITE_ERRORS = DISK_FULL_ERRORS | {errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO}
# A folder that can't be forced to disk, as on SMB, on drvfs and in FUSE: the names in it are durable when its server
# writes them.
_NO_FOLDER_SYNC_ERRORS = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.ENOSYS})
# What link(2) answers on a file system without hard links.
NO_HARD_LINK_ERRORS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS})

# Flags of renameat2(2).
RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
_AT_FDCWD = -100

# Memory and disk limit hashing before more cores would help.
_MAX_HASH_THREADS = 4
_HASH_CHUNK_BYTES = 1 << 20

# The size of a file in bytes, and the time of its last change in nanoseconds or the ETag of an object.
FileStamp = tuple[int, int | str]


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Write a file through a temporary file, which takes the place of ``path`` when the body succeeds.

    The content is on disk before the name is. The new file gets the permissions that a plain ``open`` would give it. A
    symbolic link stays a link. If the body fails, the temporary file is removed. Only SIGKILL or a power cut leave a
    temporary file, ``.gamesales-….tmp`` in the same folder, which can be deleted.

    Args:
        path: the file to create or replace. Its folder must exist.

    Yields:
        The path of an empty temporary file in the same folder. The body writes and closes it.

    Raises:
        UsageError: the folder does not exist, or ``path`` is not a regular file.
        TryAgainError: the disk is full or access is denied. ``path`` is unchanged.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".gamesales-{secrets.token_hex(8)}.tmp")
    _require_replaceable(target)
    try:
        with explain_write_errors(WRITE_ERRORS, path):
            temporary.touch(exist_ok=False)  # mkstemp would set the permissions 0600, which the move keeps
        with explain_write_errors(DISK_FULL_ERRORS, path):
            yield temporary
        with explain_write_errors(WRITE_ERRORS, path):
            fsync(temporary)
            temporary.replace(target)
        with explain_write_errors(WRITE_ERRORS, path, outcome="the file is written, but a power cut may undo that"):
            fsync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _require_replaceable(path: Path) -> None:
    """Refuse a missing folder, and anything that a rename would destroy: a folder, a device, a pipe."""
    if not path.parent.is_dir():
        raise UsageError(f"can't write {path.name}: there is no folder {path.parent}", hint=f"mkdir -p '{path.parent}'")
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "a device or a pipe"
        raise UsageError(f"expected the path of a file, received {kind}: {path}", hint="Give another path")


@contextmanager
def explain_write_errors(
    numbers: frozenset[int], path: Path, *, outcome: str = "nothing was changed"
) -> Iterator[None]:
    """Turn system errors of the body into an error that names the path.

    Args:
        numbers: the errno values to explain. Other errors pass.
        path: the file that the body writes.
        outcome: the state after the failure, for the message.

    Raises:
        TryAgainError: the body raised an OSError with one of ``numbers``.
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


def fsync(path: Path) -> None:
    """Force the content of a file, or the names in a folder, to disk.

    A file system may be unable to sync a folder. The first such folder of the process is reported as a warning.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC_ERRORS or not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise
        _warn_about_folder_sync(os.strerror(error.errno))
    finally:
        os.close(descriptor)


@cache  # one warning for each reason
def _warn_about_folder_sync(reason: str) -> None:
    warn(
        f"the file system can't force the names in a folder to disk ({reason}): a power cut may undo results that were "
        "reported as written"
    )


def link_new_name(source: Path, target: Path) -> bool:
    """Give a file a second name, unless that name is taken.

    Returns:
        Whether the name is now a name of this file. A network file system that repeats a request whose answer was lost
        says that the name is taken by its own first request. So the two names are compared.
    """
    try:
        os.link(source, target)
    except FileExistsError:
        try:
            return os.path.samestat(os.lstat(source), os.lstat(target))
        except FileNotFoundError:
            return False
    return True


def rename_with(flag: int, source: Path, target: Path) -> None:
    """Rename by ``renameat2(2)`` with RENAME_NOREPLACE or RENAME_EXCHANGE.

    Raises:
        OSError: the call failed; ENOSYS or EINVAL if the system or the file system does not have it.
    """
    import ctypes

    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(target))
    if rename(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), flag) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


def read_file_system(path: Path) -> str:
    """Return the type of the file system that holds a path, as the kernel names it: ext4, nfs4; empty if unknown."""
    device = path.stat().st_dev
    prefix = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    types = {fields[2]: fields[fields.index("-") + 1] for fields in map(str.split, mounts)}
    return types.get(prefix, "")


def make_folder(folder: Path) -> None:
    """Create a folder and its parents, and force their names to disk.

    The name of an existing folder is forced to disk too, because another process may have just created it.
    """
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
    fsync(folder.parent)


def hash_file(path: TablePath) -> str:
    """Compute the SHA-256 of a file, 64 hex digits. A remote file raises the errors of ``hash_remote_file``."""
    if not isinstance(path, Path):
        from gamesales.data.remote_file import hash_remote_file

        return hash_remote_file(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def hash_in_background(paths: Sequence[TablePath]) -> Iterator[Callable[[int], str]]:
    """Hash files in their order while the body runs. When the body ends, unfinished hashing stops.

    Yields:
        A function that takes an index into ``paths``, waits, and returns the SHA-256 of the file as 64 hex digits. It
        raises the OSError of a file that can't be read, and the errors of ``hash_remote_file``.
    """
    stopped = threading.Event()

    def hash_until_stopped(path: TablePath) -> str:
        if not isinstance(path, Path):
            from gamesales.data.remote_file import hash_remote_file

            return hash_remote_file(path, stopped.is_set)
        hasher, chunk = hashlib.sha256(), memoryview(bytearray(_HASH_CHUNK_BYTES))
        with path.open("rb", buffering=0) as file:
            while not stopped.is_set() and (size := file.readinto(chunk)):
                hasher.update(chunk[:size])
        return hasher.hexdigest()

    pool = ThreadPoolExecutor(min(_MAX_HASH_THREADS, os.cpu_count() or 1))
    try:
        futures = [pool.submit(hash_until_stopped, path) for path in paths]
        yield lambda index: futures[index].result()
    finally:
        stopped.set()
        pool.shutdown(cancel_futures=True)


def read_stamp(path: TablePath) -> FileStamp:
    """Read the size of a file in bytes and the time of its last change in nanoseconds. A remote file has its stamp.

    Raises:
        TryAgainError: the file was removed.
    """
    if not isinstance(path, Path):
        return path.stamp
    try:
        status = path.stat()
    except FileNotFoundError:
        raise TryAgainError(
            f"{path} was removed while this run needed it; nothing was published", hint="Run it again"
        ) from None
    return status.st_size, status.st_mtime_ns


@contextmanager
def require_unchanged(path: TablePath, expected: FileStamp) -> Iterator[None]:
    """Check the stamp of a file before and after the body reads it. A remote file is checked by each read.

    Raises:
        TryAgainError: the file was changed or removed, even if that made the body fail with another error.
    """
    _check_stamp(path, expected)
    try:
        yield
    except Exception:
        _check_stamp(path, expected)
        raise
    _check_stamp(path, expected)


def _check_stamp(path: TablePath, expected: FileStamp) -> None:
    if read_stamp(path) != expected:
        raise TryAgainError(
            f"{path} was changed while this run read it; nothing was published",
            hint="Run it again when the file is complete",
        )


def escape_surrogates(text: str) -> str:
    """Replace surrogates by backslash escapes, so that JSON can hold the text. Paths in other encodings have them."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
