"""Files of titles in, files of dollars out: every contender on the same files."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.bench import BASE_ROWS, Bench, Result, labels
from benchmarks.contender import OURS, Contender, catalogue
from benchmarks.figures import by_round, figure, largest, rates, ratios, select
from benchmarks.rounds import Run, measure_rounds, say
from benchmarks.show import (
    Bars,
    Lines,
    Ratio,
    Section,
    Table,
    megabytes,
    power,
    rate,
    seconds,
    short_seconds,
    spread,
    times,
)

SIZES = (BASE_ROWS, 100_000, 1_000_000, 10_000_000)
# A quick run shows the slow ones on one kind of file; of those that start with TensorFlow, the course's way alone, and
# the others where they are named. Ours into a folder is in the suite of limits.
QUICK = {
    ("parquet", "continuous"): ((OURS, "course", "onnxruntime_loop", "sklearn_mlp"), SIZES),
    ("parquet", "realistic"): ((OURS, "onnxruntime_loop"), (SIZES[0], SIZES[-1])),
    ("csv", "continuous"): ((OURS, "onnxruntime_loop"), SIZES[:3]),
}
FULL = {(kind, titles): ((), SIZES) for kind in ("parquet", "csv") for titles in ("continuous", "realistic")}


def run(bench: Bench) -> Result:
    """Check every contender, then time those that were right.

    All cases share their rounds: a machine that slows down for a minute widens the spreads, and tilts no case.
    """
    result: Result = {"runs": [], "skipped": [], "checks": []}
    cells = []
    for (kind, titles), (names, sizes) in (QUICK if bench.scale == "quick" else FULL).items():
        say(f"scoring: {kind}, {titles} titles")
        good, checks, refused = bench.admitted(bench.choose_few(names), titles, kind)
        cells += [bench.cell(one, titles, kind, rows) for one in good for rows in _sizes(one, kind, sizes, bench.scale)]
        result["checks"] += checks
        result["skipped"] += refused
    result["runs"], failed = measure_rounds(cells, bench.patience)
    result["skipped"] += failed
    return result


def _sizes(contender: Contender, kind: str, sizes: Sequence[int], scale: str) -> list[int]:
    """Return the files that a contender is timed on; in quick mode a slow one shows its start and its largest."""
    taken = [rows for rows in sizes if contender.takes(kind, rows, scale)]
    return taken if scale == "full" or len(taken) == len(sizes) else [taken[0], taken[-1]]


def show(result: Result) -> Section:
    """Show rates with their ratios, then every whole process, case by case."""
    cases = list(dict.fromkeys(run["case"] for run in result["runs"]))
    by_case = {case: select(result["runs"], case=case) for case in cases}
    tables = [_rates(case, runs) for case, runs in by_case.items()]
    tables += [_processes(case, runs) for case, runs in by_case.items()]
    tables.append(_checks(result["checks"]))
    plots = [plot for case, runs in by_case.items() for plot in (_rate_bars(case, runs), _time_lines(case, runs))]
    words = (
        "Each contender reads the same file, predicts with the same weights and writes a file of its kind, as a process"
        " of its own. gamesales also screens every row against the contract, flags rows outside the training range,"
        " hashes its input and counts rows twice; the others do not. None computes prediction intervals; their cost is"
        " in docs/intervals.md. A quick run has the slow ones on Parquet of continuous titles alone, each up to the"
        " size that it does in seconds; batched Keras and MLflow, which start as slowly as the course's way, and"
        " gamesales into a folder, which is under Limits too, only if `--contenders` names them. A full run has all on"
        " every file."
    )
    who = [f"**{one.label}** (`{one.name}`): {one.why}" for one in catalogue()]
    return Section("Scoring", [words, *who], tables, plots, result["skipped"])


def contender_rates(runs: list[Run]) -> dict[str, tuple[int, dict[int, float]]]:
    """Return of each contender the size of its largest file, and the rate on it in each round."""
    names = list(dict.fromkeys(run["contender"] for run in runs))
    mine = {name: select(runs, contender=name) for name in names}
    sizes = {name: largest(of_one) for name, of_one in mine.items()}
    return {name: (sizes[name], rates(mine[name], sizes[name], BASE_ROWS)) for name in names}


def _rates(case: str, runs: list[Run]) -> Table:
    known, called = contender_rates(runs), labels()
    ours = known.get(OURS, (0, {}))[1]
    rows = []
    for name, (size, per_round) in sorted(known.items(), key=lambda item: -max(item[1][1].values(), default=0)):
        on_largest = select(runs, contender=name, rows=size)
        cpu = figure(1e6 * run["cpu_s"] / size for run in on_largest)
        rows.append(
            [
                called.get(name, name),
                power(size),
                spread(figure(per_round.values()), rate),
                Ratio(ratios(ours, per_round), times),
                spread(cpu, seconds),
                spread(figure(run["peak_bytes"] for run in on_largest), megabytes),
            ]
        )
    columns = ["", "largest file", "rows a second", "gamesales is faster by", "CPU for a million rows", "peak memory"]
    note = (
        f"A rate is the rows of the largest file over its time less the time of {BASE_ROWS:,} rows. "
        "Medians, with the smallest and the largest of all rounds; ratios are taken within a round, with the 95 % "
        "interval of the true one. "
        "CPU and memory are those of the whole process tree on the largest file."
    )
    return Table(f"Rates: {case}", columns, rows, note)


def _processes(case: str, runs: list[Run]) -> Table:
    called, rows = labels(), []
    for size in sorted({run["rows"] for run in runs}):
        same = select(runs, rows=size)
        ours = by_round(select(same, contender=OURS), "wall_s")
        for name in dict.fromkeys(run["contender"] for run in same):
            mine = select(same, contender=name)
            rows.append(
                [
                    called.get(name, name),
                    power(size),
                    spread(figure(run["wall_s"] for run in mine), seconds),
                    Ratio(ratios(by_round(mine, "wall_s"), ours), times),
                    spread(figure(run["cpu_s"] for run in mine), seconds),
                    spread(figure(run["peak_bytes"] for run in mine), megabytes),
                ]
            )
    columns = ["", "rows", "time", "of gamesales's time", "CPU time", "peak memory"]
    return Table(f"Whole processes: {case}", columns, rows, "From start to exit, imports included.", names=2)


def _checks(checks: list[Result]) -> Table:
    called = labels()
    rows = [
        [called.get(one["contender"], one["contender"]), one["case"], f"${one['largest_difference']:.4f}"]
        for one in checks
    ]
    note = (
        "20,000 titles, against the course's way. Beyond 0.00001 of the prediction or of the target's range, whichever "
        "is more, a contender would not be timed."
    )
    return Table("Outputs, before anything was timed", ["", "case", "largest difference"], rows, note)


def _rate_bars(case: str, runs: list[Run]) -> Bars:
    called = labels()
    known = [(called.get(name, name), figure(found.values())) for name, (_, found) in contender_rates(runs).items()]
    values = sorted(((name, found) for name, found in known if found), key=lambda pair: -pair[1].median)
    return Bars(f"Rows a second: {case}", "Log scale; the thin line is the spread.", values, rate)


def _time_lines(case: str, runs: list[Run]) -> Lines:
    called = labels()
    series = []
    for name in dict.fromkeys(run["contender"] for run in runs):
        mine = select(runs, contender=name)
        sizes = sorted({run["rows"] for run in mine})
        points = [(size, figure(run["wall_s"] for run in select(mine, rows=size)).median) for size in sizes]
        series.append((called.get(name, name), points))
    return Lines(f"Time of the whole process: {case}", "Log scales; medians.", "rows", series, short_seconds)
