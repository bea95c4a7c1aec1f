"""``gamesales train``: the job file, the whole job and its bundle, and what is left when it fails (nothing)."""

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pyarrow.csv
import pyarrow.parquet
import pytest

from gamesales import Registry
from gamesales.cli import progress
from gamesales.data.contract import Contract
from gamesales.data.labeled_titles import read_titles
from gamesales.errors import InputError, JobFileError
from gamesales.jobs.loading import open_registry
from gamesales.registry.bundle import sha256
from gamesales.training import intervals as calibrate
from gamesales.training.fit import Epoch
from gamesales.training.network import load_keras
from gamesales.training.provenance import git_commit
from gamesales.training.train_job import load_job
from support.train_jobs import DENSE, LEARNS, PLAIN_REPORT, write_job
from support.versions import DATA, FEATURES

# --- The job file.


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": None}, "data: Field required"),
        ({"network": None}, "network: Field required"),
        ({"training": None}, "training: Field required"),
        ({"trainning": {"epochs": 1}}, "trainning: Extra inputs are not permitted"),
        ({"data": {"train": None}}, "data.train: Field required"),
        ({"data": {"train": 7}}, "data.train: "),
        ({"data": {"holdout": "x.csv"}}, "data.holdout: Extra inputs"),
        ({"name": "Game Earnings"}, "name: 'Game Earnings' can't name a model"),
        ({"name": ""}, "name: '' can't name a model"),
        ({"name": 3}, "name: "),
        ({"network": {"layers": None}}, "network.layers: Field required"),
        ({"network": {"layers": []}}, "network.layers: "),
        ({"network": {"layers": [{"units": 1}]}}, "network.layers.0.layer: Field required"),
        ({"network": {"layers": DENSE}}, "network.layers: "),
        ({"network": {"depth": 3}}, "network.depth: Extra inputs"),
        ({"training": {"epochs": None}}, "training.epochs: Field required"),
        ({"training": {"epochs": 0}}, "training.epochs: "),
        ({"training": {"epochs": "ten"}}, "training.epochs: Input should be a valid integer"),
        ({"training": {"batchsize": 3}}, "training.batchsize: Extra inputs"),
        ({"training": {"validation_share": -0.1}}, "training.validation_share: "),
        ({"training": {"optimizer": {"learning_rate": 1}}}, "training.optimizer.name: Field required"),
        ({"intervals": {"coverage": 90}}, "intervals.coverage: Input should be less than 1 (received 90)"),
        ({"intervals": {"coverage": 0}}, "intervals.coverage: Input should be greater than 0"),
        ({"intervals": {"method": "bootstrap"}}, "intervals.method: Input should be 'auto', 'cv', 'split' or 'none'"),
        ({"intervals": {"folds": 1}}, "intervals.folds: "),
        ({"intervals": {"calibration_share": 1}}, "intervals.calibration_share: "),
        ({"report": {"folds": 1}}, "report.folds: expected 2 or more, or 0 for none (received 1)"),
        ({"report": {"learning_curve": "some"}}, "report.learning_curve: "),
        ({"report": {"most_titles": -1}}, "report.most_titles: "),
        ({"report": {"kfold": True}}, "report.kfold: Extra inputs are not permitted"),
        ({"intervals": {"level": 0.9}}, "intervals.level: Extra inputs are not permitted"),
    ],
)
def test_a_mistake_in_a_job_file_is_told_by_its_key(cli, tmp_path, changes, message):
    ran = cli("train", write_job(tmp_path / "job.toml", **changes))
    assert 2 == ran.code
    assert ran.err.startswith(f"error: {tmp_path}/job.toml is not a training job: ")
    assert message in ran.err
    assert not (tmp_path / "registry").exists()


def test_all_mistakes_of_a_job_file_are_told_at_once(tmp_path):
    path = write_job(tmp_path / "job.toml", name="No", data={"test": None}, training={"epochs": -1, "seed": "x"})
    with pytest.raises(JobFileError) as refused:
        load_job(path)
    for key in ("name: ", "data.test: ", "training.epochs: ", "training.seed: "):
        assert key in refused.value.message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no file "),
        ("[data", "can't be read as TOML: "),
        ("a = 1\na = 2", "can't be read as TOML"),
        (b"\xff", ""),
    ],
)
def test_a_job_file_that_is_no_toml_is_told_in_one_line(cli, tmp_path, content, message):
    path = tmp_path / "job.toml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    ran = cli("train", path)
    assert 2 == ran.code
    assert str(path) in ran.err
    assert message in ran.err
    assert "fault of gamesales" not in ran.err


