"""The text of a file as a stream of UTF-8, decompressed and decoded on the way. Memory does not grow with the file."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from gamesales.data.dialect import UTF_8
from gamesales.data.table import format_on_one_line
from gamesales.errors import GamesalesError, InputError

if TYPE_CHECKING:
    from gamesales.data.remote_file import TablePath

_ARROW_CODECS = {"csv.zst": "zstd", "csv.bz2": "bz2"}
_PIECE_BYTES = 1 << 20


class TextStream(Protocol):
    """A stream that is read forward."""

    def read(self, size: int, /) -> bytes:
        """Read ``size`` bytes, fewer only at the end."""

    def seek(self, offset: int, /) -> int:
        """Go forward to an offset in the text."""


@contextmanager
def open_text(path: TablePath, file_format: str, encoding: str = UTF_8) -> Iterator[TextStream]:
    """Open a file as a stream of UTF-8.

    A byte that is not valid in ``encoding`` becomes bytes that are not valid in UTF-8, so that its row is rejected.

    Args:
        path: the file.
        file_format: "csv", or one of ``file_format.COMPRESSED``.
        encoding: the encoding of the decompressed text.

    Raises:
        InputError: compressed data is damaged, incomplete or followed by other bytes, or the text ends inside a
            character. Raised when the body reads that far.
        OSError: the file can't be read.
    """
    with path.open("rb") as file:
        stream: TextStream = file
        if file_format == "csv.gz":
            stream = gzip.GzipFile(fileobj=file)
        elif file_format in _ARROW_CODECS:
            stream = _ForwardStream(pa.CompressedInputStream(file, _ARROW_CODECS[file_format]).read)
        if encoding != UTF_8:
            stream = _ForwardStream(_Transcoder(stream, encoding).read)
        try:
            yield stream
        except GamesalesError:
            raise  # some are an OSError
        except (gzip.BadGzipFile, EOFError, zlib.error, pa.ArrowException) as error:
            raise _make_damage_error(path, error) from None
        except UnicodeError as error:
            reason = error.reason if isinstance(error, UnicodeDecodeError) else str(error)
            raise InputError(
                f"{path} is not {encoding} text: {reason}", hint="Check [csv] encoding in the job file"
            ) from None
        except OSError as error:
            if error.errno is not None:
                raise
            raise _make_damage_error(path, error) from None  # Arrow raises an OSError without an errno for damage


def _make_damage_error(path: TablePath, error: Exception) -> InputError:
    return InputError(
        f"{path} is damaged or incomplete compressed data: {format_on_one_line(error)}", hint="Copy or write it again"
    )


class _ForwardStream:
    """A stream that can only be read from its start."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._position = 0

    def read(self, size: int, /) -> bytes:
        data = self._read(size)
        self._position += len(data)
        return data

    def seek(self, offset: int, /) -> int:
        while self._position < offset and self.read(min(offset - self._position, _PIECE_BYTES)):
            pass
        return self._position


class _Transcoder:
    """Decodes text and encodes it as UTF-8."""

    def __init__(self, source: TextStream, encoding: str) -> None:
        self._source = source
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogateescape")
        self._text = b""
        self._ended = False

    def read(self, size: int) -> bytes:
        pieces, length = [self._text], len(self._text)
        while length < size and not self._ended:
            data = self._source.read(_PIECE_BYTES)
            self._ended = not data
            # A surrogate stands for a byte that can't be decoded. Its three bytes are not valid in UTF-8.
            pieces.append(self._decoder.decode(data, self._ended).encode(UTF_8, "surrogatepass"))
            length += len(pieces[-1])
        text = b"".join(pieces)
        self._text = text[size:]
        return text[:size]
