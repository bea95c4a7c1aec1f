"""``gamesales evaluate``: reading titles, computing metrics and recording them."""

import json

import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from gamesales.data.contract import Contract
from gamesales.errors import IntegrityError
from gamesales.jobs.loading import open_registry
from gamesales.old_keys import add_old_keys
from gamesales.registry.log import EventLog
from gamesales.storage.store import LocalStore
from support.labeled import digest, make_labeled_table
from support.runs import snapshot
from support.versions import (
    DATA,
    HOLDOUT,
    HOLDOUT_SHA256,
    publish_simple,
    simple_details,
    simple_graph,
)


@pytest.fixture
def registry(tmp_path):
    """A registry with one version without an evaluation, at the default path of the command line."""
    registry = open_registry(tmp_path / "registry", "game-earnings")
    publish_simple(registry, evaluated=False)
    return registry


@pytest.fixture
def titles(tmp_path):
    """A CSV file of forty titles, each with an error of 100 dollars."""
    csv.write_csv(make_labeled_table(), tmp_path / "titles.csv")
    return tmp_path / "titles.csv"


def test_evaluate_records_event(cli, registry, titles):
    """The event has the digest of the file and the metrics."""
    ran = cli("evaluate", "1", "--data", "titles.csv", "--reason", "three months on", "--json")

    assert (0, "") == (ran.code, ran.err)
    event = registry.read_events()[-1]
    assert ("evaluation.recorded", "three months on") == (event.kind, event.reason)
    assert (1, registry.find_version(1).digest) == (event.body["version"], event.body["digest"])
    assert ("titles.csv", digest(titles), 40, 0) == tuple(
        event.body[key] for key in ("data", "data_sha256", "rows", "rejected")
    )
    metrics = event.body["metrics"]
    assert (100.0, 100.0, 1e-6) == pytest.approx(tuple(metrics[key] for key in ("mae", "rmse", "scaled_mse")))
    assert {key: ran.document[key] for key in ("rows", "metrics", "intervals")} == {
        key: add_old_keys(event.body[key]) for key in ("rows", "metrics", "intervals")
    }
    assert (True, event.sequence) == (ran.document["recorded"], ran.document["sequence"])


def test_evaluate_prints_metrics(cli, registry, titles):
    """The output has the metrics, the confidence intervals and the event."""
    lines = cli("evaluate", "1", "--data", "titles.csv").out.splitlines()
    assert "version 1 of game-earnings on 40 titles of titles.csv" == lines[0]
    assert lines[3].split()[:4] == ["version", "1", "1.00e-06", "$100"]
    assert "95% confidence intervals: MAE $100 to $100, scaled MSE 1.00e-06 to 1.00e-06" == lines[5]
    assert "recorded as event 2" == lines[6]
    assert "evaluated version 1 on titles.csv" in cli("history").out


def test_confidence_intervals_are_reproducible(cli, registry):
    """Confidence intervals contain their metric and are reproducible."""
    first = cli("evaluate", "1", "--data", HOLDOUT, "--json").document
    again = cli("evaluate", "1", "--data", HOLDOUT, "--json").document
    for name in ("mae", "scaled_mse"):
        low, high = first["intervals"][name]
        assert low < first["metrics"][name] < high
    assert first["intervals"] == again["intervals"]


def test_evaluate_records_once(cli, registry, titles, tmp_path):
    """The same evaluation is recorded once, even if the file moves."""
    cli("evaluate", "1", "--data", "titles.csv")
    before = snapshot(tmp_path)
    titles.rename(tmp_path / "moved.csv")
    again = cli("evaluate", "1", "--data", "moved.csv")
    (tmp_path / "moved.csv").rename(titles)

    assert (0, "already recorded; nothing was written") == (again.code, again.out.splitlines()[-1])
    document = cli("evaluate", "1", "--data", "titles.csv", "--json").document
    assert (False, None) == (document["recorded"], document["sequence"])
    assert before == snapshot(tmp_path)