def test_a_preset_takes_the_place_of_network_and_training_but_for_the_seed(tmp_path):
    path = write_job(tmp_path / "job.toml", name="a-name", training={"epochs": 7, "batch_size": 5, "seed": 11})
    job = load_job(path, "course")
    assert [50, 100, 50, 1] == [layer.arguments["units"] for layer in job.network.layers]
    assert (50, 32, 11) == (job.training.epochs, job.training.batch_size, job.training.seed)
    assert ("a-name", DATA / "sales_data_test.csv") == (job.name, job.data.test)


def test_a_preset_checks_the_seed_that_it_keeps(tmp_path):
    with pytest.raises(JobFileError, match=r"training\.seed: "):
        load_job(write_job(tmp_path / "job.toml", training={"seed": "x"}), "course")


def test_an_unknown_preset_is_told_with_those_that_exist(cli, tmp_path):
    ran = cli("train", write_job(tmp_path / "job.toml"), "--preset", "curse", "--json")
    assert 2 == ran.code
    assert "no preset 'curse'; there is course" == ran.document["error"]["message"]


def test_the_shipped_job_is_valid():
    job = load_job(DATA.parent / "jobs" / "train.toml")
    assert "game-earnings" == job.name


# --- The titles.


def rows_of(name):
    return (DATA / name).read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("which", ["train", "test"])
@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda lines: lines[:1], "has no rows; expected titles and their earnings"),
        (lambda lines: [], "is empty; expected a header line"),
        (
            lambda lines: [line.partition(",")[2].rpartition(",")[0] for line in lines],
            "lacks critic_rating, unit_price (it has ",
        ),
        (lambda lines: [line.replace("total_earnings", "earned") for line in lines], "lacks total_earnings"),
        (
            lambda lines: [lines[0], lines[1], "9" + lines[2][1:], "x" + lines[3][1:], *lines[4:]],
            "row 2: critic_rating: out of range, allowed: 0 to 5; row 3: critic_rating: not a number",
        ),
        (
            lambda lines: [lines[0], *(line + ",7" for line in lines[1:9]), *lines[9:]],
            "row 5: expected 10 fields, found 11; and 3 more",
        ),
    ],
    ids=["header-only", "empty", "missing-columns", "missing-target", "bad-values", "bad-rows"],
)
def test_titles_that_can_not_be_learnt_from_stop_the_job_and_are_named(cli, tmp_path, which, edit, message):
    name = {"train": "sales_data_training.csv", "test": "sales_data_test.csv"}[which]
    path = tmp_path / "edited.csv"
    path.write_text("".join(f"{line}\n" for line in edit(rows_of(name))), encoding="utf-8")
    ran = cli("train", write_job(tmp_path / "job.toml", data={which: path}))
    assert 3 == ran.code
    assert str(path) in ran.err
    assert message in ran.err
    assert not (tmp_path / "registry").exists()


def test_a_file_of_titles_that_does_not_exist_is_named(cli, tmp_path):
    ran = cli("train", write_job(tmp_path / "job.toml", data={"test": tmp_path / "nowhere.csv"}))
    assert 3 == ran.code
    assert f"no file {tmp_path}/nowhere.csv" in ran.err


def test_a_contract_that_is_wrong_is_a_wrong_job(cli, tmp_path):
    (tmp_path / "contract.toml").write_text("features = 3", encoding="utf-8")
    ran = cli("train", write_job(tmp_path / "job.toml", data={"contract": tmp_path / "contract.toml"}))
    assert 2 == ran.code
    assert f"{tmp_path}/contract.toml is not a contract: " in ran.err


def test_titles_of_parquet_and_csv_are_the_same_titles(tmp_path, contract):
    table = pyarrow.csv.read_csv(DATA / "sales_data_test.csv")
    pyarrow.parquet.write_table(table.select(sorted(table.column_names)), tmp_path / "test.parquet")
    as_csv, as_parquet = (
        read_titles(path, contract) for path in (DATA / "sales_data_test.csv", tmp_path / "test.parquet")
    )
    np.testing.assert_array_equal(as_csv.features, as_parquet.features)
    np.testing.assert_array_equal(as_csv.earnings, as_parquet.earnings)
    assert 400 == len(as_csv)


# --- The whole job, once as text and once as JSON.


