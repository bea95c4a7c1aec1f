"""Listing the inputs of a run: which files of folders and globs are tables, by the same rules everywhere.

In a folder, a file that is not read is an error, because a result without its titles would look complete. Hidden files
and files that the job excludes are not expected to be read. The rules are the same on disks and in object stores.
"""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from gamesales.data.dialect import DEFAULT_FORMAT, TableFormat
from gamesales.data.file_format import CSV, detect_format
from gamesales.data.open_table import open_table
from gamesales.data.partitioned_file import add_partition_columns
from gamesales.errors import GamesalesError, InputNotFoundError, TryAgainError, UsageError
from gamesales.scoring.folders import (
    DELTA_LOG,
    find_leftovers,
    find_leftovers_beside,
    find_leftovers_within,
    find_staging_above,
    get_relative_path,
    require_file,
    require_no_table,
    require_plain_folder,
)
from gamesales.storage.keys import CLOUD_FORMS, hide_secrets

if TYPE_CHECKING:
    from gamesales.data.remote_file import TablePath
    from gamesales.data.table import TableFile
    from gamesales.scoring.delta_input import DeltaFile, DeltaInput
    from gamesales.scoring.folders import InputPath

# The schemes of object stores, and URLs of any kind.
_SCHEMES = ("s3://", "gs://", "az://")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# Names of tables. The reader opens such a file, and says what is wrong with it. Another name is a table by its content.
_SUFFIXES = (".csv", ".tsv", ".parquet", ".parq", ".csv.gz", ".csv.zst", ".csv.bz2")


@dataclass(frozen=True)
class InputRules:
    """Which files of a folder or glob are inputs.

    Attributes:
        exclude: patterns of files that are not inputs, such as ``*.md`` or ``checksums/*``: of the path below the
            folder, where ``*`` matches any characters, or of the name.
        require: a file that each input folder must have, such as ``_SUCCESS``. It is not an input.
        allow_empty: whether a run without files is allowed.
        outputs: the files and folders that the run itself writes, or their URLs. Below an input folder they are not
            inputs.
    """

    exclude: Sequence[str] = ()
    require: str | None = None
    allow_empty: bool = False
    outputs: Sequence[Path | str] = ()

    def excludes(self, relative: str) -> bool:
        """Return whether a path below an input folder is excluded. A folder is excluded with all its files."""
        names = (relative, relative + "/", relative.rpartition("/")[2])
        return relative == self.require or any(fnmatchcase(name, pattern) for name in names for pattern in self.exclude)

    def is_output(self, path: InputPath | TablePath) -> bool:
        """Return whether a path is an output of the run, or below an output."""
        if not isinstance(path, Path):
            urls = [str(output).rstrip("/") for output in self.outputs]
            return any(f"{path}/".startswith(f"{url}/") for url in urls)
        real_path = Path(os.path.realpath(path))  # Path.resolve fails if a link points to itself
        return any(real_path.is_relative_to(output) for output in self._real_outputs)

    @cached_property
    def _real_outputs(self) -> list[Path]:
        return [output.resolve() for output in self.outputs if isinstance(output, Path)]


ALL_TABLES = InputRules()


@dataclass(frozen=True)
class InputFile:
    """A file of a run that is not opened yet.

    Attributes:
        name: its path below the folder or glob that named it.
        path: the file, on a disk or in an object store.
        delta: what the log of its Delta table says of it; None for a file of no table.
    """

    name: str
    path: TablePath
    delta: DeltaFile | None = None

    def open(self, table_format: TableFormat = DEFAULT_FORMAT) -> TableFile:
        """Open the file with the columns that its folders or its Delta table add. See ``open_table``."""
        if self.delta is not None:
            return self.delta.open(self.path, table_format)
        return add_partition_columns(open_table(self.path, table_format), PurePosixPath(self.name).parts[:-1])


@dataclass
class Listing:
    """What a source of a run has: files to read, files that nobody reads, and leftovers of a running writer."""

    files: list[InputFile] = field(default_factory=list)
    unread: list[InputPath] = field(default_factory=list)
    leftovers: list[InputPath] = field(default_factory=list)

    def add(self, name: str, path: InputPath) -> None:
        """Add a file to read."""
        self.files.append(InputFile(name, path if isinstance(path, Path) else path.find()))


def list_source(source: str, rules: InputRules) -> Listing:
    """List what one source names.

    The name of a file is its path relative to the source. Below a glob, the name begins at the first folder with a
    wildcard.
    """
    path, listing = parse_path(source), Listing()
    if (table := _find_delta_table(path)) is not None:
        listing.files += [InputFile(*file) for file in table.list_files()]
    elif path.is_dir():
        _list_folder(path, path, rules, listing)
    elif path.exists():
        listing.add(path.name, path)
        _check_folders_of([path], rules, listing)
        listing.leftovers = [leftover for leftover in listing.leftovers if leftover != path]
    elif glob.has_magic(source):
        base, matches = _match_glob(source, path)
        matches = [match for match in matches if match.exists() and not rules.excludes(_relative(match, base))]
        matches = [match for match in matches if not rules.is_output(match)]
        listing.leftovers += [leftover for match in matches for leftover in find_leftovers_within(match, base)]
        for match in matches:
            if match.is_dir():
                _list_folder(match, base, rules, listing)
            else:
                listing.add(_relative(match, base), match)
        _check_folders_of([match for match in matches if not match.is_dir()], rules, listing)
        if not matches:
            _list_nothing(base, [], rules, listing)
    else:
        _list_nothing(path.parent, [path.name], rules, listing)
    return listing


