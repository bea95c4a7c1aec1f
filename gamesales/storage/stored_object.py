"""An object of a store as a file that readers of tables can open."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

from gamesales.storage.bucket import ObjectEntry, get_e_tag, open_bucket, split_object_url

if TYPE_CHECKING:
    from gamesales.data.files import FileStamp

# A small object is fetched whole by its first read. A reader that continues where it stopped gets more bytes than it
# needs, up to the larger limit. A request takes as long as the transfer of some MiB.
_SMALL_BYTES, _READ_AHEAD_BYTES = 1 << 20, 8 << 20


@dataclass(frozen=True)
class StoredObject:
    """An object as it was listed. A pickle of it can be opened on another machine with the same environment.

    Attributes:
        url: such as ``s3://bucket/titles/a.parquet``.
        size: bytes.
        e_tag: what identifies its content.
    """

    url: str
    size: int
    e_tag: str

    @classmethod
    def from_entry(cls, bucket: str, entry: ObjectEntry) -> StoredObject:
        """Take an object of the bucket with this URL from a listing."""
        return cls(f"{bucket}/{entry['path']}", entry["size"], get_e_tag(entry))

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        return os.path.splitext(self.name)[1]  # noqa: PTH122, a URL is no path

    @property
    def stamp(self) -> FileStamp:
        return self.size, self.e_tag

    def as_posix(self) -> str:
        return self.url

    def exists(self) -> bool:
        return True

    def is_file(self) -> bool:
        return True

    def open(self, mode: str = "rb") -> BinaryIO:  # noqa: ARG002, as Path.open has it
        """Open the object to read at any offset. It sends nothing yet.

        Reading raises a TryAgainError if the object was changed or removed since it was listed.
        """
        return cast("BinaryIO", _ObjectReader(self))


class _ObjectReader(io.RawIOBase):
    """An open object. It keeps the bytes of the last request."""

    def __init__(self, source: StoredObject) -> None:
        super().__init__()
        bucket, self._key = split_object_url(source.url)
        self._bucket, self._stamp, self._size = open_bucket(bucket), source.stamp, source.size
        self._position = 0
        self._start, self._data = 0, b""  # the bytes of the last request, and their offset
        self._ahead = _SMALL_BYTES if source.size <= _SMALL_BYTES else 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Read ``size`` bytes, fewer only at the end. Every request is for at least the bytes that are missing."""
        start = self._position
        stop = self._size if size is None or size < 0 else min(start + size, self._size)
        if start >= stop:
            return b""
        pieces = [self._data[max(start - self._start, 0) : max(stop - self._start, 0)] if start >= self._start else b""]
        missing = start + len(pieces[0])
        if missing < stop:
            pieces.append(self._fetch(missing, stop))
        self._position = stop
        return pieces[0] if missing == stop else b"".join(pieces)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _fetch(self, start: int, stop: int) -> bytes:
        """Fetch a range, and bytes after it if it continues the last request."""
        continues = bool(self._data) and start == self._start + len(self._data)
        if continues:
            self._ahead = min(max(2 * self._ahead, _SMALL_BYTES), _READ_AHEAD_BYTES)
        elif self._size > _SMALL_BYTES:
            self._ahead = 0
        end = min(max(stop, start + self._ahead), self._size)
        self._start, self._data = start, self._bucket.fetch(self._key, start, end, self._stamp)
        return self._data[: stop - start]
