"""Noticing that a file changes while it is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gamesales.errors import TryAgainError

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
    _check(path, since)
    try:
        yield
    except Exception:
        _check(path, since)
        raise
    _check(path, since)


def _check(path: Path, since: Stamp) -> None:
    if stamp(path) != since:
        raise TryAgainError(
            f"{path} was changed while this run read it; nothing was published",
            hint="Run it again when the file is complete",
        )
