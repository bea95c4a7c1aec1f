"""Which files a run reads: those that files, folders and globs name, each once, in a stable order.

They are hashed from the moment that they are found: a digest decides the run's identity, and nothing of the run can
begin without it, but the version that scores can be loaded meanwhile.
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

from gamesales.data.files import Stamp, hashing, stamp
from gamesales.data.open_table import is_table
from gamesales.errors import InputNotFoundError


@dataclass(frozen=True)
class Found:
    """The files of a run, each with its name, and a stamp from before anything was learnt from it.

    ``sha256`` waits for the digest of the file at a place, 64 hex digits.
    """

    names: Sequence[str]
    paths: Sequence[Path]
    stamps: Sequence[Stamp]
    sha256: Callable[[int], str]


@contextmanager
def find_inputs(sources: Sequence[str], *, allow_empty: bool = False, leave_out: Path | None = None) -> Iterator[Found]:
    """Find the files of a run, and hash them while the body goes on.

    Args:
        sources: files, folders or globs.
        allow_empty: whether nothing to read is a run without rows.
        leave_out: a folder of results, which are no inputs though they may lie below one.

    Raises: InputNotFoundError: nothing to read. TryAgainError: a file was removed meanwhile.
    """
    files = find_files(sources, allow_empty=allow_empty, leave_out=leave_out)
    names, paths = [name for name, _ in files], [path for _, path in files]
    stamps = [stamp(path) for path in paths]
    with hashing(paths) as sha256:
        yield Found(names, paths, stamps, sha256)


def find_files(
    sources: Sequence[str], *, allow_empty: bool = False, leave_out: Path | None = None
) -> list[tuple[str, Path]]:
    """Return the CSV and Parquet files that files, folders and globs name, each once, in a stable order."""
    found: dict[Path, tuple[str, Path]] = {}
    for source in sources:
        matches = _matches(source, leave_out)
        if not matches and not allow_empty:
            raise InputNotFoundError(
                f"nothing to score at {source}: expected a .csv, .csv.gz or .parquet file, or a folder of them",
                hint="Check the path, or allow it with --allow-empty; see: gamesales score --help",
            )
        for name, path in matches:
            found.setdefault(path.resolve(), (name, path))
    doubled = Counter(name for name, _ in found.values())
    return [(name if doubled[name] == 1 else path.as_posix(), path) for name, path in found.values()]


def _lies_below(path: Path, folder: Path | None) -> bool:
    return folder is not None and path.resolve().is_relative_to(folder.resolve())


def _matches(source: str, leave_out: Path | None) -> list[tuple[str, Path]]:
    """Find what one word names; a name is the path relative to it, from the first folder on that a glob leaves open."""
    path = Path(source)
    if path.is_dir():
        below = [file for file in _tables_below(path) if not _lies_below(file, leave_out)]
        return sorted((file.relative_to(path).as_posix(), file) for file in below)
    if path.exists():
        return [(path.name, path)]
    if not glob.has_magic(source):
        return []
    fixed = Path(*itertools.takewhile(lambda part: not glob.has_magic(part), path.parts))
    globbed = [Path(one) for one in sorted(glob.glob(source, recursive=True))]  # noqa: PTH207, Path.glob takes no absolute pattern
    found = [match for one in globbed if one.exists() for _, match in _matches(str(one), leave_out)]
    return [(file.relative_to(fixed).as_posix(), file) for file in found]


def _tables_below(folder: Path) -> Iterator[Path]:
    """Find tables to the bottom, through links too; a folder that can't be read is no empty one.

    Raises: InputNotFoundError: a link with a table's name leads nowhere. OSError: a folder can't be listed.
    """

    def refuse(error: OSError) -> None:
        raise error

    seen: set[str] = set()
    for place, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        seen.add(os.path.realpath(place))
        # Sorted, as through links the first way to a folder gives its files their names.
        visible = sorted(name for name in folders if not _is_hidden(name))
        folders[:] = [name for name in visible if os.path.realpath(os.path.join(place, name)) not in seen]  # noqa: PTH118
        for name in names:
            path = Path(place, name)
            if _is_hidden(name) or not is_table(name):
                continue
            if not path.exists():
                raise InputNotFoundError(f"{path} is a link that leads nowhere", hint="Mend or remove it")
            yield path


def _is_hidden(name: str) -> bool:
    """What starts with . or _ is somebody's bookkeeping, as in Hadoop and Hive."""
    return name.startswith((".", "_"))
