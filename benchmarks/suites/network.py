"""What a smaller network does to scoring: ours by the course's network, by the default job's, and with intervals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.bench import BASE_ROWS, Bench, Result
from benchmarks.contender import Contender
from benchmarks.figures import Figure, by_round, figure, rates, ratios, select
from benchmarks.rounds import Cell, Run, measure_rounds
from benchmarks.show import Ratio, Section, Table, power, rate, seconds, spread, times

ROWS = 10_000_000
WAY = "ours_folder"
COURSE, DEFAULT, BOUNDS = "the course's", "the default job's", "the default job's, with prediction intervals"
NETWORKS = (COURSE, DEFAULT, BOUNDS)
TITLES = "continuous"


def run(bench: Bench) -> Result:
    """Score the same titles by each network in the same rounds."""
    good, _, refused = bench.admitted(bench.choose([WAY]), TITLES, "parquet")
    cells = [_cell(bench, one, network, rows) for one in good for network in NETWORKS for rows in (BASE_ROWS, ROWS)]
    runs, failed = measure_rounds(cells, bench.patience)
    return {"runs": runs, "skipped": refused + failed}


def show(result: Result) -> Section:
    """Show rates and CPU seconds, and how many times the course's network's rate the others reach."""
    runs = result["runs"]
    course = _rates(runs, COURSE)
    rows = [
        [
            network,
            spread(figure(_rates(runs, network).values()), rate),
            Ratio(ratios(_rates(runs, network), course), times),
            spread(_cpu(runs, network), seconds),
        ]
        for network in NETWORKS
        if select(runs, case=network)
    ]
    words = (
        "The course's network is 9-50-100-50-1 with ReLU, that of jobs/train.toml 9-24-24-1 with SiLU; what else a row "
        "costs is the same: reading, screening, drift, writing. Prediction intervals are two columns more."
    )
    columns = ["network", "rows a second", "of the course's network's", "CPU time of a million rows"]
    table = Table(f"{power(ROWS)} {TITLES} titles, Parquet to a folder of Parquet", columns, rows)
    return Section("The network's size", [words], [table] if rows else [], (), result["skipped"])


def _rates(runs: list[Run], network: str) -> dict[int, float]:
    return rates(select(runs, case=network), ROWS, BASE_ROWS)


def _cpu(runs: list[Run], network: str) -> Figure | None:
    """Return the CPU seconds of a million rows, start-up taken off."""
    long, short = (by_round(select(runs, case=network, rows=rows), "cpu_s") for rows in (ROWS, BASE_ROWS))
    return figure((long[number] - short[number]) * 1e6 / ROWS for number in sorted(long.keys() & short.keys()))


def _cell(bench: Bench, contender: Contender, network: str, rows: int) -> Cell:
    assets = bench.assets
    registry = assets.registry if network == COURSE else assets.default_registry(intervals=network == BOUNDS)

    def command(source: Path, output: Path, _assets: Path) -> list[str]:
        return ["-m", "gamesales", "score", str(source), "--output", str(output), "--registry", str(registry)]

    source = assets.titles(TITLES, rows, "parquet")
    return bench.cell_on(source, replace(contender, own_command=command), network, rows)