def test_training_shows_its_progress_its_figures_and_what_to_type_next(cli, tmp_path):
    job = write_job(tmp_path / "job.toml", training={"epochs": 3, "validation_share": 0.2})
    ran = cli("train", job, "--reason", "the first one")
    assert 0 == ran.code
    assert [
        "reading titles",
        "starting TensorFlow and checking that the network can be exported",
        "training",
    ] == ran.err.splitlines()[:3]
    assert re.findall(r"  epoch (\d)/3  loss \d\.\d\de-\d\d  validation \d\.\d\de-\d\d", ran.err) == ["1", "2", "3"]
    first, *rest = ran.out.splitlines()
    assert re.fullmatch(r"version 1 of game-earnings, trained in \d+ s, on titles it never saw:", first)
    table = [line for line in rest if "%" in line]
    assert ["version 1", "gradient boosting", "linear regression", "mean of training"] == [
        re.split("  +", line)[0] for line in table
    ]
    report = Path(re.search(r"^report   (.*)$", ran.out, re.MULTILINE)[1])
    assert report.read_text(encoding="utf-8").startswith("<!doctype html>")
    command = re.search(r"^promote  gamesales (.*)$", ran.out, re.MULTILINE)[1].split()
    assert 0 == cli(*command).code
    assert "the first one" in cli("history").out


def test_the_same_job_again_gives_the_same_figures_under_the_next_number(cli, tmp_path):
    job = write_job(tmp_path / "job.toml", name="other-earnings", training={"epochs": 1})
    first, second = (cli("train", job, "--json").document for _ in range(2))
    assert [("other-earnings", 1), ("other-earnings", 2)] == [
        (done["model"], done["version"]) for done in (first, second)
    ]
    assert first["metrics"] == second["metrics"]
    assert first["baselines"] == second["baselines"]
    assert 1 == first["epochs"]
    assert Path(first["report"]).parent == Path(first["bundle"])
    assert 2 == open_registry(tmp_path / "registry", "other-earnings").state().newest


# --- The bundle.


def test_the_manifest_says_how_the_version_was_made_and_how_good_it_is(trained_registry, contract):
    version = trained_registry.find_version(1)
    manifest = trained_registry.bundle(version).manifest
    assert contract == Contract.from_json(manifest["contract"])
    assert [50, 100, 50, 1] == [layer["units"] for layer in manifest["network"]["layers"]]
    training = manifest["training"]
    assert ("mean_squared_error", {"name": "Adam"}, 5, 32, 7) == tuple(
        training[key] for key in ("loss", "optimizer", "epochs", "batch_size", "seed")
    )
    assert [*FEATURES, "total_earnings"] == [column["name"] for column in manifest["scaling"]["columns"]]
    assert {"scaled_mse", "mae", "rmse", "r2", "mape_percent"} == set(manifest["metrics"])
    assert {"gradient boosting", "linear regression", "mean of training"} == set(manifest["baselines"])
    for which, name, rows in (("train", "sales_data_training.csv", 1000), ("test", "sales_data_test.csv", 400)):
        digest = sha256((DATA / name).read_bytes())
        assert {"path": str(DATA / name), "sha256": digest, "rows": rows} == manifest["data"][which]
    assert list(FEATURES) == [column["name"] for column in manifest["training_profile"]]
    assert (39.99, 59.99) == tuple(manifest["training_profile"][-1][key] for key in ("minimum", "maximum"))
    assert manifest["software"]["keras"] == load_keras().__version__
    assert {"python", "gamesales", "numpy", "onnxruntime", "scikit-learn"} <= set(manifest["software"])
    assert manifest["git_commit"] == git_commit()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", manifest["trained_at"])
    assert 10_000 == manifest["parity"]["rows"]


def test_the_bundle_holds_the_five_files_of_its_format(trained_registry):
    bundle = trained_registry.bundle(trained_registry.find_version(1))
    assert {"model.keras", "scaler.joblib", "scorer.onnx", "report.html"} == set(bundle.files)
    metrics = bundle.manifest["metrics"]
    report = bundle.read("report.html").decode()
    assert f"{metrics['mae']:,.0f}" in report
    assert "Dense(100, relu)" in report


def test_training_records_its_evaluation_on_the_test_file(trained_registry):
    version = trained_registry.find_version(1)
    (evaluation,) = version.evaluations
    assert 400 == evaluation.rows
    assert sha256((DATA / "sales_data_test.csv").read_bytes()) == evaluation.data_sha256
    assert trained_registry.bundle(version).manifest["metrics"] == dict(evaluation.metrics)


