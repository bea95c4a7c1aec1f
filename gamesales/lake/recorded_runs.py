"""All runs of a table: the published run of each date, withheld runs, and runs that did not end."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date

from gamesales.lake.commit import group_parts, read_transaction
from gamesales.lake.keys import STATE_FOLDER, WITHHELD_FOLDER, is_start, page_key, parse_run
from gamesales.lake.location import PARTITION, TableLocation, explain_store_errors
from gamesales.lake.results import READERS, Snapshot, open_snapshot, read_report
from gamesales.lake.withheld import find_withheld
from gamesales.scoring.recorded_runs import UNFINISHED, RecordedRun, make_no_runs_error
from gamesales.scoring.results import explain_withheld

_FOREIGN = "no run of gamesales published it"


def list_table_runs(location: TableLocation, limit: int | None = None, day: date | None = None) -> list[RecordedRun]:
    """List the runs of a table, newest date first.

    Args:
        location: the table.
        limit: how many dates to read at most, the newest; None: all.
        day: the only date to read; None: all.

    Raises:
        InputNotFoundError: there is no table, or no run.
    """
    with explain_store_errors():
        snapshot = open_snapshot(location)
        keys = set(snapshot.store.list(STATE_FOLDER))
        starts: dict[date, list[str]] = {night: [] for night in group_parts(snapshot.table) if night is not None}
        for key in sorted(keys):
            run = parse_run(key)
            with suppress(ValueError):
                if run is not None and (is_start(key) or key.startswith(WITHHELD_FOLDER)):
                    starts.setdefault(date.fromisoformat(run.day), []).append(key)
        days = [night for night in sorted(starts, reverse=True) if day in (None, night)][:limit]
        with ThreadPoolExecutor(READERS) as pool:
            groups = list(pool.map(lambda night: list(_read_runs(snapshot, night, starts[night], keys)), days))
    if not groups:
        raise make_no_runs_error(location, day)
    return [run for group in groups for run in group]


def _read_runs(snapshot: Snapshot, day: date, keys: Sequence[str], all_keys: Collection[str]) -> Iterator[RecordedRun]:
    """Read the runs of one date: what is not published, and then what is.

    Args:
        snapshot: the table.
        day: the date.
        keys: the starts of its runs, and the marks of its withheld runs.
        all_keys: the keys of all files that runs wrote beside the rows.
    """
    location, store = snapshot.location, snapshot.store
    place = f"{location}/{PARTITION}={day}"
    transaction = read_transaction(snapshot.table, day)
    marked = {run.run8 for key in keys if not is_start(key) and (run := parse_run(key))}
    if marked and (withheld := find_withheld(store, day, transaction)):
        options = "" if "://" in location.text else " --format delta"
        note = explain_withheld(str(location), day, options)
        yield RecordedRun(day, "withheld", place, withheld.report, note)
    report = None if transaction is None else read_report(store, day, transaction)
    if report is not None and transaction is not None:
        page = page_key(day, transaction)
        yield RecordedRun(day, "published", place, report, page=page if page in all_keys else "")
    elif transaction is None and not marked and keys:
        yield RecordedRun(day, "incomplete", place, note=UNFINISHED)
    elif not marked:
        yield RecordedRun(day, "incomplete", place, note=_FOREIGN)
