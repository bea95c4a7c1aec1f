"""How the cost grows: ours alone, from a thousand rows to fifty million."""

from __future__ import annotations

import math
from collections.abc import Callable

from benchmarks.bench import BASE_ROWS, Bench, Result
from benchmarks.contender import OURS
from benchmarks.figures import Figure, figure, select, slope
from benchmarks.rounds import Run, measure_rounds
from benchmarks.show import NONE, Lines, Section, Table, megabytes, power, seconds, significant, spread

SIZES = {
    "quick": (BASE_ROWS, 10_000, 100_000, 1_000_000, 10_000_000, 50_000_000),
    "full": (BASE_ROWS, 10_000, 100_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000, 20_000_000, 50_000_000),
}
# Below, what is not start-up is too little to be told from noise.
FIT_FROM = 100_000
FLAT_FROM = 1_000_000


def run(bench: Bench) -> Result:
    """Time ours on Parquet of growing size; the titles are continuous, so that no row is like another."""
    good, _, refused = bench.admitted(bench.choose([OURS]), "continuous", "parquet")
    cells = [bench.cell(one, "continuous", "parquet", rows) for one in good for rows in SIZES[bench.scale]]
    runs, failed = measure_rounds(cells, bench.rounds_or(quick=3, full=5))
    return {"runs": runs, "skipped": refused + failed}


def exponents(runs: list[Run], key: str = "wall_s") -> Figure | None:
    """Fit cost = a · rows^b in each round, its start-up taken off, and return b; None without two sizes to fit."""
    found = []
    for number in sorted({run["round"] for run in runs}):
        costs = {run["rows"]: run[key] for run in select(runs, round=number)}
        base = costs.get(BASE_ROWS, 0.0)
        points = [(rows, cost - base) for rows, cost in costs.items() if rows >= FIT_FROM and cost > base]
        if len(points) > 1:
            found.append(slope(points, math.log))
    return figure(found)


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
    wall, cpu = (spread(exponents(runs, key), significant) for key in ("wall_s", "cpu_s"))
    grows = memory_slope(runs)
    words = (
        f"Above its start-up, gamesales's time grows with rows to the power of {wall}, its CPU time to the power of "
        f"{cpu}, where 1 is linear; fitted in each round from {FIT_FROM:,} rows up. From {FLAT_FROM:,} rows up, a row "
        f"more costs {NONE if grows is None else significant(grows)} bytes of peak memory."
    )
    plots = [
        _lines("Time", [("time", "wall_s"), ("CPU time", "cpu_s")], runs, seconds),
        _lines("Peak memory", [("peak memory of the process tree", "peak_bytes")], runs, megabytes),
    ]
    table = Table("gamesales, Parquet to Parquet", ["rows", "time", "CPU time", "peak memory"], rows)
    return Section("Growth", [words], [table], plots, result["skipped"])


def _sizes(runs: list[Run]) -> list[int]:
    return sorted({run["rows"] for run in runs})


def _lines(heading: str, wanted: list[tuple[str, str]], runs: list[Run], text: Callable[[float], str]) -> Lines:
    series = []
    for name, key in wanted:
        found = [(size, figure(run[key] for run in select(runs, rows=size))) for size in _sizes(runs)]
        series.append((name, [(size, one.median) for size, one in found if one]))
    return Lines(f"{heading} against rows", "Log scales; medians.", "rows", series, text)
