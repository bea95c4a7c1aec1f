"""Nights for tests of the pages of runs: a registry with a champion, usual titles, and titles that have drifted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from gamesales.jobs.loading import open_registry
from gamesales.training.evaluation import profile_column, profile_columns
from support.runs import CONTRACT, put_column
from support.versions import FEATURES, simple_details, simple_earnings, simple_graph, title_values, titles_table

NIGHT = "2026-11-24"
REASON = "a lower error on the holdout"


def make_night(folder: Path, titles: int = 500) -> None:
    """Write a registry, ``usual.parquet``, and ``drifted.parquet`` with titles at one price and three rejects."""
    values = title_values(2_000, seed=7)
    details = simple_details(CONTRACT) | {
        "training_profile": profile_columns(FEATURES, values),
        "prediction_profile": profile_column("predicted_earnings", simple_earnings(values)),
    }
    registry = open_registry(folder / "registry", "game-earnings")
    number = registry.publish({"scorer.onnx": simple_graph()}, details, "the first network")
    registry.set_alias("champion", number, REASON, lambda state, version: {"findings": [], "forced": False})
    ids = {"title_id": [f"T{row}" for row in range(titles)], "title": [f"Title {row}" for row in range(titles)]}
    parquet.write_table(titles_table(titles, seed=8, **ids), folder / "usual.parquet")
    drifted = put_column(titles_table(titles, seed=9, **ids), "unit_price", np.full(titles, 59.99))
    flags, ratings = (drifted.column(name).to_pylist() for name in ("is_action", "critic_rating"))
    flags[0], flags[7], ratings[3] = 9.0, 3.0, None
    drifted = put_column(put_column(drifted, "is_action", pa.array(flags)), "critic_rating", pa.array(ratings))
    parquet.write_table(drifted, folder / "drifted.parquet")
