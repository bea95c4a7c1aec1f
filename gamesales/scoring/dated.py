"""What was predicted in the past: which dates there are, and reading one of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from gamesales.errors import InputError, InputNotFoundError, TryAgainError
from gamesales.scoring.reading import Report, scan_file, scan_folder
from gamesales.scoring.target import FILE_SUFFIXES

T = TypeVar("T")
_PREFIX = "run_date="
_DATE = re.compile(rf"{_PREFIX}\d{{4}}-\d\d-\d\d")


@dataclass(frozen=True)
class Past:
    """One date's published result: where it is, which version made it, and its columns, none where it has no rows."""

    day: date
    place: Path
    model: str
    version: int
    digest: str
    columns: tuple[str, ...]

    def scan(self, names: Sequence[str], use: Callable[[Iterator[pa.Table]], T]) -> T:
        """Let a function read the named columns piece by piece; see ``reading.scan_folder``.

        Raises: TryAgainError: another version's result has taken its place since it was found.
        """

        def of_same_version(report: Report, pieces: Iterator[pa.Table]) -> T:
            if report["bundle_sha256"] != self.digest:
                raise TryAgainError(
                    f"{self.place} was scored again by another version while it was read", hint="Run it again"
                )
            return use(pieces)

        return _scan(self.place, names, of_same_version)


@dataclass(frozen=True)
class LeftOut:
    """A date that was not read, and why."""

    place: str
    reason: str


def find_past(path: Path) -> tuple[list[Past], list[LeftOut]]:
    """Find the results at a path, oldest first: those of a folder of dated partitions, or the one of a single file.

    Folders whose names begin otherwise are no dates: runs work in them. A date without ``_SUCCESS`` is left out.

    Raises: InputNotFoundError: there is none. InputError: a report is not one that this release can read.
    """
    if path.suffix.lower() in FILE_SUFFIXES:
        return [_past(path)], []
    if not path.is_dir():
        raise InputNotFoundError(f"no folder of predictions {path}", hint="Publish some by gamesales score")
    places = sorted(place for place in path.iterdir() if place.name.startswith(_PREFIX))
    reasons = {place: reason for place in places if (reason := _unusable(place))}
    found = [_past(place) for place in places if place not in reasons]
    left_out = [LeftOut(str(place), reason) for place, reason in reasons.items()]
    if not found:
        why = "; ".join(f"{one.place}: {one.reason}" for one in left_out) or "it has no run_date=YYYY-MM-DD"
        raise InputNotFoundError(f"no predictions in {path}: {why}", hint="Publish some by gamesales score")
    return found, left_out


def _unusable(place: Path) -> str:
    """Say why a folder is no published date; empty: it is."""
    if not _DATE.fullmatch(place.name):
        return "not a date, expected YYYY-MM-DD"
    return "" if (place / "_SUCCESS").exists() else "no _SUCCESS, so it was not published whole"


def _past(place: Path) -> Past:
    """Learn about a result, without its rows."""

    def learn(report: Report, pieces: Iterator[pa.Table]) -> Past:
        first = next(pieces, None)
        return _told(place, report, () if first is None else tuple(first.column_names))

    return _scan(place, None, learn)


def _told(place: Path, report: Report, columns: tuple[str, ...]) -> Past:
    try:
        past = Past(
            day=date.fromisoformat(report["run_date"]),
            place=place,
            model=str(report["model"]),
            version=int(report["model_version"]),
            digest=str(report["bundle_sha256"]),
            columns=columns,
        )
    except (LookupError, TypeError, ValueError) as error:
        raise InputError(
            f"the report of {place} can't be read: {type(error).__name__}: {error}", hint="Score this date again"
        ) from None
    _check_date(place, past.day)
    return past


def _check_date(place: Path, day: date) -> None:
    """Raises: InputError: a folder's report is that of another date, as where one was copied."""
    if place.name.startswith(_PREFIX) and place.name != f"{_PREFIX}{day}":
        raise InputError(f"{place} holds predictions for {day}", hint="Move it to where its date belongs")


def _scan(place: Path, names: Sequence[str] | None, use: Callable[[Report, Iterator[pa.Table]], T]) -> T:
    return (scan_file if place.suffix.lower() in FILE_SUFFIXES else scan_folder)(place, names, use)
