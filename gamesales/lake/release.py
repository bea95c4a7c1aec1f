"""Release a withheld run of a table: commit it as it was scored."""

from __future__ import annotations

from dataclasses import replace

from gamesales.errors import InputError, UsageError
from gamesales.lake.commit import read_transaction
from gamesales.lake.keys import RunKeys, describe_transaction, is_transaction_of, is_usable
from gamesales.lake.location import explain_store_errors
from gamesales.lake.results import read_report
from gamesales.lake.shards import read_ledger
from gamesales.lake.table_run import TableOutput, publish
from gamesales.lake.withheld import read_withheld
from gamesales.scoring.plan import MakePage
from gamesales.scoring.run_report import Release, RunReport

_REDO_HINT = "Score the date again with --fresh"


def release_table_run(target: TableOutput, release: Release, maker: MakePage | None = None) -> RunReport:
    """Publish the withheld run of a date as it was scored.

    Args:
        target: the date of the table.
        release: by whom, when and why.
        maker: makes the page of the run; None: the result has no page.

    Raises:
        UsageError: no run is withheld, or another run was published since.
        InputError: the files of the run were removed or changed, or are so old that a vacuum may remove them.
        TryAgainError: another run is published at this moment.
    """
    day = target.run_date
    with explain_store_errors():
        store = target.location.open_store()
        table = target.location.open_table()
        published = read_transaction(table, day)
        report = None if published is None else read_report(store, day, published)
        run = read_withheld(store, day)
        if run is None or table is None:
            raise UsageError(
                f"no run of {day} is withheld for {target.location}",
                hint=f"Check --output and the date: gamesales score --dry-run --date {day}",
            )
        run_id = run.report.run_id
        if published != run.replaces:
            if report and is_transaction_of(published, run_id):
                return report  # an earlier release was killed when it had published the run
            raise UsageError(
                f"run {run_id[:8]} of {day} was withheld, and then {target.location} changed: found "
                f"{describe_transaction(published)}; nothing was published",
                hint=_REDO_HINT,
            )
        keys = RunKeys(day, run_id, run.attempt)
        results = read_ledger(store, keys)
        if not is_usable(store, keys) or len(results) != run.report.shards:
            raise InputError(
                f"the files of run {run_id[:8]} of {day} in {target.location} were removed or changed, or they are so "
                "old that a vacuum may remove them; nothing was published",
                hint=_REDO_HINT,
            )
        released = replace(run.report, is_withheld=False, release=release)
        publish(store, table, target, keys, replace(run, report=released), results, maker)
    return released
