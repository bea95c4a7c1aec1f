"""A registry with two models, and nights of three months, for tests of the site of a registry."""

from __future__ import annotations

import os
from contextlib import chdir
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from gamesales.cli.main import run
from gamesales.data.contract import Contract
from gamesales.jobs.loading import open_registry
from gamesales.registry.event import format_time
from gamesales.training.evaluation import profile_column, profile_columns
from support.pages import HOSTILE
from support.runs import put_column
from support.versions import (
    DATA,
    FEATURES,
    HOLDOUT_SHA256,
    simple_details,
    simple_earnings,
    simple_graph,
    title_values,
    titles_table,
)

SECOND_MODEL = "regional-earnings"
FIRST_NIGHT, NIGHTS, TITLES = date(2026, 7, 1), 13, 60
# The average error of each version on the holdout, in dollars.
ERRORS = (2400.0, 1500.0, 1720.0, 1210.0, 1140.0, 1190.0)
PAGE = '<!doctype html><html lang="en"><title>version {}</title><h1>version {}</h1>'


def make_site_data(folder: Path) -> None:
    """Write ``registry`` with a history, and ``predictions`` with nights of its champions.

    The history has promotions, a rollback, a retirement and backtests. A night has drifted, another is withheld, and
    the last has rejects.
    """
    clock = _Clock(datetime(2026, 7, 1, 0, 0, tzinfo=UTC))
    environment = {**os.environ, "LOGNAME": "owner"}
    environment.pop("GAMESALES_REGISTRY", None)
    with (
        chdir(folder),
        mock.patch("gamesales.registry.log.format_now", clock.format),
        mock.patch.dict(os.environ, environment, clear=True),
    ):
        _write_titles()
        registry = open_registry("registry", "game-earnings")
        for number, error in enumerate(ERRORS, 1):
            _publish(registry, number, error)
            for _ in range(2):
                _score(clock)
            if number in (1, 2, 3, 5):
                _promote(registry, number, "a lower error on the holdout" if number > 1 else "the first version")
            if number == 3:
                _score(clock)
                registry.roll_back("champion", "drifted predictions on the first night", lambda state, version: {})
        registry.set_alias("challenger", 6, "a trial beside the champion", lambda state, version: {})
        registry.retire(4, "superseded")
        arguments = ["--predictions", "predictions", "--actuals", "actuals.csv", "--reason", "earnings of the quarter"]
        assert run(["backtest", *arguments]) == 0
        other = open_registry("registry", SECOND_MODEL)
        _publish(other, 1, 900.0, reason=HOSTILE)
        _promote(other, 1, HOSTILE)


class _Clock:
    """A clock of the log that goes on by a minute with each event, and by a week with each night."""

    def __init__(self, now: datetime) -> None:
        self.now, self.nights = now, 0

    def format(self) -> str:
        self.now += timedelta(minutes=1)
        return format_time(self.now)


def _write_titles() -> None:
    ids = pa.array([f"T{number:03d}" for number in range(TITLES)])
    usual = titles_table(TITLES, seed=8, title_id=ids)
    parquet.write_table(usual, "usual.parquet")
    parquet.write_table(put_column(usual, "unit_price", np.full(TITLES, 59.99)), "drifted.parquet")
    flags = usual.column("is_action").to_pylist()
    flags[3] = 7.0
    parquet.write_table(put_column(usual, "is_action", pa.array(flags)), "rejects.parquet")
    earnings = simple_earnings(title_values(TITLES, seed=8)) + np.random.default_rng(4).normal(0, 1200, TITLES)
    csv.write_csv(pa.table({"title_id": ids, "total_earnings": np.maximum(earnings, 1)}), "actuals.csv")


def _publish(registry, number, error, reason="weekly training"):
    values = title_values(2_000, seed=7)
    contract = Contract.from_toml(DATA / "contract.toml")
    metrics = {
        "mae": error,
        "rmse": 1.3 * error,
        "scaled_mse": (1e-5 * error) ** 2,
        "r2": 1 - (error / 40_000) ** 2,
        "mape_percent": error / 1100,
    }
    intervals = {"mae": [0.92 * error, 1.09 * error], "scaled_mse": [0.8e-10 * error**2, 1.3e-10 * error**2]}
    details = {
        **simple_details(contract, bias=10.0 * number),
        "training_profile": profile_columns(FEATURES, values),
        "prediction_profile": profile_column("predicted_earnings", simple_earnings(values)),
        "metrics": metrics,
        "network": {"layers": [{"layer": "Dense", "units": 24 if number < 4 else 32, "activation": "silu"}]},
        "training": {"epochs": 300, "seed": number},
    }
    details["data"]["test"]["path"] = "data/sales_data_test.csv"
    files = {"scorer.onnx": simple_graph(10.0 * number), "report.html": PAGE.format(number, number).encode()}
    assert number == registry.publish(files, details, reason)
    evaluation = {"data": "data/sales_data_test.csv", "data_sha256": HOLDOUT_SHA256, "rows": 400}
    registry.record_evaluation(
        number, {**evaluation, "metrics": metrics, "intervals": intervals}, "recorded by training"
    )


def _promote(registry, number, reason):
    champion = registry.read_state().target_of("champion")
    comparison = {"candidate_mae": ERRORS[number - 1], "champion_mae": ERRORS[champion - 1]} if champion else None
    evidence = {"findings": [], "forced": number == 3, "comparison": comparison}
    registry.set_alias("champion", number, reason, lambda state, version: evidence)


def _score(clock):
    """Score a night of the champion, if there is one, and go on to the next week."""
    clock.nights += 1
    clock.now += timedelta(days=7)
    champion = open_registry("registry", "game-earnings").read_state().target_of("champion")
    if champion is None:
        return
    source = {6: "drifted", 8: "drifted", NIGHTS: "rejects"}.get(clock.nights, "usual")
    options = ["--on-drift", "withhold"] if clock.nights == 8 else []
    day = FIRST_NIGHT + timedelta(days=7 * clock.nights)
    Path("job.toml").write_text(f'inputs = ["{source}.parquet"]\noutput = "predictions"\npage = true\n')
    assert run(["score", "--job", "job.toml", "--date", str(day), *options]) in (0, 8)
