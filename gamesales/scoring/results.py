"""Published runs: the results of a folder of dated partitions, or of a single file."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa

from gamesales.errors import InputError, InputNotFoundError, TryAgainError
from gamesales.scoring.ledger import WITHHELD
from gamesales.scoring.output import is_single_file
from gamesales.scoring.result_files import DATE_PREFIX, Report, T, scan

DATE_FOLDER = re.compile(rf"{DATE_PREFIX}\d{{4}}-\d\d-\d\d")


@dataclass(frozen=True)
class PublishedRun:
    """The published result of one date.

    Attributes:
        path: the folder of the date, the single file, or the URL of the date in a table.
        version: the number of the version that scored.
        digest: the digest of its bundle.
        columns: the columns of the result; empty if it has no rows.
    """

    day: date
    path: Path | str
    model: str
    version: int
    digest: str
    columns: tuple[str, ...]

    def scan(self, names: Sequence[str], use: Callable[[Iterator[pa.Table]], T]) -> T:
        """Call a function with the named columns, piece by piece.

        If the result is replaced meanwhile, the function is called again from the beginning, so it must discard what
        it had computed.

        Raises:
            TryAgainError: the result of another version has replaced this result.
        """

        def check_version(report: Report, pieces: Iterator[pa.Table]) -> T:
            if report["bundle_sha256"] != self.digest:
                raise TryAgainError(
                    f"{self.path} was scored again by another version while it was read", hint="Run it again"
                )
            return use(pieces)

        return scan(Path(self.path), names, check_version)


@dataclass(frozen=True)
class SkippedDate:
    """A folder that was not read, and the reason."""

    place: str
    reason: str


def find_published_runs(path: Path) -> tuple[list[PublishedRun], list[SkippedDate]]:
    """Find the published results of a folder of dated partitions, or of a single file.

    Folders with other names are working folders and are ignored. A date without ``_SUCCESS`` is skipped. A withheld run
    is listed as skipped, also if an earlier run of its date is published.

    Returns:
        The results, oldest first, and the dates that were skipped.

    Raises:
        InputNotFoundError: there is no result.
        InputError: this release can't read a report.
    """
    if is_single_file(path):
        return [_read_published_run(path)], []
    if not path.is_dir():
        raise InputNotFoundError(f"no folder of predictions {path}", hint="Publish predictions with gamesales score")
    folders = sorted(folder for folder in path.iterdir() if folder.name.startswith(DATE_PREFIX))
    reasons = {folder: reason for folder in folders if (reason := _explain_skip(folder))}
    runs = [_read_published_run(folder) for folder in folders if folder not in reasons]
    skipped = [SkippedDate(str(folder), reason) for folder, reason in reasons.items()]
    for mark in sorted(path.glob(f".{DATE_PREFIX}*.work/*/{WITHHELD}")):
        folder = path / mark.parents[1].name.removeprefix(".").removesuffix(".work")
        skipped.append(SkippedDate(str(folder), explain_withheld(str(path), folder.name.removeprefix(DATE_PREFIX))))
    if not runs:
        why = "; ".join(f"{entry.place}: {entry.reason}" for entry in skipped) or "it has no run_date=YYYY-MM-DD"
        raise InputNotFoundError(f"no predictions in {path}: {why}", hint="Publish predictions with gamesales score")
    return runs, skipped


def explain_withheld(output: str, day: str | date, options: str = "") -> str:
    """Say that a run is withheld, and how to publish it with further options."""
    command = f"gamesales score --output {shlex.quote(output)}{options} --release {day} --reason …"
    return f"withheld because of drift; to publish it: {command}"


def _explain_skip(folder: Path) -> str:
    """Return why a folder is not a published date; empty if it is."""
    if not DATE_FOLDER.fullmatch(folder.name):
        return "not a date, expected YYYY-MM-DD"
    return "" if (folder / "_SUCCESS").exists() else "no _SUCCESS, so it was not published whole"


def _read_published_run(path: Path) -> PublishedRun:
    """Read the report and the columns of a result, not its rows.

    Raises:
        InputError: the report is malformed, or it is for another date than its folder, such as in a copy.
    """

    def read_columns(report: Report, pieces: Iterator[pa.Table]) -> tuple[Report, tuple[str, ...]]:
        first = next(pieces, None)
        return report, () if first is None else tuple(first.column_names)

    report, columns = scan(path, None, read_columns)
    try:
        run = PublishedRun(
            day=date.fromisoformat(report["run_date"]),
            path=path,
            model=str(report["model"]),
            version=int(report["model_version"]),
            digest=str(report["bundle_sha256"]),
            columns=columns,
        )
    except (LookupError, TypeError, ValueError) as error:
        raise InputError(
            f"the report of {path} can't be read: {type(error).__name__}: {error}", hint="Score this date again"
        ) from None
    if path.name.startswith(DATE_PREFIX) and path.name != f"{DATE_PREFIX}{run.day}":
        raise InputError(f"{path} holds predictions for {run.day}", hint="Move it to the folder of its date")
    return run
