"""Opening a file as a table by its content."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gamesales.data.dialect import DEFAULT_FORMAT, TableFormat
from gamesales.data.file_format import PARQUET, require_format
from gamesales.data.table import TableFile
from gamesales.errors import ColumnsError, GamesalesError, InputError, InputNotFoundError, TryAgainError

if TYPE_CHECKING:
    from gamesales.data.remote_file import TablePath


def open_table(path: TablePath, table_format: TableFormat = DEFAULT_FORMAT) -> TableFile:
    """Open a CSV or Parquet file and read its columns. The content of the file decides which it is.

    Args:
        path: the file.
        table_format: the dialect of CSV files, and the columns to rename.

    Raises:
        InputNotFoundError: the file is missing.
        InputError: the file is neither CSV nor Parquet, or it is damaged.
        ColumnsError: columns are duplicate, or a column to rename is missing.
        TryAgainError: the file can't be read now.
    """
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is not a plain file; expected CSV or Parquet", hint="Give the path of a file")
    try:
        table = _open_format(path, table_format)
    except GamesalesError:
        raise
    except FileNotFoundError:
        raise InputNotFoundError(f"no file {path}", hint="Give the path of an existing file") from None
    except OSError as error:
        raise TryAgainError(f"{path} can't be read: {error.strerror or error}", hint="Check its permissions") from None
    names = table.schema.names
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise ColumnsError(f"{path} has duplicate columns: {', '.join(duplicates)}", hint="Rename or drop them")
    if not table_format.columns:
        return table
    from gamesales.data.renamed_file import RenamedFile

    return RenamedFile(table, table_format.columns)


def _open_format(path: TablePath, table_format: TableFormat) -> TableFile:
    """Open a file with the reader of its format. The other reader is not loaded."""
    if require_format(path) == PARQUET:
        from gamesales.data.parquet_file import ParquetFile

        return ParquetFile(path)
    from gamesales.data.csv_file import CsvFile

    return CsvFile(path, table_format.csv)