@pytest.fixture
def unpacked(trained_registry, tmp_path):
    """The network and the scaler of the trained version, as a person takes them out of the bundle."""
    bundle = trained_registry.bundle(trained_registry.find_version(1))
    (tmp_path / "model.keras").write_bytes(bundle.read("model.keras"))
    network = load_keras().models.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    return bundle, network, joblib.load(io.BytesIO(bundle.read("scaler.joblib")))


def earnings_by_hand(network, scaler, values):
    """What the course's own script does: scale by scikit-learn, predict by Keras, unscale by scikit-learn."""
    raw = np.column_stack([values, np.zeros(len(values))])
    scaled = network.predict(scaler.transform(raw)[:, :-1], verbose=0)
    return scaler.inverse_transform(np.column_stack([np.zeros_like(values), scaled]))[:, -1]


@pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning")
def test_scoring_gives_what_keras_and_scikit_learn_give_within_ten_cents_in_100_000_dollars(unpacked, tmp_path):
    _, network, scaler = unpacked
    titles = pyarrow.csv.read_csv(DATA / "sales_data_test.csv")
    scored = Registry(tmp_path / "registry").load("1").predict(titles)
    values = np.column_stack([titles.column(name).to_numpy().astype(np.float64) for name in FEATURES])
    by_hand = earnings_by_hand(network, scaler, values)
    assert 400 == len(scored)
    np.testing.assert_allclose(scored, by_hand, rtol=0.10 / 100_000, atol=0)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning")
def test_a_network_predicts_after_saving_what_it_predicted_before(unpacked):
    """The golden rows were predicted before the network was saved."""
    bundle, network, scaler = unpacked
    golden = bundle.manifest["golden"]
    by_hand = earnings_by_hand(network, scaler, np.array(golden["values"]))
    assert len(golden["values"]) >= 8
    assert (np.abs(by_hand - golden["expected_predictions"]) <= golden["prediction_tolerance"]).all()


def test_the_figures_are_those_of_predictions_for_titles_that_training_never_saw(trained_registry, tmp_path):
    titles = pd.read_csv(DATA / "sales_data_test.csv")
    past = pd.read_csv(DATA / "sales_data_training.csv")
    off = np.abs(Registry(tmp_path / "registry").load("1").predict(titles) - titles["total_earnings"])
    manifest = trained_registry.bundle(trained_registry.find_version(1)).manifest
    assert off.mean() == pytest.approx(manifest["metrics"]["mae"], rel=1e-9)
    assert 100 * (off / titles["total_earnings"]).mean() == pytest.approx(manifest["metrics"]["mape_percent"], rel=1e-9)
    by_mean = np.abs(titles["total_earnings"] - past["total_earnings"].mean()).mean()
    assert by_mean == pytest.approx(manifest["baselines"]["mean of training"]["mae"], rel=1e-9)


def test_the_scaler_in_the_bundle_learnt_from_the_training_file_and_is_the_scaling_in_the_manifest(unpacked):
    bundle, _, scaler = unpacked
    past = pd.read_csv(DATA / "sales_data_training.csv")[scaler.feature_names_in_]
    assert past.min().tolist() == scaler.data_min_.tolist()
    assert past.max().tolist() == scaler.data_max_.tolist()
    columns = bundle.manifest["scaling"]["columns"]
    assert [column["name"] for column in columns] == list(scaler.feature_names_in_)
    assert [column["scale"] for column in columns] == scaler.scale_.tolist()
    assert [column["offset"] for column in columns] == scaler.min_.tolist()
    assert [0, 1] == list(scaler.feature_range)


def test_the_api_and_the_command_line_predict_the_same_dollars(cli, trained_registry):
    """To the last bit, from CSV, where every number is text, and from what Arrow and pandas make of it."""
    assert 0 == cli("promote", "1").code
    assert 0 == cli("score", DATA / "sales_data_test.csv", "--output", "out.parquet").code
    scored = pyarrow.parquet.read_table("out.parquet").column("predicted_earnings").to_numpy()
    assert 400 == len(scored)
    predictor = Registry("registry").load("@champion")
    np.testing.assert_array_equal(predictor.predict(pyarrow.csv.read_csv(DATA / "sales_data_test.csv")), scored)
    np.testing.assert_array_equal(predictor.predict(pd.read_csv(DATA / "sales_data_test.csv")), scored)


# --- Prediction intervals.


