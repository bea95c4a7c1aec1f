"""Tables of text that fit the screen.

A file or a pipe gets every column, and one line for each row. On a terminal, a table that is too wide first breaks long
texts between words. Then it leaves out columns, the least important first. If the others do not fit either, each row is
a list of its cells.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest

from gamesales.cli.terminal import get_screen, measure, paint, to_one_line, wrap
from gamesales.stats.amounts import get_unit, is_amount

_GAP = "  "
# The least width of a column whose texts are broken into lines.
_TEXT_WIDTH = 16
_NUMBER = re.compile(r"-?\$?[\d,.]+(e-?\d+)?%?")


@dataclass(frozen=True)
class _Column:
    heading: str
    cells: list[str]

    @cached_property
    def width(self) -> int:
        return max(map(measure, [self.heading, *self.cells]))

    @cached_property
    def least_width(self) -> int:
        """The width of the longest word, but enough for several words in a line."""
        words = [word for text in (self.heading, *self.cells) for word in text.split()]
        return min(self.width, max(_TEXT_WIDTH, *map(measure, words)))

    @cached_property
    def is_number(self) -> bool:
        return bool(self.cells) and all(map(_is_number, self.cells))


def _is_number(cell: str) -> bool:
    """Return whether a cell has a number, which may be an amount in the current unit of texts."""
    number = cell.removesuffix(f" {get_unit()}") if is_amount(cell) else cell
    return cell == "-" or _NUMBER.fullmatch(number) is not None


def format_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    optional: Sequence[str] = (),
    states: Collection[str] = (),
) -> str:
    """Lay out a table for the current screen. Columns of numbers are aligned right, and a row has no line breaks.

    Args:
        header: The heading of each column.
        rows: The cells of each row.
        optional: The headings of columns that a narrow screen leaves out, the least important first.
        states: The headings of columns whose cells name states, which have colors.
    """
    cells = [[to_one_line(cell) for cell in row] for row in rows]
    columns = [_Column(heading, [row[number] for row in cells]) for number, heading in enumerate(header)]
    screen = get_screen()
    if screen.width is None:
        return _format_grid(columns, [column.width for column in columns], states)
    kept = _choose_columns(columns, optional, screen.width)
    widths = _share_width(kept, screen.width)
    if _total(widths) > screen.width:
        return _format_records(columns, states)
    screen.left_out.update(dict.fromkeys(column.heading for column in columns if column not in kept))
    return _format_grid(kept, widths, states)


def _choose_columns(columns: Sequence[_Column], optional: Sequence[str], width: int) -> Sequence[_Column]:
    """Leave out columns, the least important first, until the others fit. Put back columns for which there is room."""
    kept = list(columns)
    for heading in optional:
        if _least_total(kept) <= width:
            break
        kept = [column for column in kept if column.heading != heading]
    for heading in reversed(optional):
        more = [column for column in columns if column in kept or column.heading == heading]
        kept = more if _least_total(more) <= width else kept
    return kept


def _least_total(columns: Sequence[_Column]) -> int:
    return _total([column.least_width for column in columns])


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _share_width(columns: Sequence[_Column], width: int) -> list[int]:
    """Narrow the widest columns until the table fits, or no column can be narrower."""
    widths = [column.width for column in columns]
    while _total(widths) > width:
        candidates = [number for number, column in enumerate(columns) if widths[number] > column.least_width]
        if not candidates:
            break
        widths[max(candidates, key=widths.__getitem__)] -= 1
    return widths


def _format_grid(columns: Sequence[_Column], widths: Sequence[int], states: Collection[str]) -> str:
    lines = []
    for row in zip(*([column.heading, *column.cells] for column in columns), strict=True):
        parts = [wrap(cell, width) for cell, width in zip(row, widths, strict=True)]
        lines += [_align(line, columns, widths, states) for line in zip_longest(*parts, fillvalue="")]
    return "\n".join(lines)


def _align(cells: Sequence[str], columns: Sequence[_Column], widths: Sequence[int], states: Collection[str]) -> str:
    aligned = []
    for cell, column, width in zip(cells, columns, widths, strict=True):
        blanks = " " * (width - measure(cell))
        text = paint(cell) if column.heading in states else cell
        aligned.append(f"{blanks}{text}" if column.is_number else f"{text}{blanks}")
    return _GAP.join(aligned).rstrip()


def _format_records(columns: Sequence[_Column], states: Collection[str]) -> str:
    """Lay out each row as lines of a heading and a cell."""
    label_width = max(measure(column.heading) for column in columns)
    records = [
        "\n".join(
            f"{column.heading:<{label_width}}{_GAP}{paint(cell) if column.heading in states else cell}"
            for column, cell in zip(columns, row, strict=True)
            if cell
        )
        for row in zip(*(column.cells for column in columns), strict=True)
    ]
    return "\n\n".join(records)
