"""What a suite shows: tables and plots as data, and figures in words. The page and the document draw them alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.figures import Figure
from benchmarks.rounds import Skipped

NONE = "—"


@dataclass(frozen=True)
class Ratio:
    """A cell that says how two things compare; as data, so that it can be found again in other results."""

    figure: Figure | None
    text: Callable[[float], str]

    def __str__(self) -> str:
        return spread(self.figure, self.text)


@dataclass(frozen=True)
class Table:
    """Cells are text or ratios; the first ``names`` columns name the row."""

    heading: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | Ratio]]
    note: str = ""
    names: int = 1

    def ratios(self) -> Iterator[tuple[str, str, Ratio]]:
        """Yield every ratio with the names of its row and its column."""
        for row in self.rows:
            name = ", ".join(str(cell) for cell in row[: self.names])
            for column, cell in zip(self.columns, row, strict=True):
                if isinstance(cell, Ratio):
                    yield name, column, cell


@dataclass(frozen=True)
class Bars:
    """A bar for each name, on a log scale."""

    heading: str
    caption: str
    values: Sequence[tuple[str, Figure]]
    text: Callable[[float], str]


@dataclass(frozen=True)
class Lines:
    """A line for each name through points (x, y), both on log scales."""

    heading: str
    caption: str
    horizontal: str
    series: Sequence[tuple[str, Sequence[tuple[float, float]]]]
    text: Callable[[float], str]


@dataclass(frozen=True)
class Section:
    """What one suite found."""

    title: str
    words: Sequence[str]
    tables: Sequence[Table] = ()
    plots: Sequence[Bars | Lines] = ()
    skipped: Sequence[Skipped] = field(default=())


def spread(figure: Figure | None, text: Callable[[float], str]) -> str:
    """Tell a median and, in brackets, from where to where its spread goes, unless all digits that are told agree."""
    if figure is None:
        return NONE
    if figure.count == 1:
        return f"{text(figure.median)} (once)"
    shown = [text(value) for value in (figure.median, figure.low, figure.high)]
    unit = shown[0].partition(" ")[2]
    if all(one.partition(" ")[2] == unit for one in shown):
        shown[1:] = [one.partition(" ")[0] for one in shown[1:]]
    if shown[1] == shown[2]:
        return shown[0]
    return f"{shown[0]} ({shown[1]} to {shown[2]})"


def significant(value: float) -> str:
    """Tell a number in three digits: 0.0123, 1.23, 12.3, 1,230."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:#.3g}".rstrip(".") if abs(value) >= 1e-3 else f"{value:.2e}"


def seconds(value: float) -> str:
    return f"{significant(value)} s"


def milliseconds(value: float) -> str:
    """Tell seconds in thousandths."""
    return f"{significant(1e3 * value)} ms"


def short_seconds(value: float) -> str:
    """Tell seconds beside an axis: 0.1 s, 10 s."""
    return f"{value:g} s"


def rate(value: float) -> str:
    """Tell rows a second."""
    return f"{significant(value / 1e6)} M/s" if value >= 1e6 else f"{significant(value / 1e3)} k/s"


def megabytes(value: float) -> str:
    return f"{value / 1e6:,.0f} MB"


def times(value: float) -> str:
    return f"{significant(value)} ×"


def percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def power(rows: float) -> str:
    """Tell a number of rows as people say it: 1,000, 10 M."""
    return f"{rows / 1e6:g} M" if rows >= 1e6 else f"{rows:,.0f}"


def skipped_words(skipped: Iterable[Skipped]) -> list[str]:
    """Tell what was left out and why."""
    return [f"{one['contender']}, {one['what']}: {one['reason']}" for one in skipped]
