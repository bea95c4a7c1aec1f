"""Files that are not on a disk, such as objects in a store, as readers of tables need them.

Local runs do not load this module.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from gamesales.data.parquet_file import JointFinder, make_joined_error

if TYPE_CHECKING:
    from gamesales.data.files import FileStamp

_PIECE_BYTES = 1 << 20


class RemoteFile(Protocol):
    """A file that is not on a disk. It has the methods of a Path that readers of tables need; ``str`` is its URL.

    It stands for the bytes that were listed. Reading other bytes under the same name is a TryAgainError.
    """

    @property
    def name(self) -> str:
        """The last part of the URL."""

    @property
    def suffix(self) -> str:
        """The end of the name, such as ``.csv``."""

    @property
    def stamp(self) -> FileStamp:
        """The size in bytes, and what identifies the content, such as an ETag."""

    def as_posix(self) -> str:
        """Return the URL."""

    def exists(self) -> bool:
        """Return whether the file was listed."""

    def is_file(self) -> bool:
        """Return whether the file was listed."""

    def open(self, mode: str = "rb") -> BinaryIO:
        """Open the file to read, at any offset."""


TablePath = Path | RemoteFile


def hash_remote_file(path: RemoteFile, is_stopped: Callable[[], bool] = lambda: False) -> str:
    """Compute the SHA-256 of a file, 64 hex digits, and refuse Parquet files that were joined.

    A file on a disk is checked for joints when it is opened. A remote file would be transferred once more.

    Args:
        path: the file.
        is_stopped: whether to return early, with a digest of less than the file.

    Raises:
        InputError: the file is several Parquet files in one.
        TryAgainError: the file was changed or can't be read now.
    """
    hasher, joints = hashlib.sha256(), JointFinder()
    with path.open() as file:
        while not is_stopped() and (piece := file.read(_PIECE_BYTES)):
            hasher.update(piece)
            joints.add(piece)
        if not is_stopped() and joints.is_any_real(file):
            raise make_joined_error(path)
    return hasher.hexdigest()
