"""Bit masks of text: one bit for each byte, in words of 64. They are many times as fast as an array of bool.

simdjson finds the structure of JSON in this way (Langdale and Lemire, Parsing gigabytes of JSON per second, VLDB
Journal 2019, doi:10.1007/s00778-019-00578-5).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gamesales.arrays import BoolArray, IntArray

_WORD = np.dtype("<u8")

Bytes = npt.NDArray[np.uint8]
# The first byte is the lowest bit of the first word.
Bits = npt.NDArray[np.uint64]


def mark_bytes(data: Bytes, byte: int) -> Bits:
    """Mark the bytes that are equal to a byte."""
    return pack_mask(data == byte)


def pack_mask(mask: BoolArray) -> Bits:
    """Mark the elements that are True. There is at least one bit after the last."""
    bits = np.zeros(len(mask) // 64 + 1, _WORD)
    packed = np.packbits(mask, bitorder="little")
    bits.view(np.uint8)[: len(packed)] = packed
    return bits


def count_bits(bits: Bits) -> int:
    """Count the bits that are 1."""
    return int(np.bitwise_count(bits).sum())


def find_offsets(bits: Bits) -> IntArray:
    """Return the offsets of the bits that are 1, int64, ascending."""
    words = np.flatnonzero(bits)
    if not len(words):
        return words
    rows, offsets = np.unpackbits(bits[words].view(np.uint8), bitorder="little").reshape(-1, 64).nonzero()
    return words[rows] * 64 + offsets


def find_first_and_last(bits: Bits) -> tuple[int, int] | None:
    """Return the offsets of the first and the last bit that is 1; None if there is none."""
    words = np.flatnonzero(bits)
    if not len(words):
        return None
    first, last = int(bits[words[0]]), int(bits[words[-1]])
    return int(words[0]) * 64 + (first & -first).bit_length() - 1, int(words[-1]) * 64 + last.bit_length() - 1


def move_up(bits: Bits, first: bool) -> Bits:
    """Move each bit to the next offset; ``first`` is the bit at offset 0."""
    moved = bits << np.uint64(1)
    moved[1:] |= bits[:-1] >> np.uint64(63)
    moved[0] |= np.uint64(first)
    return moved


def toggle(flips: Bits, state: bool) -> Bits:
    """Return the state after each flip: the parity of the flips so far. ``state`` is the state before the first."""
    states = flips.copy()
    for shift in (1, 2, 4, 8, 16, 32):
        states ^= states << np.uint64(shift)
    carries = np.bitwise_xor.accumulate(states >> np.uint64(63))  # the state after each word
    states[1:] ^= -carries[:-1]
    return ~states if state else states
