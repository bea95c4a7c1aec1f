"""Find what a vacuum may remove from a table: the files that no retained version of the table needs.

A version is retained if it was the newest at any time since a moment, the cutoff. A retained version stays readable in
full, with the report and the rejects of each run that it has.

Files of other runs are removed when the newest of them is older than the cutoff. Until then, the run may be at work,
or it may be withheld. All times are those at which the store wrote the files, so no clock of another machine matters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from gamesales.errors import TryAgainError
from gamesales.lake.commit import group_parts
from gamesales.lake.keys import VACUUM_FOLDER, RunName, is_part, is_record, is_start, parse_run, run_of_transaction
from gamesales.lake.location import TableLocation
from gamesales.scoring.output import TABLE_LOG
from gamesales.storage.keys import FileStat, is_safe_key
from gamesales.storage.store import Store

if TYPE_CHECKING:
    from deltalake import DeltaTable

_COMMIT = re.compile(rf"{TABLE_LOG}/(\d{{20}})\.json")
# Commits that are read at a time.
_READERS = 16


@dataclass(frozen=True)
class RetainedVersions:
    """The versions of a table that were the newest at any time since a moment.

    Attributes:
        location: the table.
        table: the newest version.
        oldest: the number of the oldest retained version.
        parts: the keys of the files that any of them needs.
        transactions: the numbers of the transactions after the oldest version, by date.
    """

    location: TableLocation
    table: DeltaTable
    oldest: int
    parts: frozenset[str]
    transactions: Mapping[str, Sequence[int]]

    @cached_property
    def runs(self) -> frozenset[RunName]:
        """The runs that wrote the parts."""
        return frozenset(run for run in map(parse_run, self.parts) if run)

    def serves(self, run: RunName) -> bool:
        """Return whether any of the versions has a run, also if another program has compacted its parts."""
        if run in self.runs:
            return True
        numbers = [*self.transactions.get(run.day, ()), self.table.transaction_version(run.day)]
        if run.day in self.transactions and self._oldest_table is not None:
            numbers.append(self._oldest_table.transaction_version(run.day))
        return any(number is not None and run_of_transaction(run.day, number) == run for number in numbers)

    @cached_property
    def _oldest_table(self) -> DeltaTable | None:
        return self.location.open_table(self.oldest)


def read_retained_versions(
    location: TableLocation, table: DeltaTable, store: Store, files: Mapping[str, FileStat], cutoff: float
) -> RetainedVersions:
    """Read what the retained versions need.

    Args:
        location: the table.
        table: its newest version, opened after the files were listed.
        store: its files.
        files: all files of the table.
        cutoff: the moment from which on versions are retained, in seconds since 1970.

    Raises:
        TryAgainError: a commit was removed from the log meanwhile.
    """
    oldest, first = find_commits(files, cutoff)
    parts = {part.key for group in group_parts(table).values() for part in group}
    transactions: dict[str, list[int]] = {}
    with ThreadPoolExecutor(_READERS) as pool:
        for actions in pool.map(lambda version: _read_commit(store, version), range(first, table.version() + 1)):
            for action in actions:
                if removal := action.get("remove"):
                    parts |= {removal["path"], unquote(removal["path"])}
                if transaction := action.get("txn"):
                    transactions.setdefault(transaction["appId"], []).append(transaction["version"])
    return RetainedVersions(location, table, oldest, frozenset(parts), transactions)


def find_commits(files: Mapping[str, FileStat], cutoff: float) -> tuple[int, int]:
    """Return the oldest version that was the newest at any time since a moment, and the first commit since then.

    Args:
        files: all files of the table. Commits that are not listed were written after the listing.
        cutoff: the moment, in seconds since 1970.
    """
    times = {int(match[1]): files[key].modified for key in files if (match := _COMMIT.fullmatch(key))}
    first = min((version for version, time in times.items() if time >= cutoff), default=max(times, default=-1) + 1)
    return max(first - 1, min(times, default=0)), first


def _read_commit(store: Store, version: int) -> list[dict[str, Any]]:
    """Return the actions of a commit: lines of JSON, as the protocol of Delta Lake defines them."""
    key = f"{TABLE_LOG}/{version:020d}.json"
    try:
        return [json.loads(line) for line in store.read(key).splitlines()]
    except KeyError:
        raise TryAgainError(
            f"{store.location}{key} is missing; another program may have just removed it", hint="Run it again"
        ) from None


def find_garbage(files: Mapping[str, FileStat], retained: RetainedVersions, cutoff: float) -> list[str]:
    """Find the files to remove.

    The start of a run is removed only if a vacuum before has removed all other files of the run. As long as the start
    is there, no run uses the names of these files again. So it does no harm that two vacuums remove the same files.

    Args:
        files: all files of the table.
        retained: the versions that must stay readable.
        cutoff: files that were written since then are kept, in seconds since 1970.
    """
    groups: dict[RunName | str, list[str]] = {}
    for key in files:
        if is_safe_key(key) and (run := parse_run(key)):
            groups.setdefault(run, []).append(key)
        elif is_safe_key(key) and (is_part(key) or key.startswith(f"{VACUUM_FOLDER}/")):
            groups[key] = [key]
    return [
        key
        for run, keys in groups.items()
        if max(files[key].modified for key in keys) < cutoff
        for key in _find_unneeded(run, keys, retained)
        if not is_start(key) or all(map(is_start, keys))
    ]


def _find_unneeded(run: RunName | str, keys: Sequence[str], retained: RetainedVersions) -> Iterator[str]:
    """Yield the files of a run that no retained version needs. A file of another program is not of a run."""
    is_served = isinstance(run, RunName) and retained.serves(run)
    for key in keys:
        if key not in retained.parts and not (is_served and is_record(key)):
            yield key
