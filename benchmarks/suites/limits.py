"""Measure the parts of a run alone, the bound that they set together, and gamesales as a share of this bound.

Also compare gamesales with Arrow's reader and writer of CSV, and measure the cost of rejected rows.
"""

from pathlib import Path

from benchmarks.assets import REJECT_EVERY
from benchmarks.bench import KINDS, OURS, Bench, Contender, Result
from benchmarks.measure import Cell, Run, call_python, count_cores
from benchmarks.tables import (
    BASE_ROWS,
    Section,
    Table,
    by_round,
    compute_rates,
    format_rows,
    select,
    show,
    show_process,
    show_ratio,
)

PROBE_ROWS = 1_000_000
ONE, ALL = "one core", "all cores"
# The steps of a run from Parquet to Parquet. Each row passes through all of them.
STEPS = ("parquet_read", "fill", "graph", "parquet_write")
PARTS = {
    "parquet_read": "Arrow reads Parquet in batches",
    "arrow_csv": "Arrow reads a whole CSV and writes as many predictions as CSV",
    "fill": "columns are copied into a float32 matrix",
    "graph": "ONNX Runtime runs the graph on chunks in memory",
    "parquet_write": "Arrow writes predictions as Parquet, with the encodings of gamesales",
}
# The contenders that are compared with the bound, by the kind of file.
CONTENDERS = {
    ("parquet", OURS): "Parquet to Parquet",
    ("parquet", "ours_folder"): "Parquet to Parquet, a folder of parts",
    ("csv", OURS): "CSV to CSV",
}
OUR_ROWS = {"quick": {"parquet": 10_000_000, "csv": 1_000_000}, "full": {"parquet": 10_000_000, "csv": 10_000_000}}
REJECT_ROWS = {"quick": 1_000_000, "full": 10_000_000}
REJECTED = "{}, one row in a hundred rejected"
# Realistic titles with one more column that is copied to the result, and without.
COLUMN_ROWS = 10_000_000
COLUMNS = {"integer_id": "unique integer ids", "text_id": "unique text ids", "title": "titles' names"}
NO_COLUMN = "no more column"
INTRODUCTION = """The bound: each row is read, copied into the matrix, run through the graph and written. The time of a
row is the sum of these four steps, each at its speed alone on one core. The bound assumes no other cost and {} cores
that are always busy. Screening, hashing the input, flags and counts are not included. Cores that work at the same time
share the clock and the memory of the machine, so each is slower than alone. The last column therefore takes the graph,
most of the work on Parquet, at its speed on all cores at once."""
ARROW_NOTE = "Arrow holds the whole file in memory. It neither predicts nor screens; gamesales does both."
REJECT_NOTE = f"""Whole processes. One row in {REJECT_EVERY} is rejected, as many as a run may reject by default. In
Parquet its price is negative. In CSV its price is a word, so that its stretch of 2 MiB is also parsed as text."""

COLUMN_NOTE = """Arrow alone reads and writes the column in one thread, without a process. gamesales also hashes the
input, and counts duplicate ids. The added time is that of the whole process minus that without the column."""


def run(bench: Bench) -> Result:
    cores = count_cores()
    cells = [_make_probe(bench, name, 1, ONE) for name in PARTS if name != "arrow_csv"]
    cells += [_make_probe(bench, name, cores, ALL) for name in ("graph", "arrow_csv")]
    for kind, name in CONTENDERS:
        admitted, _ = bench.admit(bench.choose([name]), "continuous", kind)
        sizes = {BASE_ROWS, REJECT_ROWS[bench.scale], OUR_ROWS[bench.scale][kind]}
        cells += [bench.cell(contender, "continuous", kind, rows) for contender in admitted for rows in sorted(sizes)]
        cells += [_make_rejecting(bench, contender, kind) for contender in admitted if name == OURS]
    for contender in bench.admit(bench.choose([OURS]), "realistic", "parquet")[0]:
        sources = {name: bench.assets.with_column(name, COLUMN_ROWS) for name in COLUMNS}
        cells += [_make_probe(bench, "copy_column", 1, name, source) for name, source in sources.items()]
        sources[NO_COLUMN] = bench.assets.titles("realistic", COLUMN_ROWS, "parquet")
        cells += [bench.cell_on(source, contender, name, COLUMN_ROWS) for name, source in sources.items()]
    return {"cores": cores, **bench.measure(cells)}


def compute_bounds(runs: list[Run], cores: int, graph_case: str = ONE) -> dict[int, float]:
    """Return the bound on rows per second in each round: cores / (1/read + 1/fill + 1/graph + 1/write).

    Each step has its speed alone on one core; the graph may have its speed while all cores run it.
    """
    steps = [compute_speeds(runs, step, ONE) for step in STEPS if step != "graph"]
    graph = compute_speeds(runs, "graph", graph_case)
    steps.append({number: speed / (cores if graph_case == ALL else 1) for number, speed in graph.items()})
    numbers = set.intersection(*map(set, steps))
    return {number: cores / sum(1 / step[number] for step in steps) for number in numbers}


