"""Scoring jobs: the job file, arguments that override it, backfills, drift, metrics files and shadows."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from gamesales.data.table import Batch
from gamesales.jobs.score import load_score_job
from gamesales.scoring import shadow
from gamesales.scoring.predict import predict_batch
from gamesales.scoring.scorer import Scorer, load_version
from gamesales.training.evaluation import profile_column, profile_columns
from support.runs import (
    CONTRACT,
    csv_line,
    csv_text,
    earnings,
    gamesales,
    network_version,
    read_csv,
    read_rejects,
    simple_version,
    snapshot,
)
from support.versions import (
    DATA,
    FEATURES,
    ROOT,
    SIMPLE_WEIGHTS,
    publish_simple,
    simple_details,
    simple_earnings,
    simple_graph,
    title_values,
    titles_table,
)

JOB = ROOT / "jobs/score.toml"


@pytest.fixture
def store(tmp_path, simple_registry, cli):
    """A folder with a registry, a job file and titles of two dates."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs/score.toml").write_text(
        'inputs = ["titles/{date}/*.parquet"]\noutput = "predictions"\nkeep = ["title_id"]\n', encoding="utf-8"
    )
    for number, day in enumerate(("2026-11-22", "2026-11-23"), 1):
        folder = tmp_path / "titles" / day
        folder.mkdir(parents=True)
        ids, names = ([f"{word}{row}" for row in range(10 * number)] for word in ("T", "Title "))
        parquet.write_table(
            titles_table(10 * number, title_id=pa.array(ids), title=pa.array(names)), folder / "a.parquet"
        )
    return tmp_path


class TestJobFile:
    def test_shipped_job(self, cli, simple_registry, tmp_path):
        """The shipped job file is valid and scores the shipped titles."""
        job = load_score_job(JOB)
        assert (job.model, str(job.output), job.drift.fail) == ("@champion", "predictions", False)
        (tmp_path / "data").symlink_to(DATA)
        ran = cli("score", "--job", JOB, "--date", "2026-11-23")
        assert ran.code == 0
        assert ran.out.startswith("36 of 36 titles scored by version 1")
        assert len(earnings(tmp_path / "predictions/run_date=2026-11-23")) == 36


class TestBareCommand:
    def test_job_without_arguments(self, store, cli):
        """A bare command runs the job file."""
        ran = cli("score", "--date", "2026-11-23")
        assert (ran.code, ran.err) == (0, "")
        (part,) = store.glob("predictions/run_date=2026-11-23/part*")
        table = parquet.read_table(part)
        assert table.column_names == ["title_id", "predicted_earnings", "outside_training_range", "model_version"]
        assert table.num_rows == 20

    def test_arguments_override_job(self, store, cli):
        """Arguments override the job file."""
        ran = cli("score", "titles/2026-11-22", "--output", "mine.csv", "--keep", "title,unit_price")
        assert ran.code == 0
        assert list(read_csv(store / "mine.csv")[0])[:2] == ["unit_price", "title"]

    def test_keep_nothing(self, store, cli):
        """An empty --keep passes no column through."""
        assert cli("score", "--date", "2026-11-22", "--output", "mine.csv", "--keep", "").code == 0
        assert next(iter(read_csv(store / "mine.csv")[0])) == "predicted_earnings"

    def test_missing_kept_column(self, store, cli):
        """A missing column of --keep is named with its file."""
        ran = cli("score", "--date", "2026-11-22", "--keep", "title,shelf,aisle")
        assert ran.code == 3
        assert "a.parquet lacks shelf, which is to be kept; " in ran.err
        assert "lacks aisle" in ran.err

    def test_missing_job(self, cli, simple_registry):
        """Without a job file, the missing argument is named."""
        ran = cli("score")
        assert ran.code == 2
        assert "INPUT is missing, and there is no jobs/score.toml to take it from" in ran.err
        assert cli("score", "x.csv").code == 2

    def test_missing_named_job(self, store, cli):
        """A job file that --job names must exist."""
        ran = cli("score", "--job", "jobs/none.toml")
        assert (ran.code, "no file jobs/none.toml" in ran.err) == (2, True)


