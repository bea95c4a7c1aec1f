"""Delta tables for tests: runs into them, and what is in them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import islice
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable

from gamesales.data.screen import RejectLimit
from gamesales.lake.location import TableLocation
from gamesales.lake.table_run import TableOutput, score_into_table
from gamesales.scoring.engines.local import run_shards
from gamesales.scoring.inputs import InputRules, find_inputs
from gamesales.scoring.plan import RunOptions, make_plan
from support.racing import race
from support.runs import DAY, simple_version

# TABLE INPUT DATE VERSION: prints the run id if this process published it, or the message of the error.
RACE = """
import sys
from datetime import date
sys.path.insert(0, sys.argv[5])
from gamesales.errors import TryAgainError
from support.tables import numbered_version, score_table
table, source, day, number = sys.argv[1:5]
version = numbered_version(int(number))
wait_for_start()
try:
    report = score_table(version, source, table, day=date.fromisoformat(day))
    print("done before" if report.already_done else "published", report.run_id[:8])
except TryAgainError as error:
    print(error.message)
"""


def race_runs(source, table, runs):
    """Start runs of one source in processes at once, each with a date and the number of a version.

    Return what each printed: "published" and the run id, or the message of its error.
    """
    tests = Path(__file__).parents[1]
    return [line.strip() for line in race(RACE, [[table, source, *run, tests] for run in runs])]


def plan_table_run(version, source, table, *, day=DAY, keep=None):
    """Plan a run into a table; return the plan and the output."""
    target = TableOutput(TableLocation(str(table)), day)
    settings = {"run_date": str(day), "format": target.suffix}
    with find_inputs([str(source)], InputRules((), None, False, target.all)) as inputs:
        plan = make_plan(
            inputs,
            version.contract,
            version.digest,
            settings,
            keep=keep,
            partition=target.partition,
            conform=target.conform,
        )
    return plan, target


def score_table(version, source, table, *, day=DAY, keep=None, engine=run_shards, limit=None, workers=1, **options):
    """Plan and score into a table as ``gamesales score`` does, without a registry."""
    plan, target = plan_table_run(version, source, table, day=day, keep=keep)
    options = RunOptions(limit=limit or RejectLimit(), workers=workers, **options)
    return score_into_table(plan, version, target, options, run_shards=engine)


def read_rows(table, day=DAY, version=None, storage_options=None):
    """Return the rows of a date as deltalake reads them, in any order."""
    opened = DeltaTable(str(table), version, storage_options)
    rows = pa.table(opened.to_pyarrow_dataset().to_table())
    return [row for row in rows.to_pylist() if row["run_date"] == day]


def numbered_version(number):
    """Return a loaded version whose number and digest tell which run made a row."""
    return replace(simple_version(bias=float(number), number=number), digest=f"{number:064x}")


def versions_of(table, day=DAY):
    """Return the number of the version that made each row of a date."""
    return sorted(row["model_version"] for row in read_rows(table, day))


def list_dates(table):
    """Return the dates of a table that have rows."""
    return sorted({date.fromisoformat(part["run_date"]) for part in DeltaTable(str(table)).partitions()})


def stop_after(shards):
    """Make an engine that is interrupted after some shards, or after all shards if there are fewer."""

    def run(tasks, scorer, finish, workers, on_rows):
        yield from islice(run_shards(tasks, scorer, finish, 1, on_rows), shards)
        raise KeyboardInterrupt

    return run
