"""The unit of the target is in every text: a contract in million units, from training to the site of its registry."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv

from gamesales.data.contract import Contract
from gamesales.jobs.loading import open_registry
from support.pages import read_text
from support.train_jobs import LEARNS, write_job
from support.versions import DATA, publish_simple, simple_earnings, title_values, titles_table

UNIT = "million units"
TITLES = 60
TITLE = "critic_rating=4.5 is_action=1 is_exclusive_to_us=0 is_portable=1 is_role_playing=0 is_sequel=1 is_sports=0"
DOLLARS = re.compile(r"\$|dollar", re.IGNORECASE)
# A small amount is not rounded to 0.
AMOUNT = re.compile(rf"0\.\d*[1-9]\d* {UNIT}")
# Commands that print no amounts.
SILENT = ("promote 1", "rollback", "score drifted.csv", "report")


def write_titles(path, rows, seed, price=0.0):
    values = title_values(rows, seed)
    noise = np.random.default_rng(seed).normal(0, 200, rows)
    table = titles_table(rows, seed, title_id=pa.array([f"T{number}" for number in range(rows)]))
    if price:
        table = table.set_column(table.column_names.index("unit_price"), "unit_price", pa.array(np.full(rows, price)))
    csv.write_csv(table.append_column("total_earnings", pa.array((simple_earnings(values) + noise) / 1e6)), path)


@pytest.fixture
def world(tmp_path, cli):
    """Titles with earnings below 0.01 million units, and a registry with a version that was trained on them."""
    contract = (DATA / "contract.toml").read_text().replace("US dollars", UNIT, 1).replace("US dollars", "EUR")
    Path("contract.toml").write_text(contract, encoding="utf-8")
    for name, rows, seed in (("train.csv", 400, 1), ("test.csv", 100, 2), ("new.csv", TITLES, 3)):
        write_titles(name, rows, seed)
    write_titles("drifted.csv", TITLES, 3, price=59.99)
    data = {"train": "train.csv", "test": "test.csv", "contract": "contract.toml"}
    intervals = {"method": "split", "coverage": 0.8}
    write_job(Path("job.toml"), data=data, training=LEARNS, intervals=intervals)
    return cli


def read_page(path):
    """Return the text of a page and of its plots, without its script."""
    document = Path(path).read_text(encoding="utf-8")
    return read_text(re.sub(r"<script.*?</script>", "", document, flags=re.DOTALL))


def test_unit_everywhere(world):
    """No text and no page of a contract in million units is about dollars, and no amount is rounded to 0."""
    texts, pages = {}, {}

    def run(*arguments, code=0):
        ran = world(*arguments)
        assert code == ran.code, (arguments, ran.err)
        texts[" ".join(map(str, arguments))] = ran.out + ran.err

    run("train", "job.toml")
    publish_simple(open_registry("registry", "game-earnings"), contract=Contract.from_toml(Path("contract.toml")))
    run("crossvalidate", "job.toml", "--folds", "2", "--plain")
    for version in (1, 2):
        run("evaluate", version, "--data", "new.csv")
    run("promote", "1", "--holdout", "new.csv")
    run("promote", "2", "--holdout", "new.csv", code=5)
    run("promote", "2", "--holdout", "new.csv", "--force", "--reason", "test", "--dry-run")
    run("promote", "2", "--holdout", "new.csv", "--force", "--reason", "test")
    run("rollback")
    for command in ("versions", "show 1", "compare 1 2", "history"):
        run(*command.split())
    run("predict", *TITLE.split(), "suitable_for_kids=1", "unit_price=49.99", "--explain")
    run("score", "new.csv", "--output", "out", "--date", "2026-11-01", "--shadow", "2", "--explain", "2")
    run("score", "drifted.csv", "--output", "out", "--date", "2026-11-02")
    run("report", "--run", "2026-11-01", "--output", "out", "--page", "run.html")
    run("backtest", "--predictions", "out", "--actuals", "new.csv", "--page", "backtest.html")
    run("export", "1", "--format", "onnx", "--output", "model.onnx")
    run("report", "--site", "site", "--output", "out")
    reports = sorted(Path("registry/game-earnings/bundles").glob("*/report.html"))
    for page in ("run.html", "backtest.html", *reports, "site/index.html", "site/game-earnings/index.html"):
        pages[str(page)] = read_page(page)
    assert {} == {name: found for name, text in {**texts, **pages}.items() if (found := DOLLARS.findall(text))}
    assert [] == [name for name, text in pages.items() if not AMOUNT.search(text)]
    assert [] == [name for name, text in texts.items() if not (name.startswith(SILENT) or UNIT in text)]


@pytest.fixture
def mixed(tmp_path, cli):
    """A registry with a champion in dollars and a version in hours, which were evaluated on the same file."""
    registry, contract = open_registry("registry", "game-earnings"), Contract.from_toml(DATA / "contract.toml")
    publish_simple(registry)
    publish_simple(registry, contract=replace(contract, target=replace(contract.target, unit="hours")))
    registry.set_alias("champion", 1, "for a test", lambda state, version: {})
    return cli


def test_versions_of_two_units(mixed):
    """Each version has its unit, also in the log, and an error has no difference to an error in another unit."""
    listed = mixed("versions").out
    assert all(text in listed for text in ("1,000 hours", "1,300 hours", "$1,000", "$1,300"))
    assert "1,000 hours" in mixed("show", "2").out
    history = mixed("history").out
    assert all(text in history for text in ("MAE 1,000 hours", "MAE $1,000"))
    (file,) = mixed("compare", "1", "2", "--all", "--json").document["metrics_by_file"]
    differences = {entry["name"]: entry["difference"] for entry in file["entries"]}
    assert {"mae": None, "rmse": None, "r2": 0.0, "scaled_mse": 0.0, "mape_percent": 0.0} == differences
    units = [event.get("unit") for event in (row["body"] for row in mixed("history", "--json").document["events"])]
    assert ["hours"] == [unit for unit in units if unit]


def test_gate_refuses_other_unit(mixed):
    """The gate does not compare errors of different units."""
    refused = mixed("promote", "2")
    assert 5 == refused.code
    assert "it predicts hours, and version 1 predicts US dollars, so their errors can't be compared" in refused.err
    assert 0 == mixed("promote", "2", "--force", "--reason", "the target is now in hours").code
