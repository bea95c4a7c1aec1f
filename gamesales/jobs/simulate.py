"""Titles of a made-up store, in a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gamesales.data.simulate import write_titles


@dataclass(frozen=True)
class Simulated:
    """The file that was written."""

    output: str
    rows: int
    seed: int


def simulate(
    output: Path, rows: int, *, seed: int, ids: bool = False, earnings: bool = True, continuous: bool = False
) -> Simulated:
    """Write simulated titles to a CSV or Parquet file; see ``gamesales.data.simulate`` for how they are drawn."""
    write_titles(output, rows, seed=seed, with_identity=ids, with_target=earnings, continuous=continuous)
    return Simulated(str(output), rows, seed)
