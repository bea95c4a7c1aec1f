"""Nights for tests of the pages of runs: a registry with a champion, usual titles, and titles that have drifted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from gamesales.jobs.loading import open_registry
from support.runs import put_column
from support.versions import publish_profiled, titles_table

NIGHT = "2026-11-24"
REASON = "a lower error on the holdout"


def make_night(folder: Path, titles: int = 500) -> None:
    """Write a registry, ``usual.parquet``, and ``drifted.parquet`` with titles at one price and three rejects."""
    publish_profiled(open_registry(folder / "registry", "game-earnings"), REASON)
    ids = {"title_id": [f"T{row}" for row in range(titles)], "title": [f"Title {row}" for row in range(titles)]}
    parquet.write_table(titles_table(titles, seed=8, **ids), folder / "usual.parquet")
    drifted = put_column(titles_table(titles, seed=9, **ids), "unit_price", np.full(titles, 59.99))
    flags, ratings = (drifted.column(name).to_pylist() for name in ("is_action", "critic_rating"))
    flags[0], flags[7], ratings[3] = 9.0, 3.0, None
    drifted = put_column(put_column(drifted, "is_action", pa.array(flags)), "critic_rating", pa.array(ratings))
    parquet.write_table(drifted, folder / "drifted.parquet")
