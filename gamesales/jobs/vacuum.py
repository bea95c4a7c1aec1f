"""Remove the files of a Delta table that no retained version of the table needs.

A version is retained if it was the newest at any time in the last days. Rows of retained versions, their reports and
their rejects stay. The log of the table stays too. If a vacuum is killed, the next vacuum does the rest.
"""

from __future__ import annotations

import json
import re
import secrets
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from gamesales.errors import InputNotFoundError, TryAgainError, UsageError
from gamesales.lake.columns import require_predictions
from gamesales.lake.keys import STATE_FOLDER, VACUUM_FOLDER, is_part
from gamesales.lake.location import PARTITION, RETENTION_PROPERTY, TableLocation, explain_store_errors, read_again
from gamesales.lake.vacuum import find_commits, find_garbage, read_retained_versions
from gamesales.registry.log import get_actor
from gamesales.storage.keys import FileStat
from gamesales.storage.store import Store

if TYPE_CHECKING:
    from deltalake import DeltaTable

# The default of Delta Lake. A run may use files that it wrote days ago: gamesales/lake/keys.py.
_SHORTEST = timedelta(days=7)
_UNITS = re.compile(r"(\d+) (second|minute|hour|day|week)s?")
# Files that are removed at a time.
_REMOVERS = 16


@dataclass(frozen=True)
class VacuumResult:
    """What a vacuum removed and what it kept. In a dry run, nothing is removed.

    Attributes:
        table: the table.
        dry_run: whether it only looked.
        retention_days: for how many days versions are retained.
        oldest_version: the oldest version that is readable in full.
        newest_version: the newest version.
        parts_removed: the removed files of rows.
        records_removed: the removed files about runs, such as reports, rejects and ledgers.
        bytes_removed: the size of both in bytes.
        temporary_files: the removed files that killed writers left.
        parts_kept: the files of rows that stay.
        records_kept: the files about runs that stay.
        bytes_kept: the size of everything that stays, with the log of the table.
    """

    table: str
    dry_run: bool
    retention_days: int
    oldest_version: int
    newest_version: int
    parts_removed: int
    records_removed: int
    bytes_removed: int
    temporary_files: int
    parts_kept: int
    records_kept: int
    bytes_kept: int


def vacuum(
    location: TableLocation, days: int | None = None, *, dry_run: bool = False, now: float | None = None
) -> VacuumResult:
    """Remove the files that no retained version needs.

    Args:
        location: the table.
        days: for how many days versions are retained; None: as long as the table says.
        dry_run: whether to change nothing.
        now: the time in seconds since 1970; None: by the clock of the store, and of this machine in a dry run.

    Raises:
        InputNotFoundError: there is no table.
        UsageError: it is a table of another program, or the retention is too short.
        TryAgainError: the table can't be read or written now.
    """
    with explain_store_errors():
        store = location.open_store()  # checks the URL
        table = location.open_table()
        if table is None:
            raise InputNotFoundError(f"no table at {location}", hint="Name the table as in score --output")
        require_predictions(table, location)
        retention = _choose_retention(table, location, days)
        record = None if dry_run else _write_record(store, retention)
        files = store.list_files("")
        if now is None:
            now = time.time() if record is None else _read_time(store, files, record)
        cutoff = now - retention.total_seconds()
        read_again(table.update_incremental)  # a commit since then may need files that the listing has
        retained = read_retained_versions(location, table, store, files, cutoff)
        oldest, _ = find_commits(files, max([cutoff, *_read_earlier_cutoffs(store, files)]))
        garbage = find_garbage(files, retained, cutoff)
        if not dry_run:
            _remove(store, garbage)
        temporary_files = 0 if store.is_remote else _sweep(store, cutoff, dry_run=dry_run)
    removed = {key: files[key] for key in garbage}
    kept = {key: file for key, file in files.items() if key not in removed}
    return VacuumResult(
        table=str(location),
        dry_run=dry_run,
        retention_days=retention.days,
        oldest_version=oldest,
        newest_version=table.version(),
        parts_removed=sum(map(is_part, removed)),
        records_removed=sum(map(_is_about_runs, removed)),
        bytes_removed=_sum_sizes(removed),
        temporary_files=temporary_files,
        parts_kept=sum(map(is_part, kept)),
        records_kept=sum(map(_is_about_runs, kept)),
        bytes_kept=_sum_sizes(kept),
    )


def _choose_retention(table: DeltaTable, location: TableLocation, days: int | None) -> timedelta:
    """Return for how long versions are retained: not shorter than the table says, because its readers rely on that.

    Raises:
        UsageError: the days are fewer, or the table says something else.
    """
    text = table.metadata().configuration.get(RETENTION_PROPERTY, "")
    amounts = [timedelta(**{f"{unit}s": int(number)}) for number, unit in _UNITS.findall(text)]
    if text and not amounts:
        raise UsageError(f"{location}: {RETENTION_PROPERTY} expects 'interval 30 days', found {text!r}")
    shortest = max(_SHORTEST, sum(amounts, timedelta()))
    if days is None:
        return shortest
    if timedelta(days) < shortest:
        least = -(-shortest // timedelta(days=1))
        reason = f"{RETENTION_PROPERTY} is {text!r}" if shortest > _SHORTEST else "a run may still use younger files"
        raise UsageError(
            f"{location}: expected {least} days or more, received {days}: {reason}",
            hint=f"gamesales vacuum {shlex.quote(str(location))} --older-than {least}d",
        )
    return timedelta(days)


def _write_record(store: Store, retention: timedelta) -> str:
    """Record that a vacuum begins, and return the key. The store says when it wrote it."""
    begin = datetime.now(UTC)
    key = f"{VACUUM_FOLDER}/{begin:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}.json"
    content = {"time": begin.isoformat(timespec="seconds"), "retention_days": retention.days, "actor": get_actor()}
    store.create(key, json.dumps(content).encode())
    return key


def _read_time(store: Store, files: Mapping[str, FileStat], record: str) -> float:
    """Return the time of the store, in seconds since 1970."""
    if record not in files:
        raise TryAgainError(f"{store.location} does not list {record}, which was just written", hint="Run it again")
    return files[record].modified


def _read_earlier_cutoffs(store: Store, files: Mapping[str, FileStat]) -> Iterator[float]:
    """Yield the moment from which on each recorded vacuum retained versions, in seconds since 1970.

    A vacuum with a longer retention than an earlier vacuum does not bring versions back.
    """
    for key in files:
        if key.startswith(f"{VACUUM_FOLDER}/"):
            with suppress(ValueError, LookupError, TypeError):  # another vacuum removed it, or it can't be read
                yield files[key].modified - json.loads(store.read(key))["retention_days"] * 86_400


def _remove(store: Store, keys: Sequence[str]) -> None:
    with ThreadPoolExecutor(_REMOVERS) as pool:
        list(pool.map(store.delete, keys))  # a list, so that an error is raised here


def _sweep(store: Store, before: float, *, dry_run: bool) -> int:
    """Remove, or only count, temporary files that killed writers left."""
    return sum(
        store.sweep(folder, before, dry_run=dry_run)
        for folder in store.list_folders()
        if folder == STATE_FOLDER or folder.startswith(f"{PARTITION}=")
    )


def _is_about_runs(key: str) -> bool:
    return key.startswith(f"{STATE_FOLDER}/")


def _sum_sizes(files: Mapping[str, FileStat]) -> int:
    return sum(file.size for file in files.values())
