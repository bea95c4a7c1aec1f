"""``gamesales simulate``: the command. ``tests/data/test_simulate.py`` tests the titles."""

import pytest
from pyarrow import csv, parquet


def test_simulate_prints_output(cli):
    """The output says how many titles were written, and where."""
    ran = cli("simulate", "--rows", "1200", "--output", "titles.csv")
    assert (0, "wrote 1,200 titles to titles.csv\n") == (ran.code, ran.out)
    assert 1200 == csv.read_csv("titles.csv").num_rows


def test_simulate_options(cli):
    """The options select columns and values."""
    options = ["--seed", "7", "--ids", "--no-earnings", "--continuous"]
    ran = cli("simulate", "--rows", "50", "--output", "titles.parquet", *options, "--json")
    assert {"output": "titles.parquet", "rows": 50, "seed": 7} == ran.document
    table = parquet.read_table("titles.parquet")
    assert {"title_id", "title"} <= set(table.column_names)
    assert "total_earnings" not in table.column_names
    assert len(set(table.column("unit_price").to_pylist())) > 40


@pytest.mark.parametrize(("rows", "output"), [("-1", "titles.csv"), ("5", "titles.xlsx"), ("5", "nowhere/titles.csv")])
def test_wrong_simulate_options(cli, tmp_path, rows, output):
    """A wrong option exits with 2 and writes nothing."""
    ran = cli("simulate", "--rows", rows, "--output", output)
    assert 2 == ran.code
    assert ran.err.startswith("error: ")
    assert [] == list(tmp_path.iterdir())


def test_simulate_catalog(cli):
    """A catalog has categories and a date; without earnings, it has only what is known before the release."""
    ran = cli("simulate", "--kind", "catalog", "--rows", "50", "--output", "catalog.csv", "--no-earnings", "--json")
    assert {"output": "catalog.csv", "rows": 50, "seed": 1} == ran.document
    names = csv.read_csv("catalog.csv").column_names
    assert {"title_id", "genre", "release_date", "user_score"} <= set(names)
    assert not [name for name in names if "earnings" in name]


@pytest.mark.parametrize("options", [("--kind", "shop"), ("--kind", "catalog", "--continuous")])
def test_wrong_kind(cli, tmp_path, options):
    """An unknown kind, or an option that a catalog does not have, is refused."""
    assert 2 == cli("simulate", "--rows", "5", "--output", "titles.csv", *options).code
    assert [] == list(tmp_path.iterdir())
