"""Tables of results: medians with their range, rates, and ratios within a round."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.measure import Run, Skipped

NONE = "—"
# The size whose time is taken off for a rate: all start-up, hardly any work.
BASE_ROWS = 1_000


@dataclass(frozen=True)
class Table:
    """A heading, column names, and rows of cells; the first cell names the row."""

    heading: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True)
class Section:
    title: str
    paragraphs: Sequence[str]
    tables: Sequence[Table]
    skipped: Sequence[Skipped]


def select(runs: Iterable[Run], **values: object) -> list[Run]:
    """Return the runs with these values: ``select(runs, contender="ours", rows=1000)``."""
    return [run for run in runs if all(run[key] == value for key, value in values.items())]


def group(runs: Iterable[Run], key: str, labels: Mapping[str, str] | None = None) -> dict[str, list[Run]]:
    """Group runs by the value of a key, in their order; ``labels`` may give the groups other names."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault((labels or {}).get(run[key], run[key]), []).append(run)
    return groups


def by_round(runs: Iterable[Run], key: str = "wall_s") -> dict[int, float]:
    """Return a value of each round, from the run or from its answer; rounds without the value are left out."""
    values = {run["round"]: {**run.get("answer", {}), **run}.get(key) for run in runs}
    return {number: value for number, value in values.items() if value is not None}


def compute_rates(runs: Sequence[Run], rows: int | None = None, key: str = "wall_s") -> dict[int, float]:
    """Return rows per second in each round: the rows of the largest file, divided by its extra time over ``BASE_ROWS``.

    Rounds without both sizes are left out, and rounds in which noise made the larger file faster.
    """
    rows = rows or max((run["rows"] for run in runs), default=0)
    long, short = (by_round(select(runs, rows=size), key) for size in (rows, BASE_ROWS))
    extra = {number: seconds - short.get(number, math.inf) for number, seconds in long.items()}
    return {number: rows / seconds for number, seconds in extra.items() if seconds > 0}


def show(values: Iterable[float | None], unit: str) -> str:
    """Return the median and, in brackets, the smallest and the largest value, unless they round to one value."""
    finite = sorted(value for value in values if value is not None and math.isfinite(value))
    if not finite:
        return NONE
    median, low, high = (format_value(value, unit) for value in (statistics.median(finite), finite[0], finite[-1]))
    if low == high:
        return median + (" (once)" if len(finite) == 1 else "")
    if len({text.partition(" ")[2] for text in (median, low, high)}) == 1:  # the same unit
        low, high = low.partition(" ")[0], high.partition(" ")[0]
    return f"{median} ({low} to {high})"


def show_process(runs: Sequence[Run], base: Sequence[Run] | None = None) -> list[str]:
    """Return the cells of time, its ratio to the time of ``base`` if given, CPU time and peak memory."""
    ratio = [] if base is None else [show_ratio(by_round(runs), by_round(base))]
    time, cpu, memory = ([run[key] for run in runs] for key in ("wall_s", "cpu_s", "peak_bytes"))
    return [show(time, "s"), *ratio, show(cpu, "s"), show(memory, "MB")]


def show_ratio(numerators: Mapping[int, float], denominators: Mapping[int, float], unit: str = "×") -> str:
    """Return the cell of a ratio; it is computed within each round that has both values."""
    return show((numerators[key] / denominators[key] for key in numerators.keys() & denominators.keys()), unit)


def format_value(value: float, unit: str) -> str:
    """Return a value in a unit of tables; values are seconds, bytes, shares and numbers per second."""
    if unit == "rows/s":
        return format_value(value / 1e6, "M/s") if value >= 1e6 else format_value(value / 1e3, "k/s")
    if unit in ("%", "MB", "MSE"):
        return {"%": f"{100 * value:.0f}%", "MB": f"{value / 1e6:,.0f} MB", "MSE": f"{value:.2e}"}[unit]
    return f"{format_number(value)} {unit}".rstrip()


def format_number(value: float) -> str:
    """Return a number with three digits: 0.0123, 1.23, 12.3, 1,230."""
    if abs(value) >= 100:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:#.3g}".rstrip(".") if abs(value) >= 1e-3 or value == 0 else f"{value:.2e}"


def format_rows(rows: float) -> str:
    return f"{rows / 1e6:g} M" if rows >= 1e6 else f"{rows:,.0f}"
