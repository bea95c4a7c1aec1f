"""What the parts of a run can do alone, each in a process of its own, on data in memory or on one file.

    python -m benchmarks.probes NAME THREADS SOURCE ANSWER

SOURCE is a file of titles; ANSWER gets ``{"seconds": …, "work": …}``: the median of ``REPEATS`` turns after one that
is not counted, and the rows or the floating-point operations of a turn.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.assets import CHECK_ROWS

REPEATS = 3
BATCH_ROWS = 65_536
# The graph alone runs on this many batches a thread.
GRAPH_BATCHES = 8
SIDE = 2_048

Probe = tuple[Callable[[], object], float]


def matmul(_threads: int, _source: str) -> Probe:
    """Multiply two matrices in float32; the number of threads is set for NumPy's BLAS by its environment."""
    random = np.random.default_rng(1)
    left, right = (random.random((SIDE, SIDE), dtype=np.float32) for _ in range(2))
    return lambda: left @ right, 2.0 * SIDE**3


def parquet_read(_threads: int, source: str) -> Probe:
    """Read all columns in batches, as scoring does, on one thread."""
    from pyarrow import parquet

    def read() -> None:
        file = parquet.ParquetFile(source, pre_buffer=False, buffer_size=1 << 20)
        for _ in file.iter_batches(BATCH_ROWS, use_threads=False):
            pass

    return read, parquet.read_metadata(source).num_rows


def csv_read(_threads: int, source: str) -> Probe:
    """Read and parse a CSV in blocks, on one thread."""
    from pyarrow import csv

    def read() -> int:
        reader = csv.open_csv(source, csv.ReadOptions(use_threads=False, block_size=4 << 20))
        return sum(len(batch) for batch in reader)

    return read, read()


def arrow_csv(threads: int, source: str) -> Probe:
    """Read a CSV whole and write as many predictions, by Arrow alone, on so many threads."""
    from pyarrow import csv

    from gamesales.scoring.parts import part_schema

    pa.set_cpu_count(threads)
    reading, path = csv.ReadOptions(use_threads=threads > 1), _written(source, ".csv")
    rows = csv.read_csv(source, reading).num_rows
    part = _part(np.resize(_predictions(source), rows), part_schema(pa.schema([]), bounds=False))

    def turn() -> None:
        csv.read_csv(source, reading)
        csv.write_csv(part, path)

    return turn, rows


def look(_threads: int, source: str) -> Probe:
    """Look in each batch whether its rows repeat, as scoring does before it runs the graph."""
    from gamesales.scoring.predict import find_distinct

    batches = [[column.to_numpy(zero_copy_only=False) for column in batch.columns] for batch in _batches(source)]
    return lambda: [find_distinct(columns) for columns in batches], sum(len(columns[0]) for columns in batches)


def fill(_threads: int, source: str) -> Probe:
    """Copy the columns of batches into the float32 matrix that the graph takes."""
    batches = list(_batches(source))

    def copy() -> None:
        for batch in batches:
            matrix = np.empty((len(batch), batch.num_columns), np.float32)
            for place, column in enumerate(batch.columns):
                matrix[:, place] = column.to_numpy()

    return copy, sum(len(batch) for batch in batches)


def graph(threads: int, source: str) -> Probe:
    """Run the scoring graph on chunks in memory, each thread with a session of its own."""
    import onnxruntime

    from gamesales.scoring.scorer import CHUNK_ROWS

    path = Path(source).parent.parent / "bundle/scorer.onnx"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = [onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]) for _ in range(threads)]
    batch = next(_batches(source))
    matrix = np.stack([column.to_numpy().astype(np.float32) for column in batch.columns], axis=1)
    chunks = [matrix[at : at + CHUNK_ROWS] for at in range(0, len(matrix) // CHUNK_ROWS * CHUNK_ROWS, CHUNK_ROWS)]
    pool = ThreadPoolExecutor(threads)

    def score(session: Any) -> None:
        for _ in range(GRAPH_BATCHES):
            for chunk in chunks:
                session.run(None, {"titles": chunk})

    return lambda: list(pool.map(score, sessions)), threads * GRAPH_BATCHES * len(chunks) * CHUNK_ROWS


def parquet_write(_threads: int, source: str) -> Probe:
    """Write predictions as scoring writes them."""
    return _write(source, ".parquet")


def csv_write(_threads: int, source: str) -> Probe:
    """Write predictions as scoring writes them to a CSV."""
    return _write(source, ".csv")


def _write(source: str, suffix: str) -> Probe:
    from gamesales.scoring.parts import open_part, part_schema

    schema = part_schema(pa.schema([]), bounds=False)
    predicted = _predictions(source)
    batches = [_part(predicted[at : at + BATCH_ROWS], schema) for at in range(0, len(predicted), BATCH_ROWS)]
    path = _written(source, suffix)

    def write() -> None:
        with open_part(path, schema, {}) as part:
            for batch in batches:
                part.write(batch)

    return write, len(predicted)


def _written(source: str, suffix: str) -> Path:
    path = Path(source).parent.parent / "output" / f"written{suffix}"
    path.parent.mkdir(exist_ok=True)
    return path


def _predictions(source: str) -> np.ndarray:
    """Return a million real predictions: those that every contender was checked with, over and over."""
    from pyarrow import parquet

    truth = Path(source).parent.parent / "truth/continuous.parquet"
    return np.tile(parquet.read_table(truth).column("predicted_earnings").to_numpy(), 1_000_000 // CHECK_ROWS)


def _part(earnings: np.ndarray, schema: pa.Schema) -> pa.RecordBatch:
    outside, version = np.arange(len(earnings)) % 4 > 0, np.ones(len(earnings), np.int32)
    return pa.RecordBatch.from_arrays([pa.array(values) for values in (earnings, outside, version)], schema=schema)


def _batches(source: str) -> Iterator[pa.RecordBatch]:
    from pyarrow import parquet

    return parquet.ParquetFile(source).iter_batches(BATCH_ROWS)


PROBES = {
    probe.__name__: probe
    for probe in (matmul, parquet_read, csv_read, arrow_csv, look, fill, graph, parquet_write, csv_write)
}


def main(name: str, threads: str, source: str, answer: str) -> None:
    """Take turns, and answer with the median of all but the first."""
    turn, work = PROBES[name](int(threads), source)
    turns = []
    for _ in range(1 + REPEATS):
        started = time.perf_counter()
        turn()
        turns.append(time.perf_counter() - started)
    Path(answer).write_text(json.dumps({"seconds": median(turns[1:]), "work": work}), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
