"""Data files in object stores: titles of trainings and evaluations, holdouts, and actual earnings."""

import gzip

import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from gamesales.data.contract import Contract
from gamesales.data.labeled_titles import read_titles
from gamesales.data.open_table import open_table
from gamesales.errors import InputError, InputNotFoundError, JobFileError, TryAgainError
from gamesales.jobs import gate_evidence
from gamesales.scoring.inputs import find_table_file
from gamesales.training.train_job import load_job, read_data
from support import objects, servers
from support.fault_trials import quick_clients
from support.labeled import digest, make_labeled_table
from support.train_jobs import DENSE, write_job
from support.versions import DATA, publish_promoted, publish_simple, simple_details, simple_graph, titles_table


@pytest.fixture
def registry(tmp_path):
    return publish_promoted(tmp_path)


def put_table(url, table, path):
    """Write a table to a file and to the object at a URL."""
    (csv.write_csv if path.suffix == ".csv" else parquet.write_table)(table, path)
    objects.put(url, path.read_bytes())


@pytest.mark.parametrize("name", ["titles.csv", "titles.parquet"])
@pytest.mark.parametrize("store", ["s3", "azure"])
def test_titles_agree_with_a_disk(request, monkeypatch, tmp_path, contract, store, name):
    """Titles in a store have the values and the digest of a local copy. Only the path in the manifest differs."""
    url = f"{request.getfixturevalue(store).enter(monkeypatch)}/{name}"
    put_table(url, make_labeled_table(3_000), tmp_path / name)
    local, remote = (read_titles(find_table_file(str(source)), contract) for source in (tmp_path / name, url))
    assert local.features.tobytes() == remote.features.tobytes()
    assert local.earnings.tobytes() == remote.earnings.tobytes()
    assert remote.as_dict() == {**local.as_dict(), "path": url}


def test_changed_object_is_refused(s3_url, tmp_path, contract):
    """Titles that change after they were found are not read."""
    put_table(f"{s3_url}/titles.csv", make_labeled_table(40), tmp_path / "titles.csv")
    path = find_table_file(f"{s3_url}/titles.csv")
    put_table(f"{s3_url}/titles.csv", make_labeled_table(41), tmp_path / "titles.csv")
    with pytest.raises(TryAgainError, match=rf"^{s3_url}/titles.csv was changed or removed"):
        read_titles(path, contract)


def test_changed_between_two_reads(s3_url, tmp_path, contract, monkeypatch):
    """Titles that change after their rows were read have no digest, so no version names it."""
    put_table(f"{s3_url}/titles.csv", make_labeled_table(40), tmp_path / "titles.csv")

    def change(path):
        put_table(f"{s3_url}/titles.csv", make_labeled_table(41), tmp_path / "titles.csv")
        return hash_file(path)

    hash_file = gate_evidence.hash_file
    monkeypatch.setattr("gamesales.data.labeled_titles.hash_file", change)
    with pytest.raises(TryAgainError, match="was changed or removed while this run needed it"):
        read_titles(find_table_file(f"{s3_url}/titles.csv"), contract)


@pytest.mark.parametrize(("fault", "error"), [("denied", InputError), ("broken", TryAgainError)])
def test_store_refuses(monkeypatch, fault, error):
    """A store that refuses is an input that can't be used; a store that does not work may work later."""
    url = servers.s3(fault).enter(monkeypatch)
    with quick_clients(), pytest.raises(error, match=rf"^{url}/titles.csv: ") as caught:
        find_table_file(f"{url}/titles.csv")
    assert type(caught.value).exit_code == (3 if fault == "denied" else 7)


@pytest.mark.parametrize("name", ["titles.csv", "titles.csv.gz", "titles.parquet"])
def test_permission_is_lost(s3, monkeypatch, tmp_path, contract, name):
    """If the permission to read is lost after the object was found, the message has the reason. No file is damaged."""
    url, plain = f"{s3.enter(monkeypatch)}/{name}", tmp_path / name.removesuffix(".gz")
    put_table(url, make_labeled_table(), plain)
    if name.endswith(".gz"):
        objects.put(url, gzip.compress(plain.read_bytes()))
    path = find_table_file(url)
    table = open_table(path)
    servers.s3("denied").enter(monkeypatch)
    for read in (lambda: open_table(path), lambda: next(table.read_batches(contract.feature_names))):
        with pytest.raises(InputError, match=rf"^{url}: .*403") as caught:
            read()
        assert "Check the credentials in the environment" in caught.value.hint


