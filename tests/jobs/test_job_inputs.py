"""The columns of the newest inputs of the scoring job, which a promotion compares with both contracts."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from gamesales.data.contract import Column, Contract
from gamesales.jobs.job_inputs import check_job_inputs, find_newest_inputs
from gamesales.jobs.loading import open_registry
from gamesales.jobs.score_job_file import read_score_job
from support.versions import HOLDOUT, publish_simple, simple_details, simple_graph, titles_table

MODEL = "game-earnings"


def write_score_job(text='inputs = ["in.csv"]', **keys):
    """Write ``jobs/score.toml`` below the current folder."""
    Path("jobs").mkdir(exist_ok=True)
    lines = [f'{key} = "{value}"' for key, value in {"output": "out", **keys}.items()]
    Path("jobs/score.toml").write_text("\n".join([*lines, text]), encoding="utf-8")


@pytest.fixture
def larger(contract):
    """A contract with one more feature."""
    return replace(contract, features=(*contract.features, Column("is_remake", "flag")))


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_no_job_file(contract):
    """Without a job file there is nothing to check."""
    assert check_job_inputs(MODEL, contract, contract) is None


@pytest.mark.parametrize("model", ["other-earnings@champion", "4", "@challenger"])
def test_job_of_other_version_is_ignored(contract, model):
    """A job that does not score with the champion of the model is not affected by the promotion."""
    write_score_job(model=model)
    assert check_job_inputs(MODEL, contract, contract) is None


def test_inputs_fit(contract):
    """Inputs with all columns are a condition that is met."""
    csv.write_csv(titles_table(3), "in.csv")
    write_score_job()
    check = check_job_inputs(MODEL, contract, contract)
    assert (True, "1 input file of jobs/score.toml, with all columns") == (
        check.finding.is_met,
        check.finding.observation,
    )
    assert {"job": "jobs/score.toml", "date": None, "files": 1} == check.as_dict()


def test_candidate_needs_another_column(contract, larger):
    """A condition is not met if the inputs fit the champion, but not the candidate."""
    csv.write_csv(titles_table(3), "in.csv")
    write_score_job()
    check = check_job_inputs(MODEL, larger, contract)
    assert not check.finding.is_met
    assert "in.csv lacks is_remake (it has critic_rating, " in check.finding.observation
    assert "Add the columns to the inputs, or name them in [columns] of jobs/score.toml" == check.finding.remedy


def test_inputs_fit_neither(larger):
    """If the inputs fit neither contract, or there is no champion, it is a warning."""
    csv.write_csv(titles_table(3), "in.csv")
    write_score_job()
    for champion in (larger, None):
        check = check_job_inputs(MODEL, larger, champion)
        assert check.finding is None
        assert check.warning.startswith("the inputs of jobs/score.toml do not fit: in.csv lacks is_remake")


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ('inputs = ["in.csv"]', "could not be checked: nothing to score at in.csv"),
        ('inputs = ["{date}.csv"]', "could not be checked: there are no complete inputs of the last 366 days"),
        ("inputs = 7", "could not be checked: jobs/score.toml is not a scoring job"),
        ('inputs = ["other.csv"]', "could not be checked: other.csv "),
    ],
)
def test_unusable_inputs_are_a_warning(contract, job, words):
    """Inputs that do not exist or can't be read are a warning."""
    Path("other.csv").write_bytes(b"\xff\xfe\x00")
    write_score_job(job)
    check = check_job_inputs(MODEL, contract, contract)
    assert check.finding is None
    assert words in check.warning


@pytest.mark.parametrize("form", ["in/{date}.parquet", "in/{date:%Y/%m/%d}/a.parquet", "in/{date}/*.parquet"])
def test_newest_date_is_checked(contract, larger, form):
    """With a date in the path, the newest existing inputs are checked."""
    write_score_job(f'inputs = ["{form}"]')
    job = read_score_job(Path("jobs/score.toml"))
    today = datetime.now(UTC).date()
    for age, table in ((30, titles_table(2)), (3, titles_table(2, is_remake=pa.array([0, 1])))):
        (path,) = job.resolve_inputs(today - timedelta(age))
        path = Path(path.replace("*", "part"))
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(table, path)
    assert today - timedelta(3) == find_newest_inputs(job)[0]
    assert check_job_inputs(MODEL, larger, contract).finding.is_met


def test_incomplete_date_is_skipped(contract):
    """A date without the required file is not complete, so the newest complete date is checked."""
    write_score_job('inputs = ["in/{date}"]\nrequire = "_SUCCESS"')
    today: date = datetime.now(UTC).date()
    for age in (1, 2):
        folder = Path(f"in/{today - timedelta(age)}")
        folder.mkdir(parents=True)
        csv.write_csv(titles_table(2), folder / "a.csv")
    Path(f"in/{today - timedelta(2)}/_SUCCESS").touch()
    assert str(today - timedelta(2)) == check_job_inputs(MODEL, contract, contract).date


def test_dialect_and_renames_are_used(contract):
    """The job's dialect and column names are used."""
    table = titles_table(2).rename_columns(["Rating", *titles_table(2).column_names[1:]])
    csv.write_csv(table, "in.csv", csv.WriteOptions(delimiter=";"))
    write_score_job('inputs = ["in.csv"]\n[csv]\ndelimiter = ";"\n[columns]\ncritic_rating = "Rating"')
    assert check_job_inputs(MODEL, contract, contract).finding.is_met


