"""Write a file whole or not at all.

    with replacing(Path("titles.csv")) as temporary:
        temporary.write_text("…")

A reader of ``titles.csv`` sees the old file or the new one, never a part, even across a crash or a power cut:
the bytes reach the disk before the name does. What fails, Ctrl-C included, removes the temporary file; only
SIGKILL or a power cut leaves one, as ``.gamesales-….tmp`` in the same folder, safe to delete.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gamesales.data.durable import sync
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
