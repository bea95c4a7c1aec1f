"""How the cost grows: ours alone, from a thousand rows to fifty million."""

from __future__ import annotations

import math
from collections.abc import Callable

from benchmarks.bench import BASE_ROWS, Bench, Result
from benchmarks.contender import OURS, Contender
from benchmarks.figures import Figure, figure, select, slope
from benchmarks.rounds import Cell, Run, measure_rounds
from benchmarks.show import (
    NONE,
    Lines,
    Section,
    Table,
    megabytes,
    percent,
    power,
    seconds,
    short_seconds,
    significant,
    spread,
)

SIZES = {
    "quick": (BASE_ROWS, 10_000, 100_000, 1_000_000, 10_000_000, 50_000_000),
    "full": (BASE_ROWS, 10_000, 100_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000, 20_000_000, 50_000_000),
}
# In a quick run, what is as large is measured twice: no ratio hangs on it.
QUICK_LARGE = 10_000_000
# Files that must be read from their beginning or are one piece, and how many rows they have.
SHAPE_SIZES = {"quick": (1_000_000, 10_000_000), "full": (2_000_000, 50_000_000)}
ONE_CSV, ONE_GROUP = "one CSV", "one row group of Parquet"
# A size is in the fit if start-up, the cost of ``BASE_ROWS``, is at most this share of its cost.
MOST_START = 1 / 4
FLAT_FROM = 1_000_000


def run(bench: Bench) -> Result:
    """Time ours on Parquet of growing size; the titles are continuous, so that no row is like another."""
    good, _, refused = bench.admitted(bench.choose([OURS]), "continuous", "parquet")
    cells = [_cell(bench, one, rows) for one in good for rows in SIZES[bench.scale]]
    measured, failed = measure_rounds([*cells, *_shapes(bench, good)], bench.patience)
    found: dict[bool, list[Run]] = {True: [], False: []}
    for one in measured:
        found[one["case"] in (ONE_CSV, ONE_GROUP)].append(one)
    return {"runs": found[False], "shapes": found[True], "skipped": refused + failed}


def _cell(bench: Bench, contender: Contender, rows: int) -> Cell:
    twice = {"most_rounds": 2} if bench.scale == "quick" and rows >= QUICK_LARGE else {}
    return bench.cell(contender, "continuous", "parquet", rows, **twice)


def _shapes(bench: Bench, good: list[Contender]) -> list[Cell]:
    """Return the cells of large files in other shapes; once each in a quick run, as memory hardly varies."""
    once = {"most_rounds": 1} if bench.scale == "quick" else {}
    cells = []
    for one in good:
        for rows in SHAPE_SIZES[bench.scale]:
            cells.append(bench.cell_on(bench.assets.titles("continuous", rows, "csv"), one, ONE_CSV, rows, **once))
            cells.append(bench.cell_on(bench.assets.one_group(rows), one, ONE_GROUP, rows, **once))
    return cells


def above_start(runs: list[Run], key: str) -> list[list[tuple[int, float]]]:
    """Return of each round the sizes beside which start-up is small, each with its cost less that of start-up."""
    rounds = []
    for number in sorted({run["round"] for run in runs}):
        costs = {run["rows"]: run[key] for run in select(runs, round=number)}
        start = costs.get(BASE_ROWS, math.inf)
        rounds.append([(rows, cost - start) for rows, cost in costs.items() if start <= MOST_START * cost])
    return rounds


def exponents(runs: list[Run], key: str = "wall_s") -> Figure | None:
    """Fit cost = start-up + a · rows^b in each round and return b; None if no round has two sizes to fit."""
    return figure(slope(points, math.log) for points in above_start(runs, key) if len(points) > 1)


def memory_slope(runs: list[Run]) -> float | None:
    """Return the bytes of peak memory that another row costs, from ``FLAT_FROM`` rows on."""
    found = [(rows, figure(run["peak_bytes"] for run in select(runs, rows=rows))) for rows in _sizes(runs)]
    points = [(rows, peak.median) for rows, peak in found if rows >= FLAT_FROM and peak]
    return slope(points) if len(points) > 1 else None


def show(result: Result) -> Section:
    """Show time, CPU and memory by size, and the lines through them."""
    runs = result["runs"]
    rows = [
        [
            power(size),
            spread(figure(run["wall_s"] for run in select(runs, rows=size)), seconds),
            spread(figure(run["cpu_s"] for run in select(runs, rows=size)), seconds),
            spread(figure(run["peak_bytes"] for run in select(runs, rows=size)), megabytes),
        ]
        for size in _sizes(runs)
    ]
    grows = memory_slope(runs)
    growth = (
        f"gamesales's time grows with rows to the power of {_told(runs, 'wall_s')}; its CPU time, to the power of "
        f"{_told(runs, 'cpu_s')}; 1 is linear. Fitted in each round to the sizes beside which start-up is small: the "
        f"cost of {BASE_ROWS:,} rows, which is taken off, is at most {percent(MOST_START)} of theirs. Below, the curve "
        "shows start-up more than growth."
    )
    memory = (
        f"From {power(FLAT_FROM)} rows up, a row more costs {NONE if grows is None else significant(grows)} bytes of "
        "peak memory."
    )
    fitted = f" Fitted exponent of the time: {_told(runs, 'wall_s')}."
    plots = [
        _lines("Time", fitted, [("time", "wall_s"), ("CPU time", "cpu_s")], runs, short_seconds),
        _lines("Peak memory", "", [("peak memory of the process tree", "peak_bytes")], runs, megabytes),
    ]
    table = Table("gamesales, Parquet to Parquet", ["rows", "time", "CPU time", "peak memory"], rows)
    return Section("Growth", [growth, memory], [table, *_shape_table(result)], plots, result["skipped"])


def _shape_table(result: Result) -> list[Table]:
    """Show the memory of files in other shapes; nothing of results that have none."""
    runs = result.get("shapes", [])
    rows = [
        [
            case,
            power(size),
            spread(figure(run["peak_bytes"] for run in mine), megabytes),
            spread(figure(run["wall_s"] for run in mine), seconds),
        ]
        for case in (ONE_CSV, ONE_GROUP)
        for size in _sizes(select(runs, case=case))
        if (mine := select(runs, case=case, rows=size))
    ]
    return [Table("gamesales, large files in one piece", ["", "rows", "peak memory", "time"], rows)] if rows else []


def _told(runs: list[Run], key: str) -> str:
    """Tell the exponent, and from which sizes it is."""
    fitted = [rows for points in above_start(runs, key) if len(points) > 1 for rows, _ in points]
    return spread(exponents(runs, key), significant) + (
        f" from {power(min(fitted))} to {power(max(fitted))} rows" if fitted else ""
    )


def _sizes(runs: list[Run]) -> list[int]:
    return sorted({run["rows"] for run in runs})


def _lines(
    heading: str, more: str, wanted: list[tuple[str, str]], runs: list[Run], text: Callable[[float], str]
) -> Lines:
    series = []
    for name, key in wanted:
        found = [(size, figure(run[key] for run in select(runs, rows=size))) for size in _sizes(runs)]
        series.append((name, [(size, one.median) for size, one in found if one]))
    return Lines(f"{heading} against rows", "Log scales; medians." + more, "rows", series, text)
