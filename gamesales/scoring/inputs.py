"""The input files of a run: every table that the given files, folders and globs name, once, in a stable order.

The files are hashed in the background from the moment that they are found. Their digests are part of the run id, so
nothing can be written before they are complete, but the version can be loaded meanwhile.
"""

from __future__ import annotations

import glob
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gamesales.data.files import FileStamp, escape_surrogates, hash_in_background, read_stamp
from gamesales.errors import InputError, InputNotFoundError
from gamesales.scoring.folders import join_paths, require_finished
from gamesales.scoring.listing import ALL_TABLES, InputFile, InputRules, list_source, parse_path

if TYPE_CHECKING:
    from gamesales.data.remote_file import TablePath
    from gamesales.scoring.folders import InputPath

# One hint lists at most this many patterns.
_MAX_PATTERNS = 5


@dataclass(frozen=True)
class InputFiles:
    """The files of a run, in order.

    Attributes:
        stamps: size, and modification time or ETag of each file, taken before its content was read.
        sha256: a function that waits for the digest of the file at an index and returns its 64 hex digits.
    """

    files: Sequence[InputFile]
    stamps: Sequence[FileStamp]
    sha256: Callable[[int], str]

    @property
    def delta_versions(self) -> list[str]:
        """The id and the version of each Delta table that is read, such as ``6d307d1d-…@v7``."""
        return list(dict.fromkeys(file.delta.version for file in self.files if file.delta is not None))


@contextmanager
def find_inputs(sources: Sequence[str], rules: InputRules = ALL_TABLES) -> Iterator[InputFiles]:
    """Find the files of a run, and hash them while the body runs. ``find_files`` has the arguments and the errors.

    Raises:
        TryAgainError: a file was removed meanwhile.
    """
    files = find_files(sources, rules)
    stamps = [read_stamp(file.path) for file in files]
    with hash_in_background([file.path for file in files]) as sha256:
        yield InputFiles(files, stamps, sha256)


def find_files(sources: Sequence[str], rules: InputRules = ALL_TABLES) -> list[InputFile]:
    """Find the tables that files, folders and globs name, on disks and in object stores.

    Args:
        sources: files, folders, globs or Delta tables. Each may be a URL.
        rules: which files of a folder are inputs.

    Returns:
        The files, each once. A file whose short name is not unique is named by its path.

    Raises:
        InputNotFoundError: a source names no file.
        InputError: a folder has a file that is not read, or it is a table of a table format. Or a name is not UTF-8.
        TryAgainError: a writer has not finished, or the required file is missing.
    """
    listings = {source: list_source(source, rules) for source in dict.fromkeys(sources)}
    leftovers = _sort_paths(path for listing in listings.values() for path in listing.leftovers)
    require_finished([path for path in leftovers if not rules.excludes(path.name)])
    _require_all_read(_sort_paths(path for listing in listings.values() for path in listing.unread))
    files: dict[TablePath, InputFile] = {}
    for source, listing in listings.items():
        if not listing.files and not rules.allow_empty:
            raise InputNotFoundError(
                f"nothing to score at {source}: expected a CSV or Parquet file, or a folder of them",
                hint="Check the path, or allow an empty result with --allow-empty; see: gamesales score --help",
            )
        for file in listing.files:
            files.setdefault(file.path.resolve() if isinstance(file.path, Path) else file.path, file)
    name_counts = Counter(file.name for file in files.values())
    named = [
        file if name_counts[file.name] == 1 else replace(file, name=file.path.as_posix()) for file in files.values()
    ]
    paths = [file.path for file in named]
    _require_plain_files(paths)
    _require_utf8(paths)
    return named


def find_table_file(source: str) -> TablePath:
    """Find the file that a path or URL names. A file on a disk is not looked for yet.

    Reading an object that was changed since raises a TryAgainError.

    Raises:
        UsageError: the URL is of another kind, or it has credentials or options.
        InputNotFoundError: there is no such object.
        InputError: the credentials, permissions or settings do not allow the request.
        TryAgainError: the store does not answer.
    """
    path = parse_path(source)
    return path if isinstance(path, Path) else path.find()


def _require_all_read(unread: Sequence[InputPath]) -> None:
    if unread:
        patterns = dict.fromkeys(f"*{path.suffix}" if path.suffix else glob.escape(path.name) for path in unread)
        shown = json.dumps([*patterns][:_MAX_PATTERNS], ensure_ascii=False)
        raise InputError(
            f"expected tables only, found files that are neither Parquet nor named .csv: {join_paths(unread)}",
            hint=f"Leave them out in the job file: exclude = {shown}. Or name the files to read, such as in/*.txt",
        )


def _require_plain_files(paths: Sequence[TablePath]) -> None:
    """Refuse pipes and devices. A run reads its inputs more than once, and a pipe without a writer never ends."""
    if others := [path for path in paths if not path.is_file()]:
        raise InputError(
            f"expected plain files, found pipes or devices: {join_paths(others)}",
            hint="Write the titles to a file; or read them from standard input: gamesales score -",
        )


def _require_utf8(paths: Sequence[TablePath]) -> None:
    """Refuse paths that Arrow can't open and that a report can't hold."""
    faulty = [escaped for path in map(str, paths) if (escaped := escape_surrogates(path)) != path]
    if faulty:
        raise InputError(
            f"expected file names in UTF-8, found {join_paths(faulty)}", hint="Rename the files, or exclude them"
        )


def _sort_paths(paths: Iterable[InputPath]) -> list[InputPath]:
    return sorted(paths, key=lambda path: path.parts)