def test_missing_object(s3_url):
    """A missing object is an input that is not found. So is a folder of objects, or a bucket."""
    objects.put(f"{s3_url}/folder/titles.csv", b"")
    for source in (f"{s3_url}/gone.csv", f"{s3_url}/folder", f"s3://{servers.BUCKET}"):
        with pytest.raises(InputNotFoundError, match=rf"^no object {source}$"):
            find_table_file(source)


@pytest.mark.parametrize(
    "source",
    ["s3://user:secret@bucket/a.csv", "az://container/a.csv?sv=2024&sig=secret", "https://host/a.csv?sig=secret"],
)
def test_secrets_are_not_printed(cli, registry, tmp_path, source):
    """A URL with a secret is a wrong command line, and the secret is not in the message."""
    publish_simple(registry, 20.0)
    write_job(tmp_path / "job.toml", data={"train": source})
    for arguments in (
        ("evaluate", 1, "--data", source),
        ("promote", 2, "--holdout", source),
        ("crossvalidate", "job.toml"),
        ("crossvalidate", "job.toml", "--data", source),
        ("train", "job.toml"),
    ):
        ran = cli(*arguments)
        assert 2 == ran.code, ran
        assert "secret" not in ran.out + ran.err


class TestJobFile:
    """Training jobs with URLs."""

    def test_root_does_not_apply(self, s3_url, tmp_path):
        """The root of a job file does not apply to URLs. The data of a job may be in a store and on a disk."""
        put_table(f"{s3_url}/past.parquet", make_labeled_table(50), tmp_path / "past.parquet")
        csv.write_csv(make_labeled_table(20), tmp_path / "test.csv")
        (tmp_path / "jobs").mkdir()
        data = {"train": f"{s3_url}/past.parquet", "test": "test.csv"}
        _, training, test = read_data(load_job(write_job(tmp_path / "jobs/train.toml", data=data, root="..")))
        assert (50, 20) == (len(training), len(test))
        assert {"path": f"{s3_url}/past.parquet", "sha256": digest(tmp_path / "past.parquet"), "rows": 50} == (
            training.as_dict()
        )

    def test_same_content(self, s3_url, tmp_path):
        """The same content at a URL and on a disk is not a holdout."""
        put_table(f"{s3_url}/past.csv", make_labeled_table(50), tmp_path / "past.csv")
        data = {"train": f"{s3_url}/past.csv", "test": tmp_path / "past.csv"}
        with pytest.raises(JobFileError, match=r"^data.test is the same file as data.train"):
            read_data(load_job(write_job(tmp_path / "train.toml", data=data)))

    def test_number_is_refused(self, tmp_path):
        """A value that is no text is reported by its key."""
        with pytest.raises(JobFileError, match=r"data\.train: expected a text in quotes, received 7"):
            load_job(write_job(tmp_path / "train.toml", data={"train": 7}))


@pytest.mark.slow
def test_crossvalidate_reads_a_url(cli, s3_url, tmp_path):
    """Cross-validation of titles at a URL names the URL and the digest."""
    put_table(f"{s3_url}/past.csv", make_labeled_table(100), tmp_path / "past.csv")
    job = write_job(tmp_path / "train.toml", network={"layers": [DENSE]}, training={"epochs": 1})
    ran = cli("crossvalidate", job, "--data", f"{s3_url}/past.csv", "--folds", 2, "--plain", "--json")
    assert 0 == ran.code, ran.err
    document = ran.document
    assert (f"{s3_url}/past.csv", digest(tmp_path / "past.csv"), 100) == tuple(
        document[key] for key in ("data", "data_sha256", "rows")
    )


class TestEvaluate:
    """``gamesales evaluate`` with a URL."""

    def test_agrees_with_a_disk(self, cli, registry, s3_url, tmp_path):
        """The metrics and the digest are those of a local copy, so the evaluation is recorded once."""
        put_table(f"{s3_url}/titles.csv", make_labeled_table(), tmp_path / "titles.csv")
        ran = cli("evaluate", 1, "--data", f"{s3_url}/titles.csv", "--json")
        assert (0, "") == (ran.code, ran.err)
        event = registry.read_events()[-1]
        assert (f"{s3_url}/titles.csv", digest(tmp_path / "titles.csv")) == (
            event.body["data"],
            event.body["data_sha256"],
        )
        local = cli("evaluate", 1, "--data", "titles.csv", "--json").document
        assert not local["recorded"]
        assert local["metrics"] == ran.document["metrics"]

    def test_missing_object(self, cli, registry, s3_url):
        """A missing object is exit code 3, and nothing is recorded."""
        before = registry.read_events()
        ran = cli("evaluate", 1, "--data", f"{s3_url}/gone.csv")
        assert (3, f"error: no object {s3_url}/gone.csv") == (ran.code, ran.err.splitlines()[0])
        assert before == registry.read_events()


