"""Publish a run in a table: one transaction replaces the rows of its date.

A transaction has the date as the id of its application, and a number that names the run. Delta Lake refuses a
transaction if another one with the same id was committed since its writer opened the table. So of two writers of a date
one wins, also if the date is new. The number answers in one look-up which run of a date is published, also for a date
without rows.

A conflict is decided by reading the table again. If the date has this run, another process published it. If it has
another run than at the start of this run, this run ends. Anything else is a conflict with another date, or a lost
answer, and is tried again.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from gamesales.data.arrow import to_numpy
from gamesales.errors import GamesalesError, TryAgainError, warn
from gamesales.lake.columns import (
    conform,
    find_new_columns,
    make_table_schema,
    read_table_schema,
    require_predictions,
)
from gamesales.lake.keys import describe_transaction, is_transaction_of
from gamesales.lake.location import PARTITION, TableLocation, read_again, summarize
from gamesales.report.format import format_count
from gamesales.storage.store import Store

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from deltalake.transaction import AddAction, RemoveAction

# How often a transaction is tried, and the seconds between two tries at most: 200 writers of other dates at once.
_TRIES, _LONGEST_WAIT = 200, 2.0
# Stands for a missing date, which another program may have written. It is before the first date of Python.
_NO_DAY = -(2**31)
# How often in a row the table may fail in another way than by a conflict, such as a lost answer.
_FAILURES = 4


@dataclass(frozen=True)
class PartFile:
    """A part of a run: its key, its size in bytes and its rows."""

    key: str
    size: int
    rows: int


@dataclass(frozen=True)
class DateTransaction:
    """What a transaction does.

    Attributes:
        day: the date whose rows it replaces.
        run_id: the run that it publishes.
        number: the number of the transaction.
        replaces: the number of the transaction that was published when the run began; None if there was none.
        parts: the parts of the run.
        passthrough: the columns that the run copied from its inputs.
        metadata: what the log of the table says about the run.
    """

    day: date
    run_id: str
    number: int
    replaces: int | None
    parts: Sequence[PartFile]
    passthrough: pa.Schema
    metadata: Mapping[str, str]


def read_transaction(table: DeltaTable | None, day: date) -> int | None:
    """Return the number of the transaction that published a date; None if no run published it."""
    return None if table is None else read_again(lambda: table.transaction_version(day.isoformat()))


def commit_date(location: TableLocation, store: Store, table: DeltaTable, transaction: DateTransaction) -> None:
    """Publish a run.

    Args:
        location: the table.
        store: its files.
        table: the table as it was opened when the run began. To open it again costs time, so it is opened again only
            after a conflict.
        transaction: what to publish.

    Raises:
        TryAgainError: another run was published for the date since this run began, or the table can't be written.
        ColumnsError: another run has added a column of this run with another type.
    """
    from deltalake.exceptions import CommitFailedError, DeltaError

    current: DeltaTable | None = table
    failures, reason = 0, ""
    for wait in _make_waits():
        try:
            current = location.open_table() if current is None else current
            if current is None:
                raise _make_error(location, transaction, "the table was removed while this run wrote to it")
            if _publish(location, store, current, transaction):
                return
        except GamesalesError:
            raise
        except CommitFailedError as conflict:
            failures, reason = 0, summarize(conflict)
        except (DeltaError, OSError) as failure:
            failures, reason = failures + 1, summarize(failure)
        current = None
        if failures == _FAILURES:
            break
        time.sleep(wait)
    raise _make_error(location, transaction, reason)


def _publish(location: TableLocation, store: Store, table: DeltaTable, transaction: DateTransaction) -> bool:
    """Publish a run, or check that it is published. Return whether the date has its rows and no other rows."""
    published = read_transaction(table, transaction.day)
    if published == transaction.replaces:
        require_predictions(table, location)
        if _add_columns(table, transaction, location):
            return False  # the table must be opened again, and then the date may have another run
        _write_date(table, transaction)
        location.sync_log(table.version() + 1)
        return _is_next_version(store, table, transaction)
    if not is_transaction_of(published, transaction.run_id):
        raise _make_lost_error(location, transaction, published)
    return _remove_foreign_rows(table, transaction, location)


def _is_next_version(store: Store, table: DeltaTable, transaction: DateTransaction) -> bool:
    """Return whether a transaction made the next version of an opened table: then nobody wrote in between."""
    try:
        log = store.read(f"_delta_log/{table.version() + 1:020d}.json").decode()
    except (KeyError, ValueError):
        return False
    return any(json.loads(line).get("txn", {}).get("version") == transaction.number for line in log.splitlines())


def _make_waits() -> Iterator[float]:
    """Yield the seconds to wait after each try."""
    for number in range(_TRIES):
        yield min(_LONGEST_WAIT, 0.02 * 2 ** min(number, 10)) * random.uniform(0.2, 1)  # noqa: S311 - spread writers


def _make_error(location: TableLocation, transaction: DateTransaction, reason: str) -> TryAgainError:
    return TryAgainError(
        f"{location}: {transaction.day} could not be published: {reason}",
        hint="Run the same command again; the run continues from here",
    )


def _make_lost_error(location: TableLocation, transaction: DateTransaction, published: int | None) -> TryAgainError:
    return TryAgainError(
        f"another run published {transaction.day} in {location} while run {transaction.run_id[:8]} scored: expected "
        f"{describe_transaction(transaction.replaces)}, found {describe_transaction(published)}; "
        f"nothing of run {transaction.run_id[:8]} was published",
        hint="To replace the other run, run the same command again",
    )


def _add_columns(table: DeltaTable, transaction: DateTransaction, location: TableLocation) -> bool:
    """Add the columns that the table lacks, in a transaction of their own. Return whether there are any."""
    from deltalake import Schema

    schema = read_table_schema(table)
    conformed = conform(transaction.passthrough, schema, location)
    if make_table_schema(conformed) != make_table_schema(transaction.passthrough):
        raise _make_error(location, transaction, "another run has added a column of this run with a wider type")
    new = find_new_columns(schema, transaction.passthrough)
    if new.names:
        table.alter.add_columns(list(Schema.from_arrow(new).fields))
    return bool(new.names)


def _write_date(table: DeltaTable, transaction: DateTransaction) -> None:
    """Commit a transaction after which the date has the parts of the run and no other files.

    A part that is there already is neither removed nor added: Delta Lake allows one action for each file.
    """
    from deltalake import CommitProperties, Transaction

    day, expected = transaction.day.isoformat(), {part.key for part in transaction.parts}
    present = {part.key: part for part in list_parts(table, transaction.day)}
    actions: list[AddAction | RemoveAction] = [
        *(_make_add(part, day) for part in transaction.parts if part.key not in present),
        *(_make_remove(part, day) for key, part in present.items() if key not in expected),
    ]
    table.create_write_transaction(
        actions,
        mode="append",  # the other mode takes no list of files to remove
        schema=table.schema(),  # another schema would replace the columns of the table
        partition_by=[PARTITION],
        commit_properties=CommitProperties(
            custom_metadata={
                **transaction.metadata,
                "isBlindAppend": False,
                "operationParameters": {"predicate": f"{PARTITION} = '{day}'"},
            },
            app_transactions=[Transaction(day, transaction.number)],
        ),
    )


def _make_add(part: PartFile, day: str) -> AddAction:
    from deltalake.transaction import AddAction

    now = int(time.time() * 1000)
    return AddAction(part.key, part.size, {PARTITION: day}, now, True, json.dumps({"numRecords": part.rows}))


def list_parts(table: DeltaTable, day: date) -> list[PartFile]:
    """List the files of a date in a table, by name. Those of other programs may have no count of their rows, -1."""
    parts = []
    for actions in _read_files(table):
        days = to_numpy(actions.column(f"partition.{PARTITION}").view(pa.int32()).fill_null(_NO_DAY))
        for row in np.flatnonzero(days == (day - date(1970, 1, 1)).days).tolist():
            path, size, rows = (actions.column(name)[row].as_py() for name in ("path", "size_bytes", "num_records"))
            parts.append(PartFile(path, size, -1 if rows is None else rows))
    return sorted(parts, key=_get_key)


def group_parts(table: DeltaTable) -> dict[date | None, list[PartFile]]:
    """List the files of each date in a table, oldest date first, by name. Another program may have written None."""
    groups: dict[date | None, list[PartFile]] = {}
    for actions in _read_files(table):
        names = (f"partition.{PARTITION}", "path", "size_bytes", "num_records")
        for day, path, size, rows in zip(*(actions.column(name).to_pylist() for name in names), strict=True):
            groups.setdefault(day, []).append(PartFile(path, size, -1 if rows is None else rows))
    return {day: sorted(groups[day], key=_get_key) for day in sorted(groups, key=str)}


def _read_files(table: DeltaTable) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_stream(read_again(lambda: table.get_add_actions(flatten=True)))


def _get_key(part: PartFile) -> str:
    return part.key


def _remove_foreign_rows(table: DeltaTable, transaction: DateTransaction, location: TableLocation) -> bool:
    """Check that a published date has no rows of other programs; return whether it has none.

    This is needed only if somebody wrote between the opening of the table and the transaction. Delta Lake sees no
    conflict between a transaction that replaces a date, and another one that appends to the date or
    compacts its files at the same time. The date would have the rows of both. Then the foreign files are removed.
    """
    expected, present = (
        {part.key for part in parts} for parts in (transaction.parts, list_parts(table, transaction.day))
    )
    # Without all parts of the run, another program compacted them after the transaction.
    if present <= expected or not expected <= present:
        return True
    warn(
        f"{location}: another program wrote {format_count(len(present - expected), 'file')} of {transaction.day} "
        "while the run was published; they are removed again"
    )
    _write_date(table, transaction)
    return False


def _make_remove(part: PartFile, day: str) -> RemoveAction:
    from deltalake.transaction import RemoveAction

    return RemoveAction(part.key, True, int(time.time() * 1000), part.size, {PARTITION: day})
