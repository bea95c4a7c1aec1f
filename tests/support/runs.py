"""Scoring runs for tests: versions made in memory, files of titles in many shapes, and what a run left behind."""

from __future__ import annotations

import csv
import json
import sys
import time
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from gamesales.data.contract import Contract
from gamesales.data.screen import RejectLimit
from gamesales.scoring.engines.local import run_shards
from gamesales.scoring.inputs import find_inputs
from gamesales.scoring.listing import InputRules
from gamesales.scoring.output import OutputPaths
from gamesales.scoring.plan import RunOptions, make_plan
from gamesales.scoring.run import score_files
from gamesales.scoring.scorer import Scorer, load_version
from support import warm_process
from support.versions import DATA, FEATURES, simple_details, simple_graph

CONTRACT = Contract.from_toml(DATA / "contract.toml")
DAY = date(2026, 11, 23)
GOOD = ("4.5", "1", "0", "0", "0", "1", "0", "0", "60")
GOOD_EARNS = 5700.0  # by conftest's formula


def simple_version(bias=0.0, number=1, interval=None, **record):
    """A loaded version whose earnings follow conftest's formula, with intervals if their numbers are given.

    ``record`` has further keys of its manifest.
    """
    details = simple_details(CONTRACT, bias) | ({} if interval is None else {"interval": interval}) | record
    return load_version("game-earnings", number, "0" * 64, details, simple_graph(bias))


def network_graph(columns, seed=3):
    """A scoring graph with a network of random float32 weights."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(seed)
    shapes = {"w1": (columns, 50), "b1": (50,), "w2": (50, 1), "b2": (1,)}
    weights = [
        numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name) for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node("Gemm", ["titles", "w1", "b1"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("Gemm", ["active", "w2", "b2"], ["column"]),
        helper.make_node("Cast", ["column"], ["wide"], to=TensorProto.DOUBLE),
        helper.make_node("Reshape", ["wide", "flat"], ["earnings"]),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("titles", TensorProto.FLOAT, [None, columns])],
        [helper.make_tensor_value_info("earnings", TensorProto.DOUBLE, [None])],
        [*weights, numpy_helper.from_array(np.array([-1]), "flat")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()


def network_version(seed=3):
    """A loaded version with a real network, float32 with random weights: its last bits depend on the order of sums.

    Its target has no minimum, so that no prediction is clipped.
    """
    model = network_graph(len(FEATURES), seed)
    details = simple_details(CONTRACT)
    del details["contract"]["target"]["minimum"]
    golden = details["golden"]
    golden["expected_predictions"] = Scorer(model).score(np.array(golden["values"])).tolist()
    return load_version("game-earnings", 1, "1" * 64, details, model)


def picky_version(forbidden=13.0):
    """A loaded version that divides by zero where ``unit_price`` is ``forbidden``."""
    from onnx import TensorProto, helper, numpy_helper

    pick = np.zeros((len(FEATURES), 1), np.float32)
    pick[-1] = 1
    nodes = [
        helper.make_node("MatMul", ["titles", "pick"], ["price"]),
        helper.make_node("Sub", ["price", "forbidden"], ["difference"]),
        helper.make_node("Reciprocal", ["difference"], ["column"]),
        helper.make_node("Cast", ["column"], ["wide"], to=TensorProto.DOUBLE),
        helper.make_node("Reshape", ["wide", "flat"], ["earnings"]),
    ]
    graph = helper.make_graph(
        nodes,
        "picky",
        [helper.make_tensor_value_info("titles", TensorProto.FLOAT, [None, len(FEATURES)])],
        [helper.make_tensor_value_info("earnings", TensorProto.DOUBLE, [None])],
        [
            numpy_helper.from_array(pick, "pick"),
            numpy_helper.from_array(np.array([forbidden], np.float32), "forbidden"),
            numpy_helper.from_array(np.array([-1]), "flat"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()


def score(
    version,
    sources,
    output,
    *,
    limit=None,
    workers=1,
    day=DAY,
    on_rows=lambda rows: None,
    fresh=False,
    engine=run_shards,
    withhold_drift=False,
    **planned,
):
    """Plan and score as ``gamesales score`` does, without a registry."""
    if isinstance(sources, (str, Path)):
        sources = [sources]
    target = OutputPaths(Path(output), day)
    settings = {"run_date": str(day), "format": target.suffix}
    rules = InputRules(
        planned.pop("exclude", ()),
        planned.pop("require", None),
        planned.pop("allow_empty", False),
        target.all,
    )
    with find_inputs([str(source) for source in sources], rules) as inputs:
        plan = make_plan(inputs, version.contract, version.digest, settings, partition=target.partition, **planned)
    options = RunOptions(limit or RejectLimit(), workers, fresh, withhold_drift=withhold_drift)
    return score_files(plan, version, target, options, on_rows, engine)


def csv_text(rows, header=FEATURES, *, end="\n"):
    """The text of a CSV file: plain cells, joined by commas."""
    return "".join(",".join(row) + end for row in [header, *rows])


def csv_line(*more, **cells):
    """One good title as CSV cells, some of them replaced by name; ``more`` cells follow."""
    return [cells.get(name, good) for name, good in zip(FEATURES, GOOD, strict=True)] + list(more)


def written_csv(rows, *, quote_all=False, end="\n"):
    """The bytes of a CSV file with any text in its cells."""
    return "".join(",".join(_quoted(cell, quote_all) for cell in row) + end for row in rows).encode()


def _quoted(cell, quote_all):
    return '"' + cell.replace('"', '""') + '"' if quote_all or set(cell) & set('",\r\n') else cell


def read_csv(path):
    """The rows of a CSV file as dictionaries of text."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_rejects(path):
    """The rows of a rejects file: row as a number, record read from JSON where it is JSON."""
    rejects = read_csv(path)
    for one in rejects:
        one["row"] = int(one["row"])
        if one["record"].startswith("{"):
            one["record"] = json.loads(one["record"], parse_constant=_refuse)
    return rejects


