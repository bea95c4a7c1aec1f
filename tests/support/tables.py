"""Delta tables for tests: runs into them, and what is in them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pyarrow as pa
from deltalake import DeltaTable

from gamesales.data.screen import RejectLimit
from gamesales.lake.location import TableLocation
from gamesales.lake.table_run import TableOutput, score_into_table
from gamesales.scoring.engines.local import run_shards
from gamesales.scoring.inputs import InputRules, find_inputs
from gamesales.scoring.plan import RunOptions, make_plan
from support.runs import DAY, simple_version


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
    """Make an engine that is interrupted after some shards."""

    def run(tasks, scorer, finish, workers, on_rows):
        for number, finished in enumerate(run_shards(tasks, scorer, finish, 1, on_rows)):
            yield finished
            if number + 1 == shards:
                raise KeyboardInterrupt

    return run
