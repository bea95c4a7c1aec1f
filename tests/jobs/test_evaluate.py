"""How far off a version is on a labelled file: what is read, what is computed, what is recorded and when nothing is."""

import json

import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from gamesales.data.contract import Contract
from gamesales.errors import IntegrityError
from gamesales.jobs.loading import open_registry
from gamesales.registry.log import EventLog
from gamesales.registry.store import LocalStore
from support.labelled import contents, digest, labelled
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
    """A registry with one version that nobody evaluated, where the command line looks for one."""
    registry = open_registry(tmp_path / "registry", "game-earnings")
    publish_simple(registry, evaluated=False)
    return registry


@pytest.fixture
def titles(tmp_path):
    """Forty such titles as CSV, off by 100 dollars each."""
    csv.write_csv(labelled(), tmp_path / "titles.csv")
    return tmp_path / "titles.csv"


def test_an_evaluation_is_recorded_with_the_files_digest_and_the_figures(cli, registry, titles):
    ran = cli("evaluate", "1", "--data", "titles.csv", "--reason", "three months on", "--json")

    assert (0, "") == (ran.code, ran.err)
    event = registry.events()[-1]
    assert ("evaluation.recorded", "three months on") == (event.kind, event.reason)
    assert (1, registry.find_version(1).digest) == (event.body["version"], event.body["digest"])
    assert ("titles.csv", digest(titles), 40, 0) == tuple(
        event.body[key] for key in ("data", "data_sha256", "rows", "rejected")
    )
    figures = event.body["metrics"]
    assert (100.0, 100.0, 1e-6) == pytest.approx(tuple(figures[key] for key in ("mae", "rmse", "scaled_mse")))
    assert {key: ran.document[key] for key in ("rows", "metrics", "intervals")} == {
        key: event.body[key] for key in ("rows", "metrics", "intervals")
    }
    assert (True, event.sequence) == (ran.document["recorded"], ran.document["sequence"])


def test_the_text_tells_figures_intervals_and_where_they_are_kept(cli, registry, titles):
    lines = cli("evaluate", "1", "--data", "titles.csv").out.splitlines()
    assert "version 1 of game-earnings on 40 titles of titles.csv" == lines[0]
    assert lines[3].split()[:4] == ["version", "1", "1.00e-06", "$100"]
    assert "95 % intervals: MAE $100 to $100, scaled MSE 1.00e-06 to 1.00e-06" == lines[5]
    assert "recorded as event 2" == lines[6]
    assert "evaluated version 1 on titles.csv" in cli("history").out


def test_intervals_lie_around_the_figures_and_are_the_same_twice(cli, registry):
    first = cli("evaluate", "1", "--data", HOLDOUT, "--json").document
    again = cli("evaluate", "1", "--data", HOLDOUT, "--json").document
    for name in ("mae", "scaled_mse"):
        low, high = first["intervals"][name]
        assert low < first["metrics"][name] < high
    assert first["intervals"] == again["intervals"]


def test_the_same_evaluation_is_recorded_once(cli, registry, titles, tmp_path):
    cli("evaluate", "1", "--data", "titles.csv")
    before = contents(tmp_path)
    titles.rename(tmp_path / "moved.csv")
    again = cli("evaluate", "1", "--data", "moved.csv")
    (tmp_path / "moved.csv").rename(titles)

    assert (0, "recorded already; nothing was written") == (again.code, again.out.splitlines()[-1])
    document = cli("evaluate", "1", "--data", "titles.csv", "--json").document
    assert (False, None) == (document["recorded"], document["sequence"])
    assert before == contents(tmp_path)


def test_training_records_the_very_evaluation_that_the_command_makes(cli, trained_registry):
    (recorded,) = trained_registry.find_version(1).evaluations
    ran = cli("evaluate", "1", "--data", HOLDOUT, "--json")
    assert not ran.document["recorded"]
    assert (recorded.metrics, recorded.intervals) == (ran.document["metrics"], ran.document["intervals"])


def test_csv_and_parquet_of_the_same_titles_give_the_same_figures(cli, registry, tmp_path):
    csv.write_csv(labelled(), tmp_path / "titles.csv")
    parquet.write_table(labelled(), tmp_path / "titles.parquet")
    first, second = (cli("evaluate", "1", "--data", f"titles.{kind}", "--json").document for kind in ("csv", "parquet"))
    assert first["metrics"] == second["metrics"]
    assert first["data_sha256"] != second["data_sha256"]


def test_the_order_of_columns_and_columns_beside_them_make_no_difference(cli, registry, tmp_path):
    table = labelled()
    shuffled = table.select(table.column_names[::-1]).append_column("title", pa.array(["a"] * 40))
    csv.write_csv(table, tmp_path / "titles.csv")
    csv.write_csv(shuffled, tmp_path / "shuffled.csv")
    first, second = (cli("evaluate", "1", "--data", one, "--json").document for one in ("titles.csv", "shuffled.csv"))
    assert first["metrics"] == second["metrics"]


# What can't be read


def spoil(titles, rows):
    """Put a word where the first rows have their price."""
    header, *lines = titles.read_text().splitlines()
    place = header.split(",").index('"unit_price"')
    for row in range(rows):
        cells = lines[row].split(",")
        cells[place] = "x"
        lines[row] = ",".join(cells)
    titles.write_text("\n".join([header, *lines]) + "\n")


def test_a_few_rejected_rows_are_left_out_and_told(cli, registry, titles):
    spoil(titles, 2)
    ran = cli("evaluate", "1", "--data", "titles.csv")
    assert (
        "version 1 of game-earnings on 38 titles of titles.csv; 2 rejected: "
        "titles.csv row 1: unit_price: not a number; titles.csv row 2: unit_price: not a number"
    ) == ran.out.splitlines()[0]
    assert (38, 2) == tuple(registry.events()[-1].body[key] for key in ("rows", "rejected"))
    assert 2 == cli("show", "1", "--json").document["evaluations"][0]["rejected"]