def _refuse(word):
    raise AssertionError(f"{word} is no JSON")


def earnings(path):
    """The predicted dollars that a result holds, in row order."""
    if path.is_dir():
        return [dollars for part in sorted(path.glob("*.parquet")) for dollars in earnings(part)]
    if path.suffix == ".csv":
        return [float(row["predicted_earnings"]) for row in read_csv(path)]
    return parquet.read_table(path).column("predicted_earnings").to_pylist()


def snapshot(folder):
    """All files and folders below a folder, with the files' bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def read_failure(ran):
    """Return the exit code, the message and the hint of a failed command."""
    return (ran.code, *ran.err.removeprefix("error: ").rstrip("\n").split("\n       ", 1))


def put_column(table, name, values):
    """A copy of a table with one column replaced."""
    return table.set_column(table.schema.get_field_index(name), name, pa.array(values))


# A real command line that works in small steps.
_SMALL_STEPS = """
import sys
from gamesales.data import csv_scan, parquet_file
from gamesales.scoring import shard, shard_bounds
from gamesales.cli import main
parquet_file.BATCH_ROWS = 500
csv_scan.CHUNK_BYTES = 20_000
shard_bounds.MIN_SHARD_ROWS = 1_000
"""
# The same, stopping in the midst of its work: it makes a file "begun" and waits for a file "go".
_HALTING = """
import time
from pathlib import Path
predict_batch, batches = shard.predict_batch, []
def halting(*arguments):
    batches.append(1)
    if len(batches) > {after}:
        Path("begun").touch()
        while not Path("go").exists():
            time.sleep(0.01)
        time.sleep(0.02)
    return predict_batch(*arguments)
shard.predict_batch = halting
"""


@contextmanager
def halted(folder, *arguments, after=8):
    """Run a command line in a folder, and halt it after a number of batches. It continues when the body ends.

    Yields: the process; at the end it has ``out`` and ``err``.
    """
    for name in ("begun", "go"):
        (folder / name).unlink(missing_ok=True)
    script = _SMALL_STEPS + _HALTING.replace("{after}", str(after)) + "main()"
    process = warm_process.start(arguments, cwd=folder, script=script, libraries=warm_process.SCORING)
    wait_until(lambda: (folder / "begun").exists() or process.poll() is not None)
    assert process.poll() is None, process.communicate()
    try:
        yield process
    finally:
        (folder / "go").touch()
        process.out, process.err = process.communicate(timeout=60)
        for name in ("begun", "go"):
            (folder / name).unlink()


def wait_until(holds):
    """Wait for something to become true, for a minute at most."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def gamesales(folder, *arguments, small_steps=False, first=""):
    """Run a command line in a process to its end; in small steps, it can go on where a halted one was killed.

    The process has imported the libraries of scoring already. It runs the code ``first`` before the command line.
    """
    script = (_SMALL_STEPS if small_steps else "from gamesales.cli import main\n") + first + "\nmain()"
    return warm_process.run(arguments, cwd=folder, script=script, libraries=warm_process.SCORING)


def command_line(*arguments, small_steps=False):
    """The words that start a real command line."""
    how = ["-c", _SMALL_STEPS + "main()"] if small_steps else ["-m", "gamesales"]
    return [sys.executable, *how, *map(str, arguments)]


def write_mixed(folder, rows):
    """Inputs of several kinds and sizes, all with ``title_id``: some rows break the contract, some lines are broken."""
    import gzip

    folder.mkdir()
    each = rows // 4
    for number, name in enumerate(("a.parquet", "b.csv", "c.csv.gz", "d.csv")):
        lines = [csv_line(f"T{number}{row:05d}", critic_rating=str(row % 11 / 2)) for row in range(each)]
        lines[each // 3] = csv_line("T", unit_price="0")
        if name == "a.parquet":
            ids = pa.array([line[-1] for line in lines])
            table = {f: pa.array([float(line[at]) for line in lines]) for at, f in enumerate(FEATURES)}
            parquet.write_table(pa.table({**table, "title_id": ids}), folder / name, row_group_size=300)
            continue
        for row in range(7, each, 50):
            lines[row] = ["broken"] if row % 100 == 7 else csv_line("T", is_action="maybe")
        content = csv_text(lines, [*FEATURES, "title_id"]).encode()
        (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
