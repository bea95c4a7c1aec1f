"""The input files of a run: every table that the given files, folders and globs name, once, in a stable order.

In a folder, a file that is not read is an error, because a result without its titles would look complete. Hidden files
and files that the job excludes are not expected to be read.

The files are hashed in the background from the moment that they are found. Their digests are part of the run id, so
nothing can be written before they are complete, but the version can be loaded meanwhile.
"""

from __future__ import annotations

import glob
import itertools
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

from gamesales.data.file_format import CSV, detect_format
from gamesales.data.files import FileStamp, escape_surrogates, hash_in_background, read_stamp
from gamesales.errors import InputError, InputNotFoundError, TryAgainError
from gamesales.scoring.folders import (
    find_leftovers,
    find_leftovers_beside,
    find_leftovers_within,
    find_staging_above,
    require_no_table,
    require_plain_folder,
)

# Names of tables. The reader opens such a file, and says what is wrong with it. Another name is a table by its content.
_SUFFIXES = (".csv", ".tsv", ".parquet", ".parq", ".csv.gz", ".csv.zst", ".csv.bz2")
# One message lists at most this many files, and one hint this many patterns.
_MAX_FILES, _MAX_PATTERNS = 20, 5


@dataclass(frozen=True)
class InputRules:
    """Which files of a folder or glob are inputs.

    Attributes:
        exclude: patterns of files that are not inputs, such as ``*.md`` or ``checksums/*``: of the path below the
            folder, where ``*`` matches any characters, or of the name.
        require: a file that each input folder must have, such as ``_SUCCESS``. It is not an input.
        allow_empty: whether a run without files is allowed.
        outputs: the files and folders that the run itself writes. Below an input folder they are not inputs.
    """

    exclude: Sequence[str] = ()
    require: str | None = None
    allow_empty: bool = False
    outputs: Sequence[Path] = ()

    def excludes(self, relative: str) -> bool:
        """Return whether a path below an input folder is excluded. A folder is excluded with all its files."""
        names = (relative, relative + "/", relative.rpartition("/")[2])
        return relative == self.require or any(fnmatchcase(name, pattern) for name in names for pattern in self.exclude)

    def is_output(self, path: Path) -> bool:
        """Return whether a path is an output of the run, or below an output."""
        real_path = Path(os.path.realpath(path))  # Path.resolve fails if a link points to itself
        return any(real_path.is_relative_to(output) for output in self._real_outputs)

    @cached_property
    def _real_outputs(self) -> list[Path]:
        return [output.resolve() for output in self.outputs]


ALL_TABLES = InputRules()


@dataclass(frozen=True)
class InputFiles:
    """The files of a run, in order.

    Attributes:
        names: the path of each file below the folder or glob that named it.
        stamps: size and modification time of each file, taken before its content was read.
        sha256: a function that waits for the digest of the file at an index and returns its 64 hex digits.
    """

    names: Sequence[str]
    paths: Sequence[Path]
    stamps: Sequence[FileStamp]
    sha256: Callable[[int], str]


@dataclass
class _Listing:
    """What a source of a run has: tables by name, files that nobody reads, and leftovers of a running writer."""

    tables: list[tuple[str, Path]] = field(default_factory=list)
    unread: list[Path] = field(default_factory=list)
    leftovers: list[Path] = field(default_factory=list)


@contextmanager
def find_inputs(sources: Sequence[str], rules: InputRules = ALL_TABLES) -> Iterator[InputFiles]:
    """Find the files of a run, and hash them while the body runs. ``find_files`` has the arguments and the errors.

    Raises:
        TryAgainError: a file was removed meanwhile.
    """
    files = find_files(sources, rules)
    names, paths = [name for name, _ in files], [path for _, path in files]
    stamps = [read_stamp(path) for path in paths]
    with hash_in_background(paths) as sha256:
        yield InputFiles(names, paths, stamps, sha256)


