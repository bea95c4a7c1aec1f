"""Folders whose files must not be read as they are: tables of a table format, and folders that are still written.

The Parquet files of a table format, such as Delta Lake, include rows that were overwritten or deleted. Only the log of
the table says which files are current.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from gamesales.errors import InputError, TryAgainError, format_install

if TYPE_CHECKING:
    from gamesales.storage.object_path import ObjectPath

    InputPath = Path | ObjectPath

DELTA_LOG = "_delta_log"
# Each table format, a path that its tables have, and how Polars, DuckDB and Spark export the current rows.
_POLARS_DELTA = "pl.read_delta('{0}').write_parquet('titles.parquet')"
_POLARS_ICEBERG = "pl.scan_iceberg('{0}/metadata/….metadata.json').sink_parquet('titles.parquet')"
_TABLE_FORMATS = (
    ("Delta Lake", DELTA_LOG, "delta", _POLARS_DELTA, "delta_scan"),
    ("Iceberg", "metadata/*.metadata.json*", "iceberg", _POLARS_ICEBERG, "iceberg_scan"),
    ("Iceberg", "metadata/snap-*.avro", "iceberg", _POLARS_ICEBERG, "iceberg_scan"),
    ("Hudi", ".hoodie", "hudi", "", ""),
    ("Paimon", "snapshot/snapshot-*", "paimon", "", ""),
)
_MARKERS = {path.partition("/")[0] for _, path, *_ in _TABLE_FORMATS}

# One message lists at most this many files.
_MAX_FILES = 20

# Folders in which Spark and Hive write, until they move the complete files to their places.
_STAGING = re.compile(r"_temporary|\.spark-staging.*|\.hive-staging.*")
# Files that a program writes or has open: downloads, copies (rsync adds six characters), documents in LibreOffice. The
# temporary files of gamesales itself are hidden and replace a file in one step, so they don't matter.
_UNFINISHED = re.compile(
    r"(?!\.gamesales-).+\.(tmp|crdownload|part|partial|filepart|gstmp|aria2|inprogress(\..*)?|_copying_)"
    r"|\..+\.(csv|tsv|parquet|parq|gz|zst|bz2)\.[a-z0-9]{6}"
    r"|\.~lock\..+#",
    re.IGNORECASE,
)
# Databricks writes _started_ID before the files of a transaction, and _committed_ID after them.
_STARTED = re.compile(r"_started_(\d+)")
_COMMITTED = re.compile(r"_committed_\d+")


class IncompleteInputError(TryAgainError):
    """A writer of the input has not finished, or a file that the job requires is missing."""


def require_plain_folder(folder: InputPath) -> None:
    """Check that a folder is neither a table of a table format nor a part of such a table.

    Raises:
        InputError: it is; the hint says how to export the current rows.
    """
    real = folder.resolve()
    for root in (real, *real.parents):
        for entry in _TABLE_FORMATS:
            if any(root.glob(entry[1])):
                raise _make_table_error(folder if root == real else root, *entry)


def require_no_table(folder: InputPath, folders: Sequence[str], names: Sequence[str]) -> None:
    """Check a folder below an input folder, of which the folders and files are listed.

    Raises:
        InputError: it is a table of a table format, or it has files that a later transaction of Databricks replaced.
    """
    if not _MARKERS.isdisjoint(folders):
        require_plain_folder(folder)
    removed = {name for log in names if _COMMITTED.fullmatch(log) for name in _read_removed(folder / log)}
    if stale := sorted(removed & set(names)):
        raise InputError(
            f"{folder} has {stale[0]}, which a later transaction of Databricks replaced",
            hint=f"Delete the replaced files: VACUUM '{folder}'",
        )


def require_file(folder: InputPath, name: str | None) -> None:
    """Check that a folder has a file that a job requires, if it requires one.

    Raises:
        IncompleteInputError: the folder does not have the file.
    """
    if name is not None and not (folder / name).exists():
        raise IncompleteInputError(
            f"{folder} has no {name}, which the job requires in each input folder",
            hint="Run the same command again when the folder is complete",
        )


def require_finished(leftovers: Sequence[InputPath]) -> None:
    """Check that no writer has left anything.

    Raises:
        IncompleteInputError: there are leftovers.
    """
    if leftovers:
        raise IncompleteInputError(
            f"a writer has not finished, or was interrupted: it left {join_paths(leftovers)}",
            hint="Run the same command again when the input is complete. If no program writes it, remove what is left",
        )


def get_relative_path(path: InputPath, base: InputPath) -> PurePath:
    """Return a path relative to a folder above it."""
    return path.relative_to(base)  # type: ignore[arg-type]  # both are on a disk, or both in one bucket


def join_paths(paths: Sequence[object]) -> str:
    """Join the first paths for a message, and count the others."""
    distinct = list(dict.fromkeys(map(str, paths)))
    others = len(distinct) - _MAX_FILES
    return ", ".join(distinct[:_MAX_FILES]) + (f" and {others:,} more" if others > 0 else "")


def find_leftovers(names: Sequence[str]) -> Iterator[str]:
    """Yield the entries of a folder that only a writer that has not finished leaves there."""
    for name in names:
        if _UNFINISHED.fullmatch(name) or is_staging(name, names):
            yield name


def is_staging(name: str, names: Sequence[str]) -> bool:
    """Return whether an entry of a folder with these ``names`` means that the folder as a whole is not finished."""
    if started := _STARTED.fullmatch(name):
        return f"_committed_{started[1]}" not in names
    return _STAGING.fullmatch(name) is not None


def find_leftovers_beside(folder: InputPath, files: Collection[str]) -> Iterator[InputPath]:
    """Yield the leftovers in a folder that concern these files: of the whole folder, or with the name of a file."""
    names = _list_names(folder)
    for name in find_leftovers(names):
        if is_staging(name, names) or any(file in name for file in files):
            yield folder / name
    yield from find_staging_above(folder)


def find_staging_above(folder: InputPath) -> Iterator[InputPath]:
    """Yield the leftovers above a folder that is one partition of a dataset, such as ``region=eu``."""
    if folder.name in {"", ".."}:
        folder = folder.resolve()
    while "=" in folder.name:
        folder = folder.parent
        names = _list_names(folder)
        yield from (folder / name for name in names if is_staging(name, names))


def find_leftovers_within(path: InputPath, base: InputPath) -> Iterator[InputPath]:
    """Yield the folders between a path that matches a glob and ``base`` in which a writer has not finished."""
    for folder in get_relative_path(path, base).parents:
        if any(find_leftovers([folder.name])):
            yield base / folder


def _list_names(folder: InputPath) -> list[str]:
    """Return the names in a folder; none if only files that are named can be opened in it."""
    try:
        if isinstance(folder, Path):
            return os.listdir(folder)  # noqa: PTH208, names are enough
        listed = folder.list_folder()
        return [*listed.folders, *listed.objects]
    except PermissionError:
        return []


def _read_removed(path: InputPath) -> list[str]:
    """Return the files that a transaction of Databricks replaced."""
    try:
        with path.open("rb") as file:
            document = json.load(file)
        return [str(name) for name in document.get("removed", [])]
    except (OSError, ValueError, AttributeError):
        return []


def _make_table_error(folder: InputPath, name: str, marker: str, spark: str, polars: str, duckdb: str) -> InputError:
    advice = "Export the current rows, and score the export"
    if marker == DELTA_LOG:
        advice = (
            f"Name the table itself as an input: {folder}; this needs {format_install('gamesales[lake]')}. "
            "Or export the current rows"
        )
    commands = [f"Spark: spark.read.format('{spark}').load('{folder}').write.parquet('titles')"]
    if duckdb:
        commands = [
            f"Polars: {polars.format(folder)}",
            f"DuckDB: COPY (FROM {duckdb}('{folder}')) TO 'titles.parquet'",
            *commands,
        ]
    return InputError(
        f"{folder} is a table of {name} (it has {marker}); its files include rows that were overwritten or deleted",
        hint=f"{advice}. With {'; '.join(commands)}",
    )
