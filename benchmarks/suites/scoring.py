"""Measure every contender on the same files of titles."""

from collections.abc import Sequence

from benchmarks import tables
from benchmarks.bench import KINDS, OURS, Bench, Contender, Result, describe_module, load_contenders
from benchmarks.measure import Run
from benchmarks.tables import BASE_ROWS, Section, Table, format_rows, group, select, show, show_process, show_ratio

SIZES = (BASE_ROWS, 100_000, 1_000_000, 10_000_000)
# A quick run has the slow contenders on one kind of file, and only one contender that starts with TensorFlow.
QUICK = {
    ("parquet", "continuous"): ((OURS, "course", "onnxruntime_loop", "sklearn_mlp"), SIZES),
    ("parquet", "realistic"): ((OURS, "ours_folder", "onnxruntime_loop"), (SIZES[0], SIZES[-1])),
    ("csv", "continuous"): ((OURS, "onnxruntime_loop"), SIZES[:3]),
}
FULL = {(kind, titles): ((), SIZES) for kind in ("parquet", "csv") for titles in ("continuous", "realistic")}
INTRODUCTION = """\
Each contender runs as its own process. All contenders read the same file, predict with the same weights
and write a file of the same kind. gamesales also screens every row against the contract, flags rows outside the
training range, hashes its input and counts the rows. The other contenders do not. No contender computes prediction
intervals; [their cost](explanation/intervals.md#cost) is measured separately. A quick run measures the slow contenders
only on Parquet with continuous titles, up to a size that takes seconds. It measures batched Keras, MLflow and gamesales
into a folder only if `--contenders` names them. A full run measures every contender on every file."""
RATE_NOTE = f"""\
A rate is the number of rows of the largest file, divided by its time minus the time of {BASE_ROWS:,} rows.
CPU time and memory are those of the whole process tree on the largest file."""
CHECK_NOTE = """Each output has 20,000 titles, and is compared with the course's way. A contender is not timed above a
difference of 0.00001 times the prediction or the range of the target, whichever is larger."""


def run(bench: Bench) -> Result:
    """Check every contender, then time the correct contenders. All cases share their rounds."""
    checks, cells = [], []
    for (kind, titles), (names, sizes) in (QUICK if bench.scale == "quick" else FULL).items():
        admitted, checked = bench.admit(bench.choose_by_scale(names), titles, kind)
        for contender in admitted:
            rows_of_files = choose_sizes(contender, kind, sizes, bench.scale)
            cells += [bench.cell(contender, titles, kind, rows) for rows in rows_of_files]
        checks += checked
    return {**bench.measure(cells), "checks": checks}


def choose_sizes(contender: Contender, kind: str, sizes: Sequence[int], scale: str) -> list[int]:
    """Return the sizes of a contender; a slow contender has only its smallest and largest in a quick run."""
    accepted = [rows for rows in sizes if contender.accepts(kind, rows, scale)]
    return accepted if scale == "full" or len(accepted) == len(sizes) else [accepted[0], accepted[-1]]


def build_section(result: Result) -> Section:
    contenders = [item for item in load_contenders() if {*KINDS} & {*item.kinds}]
    cases, labels = group(result["runs"], "case"), {item.name: item.label for item in contenders}
    built = [_build_rates(case, runs, labels) for case, runs in cases.items()]
    built += [build_processes(case, runs, labels) for case, runs in cases.items()]
    rows = [
        [labels[check["contender"]], check["case"], f"${check['largest_difference_usd']:.4f}"]
        for check in result["checks"]
    ]
    built.append(Table("Outputs, checked before the timing", ["", "case", "largest difference"], rows, CHECK_NOTE))
    names = [f"**{item.label}** (`{item.name}`): {describe_module(item.module, 1)}" for item in contenders]
    return Section("Scoring", [INTRODUCTION, *names], built, result["skipped"])


def _build_rates(case: str, runs: list[Run], labels: dict[str, str]) -> Table:
    ours, rows = tables.compute_rates(select(runs, contender=OURS)), []
    for name, mine in group(runs, "contender", labels).items():
        rates, largest = tables.compute_rates(mine), select(mine, rows=max(run["rows"] for run in mine))
        cells = [name, format_rows(largest[0]["rows"]), show(rates.values(), "rows/s"), show_ratio(ours, rates)]
        cells.append(show((1e6 * run["cpu_s"] / run["rows"] for run in largest), "s"))
        rows.append((max(rates.values(), default=0), [*cells, show_process(largest)[-1]]))
    rows.sort(key=lambda row: -row[0])
    columns = ["", "largest file", "rows per second", "gamesales is faster by", "CPU per million rows", "peak memory"]
    return Table(f"Rates: {case}", columns, [cells for _, cells in rows], RATE_NOTE)


def build_processes(case: str, runs: list[Run], labels: dict[str, str], base: str = OURS) -> Table:
    """Return the table of whole processes. Their time is relative to the time of the contender ``base``."""
    rows = [
        [name, format_rows(size), *show_process(mine, select(runs, rows=size, contender=base))]
        for size in sorted({run["rows"] for run in runs})
        for name, mine in group(select(runs, rows=size), "contender", labels).items()
    ]
    columns = ["", "rows", "time", "relative to gamesales", "CPU time", "peak memory"]
    return Table(f"Whole processes: {case}", columns, rows, "From start to exit, imports included.")