class TestRoot:
    @pytest.fixture
    def shop(self, store, tmp_path):
        """The folder of a shop, with a space in its name, and a job with a root."""
        job = 'root = ".."\nmetrics_file = "games.prom"\n' + (store / "jobs/score.toml").read_text(encoding="utf-8")
        (store / "jobs/score.toml").write_text(job, encoding="utf-8")
        folder = tmp_path / "my shop"
        folder.mkdir()
        for name in ("jobs", "titles", "registry"):
            (store / name).rename(folder / name)
        return folder

    def test_job_from_other_folder(self, shop, cli, monkeypatch):
        """A cron line with the job file alone runs from any folder, and it is the same run everywhere."""
        command = ("score", "--job", str(shop / "jobs/score.toml"), "--date", "2026-11-23", "--json")
        ran = gamesales("/", *command)
        assert (0, "") == (ran.returncode, ran.stderr)
        document = json.loads(ran.stdout)
        assert (f"{shop}/predictions/run_date=2026-11-23", 20) == (document["output"], document["rows_in"])
        assert {"jobs", "titles", "registry", "predictions", "games.prom"} == {path.name for path in shop.iterdir()}
        monkeypatch.chdir(shop / "titles")
        assert cli(*command).document["already_done"]
        monkeypatch.chdir(shop)
        assert cli("score", "--date", "2026-11-23", "--json").document["already_done"]

    def test_arguments_start_at_current_folder(self, shop, cli, tmp_path, monkeypatch):
        """Paths of the command line start at the current folder, whatever the root is."""
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        titles_file = tmp_path / "here/titles.parquet"
        parquet.write_table(titles_table(3, title_id=pa.array(["a", "b", "c"])), titles_file)
        ran = cli("score", "titles.parquet", "--job", "../my shop/jobs/score.toml", "--output", "out.csv")
        assert (ran.code, ran.err) == (0, "")
        assert len(read_csv(tmp_path / "here/out.csv")) == 3

    def test_order_of_registries(self, shop, cli, tmp_path, monkeypatch):
        """The option comes before the environment, the environment before the job, the job before the default."""
        path = shop / "jobs/score.toml"
        command = ("score", "--job", path, "--date", "2026-11-23")

        def find_registry(*more):
            return cli(*command, *more).err.splitlines()[0].removeprefix("error: no model game-earnings in ")

        (shop / "registry").rename(shop / "elsewhere")
        assert f"{shop}/registry: there is no such folder" == find_registry()
        path.write_text('registry = "by job"\n' + path.read_text(encoding="utf-8"), encoding="utf-8")
        assert f"{shop}/by job: there is no such folder" == find_registry()
        monkeypatch.setenv("GAMESALES_REGISTRY", "by_environment")
        assert f"{tmp_path}/by_environment: there is no such folder" == find_registry()
        assert f"{tmp_path}/by_option: there is no such folder" == find_registry("--registry", "by_option")
        assert 2 == cli(*command, "--registry", "").code

    def test_hint_has_registry_of_job(self, shop, cli):
        """A hint repeats the registry that the job names."""
        cli("alias", "delete", "champion", "--reason", "for a test", "--registry", shop / "registry")
        ran = cli("score", "--job", shop / "jobs/score.toml", "--date", "2026-11-23")
        assert 4 == ran.code
        assert f"       Promote one: gamesales promote 1 --registry '{shop}/registry'\n" in ran.err


class TestBackfill:
    def test_dates_have_own_inputs(self, store, cli):
        """Each date has its own inputs and its own partition."""
        ran = cli("score", "--from", "2026-11-22", "--to", "2026-11-23", "--json")
        assert ran.code == 0
        runs = ran.document["runs"]
        assert [(run["run_date"], run["rows_in"]) for run in runs] == [("2026-11-22", 10), ("2026-11-23", 20)]
        assert len(earnings(store / "predictions/run_date=2026-11-22")) == 10

    def test_done_dates_are_skipped(self, store, cli):
        """A published date is not scored again."""
        assert cli("score", "--date", "2026-11-22").code == 0
        runs = cli("score", "--from", "2026-11-22", "--to", "2026-11-23", "--json").document["runs"]
        assert [run["already_done"] for run in runs] == [True, False]

    def test_allow_empty(self, store, cli):
        """--allow-empty publishes a date without files."""
        assert cli("score", "--date", "2026-11-24").code == 3
        assert not (store / "predictions/run_date=2026-11-24").exists()
        ran = cli("score", "--date", "2026-11-24", "--allow-empty")
        assert ran.code == 0
        place = store / "predictions/run_date=2026-11-24"
        assert (place / "_SUCCESS").exists()
        assert earnings(place) == []

    @pytest.mark.parametrize(
        "dates",
        [["--from", "2026-11-22"], ["--to", "2026-11-22"], ["--from", "2026-11-23", "--to", "2026-11-22"]],
    )
    def test_wrong_span(self, store, cli, dates):
        """Half a span or a reversed span is refused."""
        assert cli("score", *dates).code == 2


