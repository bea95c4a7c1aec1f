"""OpenLineage events of scoring runs, as a receiver on the loopback and a file get them."""

import json
import os
import socket
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from gamesales.errors import UsageError
from gamesales.jobs.lineage import find_stable_part, name_dataset
from gamesales.jobs.score import load_score_job, score
from gamesales.jobs.score_job import check_lineage
from support.receiver import run_receiver
from support.runs import put_column
from support.versions import (
    publish_profiled,
    titles_table,
)

DAY = "2026-11-23"


@pytest.fixture
def client():
    return pytest.importorskip("openlineage.client")


@pytest.fixture
def store(tmp_path, simple_registry, cli, monkeypatch):
    """A folder with a registry and the titles of a date."""
    for name in [name for name in os.environ if name.startswith("OPENLINEAGE")]:
        monkeypatch.delenv(name)
    (tmp_path / "in" / DAY).mkdir(parents=True)
    parquet.write_table(titles_table(20), tmp_path / f"in/{DAY}/a.parquet")
    parquet.write_table(titles_table(5), tmp_path / f"in/{DAY}/b.parquet")
    return tmp_path


@pytest.fixture
def run(client, store, cli):
    """Score the titles with lineage in a file; return the run and the events of the file."""

    def command(*words, lineage="events.jsonl", day=DAY):
        ran = cli("score", "in/{date}/*.parquet", "--output", "out", "--date", day, "--lineage", lineage, *words)
        lines = (store / "events.jsonl").read_text(encoding="utf-8").splitlines() if lineage == "events.jsonl" else []
        return ran, [json.loads(line) for line in lines]

    return command


def rebuild(event):
    """Build an event again with the classes of the package, which refuse unknown, missing and wrong fields."""
    from openlineage.client import event_v2, facet_v2
    from openlineage.client.serde import Serde

    kinds = {
        "nominalTime": facet_v2.nominal_time_run.NominalTimeRunFacet,
        "processing_engine": facet_v2.processing_engine_run.ProcessingEngineRunFacet,
        "tags": facet_v2.tags_run.TagsRunFacet,
        "errorMessage": facet_v2.error_message_run.ErrorMessageRunFacet,
        "jobType": facet_v2.job_type_job.JobTypeJobFacet,
        "version": facet_v2.dataset_version_dataset.DatasetVersionDatasetFacet,
        "inputStatistics": facet_v2.input_statistics_input_dataset.InputStatisticsInputDatasetFacet,
        "outputStatistics": facet_v2.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet,
        "dataQualityAssertions": facet_v2.data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet,
    }

    def make_facets(document):
        return {
            name: kinds[name](**{key: value for key, value in facet.items() if not key.startswith("_")})
            for name, facet in document.items()
        }

    def make_dataset(kind, document):
        facets = {key: make_facets(value) for key, value in document.items() if key.lower().endswith("facets")}
        return kind(document["namespace"], document["name"], **facets)

    again = event_v2.RunEvent(
        eventType=event_v2.RunState[event["eventType"]],
        eventTime=event["eventTime"],
        run=event_v2.Run(event["run"]["runId"], make_facets(event["run"]["facets"])),
        job=event_v2.Job(event["job"]["namespace"], event["job"]["name"], make_facets(event["job"]["facets"])),
        inputs=[make_dataset(event_v2.InputDataset, document) for document in event["inputs"]],
        outputs=[make_dataset(event_v2.OutputDataset, document) for document in event["outputs"]],
        producer=event["producer"],
    )
    return Serde.to_dict(again)


class TestEvents:
    def test_published(self, run, store):
        """A run that publishes sends START and COMPLETE, with inputs, version, output and rows."""
        ran, (start, complete) = run("--json")
        assert ["START", "COMPLETE"] == [start["eventType"], complete["eventType"]]
        assert start["run"]["runId"] == complete["run"]["runId"]
        assert ("gamesales", "game-earnings.score") == (complete["job"]["namespace"], complete["job"]["name"])
        titles, model = complete["inputs"]
        (output,) = complete["outputs"]
        names = [(dataset["namespace"], dataset["name"]) for dataset in (titles, model, output)]
        assert [("file", f"{store}/{name}") for name in ("in", "registry/game-earnings", "out")] == names
        statistics = titles["inputFacets"]["inputStatistics"]
        assert (25, 2) == (statistics["rowCount"], statistics["fileCount"])
        assert 25 == output["outputFacets"]["outputStatistics"]["rowCount"]
        document = ran.document
        assert document["bundle_sha256"] == model["facets"]["version"]["datasetVersion"]
        tags = {tag["key"]: tag["value"] for tag in complete["run"]["facets"]["tags"]["tags"]}
        assert (document["run_id"], "0", "false") == (tags["run_id"], tags["exit_code"], tags["already_done"])

    def test_models_of_the_package(self, run):
        """The package's own classes build the same events again."""
        _, events = run()
        _, events = run(day="2026-11-30")
        assert ["START", "COMPLETE", "START", "FAIL"] == [event["eventType"] for event in events]
        assert events == [rebuild(event) for event in events]

    def test_failed(self, run):
        """A run that fails sends FAIL with its message, and keeps its exit code."""
        ran, (_, failed) = run("--json", day="2026-11-30")
        assert (3, "FAIL", []) == (ran.code, failed["eventType"], failed["outputs"])
        assert ran.document["error"]["message"] == failed["run"]["facets"]["errorMessage"]["message"]

    def test_interrupted(self, client, store):
        """A run that is interrupted sends ABORT."""
        job = load_score_job(inputs=("in/{date}",), output=Path("out"), lineage="events.jsonl")

        def interrupt(*_):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            score(job, "registry", [date(2026, 11, 23)], on_plan=interrupt)
        lines = (store / "events.jsonl").read_text(encoding="utf-8").splitlines()
        assert ["START", "ABORT"] == [json.loads(line)["eventType"] for line in lines]

    @pytest.mark.parametrize(("action", "code", "state"), [("fail", 6, "COMPLETE"), ("withhold", 8, "FAIL")])
    def test_drift(self, store, run, simple_registry, action, code, state):
        """The columns that drifted are assertions that failed. A withheld run has failed."""
        publish_profiled(simple_registry)
        titles = put_column(titles_table(500, seed=9), "unit_price", np.full(500, 59.99))
        parquet.write_table(titles, store / f"in/{DAY}/a.parquet")
        ran, (_, end) = run("--on-drift", action)
        assert (code, state) == (ran.code, end["eventType"])
        assert end == rebuild(end)
        if code == 6:
            checks = end["inputs"][0]["inputFacets"]["dataQualityAssertions"]["assertions"]
            failed = {check.get("column") for check in checks if not check["success"]}
            assert "unit_price" in failed
            assert {"rows_rejected"} < {check["assertion"] for check in checks}

    def test_several_sources(self, run, client, cli, store):
        """Sizes and rows belong to a source only if there is just one."""
        ran = cli("score", f"in/{DAY}/a.parquet", f"in/{DAY}/b.parquet", "--output", "out", "--lineage", "e.jsonl")
        event = json.loads((store / "e.jsonl").read_text(encoding="utf-8").splitlines()[1])
        facets = [dataset.get("inputFacets", {}).keys() for dataset in event["inputs"]]
        assert (0, [{"dataQualityAssertions"}] * 2) == (ran.code, facets[:2])


