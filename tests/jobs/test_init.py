"""``gamesales init``: from a table to a contract, two parts and the jobs."""

import csv
import json
import re
import tomllib
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from gamesales.data.contract import Contract
from gamesales.data.labeled_titles import read_titles
from gamesales.jobs.init import InitSettings, init
from gamesales.jobs.score import load_score_job
from gamesales.search.tune_job import load_tune_job
from gamesales.training.train_job import load_job
from support.sales_tables import make_sales, to_csv

FILES = [
    "data/contract.toml",
    "data/test.csv",
    "data/training.csv",
    "jobs/score.toml",
    "jobs/train.toml",
    "jobs/tune.toml",
]


def start(cli, columns, *options, target="total_sales", name="sales.csv", encoding="utf-8", **dialect):
    """Write a table and start from it. The folder is the current folder."""
    Path(name).write_bytes(to_csv(columns, **dialect).encode(encoding))
    return cli("init", name, "--target", target, *options, "--json")


def list_files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def read_rows(path):
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def use_of(document):
    return {column["name"]: column["use"] for column in document["columns"]}


def test_decisions(cli):
    """Each column has its use, kind and reason; addends of the target are left out."""
    document = start(cli, make_sales()).document
    kinds = {column["name"]: column["kind"] for column in document["columns"] if column["use"] == "feature"}
    assert {
        "genre": "category",
        "platform": "category",
        "released": "date",
        "user_score": "rating",
        "publisher": "category",
    } == kinds
    assert {"target": "total_sales", "identity": "game_id"} == {
        use: name for name, use in use_of(document).items() if use in ("target", "identity")
    }
    reasons = {column["name"]: column["why"] for column in document["columns"] if column["use"] == "left out"}
    formula = "is part of total_sales = home_sales + sales_abroad"
    assert dict.fromkeys(["home_sales", "sales_abroad"], formula) == reasons
    assert ("log", 120) == (document["scale"], document["rows"])


def test_files(cli, tmp_path):
    """All files are written, the jobs and the contract are valid, and every row of the parts fits."""
    document = start(cli, make_sales(), "--into", "store").document
    assert FILES == sorted(document["files"]) == list_files("store")
    contract = Contract.from_toml(tmp_path / "store/data/contract.toml")
    assert (("tbd",), ("game_id",)) == (contract.missing_values, contract.identity)
    columns = {column.name: column for column in contract.features}
    assert ("median", "quantiles", 10) == (
        columns["user_score"].missing,
        columns["user_score"].encoding,
        columns["user_score"].maximum,
    )
    assert "category" == columns["publisher"].missing
    rows = {part: len(read_titles(tmp_path / f"store/data/{part}.csv", contract)) for part in ("training", "test")}
    assert (
        {"training": document["training_rows"], "test": document["test_rows"]} == rows == {"training": 96, "test": 24}
    )


def test_jobs(cli, monkeypatch):
    """The three jobs load from the folder, with the name of the model."""
    start(cli, make_sales(), "--name", "store-sales")
    loaded = [load_job(Path("jobs/train.toml")), load_tune_job(Path("jobs/tune.toml"))]
    score = load_score_job(Path("jobs/score.toml"))
    assert {"store-sales"} == {job.name for job in (*loaded, score)}
    assert loaded[1].space.contains(loaded[1].start)
    assert loaded[0].network == loaded[1].start.network()


@pytest.mark.parametrize(
    ("dialect", "encoding", "keys"),
    [
        ({"delimiter": ";"}, "cp1252", {"delimiter": ";", "decimal": ",", "encoding": "cp1252"}),
        ({"delimiter": "\t", "end": "\r\n"}, "utf-16", {"delimiter": "\t", "encoding": "utf-16"}),
        ({"delimiter": "|"}, "utf-8-sig", {"delimiter": "|"}),
    ],
)
def test_dialects(cli, dialect, encoding, keys):
    """A table in any dialect gives parts in this dialect, and jobs that say so."""
    columns = make_sales()
    columns["genre"] = ["Pokémon" if genre == "Action" else genre for genre in columns["genre"]]
    if "decimal" in keys:
        columns = {name: [cell.replace(".", ",") for cell in cells] for name, cells in columns.items()}
    document = start(cli, columns, encoding=encoding, **dialect).document
    assert keys == document["csv"]
    job = load_job(Path("jobs/train.toml"))
    contract = Contract.from_toml(Path("data/contract.toml"))
    titles = read_titles(Path("data/training.csv"), contract, table_format=job.table_format)
    assert 96 == len(titles)
    assert keys == tomllib.loads(Path("jobs/score.toml").read_text(encoding="utf-8"))["csv"]


def test_padded_names(cli):
    """A name with blanks around it is renamed by the jobs."""
    columns = {f" {name} " if name == "genre" else name: cells for name, cells in make_sales().items()}
    assert "feature" == use_of(start(cli, columns).document)["genre"]
    assert {"genre": " genre "} == load_job(Path("jobs/train.toml")).columns


