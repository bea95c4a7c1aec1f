"""What this machine allows: the parts of a run alone, the bound that they give together, and ours as a share of it.

And what two habits of ours cost: setting rows aside, and looking for titles that repeat.
"""

from __future__ import annotations

import sys

from benchmarks.bench import BASE_ROWS, Bench, Result
from benchmarks.contender import OURS, Contender
from benchmarks.figures import by_round, figure, largest, rates, ratios, select
from benchmarks.machine import cores
from benchmarks.reshape import EACH
from benchmarks.rounds import Cell, Run, measure_rounds
from benchmarks.show import Ratio, Section, Table, percent, power, rate, seconds, significant, spread, times

PROBE_ROWS = 1_000_000
ONE, ALL = "one core", "all cores"
# The steps of a run from file to file; a row passes through each, one after the other, on whichever core.
STEPS = {
    "parquet": ("parquet_read", "fill", "graph", "parquet_write"),
    "csv": ("csv_read", "fill", "graph", "csv_write"),
}
WHAT = {
    "parquet_read": "Arrow reads Parquet, batch by batch",
    "csv_read": "Arrow reads and parses CSV",
    "arrow_csv": "Arrow reads a CSV whole and writes as many predictions as CSV",
    "look": "batches of continuous titles are looked at: do rows repeat",
    "fill": "columns are copied into a float32 matrix",
    "graph": "ONNX Runtime runs the graph on chunks in memory",
    "parquet_write": "Arrow writes predictions as Parquet, with our encodings",
    "csv_write": "Arrow writes predictions as CSV",
    "matmul": "NumPy multiplies square float32 matrices",
}
# Which of our ways of writing a kind of file are held to its bound.
FOLDER = "ours_folder"
WAYS = {"parquet": (OURS, FOLDER), "csv": (OURS,)}
SHARES = ("share of the bound", "with the graph on all cores at once")
# Multiplications and additions of the course's network for a title: 9-50-100-50-1.
OPERATIONS = 2 * (9 * 50 + 50 * 100 + 100 * 50 + 50 * 1)
# Which parts run where.
ON_ONE = tuple(name for name in WHAT if name != "arrow_csv")
ON_ALL = ("matmul", "graph", "arrow_csv")
OUR_ROWS = {"quick": {"parquet": 10_000_000, "csv": 1_000_000}, "full": {"parquet": 10_000_000, "csv": 10_000_000}}

REJECT_ROWS = {"quick": 1_000_000, "full": 10_000_000}
REJECTED = "{}, one row in a hundred rejected"


def run(bench: Bench) -> Result:
    """Take the parts and ours in the same rounds."""
    every = cores()
    cells = [_probe(bench, name, 1, ONE) for name in ON_ONE]
    cells += [_probe(bench, name, every, ALL) for name in ON_ALL]
    refused = []
    for kind in STEPS:
        good, _, told = bench.admitted(bench.choose(WAYS[kind]), "continuous", kind)
        for one in good:
            beside_rejects = [REJECT_ROWS[bench.scale]] if one.name == OURS else []
            sizes = sorted({BASE_ROWS, *beside_rejects, OUR_ROWS[bench.scale][kind]})
            cells += [bench.cell(one, "continuous", kind, rows) for rows in sizes]
        cells += [_rejecting(bench, one, kind) for one in good if one.name == OURS]
        refused += told
    runs, failed = measure_rounds(cells, bench.patience)
    return {"cores": every, "runs": runs, "skipped": refused + failed}


def bounds(runs: list[Run], kind: str, every: int) -> dict[int, float]:
    """Return the bound on rows a second in each round: cores / (1/read + 1/fill + 1/graph + 1/write), each alone."""
    return _bounds([speeds(runs, step, ONE) for step in STEPS[kind]], every)


def shared_bounds(runs: list[Run], kind: str, every: int) -> dict[int, float]:
    """Return the bound as ``bounds`` does, but with the graph at its speed while it runs on all cores at once."""
    of_each = {number: speed / every for number, speed in speeds(runs, "graph", ALL).items()}
    return _bounds([of_each if step == "graph" else speeds(runs, step, ONE) for step in STEPS[kind]], every)


def _bounds(steps: list[dict[int, float]], every: int) -> dict[int, float]:
    """Return the bound in each round that has all steps, from the speed of each step on a core."""
    numbers = set.intersection(*(set(step) for step in steps))
    return {number: every / sum(1 / step[number] for step in steps) for number in sorted(numbers)}


def speeds(runs: list[Run], name: str, case: str) -> dict[int, float]:
    """Return rows, or operations, a second of a part in each round."""
    mine = select(runs, contender=name, case=case)
    return {run["round"]: run["answer"]["work"] / run["answer"]["seconds"] for run in mine}


def show(result: Result) -> Section:
    """Show the parts, the bound and the share of it, for each kind of file."""
    runs, every = result["runs"], result["cores"]
    parts = [
        [WHAT[name], case, spread(figure(speeds(runs, name, case).values()), _gflops if name == "matmul" else rate)]
        for name in WHAT
        for case in (ONE, ALL)
        if speeds(runs, name, case)
    ]
    ways = [(kind, name) for kind in STEPS for name in WAYS[kind] if name == OURS or _ours(runs, kind, name)]
    together = [_against_bound(kind, name, runs, every) for kind, name in ways]
    words = (
        f"The bound: each row is read, copied into the matrix, run through the graph and written. If nothing else "
        f"cost anything and all {every} cores were busy all the time, a second would see {every} / (1/read + 1/copy + "
        "1/graph + 1/write) rows, each part at its speed alone on one core. Screening, hashing the input, flags and "
        "counts are not in it. Cores that work at the same time share the machine's clock and memory, and each is then "
        "slower than alone; so the last column has the graph, most of the work on Parquet, at its speed on all cores "
        "at once."
    )
    tables = [
        Table("Parts alone, in a process each", ["", "on", "speed"], parts, "Speeds are rows a second."),
        Table("gamesales and the bound", ["", "bound", "gamesales", *SHARES], together),
        *_against_arrow(runs),
        *_rejects(runs),
        *_looking(runs),
    ]
    return Section("Limits", [words, *_at_the_peak(runs)], tables, (), result["skipped"])


