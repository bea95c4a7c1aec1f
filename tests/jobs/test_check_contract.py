"""``gamesales contract check``: how well a file fits, by the screening of training and scoring."""

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from support.sales_tables import make_sales, to_csv


@pytest.fixture
def check(cli):
    """Start from a table, then check another table against its contract."""
    Path("sales.csv").write_text(to_csv(make_sales()), encoding="utf-8")
    assert 0 == cli("init", "sales.csv", "--target", "total_sales").code

    def run(columns, *options, delimiter=","):
        Path("new.csv").write_text(to_csv(columns, delimiter), encoding="utf-8")
        return cli("contract", "check", "new.csv", *options, "--json")

    return run


def by_name(document):
    return {column["name"]: column for column in document["columns"]}


def test_fitting_file(check):
    """A file with the rows of the contract fits, with its gaps counted."""
    ran = check(make_sales())
    assert (0, True, 120, 120) == (
        ran.code,
        ran.document["fits"],
        ran.document["rows"],
        ran.document["rows_fitting"],
    )
    columns = by_name(ran.document)
    assert (18, 0) == (columns["user_score"]["missing"], columns["user_score"]["misfits"])
    assert ["home_sales", "sales_abroad"] == ran.document["further"]
    assert "data/training.csv" == ran.document["training"]


def test_cells_that_do_not_fit(check):
    """Each column counts its cells that do not fit, and shows rows with the reason."""
    columns = make_sales()
    columns["user_score"][:3] = ["11", "great", "4,5"]
    columns["released"][:2] = ["", "2001-02-30"]
    columns["genre"][4] = "Quiz"
    ran = check(columns)
    assert (3, False, 117) == (ran.code, ran.document["fits"], ran.document["rows_fitting"])
    checked = by_name(ran.document)
    assert (3, 2) == (checked["user_score"]["misfits"], checked["released"]["misfits"])
    assert "row 1 '11' out of range, allowed: 0 to 10" == checked["user_score"]["examples"][0]
    assert "row 1 '' missing" == checked["released"]["examples"][0]
    assert (1, 0, ["Quiz (1)"]) == (
        checked["genre"]["unseen"],
        checked["genre"]["misfits"],
        checked["genre"]["examples"],
    )
    assert "unseen values of genre are scored as the value other" in ran.document["notes"]


def test_listed_values(check):
    """With listed values, other values are unseen; if the contract says so, they reject their row."""
    contract = Path("data/contract.toml")
    text = contract.read_text(encoding="utf-8")
    listed = text.replace('name = "genre"\n', 'name = "genre"\nvalues = ["Action", "Puzzle", "Sports"]\n')
    contract.write_text(listed, encoding="utf-8")
    sales = make_sales()
    ran = check(sales)
    assert sales["genre"].count("Role-Playing") == by_name(ran.document)["genre"]["unseen"]
    assert 0 == ran.code
    contract.write_text(listed.replace('"Sports"]\n', '"Sports"]\nunseen = "reject"\n'), encoding="utf-8")
    ran = check(sales)
    assert (3, sales["genre"].count("Role-Playing")) == (ran.code, by_name(ran.document)["genre"]["misfits"])


def test_without_training_part(check):
    """Without the training part, the values that are rare in the file are counted, and none is rejected."""
    Path("data/training.csv").unlink()
    contract = Path("data/contract.toml")
    text = contract.read_text(encoding="utf-8")
    contract.write_text(text.replace('name = "genre"\n', 'name = "genre"\nunseen = "reject"\n'), encoding="utf-8")
    columns = make_sales()
    columns["genre"][4] = "Quiz"
    ran = check(columns)
    assert (0, None, 1) == (ran.code, ran.document["training"], by_name(ran.document)["genre"]["unseen"])


def test_missing_columns(check):
    """A file without a feature does not fit. One without the target can be scored."""
    columns = make_sales()
    del columns["total_sales"]
    ran = check(columns)
    assert 0 == ran.code
    assert ["the file lacks the target total_sales: it can be scored, but not trained on"] == ran.document["notes"]
    del columns["genre"], columns["game_id"]
    ran = check(columns)
    assert (3, ["genre"], 0) == (ran.code, ran.document["lacking"], ran.document["rows_fitting"])
    assert ["the file lacks the target total_sales", "the file lacks the identity game_id"] == ran.document["notes"]


def test_other_dialect(check):
    """A file in another dialect is read, and the dialect is reported."""
    ran = check(make_sales(), delimiter=";")
    assert (0, {"delimiter": ";"}) == (ran.code, ran.document["csv"])


def test_wrong_types(check, cli):
    """A Parquet column of another type is an error that names it."""
    columns = make_sales()
    table = pa.table(columns | {"released": pa.array([True] * 120)})
    parquet.write_table(table, "new.parquet")
    ran = cli("contract", "check", "new.parquet", "--json")
    assert 3 == ran.code
    assert "released has type bool, expected dates or text" in ran.document["error"]["message"]


def test_malformed_rows(check, cli):
    """Rows that can't be read do not fit."""
    Path("new.csv").write_text(to_csv(make_sales()) + "1,2\n", encoding="utf-8")
    ran = cli("contract", "check", "new.csv", "--json")
    assert (3, 121, 120) == (ran.code, ran.document["rows"], ran.document["rows_fitting"])
    assert ["row 121: expected 9 fields, found 2"] == ran.document["malformed"]


def test_no_file(cli):
    """A missing file or contract is named."""
    ran = cli("contract", "check", "new.csv")
    assert 2 == ran.code
    assert "no file data/contract.toml" in ran.err


def test_text(check, cli):
    """The text has a line for each column."""
    check(make_sales())
    ran = cli("contract", "check", "new.csv")
    assert ran.out.startswith("120 of 120 rows of new.csv fit data/contract.toml\n")
    assert any(line.split()[:3] == ["user_score", "rating", "18"] for line in ran.out.splitlines())
