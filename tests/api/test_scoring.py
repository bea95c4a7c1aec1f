"""Functions that score files, and look at runs: the same jobs as the commands, with typed results."""

import inspect
import json
import logging
import sys
from dataclasses import fields
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from gamesales import preview_run, read_predictions, release_run, report_run, runs, score
from gamesales.errors import InputNotFoundError, JobFileError, NotApprovedError, UsageError
from gamesales.jobs.score_job import ScoreJob
from support.documents import make_document
from support.nights import make_night
from support.signing import write_keys
from support.versions import simple_earnings, title_values, titles_table


@pytest.fixture
def folder(simple_registry, tmp_path, monkeypatch):
    """The working folder, with a registry and a file of titles for each of two dates."""
    monkeypatch.chdir(tmp_path)
    for rows, day in ((3, "2026-11-22"), (5, "2026-11-23")):
        parquet.write_table(titles_table(rows), tmp_path / f"{day}.parquet")
    return tmp_path


def test_score_file(folder):
    """One file of titles becomes one file of predictions."""
    (report,) = score("2026-11-22.parquet", "out.csv", day="2026-11-22")
    assert ("2026-11-22", 3, 3, 0) == (report.run_date, report.rows_in, report.rows_scored, report.rows_rejected)
    predicted = read_predictions("out.csv").column("predicted_earnings").cast(pa.float64())
    np.testing.assert_allclose(predicted, simple_earnings(title_values(3)))


def test_score_backfill(folder):
    """A backfill has a report and a partition for each date."""
    reports = score(["{date}.parquet"], folder / "out", first="2026-11-22", last="2026-11-23", registry="registry")
    assert [("2026-11-22", 3), ("2026-11-23", 5)] == [(report.run_date, report.rows_in) for report in reports]
    assert 5 == len(read_predictions("out", "2026-11-23"))
    assert all(report.already_done for report in score("{date}.parquet", "out", first="2026-11-22", last="2026-11-23"))


def test_score_like_command(folder, cli):
    """The API and the command give the same run."""
    (report,) = score("2026-11-23.parquet", "api", day="2026-11-23", keep=[], workers=1)
    ran = cli("score", "2026-11-23.parquet", "--output", "cli", "--date", "2026-11-23", "--keep", "", "--json")
    assert (0, report.run_id, report.rows_scored) == (ran.code, ran.document["run_id"], ran.document["rows_scored"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"day": "tomorrow"}, "day expects YYYY-MM-DD, received 'tomorrow'"),
        ({"first": "2026-11-22"}, "a backfill takes --from and --to"),
        ({"model": "latest"}, "'latest' names no version"),
        ({"shadow": "other/1"}, "--shadow expects a version of game-earnings, received a version of other"),
        ({"max_rejects": "some"}, "--max-rejects expects a count"),
        ({"timezone": "Mars/Base"}, "does not know the time zone 'Mars/Base'"),
        ({"output": ""}, "expected an --output that is a path"),
        ({"inputs": []}, "inputs expects at least one file"),
    ],
)
def test_score_wrong_arguments(folder, arguments, message):
    """A wrong argument is a UsageError."""
    with pytest.raises(UsageError, match=message):
        score(**{"inputs": "2026-11-22.parquet", "output": "out", **arguments})


@pytest.mark.parametrize("missing", ["inputs", "output"])
def test_score_without_half(folder, missing):
    """Inputs without an output are an error that shows a call, and so is an output without inputs."""
    arguments = {"inputs": "2026-11-22.parquet", "output": "out"}
    with pytest.raises(UsageError, match=f"expects inputs and output, or a job; {missing} is missing") as failure:
        score(**{name: value for name, value in arguments.items() if name != missing})
    assert 'score("data/new_titles.csv", "predictions")' in failure.value.hint


@pytest.mark.parametrize("function", [score, preview_run])
def test_unknown_argument(folder, function):
    """An unknown argument is a TypeError with the name of the function."""
    with pytest.raises(TypeError, match=rf"^{function.__name__}\(\) got an unexpected keyword argument 'colour'"):
        function("2026-11-22.parquet", "out", colour="blue")


def test_arguments_are_fields_of_a_job():
    """``score`` takes every field of a scoring job, the job file and the dates, and no other argument."""
    names = {field.name for field in fields(ScoreJob)} - {"format", "drift", "requires_explanations"}
    names |= {"output_format", "drift_threshold", "job", "day", "first", "last"}
    assert names == set(inspect.signature(score).parameters) == set(inspect.signature(preview_run).parameters)
    described = inspect.getdoc(score).partition("Args:")[2].partition("Returns:")[0]
    assert names == {
        line.split(":")[0].strip() for line in described.splitlines() if line.startswith("    ") and line[4] != " "
    }


@pytest.fixture
def job(folder):
    """The job file that ``gamesales score`` runs."""
    (folder / "jobs").mkdir()
    text = 'inputs = ["{date}.parquet"]\noutput = "out"\nmax_rejects = "5%"\nunique_ids = true\n[drift]\nfail = true\n'
    (folder / "jobs/score.toml").write_text(text)
    return folder / "jobs/score.toml"


def test_default_job(job):
    """Without inputs and output, the job file of the command is run."""
    (report,) = score(day=date(2026, 11, 23))
    assert ("out/run_date=2026-11-23", 5) == (report.output, report.rows_in)


def test_job_and_arguments(job, tmp_path):
    """Arguments override the values of a job file, also to switch a value off."""
    (report,) = score(job=job, output="other.csv", day="2026-11-22", unique_ids=False, registry=tmp_path / "registry")
    assert ("other.csv", 3) == (report.output, report.rows_in)
    with pytest.raises(JobFileError, match=r"no file none\.toml"):
        score(job="none.toml")