class TestDryRun:
    def test_dry_run_writes_nothing(self, store, cli):
        """A dry run prints the plan and writes nothing."""
        before = snapshot(store)
        plan = cli("score", "--date", "2026-11-23", "--dry-run", "--json").document
        assert (plan["rows"], plan["model_version"], plan["passthrough_columns"]) == (20, 1, ["title_id"])
        assert plan["inputs"][0]["name"] == "2026-11-23/a.parquet" or plan["inputs"][0]["name"] == "a.parquet"
        assert plan["estimated_seconds"] >= 0
        ran = cli("score", "--date", "2026-11-23", "--dry-run")
        assert "20 rows in 1 file, by version 1" in ran.out
        assert before == snapshot(store)

    def test_dry_run_finds_faults(self, store, cli):
        """A dry run fails as the run would fail."""
        assert cli("score", "--date", "2026-11-25", "--dry-run").code == 3
        assert cli("score", "--date", "2026-11-23", "--dry-run", "--keep", "shelf").code == 3

    def test_dry_run_of_done_date(self, store, cli):
        """A dry run says that the date is already done."""
        assert cli("score", "--date", "2026-11-23").code == 0
        assert "already done" in cli("score", "--date", "2026-11-23", "--dry-run").out


class TestLog:
    def test_json_log(self, store, cli):
        """A JSON log has a line at the start and at the end of a run."""
        ran = cli("score", "--date", "2026-11-23", "--log-format", "json", "--json")
        events = [json.loads(line) for line in ran.err.splitlines()]
        assert [event["event"] for event in events] == ["planned", "done"]
        assert events[1]["rows_scored"] == ran.document["rows_scored"] == 20

    def test_wrong_log_format(self, store, cli):
        """An unknown log format is refused."""
        assert cli("score", "--log-format", "xml").code == 2


class TestDrift:
    """A version with a training profile, and titles like and unlike the training titles."""

    @pytest.fixture
    def drifting(self, tmp_path, simple_registry, cli):
        values = title_values(2_000, seed=7)
        details = simple_details(CONTRACT)
        details["training_profile"] = profile_columns(FEATURES, values)
        details["prediction_profile"] = profile_column("predicted_earnings", simple_earnings(values))
        number = simple_registry.publish({"scorer.onnx": simple_graph()}, details, "with a training profile")
        publish_simple(simple_registry)
        simple_registry.set_alias("champion", number, "", lambda state, version: {"findings": [], "forced": False})
        parquet.write_table(titles_table(5_000, seed=8), tmp_path / "similar.parquet")
        expensive = titles_table(5_000, seed=9)
        position = expensive.schema.get_field_index("unit_price")
        parquet.write_table(
            expensive.set_column(position, "unit_price", pa.array(np.full(5_000, 59.99))),
            tmp_path / "expensive.parquet",
        )
        return tmp_path

    def test_similar_titles_do_not_drift(self, drifting, cli):
        """Titles like the training titles do not drift."""
        ran = cli("score", "similar.parquet", "--output", "out", "--fail-on-drift", "--json")
        assert ran.code == 0
        assert ran.document["drift"]["drifted"] == []
        assert ran.document["drift"]["rows"] == 5_000
        assert {column["share_outside"] for column in ran.document["drift"]["columns"]} == {0.0, None}

    def test_drift_fails_on_request(self, drifting, cli):
        """Drift is reported, and exits with 6 only on request."""
        ran = cli("score", "expensive.parquet", "--output", "out")
        assert ran.code == 0
        assert "drift in unit_price" in ran.out
        report = json.loads(next(drifting.rglob("_run.json")).read_bytes())
        assert "unit_price" in report["drift"]["drifted"]
        assert cli("score", "expensive.parquet", "--output", "out2", "--fail-on-drift").code == 6
        assert len(earnings(next((drifting / "out2").iterdir()))) == 5_000

    def test_drift_threshold_of_job(self, drifting, cli):
        """The job file sets the threshold of drift."""
        (drifting / "job.toml").write_text(
            'inputs = ["x"]\noutput = "y"\n[drift]\nthreshold = 100.0\nfail = true\n', encoding="utf-8"
        )
        assert cli("score", "expensive.parquet", "--output", "out", "--job", "job.toml").code == 0

    def test_drift_of_csv_and_parquet(self, drifting, cli):
        """A CSV and a Parquet file have the same drift."""
        from pyarrow import csv

        csv.write_csv(parquet.read_table(drifting / "expensive.parquet"), drifting / "expensive.csv")
        by_kind = [
            cli("score", f"expensive.{kind}", "--output", f"{kind}.csv", "--json") for kind in ("csv", "parquet")
        ]
        assert by_kind[0].document["drift"] == by_kind[1].document["drift"]