def find_files(sources: Sequence[str], rules: InputRules = ALL_TABLES) -> list[tuple[str, Path]]:
    """Find the tables that files, folders and globs name.

    Args:
        sources: files, folders or globs.
        rules: which files of a folder are inputs.

    Returns:
        The name and the path of each file, each file once. A file whose short name is not unique is named by its path.

    Raises:
        InputNotFoundError: a source names no file.
        InputError: a folder has a file that is not read, or it is a table of a table format. Or a name is not UTF-8.
        TryAgainError: a writer has not finished, or the required file is missing.
    """
    listings = {source: _list_source(source, rules) for source in dict.fromkeys(sources)}
    leftovers = sorted(path for listing in listings.values() for path in listing.leftovers)
    _require_finished([path for path in leftovers if not rules.excludes(path.name)])
    _require_all_read(sorted(path for listing in listings.values() for path in listing.unread))
    files: dict[Path, tuple[str, Path]] = {}
    for source, listing in listings.items():
        if not listing.tables and not rules.allow_empty:
            raise InputNotFoundError(
                f"nothing to score at {source}: expected a CSV or Parquet file, or a folder of them",
                hint="Check the path, or allow an empty result with --allow-empty; see: gamesales score --help",
            )
        for name, path in listing.tables:
            files.setdefault(path.resolve(), (name, path))
    name_counts = Counter(name for name, _ in files.values())
    named = [(name if name_counts[name] == 1 else path.as_posix(), path) for name, path in files.values()]
    paths = [path for _, path in named]
    _require_plain_files(paths)
    _require_utf8(paths)
    return named


def _list_source(source: str, rules: InputRules) -> _Listing:
    """List what one source names.

    The name of a file is its path relative to the source. Below a glob, the name begins at the first folder with a
    wildcard.
    """
    path, listing = Path(source), _Listing()
    if path.is_dir():
        _list_folder(path, path, rules, listing)
    elif path.exists():
        listing.tables.append((path.name, path))
        _check_folders_of([path], rules, listing)
        listing.leftovers = [leftover for leftover in listing.leftovers if leftover != path]
    elif glob.has_magic(source):
        base = Path(*itertools.takewhile(lambda part: not glob.has_magic(part), path.parts))
        matches = [Path(match) for match in sorted(glob.glob(source, recursive=True))]  # noqa: PTH207, Path.glob takes no absolute pattern
        matches = [match for match in matches if match.exists() and not rules.excludes(_relative(match, base))]
        matches = [match for match in matches if not rules.is_output(match)]
        listing.leftovers += [leftover for match in matches for leftover in find_leftovers_within(match, base)]
        for match in matches:
            if match.is_dir():
                _list_folder(match, base, rules, listing)
            else:
                listing.tables.append((_relative(match, base), match))
        _check_folders_of([match for match in matches if not match.is_dir()], rules, listing)
        if not matches:
            _list_nothing(base, [], rules, listing)
    else:
        _list_nothing(path.parent, [path.name], rules, listing)
    return listing


def _list_nothing(folder: Path, names: Sequence[str], rules: InputRules, listing: _Listing) -> None:
    """List why a folder may not yet have files that are expected in it."""
    if folder.is_dir():
        listing.leftovers += find_leftovers_beside(folder, names)
    _require_complete_folder(folder.joinpath(*names), rules)


def _check_folders_of(files: Sequence[Path], rules: InputRules, listing: _Listing) -> None:
    """Check the folders of files that are named or that match a glob. The files are tables, whatever they hold."""
    names_by_folder: dict[Path, list[str]] = {}
    for file in files:
        names_by_folder.setdefault(file.parent, []).append(file.name)
    for folder, names in names_by_folder.items():
        _require_complete_folder(folder, rules)
        listing.leftovers += find_leftovers_beside(folder, names)
    for folder in dict.fromkeys(file.resolve().parent for file in files):
        require_plain_folder(folder)


