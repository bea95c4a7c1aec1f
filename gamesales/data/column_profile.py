"""The content of a column of a table, and how messages show its cells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gamesales.arrays import BoolArray, FloatArray
from gamesales.data.contract import Column, ColumnKind
from gamesales.data.source_table import TextColumn

# Messages show this many texts of a column, and this many characters of each.
_SHOWN = 3
_LONGEST_SHOWN = 24


@dataclass(frozen=True)
class ColumnProfile:
    """The content of a column.

    Attributes:
        column: the column as the contract may have it; None if a model can't use it.
        is_identity: whether its values identify rows.
        is_numeric: whether ``values`` are numbers, also if a model can't use the column.
        why: the reason for the kind, or why a model can't use the column.
        values: float64 (n,), its numbers, days or the codes of its texts. NaN for a missing cell or another cell.
        missing: bool (n,), the missing cells.
        missing_texts: the texts of missing cells.
        misfits: bool (n,), the cells that are neither missing nor of the kind.
        distinct: the number of distinct values.
        shown: the range of the values or some of them, in words.
        notes: what a person should check.
    """

    name: str
    column: Column | None
    why: str
    values: FloatArray
    missing: BoolArray
    missing_texts: tuple[str, ...]
    misfits: BoolArray
    distinct: int
    shown: str = ""
    is_identity: bool = False
    is_numeric: bool = False
    notes: tuple[str, ...] = ()

    @property
    def kind(self) -> ColumnKind | None:
        return self.column.kind if self.column else None


@dataclass(frozen=True)
class DistinctCells:
    """The distinct texts of a column that are not missing, with the values read from them so far."""

    source: TextColumn
    is_missing: BoolArray  # (texts,)
    numbers: FloatArray  # (texts,), NaN for a text that is not a number

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def is_present(self) -> BoolArray:
        return ~self.is_missing

    @property
    def present_rows(self) -> int:
        return int(self.source.counts[self.is_present].sum())

    @property
    def distinct(self) -> int:
        return int(np.count_nonzero(self.is_present & (self.source.counts > 0)))

    @property
    def number_share(self) -> float:
        return float(self.source.counts[self.is_present & ~np.isnan(self.numbers)].sum() / max(self.present_rows, 1))

    def build(self, column: Column | None, why: str, values: FloatArray, *, shown: str = "") -> ColumnProfile:
        """Build the profile. ``values``, float64 (texts,), is NaN for texts that are not of the kind."""
        missing = self.source.mark(self.is_missing) | (self.source.codes < 0)
        cells = self.source.spread(np.where(self.is_missing, np.nan, values))
        texts = tuple(text for text, gone in zip(self.source.texts, self.is_missing, strict=True) if gone and text)
        return ColumnProfile(
            name=self.name,
            column=column,
            why=why,
            values=cells,
            missing=missing,
            missing_texts=texts,
            misfits=np.isnan(cells) & ~missing,
            distinct=self.distinct,
            shown=shown or show_texts(self),
        )


def show_texts(cells: DistinctCells) -> str:
    """Count the distinct texts, and list the most frequent."""
    return f"{cells.distinct:,}: {list_texts(cells)}"


def list_texts(cells: DistinctCells) -> str:
    """List the most frequent texts."""
    order = np.argsort(-np.where(cells.is_present, cells.source.counts, -1), kind="stable")[
        : min(_SHOWN, cells.distinct)
    ]
    texts = [shorten_cell(cells.source.texts[int(number)]) for number in order[: cells.distinct]]
    return ", ".join(texts) + (", …" if cells.distinct > _SHOWN else "")


def shorten_cell(text: str) -> str:
    """Return the start of a text, without line breaks, for a message."""
    start = re.sub(r"\s+", " ", text[: 4 * _LONGEST_SHOWN])
    return start if len(text) <= _LONGEST_SHOWN else f"{start[: _LONGEST_SHOWN - 1]}…"


def show_number(number: float) -> str:
    """Return a number for people: with separators and without decimals if it is large."""
    return f"{number:,.0f}" if 10_000 <= abs(number) < 1e15 else f"{number:g}"


def list_missing_texts(profiles: Sequence[ColumnProfile]) -> tuple[str, ...]:
    """Return the texts of missing cells in any of some columns, in a stable order."""
    return tuple(sorted({text for profile in profiles for text in profile.missing_texts}))
