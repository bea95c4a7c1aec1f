"""Tables of titles on disk: which kinds there are, and how to open one."""

from __future__ import annotations

from pathlib import Path

from gamesales.data.batches import TableFile
from gamesales.data.csv_file import CsvFile
from gamesales.data.parquet_file import ParquetFile
from gamesales.errors import ColumnsError, InputError, InputNotFoundError, TryAgainError

SUFFIXES = (".csv", ".csv.gz", ".parquet")


def is_table(name: str) -> bool:
    """Tell by its name whether a file is a table that can be read."""
    return any(name.lower().endswith(suffix) and len(name) > len(suffix) for suffix in SUFFIXES)


def open_table(path: Path) -> TableFile:
    """Open a CSV or Parquet file and learn its columns.

    Raises: InputNotFoundError: no such file. InputError: it is neither, or damaged. ColumnsError: doubled columns.
    """
    if not is_table(path.name):
        raise InputError(f"{path} is neither .csv, .csv.gz nor .parquet", hint="Convert it, or rename it to what it is")
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is not a plain file; expected CSV or Parquet", hint="Give the path of a file")
    try:
        table: TableFile = ParquetFile(path) if path.suffix.lower() == ".parquet" else CsvFile(path)
    except FileNotFoundError:
        raise InputNotFoundError(f"no file {path}", hint="Give the path of an existing file") from None
    except OSError as error:
        raise TryAgainError(f"{path} can't be read: {error.strerror or error}", hint="Check its permissions") from None
    names = table.schema.names
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ColumnsError(f"{path} has columns twice: {', '.join(doubled)}", hint="Rename or drop one of each")
    return table
