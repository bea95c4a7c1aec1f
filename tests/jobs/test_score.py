"""The nightly run as its job file says, and what the command line puts in its place."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from gamesales.data.table import Batch
from gamesales.jobs.score_job_file import load_score_job
from gamesales.scoring import shadow
from gamesales.scoring.predict import predict_titles
from gamesales.scoring.scorer import Scorer, load_version
from gamesales.training.metrics import column_profile, training_profile
from support.runs import (
    CONTRACT,
    csv_line,
    csv_text,
    earnings,
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
    def test_the_shipped_one_is_valid_and_scores_the_shipped_titles(self, cli, simple_registry, tmp_path):
        job = load_score_job(JOB)
        assert (job.model, str(job.output), job.drift.fail) == ("@champion", "predictions", False)
        (tmp_path / "data").symlink_to(DATA)
        ran = cli("score", "--job", JOB, "--date", "2026-11-23")
        assert ran.code == 0
        assert ran.out.startswith("36 of 36 titles scored by version 1")
        assert len(earnings(tmp_path / "predictions/run_date=2026-11-23")) == 36


class TestBareCommand:
    def test_it_does_what_the_job_says(self, store, cli):
        ran = cli("score", "--date", "2026-11-23")
        assert (ran.code, ran.err) == (0, "")
        (part,) = store.glob("predictions/run_date=2026-11-23/part*")
        table = parquet.read_table(part)
        assert table.column_names == ["title_id", "predicted_earnings", "outside_training_range", "model_version"]
        assert table.num_rows == 20

    def test_the_command_line_goes_before_the_job(self, store, cli):
        ran = cli("score", "titles/2026-11-22", "--output", "mine.csv", "--keep", "title,unit_price")
        assert ran.code == 0
        assert list(read_csv(store / "mine.csv")[0])[:2] == ["unit_price", "title"]

    def test_nothing_may_pass_through(self, store, cli):
        assert cli("score", "--date", "2026-11-22", "--output", "mine.csv", "--keep", "").code == 0
        assert next(iter(read_csv(store / "mine.csv")[0])) == "predicted_earnings"

    def test_a_column_to_keep_that_is_not_there_is_named_with_its_file(self, store, cli):
        ran = cli("score", "--date", "2026-11-22", "--keep", "title,shelf,aisle")
        assert ran.code == 3
        assert "a.parquet lacks shelf, which is to be kept; " in ran.err
        assert "lacks aisle" in ran.err

    def test_without_a_job_it_says_what_is_missing(self, cli, simple_registry):
        ran = cli("score")
        assert ran.code == 2
        assert "INPUT is not given, and there is no jobs/score.toml that says it" in ran.err
        assert cli("score", "x.csv").code == 2

    def test_a_job_that_is_named_must_be_there(self, store, cli):
        ran = cli("score", "--job", "jobs/none.toml")
        assert (ran.code, "no file jobs/none.toml" in ran.err) == (2, True)


class TestBackfill:
    def test_each_date_has_its_own_inputs_and_result(self, store, cli):
        ran = cli("score", "--from", "2026-11-22", "--to", "2026-11-23", "--json")
        assert ran.code == 0
        runs = ran.document["runs"]
        assert [(one["run_date"], one["rows_in"]) for one in runs] == [("2026-11-22", 10), ("2026-11-23", 20)]
        assert len(earnings(store / "predictions/run_date=2026-11-22")) == 10

    def test_done_dates_are_not_done_again(self, store, cli):
        assert cli("score", "--date", "2026-11-22").code == 0
        runs = cli("score", "--from", "2026-11-22", "--to", "2026-11-23", "--json").document["runs"]
        assert [one["already_done"] for one in runs] == [True, False]

    def test_a_night_without_files_may_be_allowed(self, store, cli):
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
    def test_half_a_span_or_one_that_runs_backwards_is_refused(self, store, cli, dates):
        assert cli("score", *dates).code == 2


class TestDryRun:
    def test_it_says_what_would_be_done_and_writes_nothing(self, store, cli):
        before = snapshot(store)
        plan = cli("score", "--date", "2026-11-23", "--dry-run", "--json").document
        assert (plan["rows"], plan["model_version"], plan["kept"]) == (20, 1, ["title_id"])
        assert plan["inputs"][0]["name"] == "2026-11-23/a.parquet" or plan["inputs"][0]["name"] == "a.parquet"
        assert plan["estimated_seconds"] >= 0
        ran = cli("score", "--date", "2026-11-23", "--dry-run")
        assert "20 rows of 1 files, by version 1" in ran.out
        assert before == snapshot(store)

    def test_it_finds_the_faults_that_a_run_would_find(self, store, cli):
        assert cli("score", "--date", "2026-11-25", "--dry-run").code == 3
        assert cli("score", "--date", "2026-11-23", "--dry-run", "--keep", "shelf").code == 3

    def test_it_says_that_nothing_is_left_to_do(self, store, cli):
        assert cli("score", "--date", "2026-11-23").code == 0
        assert "done already" in cli("score", "--date", "2026-11-23", "--dry-run").out


class TestLog:
    def test_lines_for_programs_are_json_on_stderr(self, store, cli):
        ran = cli("score", "--date", "2026-11-23", "--log-format", "json", "--json")
        events = [json.loads(line) for line in ran.err.splitlines()]
        assert [one["event"] for one in events] == ["planned", "done"]
        assert events[1]["rows_scored"] == ran.document["rows_scored"] == 20

    def test_another_format_is_refused(self, store, cli):
        assert cli("score", "--log-format", "xml").code == 2


class TestDrift:
    """A version that knows its training titles, and nights like and unlike them."""

    @pytest.fixture
    def drifting(self, tmp_path, simple_registry, cli):
        values = title_values(2_000, seed=7)
        details = simple_details(CONTRACT)
        details["training_profile"] = training_profile(FEATURES, values)
        details["prediction_profile"] = column_profile("predicted_earnings", simple_earnings(values))
        number = simple_registry.publish({"scorer.onnx": simple_graph()}, details, "knows its titles")
        publish_simple(simple_registry)
        simple_registry.set_alias("champion", number, "", lambda state, version: {"findings": [], "forced": False})
        parquet.write_table(titles_table(5_000, seed=8), tmp_path / "alike.parquet")
        dear = titles_table(5_000, seed=9)
        at = dear.schema.get_field_index("unit_price")
        parquet.write_table(
            dear.set_column(at, "unit_price", pa.array(np.full(5_000, 59.99))), tmp_path / "dear.parquet"
        )
        return tmp_path

    def test_titles_like_those_of_training_do_not_drift(self, drifting, cli):
        ran = cli("score", "alike.parquet", "--output", "out", "--fail-on-drift", "--json")
        assert ran.code == 0
        assert ran.document["drift"]["drifted"] == []
        assert ran.document["drift"]["rows"] == 5_000
        assert {one["share_outside"] for one in ran.document["drift"]["columns"]} == {0.0, None}

    def test_other_titles_are_told_and_fail_the_run_only_if_asked_to(self, drifting, cli):
        ran = cli("score", "dear.parquet", "--output", "out")
        assert ran.code == 0
        assert "drift: the titles are not those of training in unit_price" in ran.out
        report = json.loads(next(drifting.rglob("_run.json")).read_bytes())
        assert "unit_price" in report["drift"]["drifted"]
        assert cli("score", "dear.parquet", "--output", "out2", "--fail-on-drift").code == 6
        assert len(earnings(next((drifting / "out2").iterdir()))) == 5_000

    def test_the_job_says_what_is_drift(self, drifting, cli):
        (drifting / "job.toml").write_text(
            'inputs = ["x"]\noutput = "y"\n[drift]\nthreshold = 100.0\nfail = true\n', encoding="utf-8"
        )
        assert cli("score", "dear.parquet", "--output", "out", "--job", "job.toml").code == 0

    def test_a_csv_and_a_parquet_file_drift_alike(self, drifting, cli):
        from pyarrow import csv

        csv.write_csv(parquet.read_table(drifting / "dear.parquet"), drifting / "dear.csv")
        by_kind = [cli("score", f"dear.{kind}", "--output", f"{kind}.csv", "--json") for kind in ("csv", "parquet")]
        assert by_kind[0].document["drift"] == by_kind[1].document["drift"]


class TestOtherInputs:
    def test_a_compressed_csv_is_read_as_what_it_holds(self, store, cli):
        import gzip

        content = csv_text([csv_line(), csv_line(unit_price="0"), ["broken"], csv_line()])
        (store / "t.csv").write_text(content)
        (store / "z.csv.gz").write_bytes(gzip.compress(content[:90].encode()) + gzip.compress(content[90:].encode()))
        for source in ("t.csv", "z.csv.gz"):
            assert cli("score", source, "--output", f"{source}.out.csv", "--keep", "").code == 0
        assert read_csv(store / "t.csv.out.csv") == read_csv(store / "z.csv.gz.out.csv")
        plain, zipped = (read_rejects(store / f"{one}.out.csv.rejects.csv") for one in ("t.csv", "z.csv.gz"))
        assert [one | {"file": ""} for one in plain] == [one | {"file": ""} for one in zipped]

    @pytest.mark.parametrize("damage", ["cut", "noise"])
    def test_a_damaged_compressed_file_is_told(self, store, cli, damage):
        import gzip

        content = gzip.compress(csv_text([csv_line(unit_price=str(row / 7)) for row in range(1, 2_000)]).encode())
        (store / "z.csv.gz").write_bytes(content[:-900] if damage == "cut" else b"noise" + content)
        ran = cli("score", "z.csv.gz", "--output", "out.csv", "--keep", "")
        assert ran.code == 3
        assert "z.csv.gz is not a file compressed by gzip, or damaged" in ran.err

    def test_folders_that_name_a_column_give_it(self, store, cli):
        for region, shelf in (("eu", "007"), ("n%20a", "__HIVE_DEFAULT_PARTITION__")):
            folder = store / f"in/region={region}/shelf={shelf}"
            folder.mkdir(parents=True)
            parquet.write_table(titles_table(2), folder / "a.parquet")
            (folder / "b.csv").write_text(csv_text([csv_line()]))
        assert cli("score", "in", "--output", "out.parquet", "--keep", "region,shelf").code == 0
        table = parquet.read_table(store / "out.parquet")
        assert table.column("region").to_pylist() == ["eu"] * 3 + ["n a"] * 3
        assert table.column("shelf").to_pylist() == ["007"] * 3 + [None] * 3

    def test_a_feature_may_stand_in_the_path(self, store, cli):
        for flag in (0, 1):
            folder = store / f"in/is_sequel={flag}"
            folder.mkdir(parents=True)
            parquet.write_table(titles_table(2).drop_columns(["is_sequel"]), folder / "a.parquet")
        assert cli("score", "in", "--output", "out.csv", "--keep", "").code == 0
        dollars = earnings(store / "out.csv")
        assert [dollars[2] - dollars[0], dollars[3] - dollars[1]] == [500.0, 500.0]

    def test_a_column_in_the_path_and_in_the_file_is_refused(self, store, cli):
        (store / "in/title_id=7").mkdir(parents=True)
        parquet.write_table(titles_table(1, title_id=["8"]), store / "in/title_id=7/a.parquet")
        ran = cli("score", "in", "--output", "out.csv")
        assert (ran.code, "columns twice, in its path and in itself: title_id" in ran.err) == (3, True)

    def test_rejects_of_a_partitioned_file_tell_its_path(self, store, cli):
        (store / "in/region=eu").mkdir(parents=True)
        (store / "in/region=eu/a.csv").write_text(csv_text([csv_line(), csv_line(unit_price="no")]))
        assert cli("score", "in", "--output", "out.csv", "--keep", "region").code == 0
        (one,) = read_rejects(store / "out.csv.rejects.csv")
        assert (one["file"], one["row"], one["record"]["region"]) == ("region=eu/a.csv", 2, "eu")

    def test_yesterdays_results_below_an_input_folder_are_no_inputs(self, store, cli):
        for day in ("2026-11-22", "2026-11-23"):
            ran = cli("score", "titles", "--output", "titles/predictions", "--date", day, "--json")
            assert (ran.code, ran.document["rows_in"]) == (0, 30)


class TestIds:
    @pytest.fixture
    def twice(self, store):
        ids = [f"T{row % 9_000}" for row in range(10_000)]
        parquet.write_table(titles_table(10_000, title_id=pa.array(ids)), store / "twice.parquet")
        return store

    def test_an_id_that_comes_twice_is_counted_and_told(self, twice, cli):
        ran = cli("score", "twice.parquet", "--output", "out.parquet")
        assert ran.code == 0
        assert "1,000 ids come more than once, 1,000 rows too many: T" in ran.out
        told = json.loads((twice / "out.parquet.run.json").read_bytes())["doubled_ids"]
        assert (told["ids"], told["rows"], len(told["examples"])) == (1000, 1000, 3)

    def test_it_may_be_refused_and_then_nothing_is_published(self, twice, cli):
        ran = cli("score", "twice.parquet", "--output", "out.parquet", "--unique-ids")
        assert ran.code == 3
        assert "1,000 ids come more than once" in ran.err
        assert not (twice / "out.parquet").exists()
        assert cli("score", "twice.parquet", "--output", "out.parquet").code == 0
        assert cli("score", "twice.parquet", "--output", "out.parquet", "--unique-ids").code == 3

    def test_ids_that_do_not_pass_through_are_counted_too(self, twice, cli):
        ran = cli("score", "twice.parquet", "--output", "out.parquet", "--keep", "", "--json")
        assert ran.document["doubled_ids"]["ids"] == 1000

    def test_titles_without_ids_are_not_compared(self, store, cli):
        parquet.write_table(titles_table(5), store / "none.parquet")
        assert cli("score", "none.parquet", "--output", "o.csv", "--keep", "", "--json").document["doubled_ids"] is None


class TestMetrics:
    def test_a_run_and_then_a_failure_are_told_to_prometheus(self, store, cli):
        for day, code in (("2026-11-23", 0), ("2026-11-30", 3)):
            assert cli("score", "--date", day, "--metrics-file", "gamesales.prom").code == code
            page = (store / "gamesales.prom").read_text()
            assert f'gamesales_score_exit_code{{model="game-earnings"}} {code}' in page
            assert 'gamesales_score_last_success_timestamp_seconds{model="game-earnings"} ' in page
        assert "gamesales_score_rows_in" not in page

    def test_a_dry_run_tells_nothing(self, store, cli):
        assert cli("score", "--date", "2026-11-23", "--metrics-file", "gamesales.prom", "--dry-run").code == 0
        assert not (store / "gamesales.prom").exists()


def test_a_backfill_may_use_the_champion_of_each_date(store, cli, simple_registry):
    """The version was promoted today; on the dates of the titles there was none."""
    assert cli("score", "--date", "2026-11-22").code == 0
    ran = cli("score", "--date", "2026-11-22", "--as-of-date")
    assert ran.code == 4
    assert "as of 2026-11-23T00:00:00" in ran.err
    today = str(datetime.now(UTC).date())
    (store / "titles" / today).symlink_to(store / "titles/2026-11-22")
    assert cli("score", "--date", today, "--as-of-date").code == 0


def test_a_scoring_host_may_have_a_registry_that_it_can_only_read(store, cli):
    """Not even a temporary file is made there, which would change a folder's time."""

    def times():
        return {path: path.stat().st_mtime_ns for path in [store / "registry", *(store / "registry").rglob("*")]}

    before = times()
    assert cli("score", "--date", "2026-11-23").code == 0
    assert before == times()


