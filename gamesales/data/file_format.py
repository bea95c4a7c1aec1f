"""Recognize what a file is by its first bytes. The suffix of its name has no meaning.

detect_format(Path("20261129_000001_00037"))  →  "parquet"
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gamesales.errors import InputError

if TYPE_CHECKING:
    from gamesales.data.remote_file import TablePath

HEAD_BYTES = 1 << 16
CSV = "csv"
PARQUET = "parquet"
# The formats that can be read, by their first bytes. Other files are CSV if they are text.
_READABLE = {
    PARQUET: (b"PAR1",),
    "csv.gz": (b"\x1f\x8b",),
    "csv.zst": (b"\x28\xb5\x2f\xfd", *(bytes([low]) + b"\x2a\x4d\x18" for low in range(0x50, 0x60))),
    "csv.bz2": (b"BZh",),
}
COMPRESSED = tuple(name for name in _READABLE if name.startswith("csv."))
BOM_UTF8 = b"\xef\xbb\xbf"
BOMS_UTF16 = (b"\xff\xfe", b"\xfe\xff")


_SAVE_AS_CSV = "Save the sheet as CSV in UTF-8, or as Parquet"
_CONVERT = "Convert it to Parquet or CSV"
_DECOMPRESS = "Decompress it, or compress it with gzip, zstd or bzip2"
# The formats that can't be read, by their first bytes: the name, and what to do.
_UNREADABLE = {
    b"PK\x03\x04": ("an Excel workbook or a ZIP archive", _SAVE_AS_CSV),
    b"PK\x05\x06": ("an empty ZIP archive", _CONVERT),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook (.xls)", _SAVE_AS_CSV),
    b"Obj\x01": ("an Avro file", _CONVERT),
    b"ORC": ("an ORC file", _CONVERT),
    b"ARROW1": ("an Arrow or Feather file", _CONVERT),
    b"FEA1": ("an Arrow or Feather file", _CONVERT),
    b"PARE": ("an encrypted Parquet file", "Write it without encryption"),
    b"SQLite format 3\x00": ("an SQLite database", _CONVERT),
    b"\xfd7zXZ\x00": ("a file compressed by xz", _DECOMPRESS),
    b"\x04\x22\x4d\x18": ("a file compressed by LZ4", _DECOMPRESS),
    b"\xff\x06\x00\x00sNaPpY": ("a file compressed by Snappy", _DECOMPRESS),
    b"7z\xbc\xaf\x27\x1c": ("a 7-Zip archive", _DECOMPRESS),
    b"%PDF-": ("a PDF document", _CONVERT),
}
_JSON = re.compile(rb"(\[\s*)?\{\s*(\"|\}|\Z)|\[\s*\]")
_MARKUP = re.compile(rb"<(!doctype|html|\?xml)", re.IGNORECASE)
# Bytes that no header has. The others below 32 are blanks, line breaks, or the delimiters of Hive.
_BINARY = re.compile(rb"[\x00\x02-\x08\x0e-\x1d\x7f]")


def detect_format(path: TablePath) -> str | None:
    """Return the format of a file by its content.

    Returns:
        "parquet", "csv", "csv.gz", "csv.zst" or "csv.bz2"; None if the file is in no format that can be read. An empty
        file is "csv", because its error is for the reader. The content of a compressed file is not examined.

    Raises:
        OSError: the file can't be read.
    """
    with path.open("rb") as file:
        return detect_format_of(file.read(HEAD_BYTES))


def require_format(path: TablePath) -> str:
    """Return the format of a file, as ``detect_format`` does.

    Raises:
        InputError: the file is in no format that can be read. The message names what it looks like.
        OSError: the file can't be read.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    name = detect_format_of(head)
    if name is None:
        raise make_format_error(str(path), head)
    return name


def detect_format_of(head: bytes) -> str | None:
    """Return the format of a file that begins with ``head``. See ``detect_format``."""
    for name, magic in _READABLE.items():
        if head.startswith(magic):
            return name
    if _describe_unreadable(head) is not None:
        return None
    return CSV if is_utf16(head) or not _BINARY.search(_first_line(head)) else None


def make_format_error(where: str, head: bytes) -> InputError:
    """Make the error for a file at ``where`` that begins with ``head`` and can't be read."""
    if (unreadable := _describe_unreadable(head)) is not None:
        name, hint = unreadable
        return InputError(f"{where} looks like {name}, expected CSV or Parquet", hint=hint)
    if head.startswith(_READABLE[PARQUET]):
        return InputError(
            f"{where} looks like Parquet, expected text", hint="Decompress it: Parquet is compressed inside"
        )
    if detect_format_of(head) in COMPRESSED:
        return InputError(f"{where} is compressed twice", hint="Decompress it once")
    return InputError(
        f"{where} is neither CSV nor Parquet: it has bytes that are not text",
        hint="Save it as CSV in UTF-8 or as Parquet, or exclude it",
    )


def _describe_unreadable(head: bytes) -> tuple[str, str] | None:
    """Return the name of a format that can't be read, and what to do; None for other content."""
    for magic, description in _UNREADABLE.items():
        if head.startswith(magic):
            return description
    text = head.removeprefix(BOM_UTF8).lstrip()
    if _JSON.match(text):
        return "JSON", _CONVERT
    if _MARKUP.match(text):
        return "HTML or XML", "Check the download: it may be an error page"
    return None


def is_utf16(head: bytes) -> bool:
    """Return whether text is UTF-16: it has a byte order mark, or every second byte of its start is zero."""
    even, odd = head[:64:2], head[1:64:2]
    zeros = (even.count(0), odd.count(0))
    return head.startswith(BOMS_UTF16) or (len(head) >= 8 and 0 in zeros and max(zeros) > len(odd) * 3 // 4)


def _first_line(head: bytes) -> bytes:
    return re.split(rb"[\r\n]", head.removeprefix(BOM_UTF8).lstrip(b"\r\n"), maxsplit=1)[0]
