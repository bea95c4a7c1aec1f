"""``gamesales score --explain``: the titles with the highest predictions, in every kind of output."""

import json

import numpy as np
import pyarrow as pa
import pytest
from jsonschema import validate
from pyarrow import parquet

from gamesales.errors import EXIT_WITHHELD
from support.nights import NIGHT, make_night
from support.pages import Outline, read_text
from support.runs import put_column, read_failure
from support.versions import FEATURES, ROOT, publish_simple, simple_earnings

OUTPUTS = ["out", "out.csv", "out.csv.gz", "out.parquet", "table"]


@pytest.fixture
def night(tmp_path, cli):
    """A registry, usual and drifted titles in the working folder, and a function that scores them."""
    make_night(tmp_path)

    def run(output, *more, source="drifted.parquet"):
        form = ("--format", "delta") if output == "table" else ()
        return cli("score", source, "--output", output, "--date", NIGHT, *form, *more)

    return run


def read_report(folder, output):
    """The published report of the night."""
    places = {"out": f"out/run_date={NIGHT}/_run.json", "table": f"table/_gamesales/run_date={NIGHT}/*/_run.json"}
    (path,) = folder.glob(places.get(output, f"{output}.run.json"))
    return json.loads(path.read_bytes())


@pytest.mark.parametrize("output", OUTPUTS)
def test_explanations_of_every_output(night, tmp_path, output):
    """The report explains the titles with the highest predictions, of equal predictions the first, with their rows."""
    ran = night(output, "--explain", "5", "--json")
    report = read_report(tmp_path, output)
    validate(ran.document, json.loads((ROOT / "docs/reference/score.schema.json").read_bytes()))
    assert ran.document["explanations"] == report["explanations"]
    titles = parquet.read_table("drifted.parquet").to_pandas()
    accepted = titles[titles["is_action"].isin([0, 1]) & titles["critic_rating"].notna()].reset_index(drop=True)
    earnings = simple_earnings(accepted[list(FEATURES)].to_numpy(np.float64))
    highest = np.argsort(-earnings, kind="stable")[:5]
    explained = report["explanations"]
    assert [row + 1 for row in highest] == [title["row"] for title in explained]
    assert earnings[highest].tolist() == [title["explanation"]["prediction"] for title in explained]
    for row, title in zip(highest, explained, strict=True):
        expected = accepted.loc[row]
        assert {"title_id": expected["title_id"], "title": expected["title"]} == title["labels"]
        values = {effect["column"]: effect["value"] for effect in title["explanation"]["effects"]}
        assert {name: expected[name] for name in FEATURES} == values
        effects = sum(effect["effect"] for effect in title["explanation"]["effects"])
        assert title["explanation"]["mean"] + effects == pytest.approx(title["explanation"]["prediction"])


@pytest.mark.parametrize("output", ["out", "table"])
def test_explanations_and_run_id(night, tmp_path, output):
    """The number of explained titles is part of the run. Without explanations, the run id is as before."""
    night(output)
    plain = read_report(tmp_path, output)
    assert plain["explanations"] is None
    explained = night(output, "--explain", "2", "--json").document
    assert not explained["already_done"]
    assert plain["run_id"] != explained["run_id"]
    again = night(output, "--explain", "2", "--json").document
    assert again["already_done"]
    assert explained["explanations"] == again["explanations"]
    assert plain["run_id"] == night(output, "--json").document["run_id"]


@pytest.mark.parametrize("output", OUTPUTS)
def test_explanations_of_withheld_run(night, cli, tmp_path, output):
    """A withheld run keeps its explanations until it is released."""
    withheld = night(output, "--on-drift", "withhold", "--explain", "2", "--json")
    assert EXIT_WITHHELD == withheld.code
    assert 2 == len(withheld.document["explanations"])
    form = ("--format", "delta") if output == "table" else ()
    released = cli("score", "--output", output, *form, "--release", NIGHT, "--reason", "a sale", "--json").document
    assert withheld.document["explanations"] == released["explanations"]
    assert released["explanations"] == read_report(tmp_path, output)["explanations"]


