"""Do two calls of the benchmarks agree? Every ratio that both print, beside each other.

Two agree if what each printed as its spread, from the smallest to the largest of all rounds, overlaps. A ratio told
once has no spread, and counts as agreeing only if the other's spread covers it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.figures import Figure
from benchmarks.page import sections
from benchmarks.show import Ratio, Table


@dataclass(frozen=True)
class Pair:
    """One ratio of two calls."""

    name: str
    one: Ratio
    other: Ratio

    @property
    def agrees(self) -> bool:
        return _overlap(self.one.figure, self.other.figure)

    @property
    def median_within(self) -> bool:
        """Whether each median lies within the other's spread."""
        one, other = self.one.figure, self.other.figure
        return other.low <= one.median <= other.high and one.low <= other.median <= one.high


def pairs(one: dict[str, Any], other: dict[str, Any]) -> list[Pair]:
    """Return the ratios that both results tell; what stands for 1 in every round is none."""
    found, others = ratios_of(one), ratios_of(other)
    return [Pair(name, found[name], others[name]) for name in found if name in others and not _is_one(found[name])]


def ratios_of(results: dict[str, Any]) -> dict[str, Ratio]:
    """Return every ratio of a page by where it stands."""
    return {
        name: cell
        for section, _ in sections(results)
        for table in section.tables
        for name, cell in _of_table(section.title, table)
    }


def report(found: list[Pair]) -> str:
    """Tell all pairs, the worst first, and at the end how many agree."""
    ordered = sorted(found, key=lambda pair: (pair.agrees, pair.median_within))
    marks = {(False, False): "DISAGREE", (True, False): "overlap", (True, True): "agree"}
    lines = [
        f"{marks[pair.agrees, pair.median_within]:<9} {pair.name}: {pair.one} and {pair.other}" for pair in ordered
    ]
    agree, within = sum(pair.agrees for pair in found), sum(pair.median_within for pair in found)
    end = f"{agree} of {len(found)} ratios agree within the spreads that are printed"
    return "\n".join([*lines, f"{end}; of {within}, each median lies within the other's spread"])


def _of_table(title: str, table: Table) -> list[tuple[str, Ratio]]:
    named = 2 if table.columns[1] == "rows" else 1
    return [
        (" / ".join([title, table.heading, *row[:named], column]), cell)
        for row in table.rows
        for column, cell in zip(table.columns, row, strict=True)
        if isinstance(cell, Ratio)
    ]


def _overlap(one: Figure, other: Figure) -> bool:
    return one.low <= other.high and other.low <= one.high


def _is_one(cell: Ratio) -> bool:
    return cell.figure.low == cell.figure.high == 1.0
