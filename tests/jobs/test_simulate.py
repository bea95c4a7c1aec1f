"""``gamesales simulate``: what the command says; what it writes is held by test_simulate.py."""

import pytest
from pyarrow import csv, parquet


def test_simulate_says_what_it_wrote_and_where(cli):
    ran = cli("simulate", "--rows", "1200", "--output", "titles.csv")
    assert (0, "wrote 1,200 titles to titles.csv\n") == (ran.code, ran.out)
    assert 1200 == csv.read_csv("titles.csv").num_rows


def test_simulate_answers_in_json_and_takes_its_options(cli):
    options = ["--seed", "7", "--ids", "--no-earnings", "--continuous"]
    ran = cli("simulate", "--rows", "50", "--output", "titles.parquet", *options, "--json")
    assert {"output": "titles.parquet", "rows": 50, "seed": 7} == ran.document
    table = parquet.read_table("titles.parquet")
    assert {"title_id", "title"} <= set(table.column_names)
    assert "total_earnings" not in table.column_names
    assert len(set(table.column("unit_price").to_pylist())) > 40


@pytest.mark.parametrize(("rows", "output"), [("-1", "titles.csv"), ("5", "titles.xlsx"), ("5", "nowhere/titles.csv")])
def test_what_can_not_be_simulated_is_a_wrong_command_line(cli, tmp_path, rows, output):
    ran = cli("simulate", "--rows", rows, "--output", output)
    assert 2 == ran.code
    assert ran.err.startswith("error: ")
    assert [] == list(tmp_path.iterdir())