def test_intervals_are_calibrated_in_folds_and_told_wherever_figures_are(cli, tmp_path):
    """The manifest tells what they achieve; the same figures come from a scored test file."""
    ran = cli("train", write_job(tmp_path / "job.toml", training=LEARNS, intervals={"folds": 3}))
    assert 0 == ran.code, ran.err
    assert re.findall(r"calibrating prediction intervals: training (\d) of 3", ran.err) == ["1", "2", "3"]
    registry = open_registry(tmp_path / "registry", "game-earnings")
    bundle = registry.bundle(registry.find_version(1))
    interval, manifest = bundle.manifest["interval"], bundle.manifest
    assert ("cv", 0.9, 1000) == tuple(interval[key] for key in ("method", "coverage", "rows"))
    assert manifest["intervals"] == {"method": "auto", "coverage": 0.9, "folds": 3, "calibration_share": 0.2}
    line = re.search(r"^prediction intervals (.*)$", ran.out, re.MULTILINE)[1]
    assert f"for 90 % of titles hold {100 * interval['achieved']['share']:.1f} % of the 400" in line
    assert line in bundle.read("report.html").decode()

    titles = pyarrow.csv.read_csv(DATA / "sales_data_test.csv")
    low, high = Registry(tmp_path / "registry").load("1").predict_interval(titles)
    actual = titles.column("total_earnings").to_numpy()
    assert interval["achieved"]["rows"] == len(actual)
    assert interval["achieved"]["share"] == np.mean((low <= actual) & (actual <= high))
    assert interval["median_width"] == np.median(high - low)
    assert interval["achieved"]["low"] < interval["achieved"]["share"] < interval["achieved"]["high"]


@pytest.mark.parametrize(("most", "warned"), [(0.899, 1), (0.9, 0), (1.0, 0)])
def test_intervals_that_hold_fewer_titles_than_chance_explains_are_a_warning(most, warned):
    """The report shows it above everything else."""
    achieved = {"rows": 400, "share": most - 0.01, "low": most - 0.02, "high": most}
    warnings = calibrate.warnings({"coverage": 0.9, "achieved": achieved, "median_width": 4_000.0})
    assert warned == len(warnings)
    assert all("hold 88.9 % of the 400 test titles (of all, 87.9 to 89.9 %)" in warning for warning in warnings)
    assert calibrate.warnings(None) == []


def test_a_split_learns_from_what_it_does_not_calibrate_on(cli, tmp_path):
    """So the scaler knows four fifths of the titles, and the intervals rest on the others."""
    ran = cli("train", write_job(tmp_path / "job.toml", training=LEARNS, intervals={"method": "split"}), "--json")
    assert ("split", 200) == tuple(ran.document["interval"][key] for key in ("method", "rows"))
    assert ran.document["interval"]["achieved"]["share"] == pytest.approx(0.9, abs=0.1)
    assert "calibrating" not in ran.err
    registry = open_registry(tmp_path / "registry", "game-earnings")
    bundle = registry.bundle(registry.find_version(1))
    assert 800 == joblib.load(io.BytesIO(bundle.read("scaler.joblib"))).n_samples_seen_


def test_calibrating_changes_no_prediction(cli, tmp_path):
    """The published network is trained before those of the folds."""
    figures = [
        cli("train", write_job(tmp_path / "job.toml", intervals=intervals), "--json").document["metrics"]
        for intervals in ({"method": "none"}, {"folds": 2})
    ]
    assert figures[0] == figures[1]
    titles = pyarrow.csv.read_csv(DATA / "sales_data_test.csv")
    without, with_intervals = (Registry(tmp_path / "registry").load(ref).predict(titles) for ref in ("1", "2"))
    np.testing.assert_array_equal(without, with_intervals)


def test_a_job_without_intervals_leaves_none_in_the_manifest(cli, tmp_path):
    ran = cli("train", write_job(tmp_path / "job.toml", intervals={"method": "none"}), "--json")
    assert ran.document["interval"] is None
    registry = open_registry(tmp_path / "registry", "game-earnings")
    assert "interval" not in registry.bundle(registry.find_version(1)).manifest


def test_a_preset_keeps_the_intervals_of_the_job(tmp_path):
    job = load_job(write_job(tmp_path / "job.toml", intervals={"coverage": 0.8}), "course")
    assert 0.8 == job.intervals.coverage
    assert "auto" == job.intervals.method


# --- The evaluation in the manifest, and on the report.


@pytest.fixture(scope="module")
def examined(trained_once):
    """The manifest's evaluation of a version that was examined whole, and the text of its page."""
    from support.pages import read

    registry = open_registry(trained_once / "registry", "game-earnings")
    bundle = registry.bundle(registry.find_version(1))
    return bundle.manifest, read(bundle.read("report.html").decode())


