"""The names of a run's files in a table, and the number of its transaction.

    run_date=2026-11-23/part-<run8>-00000.parquet        scored rows; readers find them by the log of the table
    _gamesales/run_date=2026-11-23/<run8>/
        start.json                  the run id, and when the run began
        rejects/part-<run8>-….csv   the rejected rows of a shard
        refused/part-<run8>-….csv   those of a shard that stopped, because the run rejects too many rows
        ids/00000.bin               the hashes of the ids of a shard, if they do not ascend
        ledger/00000.json           a shard that is finished
        _run.json                   the report
        _run.html                   the page, if the job has one
    _gamesales/withheld/run_date=2026-11-23/….json       runs that were not published because of drift

``<run8>`` begins the run id. Files are created and never replaced, so a run that scores again, with ``--fresh`` or days
later, gets another name: ``<run8>-1``.
"""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import NamedTuple

from gamesales.errors import TryAgainError
from gamesales.lake.location import PARTITION
from gamesales.storage.store import Store

# Everything that runs write beside the rows. Delta Lake ignores the folder, and so does its vacuum.
STATE_FOLDER = "_gamesales"
WITHHELD_FOLDER = f"{STATE_FOLDER}/withheld"
VACUUM_FOLDER = f"{STATE_FOLDER}/vacuum"
# A vacuum removes files that the table does not need and that are older than its retention, by default 7 days. So files
# that a run wrote longer ago than this are not used any more.
MAX_AGE = timedelta(days=6)
# The transaction number of a run: 48 bits of its run id, then 15 bits for the number of its report.
_ID_DIGITS, _REPORT_BITS = 12, 15

# The keys of the files of a run: a part, which may have a digest in its name, any other file, and a mark.
_STEM = r"(?P<run8>[0-9a-f]{8})(?:-\d{1,4})?"
_KEYS_OF_RUNS = (
    re.compile(rf"{PARTITION}=(?P<day>[^/]+)/part-{_STEM}-\d{{5,}}(?:-[0-9a-f]{{16}})?\.parquet"),
    re.compile(rf"{STATE_FOLDER}/{PARTITION}=(?P<day>[^/]+)/{_STEM}/.+"),
    re.compile(rf"{WITHHELD_FOLDER}/{PARTITION}=(?P<day>[^/]+)/[^/]+-(?P<run8>[0-9a-f]{{8}})-[0-9a-f]{{8}}\.json"),
)
# Delta Lake ignores other names.
_KEY_OF_PART = re.compile(rf"{PARTITION}=[^/]+/[^/._][^/]*")
_KEY_OF_RECORD = re.compile(rf"{STATE_FOLDER}/{PARTITION}=[^/]+/[^/]+/(?:_run[^/]*|start\.json|rejects/.+)")


@dataclass(frozen=True)
class RunKeys:
    """The keys of one attempt of a run."""

    day: date
    run_id: str
    attempt: int = 0

    @property
    def stem(self) -> str:
        return f"{self.run_id[:8]}-{self.attempt}" if self.attempt else self.run_id[:8]

    @property
    def folder(self) -> str:
        return f"{_state_folder(self.day)}/{self.stem}"

    @property
    def start(self) -> str:
        return f"{self.folder}/start.json"

    @property
    def rejects(self) -> str:
        return f"{self.folder}/rejects"

    @property
    def ledger(self) -> str:
        return f"{self.folder}/ledger"

    def part_of(self, number: int) -> str:
        """Return the key of the scored rows of a shard."""
        return f"{PARTITION}={self.day}/part-{self.stem}-{number:05d}.parquet"

    def rejects_of(self, number: int) -> str:
        """Return the key of the rejected rows of a shard."""
        return f"{self.rejects}/part-{self.stem}-{number:05d}.csv"

    def refused_of(self, number: int) -> str:
        """Return the key of the rows that a shard rejected before it stopped. Later, the shard may be scored whole."""
        return f"{self.folder}/refused/part-{self.stem}-{number:05d}.csv"

    def ids_of(self, number: int) -> str:
        """Return the key of the hashes of the ids of a shard."""
        return f"{self.folder}/ids/{number:05d}.bin"

    def entry_of(self, number: int) -> str:
        """Return the key of the ledger entry of a shard."""
        return f"{self.ledger}/{number:05d}.json"


