"""What this machine allows: the parts of a run alone, the bound that they give together, and ours as a share of it."""

from __future__ import annotations

import sys

from benchmarks.bench import BASE_ROWS, Bench, Result
from benchmarks.contender import OURS
from benchmarks.figures import figure, largest, rates, ratios, select
from benchmarks.machine import cores
from benchmarks.rounds import Cell, Run, measure_rounds
from benchmarks.show import Ratio, Section, Table, percent, rate, significant, spread

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
    "fill": "columns are copied into a float32 matrix",
    "graph": "ONNX Runtime runs the graph on chunks in memory",
    "parquet_write": "Arrow writes predictions as Parquet, with our encodings",
    "csv_write": "Arrow writes predictions as CSV",
    "matmul": "NumPy multiplies square float32 matrices",
}
OUR_ROWS = {"quick": {"parquet": 10_000_000, "csv": 1_000_000}, "full": {"parquet": 10_000_000, "csv": 10_000_000}}


def run(bench: Bench) -> Result:
    """Take the parts and ours in the same rounds."""
    every = cores()
    cells = [_probe(bench, name, 1, ONE) for name in WHAT]
    cells += [_probe(bench, name, every, ALL) for name in ("matmul", "graph")]
    refused = []
    for kind in STEPS:
        good, _, told = bench.admitted(bench.choose([OURS]), "continuous", kind)
        sizes = (BASE_ROWS, OUR_ROWS[bench.scale][kind])
        cells += [bench.cell(one, "continuous", kind, rows) for one in good for rows in sizes]
        refused += told
    runs, failed = measure_rounds(cells, bench.patience)
    return {"cores": every, "runs": runs, "skipped": refused + failed}


def bounds(runs: list[Run], kind: str, every: int) -> dict[int, float]:
    """Return the bound on rows a second in each round: cores / (1/read + 1/fill + 1/graph + 1/write), each alone."""
    seconds: dict[int, list[float]] = {}
    for step in STEPS[kind]:
        for number, speed in speeds(runs, step, ONE).items():
            seconds.setdefault(number, []).append(1 / speed)
    return {number: every / sum(each) for number, each in seconds.items() if len(each) == len(STEPS[kind])}


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
    together = [_against_bound(kind, runs, every) for kind in STEPS]
    words = (
        f"The bound: each row is read, copied into the matrix, run through the graph and written. If nothing else "
        f"cost anything and all {every} cores were busy all the time, a second would see {every} / (1/read + 1/copy + "
        "1/graph + 1/write) rows, each part at its speed alone on one core. Screening, hashing the input, flags and "
        "counts are not in it."
    )
    tables = [
        Table("Parts alone, in a process each", ["", "on", "speed"], parts, "Speeds are rows a second."),
        Table("gamesales and the bound", ["", "bound", "gamesales", "share of the bound"], together),
    ]
    return Section("Limits", [words], tables, (), result["skipped"])


def _against_bound(kind: str, runs: list[Run], every: int) -> list[str | Ratio]:
    bound = bounds(runs, kind, every)
    mine = select(runs, contender=OURS, case=f"{kind}, continuous titles")
    ours = rates(mine, largest(mine), BASE_ROWS) if mine else {}
    name = f"{kind} to {kind}".replace("parquet", "Parquet").replace("csv", "CSV")
    return [
        name,
        *(spread(figure(found.values()), rate) for found in (bound, ours)),
        Ratio(ratios(ours, bound), percent),
    ]


def _probe(bench: Bench, name: str, threads: int, case: str) -> Cell:
    kind = "csv" if name == "csv_read" else "parquet"
    source = bench.assets.titles("continuous", PROBE_ROWS, kind)
    answer = bench.assets.folder / f"probe-{name}-{threads}.json"
    command = [sys.executable, "-m", "benchmarks.probes", name, str(threads), str(source), str(answer)]
    environment = {key: str(threads) for key in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    return Cell(name, case, PROBE_ROWS, lambda _round: command, answer, environment)


def _gflops(value: float) -> str:
    return f"{significant(value / 1e9)} GFLOP/s"