def test_parquet(cli):
    """A Parquet file gives Parquet parts with its types."""
    columns = make_sales()
    table = pa.table(columns).set_column(8, "total_sales", pa.array([float(cell) for cell in columns["total_sales"]]))
    parquet.write_table(table, "sales.parquet")
    document = cli("init", "sales.parquet", "--target", "total_sales", "--json").document
    assert ["data/training.parquet", "data/test.parquet"] == document["files"][:2]
    assert table.schema == parquet.read_schema("data/test.parquet").remove_metadata()
    assert 96 == parquet.read_metadata("data/training.parquet").num_rows


def test_left_out_rows(cli):
    """Rows without a target, and rows that do not fit, are counted and in neither part."""
    columns = make_sales()
    columns["total_sales"][3:5] = ["", "N/A"]
    columns["released"][10] = "soon"
    columns["total_sales"][11] = "much"
    document = start(cli, columns).document
    assert {"without_target": 2, "misfits": 2, "malformed": 0, "blank": 0} == document["left_out"]
    assert 116 == document["training_rows"] + document["test_rows"]
    assert any("row 11: released: not a date" in note for note in document["notes"])
    ids = {row["game_id"] for part in ("training", "test") for row in read_rows(f"data/{part}.csv")}
    assert not {"G00003", "G00004", "G00010", "G00011"} & ids


def test_duplicates(cli):
    """Equal rows are in one part and are reported; a column with the values of another column is left out."""
    columns = {name: cells * 3 for name, cells in make_sales(60).items() if name != "game_id"}
    columns["genre_code"] = [str("APRS".index(genre[0]) + 1) for genre in columns["genre"]]
    columns["score_again"] = columns["user_score"]
    document = start(cli, columns).document
    reasons = {column["name"]: column["why"] for column in document["columns"]}
    assert "has a value for each value of genre" == reasons["genre_code"]
    assert "has the values of user_score" == reasons["score_again"]
    assert "120 rows equal to another row in all columns; equal rows are in the same part" in document["notes"]
    parts = [{tuple(row.values()) for row in read_rows(f"data/{part}.csv")} for part in ("training", "test")]
    assert not parts[0] & parts[1]


@settings(max_examples=15)
@given(
    rows=st.integers(30, 60),
    seed=st.integers(0, 3),
    share=st.floats(0.1, 0.9),
    split=st.sampled_from([{}, {"split_by": "publisher"}, {"split_date": "released"}]),
)
def test_split(tmp_path_factory, rows, seed, share, split):
    """Each row is in one part, groups are together, newer dates are the test, and a seed gives the same bytes."""
    folder = tmp_path_factory.mktemp("split")
    columns = make_sales(rows, seed)
    (folder / "sales.csv").write_text(to_csv(columns), encoding="utf-8")
    for into in ("first", "second"):
        init(folder / "sales.csv", InitSettings("total_sales", folder / into, seed=seed, test_share=share, **split))
    assert all((folder / "first" / name).read_bytes() == (folder / "second" / name).read_bytes() for name in FILES)
    training, test = (read_rows(folder / f"first/data/{part}.csv") for part in ("training", "test"))
    assert sorted([*training, *test], key=lambda row: row["game_id"]) == [
        dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)
    ]
    assert training
    assert test
    if "split_by" in split:
        houses = [{row["publisher"] for row in part} - {""} for part in (training, test)]
        assert not houses[0] & houses[1]
    if "split_date" in split:
        assert max(row["released"] for row in training) < min(row["released"] for row in test)


@pytest.mark.parametrize("name", FILES)
def test_existing_file(cli, name):
    """An existing file is named, nothing is written, and the file stays."""
    Path("store", name).parent.mkdir(parents=True)
    Path("store", name).write_text("mine", encoding="utf-8")
    ran = start(cli, make_sales(), "--into", "store")
    assert 2 == ran.code
    assert f"store/{name} exists already; nothing was written" in ran.document["error"]["message"]
    assert [name] == list_files("store")


