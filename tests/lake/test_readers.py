"""A table as other programs read it. ``make readers`` installs the programs; without one, its test is skipped.

DuckDB and Spark need a further program to read the log of a table. Here they read the parts that the log lists. Spark
also reads the log itself, as its protocol defines it.
"""

import json
import shutil
import subprocess
from datetime import timedelta

import pyarrow as pa
import pytest
from deltalake import DeltaTable, QueryBuilder
from pyarrow import parquet

from support import read_result
from support.runs import DAY, simple_version
from support.tables import numbered_version, score_table
from support.versions import INTERVAL, ROOT, titles_table

ROWS = 3_000


@pytest.fixture
def table(tmp_path):
    """A table with a date of which two runs were published, the second with prediction intervals."""
    ids = pa.array([f"T{row:05d}" for row in range(ROWS)])
    columns = {
        "title_id": ids,
        "stock": pa.array(range(ROWS), pa.uint32()),
        "price": pa.array(range(ROWS), pa.float16()),
    }
    parquet.write_table(titles_table(ROWS, **columns), tmp_path / "titles.parquet")
    score_table(numbered_version(1), tmp_path / "titles.parquet", tmp_path / "table")
    score_table(
        simple_version(bias=500.0, number=2, interval=INTERVAL), tmp_path / "titles.parquet", tmp_path / "table"
    )
    return tmp_path / "table"


def test_query_engine(table):
    """A query engine reads the published run, and the run before in the earlier version."""
    query = "SELECT count(*) AS n, sum(predicted_earnings) AS s, min(predicted_earnings_low) AS low FROM t"
    sums = []
    for version in (1, 2):
        rows = QueryBuilder().register("t", DeltaTable(str(table), version)).execute(query).read_all()
        ((count,), (total,), (low,)) = pa.table(rows).to_pydict().values()
        assert ROWS == count
        assert (low is None) == (version == 1)
        sums.append(total)
    assert sums[1] - sums[0] == pytest.approx(499.0 * ROWS)


def read_sums(environment, reader, paths):
    """The rows, and the sums of the columns, that a reader finds in paths."""
    python = ROOT / "tests/.servers" / environment / "bin/python"
    if not python.exists() or (reader.startswith("spark") and shutil.which("java") is None):
        pytest.skip("make readers installs it; Spark needs Java")
    ran = subprocess.run(
        [python, read_result.__file__, reader, *paths], capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    read = [json.loads(line) for line in ran.stdout.splitlines()[-len(paths) :]]
    return [sum(values) for values in zip(*read, strict=True)]


def sums_of(table):
    """The rows, and the sums of the columns, of an opened table."""
    content = table.to_pyarrow_table()
    sums = [sum(content.column(name).to_pylist()) for name in ("predicted_earnings", "stock", "price")]
    return [content.num_rows, *sums]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "reader"),
    [("readers", "duckdb"), ("readers", "polars"), ("readers", "spark"), ("readers-spark3", "spark")],
)
def test_reader_finds_all_rows(table, environment, reader):
    """A program reads the rows and sums of the published run from the parts of the date."""
    opened = DeltaTable(str(table))
    parts = opened.file_uris(file_pruning_predicate=[("run_date", "=", str(DAY))])
    sums = read_sums(environment, reader, parts)
    assert ROWS == sums[0]
    assert sums_of(opened) == pytest.approx(sums, rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("environment", ["readers", "readers-spark3"])
def test_spark_reads_the_log(table, environment):
    """Spark finds the files of the newest version in the checkpoint and the commits of the log, and their sums."""
    DeltaTable(str(table)).create_checkpoint()
    source = table.parent / "titles.parquet"
    for version in (3, 4):  # a new date, and a run that replaces the run of the checkpoint
        score_table(numbered_version(version), source, table, day=DAY + timedelta(version % 2))
    opened = DeltaTable(str(table))
    assert 2 == opened.version() - json.loads((table / "_delta_log/_last_checkpoint").read_text())["version"]
    sums = read_sums(environment, "spark_and_log", [str(table)])
    assert 2 * ROWS == sums[0]
    assert sums_of(opened) == pytest.approx(sums, rel=1e-12)
