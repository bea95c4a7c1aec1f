"""Measure gamesales and engines that call the same graph, on a folder of Parquet files."""

from benchmarks.bench import Bench, Result, describe_module, load_contenders
from benchmarks.suites.scoring import build_processes
from benchmarks.tables import BASE_ROWS, Section, group

OURS, TITLES, KIND = "ours_folder", "continuous", "folder"
ROWS = {"quick": 100_000, "full": 5_000_000}
INTRODUCTION = """\
Each contender reads a folder of Parquet files, predicts with the graph of the same version, and writes a folder of
Parquet files, as a process of its own on all cores. The other engines call the bare graph on Arrow batches, without
screening, flags and counts. Their environment has the releases in `benchmarks/environments/engines.txt`, and Spark
needs Java. A quick run of this section has 100,000 rows, and no other run measures it."""


def run(bench: Bench) -> Result:
    """Check the contenders for folders, then time the correct contenders."""
    chosen = [contender for contender in bench.choose() if KIND in contender.kinds]
    admitted, checks = bench.admit(chosen, TITLES, KIND)
    sizes = (BASE_ROWS, ROWS[bench.scale])
    cells = [bench.cell(contender, TITLES, KIND, rows) for rows in sizes for contender in admitted]
    return {**bench.measure(cells), "checks": checks}


def build_section(result: Result) -> Section:
    contenders = [item for item in load_contenders() if KIND in item.kinds]
    labels = {item.name: item.label for item in contenders}
    cases = group(result["runs"], "case")
    built = [build_processes(case, runs, labels, OURS) for case, runs in cases.items()]
    names = [f"**{item.label}** (`{item.name}`): {describe_module(item.module)}" for item in contenders]
    return Section("Other engines", [INTRODUCTION, *names], built, result["skipped"])