@pytest.mark.parametrize(
    ("text", "target", "code", "message"),
    [
        ("", "y", 3, "is empty; expected a header line"),
        ("x,y\n", "y", 3, "has no rows"),
        ("y\n1\n2\n3\n", "y", 3, "no column that can be a feature: it has only the target"),
        ("x,y\n1,2\n3,4\n", "z", 3, "no column z"),
        ("genre,sales\na,1\nb,2\n", "sale", 3, "did you mean sales?"),
        ("x,y\n1,a\n2,b\n", "y", 3, "the target y has no numbers"),
        ("x,y\n1,\n2,N/A\n", "y", 3, "the target y has no numbers"),
        ("x,y\n1,5\n2,5\n", "y", 3, "the same value in every row"),
        ("x,x,y\n1,2,3\n", "y", 3, "duplicate columns: x"),
        ("x,y\n,1\n,2\n,3\n", "y", 3, "x: no cell has a value"),
        ("id,y\na1,1\nb2,2\nc3,3\n", "y", 3, "id: identifies rows"),
        ("x,y\n1,2\n1\n2,3,4\n", "y", 3, ""),
        ("x\0,y\n1,2\n", "y", 3, "bytes that are not text"),
        ("{}", "y", 3, "JSON"),
    ],
)
def test_useless_tables(cli, tmp_path, text, target, code, message):
    """A table that nothing can be learned from is refused in plain words, and nothing is written."""
    Path("sales.csv").write_text(text, encoding="utf-8")
    ran = cli("init", "sales.csv", "--target", target, "--json")
    assert code == ran.code
    assert message in ran.document["error"]["message"]
    assert "Traceback" not in ran.err
    assert ["sales.csv"] == list_files(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--split-by", "genre", "--split-date", "released"), "exclude each other"),
        (("--split-by", "shop"), "no column shop"),
        (("--split-date", "genre"), "genre has no dates"),
        (("--test-share", "1"), "expects a share above 0 and below 1"),
        (("--name", "My Store"), "My Store"),
    ],
)
def test_wrong_options(cli, tmp_path, options, message):
    """A wrong option is refused before anything is written."""
    ran = start(cli, make_sales(), *options)
    assert ran.code in (2, 3)
    assert message in ran.document["error"]["message"]
    assert ["sales.csv"] == list_files(tmp_path)


def test_nasty_cells(cli):
    """Huge cells, NUL, emoji, marks of direction and quotes neither stop the proposal nor break its files."""
    columns = make_sales()
    columns["genre"][:6] = ["x" * 10_000_000, "🎮", "\u202eevil", 'a"b', " Action ", "two\nlines"]
    columns["publisher"][1] = "a\0b"
    columns['odd "name"\t = #'] = ["a", "b"] * 60
    document = start(cli, columns).document
    assert {"malformed": 1} == {key: count for key, count in document["left_out"].items() if count}
    assert max(len(column["values"]) for column in document["columns"]) < 200
    contract = Contract.from_toml(Path("data/contract.toml"))
    assert 'odd "name"\t = #' in contract.feature_names
    text = Path("data/contract.toml").read_text(encoding="utf-8")
    assert "\u202e" not in text
    assert len(text) < 10_000


def test_many_distinct_texts(cli):
    """A column with mostly different texts is no category."""
    columns = make_sales(2000) | {"nickname": [f"name {number % 1500}" for number in range(2000)]}
    assert "left out" == use_of(start(cli, columns).document)["nickname"]


def test_text(cli):
    """The text has a line for each column, the notes, and the next commands."""
    Path("sales.csv").write_text(to_csv(make_sales()), encoding="utf-8")
    ran = cli("init", "sales.csv", "--target", "total_sales", "--into", "my store")
    lines = ran.out.splitlines()
    assert "120 rows of sales.csv: 96 to train, 24 to test, at random, seed 1" == lines[0]
    assert any(line.startswith("total_sales   target") for line in lines)
    assert ["  cd 'my store'", "  gamesales train", "  gamesales promote 1", "  gamesales score"] == lines[-4:]


def test_python(tmp_path, monkeypatch):
    """The functions of the package do the same."""
    from gamesales import check_contract
    from gamesales import init as start_from

    monkeypatch.chdir(tmp_path)
    Path("sales.csv").write_text(to_csv(make_sales()), encoding="utf-8")
    result = start_from("sales.csv", "total_sales", into="store", split_by="publisher")
    assert "at random by publisher, seed 1" == result.split
    assert check_contract("sales.csv", "store/data/contract.toml").fits
    assert json.loads(json.dumps(result.csv)) == {}


@pytest.mark.slow
def test_three_commands(cli):
    """The proposal trains, is promoted and scores: here with a tiny network, and without networks for the report."""
    columns = make_sales()
    columns["user_score"][1:3] = ["", ""]
    start(cli, columns)
    job = Path("jobs/train.toml")
    text = re.sub(r"units = [1-9]\d+", "units = 4", job.read_text(encoding="utf-8"))
    text = re.sub(r"epochs = \d+", "epochs = 1", text)
    job.write_text(f'{text}[intervals]\nmethod = "none"\n[report]\nmost_titles = 1\n', encoding="utf-8")
    assert 0 == cli("train").code
    assert 0 == cli("promote", "1").code
    ran = cli("score", "data/test.csv", "--output", "predictions.csv", "--json")
    assert (0, 24) == (ran.code, ran.document["rows_scored"])
    assert all(float(row["predicted_earnings"]) >= 0 for row in read_rows("predictions.csv"))
    assert {"home_sales", "total_sales", "game_id"} <= read_rows("predictions.csv")[0].keys()
