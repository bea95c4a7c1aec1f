"""Tables in object stores: what is written there, what is refused, and how failures are reported."""

import json
import sys
from datetime import timedelta

import pyarrow as pa
import pytest
from pyarrow import parquet

from gamesales import read_predictions
from gamesales.cli.main import run as run_command
from gamesales.data.screen import RejectLimit
from gamesales.errors import TryAgainError, UsageError
from gamesales.lake.location import TableLocation, summarize
from gamesales.scoring import shard_bounds
from gamesales.scoring.output import parse_output
from gamesales.storage.store import open_store
from support.processes import loaded_by
from support.runs import DAY, read_failure, write_mixed
from support.tables import numbered_version, race_runs, score_table
from support.versions import titles_table


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "titles.parquet"
    parquet.write_table(titles_table(100, title_id=[f"T{row:05d}" for row in range(100)]), path)
    return path


def use_table(url, source, tmp_path):
    """Publish, replace, add a column, read both versions, and compare with a table on disk."""
    score_table(numbered_version(1), source, url)
    assert score_table(numbered_version(1), source, url).already_done
    score_table(numbered_version(2), source, url)
    assert {2} == set(read_predictions(url, DAY).column("model_version").to_pylist())
    assert {1} == set(read_predictions(url, DAY, version=1).column("model_version").to_pylist())
    score_table(numbered_version(2), source, tmp_path / "local")
    expected = next((tmp_path / "local").glob("run_date=*/*.parquet"))
    store = open_store(url)
    assert expected.read_bytes() == store.read(f"run_date={DAY}/{expected.name}")
    assert {key.split("/")[0] for key in store.list("")} == {"_delta_log", "_gamesales", f"run_date={DAY}"}


@pytest.mark.parametrize("s3_url", ["none", "unclear", "conflicting"], indirect=True)
def test_s3(s3_url, source, tmp_path):
    """A table works in S3, also if answers get lost or writes conflict."""
    use_table(s3_url, source, tmp_path)


def test_writers_in_s3(s3_url, source):
    """Of processes that publish a date of a new table in S3 at once one wins; a process for another date succeeds."""
    other_day = DAY + timedelta(1)
    first, second, other = race_runs(source, s3_url, [(DAY, 1), (DAY, 2), (other_day, 3)])
    assert other.startswith("published")
    outputs = {1: first, 2: second}
    (number,) = set(read_predictions(s3_url, DAY).column("model_version").to_pylist())
    assert outputs.pop(number).startswith("published")
    (loser,) = outputs.values()
    assert f"another run published {DAY} in {s3_url}" in loser or loser.startswith("published")
    assert {3} == set(read_predictions(s3_url, other_day).column("model_version").to_pylist())


@pytest.mark.slow
def test_ray_in_s3(s3_url, tmp_path, monkeypatch):
    """Workers of a Ray cluster put the parts into S3 themselves: the same bytes as of threads on a disk."""
    pytest.importorskip("ray")
    from gamesales.scoring.engines.ray_engine import RayEngine

    monkeypatch.setattr(shard_bounds, "MIN_SHARD_ROWS", 1_000)
    write_mixed(tmp_path / "in", 8_000)
    score_table(numbered_version(1), tmp_path / "in", tmp_path / "local", limit=RejectLimit(share=0.5))
    with RayEngine() as engine:
        score_table(
            numbered_version(1), tmp_path / "in", s3_url, limit=RejectLimit(share=0.5), engine=engine, workers=2
        )
    parts = sorted((tmp_path / "local").glob("run_date=*/*.parquet"))
    assert len(parts) > 4
    store = open_store(s3_url)
    assert all(part.read_bytes() == store.read(f"run_date={DAY}/{part.name}") for part in parts)


@pytest.mark.slow
def test_azure(azure, monkeypatch, source, tmp_path):
    """A table works in Azure."""
    use_table(azure.enter(monkeypatch), source, tmp_path)


@pytest.mark.parametrize("s3_url", ["deaf"], indirect=True)
def test_store_without_conditions_is_refused(s3_url, source):
    """A store that lets a key be written twice is refused before the table is created."""
    with pytest.raises(UsageError, match=r"can't hold a table: it let a key be written twice") as refused:
        score_table(numbered_version(1), source, s3_url)
    assert "--output PATH" in refused.value.hint
    assert [] == open_store(s3_url).list("")


@pytest.mark.parametrize(("s3_url", "kind"), [("denied", UsageError), ("broken", TryAgainError)], indirect=["s3_url"])
def test_unusable_store(s3_url, kind, source):
    """A store that denies access for good is exit code 2, a store that is down is exit code 7. Both name the table."""
    with pytest.raises(kind, match=s3_url):
        score_table(numbered_version(1), source, s3_url)


@pytest.mark.parametrize("name", ["AWS_S3_ALLOW_UNSAFE_RENAME", "AWS_S3_LOCKING_PROVIDER"])
def test_unsafe_setting_is_refused(s3_url, source, monkeypatch, name):
    """A setting that makes two writers unsafe, or that can't be checked, is refused by name."""
    monkeypatch.setenv(name, "true")
    with pytest.raises(UsageError, match=f"{name} is set") as refused:
        score_table(numbered_version(1), source, s3_url)
    assert f"unset {name}" == refused.value.hint