def test_k_fold_of_the_intervals_is_not_trained_twice(examined):
    """Its quantile is that of the out-of-fold errors which the plain figures come from."""
    manifest, _ = examined
    plain, grouped = (manifest["evaluation"]["kfold"][kind] for kind in ("plain", "grouped"))
    assert (2, 1000, 2, 1000) == (plain["folds"], plain["rows"], grouped["folds"], grouped["rows"])
    for one in (plain, grouped):
        low, high = one["intervals"]["mae"]
        assert low < one["metrics"]["mae"] < high
        assert 2 == len(one["folds_mae"])
        assert set(manifest["baselines"]) == set(one["baselines"])


def test_the_evaluation_agrees_with_the_figures_beside_it(examined):
    manifest, _ = examined
    evaluation, own = manifest["evaluation"], manifest["metrics"]
    for name in ("mae", "scaled_mse"):
        low, high = evaluation["holdout"]["intervals"][name]
        assert low < own[name] < high
    lead = evaluation["holdout"]["lead"]
    assert lead["mae"] == pytest.approx(manifest["baselines"][lead["over"]]["mae"], rel=1e-5)
    assert lead["usd"]["value"] == pytest.approx(lead["mae"] - own["mae"], rel=1e-4)
    genres = [one for one in evaluation["slices"] if one["family"] == "is_action / is_role_playing / is_sports"]
    assert 400 == sum(one["rows"] for one in genres)
    assert own["mae"] == pytest.approx(sum(one["rows"] * one["mae"]["value"] for one in genres) / 400, rel=1e-4)
    held = sum(one["rows"] * one["held"] for one in genres) / 400
    assert held == pytest.approx(manifest["interval"]["achieved"]["share"], rel=1e-4)
    assert [125, 250, 500, 1000] == [point["titles"] for point in evaluation["learning_curve"]["points"]]
    assert evaluation["learning_curve"]["points"][-1]["mae"]["value"] == pytest.approx(own["mae"], rel=1e-4)
    assert 10 == len(evaluation["importance"])
    assert 7 == len(evaluation["dependence"])
    assert evaluation["noise"]["scaled_mse"]["value"] < own["scaled_mse"]
    assert {"folds": 2, "learning_curve": True, "seeds": 1, "most_titles": 5000} == manifest["report"]
    assert [8] == [one["seed"] for one in evaluation["seeds"]]
    assert len(json.dumps(evaluation)) < 20_000


def test_the_report_shows_the_evaluation_in_its_sections(examined):
    manifest, text = examined
    for heading in ("Was it luck?", "Would more titles help?", "What is left in the errors", "What does it go by?"):
        assert heading in text
    assert "For which titles is it good?" in text
    assert "is_action / is_role_playing / is_sports" in text
    assert "The same network on the same titles, from 1 other seed: $" in text
    assert "2 other networks, on titles unlike those learnt from" in text
    assert "The noise, which no model can predict" in text
    grouped = manifest["evaluation"]["kfold"]["grouped"]["metrics"]
    assert f"${grouped['mae']:,.0f}" in text
    for notice in manifest["evaluation"]["notices"]:
        assert notice["text"] in text


def test_show_has_the_evaluation(cli, trained_registry):
    assert 400 == cli("show", "1", "--json").document["manifest"]["evaluation"]["holdout"]["rows"]


def test_examining_trains_what_the_job_asks_for_and_changes_no_prediction(cli, tmp_path):
    """Without cv, plain folds are the report's own to train."""
    told, figures = [], []
    for report in ({"folds": 2, "seeds": 2}, {"folds": 2, "most_titles": 999}, PLAIN_REPORT):
        ran = cli("train", write_job(tmp_path / "job.toml", report=report), "--json")
        assert 0 == ran.code, ran.err
        told.append([line for line in ran.err.splitlines() if re.search("k-fold|curve|seeds", line)])
        figures.append(ran.document["metrics"])
    assert [
        *(f"{kind} k-fold: training {fold} of 2" for kind in ("plain", "grouped") for fold in (1, 2)),
        *(f"learning curve: training {n} of 3, on {titles} titles" for n, titles in ((1, 125), (2, 250), (3, 500))),
        *(f"other seeds: training {number} of 2" for number in (1, 2)),
    ] == told[0]
    assert [[], []] == told[1:]
    assert figures[0] == figures[1] == figures[2]
    registry = open_registry(tmp_path / "registry", "game-earnings")
    bundle = registry.bundle(registry.find_version(2))
    evaluation = bundle.manifest["evaluation"]
    assert {"plain": None, "grouped": None} == evaluation["kfold"]
    assert evaluation["learning_curve"] is None
    assert "K-fold was left out" in bundle.read("report.html").decode()