def test_training_records_same_evaluation(cli, trained_registry):
    """Training records the same evaluation as the command."""
    (recorded,) = trained_registry.find_version(1).read_evaluations()
    ran = cli("evaluate", "1", "--data", HOLDOUT, "--json")
    assert not ran.document["recorded"]
    assert add_old_keys(recorded.metrics) == ran.document["metrics"]
    assert add_old_keys(recorded.intervals) == ran.document["intervals"]


def test_csv_and_parquet_agree(cli, registry, tmp_path):
    """CSV and Parquet files of the same titles give the same metrics."""
    csv.write_csv(make_labeled_table(), tmp_path / "titles.csv")
    parquet.write_table(make_labeled_table(), tmp_path / "titles.parquet")
    first, second = (cli("evaluate", "1", "--data", f"titles.{kind}", "--json").document for kind in ("csv", "parquet"))
    assert first["metrics"] == second["metrics"]
    assert first["data_sha256"] != second["data_sha256"]


def test_column_order_is_ignored(cli, registry, tmp_path):
    """The order of columns and extra columns make no difference."""
    table = make_labeled_table()
    shuffled = table.select(table.column_names[::-1]).append_column("title", pa.array(["a"] * 40))
    csv.write_csv(table, tmp_path / "titles.csv")
    csv.write_csv(shuffled, tmp_path / "shuffled.csv")
    first, second = (cli("evaluate", "1", "--data", name, "--json").document for name in ("titles.csv", "shuffled.csv"))
    assert first["metrics"] == second["metrics"]


# Errors


def break_prices(titles, rows):
    """Replace the price of the first rows by a word."""
    header, *lines = titles.read_text().splitlines()
    position = header.split(",").index('"unit_price"')
    for row in range(rows):
        cells = lines[row].split(",")
        cells[position] = "x"
        lines[row] = ",".join(cells)
    titles.write_text("\n".join([header, *lines]) + "\n")


def test_few_rejects(cli, registry, titles):
    """A few rejected rows are left out and listed."""
    break_prices(titles, 2)
    ran = cli("evaluate", "1", "--data", "titles.csv")
    assert (
        "version 1 of game-earnings on 38 titles of titles.csv; 2 rejected: "
        "titles.csv row 1: unit_price: not a number; titles.csv row 2: unit_price: not a number"
    ) == ran.out.splitlines()[0]
    assert (38, 2) == tuple(registry.read_events()[-1].body[key] for key in ("rows", "rejected"))
    assert 2 == cli("show", "1", "--json").document["evaluations"][0]["rejected"]


def test_many_rejects(cli, registry, titles):
    """Too many rejected rows are an error."""
    break_prices(titles, 11)
    ran = cli("evaluate", "1", "--data", "titles.csv")
    assert 3 == ran.code
    assert (
        "titles.csv: 11 of 40 rows break the contract, more than the 10 allowed: row 1: unit_price: not a number;"
        in ran.err
    )
    assert 1 == len(registry.read_events())


def test_missing_target(cli, registry):
    """A file without the target column is an error."""
    ran = cli("evaluate", "1", "--data", DATA / "new_titles.csv", "--json")
    assert (3, "columns") == (ran.code, ran.document["error"]["code"])
    assert "new_titles.csv lacks total_earnings (it has title_id, " in ran.document["error"]["message"]
    assert 1 == len(registry.read_events())


def test_evaluate_on_training_data(cli, registry):
    """A version can't be evaluated on its training data."""
    details = simple_details(Contract.from_toml(DATA / "contract.toml"))
    details["data"] = {"train": {"path": "elsewhere.csv", "sha256": HOLDOUT_SHA256, "rows": 400}}
    registry.publish({"scorer.onnx": simple_graph()}, details, "")
    ran = cli("evaluate", "2", "--data", HOLDOUT)
    assert 3 == ran.code
    assert "is the file that version 2 was trained on; expected titles that it never saw" in ran.err
    assert 2 == len(registry.read_events())


