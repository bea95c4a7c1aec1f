"""Thrift's compact protocol, as far as the metadata of Parquet files uses it.

struct   (change of the field number, type) value … 0
list     (size, type) value …
integer  zigzag: 0, -1, 1, -2 … as 0, 1, 2, 3 …; 7 bits in a byte, the lowest first
binary   size, bytes
"""

from __future__ import annotations

from typing import Any

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, STRUCT = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12
_INTEGERS = (I16, I32, I64)
# A size of 15 or more stands behind the first byte of a list.
_LONG_LIST = 15

# Fields by their number, each with its type and its value: an integer, bytes, a structure, or a list as a pair of the
# type and the values of its elements.
Struct = dict[int, tuple[int, Any]]


def decode(data: bytes) -> Struct:
    """Decode a structure.

    Raises:
        ValueError: there is a type that metadata of Parquet files does not have, or the data ends early.
    """
    try:
        return _Decoder(data).read_struct()
    except IndexError:
        raise ValueError(f"the structure does not end within {len(data):,} bytes") from None


class _Decoder:
    """A position in encoded data."""

    def __init__(self, data: bytes) -> None:
        self._data, self._position = data, 0

    def read_struct(self) -> Struct:
        fields: Struct = {}
        number = 0
        while (header := self._read_byte()) != 0:
            number = number + (header >> 4) if header >> 4 else self._read_integer()
            kind = header & 15
            fields[number] = kind, None if kind in (TRUE, FALSE) else self._read_value(kind)
        return fields

    def _read_value(self, kind: int) -> Any:
        if kind in _INTEGERS:
            return self._read_integer()
        if kind == BINARY:
            return self._read_bytes(self._read_size())
        if kind == STRUCT:
            return self.read_struct()
        if kind in (LIST, SET):
            header = self._read_byte()
            size = self._read_size() if header >> 4 == _LONG_LIST else header >> 4
            return header & 15, [self._read_value(header & 15) for _ in range(size)]
        if kind in (TRUE, FALSE, BYTE):
            return self._read_byte()
        if kind == DOUBLE:
            return self._read_bytes(8)
        raise ValueError(f"expected a type of Parquet's metadata, found {kind}")

    def _read_byte(self) -> int:
        self._position += 1
        return self._data[self._position - 1]

    def _read_bytes(self, size: int) -> bytes:
        self._position += size
        return self._data[self._position - size : self._position]

    def _read_size(self) -> int:
        size = shift = 0
        while (byte := self._read_byte()) > 127:
            size |= (byte & 127) << shift
            shift += 7
        return size | byte << shift

    def _read_integer(self) -> int:
        size = self._read_size()
        return size >> 1 ^ -(size & 1)


def encode(struct: Struct) -> bytes:
    """Encode a structure, with its fields in the order of their numbers."""
    encoded = bytearray()
    _write_struct(encoded, struct)
    return bytes(encoded)


def _write_struct(encoded: bytearray, struct: Struct) -> None:
    before = 0
    for number, (kind, value) in sorted(struct.items()):
        if number - before < 16:
            encoded.append((number - before) << 4 | kind)
        else:
            encoded.append(kind)
            _write_integer(encoded, number)
        before = number
        if kind not in (TRUE, FALSE):
            _write_value(encoded, kind, value)
    encoded.append(0)


def _write_value(encoded: bytearray, kind: int, value: Any) -> None:
    if kind in _INTEGERS:
        _write_integer(encoded, value)
    elif kind == STRUCT:
        _write_struct(encoded, value)
    elif kind in (LIST, SET):
        element, values = value
        encoded.append(min(len(values), _LONG_LIST) << 4 | element)
        if len(values) >= _LONG_LIST:
            _write_size(encoded, len(values))
        for entry in values:
            _write_value(encoded, element, entry)
    elif kind in (BINARY, DOUBLE):
        if kind == BINARY:
            _write_size(encoded, len(value))
        encoded += value
    else:
        encoded.append(value)


def _write_size(encoded: bytearray, size: int) -> None:
    while size > 127:
        encoded.append(size & 127 | 128)
        size >>= 7
    encoded.append(size)


def _write_integer(encoded: bytearray, number: int) -> None:
    _write_size(encoded, number << 1 if number >= 0 else (-number << 1) - 1)
