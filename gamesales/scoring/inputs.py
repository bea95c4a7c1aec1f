"""The input files of a run: every table that the given files, folders and globs name, once, in a stable order.

The files are hashed in the background from the moment that they are found. Their digests are part of the run id, so
nothing can be written before they are complete, but the version can be loaded meanwhile.
"""

from __future__ import annotations

import glob
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gamesales.data.files import FileStamp, hash_in_background, read_stamp
from gamesales.data.open_table import is_table
from gamesales.errors import InputNotFoundError


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


@contextmanager
def find_inputs(
    sources: Sequence[str], *, allow_empty: bool = False, exclude: Path | None = None
) -> Iterator[InputFiles]:
    """Find the files of a run, and hash them while the body runs.

    Args:
        sources: files, folders or globs.
        allow_empty: whether a run without files is allowed.
        exclude: a folder of results that may lie below an input folder; its files are not inputs.

    Raises:
        InputNotFoundError: there is no file to read.
        TryAgainError: a file was removed meanwhile.
    """
    files = find_files(sources, allow_empty=allow_empty, exclude=exclude)
    names, paths = [name for name, _ in files], [path for _, path in files]
    stamps = [read_stamp(path) for path in paths]
    with hash_in_background(paths) as sha256:
        yield InputFiles(names, paths, stamps, sha256)


def find_files(
    sources: Sequence[str], *, allow_empty: bool = False, exclude: Path | None = None
) -> list[tuple[str, Path]]:
    """Find the CSV and Parquet files that files, folders and globs name. See ``find_inputs`` for the arguments.

    Returns:
        The name and the path of each file, each file once. A file whose short name is not unique is named by its path.

    Raises:
        InputNotFoundError: a source names no file.
    """
    files: dict[Path, tuple[str, Path]] = {}
    for source in sources:
        matches = _match_source(source, exclude)
        if not matches and not allow_empty:
            raise InputNotFoundError(
                f"nothing to score at {source}: expected a .csv, .csv.gz or .parquet file, or a folder of them",
                hint="Check the path, or allow an empty result with --allow-empty; see: gamesales score --help",
            )
        for name, path in matches:
            files.setdefault(path.resolve(), (name, path))
    name_counts = Counter(name for name, _ in files.values())
    return [(name if name_counts[name] == 1 else path.as_posix(), path) for name, path in files.values()]


def _match_source(source: str, exclude: Path | None) -> list[tuple[str, Path]]:
    """Find the files that one source names.

    The name of a file is its path relative to the source. Below a glob, the name begins at the first folder with a
    wildcard.
    """
    path = Path(source)
    if path.is_dir():
        tables = [file for file in _walk_tables(path) if not _is_below(file, exclude)]
        return sorted((file.relative_to(path).as_posix(), file) for file in tables)
    if path.exists():
        return [(path.name, path)]
    if not glob.has_magic(source):
        return []
    fixed = Path(*itertools.takewhile(lambda part: not glob.has_magic(part), path.parts))
    matches = [Path(match) for match in sorted(glob.glob(source, recursive=True))]  # noqa: PTH207, Path.glob takes no absolute pattern
    files = [file for match in matches if match.exists() for _, file in _match_source(str(match), exclude)]
    return [(file.relative_to(fixed).as_posix(), file) for file in files]


def _walk_tables(folder: Path) -> Iterator[Path]:
    """Yield the tables at any depth, also through links. A folder that can't be listed is an error, not empty."""

    def fail(error: OSError) -> None:
        raise error

    visited: set[str] = set()
    for parent, folders, names in os.walk(folder, onerror=fail, followlinks=True):
        visited.add(os.path.realpath(parent))
        # Sorted, because the first path to a linked folder decides the names of its files.
        visible = sorted(name for name in folders if not _is_hidden(name))
        folders[:] = [name for name in visible if os.path.realpath(os.path.join(parent, name)) not in visited]  # noqa: PTH118
        for name in names:
            path = Path(parent, name)
            if _is_hidden(name) or not is_table(name):
                continue
            if not path.exists():
                raise InputNotFoundError(f"{path} is a broken link", hint="Fix or remove it")
            yield path


def _is_hidden(name: str) -> bool:
    """Names that begin with . or _ hold bookkeeping, as in Hadoop and Hive."""
    return name.startswith((".", "_"))


def _is_below(path: Path, folder: Path | None) -> bool:
    return folder is not None and path.resolve().is_relative_to(folder.resolve())