def _at_the_peak(runs: list[Run]) -> list[str]:
    """Tell how many titles a second the network would allow at the matrix peak, with nothing else to do."""
    peak = figure(speeds(runs, "matmul", ALL).values())
    if peak is None:
        return []
    told = (
        f"The network takes {OPERATIONS:,} multiplications and additions a title, so the matrix peak of all cores is "
        f"{rate(peak.median / OPERATIONS)}: so many titles a second would be scored at NumPy's speed on large "
        "matrices, with nothing read, written or checked, if each is computed anew."
    )
    return [told]


def _against_arrow(runs: list[Run]) -> list[Table]:
    """Show our rate on CSV beside that of Arrow's reader and writer; nothing of results that have no such figure."""
    arrow = speeds(runs, "arrow_csv", ALL)
    if not arrow:
        return []
    ours = _ours(runs, "csv")
    cells = [spread(figure(found.values()), rate) for found in (arrow, ours)]
    note = "Arrow holds all of the file in memory, and neither predicts nor screens; gamesales does both."
    columns = ["", "Arrow alone", "gamesales", "share of Arrow's speed"]
    return [
        Table("gamesales and Arrow's CSV", columns, [["CSV to CSV", *cells, Ratio(ratios(ours, arrow), percent)]], note)
    ]


def _rejects(runs: list[Run]) -> list[Table]:
    """Show what rejects cost; nothing of results that have no such run."""
    rows = []
    for kind in STEPS:
        with_rejects = select(runs, case=REJECTED.format(kind))
        if not with_rejects:
            continue
        size = largest(with_rejects)
        without = select(runs, contender=OURS, case=_titles(kind), rows=size)
        times_of = [by_round(each, "wall_s") for each in (without, with_rejects)]
        cells = [spread(figure(each.values()), seconds) for each in times_of]
        rows.append([_named(kind), power(size), *cells, Ratio(ratios(times_of[1], times_of[0]), times)])
    note = (
        f"Whole processes. A row in {EACH} is rejected, as many as a run may by default: in Parquet for a price below "
        "0, in CSV for a word where the price should be, which also has its stretch of 2 MiB parsed as text."
    )
    columns = ["", "rows", "all accepted", f"one in {EACH} rejected", "of the time without"]
    return [Table("What rejects cost", columns, rows, note)] if rows else []


def _looking(runs: list[Run]) -> list[Table]:
    """Show what looking for rows that repeat costs where none does; nothing of results that have no such figure."""
    looked, scored = speeds(runs, "look", ONE), speeds(runs, "graph", ONE)
    if not looked:
        return []
    both = {number: 1 / (1 / looked[number] + 1 / scored[number]) for number in looked.keys() & scored.keys()}
    cells = [spread(figure(found.values()), rate) for found in (scored, both)]
    columns = ["", "without the look", "with it", "of the time without"]
    row = ["the graph on continuous titles, one core", *cells, Ratio(ratios(scored, both), _finely)]
    note = "The two parts above, one after the other. Where rows do repeat, only the distinct ones come to the graph."
    return [Table("What looking for rows that repeat costs", columns, [row], note)]


def _against_bound(kind: str, name: str, runs: list[Run], every: int) -> list[str | Ratio]:
    bound, shared = bounds(runs, kind, every), shared_bounds(runs, kind, every)
    ours = _ours(runs, kind, name)
    return [
        _named(kind) + (", a folder of parts" if name == FOLDER else ""),
        *(spread(figure(found.values()), rate) for found in (bound, ours)),
        Ratio(ratios(ours, bound), percent),
        Ratio(ratios(ours, shared), percent),
    ]


def _ours(runs: list[Run], kind: str, name: str = OURS) -> dict[int, float]:
    """Return our rows a second in each round, written in one of our ways."""
    mine = select(runs, contender=name, case=_titles(kind))
    return rates(mine, largest(mine), BASE_ROWS) if mine else {}


def _titles(kind: str) -> str:
    return f"{kind}, continuous titles"


def _named(kind: str) -> str:
    return f"{kind} to {kind}".replace("parquet", "Parquet").replace("csv", "CSV")


def _rejecting(bench: Bench, contender: Contender, kind: str) -> Cell:
    rows = REJECT_ROWS[bench.scale]
    source = bench.assets.rejected(rows, kind)
    return bench.cell_on(source, contender, REJECTED.format(kind), rows, rejected=rows // EACH)


def _probe(bench: Bench, name: str, threads: int, case: str) -> Cell:
    kind = "csv" if name in ("csv_read", "arrow_csv") else "parquet"
    source = bench.assets.titles("continuous", PROBE_ROWS, kind)
    answer = bench.assets.folder / f"probe-{name}-{threads}.json"
    command = [sys.executable, "-m", "benchmarks.probes", name, str(threads), str(source), str(answer)]
    environment = {key: str(threads) for key in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    return Cell(name, case, PROBE_ROWS, lambda _round: command, answer, environment)


def _gflops(value: float) -> str:
    return f"{significant(value / 1e9)} GFLOP/s"


def _finely(value: float) -> str:
    """Tell a ratio near 1."""
    return f"{value:.4f} ×"
