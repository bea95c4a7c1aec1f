"""How many rows are scored per second with category columns, relative to a table of numbers of the same width?

Both versions have the network that ``gamesales init`` proposes. They are trained for one epoch, because the weights do
not matter here. Runs are whole processes, in turn.
"""

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from benchmarks.measure import measure
from benchmarks.studies import format_row

NUMBERS, CATEGORIES = 5, (10, 30, 300, 3_000)
TRAINING_ROWS, ROWS, ROUNDS = 30_000, 5_000_000, 7
JOB = """
name = "game-earnings"
[data]
train = "training.parquet"
test = "test.parquet"
contract = "contract.toml"
[network]
layers = [
  { layer = "Dense", units = 64, activation = "gelu" },
  { layer = "Dropout", rate = 0.2 },
  { layer = "Dense", units = 64, activation = "gelu" },
  { layer = "Dropout", rate = 0.2 },
  { layer = "Dense", units = 1 },
]
[training]
epochs = 1
batch_size = 256
[intervals]
method = "none"
[report]
folds = 0
learning_curve = false
seeds = 0
"""


def build_lines() -> Iterator[str]:
    yield format_row(["columns", "s", "CPU s", "rows per CPU second", "relative"])
    yield "|---|" + "---:|" * 4
    with tempfile.TemporaryDirectory() as name:
        folders = {"9 numbers": Path(name) / "numbers", "5 numbers, 4 categories": Path(name) / "categories"}
        for label, folder in folders.items():
            prepare(folder, has_categories=label != "9 numbers")
        times: dict[str, list[tuple[float, float]]] = {label: [] for label in folders}
        for _ in range(ROUNDS):
            for label, folder in folders.items():
                times[label].append(score(folder))
    base = statistics.median(cpu for _, cpu in times["9 numbers"])
    for label, pairs in times.items():
        wall, cpu = (statistics.median(values) for values in zip(*pairs, strict=True))
        yield format_row([label, f"{wall:.2f}", f"{cpu:.2f}", f"{ROWS / cpu / 1e6:.2f} M", f"{base / cpu:.2f}"])


def prepare(folder: Path, *, has_categories: bool) -> None:
    """Train and promote a version, and write the titles to score."""
    folder.mkdir()
    categories = CATEGORIES if has_categories else ()
    numbers = NUMBERS + len(CATEGORIES) - len(categories)
    features = [f'[[features]]\nname = "number_{index}"\nkind = "number"\n' for index in range(numbers)]
    features += [f'[[features]]\nname = "category_{size}"\nkind = "category"\n' for size in categories]
    target = '[target]\nname = "sold"\nkind = "number"\nminimum = 0\n'
    (folder / "contract.toml").write_text(target + "\n".join(features))
    (folder / "job.toml").write_text(JOB)
    for name, rows, seed in (("training", TRAINING_ROWS, 1), ("test", 1_000, 2), ("titles", ROWS, 3)):
        parquet.write_table(make_titles(rows, numbers, categories, seed), folder / f"{name}.parquet")
    run(folder, "train", "job.toml", "--registry", "registry")
    run(folder, "promote", "1", "--registry", "registry", "--reason", "study")


def make_titles(rows: int, numbers: int, categories: tuple[int, ...], seed: int) -> pa.Table:
    """Make titles with numbers of any digits, and texts of about 12 characters."""
    random = np.random.default_rng(seed)
    columns = {f"number_{index}": pa.array(random.gamma(2.0, 20.0, rows)) for index in range(numbers)}
    for size in categories:
        texts = pa.array([f"category {number}" for number in range(size)])
        columns[f"category_{size}"] = texts.take(pa.array(random.integers(0, size, rows)))
    return pa.table({**columns, "sold": pa.array(random.gamma(2.0, 20.0, rows))})


def run(folder: Path, *words: str) -> None:
    subprocess.run([sys.executable, "-m", "gamesales", *words], cwd=folder, check=True, capture_output=True)


def score(folder: Path) -> tuple[float, float]:
    """Score the titles, and return the wall time and the CPU time."""
    output = folder / "out.parquet"
    words = ["score", str(folder / "titles.parquet"), "--output", str(output), "--registry", str(folder / "registry")]
    done = measure([sys.executable, "-m", "gamesales", *words])
    assert done.failure is None, done.failure
    output.unlink()
    return done.wall_s, done.cpu_s