def test_infinite_prediction(cli, registry, tmp_path):
    """A prediction that is not finite is an error. Leaving it out would improve the metrics."""
    weights = [0.0] * 8 + [2.9e306]  # beyond a price of 61.9 that is infinity
    details = simple_details(Contract.from_toml(DATA / "contract.toml"))
    details["golden"]["expected_predictions"] = [0.0, 0.0]
    details["golden"]["prediction_tolerance"] = [1.79e308, 1.79e308]
    registry.publish({"scorer.onnx": simple_graph(weights=weights)}, details, "")
    table = make_labeled_table().to_pydict()
    table["unit_price"] = [50.0] * 37 + [70.0] * 3
    csv.write_csv(pa.table(table), tmp_path / "titles.csv")

    ran = cli("evaluate", "2", "--data", "titles.csv")
    assert 3 == ran.code
    assert "version 2 has no finite prediction for 3 rows of titles.csv; the first is row 38" in ran.err


def test_missing_scaling(cli, registry):
    """A version without a scaling can't be evaluated."""
    details = simple_details(Contract.from_toml(DATA / "contract.toml"))
    del details["scaling"]
    registry.publish({"scorer.onnx": simple_graph()}, details, "")
    ran = cli("evaluate", "2", "--data", HOLDOUT)
    assert (4, True) == (ran.code, "has no usable scaling: 'scaling'" in ran.err)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["1"], 2, "--data is missing"),
        (["1", "--data", "none.csv"], 3, "no file none.csv"),
        (["7", "--data", HOLDOUT], 4, "no version 7 of game-earnings in registry/; newest is 1"),
        (["@champion", "--data", HOLDOUT], 4, "no version of game-earnings is champion"),
        (["latest", "--data", HOLDOUT], 2, "'latest' names no version"),
    ],
)
def test_wrong_evaluate_commands(cli, registry, tmp_path, arguments, code, words):
    """A wrong command is an error and writes nothing."""
    before = snapshot(tmp_path)
    ran = cli("evaluate", *arguments)
    assert (code, "") == (ran.code, ran.out)
    assert words in ran.err
    assert before == snapshot(tmp_path)


def test_damaged_version(cli, registry, tmp_path):
    """A damaged version is not evaluated."""
    (graph,) = (tmp_path / "registry").rglob("scorer.onnx")
    graph.write_bytes(graph.read_bytes()[:-1] + b"?")
    ran = cli("evaluate", "1", "--data", HOLDOUT)
    assert (4, True) == (ran.code, "scorer.onnx was changed: expected sha256" in ran.err)


# Events


def test_evaluation_of_other_digest(registry, tmp_path):
    """An evaluation with another digest than the version's is an error."""
    body = {"version": 1, "digest": "f" * 64, "data": "a.csv", "data_sha256": "0" * 64, "rows": 1, "metrics": {}}
    EventLog(LocalStore(tmp_path / "registry"), "game-earnings").append("evaluation.recorded", "", lambda events: body)
    with pytest.raises(IntegrityError, match=f"event 2 evaluates version 1 with digest {'f' * 64}; expected "):
        _ = registry.find_version(1).read_evaluations()


def test_record_sets_version_and_digest(registry):
    """The event has the version and the digest of the registry, whatever the caller passes."""
    forged = {"data": "a.csv", "data_sha256": "0" * 64, "rows": 1, "metrics": {}, "version": 2, "digest": "f" * 64}
    event = registry.record_evaluation(1, forged, "")
    assert (1, registry.find_version(1).digest) == (event.body["version"], event.body["digest"])


def test_event_without_intervals(registry):
    """An event of an early release has no confidence intervals."""
    old = {"data": "a.csv", "data_sha256": "0" * 64, "rows": 1, "metrics": {"mae": 1.0}}
    registry.record_evaluation(1, json.loads(json.dumps(old)), "")
    evaluation = registry.find_version(1).read_last_holdout_evaluation()
    assert ({}, 0) == (evaluation.intervals, evaluation.rejected)


def test_log_has_intervals_of_the_report(trained_registry):
    """The evaluation that training records has the confidence intervals of the report, so `compare` shows them too."""
    version = trained_registry.find_version(1)
    reported = trained_registry.open_bundle(version).manifest["evaluation"]["holdout"]
    (recorded,) = version.read_evaluations()
    for metric in ("mae", "scaled_mse"):
        assert recorded.intervals[metric] == pytest.approx(reported["intervals"][metric], rel=1e-5)
