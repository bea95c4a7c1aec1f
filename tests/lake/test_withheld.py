"""Runs into a table that are withheld because of drift, and their release."""

import json
from datetime import timedelta

import numpy as np
import pytest
from deltalake import DeltaTable
from pyarrow import parquet

from gamesales import read_predictions
from gamesales.errors import EXIT_WITHHELD
from gamesales.lake import keys
from gamesales.scoring.run_report import parse_report
from support.runs import put_column, read_failure
from support.versions import (
    publish_profiled,
    titles_table,
)

DATE = "2026-11-23"
RELEASE = "score", "--release", DATE, "--reason", "a sale of sports titles"


@pytest.fixture
def score(tmp_path, simple_registry, cli):
    """Score a file into a table and withhold drift. The default input has drifted; ``usual.parquet`` has not."""
    publish_profiled(simple_registry)
    ids = {"title_id": [f"T{row}" for row in range(500)]}
    parquet.write_table(titles_table(500, seed=8, **ids), tmp_path / "usual.parquet")
    expensive = put_column(titles_table(500, seed=9, **ids), "unit_price", np.full(500, 59.99))
    parquet.write_table(expensive, tmp_path / "drifted.parquet")

    def run(*more, source="drifted.parquet", action="withhold"):
        arguments = ("--output", "table", "--format", "delta", "--date", DATE, "--on-drift", action)
        return cli("score", source, *arguments, *more)

    return run


def release(cli, *more):
    return cli(*RELEASE, "--output", "table", "--format", "delta", *more)


def rows(table="table"):
    return read_predictions(table, DATE).num_rows


def test_withheld_run_is_released(score, cli, tmp_path):
    """A withheld run leaves the earlier run published. A release commits exactly its rows, and says by whom and why."""
    assert 0 == score(source="usual.parquet").code
    before = read_predictions(tmp_path / "table", DATE)
    ran = score()
    assert EXIT_WITHHELD == ran.code
    assert "withheld because of drift; not written to table" in ran.out
    assert f'gamesales score --output table --format delta --release {DATE} --reason "…"' in ran.err
    assert before.equals(read_predictions(tmp_path / "table", DATE))
    ran = release(cli, "--json")
    report = parse_report(json.loads(ran.out))
    assert ("a sale of sports titles", False) == (report.release.reason, report.is_withheld)
    assert not before.equals(read_predictions(tmp_path / "table", DATE))
    assert 500 == rows()
    again = cli("score", "drifted.parquet", "--output", "table", "--format", "delta", "--date", DATE)
    assert "already done" in again.out


def test_withheld_run_again(score, cli):
    """The same run again is still withheld, and a dry run says so."""
    assert [EXIT_WITHHELD] * 2 == [score().code, score().code]
    assert 1 == len(DeltaTable("table").history())
    assert "already scored, and withheld" in score("--dry-run").out


def test_withheld_run_with_another_action(score):
    """The same run with another action stays withheld, as in a folder."""
    score()
    assert EXIT_WITHHELD == score(action="warn").code
    assert 1 == len(DeltaTable("table").history())


def test_nothing_withheld(score, cli):
    """A release without a withheld run is refused."""
    score(source="usual.parquet")
    code, message, _ = read_failure(release(cli))
    assert (2, f"no run of {DATE} is withheld for table") == (code, message)


def test_replaced_since(score, cli):
    """A withheld run can't be released after another run of its date was published."""
    score()
    score(source="usual.parquet")
    code, message, hint = read_failure(release(cli))
    assert 2 == code
    assert "was withheld, and then table changed: found run" in message
    assert "--fresh" in hint
    assert EXIT_WITHHELD == score("--fresh").code
    assert 0 == release(cli).code


def test_release_again(score, cli):
    """A release that was interrupted after its transaction reports the published run."""
    score()
    first, second = release(cli, "--json"), release(cli, "--json")
    assert json.loads(first.out) == json.loads(second.out)
    assert 2 == len(DeltaTable("table").history())


def test_removed_part_is_not_released(score, cli, tmp_path):
    """A withheld run whose part was removed is not released."""
    score()
    next(tmp_path.glob("table/run_date=*/*.parquet")).unlink()
    code, message, _ = read_failure(release(cli))
    assert 3 == code
    assert "were removed or changed" in message
    assert 1 == len(DeltaTable("table").history())


def test_old_run_is_not_released(score, cli, monkeypatch):
    """Files that a vacuum may remove are neither released nor resumed: the run scores again, under other names."""
    score()
    with monkeypatch.context() as patch:
        patch.setattr(keys, "MAX_AGE", timedelta(0))
        assert 3 == release(cli).code
    assert EXIT_WITHHELD == score("--fresh").code
    assert 0 == release(cli).code
    (part,) = DeltaTable("table").get_add_actions().column("path").to_pylist()
    assert part.endswith("-1-00000.parquet")


def test_backtest_lists_withheld_dates(score, cli, tmp_path):
    """A backtest says that a date has a withheld run, and how to publish it."""
    score(source="usual.parquet")
    score()
    actuals = titles_table(500, title_id=[f"T{row}" for row in range(500)], total_earnings=np.full(500, 9_000.0))
    parquet.write_table(actuals.select(["title_id", "total_earnings"]), tmp_path / "actuals.parquet")
    ran = cli("backtest", "--predictions", "table", "--actuals", "actuals.parquet", "--json")
    (skipped,) = json.loads(ran.out)["skipped_dates"]
    assert f"table/run_date={DATE}" == skipped["place"]
    assert f"--output table --format delta --release {DATE}" in skipped["reason"]
