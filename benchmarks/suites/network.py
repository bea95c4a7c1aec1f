"""Measure scoring with the network of the course, with the network of the default job, and with intervals."""

from functools import partial
from types import SimpleNamespace

from benchmarks.bench import Bench, Contender, Result
from benchmarks.contenders import ours
from benchmarks.measure import Cell
from benchmarks.tables import BASE_ROWS, Section, Table, compute_rates, format_rows, group, select, show, show_ratio

ROWS = 10_000_000
CONTENDER = "ours_folder"
COURSE, DEFAULT, BOUNDS = "the course's", "the default job's", "the default job's, with prediction intervals"
TITLES = "continuous"
INTRODUCTION = """The network of the course is 9-50-100-50-1 with ReLU. The network of jobs/train.toml is 9-24-24-1 with
SiLU. All other costs of a row are equal: reading, screening, drift, writing. Prediction intervals are two more
columns."""


def run(bench: Bench) -> Result:
    admitted, _ = bench.admit(bench.choose([CONTENDER]), TITLES, "parquet")
    networks = [(network, rows) for network in (COURSE, DEFAULT, BOUNDS) for rows in (BASE_ROWS, ROWS)]
    return bench.measure([_make_cell(bench, *network) for _ in admitted for network in networks])


def build_section(result: Result) -> Section:
    course = compute_rates(select(result["runs"], case=COURSE))
    rows = []
    for network, runs in group(result["runs"], "case").items():
        rates, cpu_rates = (compute_rates(runs, key=key) for key in ("wall_s", "cpu_s"))
        cpu = show((1e6 / rate for rate in cpu_rates.values()), "s")
        rows.append([network, show(rates.values(), "rows/s"), show_ratio(rates, course), cpu])
    columns = ["network", "rows per second", "relative to the course's", "CPU time per million rows"]
    table = Table(f"{format_rows(ROWS)} {TITLES} titles, Parquet to a folder of Parquet", columns, rows)
    return Section("The network's size", [INTRODUCTION], [table] if rows else [], result["skipped"])


def _make_cell(bench: Bench, network: str, rows: int) -> Cell:
    assets = bench.assets
    registry = assets.registry if network == COURSE else assets.default_registry(intervals=network == BOUNDS)
    command = partial(ours.command, registry=registry.name)
    contender = Contender(CONTENDER, SimpleNamespace(LABEL=CONTENDER, FOLDER=True, command=command))
    return bench.cell_on(assets.titles(TITLES, rows, "parquet"), contender, network, rows)
