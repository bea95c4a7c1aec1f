"""Measure the time to the first result: imports, one title, and commands, each as a whole process."""

import sys
from dataclasses import replace

from benchmarks.bench import KINDS, OURS, Bench, Result, load_contenders
from benchmarks.measure import Cell
from benchmarks.tables import Section, Table, group, select, show_process

BARE = "NumPy, Arrow's Parquet, ONNX Runtime"
IMPORTS = {
    "Python alone": "pass",
    BARE: "import numpy, pyarrow.parquet, onnxruntime",
    f"{BARE}, Typer, Rich, Pydantic": "import numpy, pyarrow.parquet, onnxruntime, typer, rich, pydantic",
    "pandas, scikit-learn": "import pandas, joblib, sklearn.neural_network",
    "pandas, Keras on TensorFlow": "import pandas, joblib, keras",
}
TITLE = "critic_rating=4.5 is_action=1 is_exclusive_to_us=1 is_portable=0 is_role_playing=0 is_sequel=1 is_sports=0"
TITLE += " suitable_for_kids=0 unit_price=59.99"
# A quick run has no contender that starts with TensorFlow; the suite of scoring measures 1,000 titles with it.
QUICK = (OURS, "onnxruntime_loop", "sklearn_mlp")
IMPORT, FIRST_ROW, COMMAND = "importing", "scoring one title from a file", "a command of gamesales"

INTRODUCTION = f"""Whole processes, from start to exit. All times are compared with the time of the bare process, which
only imports {BARE}. A quick run leaves out contenders that start with TensorFlow; their time for 1,000 titles is in the
section on scoring."""


def run(bench: Bench) -> Result:
    """Measure imports, one title with each contender, and commands, all in the same rounds."""
    imports = {name: code for name, code in IMPORTS.items() if bench.scale == "full" or "TensorFlow" not in name}
    commands = {(name, IMPORT): [sys.executable, "-c", code] for name, code in imports.items()}
    admitted, _ = bench.admit(bench.choose_by_scale(QUICK), "continuous", "parquet")
    commands |= {(f"gamesales {name}", COMMAND): words for name, words in make_commands(bench).items()}
    cells = [Cell(name, case, 0, lambda _round, command=command: command) for (name, case), command in commands.items()]
    one_title = [bench.cell(contender, "continuous", "parquet", 1) for contender in admitted]
    return bench.measure([*cells, *(replace(cell, case=FIRST_ROW) for cell in one_title)])


def make_commands(bench: Bench) -> dict[str, list[str]]:
    """Return the command lines to measure by name."""
    output, registry = bench.assets.clear_output("predictions").parent, ["--registry", str(bench.assets.registry)]
    words = {name: name.split() for name in ("--help", "score --help")}
    words |= {"versions": ["versions", *registry], "predict": ["predict", *TITLE.split(), *registry]}
    for kind in KINDS:
        source = str(bench.assets.titles("continuous", 1_000, kind))
        scoring = ["score", source, "--output", f"{output}/start.{kind}", "--fresh", *registry]
        words[f"score, 1,000 titles, {kind}"] = scoring
    return {name: [sys.executable, "-m", "gamesales", *arguments] for name, arguments in words.items()}


def build_section(result: Result) -> Section:
    bare, columns = select(result["runs"], contender=BARE, case=IMPORT), ["", "time", "relative to the bare process"]
    tables, labels = [], {contender.name: contender.label for contender in load_contenders()}
    for case in (IMPORT, FIRST_ROW, COMMAND):
        runs = group(select(result["runs"], case=case), "contender", labels)
        rows = [[name, *show_process(mine, bare)] for name, mine in runs.items()]
        tables += [Table(case.capitalize(), [*columns, "CPU time", "peak memory"], rows)] if rows else []
    return Section("Start-up", [INTRODUCTION], tables, result["skipped"])
