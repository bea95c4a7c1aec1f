"""What versions scored on which files, and the figures of two of them on the same one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gamesales.jobs.conditions import FIGURES, figure
from gamesales.registry.state import Version

Interval = tuple[float, float]


@dataclass(frozen=True)
class Measured:
    """What one version scored on one file."""

    data: str
    rows: int
    metrics: Mapping[str, Any]
    intervals: Mapping[str, Any]


# By the digest of the file.
Measurements = Mapping[str, Measured]


@dataclass(frozen=True)
class FigureEntry:
    """One figure of both, ``difference`` the second's less the first's; with intervals where they are recorded."""

    name: str
    first: float | None
    second: float | None
    difference: float | None
    first_interval: Interval | None
    second_interval: Interval | None


@dataclass(frozen=True)
class Figures:
    """The figures of both on one file, the latest of each."""

    data: str
    data_sha256: str
    rows: int
    same: bool
    entries: list[FigureEntry]


def measurements(version: Version, manifest: Mapping[str, Any]) -> Measurements:
    """Return the latest figures by the digest of the file: of the log, and of training, which the manifest holds."""
    found: dict[str, Measured] = {}
    holdout, metrics = manifest.get("data", {}).get("test"), manifest.get("metrics")
    if holdout and metrics:
        found[holdout["sha256"]] = Measured(holdout["path"], holdout["rows"], metrics, manifest.get("intervals", {}))
    for one in version.evaluations:
        found[one.data_sha256] = Measured(one.data, one.rows, one.metrics, one.intervals)
    return found


def figures_of_both(first: Measurements, second: Measurements) -> Iterator[Figures]:
    """Yield the figures on each file that both were evaluated on: on other titles, others would be no surprise."""
    for digest, one in first.items():
        if digest in second:
            two = second[digest]
            entries = [_figure_entry(name, one, two) for name in FIGURES.values()]
            same = all(entry.first == entry.second for entry in entries)
            yield Figures(one.data, digest, one.rows, same, entries)


def _figure_entry(name: str, one: Measured, two: Measured) -> FigureEntry:
    first, second = figure(one.metrics, name), figure(two.metrics, name)
    difference = None if first is None or second is None else second - first
    return FigureEntry(name, first, second, difference, _interval(one, name), _interval(two, name))


def _interval(measured: Measured, name: str) -> Interval | None:
    """Return a figure's interval, if one is recorded: its lower and its upper end."""
    match measured.intervals.get(name):
        case [int() | float() as low, int() | float() as high]:
            return float(low), float(high)
    return None