def start_attempt(store: Store, day: date, run_id: str, *, fresh: bool) -> tuple[RunKeys, bool]:
    """Start a run, or continue what an interrupted run with the same id began.

    Args:
        store: the files of the table.
        day: the date of the run.
        run_id: the identity of the run.
        fresh: whether to begin again in any case.

    Returns:
        The keys of the run, and whether its files may exist.
    """
    time = datetime.now(UTC).isoformat(timespec="seconds")
    content = {"run_id": run_id, "time": time, "token": secrets.token_hex(8)}
    for attempt in count():
        keys = RunKeys(day, run_id, attempt)
        if store.create(keys.start, json.dumps(content).encode()):
            return keys, False
        if not fresh and is_usable(store, keys):
            return keys, True
    raise AssertionError


def find_attempt(store: Store, day: date, run_id: str) -> RunKeys | None:
    """Find what an interrupted run with this id began and can be continued; None if there is nothing."""
    for attempt in count():
        keys = RunKeys(day, run_id, attempt)
        try:
            if is_usable(store, keys):
                return keys
        except KeyError:
            return None
    raise AssertionError


def is_usable(store: Store, keys: RunKeys) -> bool:
    """Return whether files of an attempt may be used: they are of the same run, and young enough.

    Raises:
        KeyError: there is no such attempt.
    """
    content = store.read(keys.start)
    try:
        document = json.loads(content)
        age = datetime.now(UTC) - datetime.fromisoformat(document["time"])
        return document["run_id"] == keys.run_id and -MAX_AGE < age < MAX_AGE  # clocks may be wrong
    except (ValueError, TypeError, LookupError):
        return False


def make_transaction(run_id: str, report: int) -> int:
    """Return the number of the transaction that publishes a run, with the number of its report."""
    return int(run_id[:_ID_DIGITS], 16) << _REPORT_BITS | report


def is_transaction_of(transaction: int | None, run_id: str) -> bool:
    """Return whether a transaction published this run."""
    return transaction is not None and transaction >> _REPORT_BITS == int(run_id[:_ID_DIGITS], 16)


def describe_transaction(transaction: int | None) -> str:
    """Name the run of a transaction for a message."""
    return "no run" if transaction is None else f"run {_format_id(transaction)[:8]}"


def report_key(day: date, transaction: int) -> str:
    """Return the key of the report of the run that a transaction published."""
    number = transaction & (1 << _REPORT_BITS) - 1
    name = f"_run-{number}.json" if number else "_run.json"
    return f"{_state_folder(day)}/{_format_id(transaction)[:8]}/{name}"


def page_key(day: date, transaction: int) -> str:
    """Return the key of the HTML page of the run that a transaction published."""
    return report_key(day, transaction).removesuffix("json") + "html"


def create_report(store: Store, day: date, run_id: str, content: str) -> int:
    """Write the report of a run under a key of its own, and return the transaction number that names it."""
    for number in range(1 << _REPORT_BITS):
        transaction = make_transaction(run_id, number)
        if store.create(report_key(day, transaction), content.encode()):
            return transaction
    raise TryAgainError(f"{store.location}: run {run_id[:8]} of {day} has too many reports")


def withheld_folder(day: date) -> str:
    """Return the folder of the withheld runs of a date."""
    return f"{WITHHELD_FOLDER}/{PARTITION}={day}"


def _state_folder(day: date) -> str:
    return f"{STATE_FOLDER}/{PARTITION}={day}"


def _format_id(transaction: int) -> str:
    return f"{transaction >> _REPORT_BITS:0{_ID_DIGITS}x}"


class RunName(NamedTuple):
    """The date of a run and the first 8 digits of its id. The keys of all its attempts have both."""

    day: str
    run8: str


def parse_run(key: str) -> RunName | None:
    """Return the run that wrote the file with this key; None for a file of another program."""
    for pattern in _KEYS_OF_RUNS:
        if match := pattern.fullmatch(key):
            return RunName(match["day"], match["run8"])
    return None


def is_part(key: str) -> bool:
    """Return whether a key is that of scored rows, of any program."""
    return _KEY_OF_PART.fullmatch(key) is not None


def is_start(key: str) -> bool:
    """Return whether a key is that of the start of an attempt."""
    return key.endswith("/start.json")


def is_record(key: str) -> bool:
    """Return whether a file stays as long as its run is published: its report, its rejects, its start."""
    return _KEY_OF_RECORD.fullmatch(key) is not None


def run_of_transaction(day: str, transaction: int) -> RunName:
    """Return the run that a transaction published."""
    return RunName(day, _format_id(transaction)[:8])