def test_no_job_besides_inputs(job):
    """With inputs and output, the job file of the command is not read."""
    (report,) = score("2026-11-22.parquet", "other.csv", day="2026-11-23")
    assert 3 == report.rows_in


def test_hooks_metrics_and_lineage(folder, capfd):
    """A run has the hook, the metrics and the lineage of its job, and nothing is printed."""
    hook = [sys.executable, "-c", "import sys; open('hook.json', 'w').write(sys.stdin.read()); print('done')"]
    options = {"metrics_file": "metrics.prom", "lineage": "lineage.json", "page": True, "hook_timeout": 30}
    (report,) = score("2026-11-22.parquet", "out", day="2026-11-22", on_success=hook, **options)
    document = json.loads(Path("hook.json").read_text())
    assert (0, report.run_id) == (document["exit_code"], document["run_id"])
    assert "gamesales" in Path("metrics.prom").read_text()
    assert ["START", "COMPLETE"] == [
        json.loads(line)["eventType"] for line in Path("lineage.json").read_text().splitlines()
    ]
    assert (folder / "out/run_date=2026-11-22/_run.html").exists()
    assert ("", "") == capfd.readouterr()


def test_hook_on_failure(folder):
    """A run that fails raises its error, and starts the hook for failures."""
    hook = ["sh", "-c", "cat >hook.json"]
    with pytest.raises(InputNotFoundError):
        score("none.parquet", "out", on_failure=hook)
    assert 3 == json.loads(Path("hook.json").read_text())["exit_code"]


def test_signature(folder):
    """A run with a required signature needs it."""
    keys = write_keys(folder / "keys")
    with pytest.raises(NotApprovedError):
        score("2026-11-22.parquet", "out", require_signature=keys / "alice.pub")


def test_preview(folder):
    """A preview has the run that ``score`` then does, and writes nothing."""
    before = sorted(folder.rglob("*"))
    (preview,) = preview_run("2026-11-22.parquet", "out", day="2026-11-22")
    assert before == sorted(folder.rglob("*"))
    (report,) = score("2026-11-22.parquet", "out", day="2026-11-22")
    assert (report.run_id, 3, False) == (preview.run_id, preview.rows, preview.already_done)
    assert "RunPreview(2026-11-22: 3 rows by version 1, 1 shard)" == repr(preview)
    assert "already done" in repr(preview_run("2026-11-22.parquet", "out", day="2026-11-22"))


@pytest.fixture
def withheld(tmp_path, monkeypatch):
    """The working folder after a night that is published and a night that is withheld."""
    monkeypatch.chdir(tmp_path)
    make_night(tmp_path)
    score("usual.parquet", "out", day="2026-11-23")
    (report,) = score("drifted.parquet", "out", day="2026-11-24", on_drift="withhold")
    assert report.is_withheld
    return tmp_path


def test_release(withheld):
    """A withheld run is published with a reason, and then listed as released."""
    assert ["withheld", "published"] == [run.state for run in runs("out")]
    with pytest.raises(UsageError, match="needs a reason"):
        release_run("2026-11-24", " ", output="out")
    report = release_run(date(2026, 11, 24), "a sale", output=withheld / "out")
    assert (False, "a sale") == (report.is_withheld, report.release.reason)
    assert ["published", "published"] == [run.state for run in runs(withheld / "out")]
    assert 1 == len(runs("out", limit=1))
    assert "released by" in runs("out")[0].note


def test_runs_like_command(withheld, cli):
    """The list of runs is the document of the command."""
    assert make_document(runs("out")) == cli("runs", "out", "--json").document
    with pytest.raises(UsageError, match="expected a limit of 1 or more, received 0"):
        runs("out", limit=0)
    with pytest.raises(UsageError, match="OUTPUT is missing"):
        runs()


def test_page_of_a_run(withheld):
    """The page of a run is written where the caller says, or named by its date."""
    result = report_run("2026-11-24", output="out")
    assert ("run-2026-11-24.html", "withheld") == (result.page, result.state)
    assert "drift" in Path(report_run(date(2026, 11, 23), "page.html", output="out").page).read_text()
    with pytest.raises(InputNotFoundError):
        report_run("2026-11-25", output="out")


def test_drift_threshold(withheld):
    """A higher threshold finds no drift."""
    (report,) = score("drifted.parquet", "out", day="2026-11-25", drift_threshold=50.0)
    assert () == report.drift.drifted


def test_warnings_are_logged(withheld, caplog):
    """A warning is in the report, and in the log for a program that collects logs."""
    with caplog.at_level(logging.WARNING, "gamesales"):
        (report,) = score("drifted.parquet", "out", day="2099-01-01")
    assert any("2099-01-01 is in the future" in text for text in report.warnings)
    assert any("2099-01-01 is in the future" in text for text in caplog.messages)


def test_wrong_workers(folder):
    """A run needs a worker."""
    with pytest.raises(UsageError, match="workers expects 1 or more, received 0"):
        score("2026-11-22.parquet", "out", workers=0)


def test_displays(withheld):
    """A report and a list of runs have a line for a terminal and a table for a notebook."""
    (report,) = score("usual.parquet", "out", day="2026-11-23")
    assert "RunReport(2026-11-23: 500 of 500 rows scored by version 1, 0 rejected, already done)" == repr(report)
    assert "<p>run of 2026-11-23, published</p>" in report._repr_html_()
    assert "RunList(2 runs in out)" == repr(runs("out"))
    html = runs("out")._repr_html_()
    assert '<td style="text-align: left">withheld</td><td style="text-align: right">500</td>' in html