class TestOtherInputs:
    def test_compressed_csv(self, store, cli):
        """A compressed CSV file is scored like its content."""
        import gzip

        content = csv_text([csv_line(), csv_line(unit_price="0"), ["broken"], csv_line()])
        (store / "t.csv").write_text(content)
        (store / "z.csv.gz").write_bytes(gzip.compress(content[:90].encode()) + gzip.compress(content[90:].encode()))
        for source in ("t.csv", "z.csv.gz"):
            assert cli("score", source, "--output", f"{source}.out.csv", "--keep", "").code == 0
        assert read_csv(store / "t.csv.out.csv") == read_csv(store / "z.csv.gz.out.csv")
        plain, zipped = (read_rejects(store / f"{name}.out.csv.rejects.csv") for name in ("t.csv", "z.csv.gz"))
        assert [reject | {"file": ""} for reject in plain] == [reject | {"file": ""} for reject in zipped]

    @pytest.mark.parametrize("damage", ["cut", "noise"])
    def test_damaged_compressed_csv(self, store, cli, damage):
        """A damaged compressed file exits with 3."""
        import gzip

        content = gzip.compress(csv_text([csv_line(unit_price=str(row / 7)) for row in range(1, 2_000)]).encode())
        (store / "z.csv.gz").write_bytes(content[:-900] if damage == "cut" else b"noise" + content)
        ran = cli("score", "z.csv.gz", "--output", "out.csv", "--keep", "")
        assert ran.code == 3
        expected = {"cut": "z.csv.gz is damaged or incomplete compressed data", "noise": "z.csv.gz is neither CSV nor"}
        assert expected[damage] in ran.err

    def test_hive_partitions(self, store, cli):
        """Folders named column=value add the column."""
        for region, shelf in (("eu", "007"), ("n%20a", "__HIVE_DEFAULT_PARTITION__")):
            folder = store / f"in/region={region}/shelf={shelf}"
            folder.mkdir(parents=True)
            parquet.write_table(titles_table(2), folder / "a.parquet")
            (folder / "b.csv").write_text(csv_text([csv_line()]))
        assert cli("score", "in", "--output", "out.parquet", "--keep", "region,shelf").code == 0
        table = parquet.read_table(store / "out.parquet")
        assert table.column("region").to_pylist() == ["eu"] * 3 + ["n a"] * 3
        assert table.column("shelf").to_pylist() == ["007"] * 3 + [None] * 3

    def test_feature_in_path(self, store, cli):
        """A feature may come from the path."""
        for flag in (0, 1):
            folder = store / f"in/is_sequel={flag}"
            folder.mkdir(parents=True)
            parquet.write_table(titles_table(2).drop_columns(["is_sequel"]), folder / "a.parquet")
        assert cli("score", "in", "--output", "out.csv", "--keep", "").code == 0
        dollars = earnings(store / "out.csv")
        assert [dollars[2] - dollars[0], dollars[3] - dollars[1]] == [500.0, 500.0]

    def test_column_in_path_and_file(self, store, cli):
        """A column in the path and in the file is accepted where both agree, and refused where they differ."""
        for title_id in ("7", "8"):
            (store / f"in/title_id={title_id}").mkdir(parents=True)
            parquet.write_table(titles_table(2, title_id=[title_id, "8"]), store / f"in/title_id={title_id}/a.parquet")
        ran = cli("score", "in/title_id=8", "--output", "out.csv")
        assert (ran.code, [row["title_id"] for row in read_csv(store / "out.csv")]) == (0, ["8", "8"])
        before = snapshot(store)
        ran = cli("score", "in", "--output", "out.csv")
        assert "in/title_id=7/a.parquet, row 2: title_id is '8' in the file, but '7' in its path" in ran.err
        assert (3, before) == (ran.code, snapshot(store))

    def test_rejects_of_partitioned_file(self, store, cli):
        """Rejects of a partitioned file have its path."""
        (store / "in/region=eu").mkdir(parents=True)
        (store / "in/region=eu/a.csv").write_text(csv_text([csv_line(), csv_line(unit_price="no")]))
        assert cli("score", "in", "--output", "out.csv", "--keep", "region").code == 0
        (reject,) = read_rejects(store / "out.csv.rejects.csv")
        assert (reject["file"], reject["row"], reject["record"]["region"]) == ("region=eu/a.csv", 2, "eu")

    def test_output_below_input(self, store, cli):
        """Results below an input folder are not inputs."""
        for day in ("2026-11-22", "2026-11-23"):
            ran = cli("score", "titles", "--output", "titles/predictions", "--date", day, "--json")
            assert (ran.code, ran.document["rows_in"]) == (0, 30)


