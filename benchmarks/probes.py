"""Measure the parts of a run alone, each in its own process, on data in memory or on one file.

A probe returns a function that does the work once, and the number of rows in it.
"""

import timeit
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

REPEATS = 3
BATCH_ROWS = 65_536
# The number of batches that the graph runs on, per thread.
GRAPH_BATCHES = 8

Probe = tuple[Callable[[], object], int]


def run_probe(name: str, threads: str, source: str) -> dict[str, float]:
    """Run a probe on a file of titles; return the median seconds after one run that does not count, and the work."""
    function, work = PROBES[name](int(threads), Path(source))
    seconds = timeit.repeat(function, number=1, repeat=1 + REPEATS)
    return {"seconds": median(seconds[1:]), "work": work}


def parquet_read(_threads: int, source: Path) -> Probe:
    """Read all columns in batches on one thread, as scoring does."""

    def read() -> int:
        file = parquet.ParquetFile(source, pre_buffer=False, buffer_size=1 << 20)
        return sum(map(len, file.iter_batches(BATCH_ROWS, use_threads=False)))

    return read, read()


def arrow_csv(threads: int, source: Path) -> Probe:
    """Read a whole CSV and write as many predictions as CSV, with Arrow alone."""
    pa.set_cpu_count(threads)
    options = csv.ReadOptions(use_threads=threads > 1)
    predictions, path = _prepare_output(source, len(csv.read_csv(source, options)), ".csv")

    def copy() -> None:
        csv.read_csv(source, options)
        csv.write_csv(predictions, path)

    return copy, len(predictions)


def copy_column(_threads: int, source: Path) -> Probe:
    """Read the first column and write it as Parquet with zstd, ids without a dictionary, on one thread."""
    file, path = parquet.ParquetFile(source), source.parent.parent / "output/copied.parquet"
    path.parent.mkdir(exist_ok=True)
    schema, size = pa.schema([file.schema_arrow.field(0)]), file.num_row_groups

    def copy() -> None:
        has_dictionary = schema.names != ["title_id"]
        with parquet.ParquetWriter(path, schema, compression="zstd", use_dictionary=has_dictionary) as writer:
            for start in range(0, size, 4):  # about as many rows in a row group as scoring writes
                groups = range(start, min(start + 4, size))
                writer.write_table(file.read_row_groups(groups, schema.names, use_threads=False))

    return copy, file.metadata.num_rows


def fill(_threads: int, source: Path) -> Probe:
    """Copy the columns of batches into the float32 matrix of the graph."""
    batches = list(parquet.ParquetFile(source).iter_batches(BATCH_ROWS))
    return lambda: [_make_matrix(batch) for batch in batches], sum(map(len, batches))


def graph(threads: int, source: Path) -> Probe:
    """Run the graph on chunks in memory, each thread with its own session."""
    import onnxruntime

    from gamesales.scoring.scorer import Scorer

    path = source.parent.parent / "bundle/scorer.onnx"
    chunk_rows = Scorer(path.read_bytes()).chunk_rows
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = [onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]) for _ in range(threads)]
    matrix = _make_matrix(next(parquet.ParquetFile(source).iter_batches(BATCH_ROWS)))
    rows = len(matrix) // chunk_rows * chunk_rows
    pool = ThreadPoolExecutor(threads)

    def score(session: Any) -> None:
        for _ in range(GRAPH_BATCHES):
            for start in range(0, rows, chunk_rows):
                session.run(None, {"titles": matrix[start : start + chunk_rows]})

    return lambda: list(pool.map(score, sessions)), threads * GRAPH_BATCHES * rows


def parquet_write(_threads: int, source: Path) -> Probe:
    """Write a million predictions as scoring does."""
    from gamesales.scoring.parts import open_part

    predictions, path = _prepare_output(source, 1_000_000, ".parquet")
    batches = predictions.to_batches(BATCH_ROWS)

    def write_batches() -> None:
        with open_part(path, predictions.schema, {}) as write_batch:
            for batch in batches:
                write_batch(batch)

    return write_batches, len(predictions)


def _prepare_output(source: Path, rows: int, suffix: str) -> tuple[pa.Table, Path]:
    """Return the predictions of the reference, repeated, with the columns of a result; and the path of a new file."""
    from gamesales.scoring.parts import make_part_schema

    reference = parquet.read_table(source.parent.parent / "truth/continuous.parquet")
    earnings = np.resize(reference.column("predicted_earnings").to_numpy(), rows)
    columns = earnings, np.arange(rows) % 4 > 0, np.ones(rows, np.int32)
    path = source.parent.parent / "output" / f"written{suffix}"
    path.parent.mkdir(exist_ok=True)
    return pa.table(list(map(pa.array, columns)), schema=make_part_schema(pa.schema([]), bounds=False)), path


def _make_matrix(batch: pa.RecordBatch) -> np.ndarray:
    matrix = np.empty((len(batch), batch.num_columns), np.float32)
    for place, column in enumerate(batch.columns):
        matrix[:, place] = column.to_numpy()
    return matrix


PROBES: dict[str, Callable[[int, Path], Probe]] = {
    "parquet_read": parquet_read,
    "arrow_csv": arrow_csv,
    "copy_column": copy_column,
    "fill": fill,
    "graph": graph,
    "parquet_write": parquet_write,
}