def parse_path(source: str) -> InputPath:
    """Return the path on a disk or in an object store that a text names. It sends no request.

    Raises:
        UsageError: the URL is of another kind, or it has credentials or options.
    """
    if not source.startswith(_SCHEMES):
        if _URL.match(source):
            raise UsageError(
                f"expected a path, {CLOUD_FORMS}, received {hide_secrets(source)!r}",
                hint="Copy the titles to a disk or to an object store",
            )
        return Path(source)
    from gamesales.storage.object_path import ObjectPath

    return ObjectPath.from_url(source)


def _find_delta_table(path: InputPath) -> DeltaInput | None:
    """Return the Delta table at a path such as ``table`` or ``table@v7``; None if there is none."""
    folder, version = path, ""
    if not path.is_dir():
        name, _, version = path.name.rpartition("@v")
        if not name or not version.isdecimal():
            return None
        folder = path.parent / name
    if not (folder / DELTA_LOG).is_dir():
        return None
    from gamesales.scoring.delta_input import DeltaInput

    return DeltaInput(folder, int(version) if version else None)


def _match_glob(source: str, path: InputPath) -> tuple[InputPath, list[InputPath]]:
    """Return the folder above the first wildcard of a glob, and what the glob matches."""
    literal = list(itertools.takewhile(lambda part: not glob.has_magic(part), path.parts))
    if isinstance(path, Path):
        matches = sorted(glob.glob(source, recursive=True))  # noqa: PTH207, Path.glob takes no absolute pattern
        return Path(*literal), [Path(match) for match in matches]
    base = parse_path("/".join(literal))
    return base, sorted(base.glob("/".join(path.parts[len(literal) :])))


def _list_nothing(folder: InputPath, names: Sequence[str], rules: InputRules, listing: Listing) -> None:
    """List why a folder may not yet have files that are expected in it."""
    if folder.is_dir():
        listing.leftovers += find_leftovers_beside(folder, names)
    require_file(folder.joinpath(*names), rules.require)


def _check_folders_of(files: Sequence[InputPath], rules: InputRules, listing: Listing) -> None:
    """Check the folders of files that are named or that match a glob. The files are tables, whatever they hold."""
    names_by_folder: dict[InputPath, list[str]] = {}
    for file in files:
        names_by_folder.setdefault(file.parent, []).append(file.name)
    for folder, names in names_by_folder.items():
        require_file(folder, rules.require)
        listing.leftovers += find_leftovers_beside(folder, names)
    for folder in dict.fromkeys(file.resolve().parent for file in files):
        require_plain_folder(folder)


def _list_folder(folder: InputPath, base: InputPath, rules: InputRules, listing: Listing) -> None:
    """List the files of a folder at any depth, also through links. A folder that can't be listed is an error."""
    if not isinstance(folder, Path):
        folder.list_all()
    require_plain_folder(folder)
    require_file(folder, rules.require)
    listing.leftovers += find_staging_above(folder)
    visited: set[str] = set()
    tables: list[InputPath] = []
    for parent, folders, names in _walk(folder):
        if rules.is_output(parent):
            folders.clear()
            continue
        visited.add(_get_real_path(parent))
        require_no_table(parent, folders, names)
        if parent.is_symlink():
            require_plain_folder(parent)
        entries = [parent / name for name in find_leftovers([*folders, *names])]
        listing.leftovers += [path for path in entries if not rules.excludes(_relative(path, folder))]
        # Sorted, because the first path to a linked folder decides the names of its files.
        folders[:] = [name for name in sorted(folders) if _is_visible(parent / name, folder, rules)]
        folders[:] = [name for name in folders if _get_real_path(parent / name) not in visited]
        for path in (parent / name for name in names):
            if _is_visible(path, folder, rules) and not rules.is_output(path):
                (tables if _is_table(path) else listing.unread).append(path)
    for linked in dict.fromkeys(path.resolve().parent for path in tables if path.is_symlink()):
        require_plain_folder(linked)
    for name, path in sorted((_relative(path, base), path) for path in tables):
        listing.add(name, path)


def _walk(folder: InputPath) -> Iterator[tuple[InputPath, list[str], list[str]]]:
    """Walk a folder as ``os.walk`` does, also through links."""

    def fail(error: OSError) -> None:
        raise error

    if not isinstance(folder, Path):
        yield from folder.walk()
        return
    for root, folders, names in os.walk(folder, onerror=fail, followlinks=True):
        yield Path(root), folders, names


def _get_real_path(path: InputPath) -> str:
    return os.path.realpath(path) if isinstance(path, Path) else str(path)


def _is_visible(path: InputPath, folder: InputPath, rules: InputRules) -> bool:
    """Return whether a path below an input folder is neither hidden nor excluded.

    Names that begin with . or _ hold bookkeeping, as in Hadoop and Hive. A partition such as ``_region=eu`` is data.
    """
    is_hidden = path.name.startswith(".") or (path.name.startswith("_") and not ("=" in path.name and path.is_dir()))
    return not is_hidden and not rules.excludes(_relative(path, folder))


def _is_table(path: InputPath) -> bool:
    """Return whether a file in a folder is read: it has the name of a table, or it is Parquet or compressed.

    Text is a table by its name only, because notes and checksums are text too.
    """
    if not path.exists():
        raise InputNotFoundError(f"{path} is a broken link", hint="Fix or remove it")
    if path.name.lower().endswith(_SUFFIXES):
        return True
    try:
        return path.is_file() and detect_format(path if isinstance(path, Path) else path.find()) not in (None, CSV)
    except GamesalesError:
        raise
    except OSError as error:
        raise TryAgainError(f"{path} can't be read: {error.strerror or error}", hint="Check its permissions") from None


def _relative(path: InputPath, base: InputPath) -> str:
    return get_relative_path(path, base).as_posix()