class TestHoldout:
    """``gamesales promote`` with a holdout in a store."""

    @pytest.fixture
    def holdout(self, s3_url, tmp_path):
        """The URL of titles on which version 1 has an error of 1,000 dollars."""
        put_table(f"{s3_url}/holdout.parquet", make_labeled_table(400, 1_000.0), tmp_path / "holdout.parquet")
        return f"{s3_url}/holdout.parquet"

    def publish_with_holdout(self, registry, holdout, sha256, bias=20.0):
        """Publish a version whose training kept back a holdout in a store."""
        details = simple_details(Contract.from_toml(DATA / "contract.toml"), bias)
        details["data"] = {"test": {"path": holdout, "sha256": sha256, "rows": 400}}
        number = registry.publish({"scorer.onnx": simple_graph(bias)}, details, "for a test")
        evaluation = {"data": holdout, "data_sha256": sha256, "rows": 400, "metrics": {}}
        registry.record_evaluation(number, evaluation, "for a test")

    def test_named_holdout(self, cli, registry, holdout, tmp_path):
        """A holdout at a URL is compared as a local copy is, and the evidence names both."""
        publish_simple(registry, 20.0, evaluated=False)
        ran = cli("promote", 2, "--holdout", holdout, "--json")
        assert 0 == ran.code, ran.err
        evidence = registry.read_events()[-1].body["evidence"]
        assert {"path": holdout, "sha256": digest(tmp_path / "holdout.parquet")} == evidence["holdout"]
        assert pytest.approx(1_000.0) == evidence["comparison"]["champion_mae"]

    def test_holdout_of_training(self, cli, registry, holdout, tmp_path):
        """The holdout that training kept back is read from its URL."""
        self.publish_with_holdout(registry, holdout, digest(tmp_path / "holdout.parquet"))
        assert 0 == cli("promote", 2).code
        assert holdout == registry.read_events()[-1].body["evidence"]["holdout"]["path"]

    def test_changed_holdout(self, cli, registry, holdout, tmp_path):
        """A holdout that is changed or missing is no evidence, and the refusal says what to do."""
        self.publish_with_holdout(registry, holdout, digest(tmp_path / "holdout.parquet"))
        put_table(holdout, make_labeled_table(40), tmp_path / "holdout.parquet")
        ran = cli("promote", 2)
        assert 5 == ran.code
        assert f"{holdout} was changed: expected sha256" in ran.err
        objects.delete(holdout)
        ran = cli("promote", 2)
        assert 5 == ran.code
        assert f"there is no file {holdout}" in ran.err
        assert gate_evidence.HOLDOUT_HINT in ran.err

    def test_store_is_down(self, cli, registry, holdout, tmp_path, monkeypatch):
        """A store that does not answer is no reason to refuse. The command may succeed later."""
        self.publish_with_holdout(registry, holdout, digest(tmp_path / "holdout.parquet"))
        servers.s3("broken").enter(monkeypatch)
        with quick_clients():
            assert 7 == cli("promote", 2).code


def test_backtest_reads_actuals(cli, registry, s3_url, tmp_path):
    """Actual earnings at a URL give the metrics of a local copy, and the evidence names the URL."""
    ids = pa.array([f"T{row}" for row in range(40)])
    parquet.write_table(titles_table(40, title_id=ids), tmp_path / "in.parquet")
    actuals = make_labeled_table().append_column("title_id", ids).select(["title_id", "total_earnings"])
    put_table(f"{s3_url}/earned.csv", actuals, tmp_path / "earned.csv")
    assert 0 == cli("score", "in.parquet", "--output", "out", "--date", "2026-11-23").code

    ran = cli("backtest", "--predictions", "out", "--actuals", f"{s3_url}/earned.csv", "--json")
    assert 0 == ran.code, ran.err
    assert (f"{s3_url}/earned.csv", digest(tmp_path / "earned.csv")) == (
        ran.document["actuals"],
        ran.document["actuals_sha256"],
    )
    assert f"{s3_url}/earned.csv" == registry.read_events()[-1].body["data"]
    local = cli("backtest", "--predictions", "out", "--actuals", "earned.csv", "--json").document
    assert ["recorded before"] == [version["evidence"] for version in local["versions"]]
    assert local["months"] == ran.document["months"]

    gone = cli("backtest", "--predictions", "out", "--actuals", f"{s3_url}/gone.csv")
    assert (3, f"error: no object {s3_url}/gone.csv") == (gone.code, gone.err.splitlines()[0])