# The promotion


@pytest.fixture
def registry(cli, tmp_path):
    """A registry with a champion, and with a candidate that needs one more column."""
    registry = open_registry(tmp_path / "registry", MODEL)
    publish_simple(registry)
    assert 0 == cli("promote", "1").code
    csv.write_csv(titles_table(3), "in.csv")
    return registry


def publish_larger(registry, larger):
    """Publish a version with one more feature, which its graph ignores."""
    details = simple_details(larger)
    for rows in details["golden"]["values"]:
        rows.append(0.0)
    details["training_profile"].append({"name": "is_remake", "minimum": 0, "maximum": 1})
    details["scaling"]["columns"].insert(-1, {"name": "is_remake", "scale": 1.0, "offset": 0.0})
    weights = (1000.0, 100.0, 200.0, 300.0, 400.0, 500.0, 600.0, 700.0, 10.0, 0.0)
    return registry.publish({"scorer.onnx": simple_graph(weights=weights)}, details, "a new column")


def add_column(source, target):
    table = csv.read_csv(source)
    csv.write_csv(table.append_column("is_remake", pa.array([0, 1] * (len(table) // 2))), target)


def test_promotion_warns_of_new_columns(cli, registry, larger):
    """Without a job file, a column that the champion did not need is a warning, in the log too."""
    publish_larger(registry, larger)
    add_column(HOLDOUT, "holdout.csv")
    ran = cli("promote", "2", "--holdout", "holdout.csv", "--json")
    assert 0 == ran.code
    assert "warning: this version needs is_remake, which version 1 does not need; " in ran.err
    assert ["is_remake"] == ran.document["new_columns"]
    assert ran.document["warnings"] == registry.read_events()[-1].body["evidence"]["warnings"]


def test_promotion_warns_of_changed_columns(cli, registry, larger):
    """A new category, and cells that the champion rejects, are warnings. The comparison lists both, and new values."""
    rating, *others, _ = larger.features
    columns = (replace(rating, missing="median"), *others, Column("is_remake", "category", values=("yes",)))
    publish_larger(registry, replace(larger, features=columns))
    add_column(HOLDOUT, "holdout.csv")
    ran = cli("promote", "2", "--holdout", "holdout.csv", "--json")
    assert 0 == ran.code
    assert "this version needs is_remake as a category, which version 1 does not need; " in ran.err
    change = "critic_rating: a missing cell becomes the median, before it rejects its row"
    assert f"this version reads columns in another way than version 1: {change}" in ran.err
    assert f"changed columns\n  {change}\n  is_remake: new, a category\n" in cli("compare", "1", "2").out
    assert "no longer needed" in cli("compare", "2", "1").out


def test_promotion_is_refused_for_inputs(cli, registry, larger):
    """If the inputs of the nightly job lack the new column, the gate refuses. --force overrides."""
    publish_larger(registry, larger)
    add_column(HOLDOUT, "holdout.csv")
    write_score_job()
    ran = cli("promote", "2", "--holdout", "holdout.csv")
    assert 5 == ran.code
    assert "in.csv lacks is_remake" in ran.err
    assert 1 == registry.read_state().target_of("champion")
    forced = cli("promote", "2", "--holdout", "holdout.csv", "--force", "--reason", "the inputs follow", "--json")
    assert 0 == forced.code
    evidence = registry.read_events()[-1].body["evidence"]
    assert (True, {"job": "jobs/score.toml", "date": None, "files": 1}) == (evidence["forced"], evidence["inputs"])
    assert not evidence["findings"][-1]["is_met"]


def test_promotion_without_inputs_warns(cli, registry):
    """If the job has no inputs yet, the promotion warns and succeeds."""
    publish_simple(registry, 20.0)
    write_score_job('inputs = ["later/{date}.csv"]')
    ran = cli("promote", "2")
    assert (0, True) == (ran.code, "warning: the inputs of jobs/score.toml could not be checked: " in ran.err)


def test_promotion_warns_of_the_report(cli, registry):
    """The warnings of the report are printed by promote and show, and are in their documents."""
    notices = [
        {"level": level, "about": "leak", "text": f"{level}: look \x1b[2J here"} for level in ("warning", "note")
    ]
    publish_simple(registry, 20.0, record={"evaluation": {"notices": notices}})
    ran = cli("promote", "2", "--json")
    assert ["warning: look \x1b[2J here"] == ran.document["warnings"]
    assert "warning: warning: look  [2J here" in ran.err.splitlines()
    assert "\nwarning: warning: look  [2J here\n" in cli("show", "2").out
    assert ["warning: look \x1b[2J here"] == cli("show", "2", "--json").document["warnings"]
    assert [] == cli("show", "1", "--json").document["warnings"]


def test_wrong_type_counts_too(contract, tmp_path):
    """A column of a wrong type that only the candidate needs is refused too."""
    parquet.write_table(
        titles_table(2).set_column(0, "critic_rating", pa.array([1, 2], pa.date32())), tmp_path / "in.parquet"
    )
    write_score_job('inputs = ["in.parquet"]')
    check = check_job_inputs(MODEL, contract, Contract(contract.target, contract.features[1:]))
    assert "in.parquet: critic_rating has type date32[day], expected numbers" in check.finding.observation
