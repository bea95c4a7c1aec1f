"""How the tables of a job are written: the dialect of its CSV files, and the names of its columns.

    [csv]
    delimiter = ";"
    decimal = ","

    [columns]
    critic_rating = "CriticScore"    # the name in the contract = the name in the file

Nothing is guessed: without these keys a file has commas, decimal points and UTF-8, and the names of the contract.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

UTF_8 = "utf-8"
_UTF_16 = ("utf-16", "utf-16-le", "utf-16-be")
# What an encoding must leave as it is. The first four characters are one character in Python's escapes.
_ASCII = (b"\\x41", bytes(range(128)))
# Characters that a number or a name has.
_NOT_DELIMITERS = '"\r\n\0._+-'


@dataclass(frozen=True)
class CsvDialect:
    r"""The dialect of CSV files.

    Attributes:
        delimiter: the ASCII character between two cells.
        decimal: the decimal mark, "." or ",".
        escape: the character before a quote, a delimiter, a line break or itself that belongs to a cell, such as
            ``\``. None: there is none, and a file that seems to have one is refused. "": there is none, certainly.
        encoding: the encoding of the text, by its name in Python: UTF-8, UTF-16, or one that has ASCII's first 128
            characters.

    Raises:
        ValueError: an attribute has a value that is not allowed, or two attributes have the same character.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    delimiter: str = ","
    decimal: str = "."
    escape: str | None = None
    encoding: str = UTF_8

    def __post_init__(self) -> None:
        if not _is_ascii_character(self.delimiter) or self.delimiter.isalnum() or self.delimiter in _NOT_DELIMITERS:
            raise ValueError(f'delimiter: expected one character such as ";" or "\\t", received {self.delimiter!r}')
        if self.decimal not in (".", ","):
            raise ValueError(f'decimal: expected "." or ",", received {self.decimal!r}')
        if self.escape and (
            not _is_ascii_character(self.escape)
            or self.escape.isalnum()
            or self.escape in _NOT_DELIMITERS + " \t" + self.delimiter
        ):
            raise ValueError(f'escape: expected one character such as "\\\\", or "" for none, received {self.escape!r}')
        object.__setattr__(self, "encoding", _normalize_encoding(self.encoding))

    @property
    def delimiter_byte(self) -> int:
        return ord(self.delimiter)

    @property
    def escape_byte(self) -> bytes:
        """The escape character as bytes, empty if there is none."""
        return (self.escape or "").encode()


def _is_ascii_character(text: str) -> bool:
    return len(text) == 1 and text.isascii()


def _normalize_encoding(name: str) -> str:
    """Return the name of an encoding in Python's spelling; UTF-8 with or without a byte order mark is the same."""
    try:
        encoding = codecs.lookup(name).name
        if encoding in (UTF_8, "utf-8-sig"):
            return UTF_8
        if encoding in _UTF_16 or all(text.decode(encoding) == text.decode("ascii") for text in _ASCII):
            return encoding
    except (LookupError, ValueError):
        pass
    raise ValueError(f'encoding: expected one such as "utf-8", "cp1252" or "utf-16", received {name!r}')


DEFAULT_DIALECT = CsvDialect()


@dataclass(frozen=True)
class TableFormat:
    """How the tables of a job are written.

    Attributes:
        csv: the dialect of CSV files.
        columns: for each renamed column, its name in the program and its name in the files, CSV or Parquet.
    """

    csv: CsvDialect = DEFAULT_DIALECT
    columns: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = list(self.columns.values())
        duplicates = sorted({name for name in names if names.count(name) > 1})
        if duplicates:
            raise ValueError(f"columns: {', '.join(map(repr, duplicates))} stands for two columns")
        if "" in self.columns:
            raise ValueError("columns: a column needs a name")

    def describe(self) -> dict[str, object]:
        """Return what differs from the default, for the identity of a run; empty for the default."""
        description: dict[str, object] = {}
        if self.csv != DEFAULT_DIALECT:
            description["csv"] = asdict(self.csv)
        if self.columns:
            description["renames"] = dict(self.columns)
        return description

    @classmethod
    def from_description(cls, document: Mapping[str, Any]) -> TableFormat:
        """Return the format that ``describe`` described; other keys are ignored.

        Raises:
            ValueError, TypeError, AttributeError: a value is not as ``describe`` writes it.
        """
        return cls(CsvDialect(**document.get("csv", {})), dict(document.get("renames", {})))


DEFAULT_FORMAT = TableFormat()
