"""``gamesales runs``: the nights of a folder, a single file and a Delta table, with their state."""

import json
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest
from jsonschema import validate
from pyarrow import parquet

from gamesales.errors import InputNotFoundError
from gamesales.jobs.runs import list_runs
from gamesales.training.evaluation import profile_column, profile_columns
from support.runs import DAY, put_column, score, simple_version
from support.tables import score_table, stop_after
from support.versions import FEATURES, ROOT, simple_earnings, title_values, titles_table

NIGHTS = [DAY + timedelta(number) for number in range(4)]


@pytest.fixture(scope="module")
def version():
    """A version that knows which titles are usual."""
    values = title_values(2_000, seed=7)
    return simple_version(
        training_profile=profile_columns(FEATURES, values),
        prediction_profile=profile_column("predicted_earnings", simple_earnings(values)),
    )


@pytest.fixture
def sources(tmp_path):
    """Usual titles, and titles at one price with a reject, which have drifted."""
    drifted = put_column(titles_table(400, seed=9), "unit_price", np.full(400, 59.99))
    drifted = put_column(drifted, "is_action", pa.array([9.0, *drifted.column("is_action").to_pylist()[1:]]))
    paths = [tmp_path / "usual.parquet", tmp_path / "drifted.parquet"]
    for path, table in zip(paths, [titles_table(400, seed=8), drifted], strict=True):
        parquet.write_table(table, path)
    return paths


def summarize(listed):
    return [(row.date, row.state, row.rows_scored, row.rows_rejected, row.drifted) for row in listed.runs]


@pytest.mark.parametrize("kind", ["folder", "table"])
def test_nights_of_every_state(version, sources, tmp_path, kind):
    """Published, drifted, withheld and interrupted nights are listed, newest first; a limit keeps the newest dates."""
    usual, drifted = sources
    run = {"folder": score, "table": score_table}[kind]
    run(version, usual, tmp_path / "out", day=NIGHTS[0])
    run(version, drifted, tmp_path / "out", day=NIGHTS[1])
    run(version, usual, tmp_path / "out", day=NIGHTS[2])
    run(version, drifted, tmp_path / "out", day=NIGHTS[2], withhold_drift=True)
    with pytest.raises(KeyboardInterrupt):
        run(version, usual, tmp_path / "out", day=NIGHTS[3], engine=stop_after(1))
    listed = list_runs(tmp_path / "out")
    days = [str(day) for day in NIGHTS]
    assert [
        (days[3], "incomplete", None, None, None),
        (days[2], "withheld", 399, 1, ["unit_price"]),
        (days[2], "published", 400, 0, []),
        (days[1], "published", 399, 1, ["unit_price"]),
        (days[0], "published", 400, 0, []),
    ] == summarize(listed)
    assert "the same command goes on" in listed.runs[0].note
    assert f"--release {days[2]} --reason" in listed.runs[1].note
    assert listed.runs[:3] == list_runs(tmp_path / "out", limit=2).runs


@pytest.mark.parametrize("name", ["out.csv", "out.csv.gz", "out.parquet"])
def test_single_file(version, sources, tmp_path, name):
    """A single file has one run. A file without its report is incomplete, and its date is unknown."""
    usual, drifted = sources
    score(version, usual, tmp_path / name)
    assert [(str(DAY), "published", 400, 0, [])] == summarize(list_runs(tmp_path / name))
    score(version, drifted, tmp_path / name, withhold_drift=True)
    assert ["withheld", "published"] == [row.state for row in list_runs(tmp_path / name).runs]
    (tmp_path / f"{name}.run.json").unlink()
    assert [(str(DAY), "withheld"), (None, "incomplete")] == [
        (row.date, row.state) for row in list_runs(tmp_path / name).runs
    ]


def test_damaged_dates(version, sources, tmp_path):
    """A date without _SUCCESS, with a missing part or with a damaged mark is incomplete, and says why."""
    for day in NIGHTS[:3]:
        score(version, sources[0], tmp_path / "out", day=day)
    folders = [tmp_path / f"out/run_date={day}" for day in NIGHTS[:3]]
    (folders[0] / "_SUCCESS").unlink()
    next(folders[1].glob("part-*")).unlink()
    mark = tmp_path / f"out/.run_date={NIGHTS[2]}.work/run-0/withheld.json"
    mark.parent.mkdir(parents=True)
    mark.write_text("{")
    (tmp_path / "out/run_date=2026-02-30").mkdir()
    rows = list_runs(tmp_path / "out").runs
    assert ["incomplete", "published", "incomplete", "incomplete"] == [row.state for row in rows]
    assert f"{mark} can't be read" in rows[0].note
    assert "missing or has another size" in rows[2].note
    assert "no _SUCCESS" in rows[3].note


def test_rows_of_another_program(version, sources, tmp_path):
    """A date of a table that no run published is incomplete. Rows without a date are skipped."""
    from deltalake import write_deltalake

    score_table(version, sources[0], tmp_path / "out")
    rows = pa.table({"run_date": pa.array([date(2026, 11, 24)]), "predicted_earnings": [1.0]})
    write_deltalake(tmp_path / "out", rows, mode="append", schema_mode="merge")
    undated = pa.table({"run_date": pa.nulls(1, pa.date32()), "predicted_earnings": [1.0]})
    write_deltalake(tmp_path / "out", undated, mode="append", schema_mode="merge")
    newest, oldest = list_runs(tmp_path / "out").runs
    assert ("incomplete", "no run of gamesales published it") == (newest.state, newest.note)
    assert "published" == oldest.state


@pytest.mark.parametrize("name", ["none", "none.csv", "empty"])
def test_no_runs(tmp_path, name):
    """An output without a run is an error."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputNotFoundError, match=f"no .* {tmp_path / name}"):
        list_runs(tmp_path / name)


def test_command(version, sources, tmp_path, cli):
    """The table names rejects and drift, the JSON document follows its schema, and the job file names the output."""
    score(version, sources[1], tmp_path / "out")
    ran = cli("runs", "out")
    assert 0 == ran.code
    assert ["2026-11-23", "published", "400", "399", "1", "unit_price", "1"] == ran.out.splitlines()[-1].split()[:7]
    document = json.loads(cli("runs", "out", "--json").out)
    validate(document, json.loads((ROOT / "docs/reference/runs.schema.json").read_bytes()))
    assert (2, "OUTPUT is missing") == ((ran := cli("runs")).code, ran.err.removeprefix("error: ")[:17])
    (tmp_path / "job.toml").write_text('inputs = ["in"]\noutput = "out"\n')
    assert document["runs"] == json.loads(cli("runs", "--job", "job.toml", "--json").out)["runs"]


def test_released_run(version, sources, tmp_path):
    """A released run is published, and says by whom and why."""
    from gamesales.scoring.output import OutputPaths
    from gamesales.scoring.run_report import Release
    from gamesales.scoring.withheld import release_run

    score(version, sources[1], tmp_path / "out", withhold_drift=True)
    release_run(OutputPaths(tmp_path / "out", DAY), Release("an owner", "2026-11-24T08:00:00+00:00", "a sale"))
    (row,) = list_runs(tmp_path / "out").runs
    assert ("published", "released by an owner: a sale") == (row.state, row.note)