class TestInputFolders:
    """Rules of the job file for the folders of its inputs."""

    @pytest.fixture
    def job(self, store):
        (store / "jobs/score.toml").write_text(
            'inputs = ["in/{date:%Y/%m/%d}"]\noutput = "out"\nexclude = ["*.md"]\nrequire = "_SUCCESS"\n'
        )
        folder = store / "in/2026/11/23"
        folder.mkdir(parents=True)
        parquet.write_table(titles_table(3), folder / "20261123_000001_00037")
        (folder / "README.md").write_text("read me")
        return folder

    def test_complete_folder(self, job, cli):
        """A folder by day is read when the required file is there; excluded files are skipped."""
        assert 7 == cli("score", "--date", "2026-11-23").code
        (job / "_SUCCESS").touch()
        assert 0 == cli("score", "--date", "2026-11-23").code
        assert 7 == cli("score", "--date", "2026-11-22").code

    def test_unread_file(self, job, cli):
        """A file that is not read exits with 3, and nothing is published."""
        (job / "_SUCCESS").touch()
        (job / "notes.txt").write_text("text")
        ran = cli("score", "--date", "2026-11-23", "--json")
        assert (3, "input") == (ran.code, ran.document["error"]["code"])
        assert "in/2026/11/23/notes.txt" in ran.document["error"]["message"]
        assert not (job.parents[3] / "out").exists()

    def test_name_in_other_encoding(self, job, cli):
        """A file name that is not UTF-8 exits with 3 before anything is written."""
        (job / "_SUCCESS").touch()
        (job / "20261123_000001_00037").rename(job / b"caf\xe9.parquet".decode(errors="surrogateescape"))
        ran = cli("score", "--date", "2026-11-23")
        assert (3, "") == (ran.code, ran.out)
        assert r"expected file names in UTF-8, found in/2026/11/23/caf\udce9.parquet" in ran.err
        assert not (job.parents[3] / "out").exists()


class TestDateWarnings:
    @pytest.mark.parametrize("more", [[], ["--dry-run"]])
    def test_backfill_of_same_titles(self, store, cli, more):
        """A backfill without a date in its inputs warns on stderr and in the document."""
        arguments = ("score", "titles/2026-11-22", "--output", "out", "--from", "2026-11-22", "--to", "2026-11-23")
        ran = cli(*arguments, "--json", *more)
        warning = "the 2 dates of the backfill have the same inputs, so they get predictions for the same titles"
        assert (0, 1) == (ran.code, ran.err.count(f"warning: {warning}"))
        assert all(run["warnings"][0].startswith(warning) for run in ran.document["runs"])

    def test_date_in_future(self, store, cli):
        """A date in the future warns, and is scored."""
        ran = cli("score", "titles/2026-11-22", "--output", "out", "--date", "9998-11-24", "--json")
        assert (0, 1) == (ran.code, ran.err.count("warning: 9998-11-24 is in the future: today is "))
        assert ran.document["warnings"][0].startswith("9998-11-24 is in the future")


