"""Score a shard of a run and put its files into the table's store, from any machine.

A worker needs no disk that it shares with other workers. It writes a shard to a temporary folder of its own and copies
the files to the store. The ledger entry comes last. So a shard with an entry is complete, and a run that was killed
continues from its ledger.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from gamesales.data.files import WRITE_ERRORS, explain_write_errors
from gamesales.errors import TryAgainError
from gamesales.lake.keys import RunKeys
from gamesales.lake.location import TableLocation, explain_store_errors
from gamesales.report.format import format_count
from gamesales.scoring.ledger import ShardResult, format_entry, parse_entry
from gamesales.scoring.parts import UNFINISHED
from gamesales.scoring.shard import ShardPaths, ShardScorer, ShardTask, temporary_path
from gamesales.storage.store import Store

# Ledger entries that are read at a time.
_READERS = 16


@dataclass(frozen=True)
class TableShardScorer:
    """Scores any shard of a run into a table, in this process or in another process, which gets a pickle of it.

    Attributes:
        scorer: scores a shard into a folder.
        location: the table.
        keys: the keys of the run.
    """

    scorer: ShardScorer
    location: TableLocation
    keys: RunKeys
    _stores: list[Store] = field(default_factory=list, compare=False, repr=False)

    def __reduce__(self) -> tuple[type[TableShardScorer], tuple[object, ...]]:
        return type(self), (self.scorer, self.location, self.keys)

    def score(self, task: ShardTask, on_rows: Callable[[int], None]) -> ShardResult:
        """Score a shard, put its files, and enter it in the ledger.

        The result is that of the ledger: if another process has entered the shard before, its files are used.

        Raises:
            TryAgainError: the store, or the temporary folder, can't be written now.
            InputError: an input is damaged.
        """
        number, root = task.shard.number, Path(gettempdir())
        with explain_write_errors(WRITE_ERRORS, root), TemporaryDirectory(prefix="gamesales-") as folder:
            paths = scratch_paths(Path(folder), number)
            result = self.scorer.score(replace(task, paths=paths), on_rows)
            with explain_store_errors():
                return self._put(number, paths, result)

    def _put(self, number: int, paths: ShardPaths, result: ShardResult) -> ShardResult:
        store = self._open_store()
        if result.over_reject_limit:
            _put_file(store, self.keys.refused_of(number), paths.work / paths.rejects)
            return result
        keys = {
            paths.part: self.keys.part_of(number),
            paths.rejects: self.keys.rejects_of(number),
            paths.ids: self.keys.ids_of(number),
        }
        files = {}
        for name, size in result.files.items():
            files[_put_file(store, keys[name], temporary_path(paths.work / name))] = size
        result = replace(result, files=files)
        entry = self.keys.entry_of(number)
        if store.create(entry, format_entry(result).encode()):
            return result
        earlier = parse_entry(store.read(entry))
        if earlier is None:
            raise TryAgainError(
                f"{store.location}{entry} can't be read; another release may have written it",
                hint="Score the date with --fresh",
            )
        return earlier

    def _open_store(self) -> Store:
        if not self._stores:  # once in each process
            self._stores.append(self.location.open_store())
        return self._stores[0]


def scratch_paths(folder: Path, number: int) -> ShardPaths:
    """Return where the files of a shard are in a temporary folder."""
    name = f"{number:05d}"
    return ShardPaths(folder, f"{name}.parquet{UNFINISHED}", f"{name}.csv", rejects_header=True, ids=f"{name}.ids")


def _put_file(store: Store, key: str, path: Path) -> str:
    """Copy a file to the store and return its key. The same bytes may be there.

    Another process may have put other bytes: CPUs of another kind round differently, and the rejects of a shard that
    stopped end where their limit is reached. Then the key gets the digest of the file.
    """
    data = path.read_bytes()
    if store.create(key, data) or store.read(key) == data:
        return key
    stem, _, suffix = key.rpartition(".")
    key = f"{stem}-{hashlib.sha256(data).hexdigest()[:16]}.{suffix}"
    if store.create(key, data) or store.read(key) == data:
        return key
    raise TryAgainError(f"{store.location}{key} has other content than this run", hint="Score the date with --fresh")


def read_ledger(store: Store, keys: RunKeys) -> dict[int, ShardResult]:
    """Return the finished shards by number: those with an entry whose files are all complete."""
    entries = store.list(keys.ledger)
    if not entries:
        return {}
    sizes = list_sizes(store, keys)
    with ThreadPoolExecutor(_READERS) as pool:
        results = zip(entries, pool.map(store.read, entries), strict=True)
        ledger = {int(Path(key).stem): parse_entry(content) for key, content in results}
    return {number: result for number, result in sorted(ledger.items()) if result and _is_complete(result, sizes)}


def list_sizes(store: Store, keys: RunKeys) -> dict[str, int]:
    """Return the sizes of the files of a run, by key."""
    files = {**store.list_files(str(Path(keys.part_of(0)).parent)), **store.list_files(keys.folder)}
    return {key: file.size for key, file in files.items()}


def require_files(store: Store, keys: RunKeys, results: Mapping[int, ShardResult]) -> None:
    """Check that all files of finished shards are there, right before they are published.

    Raises:
        TryAgainError: a file is missing or has another size.
    """
    sizes = list_sizes(store, keys)
    broken = [number for number, result in results.items() if not _is_complete(result, sizes)]
    if broken:
        raise TryAgainError(
            f"{store.location}: files of {format_count(len(broken), 'shard')} were removed or changed while this run "
            "needed them; nothing was published",
            hint="Run it again; if it fails again, with --fresh",
        )


def _is_complete(result: ShardResult, sizes: Mapping[str, int]) -> bool:
    return all(sizes.get(key) == size for key, size in result.files.items())


def fetch_ids(store: Store, keys: RunKeys, number: int, result: ShardResult, folder: Path) -> ShardResult:
    """Copy the hashes of a shard's ids to a temporary folder; return the result with that file alone."""
    prefix, paths = keys.ids_of(number).removesuffix(".bin"), scratch_paths(folder, number)
    for key in result.files:
        if key.startswith(prefix):
            data = store.read(key)
            (folder / paths.ids).write_bytes(data)
            return replace(result, files={paths.ids: len(data)})
    return replace(result, files={})
