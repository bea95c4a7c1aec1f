"""The report of a run: a typed document that later releases read again."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from gamesales.data.screen import RejectLimit
from gamesales.old_keys import add_old_keys
from gamesales.scoring.drift import Drift
from gamesales.scoring.inputs import find_inputs
from gamesales.scoring.output import OutputPaths
from gamesales.scoring.plan import RunOptions, make_plan
from gamesales.scoring.run import score_files
from gamesales.scoring.run_report import RunReport, read_report
from gamesales.scoring.scorer import load_version
from gamesales.scoring.shadow import ShadowDifferences, ShadowReport
from gamesales.training.evaluation import profile_column, profile_columns
from support.runs import CONTRACT, DAY, simple_version
from support.versions import FEATURES, simple_details, simple_earnings, simple_graph, title_values, titles_table

# All sections of a report with the keys of their documents.
SECTIONS = {
    "inputs": ["name", "size", "sha256", "rows", "rejected", "blank", "lines", "records", "multiline_records"],
    "files": ["name", "size"],
    "duplicate_ids": ["ids", "rows", "examples"],
    "drift": ["rows", "threshold", "columns", "drifted"],
    "shadow": [
        "model",
        "model_version",
        "bundle_sha256",
        "rows_compared",
        "rows_not_scored",
        "mean_difference",
        "mean_absolute_difference",
        "largest_difference",
        "largest_difference_at",
        "share_beyond",
        "by_feature",
    ],
}


@pytest.fixture
def target(tmp_path):
    """The paths of a result."""
    return OutputPaths(tmp_path / "out.parquet", DAY)


def profiled_version():
    """A version with training profiles."""
    values = title_values(2_000, seed=7)
    details = simple_details(CONTRACT)
    details["training_profile"] = profile_columns(FEATURES, values)
    details["prediction_profile"] = profile_column("predicted_earnings", simple_earnings(values))
    return load_version("game-earnings", 1, "0" * 64, details, simple_graph())


def score_with_shadow(target, table):
    """Score a table with a version that has profiles, and a shadow that predicts 50 dollars more."""
    parquet.write_table(table, target.path.with_name("titles.parquet"))
    version, shadow = profiled_version(), simple_version(bias=50.0, number=2)
    with find_inputs([str(target.path.with_name("titles.parquet"))]) as files:
        plan = make_plan(files, version.contract, version.digest, {})
    return score_files(plan, version, target, RunOptions(RejectLimit(), shadow=shadow))


@pytest.fixture
def report(target):
    """A report with all sections."""
    ids = pa.array([f"T{number}" for number in np.arange(500) // 2])
    return score_with_shadow(target, titles_table(500, title_id=ids))


@pytest.mark.parametrize("text", ["../../2026-11-24", "2026-11-31", "", None])
def test_date_is_a_date(target, report, text):
    """A report with a text instead of a date is not read, because its date is part of paths."""
    document = json.loads(target.report.read_bytes())
    target.report.write_text(json.dumps({**document, "run_date": text}))
    assert read_report(target) is None


def test_sections_keep_their_keys(target, report):
    """The keys of every section are fixed, and in order."""
    document = json.loads(target.report.read_bytes())
    for name, keys in SECTIONS.items():
        section = document[name][0] if isinstance(document[name], list) else document[name]
        assert keys == [key for key in section if not key.endswith("_usd")], name
    assert {"file", "row"} == set(document["shadow"]["largest_difference_at"])
    feature = document["shadow"]["by_feature"][0]
    assert ["column", "bins"] == list(feature)
    assert ["from", "to", "rows", "mean_difference", "mean_difference_usd"] == list(feature["bins"][0])
    assert 250 == document["duplicate_ids"]["ids"] == report.duplicate_ids.ids


def test_report_round_trip(target, report):
    """Reading a report gives an equal report, sections included."""
    assert report == read_report(target)
    assert isinstance(report.drift, Drift)
    assert isinstance(report.shadow, ShadowDifferences)


def test_shadow_without_rows(target):
    """A shadow without a title to compare has no differences."""
    report = score_with_shadow(target, titles_table(0))
    assert ShadowReport("game-earnings", 2, "0" * 64, 0, 0) == report.shadow == read_report(target).shadow
    assert SECTIONS["shadow"][:5] == list(json.loads(target.report.read_bytes())["shadow"])


def test_unknown_keys_are_ignored(target, report):
    """Keys of a later release are ignored, at any depth."""
    document = json.loads(target.report.read_bytes())
    for part in (document, document["inputs"][0], document["drift"], document["drift"]["columns"][0]):
        part["new_key"] = 1
    target.report.write_text(json.dumps(document))
    assert report == read_report(target)


def test_old_spelling_is_read(target, report):
    """A report of an early release has the old keys only."""
    document = json.loads(target.report.read_bytes())
    differences = document["shadow"]
    for key in ("mean_difference", "mean_absolute_difference", "largest_difference"):
        del differences[key]
    del document["duplicate_ids"]
    target.report.write_text(json.dumps(document))
    assert report == read_report(target)


def test_absent_sections_are_none(target, report):
    """An early release wrote no drift, no shadow and no duplicates."""
    document = json.loads(target.report.read_bytes())
    for name in ("duplicate_ids", "doubled_ids", "drift", "shadow"):
        del document[name]
    target.report.write_text(json.dumps(document))
    assert replace(report, duplicate_ids=None, drift=None, shadow=None) == read_report(target)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "{}", '{"inputs": 3, "files": []}'])
def test_malformed_report_is_none(target, report, content):
    """A malformed report counts as no report."""
    target.report.write_text(content)
    assert read_report(target) is None


@pytest.mark.parametrize("change", ["removed", "truncated"])
def test_incomplete_result_is_none(target, report, change):
    """A report without the complete file counts as no report."""
    if change == "removed":
        target.path.unlink()
    else:
        target.path.write_bytes(b"cut")
    assert read_report(target) is None


def test_document_equals_report(target, report):
    """The document has the fields of the report, with the old keys next to the new keys."""
    assert json.loads(json.dumps(add_old_keys(asdict(report)))) == json.loads(target.report.read_bytes())
    keys = list(json.loads(target.report.read_bytes()))
    assert list(RunReport.__dataclass_fields__) == [key for key in keys if key != "doubled_ids"]
    assert Path(report.output) == target.path