class TestIds:
    @pytest.fixture
    def duplicates(self, store):
        ids = [f"T{row % 9_000}" for row in range(10_000)]
        parquet.write_table(titles_table(10_000, title_id=pa.array(ids)), store / "duplicates.parquet")
        return store

    def test_duplicate_ids(self, duplicates, cli):
        """Duplicate ids are counted and reported."""
        ran = cli("score", "duplicates.parquet", "--output", "out.parquet")
        assert ran.code == 0
        assert "1,000 duplicate ids, 1,000 extra rows: T" in ran.out
        counts = json.loads((duplicates / "out.parquet.run.json").read_bytes())["duplicate_ids"]
        assert (counts["ids"], counts["rows"], len(counts["examples"])) == (1000, 1000, 3)

    def test_unique_ids(self, duplicates, cli):
        """--unique-ids refuses duplicate ids and publishes nothing."""
        ran = cli("score", "duplicates.parquet", "--output", "out.parquet", "--unique-ids")
        assert ran.code == 3
        assert "duplicate ids: 1,000" in ran.err
        assert not (duplicates / "out.parquet").exists()
        assert cli("score", "duplicates.parquet", "--output", "out.parquet").code == 0
        assert cli("score", "duplicates.parquet", "--output", "out.parquet", "--unique-ids").code == 3

    def test_duplicate_ids_not_kept(self, duplicates, cli):
        """Duplicate ids are counted even if ids do not pass through."""
        ran = cli("score", "duplicates.parquet", "--output", "out.parquet", "--keep", "", "--json")
        assert ran.document["duplicate_ids"]["ids"] == 1000

    def test_titles_without_ids(self, store, cli):
        """Titles without ids have no duplicates."""
        parquet.write_table(titles_table(5), store / "none.parquet")
        assert (
            cli("score", "none.parquet", "--output", "o.csv", "--keep", "", "--json").document["duplicate_ids"] is None
        )


class TestMetrics:
    def test_metrics_file(self, store, cli):
        """The metrics file has the last run, also if it failed."""
        for day, code in (("2026-11-23", 0), ("2026-11-30", 3)):
            assert cli("score", "--date", day, "--metrics-file", "gamesales.prom").code == code
            page = (store / "gamesales.prom").read_text()
            assert f'gamesales_score_exit_code{{model="game-earnings"}} {code}' in page
            assert 'gamesales_score_last_success_timestamp_seconds{model="game-earnings"} ' in page
        assert "gamesales_score_rows_in" not in page

    def test_dry_run_writes_no_metrics(self, store, cli):
        """A dry run writes no metrics file."""
        assert cli("score", "--date", "2026-11-23", "--metrics-file", "gamesales.prom", "--dry-run").code == 0
        assert not (store / "gamesales.prom").exists()


def test_as_of_date(store, cli, simple_registry):
    """--as-of-date resolves the champion as of the end of the date."""
    assert cli("score", "--date", "2026-11-22").code == 0
    ran = cli("score", "--date", "2026-11-22", "--as-of-date")
    assert ran.code == 4
    assert "as of 2026-11-23T00:00:00" in ran.err
    today = str(datetime.now(UTC).date())
    (store / "titles" / today).symlink_to(store / "titles/2026-11-22")
    assert cli("score", "--date", today, "--as-of-date").code == 0


def test_read_only_registry(store, cli):
    """Scoring writes nothing to the registry, not even a temporary file, which would change a folder's time."""

    def times():
        return {path: path.stat().st_mtime_ns for path in [store / "registry", *(store / "registry").rglob("*")]}

    before = times()
    assert cli("score", "--date", "2026-11-23").code == 0
    assert before == times()


