"""Measure the cost of gamesales from a thousand rows to fifty million."""

from benchmarks.bench import OURS, Bench, Result
from benchmarks.measure import Run
from benchmarks.tables import BASE_ROWS, Section, Table, compute_rates, format_rows, select, show, show_process

SIZES = {
    "quick": (BASE_ROWS, 10_000, 100_000, 1_000_000, 10_000_000, 50_000_000),
    "full": (BASE_ROWS, 10_000, 100_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000, 20_000_000, 50_000_000),
}
# Files in one piece, or files that must be read from their beginning, and their rows.
SHAPE_SIZES = {"quick": (1_000_000, 10_000_000), "full": (2_000_000, 50_000_000)}
ONE_CSV, ONE_GROUP = "one CSV", "one row group of Parquet"
RATES_FROM = 10_000_000
INTRODUCTION = f"""The number of rows per second leaves out start-up, the time of {BASE_ROWS:,} rows. If it is equal for
all sizes, the time grows linearly. Small sizes are mostly start-up, and have no rate."""


def run(bench: Bench) -> Result:
    """Measure gamesales on Parquet of growing size. The titles are continuous, so that no rows repeat."""
    admitted, _ = bench.admit(bench.choose([OURS]), "continuous", "parquet")
    cells = []
    for ours in admitted:
        cells += [bench.cell(ours, "continuous", "parquet", rows) for rows in SIZES[bench.scale]]
        for rows in SHAPE_SIZES[bench.scale]:
            cells.append(bench.cell_on(bench.assets.titles("continuous", rows, "csv"), ours, ONE_CSV, rows))
            cells.append(bench.cell_on(bench.assets.one_group(rows), ours, ONE_GROUP, rows))
    result = bench.measure(cells)
    shapes = [run for run in result["runs"] if run["case"] in (ONE_CSV, ONE_GROUP)]
    return {**result, "runs": [run for run in result["runs"] if run not in shapes], "shapes": shapes}


def build_section(result: Result) -> Section:
    runs, rows = result["runs"], []
    for size, mine in _by_size(runs).items():
        time, *costs = show_process(mine)
        rates = compute_rates(runs, size) if size >= RATES_FROM else {}
        rows.append([format_rows(size), time, show(rates.values(), "rows/s"), *costs])
    shapes = [
        [case, format_rows(size), *show_process(mine)]
        for case in (ONE_CSV, ONE_GROUP)
        for size, mine in _by_size(select(result["shapes"], case=case)).items()
    ]
    tables = [
        Table("gamesales, Parquet to Parquet", ["rows", "time", "rows per second", "CPU time", "peak memory"], rows),
        Table("gamesales, large files in one piece", ["", "rows", "time", "CPU time", "peak memory"], shapes),
    ]
    return Section("Growth", [INTRODUCTION], tables, result["skipped"])


def _by_size(runs: list[Run]) -> dict[int, list[Run]]:
    return {rows: select(runs, rows=rows) for rows in sorted({run["rows"] for run in runs})}
