"""A project whose commands have much to show: versions with aliases and long reasons, and nights of all kinds."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from gamesales.cli.main import run
from gamesales.data.contract import Contract
from gamesales.jobs.loading import open_registry
from gamesales.scoring.reference_titles import REFERENCES_FILE, format_references
from gamesales.training.evaluation import profile_column, profile_columns
from support.runs import put_column
from support.sales_tables import make_sales, to_csv
from support.signing import write_keys, write_policy
from support.versions import (
    DATA,
    FEATURES,
    HOLDOUT_SHA256,
    INTERVAL,
    simple_details,
    simple_earnings,
    simple_graph,
    title_values,
    titles_table,
)

MODEL = "game-earnings"
# The bias and the reason of each version.
VERSIONS = {
    0.0: "the first version",
    5_000.0: "trained with the titles of autumn, after the review of the finance team on Monday",
    90_000.0: "smaller errors for expensive titles",
    80_000.0: "",
    91_000.0: "the same titles with another seed",
    -60_000.0: "an experiment",
}
METRICS = {"scaled_mse": 0.0123, "mae": 35_214.5, "rmse": 41_020.25, "r2": 0.8123, "mape_percent": 22.5}
NETWORK = {"layers": [{"layer": "Dense", "units": 24, "activation": "silu"}, {"layer": "Dense", "units": 1}]}
NIGHTS = ("2026-11-22", "2026-11-23", "2026-11-24")


def make_world(folder: Path) -> None:
    """Make the project in an empty folder, which must be the current folder."""
    (folder / "data").mkdir()
    for name in ("sales_data_test.csv", "contract.toml", "new_titles.csv"):
        shutil.copy(DATA / name, folder / "data" / name)
    (folder / "sales.csv").write_text(to_csv(make_sales()), encoding="utf-8")
    _publish_versions()
    for line in [
        "promote 1 --reason first",
        "promote 3 --reason smaller --force",
        "alias set challenger 5",
        "alias set last_quarter_reference 2 --reason quarter",
        "retire 6 --reason worse",
    ]:
        _run(line.split())
    _write_titles()
    for night, name in zip(NIGHTS, ("usual", "drifted", "usual"), strict=True):
        _run(["score", f"{name}.parquet", "--output", "predictions", "--date", night])
    _run(["score", "drifted.parquet", "--output", "predictions", "--date", NIGHTS[2], "--on-drift", "withhold"], 8)
    _run(["score", "usual.parquet", "--output", "table", "--format", "delta", "--date", NIGHTS[0]])
    keys = write_keys(folder / "keys")
    write_policy(keys, 2, "alice", "bob", "carol")


def _publish_versions() -> None:
    registry = open_registry("registry", MODEL)
    contract = Contract.from_toml(Path("data/contract.toml"))
    values = title_values(2_000, seed=7)
    for number, (bias, reason) in enumerate(VERSIONS.items()):
        details = {
            **simple_details(contract, bias),
            "training_profile": profile_columns(FEATURES, values),
            "prediction_profile": profile_column("predicted_earnings", simple_earnings(values, bias)),
            "interval": INTERVAL,
            "metrics": METRICS,
            "baselines": {"linear regression": {**METRICS, "mae": 51_000.0}, "gradient boosting": METRICS},
            **({"reference_titles": 20} if number else {}),  # version 1 can't explain
            "network": NETWORK,
            "training": {"epochs": 300 - 50 * number, "batch_size": 16, "seed": 1 + number},
            "software": {"gamesales": "0.2.0", "keras": "3.12.0", "tensorflow": "2.20.0", "onnx": "1.19.1"},
            "git_commit": "5" * 40,
            "data": {
                "train": {"path": "data/sales_data_training.csv", "sha256": "4" * 64, "rows": 1000},
                "test": {"path": "data/sales_data_test.csv", "sha256": HOLDOUT_SHA256, "rows": 400},
            },
            "evaluation": {
                "notices": [
                    {
                        "level": "warning",
                        "kind": "coverage",
                        "text": "The intervals hold 81% of the test titles instead of 90%, more than chance explains.",
                    }
                ]
            },
        }
        files = {"scorer.onnx": simple_graph(bias), "report.html": b"<p>a page</p>"}
        if number:
            files[REFERENCES_FILE] = format_references(contract, values[:20])
        version = registry.publish(files, details, reason)
        _run(["evaluate", str(version), "--data", "data/sales_data_test.csv"])


def _write_titles() -> None:
    """Write titles as usual, titles at one price with rejects, and what the usual titles earned."""
    ids = {"title_id": [f"T{row}" for row in range(500)]}
    usual = titles_table(500, seed=8, **ids)
    parquet.write_table(usual, "usual.parquet")
    drifted = put_column(titles_table(500, seed=9, **ids), "unit_price", np.full(500, 99.99))
    flags = drifted.column("is_action").to_pylist()
    flags[0] = flags[7] = 9.0
    parquet.write_table(put_column(drifted, "is_action", pa.array(flags)), "drifted.parquet")
    values = np.column_stack([usual.column(name) for name in FEATURES])
    noise = np.random.default_rng(2).normal(0, 900, 500)
    earned = pa.table({**ids, "total_earnings": np.maximum(simple_earnings(values, 90_000.0) + noise, 1)})
    arrow_csv.write_csv(earned.slice(0, 450), "actuals.csv")


def _run(words: list[str], code: int = 0) -> None:
    assert run(words) == code, words