class TestShadow:
    """A second version scores the same titles, and the report has its differences."""

    @pytest.fixture
    def two(self, store, simple_registry):
        """Version 2 predicts 50 dollars more than the champion."""
        assert publish_simple(simple_registry, bias=50.0) == 2
        return store

    def test_shadow_differences(self, two, cli):
        """The report and the summary have the differences of the shadow."""
        ran = cli("score", "--date", "2026-11-23", "--shadow", "2", "--json")
        differences = ran.document["shadow"]
        assert (differences["model_version"], differences["rows_compared"], differences["rows_not_scored"]) == (
            2,
            20,
            0,
        )
        assert differences["mean_difference"] == differences["mean_absolute_difference"] == 50.0
        assert differences["largest_difference"] == 50.0
        assert differences["largest_difference_at"]["file"] == "a.parquet"
        assert set(differences["share_beyond"]) == {"1%", "5%", "10%", "20%"}
        ran = cli("score", "--date", "2026-11-23", "--shadow", "2", "--fresh")
        assert "shadow: version 2 predicts $50 higher on average; mean absolute difference $50; " in ran.out

    def test_shadow_changes_no_result(self, two, cli):
        """A shadow does not change the result."""
        assert cli("score", "--date", "2026-11-23", "--output", "alone").code == 0
        assert cli("score", "--date", "2026-11-23", "--output", "both", "--shadow", "2").code == 0
        alone, both = (earnings(two / name / "run_date=2026-11-23") for name in ("alone", "both"))
        assert alone == both

    def test_shadow_differences_by_bin(self, tmp_path, simple_registry, cli):
        """Differences are reported for each bin of the training titles."""
        version, other = drifting_version(0.0), simple_version(bias=0.0, number=2)
        steeper = replace(other, scorer=Scorer(simple_graph(weights=(1100.0, *SIMPLE_WEIGHTS[1:]))))
        batch = Batch(titles_table(3_000).combine_chunks().to_batches()[0], np.arange(1, 3_001))
        predicted = predict_batch(batch, version)
        summary = shadow.summarize(
            shadow.compare_with_shadow(batch, predicted, "t", version, steeper), version, steeper
        )
        (rating, *others) = summary.by_feature
        means = [group["mean_difference"] for group in rating.bins]
        assert means == pytest.approx([200, 250, 300, 350, 400, 450, 500])
        assert sum(group["rows"] for group in rating.bins) == 3_000
        assert len(others) == 8

    def test_shadow_parts_add_up(self):
        """Differences of the parts add up to the differences of the whole."""
        version, other = drifting_version(0.0), network_version()
        table = titles_table(900).combine_chunks().to_batches()[0]
        whole = Batch(table, np.arange(1, 901))
        pieces = [Batch(table.slice(at, 300), np.arange(at + 1, at + 301)) for at in (0, 300, 600)]
        complete, *more = [
            shadow.compare_with_shadow(piece, predict_batch(piece, version), "t", version, other)
            for piece in (whole, *pieces)
        ]
        summed = more[0] + more[1] + more[2]
        assert (complete.rows, complete.beyond, complete.largest_at) == (summed.rows, summed.beyond, summed.largest_at)
        assert complete.total == pytest.approx(summed.total)
        assert complete.rows_by_bin == summed.rows_by_bin

    def test_titles_the_shadow_rejects(self):
        """Titles that only the champion accepts are counted."""
        version = drifting_version(0.0)
        features = [
            column if column.name != "critic_rating" else replace(column, maximum=3.0) for column in CONTRACT.features
        ]
        strict = replace(simple_version(), contract=replace(CONTRACT, features=tuple(features)))
        batch = Batch(titles_table(500).combine_chunks().to_batches()[0], np.arange(1, 501))
        differences = shadow.compare_with_shadow(batch, predict_batch(batch, version), "t", version, strict)
        assert differences.rows + differences.not_scored == 500
        assert differences.not_scored > 100

    def test_shadow_of_another_model(self, two, cli):
        """A shadow of another model is refused."""
        ran = cli("score", "--date", "2026-11-23", "--shadow", "other-model/1")
        assert (ran.code, "--shadow expects a version of game-earnings" in ran.err) == (2, True)
        assert cli("score", "--date", "2026-11-23", "--shadow", "9").code == 4


def drifting_version(bias):
    """A simple version with a training profile."""
    values = title_values(2_000, seed=7)
    details = simple_details(CONTRACT, bias)
    details["training_profile"] = profile_columns(FEATURES, values)
    details["prediction_profile"] = profile_column("predicted_earnings", simple_earnings(values, bias))
    return load_version("game-earnings", 1, "0" * 64, details, simple_graph(bias))
