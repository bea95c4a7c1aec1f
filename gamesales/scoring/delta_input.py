"""A Delta table as an input: the active files of one version, with the columns that the log has for them.

The log decides everything: which files are active, the columns and their types, and the values of partition columns.
A version is never changed, so its id and number are part of the run id.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import pyarrow as pa

from gamesales.data.conformed_file import ConformedFile
from gamesales.data.dialect import TableFormat
from gamesales.data.open_table import open_table
from gamesales.data.renamed_file import RenamedFile
from gamesales.data.table import TableFile
from gamesales.errors import GamesalesError, InputError, InputNotFoundError, TryAgainError
from gamesales.scoring.folders import DELTA_LOG, join_paths, require_plain_folder

if TYPE_CHECKING:
    import deltalake

    from gamesales.data.remote_file import TablePath
    from gamesales.scoring.folders import InputPath

# Features of a table that do not change how its active files are read, or that are checked here.
_READABLE_FEATURES = {"columnMapping", "deletionVectors", "timestampNtz", "v2Checkpoint", "vacuumProtocolCheck"}
_SETTINGS = ("AWS_", "AZURE_", "GOOGLE_")
# How long and how often requests are retried, as for other objects. The default gives up after 180 s.
_TIMEOUTS = {"connect_timeout": "5s", "timeout": "20s", "max_retries": "5", "retry_timeout": "10s"}
# Between the causes of an error, deltalake has line breaks and colored arrows.
_ARROW = re.compile(r"\s*(\x1b\[\d+m)?↳(\x1b\[\d+m)?\s*")
# In the text of an error of a store, also where deltalake raises an error of its own, as for a checkpoint.
_STORE_ERROR = "HTTP error"
# The begin of an absolute URL.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
# Sizes of objects are requested by this many threads.
_THREADS = 16
_REWRITE_HINT = "Rewrite the table without it, such as with: REORG TABLE … APPLY (PURGE); or export the current rows"


@dataclass(frozen=True)
class DeltaFile:
    """What the log says of an active file.

    Attributes:
        version: the id of the table and its version, such as ``6d307d1d-…@v7``.
        columns: the columns of the table.
        partition: the values of its partition columns; each an array of length 1.
    """

    version: str
    columns: pa.Schema
    partition: Mapping[str, pa.Array]

    def open(self, path: TablePath, table_format: TableFormat) -> TableFile:
        """Open the file with the columns of the table, under their names in the program. See ``open_table``."""
        table: TableFile = ConformedFile(open_table(path), self.columns, self.partition)
        return RenamedFile(table, table_format.columns) if table_format.columns else table


@dataclass(frozen=True)
class DeltaInput:
    """A version of a Delta table.

    Attributes:
        folder: the table.
        number: the version; None for the newest.

    Raises:
        InputError: deltalake is not installed, there is no such version, or the version can't be read exactly.
        TryAgainError: a file of the version was removed.
    """

    folder: InputPath
    number: int | None = None
    _table: deltalake.DeltaTable = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_table", _open_table(self.folder, self.number))
        self._require_plain_files()

    def list_files(self) -> Iterator[tuple[str, TablePath, DeltaFile]]:
        """Yield the name, the path and the columns of each active file, in the order of their names."""
        version = f"{self._table.metadata().id}@v{self._table.version()}"
        columns = pa.schema(self._table.schema().to_arrow())
        columns = pa.schema([column.remove_metadata().with_nullable(True) for column in columns])
        with _translate_errors(self.folder, self.number):
            actions = pa.table(self._table.get_add_actions()).combine_chunks()
        names = [unquote(path) for path in actions["path"].to_pylist()]
        sizes = actions["size_bytes"].to_pylist()
        with ThreadPoolExecutor(_THREADS) as pool:
            paths = list(pool.map(self._find_file, names, sizes))
        for index in sorted(range(len(names)), key=names.__getitem__):
            partition = self._read_partition(actions, index, columns)
            yield names[index], paths[index], DeltaFile(version, columns, partition)

    def _read_partition(self, actions: pa.Table, index: int, columns: pa.Schema) -> dict[str, pa.Array]:
        """Return the partition columns of an active file, in the types of the table."""
        names = self._table.metadata().partition_columns
        if not names:
            return {}
        values = actions["partition"].chunk(0).slice(index, 1)
        return {name: values.field(name).cast(columns.field(name).type) for name in names}

    def _find_file(self, name: str, size: int) -> TablePath:
        """Return the path of an active file. Refuse a file that is missing or has another size than in the log.

        The log may name files anywhere, as a shallow clone does. Those outside the folder of the table are refused.
        """
        if name.startswith("/") or _SCHEME.match(name) or ".." in name.split("/"):
            raise InputError(
                f"the log of {self.folder} names a file outside the table, as a shallow clone does: {name!r}",
                hint="Name the table that was cloned, or copy the rows: CREATE TABLE … AS SELECT",
            )
        path = self.folder / name
        if not path.is_file():
            hint = "Run it again: it reads the newest version"
            if self.number is not None:
                hint = f"Name a newer version, or the table without @v{self.number}"
            raise TryAgainError(
                f"{path} of version {self._table.version()} of {self.folder} was removed, as VACUUM does", hint=hint
            )
        file: TablePath = path if isinstance(path, Path) else path.find()
        present = file.stat().st_size if isinstance(file, Path) else file.stamp[0]
        if present != size:
            raise InputError(f"{file} has {present:,} bytes, but {size:,} in the log of its table; it was changed")
        return file

    def _require_plain_files(self) -> None:
        """Refuse a version whose active files, read as Parquet, would give other rows than the table has."""
        table, where = self._table, f"{self.folder} (version {self._table.version()})"
        features = set(table.protocol().reader_features or ())
        if unknown := sorted(features - _READABLE_FEATURES):
            raise InputError(f"{where} needs a reader with {', '.join(unknown)}", hint=_REWRITE_HINT)
        if table.metadata().configuration.get("delta.columnMapping.mode", "none") != "none":
            raise InputError(
                f"{where} maps its columns to other names in its files (delta.columnMapping.mode)", hint=_REWRITE_HINT
            )
        if "deletionVectors" not in features:
            return
        with _translate_errors(self.folder, self.number):
            vectors = pa.table(table.deletion_vectors().read_all())
        deleted = vectors["filepath"].to_pylist()
        if deleted:
            raise InputError(
                f"{where} has files with deletion vectors, whose rows are partly deleted: {join_paths(deleted)}",
                hint=_REWRITE_HINT,
            )


def _open_table(folder: InputPath, number: int | None) -> deltalake.DeltaTable:
    try:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError
    except ImportError:
        require_plain_folder(folder)  # refuses a table
        raise
    options = {name: value for name, value in os.environ.items() if name.startswith(_SETTINGS)} | _TIMEOUTS
    # In a URL, deltalake decodes %-escapes, some of them twice. Our keys are literal, so a key with % fails.
    location = str(folder) if isinstance(folder, Path) else quote(str(folder), safe=":/")
    with _translate_errors(folder, number):
        try:
            return DeltaTable(location, version=number, storage_options=options)
        except DeltaError:
            if number is None:
                raise
            newest = DeltaTable(location, storage_options=options)
            if (message := describe_missing_version(str(folder), newest, number)) is None:
                raise
            raise InputNotFoundError(
                message, hint=f"Name the newest version: {folder}@v{newest.version()}, or {folder}"
            ) from None


def describe_missing_version(name: str, newest: deltalake.DeltaTable, number: int) -> str | None:
    """Return a message if the log of a table does not have a version.

    Args:
        name: the table as people name it.
        newest: the table at its newest version.
        number: the version.

    Returns:
        A message with the versions that the log has. None if it has the version.
    """
    # Not every writer describes its commits, and a table without any description has no history.
    first, last = min((commit["version"] for commit in newest.history()), default=0), newest.version()
    if first <= number <= last:
        return None
    versions = f"versions {first} to {last}" if first < last else f"version {first} only"
    return f"{name} has no version {number}; its log has {versions}"


@contextmanager
def _translate_errors(folder: InputPath, number: int | None) -> Iterator[None]:
    """Turn errors of deltalake into errors of an input."""
    from deltalake.exceptions import DeltaError

    try:
        yield
    except GamesalesError:
        raise
    except (DeltaError, OSError, ValueError) as error:
        text = _ARROW.sub(": ", str(error))
        if (isinstance(error, OSError) or _STORE_ERROR in text) and not isinstance(folder, Path):
            from gamesales.storage.bucket import raise_input_errors
            from gamesales.storage.cloud import make_error

            with raise_input_errors():
                raise make_error(str(folder), text) from None
        version = "" if number is None else f" in version {number}"
        raise InputError(
            f"{folder} can't be read as a table of Delta Lake{version}: {' '.join(text.split())}",
            hint=f"Check {folder}/{DELTA_LOG}",
        ) from None