def test_command_line(s3_url, cli, simple_registry, source):
    """The command writes a table at a URL, shows what it would do, and a backfill has a version for each date."""
    dates = ("--from", "2026-11-01", "--to", "2026-11-03")
    ran = cli("score", source, "--output", s3_url, *dates, "--json")
    assert 0 == ran.code
    assert [s3_url] * 3 == [run["output"] for run in json.loads(ran.out)["runs"]]
    ran = cli("score", source, "--output", f"{s3_url}/", *dates, "--dry-run", "--json")
    assert [True] * 3 == [run["already_done"] for run in json.loads(ran.out)["runs"]]
    assert 100 == read_predictions(s3_url, "2026-11-02").num_rows
    actuals = pa.table({"title_id": [f"T{row:05d}" for row in range(100)], "total_earnings": [1e4] * 100})
    parquet.write_table(actuals, "actuals.parquet")
    ran = cli("backtest", "--predictions", s3_url, "--actuals", "actuals.parquet", "--json")
    assert (0, 300) == (ran.code, json.loads(ran.out)["matched"])


def test_text_names_the_date(cli, simple_registry, source):
    """The text of a backfill names the date of each run, as that of a folder does."""
    for form, outputs in (("delta", "{}, run_date={}"), ("auto", "{}/run_date={}")):
        dates = ("--from", "2026-11-01", "--to", "2026-11-02")
        ran = cli("score", source, "--output", form, *dates, *(["--format", form] if form == "delta" else []))
        written = [line for line in ran.out.splitlines() if line.startswith("written")]
        assert [f"written to {outputs.format(form, f'2026-11-0{day}')}" for day in (1, 2)] == written


def test_job_file(s3_url, cli, simple_registry, source, tmp_path):
    """A job file may name a table by its URL, or by a folder and its format."""
    for number, output in enumerate((f'output = "{s3_url}"', 'output = "table"\nformat = "delta"')):
        job = tmp_path / f"job{number}.toml"
        job.write_text(f'root = "."\ninputs = ["titles.parquet"]\n{output}\n')
        assert 0 == cli("score", "--job", job, "--date", str(DAY)).code
    assert read_predictions(s3_url, DAY).equals(read_predictions(tmp_path / "table", DAY))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--output", "out.csv", "--format", "delta"), "format delta expects an --output that is a folder"),
        (("--output", "out", "--format", "iceberg"), "format expects delta, received 'iceberg'"),
        (("--output", "http://host/a"), "'http://host/a' can't hold a result; expected a path, file:///FOLDER"),
        (("--output", "s3:/bucket/a"), "can't hold a result"),
        (("--output", "s3://bucket/a?x=1"), "can't hold a table; expected s3://BUCKET/PREFIX"),
    ],
)
def test_wrong_output(cli, simple_registry, source, arguments, message):
    """Another format or another URL is refused."""
    ran = cli("score", source, *arguments)
    assert 2 == ran.code
    assert message in ran.err


@pytest.mark.parametrize("url", ["s3://bucket/a/", "gs://bucket", "az://bucket/a/b", "file:///tmp/a"])
def test_url_stays_text(url):
    """A URL of a table stays text, without a slash at its end."""
    assert url.rstrip("/") == parse_output(url)


def test_wrong_url_hides_secrets():
    """The message about a URL of another kind has neither its password nor its options."""
    for parse in (parse_output, open_store):
        with pytest.raises(UsageError, match="'https:…host/table…' can't hold") as failure:
            parse("https://user:secret@host/table?sig=secret")
        assert "secret" not in failure.value.message


def test_missing_deltalake(cli, simple_registry, source, monkeypatch):
    """Without deltalake, a table says what to install, and a folder works."""
    monkeypatch.setitem(sys.modules, "deltalake", None)
    code, message, hint = read_failure(cli("score", source, "--output", "table", "--format", "delta"))
    assert (2, "a Delta table needs deltalake, which is not installed") == (code, message)
    assert "pip install 'gamesales[lake]'" in hint
    assert 0 == cli("score", source, "--output", "folder").code


def test_folder_loads_no_lake(tmp_path, cli, simple_registry, source):
    """A run into a folder loads neither deltalake nor obstore."""
    words = ["score", str(source), "--output", "out", "--registry", "registry"]
    loaded = loaded_by(tmp_path, f"from gamesales.cli.main import run; assert run({words}) == 0")
    assert {"deltalake", "obstore"}.isdisjoint(loaded)


def test_summary_has_no_signature():
    """The summary of an error has no signature of a URL."""
    error = OSError("\x1b[31m↳\x1b[0m GET https://account.host/table?sig=secret&x=1 failed\n  ↳ status 500")
    assert "GET https://account.host/table?… failed; status 500" == summarize(error)


def test_summary_of_xml():
    """The summary of an answer in XML is its message."""
    error = OSError('404 Not Found\n<?xml version="1.0"?>\n<Error><Message>No bucket</Message><Id>1</Id></Error>')
    assert "404 Not Found (No bucket)" == summarize(error)


def test_location_of_url():
    """A file URL names a folder of this disk."""
    assert "/tmp/a b" == TableLocation("file:///tmp/a%20b").uri
    assert TableLocation("s3://bucket/a").folder is None
    assert run_command(["score", "--help"]) == 0
