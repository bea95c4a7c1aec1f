"""Time to open a table with 10,000 dates and to commit another date, in seconds of CPU and wall time."""

import json
import statistics
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, Transaction
from deltalake.transaction import AddAction

from benchmarks.studies import format_row
from gamesales.lake.columns import make_table_schema
from gamesales.lake.commit import DateTransaction, PartFile, commit_date, read_transaction
from gamesales.lake.keys import make_transaction
from gamesales.lake.location import TableLocation

DATES, COMMITS, FIRST = 10_000, 45, date(2000, 1, 1)
PASSTHROUGH = pa.schema([("title_id", pa.string()), ("title", pa.string())])
EARLIER, RUN = "ab" * 32, "cd" * 32


def build_table(location, parts):
    """Make a table of 10,000 dates with this many parts a date. The parts do not exist."""
    location.create_table(make_table_schema(PASSTHROUGH))
    days = [str(FIRST + timedelta(number)) for number in range(DATES)]
    for start in range(0, DATES, 500):
        table, chunk = location.open_table(), days[start : start + 500]
        actions = [
            AddAction(f"run_date={day}/{number}.parquet", 1, {"run_date": day}, 0, True, json.dumps({"numRecords": 36}))
            for day in chunk
            for number in range(parts)
        ]
        transactions = [Transaction(day, make_transaction(EARLIER, 0)) for day in chunk]
        properties = CommitProperties(app_transactions=transactions)
        table.create_write_transaction(actions, "append", table.schema(), ["run_date"], commit_properties=properties)


def time_commits(parts):
    """Return the time of each opening and of each commit: pairs of CPU and wall time."""
    with tempfile.TemporaryDirectory() as folder:
        location = TableLocation(str(Path(folder) / "table"))
        build_table(location, parts)
        store, opened, committed = location.open_store(), [], []
        for number in range(COMMITS):
            day = FIRST + timedelta(DATES + number)
            clocks = [(time.process_time(), time.perf_counter())]
            table = location.open_table()
            replaces = read_transaction(table, day)
            clocks.append((time.process_time(), time.perf_counter()))
            files = [PartFile(f"run_date={day}/{part}.parquet", 1, 36) for part in range(parts)]
            transaction = DateTransaction(day, RUN, make_transaction(RUN, 0), replaces, files, PASSTHROUGH, {})
            commit_date(location, store, table, transaction)
            clocks.append((time.process_time(), time.perf_counter()))
            for times, before, after in zip((opened, committed), clocks, clocks[1:], strict=False):
                times.append(tuple(end - start for start, end in zip(before, after, strict=True)))
        return opened, committed


def build_lines():
    """Yield the lines of the table."""
    yield format_row(["parts", "open, CPU s", "commit, CPU s", "slowest commit, CPU s", "open, s", "commit, s"])
    yield "|" + "---:|" * 6
    for parts in (1, 16):
        opened, committed = time_commits(parts)
        cells = [
            statistics.median(cpu for cpu, _ in opened),
            statistics.median(cpu for cpu, _ in committed),
            max(cpu for cpu, _ in committed),
            statistics.median(wall for _, wall in opened),
            statistics.median(wall for _, wall in committed),
        ]
        yield format_row([f"{DATES * parts:,}", *(f"{cell:.2f}" for cell in cells)])