def compute_speeds(runs: list[Run], name: str, case: str) -> dict[int, float]:
    """Return rows per second of a part in each round."""
    mine = select(runs, contender=name, case=case)
    return {run["round"]: run["answer"]["work"] / run["answer"]["seconds"] for run in mine}


def build_section(result: Result) -> Section:
    runs, cores = result["runs"], result["cores"]
    parts = [
        [PARTS[name], case, show(speeds.values(), "rows/s")]
        for name in PARTS
        for case in (ONE, ALL)
        if (speeds := compute_speeds(runs, name, case))
    ]
    bounds = []
    for (kind, name), title in CONTENDERS.items():
        if kind == "csv":
            continue
        rates = compute_rates(_select_ours(runs, kind, name))
        alone, shared = (compute_bounds(runs, cores, case) for case in (ONE, ALL))
        shares = [show_ratio(rates, bound, "%") for bound in (alone, shared)]
        bounds.append([title, show(alone.values(), "rows/s"), show(rates.values(), "rows/s"), *shares])
    tables = [
        Table("Parts alone, each in its own process", ["", "on", "speed"], parts, "Speeds are rows per second."),
        Table("gamesales and the bound", ["", "bound", "gamesales", "share", "share, shared cores"], bounds),
        _compare_with_arrow(runs),
        _build_rejects(runs),
        _build_columns(runs),
    ]
    return Section("Limits", [INTRODUCTION.format(cores)], tables, result["skipped"])


def _compare_with_arrow(runs: list[Run]) -> Table:
    arrow, ours = compute_speeds(runs, "arrow_csv", ALL), compute_rates(_select_ours(runs, "csv"))
    row = ["CSV to CSV", *(show(rates.values(), "rows/s") for rates in (arrow, ours)), show_ratio(ours, arrow, "%")]
    columns = ["", "Arrow alone", "gamesales", "share of Arrow's speed"]
    return Table("gamesales and Arrow's CSV", columns, [row], ARROW_NOTE)


def _build_rejects(runs: list[Run]) -> Table:
    rows = []
    for kind in KINDS:
        if rejecting := select(runs, case=REJECTED.format(kind)):
            size, rejected = rejecting[0]["rows"], by_round(rejecting)
            accepted = by_round(select(_select_ours(runs, kind), rows=size))
            times = [show(seconds.values(), "s") for seconds in (accepted, rejected)]
            rows.append([CONTENDERS[kind, OURS], format_rows(size), *times, show_ratio(rejected, accepted)])
    columns = ["", "rows", "all accepted", f"one in {REJECT_EVERY} rejected", "relative to all accepted"]
    return Table("Cost of rejected rows", columns, rows, REJECT_NOTE)


def _build_columns(runs: list[Run]) -> Table:
    rows = []
    for name, title in COLUMNS.items():
        more = select(runs, contender=OURS, case=name)
        arrow = by_round(select(runs, contender="copy_column", case=name), "seconds")
        rows.append([title, show(arrow.values(), "s")])
        for key in ("wall_s", "cpu_s"):
            with_column, without = by_round(more, key), by_round(select(runs, case=NO_COLUMN), key)
            added = {number: with_column[number] - without[number] for number in with_column.keys() & without.keys()}
            rows[-1] += [show(added.values(), "s"), show_ratio(added, arrow)]
        rows[-1] += show_process(more)
    columns = ["", "Arrow alone", "added time", "relative", "added CPU time", "relative", "time", "CPU time", "memory"]
    return Table(f"{format_rows(COLUMN_ROWS)} realistic titles with one more column", columns, rows, COLUMN_NOTE)


def _select_ours(runs: list[Run], kind: str, name: str = OURS) -> list[Run]:
    return select(runs, contender=name, case=f"{kind}, continuous titles")


def _make_rejecting(bench: Bench, contender: Contender, kind: str) -> Cell:
    rows = REJECT_ROWS[bench.scale]
    source = bench.assets.rejected(rows, kind)
    return bench.cell_on(source, contender, REJECTED.format(kind), rows, rejected=rows // REJECT_EVERY)


def _make_probe(bench: Bench, name: str, threads: int, case: str, source: Path | None = None) -> Cell:
    kind = "csv" if name == "arrow_csv" else "parquet"
    source = source or bench.assets.titles("continuous", PROBE_ROWS, kind)
    command = call_python("benchmarks.probes", "run_probe", name, threads, source)
    return Cell(name, case, PROBE_ROWS, lambda _round: command)
