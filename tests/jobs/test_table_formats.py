"""Training titles in another dialect: the job reads them, the version remembers how, and later commands follow."""

import json

import pytest
from pyarrow import csv

from gamesales.data.dialect import CsvDialect, TableFormat
from gamesales.errors import JobFileError, UsageError
from gamesales.jobs.loading import open_registry
from gamesales.search.tune_job import load_tune_job
from gamesales.training.train_job import load_job, read_data
from support.labeled import make_labeled_table
from support.versions import DATA, publish_simple

FORMAT = TableFormat(CsvDialect(";", ",", encoding="cp1252"), {"unit_price": "Preis"})
TABLES = """
[csv]
delimiter = ";"
decimal = ","
encoding = "cp1252"

[columns]
unit_price = "Preis"
"""


@pytest.fixture
def titles(tmp_path, monkeypatch):
    """A European file of forty titles in the current folder."""
    monkeypatch.chdir(tmp_path)
    csv.write_csv(make_labeled_table(), "plain.csv", csv.WriteOptions(quoting_style="none"))
    text = (tmp_path / "plain.csv").read_text().replace(",", ";").replace(".", ",").replace("unit_price", "Preis", 1)
    (tmp_path / "titles.csv").write_text(text, encoding="cp1252")
    return tmp_path / "titles.csv"


def test_train_job_reads_its_format(titles, tmp_path):
    """A training job reads its titles as it says, and the manifest keeps the format."""
    shipped = (DATA.parent / "jobs/train.toml").read_text(encoding="utf-8")
    for key, name in (("train", "titles.csv"), ("test", "test.csv")):
        shipped = shipped.replace(
            {"train": "data/sales_data_training.csv", "test": "data/sales_data_test.csv"}[key], name
        )
    (tmp_path / "job.toml").write_text(shipped.replace('"data/', f'"{DATA}/') + TABLES)
    (tmp_path / "test.csv").write_text("\n".join(titles.read_text().splitlines()[:20]))
    job = load_job(tmp_path / "job.toml")
    _, training, test = read_data(job)
    assert (len(training), len(test)) == (40, 19)
    entry = json.loads(json.dumps(training.as_dict()))
    assert entry["csv"] == {"delimiter": ";", "decimal": ",", "escape": None, "encoding": "cp1252"}
    assert TableFormat.from_description(entry) == FORMAT == job.table_format


def test_search_job_trains_in_its_format(tmp_path):
    """The training job of a search's winner has the format of the search job."""
    shipped = (DATA.parent / "jobs/tune.toml").read_text(encoding="utf-8")
    (tmp_path / "tune.toml").write_text(shipped + TABLES)
    job = load_tune_job(tmp_path / "tune.toml")
    assert job.train_job(job.start).table_format == FORMAT


def test_wrong_format_of_a_job(tmp_path):
    """A wrong key of the tables is named."""
    shipped = (DATA.parent / "jobs/train.toml").read_text(encoding="utf-8")
    (tmp_path / "job.toml").write_text(shipped + "[csv]\ndelimiter = 'ab'\n[columns]\na = 'x'\nb = 'x'\n")
    with pytest.raises(JobFileError, match="csv: delimiter: expected one character"):
        load_job(tmp_path / "job.toml")


def test_evaluation_follows_the_training_titles(cli, titles, tmp_path):
    """Files of a version are read in the format of its training titles, also by promote."""
    registry = open_registry(tmp_path / "registry", "game-earnings")
    for table_format in (TableFormat(), FORMAT):
        train = {"path": "x", "sha256": "0" * 64, "rows": 1, **table_format.describe()}
        publish_simple(registry, evaluated=False, record={"data": {"train": train}})
    assert cli("evaluate", "2", "--data", "titles.csv", "--json").document["rows"] == 40
    refused = cli("evaluate", "1", "--data", "titles.csv")
    assert (refused.code, "separated by semicolons" in refused.err) == (3, True)
    promoted = cli("promote", "2", "--holdout", "titles.csv", "--reason", "European", "--json")
    assert promoted.code == 0


def test_api_takes_a_dialect(titles, tmp_path):
    """The Python API takes the dialect and the renames of a job file."""
    from gamesales import score

    registry = open_registry(tmp_path / "registry", "game-earnings")
    number = publish_simple(registry)
    registry.set_alias("champion", number, "for a test", lambda state, version: {"findings": [], "forced": False})
    keys = {"delimiter": ";", "decimal": ",", "encoding": "cp1252"}
    (report,) = score("titles.csv", "out.csv", csv=keys, columns={"unit_price": "Preis"})
    assert report.rows_scored == 40
    with pytest.raises(UsageError, match="csv: delimiter: expected one character"):
        score("titles.csv", "out.csv", csv={"delimiter": ""})
    with pytest.raises(UsageError, match="unexpected keyword argument 'delimeter'"):
        score("titles.csv", "out.csv", csv={"delimeter": ";"})