def _list_folder(folder: Path, base: Path, rules: InputRules, listing: _Listing) -> None:
    """List the files of a folder at any depth, also through links. A folder that can't be listed is an error."""

    def fail(error: OSError) -> None:
        raise error

    require_plain_folder(folder)
    _require_complete_folder(folder, rules)
    listing.leftovers += find_staging_above(folder)
    visited: set[str] = set()
    tables: list[Path] = []
    for root, folders, names in os.walk(folder, onerror=fail, followlinks=True):
        parent = Path(root)
        if rules.is_output(parent):
            folders.clear()
            continue
        visited.add(os.path.realpath(root))
        require_no_table(parent, folders, names)
        if parent.is_symlink():
            require_plain_folder(parent)
        entries = [parent / name for name in find_leftovers([*folders, *names])]
        listing.leftovers += [path for path in entries if not rules.excludes(_relative(path, folder))]
        # Sorted, because the first path to a linked folder decides the names of its files.
        folders[:] = [name for name in sorted(folders) if _is_visible(parent / name, folder, rules)]
        folders[:] = [name for name in folders if os.path.realpath(os.path.join(root, name)) not in visited]  # noqa: PTH118
        for path in (parent / name for name in names):
            if _is_visible(path, folder, rules) and not rules.is_output(path):
                (tables if _is_table(path) else listing.unread).append(path)
    for linked in dict.fromkeys(path.resolve().parent for path in tables if path.is_symlink()):
        require_plain_folder(linked)
    listing.tables += sorted((_relative(path, base), path) for path in tables)


def _is_visible(path: Path, folder: Path, rules: InputRules) -> bool:
    """Return whether a path below an input folder is neither hidden nor excluded.

    Names that begin with . or _ hold bookkeeping, as in Hadoop and Hive. A partition such as ``_region=eu`` is data.
    """
    is_hidden = path.name.startswith(".") or (path.name.startswith("_") and not ("=" in path.name and path.is_dir()))
    return not is_hidden and not rules.excludes(_relative(path, folder))


def _is_table(path: Path) -> bool:
    """Return whether a file in a folder is read: it has the name of a table, or it is Parquet or compressed.

    Text is a table by its name only, because notes and checksums are text too.
    """
    if not path.exists():
        raise InputNotFoundError(f"{path} is a broken link", hint="Fix or remove it")
    if path.name.lower().endswith(_SUFFIXES):
        return True
    try:
        return path.is_file() and detect_format(path) not in (None, CSV)
    except OSError as error:
        raise TryAgainError(f"{path} can't be read: {error.strerror or error}", hint="Check its permissions") from None


def _require_complete_folder(folder: Path, rules: InputRules) -> None:
    if rules.require is not None and not (folder / rules.require).exists():
        raise TryAgainError(
            f"{folder} has no {rules.require}, which the job requires in each input folder",
            hint="Run the same command again when the folder is complete",
        )


def _require_finished(leftovers: Sequence[Path]) -> None:
    if leftovers:
        raise TryAgainError(
            f"a writer has not finished, or was interrupted: it left {_join_paths(leftovers)}",
            hint="Run the same command again when the input is complete. If no program writes it, remove what is left",
        )


def _require_all_read(unread: Sequence[Path]) -> None:
    if unread:
        patterns = dict.fromkeys(f"*{path.suffix}" if path.suffix else glob.escape(path.name) for path in unread)
        shown = json.dumps([*patterns][:_MAX_PATTERNS], ensure_ascii=False)
        raise InputError(
            f"expected tables only, found files that are neither Parquet nor named .csv: {_join_paths(unread)}",
            hint=f"Leave them out in the job file: exclude = {shown}. Or name the files to read, such as in/*.txt",
        )


def _require_plain_files(paths: Sequence[Path]) -> None:
    """Refuse pipes and devices. A run reads its inputs more than once, and a pipe without a writer never ends."""
    if others := [path for path in paths if not path.is_file()]:
        raise InputError(
            f"expected plain files, found pipes or devices: {_join_paths(others)}",
            hint="Write the titles to a file; or read them from standard input: gamesales score -",
        )


def _require_utf8(paths: Sequence[Path]) -> None:
    """Refuse paths that Arrow can't open and that a report can't hold."""
    faulty = [escaped for path in map(str, paths) if (escaped := escape_surrogates(path)) != path]
    if faulty:
        raise InputError(
            f"expected file names in UTF-8, found {_join_paths(faulty)}", hint="Rename the files, or exclude them"
        )


def _join_paths(paths: Sequence[str | Path]) -> str:
    distinct = list(dict.fromkeys(map(str, paths)))
    others = len(distinct) - _MAX_FILES
    return ", ".join(distinct[:_MAX_FILES]) + (f" and {others:,} more" if others > 0 else "")


def _relative(path: Path, base: Path) -> str:
    return path.relative_to(base).as_posix()