def test_few_titles_are_examined_as_far_as_they_go_and_warned_of(cli, tmp_path):
    """No curve, no folds, no noise; and the page says first that the figures are chance."""
    data = {}
    for which, name, rows in (("train", "sales_data_training.csv", 30), ("test", "sales_data_test.csv", 4)):
        data[which] = tmp_path / name
        data[which].write_text("\n".join(rows_of(name)[: rows + 1]) + "\n", encoding="utf-8")
    job = write_job(tmp_path / "job.toml", data=data, training={"epochs": 1}, report={"folds": 31, "seeds": 0})
    assert 0 == cli("train", job).code
    registry = open_registry(tmp_path / "registry", "game-earnings")
    bundle = registry.bundle(registry.find_version(1))
    evaluation = bundle.manifest["evaluation"]
    assert (None, None, None) == (evaluation["noise"], evaluation["learning_curve"], evaluation["kfold"]["plain"])
    assert {"tiny training", "tiny test"} <= {one["about"] for one in evaluation["notices"]}
    page = bundle.read("report.html").decode()
    assert page.index("Only 4 titles to test on") < page.index("Is it better?")
    assert "Too few titles to say how surely" in page


@pytest.mark.parametrize("what", ["kfold.predict", "learning_curve", "other_seeds"])
def test_networks_of_the_report_that_diverge_cost_a_warning_and_not_the_version(cli, tmp_path, monkeypatch, what):
    def diverge(*arguments):
        raise InputError("training diverged: the loss is inf after epoch 1 of 2")

    monkeypatch.setattr(f"gamesales.diagnostics.diagnose.{what}", diverge)
    report = {"folds": 2 if what == "kfold.predict" else 0, "learning_curve": what == "learning_curve", "seeds": 0}
    assert 0 == cli("train", write_job(tmp_path / "job.toml", report=report)).code
    registry = open_registry(tmp_path / "registry", "game-earnings")
    page = registry.bundle(registry.find_version(1)).read("report.html").decode()
    assert "could not be used: training diverged" in page


# --- A column more.


def test_a_column_more_is_an_entry_in_the_contract_and_a_retrain(cli, tmp_path):
    """No code: the contract and the files name it, and training and scoring follow."""
    entry = '\n[[features]]\nname = "marketing"\nkind = "price"\nunit = "US dollars"\nminimum = 0\n'
    (tmp_path / "contract.toml").write_text((DATA / "contract.toml").read_text(encoding="utf-8") + entry, "utf-8")
    random = np.random.default_rng(1)
    data = {"contract": tmp_path / "contract.toml"}
    for which, name in (("train", "sales_data_training.csv"), ("test", "sales_data_test.csv")):
        header, *lines = rows_of(name)
        spent = random.integers(0, 1_000_000, len(lines))
        rows = [f"{amount},{line}" for amount, line in zip(spent, lines, strict=True)]
        data[which] = tmp_path / name
        data[which].write_text("\n".join([f"marketing,{header}", *rows, ""]), encoding="utf-8")
    assert 0 == cli("train", write_job(tmp_path / "job.toml", data=data)).code
    assert 0 == cli("promote", "1").code

    done = cli("score", data["test"], "--output", "out.csv", "--json")
    assert (0, 400) == (done.code, done.document["rows_scored"])
    by_api = Registry("registry").load("@champion").predict(pyarrow.csv.read_csv(data["test"]))
    np.testing.assert_array_equal(pyarrow.csv.read_csv("out.csv").column("predicted_earnings").to_numpy(), by_api)
    without = cli("score", DATA / "sales_data_test.csv", "--output", "other.csv")
    assert 3 == without.code
    assert "lacks marketing" in without.err
    assert not Path("other.csv").exists()


# --- What fails leaves nothing.