class TestReceiver:
    def test_url(self, run, monkeypatch):
        """A receiver gets the events of a run at the usual path, with the key of the environment."""
        monkeypatch.setenv("OPENLINEAGE_API_KEY", "no-secret")
        monkeypatch.setenv("OPENLINEAGE_NAMESPACE", "shop")
        with run_receiver() as receiver:
            assert 0 == run(lineage=receiver.url)[0].code
            assert 0 == run(lineage=f"{receiver.url}/api/other?x=1")[0].code
        paths = [path for path, _, _ in receiver.requests]
        assert ["/api/v1/lineage"] * 2 + ["/api/other?x=1"] * 2 == paths
        events = [json.loads(body) for _, _, body in receiver.requests]
        assert ["START", "COMPLETE"] * 2 == [event["eventType"] for event in events]
        assert {"shop"} == {event["job"]["namespace"] for event in events}

    def test_refused(self, run):
        """An error of the receiver is a warning."""
        with run_receiver(status=503) as receiver:
            ran, _ = run(lineage=receiver.url)
        assert 0 == ran.code
        assert f"warning: the START event of the run was not delivered to {receiver.url}: it answered 503" in ran.err

    def test_lost(self, run):
        """A receiver that is gone is a warning, which shows neither user nor query."""
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{closed.getsockname()[1]}"
            ran, _ = run(lineage=f"http://user:word@{address}/x?key=hidden")
        assert 0 == ran.code
        assert f"not delivered to http://{address}: ConnectionError" in ran.err
        assert "word" not in ran.err
        assert "hidden" not in ran.err

    def test_unwritable_file(self, run):
        """A file that can't be written is a warning."""
        ran, _ = run(lineage="none/events.jsonl")
        assert 0 == ran.code
        assert "not delivered to none/events.jsonl: FileNotFoundError" in ran.err


def test_not_installed(store, cli, monkeypatch):
    """Without the package, the message names the extra."""
    monkeypatch.setitem(sys.modules, "openlineage.client.uuid", None)
    ran = cli("score", f"in/{DAY}", "--output", "out", "--lineage", "events.jsonl")
    assert 2 == ran.code
    assert "lineage needs openlineage-python, which is not installed" in ran.err
    assert "pip install 'gamesales[lineage]'" in ran.err


def test_dry_run(store, cli):
    """A dry run reports nothing."""
    assert 0 == cli("score", f"in/{DAY}", "--output", "out", "--lineage", "events.jsonl", "--dry-run").code
    assert not (store / "events.jsonl").exists()


@pytest.mark.parametrize("place", ["", "s3://bucket/x", "http://", "ftp://host"])
def test_wrong_place(place):
    """Events go to an http or https URL, or to a file."""
    with pytest.raises(UsageError, match="lineage expects the http or https URL of a receiver, or a file"):
        check_lineage(place)


@pytest.mark.parametrize(
    ("source", "stable"),
    [
        ("in/{date}/*.csv", "in"),
        ("/data/year={date:%Y}/x", "/data"),
        ("new.csv", "new.csv"),
        ("*.csv", "."),
        ("{date}", "."),
        ("/{date}", "/"),
        ("s3://bucket/in/{date}/", "s3://bucket/in"),
    ],
)
def test_stable_part(source, stable):
    """The name of a data set has no date, so that all nights read the same one."""
    assert stable == find_stable_part(source)


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("/data/out/", ("file", "/data/out")),
        ("s3://bucket/a/b", ("s3://bucket", "a/b")),
        ("s3://bucket", ("s3://bucket", "/")),
    ],
)
def test_names_of_datasets(place, name):
    """Data sets have the names that OpenLineage gives to paths and URLs."""
    assert name == name_dataset(place)
