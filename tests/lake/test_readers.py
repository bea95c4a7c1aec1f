"""A table as other programs read it. ``make readers`` installs the programs; without one, its test is skipped.

DuckDB and Spark need a further program to read the log of a table. Here they read the parts that the log lists.
"""

import json
import shutil
import subprocess

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


@pytest.mark.slow
@pytest.mark.parametrize("reader", ["duckdb", "polars", "spark", "spark3"])
def test_reader_finds_all_rows(table, reader):
    """A program reads the rows and sums of the published run from the parts of the date."""
    python = ROOT / "tests/.servers" / ("readers-spark3" if reader == "spark3" else "readers") / "bin/python"
    if not python.with_name("python").exists() or (reader.startswith("spark") and shutil.which("java") is None):
        pytest.skip("make readers installs it; Spark needs Java")
    opened = DeltaTable(str(table))
    parts = opened.file_uris(file_pruning_predicate=[("run_date", "=", str(DAY))])
    ran = subprocess.run(
        [python, read_result.__file__, reader.removesuffix("3"), *parts],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    expected = opened.to_pyarrow_table()
    read = [json.loads(line) for line in ran.stdout.splitlines()[-len(parts) :]]
    rows, earnings, stock, price = (sum(values) for values in zip(*read, strict=True))
    assert ROWS == rows == expected.num_rows
    assert earnings == pytest.approx(sum(expected.column("predicted_earnings").to_pylist()), rel=1e-12)
    assert (stock, price) == (sum(range(ROWS)), sum(expected.column("price").to_pylist()))
