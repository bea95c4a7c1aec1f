"""Detect the dialect of a CSV file: its encoding, delimiter, decimal mark and escapes.

Only ``gamesales init`` and ``gamesales contract check`` guess. ``init`` writes the result into the jobs, where people
read it, and jobs guess nothing.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING

from gamesales.data.dialect import UTF_8, CsvDialect
from gamesales.data.file_format import BOM_UTF8, BOMS_UTF16, PARQUET, is_utf16, require_format
from gamesales.data.text_stream import open_text
from gamesales.errors import InputError

if TYPE_CHECKING:
    from gamesales.data.remote_file import TablePath

DELIMITERS = ",;\t|"
# The encoding of text that is not Unicode: most such files are from programs on Windows.
_WESTERN = "cp1252"
_PIECE_BYTES = 1 << 20
# The records that decide on the delimiter and on the decimal mark.
_SNIFFED_RECORDS = 1000
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+|[+-]?\d{1,3}(\.\d{3})+,\d+")
_DECIMAL_POINT = re.compile(r"[+-]?\d+\.\d+|[+-]?\d{1,3}(,\d{3})+\.\d+")
# 1,234 may be a thousand with a separator. 0,500 and 1,2 may not.
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")


def sniff_dialect(path: TablePath) -> CsvDialect | None:
    """Find the dialect of a CSV file, plain or compressed.

    Returns:
        None for a Parquet file.

    Raises:
        InputError: the file is neither CSV nor Parquet, or it is empty.
        FileNotFoundError: there is no file.
    """
    file_format = require_format(path)
    if file_format == PARQUET:
        return None
    encoding = _find_encoding(path, file_format)
    with open_text(path, file_format, encoding) as stream:
        head = stream.read(_PIECE_BYTES).removeprefix(BOM_UTF8)
    if not head.strip():
        raise InputError(f"{path} is empty; expected a header line with column names")
    text = head.decode(errors="replace")
    escape = _find_escape(text)
    delimiter = _find_delimiter(text, escape)
    records = _read_records(text, delimiter, escape)
    return CsvDialect(delimiter, _find_decimal(records[1:], delimiter), escape, encoding)


def _find_encoding(path: TablePath, file_format: str) -> str:
    """Return UTF-16 if the file looks like it, UTF-8 unless most of its other characters are not, else Windows'."""
    with open_text(path, file_format) as stream:
        head = stream.read(_PIECE_BYTES)
        if head.startswith(BOMS_UTF16):
            return "utf-16"
        if is_utf16(head):
            return "utf-16-le" if head[1:2] == b"\0" else "utf-16-be"
        valid, damaged = _count_characters(chain([head], iter(lambda: stream.read(_PIECE_BYTES), b"")))
    return _WESTERN if damaged > valid else UTF_8


def _count_characters(pieces: Iterable[bytes]) -> tuple[int, int]:
    """Count the characters of UTF-8 that are not ASCII, and the bytes that are not UTF-8."""
    decoder = codecs.getincrementaldecoder(UTF_8)("surrogateescape")
    valid = damaged = 0
    for piece in pieces:
        if piece.isascii() and not decoder.getstate()[0]:
            continue
        characters = Counter(re.findall(r"[^\x00-\x7f]", decoder.decode(piece)))
        damaged_here = sum(count for character, count in characters.items() if "\udc80" <= character <= "\udcff")
        damaged += damaged_here
        valid += characters.total() - damaged_here
    return valid, damaged + len(decoder.getstate()[0])


def _find_escape(text: str) -> str | None:
    r"""Return a backslash if quotes in quoted cells are written as ``\"``, and "" if backslashes are text.

    A backslash before a quote that closes its cell is text, as in ``"C:\"``. ``\N`` as a cell is text for a missing
    cell. None is a file without either.
    """
    if re.search(r'\\"[^",;\t|\r\n]', text):
        return "\\"
    has_null_mark = re.search(r"(?:^|[,;\t|])\\N(?=[,;\t|\r\n]|$)", text, re.MULTILINE)
    return "" if has_null_mark or '\\"' in text else None


def _find_delimiter(text: str, escape: str | None) -> str:
    """Return the delimiter with which most records have as many cells as the header."""

    def rate(delimiter: str) -> tuple[float, int]:
        records = _read_records(text, delimiter, escape)[:_SNIFFED_RECORDS]
        width = len(records[0]) if records else 1
        if width < 2:
            return 0.0, 0
        return sum(len(record) == width for record in records) / len(records), width

    rates = {delimiter: rate(delimiter) for delimiter in DELIMITERS}
    best = max(rates, key=lambda delimiter: (round(rates[delimiter][0], 1), rates[delimiter][1]))
    return best if rates[best][0] > 0 else ","


def _find_decimal(records: Sequence[Sequence[str]], delimiter: str) -> str:
    cells = [cell.strip() for record in records for cell in record]
    commas = [cell for cell in cells if _DECIMAL_COMMA.fullmatch(cell)]
    if delimiter == ",":  # spreadsheets that write decimal commas separate cells by semicolons
        commas = [cell for cell in commas if not _THOUSANDS.fullmatch(cell)]
    points = sum(1 for cell in cells if _DECIMAL_POINT.fullmatch(cell))
    return "," if len(commas) > points else "."


def _read_records(text: str, delimiter: str, escape: str | None) -> list[list[str]]:
    """Read the first records of a text, up to a mistake. The last record of a piece of a file may be cut."""
    records: list[list[str]] = []
    limit = csv.field_size_limit(2 * _PIECE_BYTES)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, escapechar=escape or None)
        records.extend(record for record in islice(reader, _SNIFFED_RECORDS) if record)
    except csv.Error:
        pass
    finally:
        csv.field_size_limit(limit)
    return records[:-1] if len(records) > 2 and len(text) >= _PIECE_BYTES // 2 else records
