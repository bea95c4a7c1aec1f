"""Join Parquet files with the same columns into one file. No row is decoded: row groups are copied as they are.

    PAR1  row groups of the first file  row groups of the second file  …  footer  length of the footer  PAR1

A footer is a structure of Thrift's compact protocol. Its row groups have their offsets in the file, which are moved.
parquet.thrift of the Parquet format describes the fields.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from gamesales.errors import GamesalesError
from gamesales.scoring.thrift import I16, I64, LIST, STRUCT, Struct, decode, encode

_MAGIC = b"PAR1"
_END_BYTES = 8  # the length of the footer, and the magic bytes
_COPY_BYTES = 1 << 20
# Fields of parquet.thrift.
_FILE_ROWS, _FILE_GROUPS = 3, 4
_GROUP_COLUMNS, _GROUP_OFFSET, _GROUP_ORDINAL = 1, 5, 7
_CHUNK_METADATA = 3
# The offset of a column chunk, of its offset index and of its column index.
_CHUNK_OFFSETS = (2, 4, 6)
# The offsets of the data pages, of the index page, of the dictionary page and of the Bloom filter.
_METADATA_OFFSETS = (9, 10, 11, 14)


class ParquetJoiner:
    """Joins files with the same columns.

    Args:
        file: the file to write, at its beginning.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._footer: Struct = {}
        self._size = 0  # of the row groups
        file.write(_MAGIC)

    def add(self, part: Path) -> None:
        """Append the row groups of a file.

        Raises:
            GamesalesError: the file is not a Parquet file that can be joined.
        """
        with part.open("rb") as source:
            footer, end = read_footer(source)
            source.seek(len(_MAGIC))
            _copy(source, self._file, end - len(_MAGIC))
        shift = self._size
        self._size += end - len(_MAGIC)
        if not self._footer:
            self._footer = {**footer, _FILE_ROWS: (I64, 0), _FILE_GROUPS: (LIST, (STRUCT, []))}
        if any(self._footer[key] != footer[key] for key in footer if key not in (_FILE_ROWS, _FILE_GROUPS)):
            raise GamesalesError(f"{part} has other columns than the parts before; nothing was published")
        groups = self._footer[_FILE_GROUPS][1][1]
        for group in footer[_FILE_GROUPS][1][1]:
            groups.append(_move_group(group, shift, len(groups)))
        self._footer[_FILE_ROWS] = I64, self._footer[_FILE_ROWS][1] + footer[_FILE_ROWS][1]

    def finish(self) -> None:
        """Write the footer, and read it again with Arrow.

        Raises:
            GamesalesError: Arrow reads another number of rows.
        """
        from pyarrow import parquet

        footer = encode(self._footer)
        self._file.write(footer + len(footer).to_bytes(4, "little") + _MAGIC)
        self._file.flush()
        path = Path(self._file.name).absolute()  # Arrow takes a relative path such as a:b for a URI
        present, expected = parquet.read_metadata(path).num_rows, self._footer[_FILE_ROWS][1]
        if present != expected:
            raise GamesalesError(
                f"{self._file.name} has {present:,} rows, expected {expected:,}; nothing was published"
            )


def read_footer(file: BinaryIO) -> tuple[Struct, int]:
    """Return the footer of a Parquet file, and the offset where it begins.

    Raises:
        GamesalesError: there is no footer, or writing it again gives other bytes.
    """
    end = file.seek(-_END_BYTES, os.SEEK_END)
    ending = file.read()
    start = max(end - int.from_bytes(ending[: -len(_MAGIC)], "little"), 0)
    file.seek(start)
    data = file.read(end - start)
    try:
        footer = decode(data)
    except ValueError:
        footer = {}
    if not ending.endswith(_MAGIC) or encode(footer) != data:
        raise GamesalesError("the footer of a part can't be read; nothing was published", hint="Run it again")
    return footer, start


def _copy(source: BinaryIO, target: BinaryIO, size: int) -> None:
    while size and (piece := source.read(min(size, _COPY_BYTES))):
        target.write(piece)
        size -= len(piece)


def _move_group(group: Struct, shift: int, number: int) -> Struct:
    """Return the metadata of a row group that is ``shift`` bytes further back, as the row group with this number."""
    kind, chunks = group[_GROUP_COLUMNS][1]
    moved = _move_offsets(group, (_GROUP_OFFSET,), shift)
    if _GROUP_ORDINAL in group:
        moved[_GROUP_ORDINAL] = I16, number
    return {**moved, _GROUP_COLUMNS: (LIST, (kind, [_move_chunk(chunk, shift) for chunk in chunks]))}


def _move_chunk(chunk: Struct, shift: int) -> Struct:
    metadata = _move_offsets(chunk[_CHUNK_METADATA][1], _METADATA_OFFSETS, shift)
    return {**_move_offsets(chunk, _CHUNK_OFFSETS, shift), _CHUNK_METADATA: (STRUCT, metadata)}


def _move_offsets(struct: Struct, fields: tuple[int, ...], shift: int) -> Struct:
    """Add to the offsets of a structure. An offset of 0 stands for none."""
    moved = {key: (I64, struct[key][1] + shift) for key in fields if key in struct and struct[key][1]}
    return {**struct, **moved}