def test_many_rejected_rows_are_no_evaluation(cli, registry, titles):
    spoil(titles, 11)
    ran = cli("evaluate", "1", "--data", "titles.csv")
    assert 3 == ran.code
    assert "titles.csv has 11 rows that break the contract, of 40; 10 may: row 1: unit_price: not a number;" in ran.err
    assert 1 == len(registry.events())


def test_without_the_targets_column_there_is_nothing_to_compare_with(cli, registry):
    ran = cli("evaluate", "1", "--data", DATA / "new_titles.csv", "--json")
    assert (3, "columns") == (ran.code, ran.document["error"]["code"])
    assert "new_titles.csv lacks total_earnings (it has title_id, " in ran.document["error"]["message"]
    assert 1 == len(registry.events())


def test_the_file_that_a_version_was_trained_on_is_no_evaluation(cli, registry):
    details = simple_details(Contract.from_toml(DATA / "contract.toml"))
    details["data"] = {"train": {"path": "elsewhere.csv", "sha256": HOLDOUT_SHA256, "rows": 400}}
    registry.publish({"scorer.onnx": simple_graph()}, details, "")
    ran = cli("evaluate", "2", "--data", HOLDOUT)
    assert 3 == ran.code
    assert "is the file that version 2 was trained on; expected titles that it never saw" in ran.err
    assert 2 == len(registry.events())


def test_a_prediction_that_is_no_number_is_not_left_out_of_the_figures(cli, registry, tmp_path):
    """Leaving out where a version fails would flatter it."""
    weights = [0.0] * 8 + [2.9e306]  # beyond a price of 61.9 that is infinity
    details = simple_details(Contract.from_toml(DATA / "contract.toml"))
    details["golden"]["expected_predictions"] = [0.0, 0.0]
    details["golden"]["prediction_tolerance"] = [1.79e308, 1.79e308]
    registry.publish({"scorer.onnx": simple_graph(weights=weights)}, details, "")
    table = labelled().to_pydict()
    table["unit_price"] = [50.0] * 37 + [70.0] * 3
    csv.write_csv(pa.table(table), tmp_path / "titles.csv")

    ran = cli("evaluate", "2", "--data", "titles.csv")
    assert 3 == ran.code
    assert "version 2 has no finite prediction for 3 rows of titles.csv; the first is row 38" in ran.err


def test_a_version_without_its_scaling_cannot_be_evaluated_and_says_so(cli, registry):
    details = simple_details(Contract.from_toml(DATA / "contract.toml"))
    del details["scaling"]
    registry.publish({"scorer.onnx": simple_graph()}, details, "")
    ran = cli("evaluate", "2", "--data", HOLDOUT)
    assert (4, True) == (ran.code, "lacks what an evaluation needs: 'scaling'" in ran.err)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["1"], 2, "Missing option '--data'"),
        (["1", "--data", "none.csv"], 3, "no file none.csv"),
        (["1", "--data", "titles.txt"], 3, "titles.txt is neither .csv, .csv.gz nor .parquet"),
        (["7", "--data", HOLDOUT], 4, "no version 7 of game-earnings in registry/; newest is 1"),
        (["@champion", "--data", HOLDOUT], 4, "no version of game-earnings is champion"),
        (["latest", "--data", HOLDOUT], 2, "'latest' names no version"),
    ],
)
def test_what_is_not_there_is_told_and_nothing_is_written(cli, registry, tmp_path, arguments, code, words):
    before = contents(tmp_path)
    ran = cli("evaluate", *arguments)
    assert (code, "") == (ran.code, ran.out)
    assert words in ran.err
    assert before == contents(tmp_path)


def test_a_damaged_version_is_not_evaluated(cli, registry, tmp_path):
    (graph,) = (tmp_path / "registry").rglob("scorer.onnx")
    graph.write_bytes(graph.read_bytes()[:-1] + b"?")
    ran = cli("evaluate", "1", "--data", HOLDOUT)
    assert (4, True) == (ran.code, "scorer.onnx was changed: expected sha256" in ran.err)


# Bound to the version


def test_an_evaluation_of_other_bytes_does_not_count_for_a_version(registry, tmp_path):
    """Were a bundle registered anew under the number, its figures would not be those of the old one."""
    body = {"version": 1, "digest": "f" * 64, "data": "a.csv", "data_sha256": "0" * 64, "rows": 1, "metrics": {}}
    EventLog(LocalStore(tmp_path / "registry"), "game-earnings").append("evaluation.recorded", "", lambda events: body)
    with pytest.raises(IntegrityError, match=f"event 2 evaluates version 1 with digest {'f' * 64}; expected "):
        _ = registry.find_version(1).evaluations


def test_whoever_records_an_evaluation_cannot_name_another_version(registry):
    forged = {"data": "a.csv", "data_sha256": "0" * 64, "rows": 1, "metrics": {}, "version": 2, "digest": "f" * 64}
    event = registry.record_evaluation(1, forged, "")
    assert (1, registry.find_version(1).digest) == (event.body["version"], event.body["digest"])


def test_an_event_without_intervals_is_one_of_an_earlier_release(registry):
    old = {"data": "a.csv", "data_sha256": "0" * 64, "rows": 1, "metrics": {"mae": 1.0}}
    registry.record_evaluation(1, json.loads(json.dumps(old)), "")
    evaluation = registry.find_version(1).evaluation
    assert ({}, 0) == (evaluation.intervals, evaluation.rejected)
