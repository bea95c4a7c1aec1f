"""Drivers of runs into a Delta table in an object store: killed at any request, and two at once."""

import os
from collections import Counter
from concurrent.futures import Future
from datetime import date

import pyarrow as pa
import pytest
from deltalake.exceptions import TableNotFoundError
from pyarrow import parquet

from support import warm_process
from support.fault_proxy import Fault, FaultProxy
from support.sampling import sample
from support.tables import list_dates, read_rows
from support.versions import publish_promoted, titles_table

pytestmark = pytest.mark.slow
# Files of titles, and their rows.
OLD, NEW, NEWER = {"old": 1_000}, {"new": 1_500}, {"newer": 2_000}
DAY, NEXT_DAY = date(2026, 11, 23), date(2026, 11, 24)
LIBRARIES = (*warm_process.SCORING, "deltalake", "obstore", "gamesales.lake.table_run")
# The command line with small shards.
SCRIPT = """
from gamesales.scoring import shard_bounds
from gamesales.cli import main
shard_bounds.MIN_SHARD_ROWS = 500
main()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a registry, and with files of titles whose ids name the file."""
    folder = tmp_path_factory.mktemp("drivers")
    publish_promoted(folder)
    for name, rows in (OLD | NEW | NEWER).items():
        ids = pa.array([f"{name} {row}" for row in range(rows)])
        parquet.write_table(titles_table(rows, seed=rows, title_id=ids), folder / f"{name}.parquet", row_group_size=500)
    return folder


def start(folder, source, url, proxy, day=DAY):
    """Start a driver that scores a file through a proxy."""
    arguments = ["score", f"{source}.parquet", "--output", url, "--date", day, "--workers", 2]
    environment = {**os.environ, **proxy.server.environment}
    return warm_process.start(arguments, cwd=folder, env=environment, script=SCRIPT, libraries=LIBRARIES)


def run(folder, source, url, server, faults=lambda number: Fault.NONE, day=DAY):
    """Run a driver through a proxy that may kill it; return its exit code, its stderr and the proxy."""
    started = Future()
    with FaultProxy(server, faults, kill=lambda: started.result().kill()) as proxy:
        process = start(folder, source, url, proxy, day)
        started.set_result(process)
        _, errors = process.communicate(timeout=60)
    return process.returncode, errors, proxy


def read_sources(url, day=DAY):
    """Return the number of rows of a date by the file that they come from. No row may be there twice."""
    try:
        ids = [row["title_id"] for row in read_rows(url, day)]
    except TableNotFoundError:
        return {}
    assert len(ids) == len(set(ids))
    return dict(Counter(title_id.partition(" ")[0] for title_id in ids))


@pytest.mark.parametrize("before", [{}, OLD], ids=["new table", "replaced date"])
def test_killed_driver(folder, s3, s3_url, before):
    """A driver that is killed at any request leaves the old or the new night, and the next run ends with the new."""

    def prepare(table):
        for source in before:
            assert run(folder, source, table, s3)[0] == 0
        return table

    code, errors, proxy = run(folder, "new", prepare(s3_url), s3)
    assert code == 0, errors
    kills = (Fault.KILL_BEFORE, Fault.KILL_AFTER)
    points = [(number, fault) for number in range(1, len(proxy.requests) + 1) for fault in kills]
    for number, fault in sample(f"kills of a driver after {before}", points, 3):
        table = prepare(f"{s3_url}-{number}-{fault.name}")
        code, errors, proxy = run(folder, "new", table, s3, {number: fault})
        assert code == -9 or len(proxy.requests) < number, f"{errors}\n{proxy}"
        assert read_sources(table) in (before, NEW), proxy
        code, errors, _ = run(folder, "new", table, s3)
        assert code == 0, f"{errors}\n{proxy}"
        assert read_sources(table) == NEW, proxy


def run_two(folder, url, server, drivers):
    """Run two drivers at once through a slow proxy; return the exit code and the stderr of each."""
    with FaultProxy(server, latency=0.02) as proxy:
        processes = [start(folder, source, url, proxy, day) for source, day in drivers]
        outputs = [process.communicate(timeout=120)[1] for process in processes]
    return [(process.returncode, errors) for process, errors in zip(processes, outputs, strict=True)]


@pytest.mark.parametrize("first", ["no table", "other date", "replaced date"])
def test_two_drivers_of_a_date(folder, s3, s3_url, first):
    """Of two drivers of a date with different titles, one publishes, and the other exits with 7 and reports it."""
    if first != "no table":
        assert run(folder, "old", s3_url, s3, day=NEXT_DAY if first == "other date" else DAY)[0] == 0
    results = run_two(folder, s3_url, s3, [("new", DAY), ("newer", DAY)])
    assert sorted(code for code, _ in results) == [0, 7], results
    (winner,) = (rows for rows, (code, _) in zip((NEW, NEWER), results, strict=True) if code == 0)
    (message,) = (errors for code, errors in results if code == 7)
    assert f"another run published {DAY} in {s3_url}" in message
    assert read_sources(s3_url) == winner


def test_two_drivers_of_the_same_run(folder, s3, s3_url):
    """Two drivers of the same run both succeed, and its rows are there once."""
    results = run_two(folder, s3_url, s3, [("new", DAY)] * 2)
    assert [code for code, _ in results] == [0, 0], results
    assert read_sources(s3_url) == NEW


@pytest.mark.parametrize("is_new", [True, False])
def test_two_drivers_of_other_dates(folder, s3, s3_url, is_new):
    """Two drivers of different dates both succeed."""
    if not is_new:
        assert run(folder, "old", s3_url, s3)[0] == 0
    results = run_two(folder, s3_url, s3, [("new", DAY), ("newer", NEXT_DAY)])
    assert [code for code, _ in results] == [0, 0], results
    assert (read_sources(s3_url), read_sources(s3_url, NEXT_DAY)) == (NEW, NEWER)
    assert list_dates(s3_url) == [DAY, NEXT_DAY]
