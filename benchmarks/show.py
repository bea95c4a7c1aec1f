"""What a suite shows: tables and plots as data, and figures in words. The page and the document draw them alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from benchmarks.figures import Figure
from benchmarks.rounds import Skipped

NONE = "—"


@dataclass(frozen=True)
class Table:
    """Cells are text; the first column names the row."""

    heading: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


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
    """Tell a median and, in brackets, the smallest and the largest value, unless all digits that are told agree."""
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


class Ratio(str):
    """A cell that tells a ratio, and ``figure``, what it tells."""

    __slots__ = ("figure",)
    figure: Figure


def ratio(figure: Figure | None, text: Callable[[float], str]) -> str:
    """Tell a ratio as ``spread`` does."""
    if figure is None:
        return NONE
    cell = Ratio(spread(figure, text))
    cell.figure = figure
    return cell


def significant(value: float) -> str:
    """Tell a number in three digits: 0.0123, 1.23, 12.3, 1,230."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:#.3g}".rstrip(".") if abs(value) >= 1e-3 else f"{value:.2e}"


def seconds(value: float) -> str:
    return f"{significant(value)} s"


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
