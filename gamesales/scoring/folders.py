"""Folders whose files must not be read as they are: tables of a table format, and folders that are still written.

The Parquet files of a table format, such as Delta Lake, include rows that were overwritten or deleted. Only the log of
the table says which files are current.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from gamesales.errors import InputError

# Each table format, a path that its tables have, and how Polars, DuckDB and Spark export the current rows.
_POLARS_DELTA = "pl.read_delta('{0}').write_parquet('titles.parquet')"
_POLARS_ICEBERG = "pl.scan_iceberg('{0}/metadata/….metadata.json').sink_parquet('titles.parquet')"
_TABLE_FORMATS = (
    ("Delta Lake", "_delta_log", "delta", _POLARS_DELTA, "delta_scan"),
    ("Iceberg", "metadata/*.metadata.json*", "iceberg", _POLARS_ICEBERG, "iceberg_scan"),
    ("Iceberg", "metadata/snap-*.avro", "iceberg", _POLARS_ICEBERG, "iceberg_scan"),
    ("Hudi", ".hoodie", "hudi", "", ""),
    ("Paimon", "snapshot/snapshot-*", "paimon", "", ""),
)
_MARKERS = {path.partition("/")[0] for _, path, *_ in _TABLE_FORMATS}

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


def require_plain_folder(folder: Path) -> None:
    """Check that a folder is neither a table of a table format nor a part of such a table.

    Raises:
        InputError: it is; the hint says how to export the current rows.
    """
    real = folder.resolve()
    for root in (real, *real.parents):
        for entry in _TABLE_FORMATS:
            if any(root.glob(entry[1])):
                raise _make_table_error(folder if root == real else root, *entry)


def require_no_table(folder: Path, folders: Sequence[str], names: Sequence[str]) -> None:
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


def find_leftovers_beside(folder: Path, files: Collection[str]) -> Iterator[Path]:
    """Yield the leftovers in a folder that concern these files: of the whole folder, or with the name of a file."""
    names = _list_names(folder)
    for name in find_leftovers(names):
        if is_staging(name, names) or any(file in name for file in files):
            yield folder / name
    yield from find_staging_above(folder)


def find_staging_above(folder: Path) -> Iterator[Path]:
    """Yield the leftovers above a folder that is one partition of a dataset, such as ``region=eu``."""
    if folder.name in {"", ".."}:
        folder = folder.resolve()
    while "=" in folder.name:
        folder = folder.parent
        names = _list_names(folder)
        yield from (folder / name for name in names if is_staging(name, names))


def find_leftovers_within(path: Path, base: Path) -> Iterator[Path]:
    """Yield the folders between a path that matches a glob and ``base`` in which a writer has not finished."""
    for folder in path.relative_to(base).parents:
        if any(find_leftovers([folder.name])):
            yield base / folder


def _list_names(folder: Path) -> list[str]:
    """Return the names in a folder; none if only files that are named can be opened in it."""
    try:
        return os.listdir(folder)  # noqa: PTH208, names are enough
    except PermissionError:
        return []


def _read_removed(path: Path) -> list[str]:
    """Return the files that a transaction of Databricks replaced."""
    try:
        document = json.loads(path.read_bytes())
        return [str(name) for name in document.get("removed", [])]
    except (OSError, ValueError, AttributeError):
        return []


def _make_table_error(folder: Path, name: str, marker: str, spark: str, polars: str, duckdb: str) -> InputError:
    commands = [f"Spark: spark.read.format('{spark}').load('{folder}').write.parquet('titles')"]
    if duckdb:
        commands = [
            f"Polars: {polars.format(folder)}",
            f"DuckDB: COPY (FROM {duckdb}('{folder}')) TO 'titles.parquet'",
            *commands,
        ]
    return InputError(
        f"{folder} is a table of {name} (it has {marker}); its files include rows that were overwritten or deleted",
        hint=f"Export the current rows, and score the export. With {'; '.join(commands)}",
    )
