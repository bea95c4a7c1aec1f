"""How long until something happens: imports, the first row, and our own commands, each as a whole process."""

from __future__ import annotations

import sys

from benchmarks import environments
from benchmarks.bench import Bench, Result, labels
from benchmarks.contender import OURS, Contender
from benchmarks.figures import by_round, figure, ratios, select
from benchmarks.rounds import Cell, Run, measure_rounds
from benchmarks.show import Bars, Ratio, Section, Table, megabytes, seconds, spread, times

BARE = "NumPy, Arrow's Parquet, ONNX Runtime"
IMPORTS = {
    "Python alone": "pass",
    BARE: "import numpy, pyarrow.parquet, onnxruntime",
    f"{BARE}, Typer, Rich, Pydantic": "import numpy, pyarrow.parquet, onnxruntime, typer, rich, pydantic",
    "pandas, scikit-learn": "import pandas, joblib, sklearn.neural_network",
    "pandas, Keras on TensorFlow": "import pandas, joblib, keras",
}
MLFLOW = "MLflow, pandas, Keras on TensorFlow"
TITLE = "critic_rating=4.5 is_action=1 is_exclusive_to_us=1 is_portable=0 is_role_playing=0 is_sequel=1 is_sports=0"
# A quick run leaves out whoever begins with TensorFlow; scoring 1,000 titles tells as much.
QUICK = (OURS, "onnxruntime_loop", "sklearn_mlp")
IMPORT, FIRST_ROW, COMMAND = "importing", "scoring one title from a file", "a command of gamesales"


def run(bench: Bench) -> Result:
    """Time imports, one title through each contender, and our commands, all in the same rounds."""
    imports = {name: code for name, code in IMPORTS.items() if bench.scale == "full" or "TensorFlow" not in name}
    cells = [_process(name, IMPORT, [sys.executable, "-c", code]) for name, code in imports.items()]
    good, _, refused = bench.admitted(bench.choose_few(QUICK), "continuous", "parquet")
    if any(one.environment == "mlflow" for one in good):
        interpreter = str(environments.python("mlflow"))
        cells.append(_process(MLFLOW, IMPORT, [interpreter, "-c", "import mlflow.pyfunc, pandas, joblib, keras"]))
    cells += [_first_row(bench, one) for one in good]
    cells += [_process(name, COMMAND, command) for name, command in _commands(bench).items()]
    runs, failed = measure_rounds(cells, bench.patience)
    return {"runs": runs, "skipped": refused + failed}


def show(result: Result) -> Section:
    """Show each group by itself, all against the bare imports of the same round."""
    runs = result["runs"]
    bare = by_round(select(runs, contender=BARE, case=IMPORT), "wall_s")
    tables = [_table(case, select(runs, case=case), bare) for case in (IMPORT, FIRST_ROW, COMMAND)]
    values = [(name, figure(run["wall_s"] for run in mine)) for name, mine in _each(select(runs, case=FIRST_ROW))]
    values.sort(key=lambda pair: pair[1].median)
    plots = [Bars("One title from a file", "Time of the whole process, log scale.", values, seconds)]
    words = (
        f"Whole processes, from start to exit. The bare process, which all are compared with, imports {BARE}. A quick "
        "run leaves out whoever begins with TensorFlow: what they take for 1,000 titles is under Scoring."
    )
    return Section("Start-up", [words], [table for table in tables if table.rows], plots, result["skipped"])


def _process(name: str, case: str, command: list[str]) -> Cell:
    return Cell(name, case, 0, lambda _round: command)


def _first_row(bench: Bench, contender: Contender) -> Cell:
    cell = bench.cell(contender, "continuous", "parquet", 1)
    return Cell(cell.contender, FIRST_ROW, 1, cell.command, fault=cell.fault)


def _commands(bench: Bench) -> dict[str, list[str]]:
    registry = ["--registry", str(bench.assets.registry)]
    ours = [sys.executable, "-m", "gamesales"]
    source, output = bench.assets.titles("continuous", 1_000, "parquet"), bench.assets.output("predictions.parquet")
    return {
        "gamesales --help": [*ours, "--help"],
        "gamesales predict": [*ours, "predict", *TITLE.split(), "suitable_for_kids=0", "unit_price=59.99", *registry],
        "gamesales score, 1,000 titles": [*ours, "score", str(source), "--output", str(output), "--fresh", *registry],
    }


def _each(runs: list[Run]) -> list[tuple[str, list[Run]]]:
    """Group runs by who was measured, under the names that tables give."""
    called = labels()
    names = dict.fromkeys(run["contender"] for run in runs)
    return [(called.get(name, name), select(runs, contender=name)) for name in names]


def _table(case: str, runs: list[Run], bare: dict[int, float]) -> Table:
    rows = [
        [
            name,
            spread(figure(run["wall_s"] for run in mine), seconds),
            Ratio(ratios(by_round(mine, "wall_s"), bare), times),
            spread(figure(run["cpu_s"] for run in mine), seconds),
            spread(figure(run["peak_bytes"] for run in mine), megabytes),
        ]
        for name, mine in _each(runs)
    ]
    return Table(case[0].upper() + case[1:], ["", "time", "of the bare process", "CPU time", "peak memory"], rows)
