"""Write several new files, all or none, and replace no existing file."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from gamesales.data.files import NO_HARD_LINK_ERRORS, WRITE_ERRORS, explain_write_errors, fsync, make_folder
from gamesales.errors import UsageError

# Writes the content of a file to a path, where there is no file yet.
Writer = Callable[[Path], None]


def write_new_files(writers: Mapping[Path, Writer]) -> None:
    """Write new files and the folders that they need. No file has its name before all are written.

    If a file exists, or can't be written, no new file or folder is left behind.

    Args:
        writers: what writes each file, by its path.

    Raises:
        UsageError: files exist already. The message names all of them.
        TryAgainError: the disk is full or access is denied.
    """
    require_new(list(writers))
    new_folders = _find_new_folders(list(writers))
    temporary = {path: path.with_name(f".gamesales-{secrets.token_hex(8)}.tmp") for path in writers}
    made: list[Path] = []
    try:
        for path, write in writers.items():
            with explain_write_errors(WRITE_ERRORS, path):
                make_folder(path.absolute().parent)
                write(temporary[path])
                fsync(temporary[path])
        for path in writers:
            with explain_write_errors(WRITE_ERRORS, path):
                _link(temporary[path], path)
                made.append(path)
                fsync(path.absolute().parent)
    except BaseException:
        for path in [*made, *temporary.values()]:
            path.unlink(missing_ok=True)
        _remove_empty(new_folders)
        raise
    for path in temporary.values():
        path.unlink(missing_ok=True)


def require_new(paths: list[Path]) -> None:
    """Refuse to replace files.

    Raises:
        UsageError: some paths exist, or a file is where a folder should be.
    """
    existing = [str(path) for path in paths if os.path.lexists(path)]
    if existing:
        raise UsageError(
            f"{', '.join(existing)} {'exists' if len(existing) == 1 else 'exist'} already; nothing was written",
            hint="Give a new folder: --into DIR; or move the files away",
        )
    for path in paths:
        blocking = next((parent for parent in path.parents if parent.exists() and not parent.is_dir()), None)
        if blocking:
            raise UsageError(f"{blocking} is a file, expected a folder", hint="Give another folder: --into DIR")


def _find_new_folders(paths: list[Path]) -> list[Path]:
    """Return the folders that do not exist yet, the innermost first."""
    folders = {parent for path in paths for parent in path.parents if not parent.exists()}
    return sorted(folders, key=lambda folder: -len(folder.parts))


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:  # another process has put a file there, or the folder was never made
            continue


def _link(temporary: Path, path: Path) -> None:
    """Give a file its name, unless the name is taken.

    Raises:
        UsageError: another process has created the file meanwhile.
    """
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise UsageError(f"{path} exists already; nothing was written", hint="Give a new folder: --into DIR") from None
    except OSError as error:
        if error.errno not in NO_HARD_LINK_ERRORS:
            raise
        temporary.rename(path)  # a file system without hard links
