"""Results as other programs read them. ``make readers`` installs the programs; without one, its test is skipped."""

import json
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from support import read_result
from support.runs import DAY, score, simple_version
from support.versions import INTERVAL, ROOT, titles_table

ROWS = 3_000
READERS = ["duckdb", "polars", "pandas", "fastparquet", "spark", "spark3"]
CSV_FORMS = ["out.csv", "out.csv.gz"]


@pytest.fixture
def results(tmp_path):
    """A result in each form. A working folder with unfinished parts is in the folder of dates."""
    columns = {
        "title": pa.array([f'a "title", {row % 50}\nof é' for row in range(ROWS)]),
        "stock": pa.array(range(ROWS)),
        "price": pa.array([Decimal(row) / 8 for row in range(ROWS)], pa.decimal128(18, 4)),
        "until": pa.array(range(ROWS), pa.timestamp("us", "UTC")),
    }
    parquet.write_table(titles_table(ROWS, **columns), tmp_path / "t.parquet")
    for output in ("out", "out.parquet", *CSV_FORMS):
        score(simple_version(interval=INTERVAL), tmp_path / "t.parquet", tmp_path / output)
    (part,) = (tmp_path / f"out/run_date={DAY}").glob("*.parquet")
    work = tmp_path / "out/.run_date=2026-11-24.work/run-0/made"
    work.mkdir(parents=True)
    shutil.copy(part, work / f"{part.name}.part")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
def test_reader_finds_all_rows(results, reader):
    """A program reads the same rows and sums from each form of a result, also while another date is scored."""
    python = ROOT / "tests/.servers" / ("readers-spark3" if reader == "spark3" else "readers") / "bin/python"
    if not python.with_name("python").exists() or (reader.startswith("spark") and shutil.which("java") is None):
        pytest.skip("make readers installs it; Spark needs Java")
    forms = ["out", "out.parquet", *([] if reader == "fastparquet" else CSV_FORMS)]
    command = [python, read_result.__file__, reader.removesuffix("3"), *forms]
    ran = subprocess.run(command, cwd=results, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    expected = parquet.read_table(results / "out.parquet")
    earnings = sum(expected.column("predicted_earnings").to_pylist())
    for line in ran.stdout.splitlines()[-len(forms) :]:
        rows, *sums = json.loads(line)
        assert rows == ROWS
        assert sums == pytest.approx([earnings, sum(range(ROWS)), sum(range(ROWS)) / 8], rel=1e-12)


def test_readers_are_in_the_docs():
    """The table of readers names each program with its release in the lock."""
    page = (ROOT / "docs/explanation/foreign-files.md").read_text(encoding="utf-8")
    locks = "".join(Path(ROOT, "requirements", f"readers{name}.lock").read_text() for name in ("", "-spark3"))
    for line in locks.splitlines():
        name, _, release = line.removesuffix(" \\").partition("==")
        label = {"pyspark": "Spark", "duckdb": "DuckDB", "polars": "Polars"}.get(name, name)
        if label in ("Spark", "DuckDB", "Polars", "pandas", "fastparquet"):
            assert f"{label} {release}" in page
