"""A contender is timed only after its output was found equal to that of the course's way, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.assets import CHECK_ROWS, Assets
from benchmarks.contender import Contender, catalogue
from benchmarks.environments import ensure
from benchmarks.measure import measure

# The same bound that a version's graph is held to before it is registered.
TOLERANCE = 1e-5
TRUTH = "course"


@dataclass(frozen=True)
class Verdict:
    """The largest difference of a contender from the truth; ``fault`` says why it is not timed, None if it is."""

    difference: float | None = None
    fault: str | None = None


def prepare(contender: Contender, assets: Assets) -> str | None:
    """Install and make what a contender needs; return why that failed, if it did."""
    _ = assets.registry, assets.bundle
    fault = ensure(contender.environment) if contender.environment else None
    if fault is None and contender.prepares:
        fault = measure(contender.preparation(assets.folder)).failure
    return fault


def check(contender: Contender, assets: Assets, titles: str, kind: str) -> Verdict:
    """Let a contender score ``CHECK_ROWS`` titles, and compare with what the course's way says of them."""
    source, output = assets.titles(titles, CHECK_ROWS, kind), assets.output(contender.output_name(kind))
    failure = measure(contender.command(source, output, assets.folder)).failure
    if failure:
        return Verdict(fault=failure)
    expected = truth(assets, titles)
    try:
        found = read_predictions(output)
        off = largest_difference(found, expected, assets.target_range)
    except (ValueError, KeyError, OSError) as error:
        return Verdict(fault=f"wrong output: {error}")
    return Verdict(difference=round(off, 5))


def truth(assets: Assets, titles: str) -> npt.NDArray[np.float64]:
    """Return what the course's way predicts for the titles that are checked, US dollars."""
    path = assets.folder / "truth" / f"{titles}.parquet"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        (course,) = catalogue([TRUTH])
        _ = assets.bundle
        failure = measure(course.command(assets.titles(titles, CHECK_ROWS, "parquet"), path, assets.folder)).failure
        if failure:
            raise SystemExit(f"{TRUTH} can't be the measure of others: {failure}")
    return read_predictions(path)


def files_of(place: Path) -> list[Path]:
    """Return the files of an output in the order of its rows: itself, or the parts in a folder of dated partitions."""
    return sorted(place.rglob("part-*.parquet")) if place.is_dir() else [place]


def read_predictions(place: Path) -> npt.NDArray[np.float64]:
    """Read ``predicted_earnings`` from a contender's output, a file or a folder."""
    from pyarrow import csv, parquet

    tables = [csv.read_csv(one) if one.suffix == ".csv" else parquet.ParquetFile(one).read() for one in files_of(place)]
    return np.concatenate([one.column("predicted_earnings").to_numpy() for one in tables]).astype(np.float64)


def largest_difference(found: npt.NDArray[np.float64], expected: npt.NDArray[np.float64], target_range: float) -> float:
    """Return the largest difference in dollars.

    Raises: ValueError: there are other rows, or one is off by more than ``TOLERANCE`` of its size and of the range.
    """
    if found.shape != expected.shape:
        raise ValueError(f"{len(found):,} predictions, expected {len(expected):,}")
    off = np.abs(found - expected)
    beyond = ~(off <= TOLERANCE * np.maximum(np.abs(expected), target_range))
    if beyond.any():
        worst = int(np.nanargmax(np.where(np.isnan(off), np.inf, off)))
        raise ValueError(f"{beyond.sum():,} rows off, row {worst + 1}: {found[worst]:,.2f}, not {expected[worst]:,.2f}")
    return float(off.max(initial=0.0))
