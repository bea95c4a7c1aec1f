"""Publish a result as a whole or not at all: move it from the working folder of a run to its visible paths."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gamesales.data.files import RENAME_EXCHANGE, fsync, rename_with
from gamesales.scoring.ledger import remove_unfinished
from gamesales.scoring.parts import STAGED, UNFINISHED
from gamesales.scoring.workspace import discard, sweep

# What renameat2(2) answers if the system or the file system can't swap two folders.
_NO_EXCHANGE_ERRORS = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP}
# The folder of dates is another file system, or the folder that holds it is read-only, or the name gets too long.
_NO_OUTSIDE_ERRORS = {errno.EXDEV, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG}


def publish_file(
    staged: Path,
    visible: Path,
    rejects: tuple[Path | None, Path],
    report: tuple[Path, Path],
    confirm: Callable[[], None],
    page: tuple[Path | None, Path] | None = None,
) -> None:
    """Move a single-file result and its sidecars to their visible paths.

    The old report is removed first and the new report is moved last, so an existing report always describes the
    result next to it. Each step is on the disk before the next, so this also holds after a power cut.

    Args:
        staged: the result.
        visible: its visible path.
        rejects: the rejected rows, None without rejects, and their visible path.
        report: the report and its visible path.
        confirm: called before the first change of a visible path. It may raise.
        page: the HTML page, None without a page, and its visible path.
    """
    sidecars = [rejects, *([page] if page else [])]
    for path in (staged, *(source for source, _ in sidecars), report[0]):
        if path is not None:
            fsync(path)
    confirm()
    report[1].unlink(missing_ok=True)
    fsync(visible.parent)
    for source, target in sidecars:
        if source is None:
            target.unlink(missing_ok=True)
        else:
            os.replace(source, target)
    os.replace(staged, visible)
    fsync(visible.parent)
    os.replace(*report)
    fsync(visible.parent)


def publish_folder(staged: Path, visible: Path, confirm: Callable[[], None]) -> None:
    """Replace the folder ``visible`` by the folder ``staged`` in one step.

    Files in ``staged`` whose names end in ``.part`` lose this suffix. The old folder is removed.

    ``confirm`` is called before the first change of a visible path. It may raise.
    """
    _fsync_tree(staged)
    confirm()
    finish_swap(visible)
    paths = _move_out(staged, visible)
    staged = paths.new
    for part in staged.glob(f"*{UNFINISHED}"):
        part.rename(part.with_suffix(""))
    fsync(staged)
    if not visible.exists():
        os.rename(staged, visible)
    else:
        try:
            _swap(staged, visible, paths.backup)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _replace_by_copy(staged, visible, paths)
    fsync(visible.parent)
    discard(staged, staged.parent)


@dataclass(frozen=True)
class _SwapPaths:
    """Where the folder of a date is shortly before and after it is published; ``prefix`` begins their names."""

    prefix: Path

    @property
    def new(self) -> Path:
        """The complete new folder, and then the old folder until it is removed."""
        return self.prefix.with_name(f"{self.prefix.name}.new")

    @property
    def backup(self) -> Path:
        """The old folder during a swap by two renames. No run removes it before it is replaced."""
        return self.prefix.with_name(f"{self.prefix.name}.old")

    @property
    def copying(self) -> Path:
        """An unfinished copy of the old folder."""
        return self.prefix.with_name(f"{self.prefix.name}.copying")

    @property
    def copy(self) -> Path:
        """A complete copy of the old folder while the old folder is removed."""
        return self.prefix.with_name(f"{self.prefix.name}.copy")


def find_swap_paths(visible: Path) -> tuple[_SwapPaths, _SwapPaths]:
    """Return where a folder is during a swap: next to the folder of dates, or else inside it.

    Inside it, a reader of ``**/*.parquet`` could find the new and the old parts at once: many readers also look into
    hidden folders.
    """
    dates = Path(os.path.realpath(visible.parent))
    inside = visible.with_name(f".{visible.name}")
    outside = dates.with_name(f".{dates.name}.{visible.name}") if dates.name else inside
    return _SwapPaths(outside), _SwapPaths(inside)


def _move_out(staged: Path, visible: Path) -> _SwapPaths:
    """Move a complete folder out of the working folder, and return where it is."""
    outside, inside = find_swap_paths(visible)
    try:
        os.rename(staged, outside.new)
    except OSError as error:
        if error.errno not in _NO_OUTSIDE_ERRORS:
            raise
        os.rename(staged, inside.new)
        return inside
    return outside


def _swap(staged: Path, visible: Path, backup: Path) -> None:
    if _exchange(staged, visible):
        return
    # Without an exchange, a reader finds no folder for a moment, but never a mixture.
    os.rename(visible, backup)
    try:
        os.rename(staged, visible)
    except BaseException:
        os.rename(backup, visible)
        raise
    discard(backup, backup.parent)


def _replace_by_copy(staged: Path, visible: Path, paths: _SwapPaths) -> None:
    """Replace a folder that can't be renamed, because it is in a lower layer of an overlay, such as an image.

    For a moment, a reader finds a part of the old folder, without ``_SUCCESS``, or no folder. The new folder can be
    renamed, so this happens once.
    """
    discard(paths.copying, paths.copying.parent)
    shutil.copytree(visible, paths.copying, symlinks=True)
    _fsync_tree(paths.copying)
    os.rename(paths.copying, paths.copy)
    fsync(paths.copy.parent)
    try:
        (visible / "_SUCCESS").unlink(missing_ok=True)
        fsync(visible)
        shutil.rmtree(visible)
        os.rename(staged, visible)
    except BaseException:
        finish_swap(visible)
        raise
    discard(paths.copy, paths.copy.parent)


def _fsync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        fsync(path)
    fsync(folder)


def recover_folder(visible: Path, work: Path, run_id: str) -> None:
    """Finish what a run left when it was killed while it published a folder.

    If it was a run with this id, its complete folder goes back to the run's folder ``work``.
    """
    for paths in find_swap_paths(visible):
        with suppress(OSError, ValueError, LookupError, TypeError):  # nothing was left, or it can't be moved
            report = json.loads((paths.new / "_run.json").read_bytes())
            if report["run_id"] == run_id and not (work / STAGED).exists():
                for part in paths.new.glob("part-*.parquet"):
                    part.rename(f"{part}{UNFINISHED}")
                os.rename(paths.new, work / STAGED)
                remove_unfinished(work)
    finish_swap(visible)


def finish_swap(visible: Path) -> None:
    """Finish a swap that a crash interrupted: restore the old folder, or remove it if it was replaced."""
    for paths in find_swap_paths(visible):
        if os.path.lexists(paths.copy) and not (visible / "_SUCCESS").exists():
            discard(visible, paths.prefix.parent)
            os.rename(paths.copy, visible)
        if os.path.lexists(paths.backup) and not visible.exists():
            os.rename(paths.backup, visible)
        for path in (paths.new, paths.backup, paths.copying, paths.copy):
            if os.path.lexists(path):
                discard(path, path.parent)
        sweep(paths.prefix.parent)


def _exchange(first: Path, second: Path) -> bool:
    """Swap two paths; return False if the system or the file system can't."""
    try:
        rename_with(RENAME_EXCHANGE, first, second)
    except OSError as error:
        if error.errno in _NO_EXCHANGE_ERRORS:
            return False
        raise
    return True
