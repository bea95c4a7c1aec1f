"""``gamesales report --run``: the page of a run in every kind of output, published, withheld, or with ``page``."""

import json

import pytest
from jsonschema import validate
from pyarrow import parquet

from gamesales.errors import EXIT_WITHHELD
from support.nights import NIGHT, REASON, make_night
from support.pages import Outline, read_text
from support.runs import read_failure, snapshot
from support.versions import ROOT

OUTPUTS = ["out", "out.csv", "out.csv.gz", "out.parquet", "table"]


@pytest.fixture
def night(tmp_path, cli):
    """A registry, usual and drifted titles in the working folder, and a function that scores them."""
    make_night(tmp_path)

    def run(output, *more, source="drifted.parquet"):
        form = ("--format", "delta") if output == "table" else ()
        return cli("score", source, "--output", output, "--date", NIGHT, *form, *more)

    return run


def read_page(cli, output, *more):
    ran = cli("report", "--run", NIGHT, "--output", output, "--page", "page.html", *more)
    assert (0, "") == (ran.code, ran.err)
    with open("page.html", encoding="utf-8") as file:
        return file.read()


@pytest.mark.parametrize("output", OUTPUTS)
def test_page_of_every_output(night, cli, output):
    """The page says what ran and why, and shows rejects, drift, and the titles at both ends."""
    night(output)
    page = read_page(cli, output)
    text = read_text(page)
    assert "November 24, 2026: 497 of 500 titles scored by version 1. unit_price drifted." in text
    assert "champion since 2026-" in text
    assert f": {REASON}" in text
    assert "is_action: out of range, allowed: 0 or 1 drifted.parquet row 1, found 9" in text
    assert "average $50.05 in training, $59.99 tonight" in text
    assert "T412, Title 412 $8,400" in text
    assert f"gamesales runs {output}" in text
    Outline(page)


@pytest.mark.parametrize("output", OUTPUTS)
def test_page_of_withheld_run(night, cli, output):
    """The page of a withheld run has the same titles and rejects, and the command that releases it works."""
    assert 0 == night(output, source="usual.parquet").code
    assert EXIT_WITHHELD == night(output, "--on-drift", "withhold").code
    text = read_text(read_page(cli, output))
    assert "and withheld: unit_price drifted. Nothing was published." in text
    assert "critic_rating: missing drifted.parquet row 4" in text
    assert "T412, Title 412 $8,400" in text
    form = " --format delta" if output == "table" else ""
    command = f"score --output {output}{form} --release {NIGHT} --reason TEXT"
    assert f"gamesales {command}" in text
    assert 0 == cli(*command.split()).code
    released = read_text(read_page(cli, output))
    assert "Released by" in released
    assert "T412, Title 412 $8,400" in released


@pytest.mark.parametrize("output", OUTPUTS)
def test_published_page(night, cli, tmp_path, output):
    """With ``page = true``, the page is published with the result. Rows, rejects and the run id do not change."""
    form = 'format = "delta"\n' if output == "table" else ""
    job = f'inputs = ["drifted.parquet"]\noutput = "{output}"\n{form}'
    (tmp_path / "job.toml").write_text(job)
    assert 0 == cli("score", "--job", "job.toml", "--date", NIGHT).code
    plain = read_files(tmp_path)
    (tmp_path / "job.toml").write_text(job + "page = true\n")
    assert 0 == cli("score", "--job", "job.toml", "--date", NIGHT, "--fresh").code
    assert plain == read_files(tmp_path) or output == "table"  # each attempt has names of its own in a table
    pages = list(tmp_path.rglob("*run*.html"))
    (path,) = pages
    assert "T412, Title 412 $8,400" in read_text(path.read_text(encoding="utf-8"))
    (tmp_path / "job.toml").write_text(job)
    assert 0 == cli("score", "--job", "job.toml", "--date", NIGHT, "--fresh").code
    assert output == "table" or not path.exists()


def read_files(folder):
    """Everything that runs wrote, without pages, and of the reports the run ids alone."""
    files = {}
    for name, content in snapshot(folder).items():
        if name.startswith(("out", "table")) and not name.endswith("html"):
            files[name] = json.loads(content)["run_id"] if name.endswith("run.json") else content
    return files


def test_page_without_registry(night, cli, tmp_path):
    """Without its registry, the page says so and shows everything else."""
    night("out")
    text = read_text(read_page(cli, "out", "--registry", "elsewhere"))
    assert "The registry" in text
    assert "champion since" not in text
    assert "T412, Title 412 $8,400" in text


def test_page_is_of_start(night, cli, tmp_path):
    """A later promotion changes nothing on the page of an earlier run."""
    night("out")
    cli("alias", "set", "challenger", "1", "--reason", "later")
    report = tmp_path / f"out/run_date={NIGHT}/_run.json"
    document = json.loads(report.read_bytes())
    report.write_text(json.dumps({**document, "started": "2020-01-01T00:00:00+00:00"}))
    assert "no alias named it when the run started" in read_text(read_page(cli, "out"))


def test_page_of_earlier_release(night, cli, tmp_path):
    """The report of an earlier release has no counts. Its page has no plots, and says so."""
    night("out")
    path = tmp_path / f"out/run_date={NIGHT}/_run.json"
    document = json.loads(path.read_bytes())
    for column in document["drift"]["columns"]:
        for key in ("edges", "training_counts", "counts"):
            del column[key]
    path.write_text(json.dumps(document))
    page = read_page(cli, "out")
    assert "has no counts for plots" in read_text(page)
    assert "<svg" not in page


def test_empty_run(night, cli, tmp_path):
    """A run without rows has a page."""
    parquet.write_table(parquet.read_table("usual.parquet")[:0], "empty.parquet")
    assert 0 == night("out", source="empty.parquet").code
    assert "0 of 0 titles scored" in read_text(read_page(cli, "out"))


def test_failed_page_is_warning(night, cli, tmp_path, monkeypatch):
    """A run is published also if its page can't be made."""
    monkeypatch.setattr("gamesales.jobs.run_page.find_extremes", lambda *_: 1 / 0)
    (tmp_path / "job.toml").write_text('inputs = ["usual.parquet"]\noutput = "out"\npage = true\n')
    ran = cli("score", "--job", "job.toml", "--date", NIGHT)
    assert (0, True) == (ran.code, "the page of the run can't be made: ZeroDivisionError" in ran.err)
    assert (tmp_path / f"out/run_date={NIGHT}/_SUCCESS").exists()


def test_document(night, cli):
    """The JSON document follows its schema; a date without a run, and no date, are errors."""
    night("out")
    document = json.loads(cli("report", "--run", NIGHT, "--output", "out", "--json").out)
    validate(document, json.loads((ROOT / "docs/reference/report.schema.json").read_bytes()))
    assert f"run-{NIGHT}.html" == document["page"]
    code, message, _ = read_failure(cli("report", "--run", "2026-11-01", "--output", "out"))
    assert (3, "no run of 2026-11-01 in out") == (code, message)
    assert 2 == cli("report").code


def test_job_names_output_and_registry(night, cli, tmp_path):
    """The output and the registry are those of the job, unless the command line names others."""
    night("out")
    (tmp_path / "registry").rename(tmp_path / "elsewhere")
    (tmp_path / "job.toml").write_text('inputs = ["in"]\noutput = "out"\nregistry = "elsewhere"\n')
    assert 0 == cli("report", "--run", NIGHT, "--job", "job.toml").code
    text = read_text((tmp_path / f"run-{NIGHT}.html").read_text(encoding="utf-8"))
    assert "champion since" in text
    assert "gamesales show 1 --registry elsewhere" in text