SQUARE = {"layer": "Reshape", "target_shape": [3, 3]}
GROUPED = {"layer": "Conv1D", "filters": 3, "kernel_size": 1, "groups": 3}
NEGATIVE = {
    "layers": [{**DENSE, "kernel_initializer": "zeros", "bias_initializer": {"name": "Constant", "value": -1.0}}]
}


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"network": {"layers": [{"layer": "Dens", "units": 1}]}}, 2, "network.layers[0]: Keras has no layer"),
        (
            {"network": {"layers": [SQUARE, GROUPED, {"layer": "Flatten"}, DENSE]}},
            2,
            "network.layers[1] (Conv1D) can't be compiled to a scoring graph",
        ),
        (
            {"network": {"layers": [{"layer": "Dense", "units": 4, "dtype": "bfloat16"}, DENSE]}},
            2,
            "network.layers[0]: Dense computes in bfloat16",
        ),
        (
            {"network": {"layers": [SQUARE, {"layer": "Lambda", "function": "f"}, DENSE]}},
            2,
            "network.layers[1]: Lambda runs code that a job file can't hold",
        ),
        ({"training": {"loss": "Poisson"}, "network": NEGATIVE}, 2, "training.loss: Poisson is nan"),
        ({"training": {"loss": "mse "}}, 2, "training.loss: Keras has no loss 'mse '"),
        ({"training": {"validation_share": 0.0001}}, 3, "1000 training rows can't be split"),
        (
            {"training": {"epochs": 99, "optimizer": {"name": "SGD", "learning_rate": 1e30}}},
            3,
            "training diverged: the loss is ",
        ),
        (
            {"intervals": {"coverage": 0.9999}},
            3,
            "intervals.coverage is 0.9999, which takes 9,999 titles to calibrate on; there are 1,000",
        ),
        ({"intervals": {"folds": 1001}}, 3, "1000 rows of training can't be cut into 1001 folds"),
        ({"intervals": {"method": "split", "calibration_share": 0.0001}}, 3, "1000 training rows can't be split"),
    ],
    ids=[
        *("layer", "no-operator", "dtype", "code", "loss-at-start", "loss", "split", "diverged"),
        *("coverage", "folds", "calibration"),
    ],
)
def test_a_job_that_fails_registers_nothing(cli, tmp_path, changes, code, message):
    ran = cli("train", write_job(tmp_path / "job.toml", **changes))
    assert code == ran.code
    assert message in ran.err
    assert "" == ran.out
    epochs = re.findall(r"epoch (\d+)/", ran.err)
    assert len(epochs) <= (1 if "diverged" in message else 0), "a network that can't be used is not trained"
    assert not (tmp_path / "registry").exists()


@pytest.fixture
def terminal(tmp_path):
    """Start a command whose stderr is a terminal; give the process and the terminal's other end."""
    ours, theirs = os.openpty()
    started = []

    def start(*arguments):
        # Where pytest runs in the background, SIGINT is ignored, and children would inherit that.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
            command = [sys.executable, "-m", "gamesales", *map(str, arguments)]
            started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment))
        finally:
            signal.signal(signal.SIGINT, before)
            os.close(theirs)
        return started[0], ours

    yield start
    os.close(ours)
    for process in started:
        process.kill()
        process.communicate()


def test_a_terminal_shows_a_bar_with_the_loss_and_ctrl_c_registers_nothing(terminal, tmp_path):
    job = write_job(tmp_path / "job.toml", training={"epochs": 2000})
    process, screen = terminal("train", job, "--registry", tmp_path / "registry")
    shown = b""
    while not re.search(rb"/2000.*loss \d\.\d\de-\d\d", shown):
        shown += os.read(screen, 4096)
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):  # how Linux tells that the other end is closed
        while part := os.read(screen, 4096):
            shown += part
    out, _ = process.communicate(timeout=60)
    assert (130, b"") == (process.returncode, out)
    assert not (tmp_path / "registry").exists()
    text = shown.decode()
    assert "error: interrupted; nothing is half written" in text
    assert text.index("reading titles") < text.index("━"), "there is no bar before there are epochs"
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "the cursor is visible again"


def test_long_training_says_a_line_for_about_every_tenth(capsys):
    def lines(epochs):
        with progress.epochs() as tell:
            for number in range(1, epochs + 1):
                tell(Epoch(number, epochs, 0.01, None, 0.001))
        return capsys.readouterr().err.splitlines()

    assert 3 == len(lines(3))
    assert 10 == len(lines(2000))
    assert 10 <= len(lines(29)) <= 20
    assert "  epoch 29/29  loss 1.00e-02" == lines(29)[-1]


# --- The commit that a version was trained at.


def test_the_commit_is_told_with_whether_it_was_changed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "A")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "a@example.org")
    assert git_commit() is None
    (tmp_path / "file").write_text("1")
    for arguments in (["init", "-q"], ["add", "file"], ["commit", "-q", "-m", "one"], ["tag", "v1"]):
        subprocess.run(["git", *arguments], check=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert commit == git_commit()
    (tmp_path / "file").write_text("2")
    assert f"{commit}-dirty" == git_commit()
    monkeypatch.setenv("PATH", "")
    assert git_commit() is None
