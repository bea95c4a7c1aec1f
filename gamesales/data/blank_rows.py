"""Rows whose cells are all empty, as spreadsheets write them. They are counted, and are neither scored nor rejected."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pyarrow as pa

from gamesales.arrays import BoolArray
from gamesales.data.arrow import null_mask
from gamesales.data.table import Batch


def move_blank_rows(batch: Batch, blank_text: re.Pattern[str]) -> Batch:
    """Move the blank rows of a batch to its blank row numbers.

    Args:
        batch: the batch.
        blank_text: matches a malformed row that is blank: it has no cells, but another number of delimiters.
    """
    blank = {row.row for row in batch.malformed if row.record and blank_text.fullmatch(row.record)}
    if blank:
        batch = replace(batch, malformed=[row for row in batch.malformed if row.row not in blank])
    # All columns are read only if the columns of the batch are empty in some row.
    mask = None if _find_empty_rows(batch.table) is None else _find_empty_rows(batch.original_text())
    if mask is not None:
        blank |= set(batch.rows[mask].tolist())
        batch = batch.keep_rows(~mask)
    return replace(batch, blank=sorted(blank)) if blank else batch


def _find_empty_rows(table: pa.RecordBatch) -> BoolArray | None:
    """Return bool (n,), True for the rows whose cells are all empty; None if there are none."""
    mask: BoolArray | None = None
    for column in table.columns:
        empty = find_empty(column)
        mask = empty if mask is None else mask & empty
        if not mask.any():
            return None
    return mask


def find_empty(column: pa.Array) -> BoolArray:
    """Return bool (n,), True for the cells of text that are empty and the numbers that are null."""
    if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
        if not len(column):
            return np.zeros(0, bool)
        offsets = np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]
        empty: BoolArray = np.diff(offsets) == 0
        return empty
    return null_mask(column)