@pytest.mark.parametrize("output", ["out", "table"])
def test_section_of_page(night, cli, tmp_path, output):
    """The page has a waterfall for each title, with a table. A page without explanations has no such section."""
    night(output, "--explain", "2")
    assert 0 == cli("report", "--run", NIGHT, "--output", output, "--page", "page.html").code
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    text = read_text(page)
    Outline(page)
    assert "Why are the highest predictions so high?" in text
    assert "1. T412, Title 412" in text
    assert 2 == page.count("<summary>As a table</summary>")
    night(output)
    assert 0 == cli("report", "--run", NIGHT, "--output", output, "--page", "page.html").code
    assert "explanations" not in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_text(night):
    """The terminal lists the titles with their largest effects."""
    lines = night("out", "--explain", "2", source="usual.parquet").out.splitlines()
    (start,) = [number for number, line in enumerate(lines) if line.startswith("highest predictions")]
    assert "predicted" in lines[start]
    for line in lines[start + 1 : start + 3]:
        assert line.split("  ")[-2].strip() in ("$7,800", "$8,000")
        assert "critic_rating 5 stars +$" in line
    assert ["", "written to out/run_date=2026-11-24"] == lines[start + 3 :]


def test_labels(night, tmp_path):
    """A title is named by its ids and the first other copied columns. A long cell is cut, and a null is empty."""
    titles = parquet.read_table("usual.parquet").slice(0, 3)
    columns = {"size": pa.array([1, 2, 3], pa.int16()), "notes": ["x" * 500, None, "y"], "more": ["a", "b", "c"]}
    table = pa.table({**columns, **{name: titles.column(name) for name in titles.column_names}})
    parquet.write_table(table, "labeled.parquet")
    assert 0 == night("out", "--explain", "3", source="labeled.parquet").code
    labels = {title["row"]: title["labels"] for title in read_report(tmp_path, "out")["explanations"]}
    assert {"title_id": "T0", "size": "1", "notes": "x" * 199 + "…"} == labels[1]
    assert {"title_id": "T1", "size": "2", "notes": ""} == labels[2]


def test_narrow_floats(night, tmp_path):
    """Values of float32 columns are written with their shortest decimals."""
    table = parquet.read_table("usual.parquet")
    table = put_column(table, "unit_price", table.column("unit_price").cast(pa.float32()).combine_chunks())
    parquet.write_table(table, "narrow.parquet")
    assert 0 == night("out", "--explain", "1", source="narrow.parquet").code
    (title,) = read_report(tmp_path, "out")["explanations"]
    values = {effect["column"]: effect["value"] for effect in title["explanation"]["effects"]}
    assert values["unit_price"] in (39.99, 49.99, 59.99)


def test_empty_run(night, tmp_path):
    """A run without rows explains nothing."""
    parquet.write_table(parquet.read_table("usual.parquet")[:0], "empty.parquet")
    assert 0 == night("out", "--explain", "3", source="empty.parquet").code
    assert [] == read_report(tmp_path, "out")["explanations"]


def test_version_without_reference_titles(night, cli, tmp_path):
    """On the command line, it is an error before anything is scored. A nightly job goes on, with a warning."""
    from gamesales.jobs.loading import open_registry

    publish_simple(open_registry(tmp_path / "registry", "game-earnings"))
    code, message, hint = read_failure(night("out", "--explain", "3", "--model", "2"))
    assert (4, "Train a version with this release: gamesales train") == (code, hint)
    assert message.startswith("version 2 of game-earnings can't explain its predictions")
    assert not (tmp_path / "out").exists()
    (tmp_path / "job.toml").write_text('inputs = ["usual.parquet"]\noutput = "out"\nmodel = "2"\nexplain = 3\n')
    ran = cli("score", "--job", "job.toml", "--date", NIGHT)
    assert 0 == ran.code
    warning = "no titles are explained: version 2 of game-earnings can't explain its predictions"
    assert warning in ran.err
    report = read_report(tmp_path, "out")
    assert report["explanations"] is None
    assert report["warnings"][0].startswith(warning)


@pytest.mark.parametrize("number", ["0", "101", "-1", "all"])
def test_wrong_number(night, number):
    """The number of titles is from 1 to 100."""
    assert 2 == night("out", "--explain", number).code


def test_job_file(night, cli, tmp_path):
    """The job file can set the number, and the command line overrides it."""
    (tmp_path / "job.toml").write_text('inputs = ["usual.parquet"]\noutput = "out"\nexplain = 3\n')
    for more, count in (((), 3), (("--explain", "2"), 2)):
        assert 0 == cli("score", "--job", "job.toml", "--date", NIGHT, *more).code
        assert count == len(read_report(tmp_path, "out")["explanations"])
    (tmp_path / "job.toml").write_text('inputs = ["usual.parquet"]\noutput = "out"\nexplain = 500\n')
    code, message, _ = read_failure(cli("score", "--job", "job.toml", "--date", NIGHT))
    assert (2, True) == (code, "explain: expected 100 or less, received 500" in message)