class TestShadow:
    """A second version scores the same titles, and only its differences are told."""

    @pytest.fixture
    def two(self, store, simple_registry):
        """Version 2 says 50 dollars more than the champion."""
        assert publish_simple(simple_registry, bias=50.0) == 2
        return store

    def test_how_the_two_differ_is_told(self, two, cli):
        ran = cli("score", "--date", "2026-11-23", "--shadow", "2", "--json")
        told = ran.document["shadow"]
        assert (told["model_version"], told["rows_compared"], told["rows_not_scored"]) == (2, 20, 0)
        assert told["mean_difference"] == told["mean_absolute_difference"] == 50.0
        assert told["largest_difference"] == 50.0
        assert told["largest_difference_at"]["file"] == "a.parquet"
        assert set(told["share_beyond"]) == {"1%", "5%", "10%", "20%"}
        ran = cli("score", "--date", "2026-11-23", "--shadow", "2", "--fresh")
        assert "shadow: version 2 says 50 dollars more on average, 50 apart; " in ran.out

    def test_the_result_is_the_champions(self, two, cli):
        assert cli("score", "--date", "2026-11-23", "--output", "alone").code == 0
        assert cli("score", "--date", "2026-11-23", "--output", "both", "--shadow", "2").code == 0
        alone, both = (earnings(two / name / "run_date=2026-11-23") for name in ("alone", "both"))
        assert alone == both

    def test_where_the_two_differ_is_told_by_the_bins_of_training(self, tmp_path, simple_registry, cli):
        version, other = drifting_version(0.0), simple_version(bias=0.0, number=2)
        steeper = replace(other, scorer=Scorer(simple_graph(weights=(1100.0, *SIMPLE_WEIGHTS[1:]))))
        batch = Batch(titles_table(3_000).combine_chunks().to_batches()[0], np.arange(1, 3_001))
        predicted = predict_titles(batch, version)
        told = shadow.report(shadow.compare(batch, predicted, "t", version, steeper), version, steeper)
        (rating, *others) = told["by_feature"]
        means = [one["mean_difference"] for one in rating["bins"]]
        assert means == pytest.approx([200, 250, 300, 350, 400, 450, 500])
        assert sum(one["rows"] for one in rating["bins"]) == 3_000
        assert len(others) == 8

    def test_parts_add_up_to_the_whole(self):
        version, other = drifting_version(0.0), network_version()
        table = titles_table(900).combine_chunks().to_batches()[0]
        whole = Batch(table, np.arange(1, 901))
        pieces = [Batch(table.slice(at, 300), np.arange(at + 1, at + 301)) for at in (0, 300, 600)]
        one, *more = [
            shadow.compare(piece, predict_titles(piece, version), "t", version, other) for piece in (whole, *pieces)
        ]
        summed = more[0] + more[1] + more[2]
        assert (one.rows, one.beyond, one.largest_at) == (summed.rows, summed.beyond, summed.largest_at)
        assert one.total == pytest.approx(summed.total)
        assert one.rows_by_bin == summed.rows_by_bin

    def test_a_title_that_only_the_champion_takes_is_counted(self):
        version = drifting_version(0.0)
        features = [one if one.name != "critic_rating" else replace(one, maximum=3.0) for one in CONTRACT.features]
        strict = replace(simple_version(), contract=replace(CONTRACT, features=tuple(features)))
        batch = Batch(titles_table(500).combine_chunks().to_batches()[0], np.arange(1, 501))
        found = shadow.compare(batch, predict_titles(batch, version), "t", version, strict)
        assert found.rows + found.not_scored == 500
        assert found.not_scored > 100

    def test_a_version_of_another_model_is_refused(self, two, cli):
        ran = cli("score", "--date", "2026-11-23", "--shadow", "other-model/1")
        assert (ran.code, "--shadow expects a version of game-earnings" in ran.err) == (2, True)
        assert cli("score", "--date", "2026-11-23", "--shadow", "9").code == 4


def drifting_version(bias):
    """A simple version that carries how its training titles lay."""
    values = title_values(2_000, seed=7)
    details = simple_details(CONTRACT, bias)
    details["training_profile"] = training_profile(FEATURES, values)
    details["prediction_profile"] = column_profile("predicted_earnings", simple_earnings(values, bias))
    return load_version("game-earnings", 1, "0" * 64, details, simple_graph(bias))
