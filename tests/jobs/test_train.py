"""``gamesales train``: the job file, the whole job, its bundle, and jobs that fail."""

import contextlib
import errno
import html
import io
import json
import os
import re
import signal
import subprocess
from pathlib import Path

import joblib
import jsonschema
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
from gamesales.jobs.loading import load_references, load_registered, open_registry
from gamesales.jobs.train import find_git_commit
from gamesales.registry.bundle import compute_sha256
from gamesales.training import intervals as calibrate
from gamesales.training.fit import Epoch
from gamesales.training.keras_objects import load_keras
from gamesales.training.train_job import load_job
from support import warm_process
from support.searches import write_tune_job
from support.train_jobs import DENSE, LEARNS, PLAIN_REPORT, write_job
from support.versions import DATA, FEATURES, ROOT

# --- The job file.


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": None}, "data: missing"),
        ({"network": None}, "network: missing"),
        ({"training": None}, "training: missing"),
        ({"trainning": {"epochs": 1}}, "trainning: unknown key (did you mean training?)"),
        ({"data": {"train": None}}, "data.train: missing"),
        ({"data": {"train": 7}}, "data.train: "),
        ({"data": {"holdout": "x.csv"}}, "data.holdout: unknown key"),
        ({"name": "Game Earnings"}, "name: 'Game Earnings' can't name a model"),
        ({"name": ""}, "name: '' can't name a model"),
        ({"name": 3}, "name: "),
        ({"network": {"layers": None}}, "network.layers: missing"),
        ({"network": {"layers": []}}, "network.layers: "),
        ({"network": {"layers": [{"units": 1}]}}, "network.layers.0.layer: missing"),
        ({"network": {"layers": DENSE}}, "network.layers: "),
        ({"network": {"depth": 3}}, "network.depth: unknown key"),
        ({"training": {"epochs": None}}, "training.epochs: missing"),
        ({"training": {"epochs": 0}}, "training.epochs: "),
        ({"training": {"epochs": "ten"}}, 'training.epochs: expected a whole number, received "ten"'),
        ({"training": {"batchsize": 3}}, "training.batchsize: unknown key (did you mean batch_size?)"),
        ({"training": {"validation_share": -0.1}}, "training.validation_share: "),
        ({"training": {"optimizer": {"learning_rate": 1}}}, "training.optimizer.name: missing"),
        ({"intervals": {"coverage": 90}}, "intervals.coverage: expected less than 1, received 90"),
        ({"intervals": {"coverage": 0}}, "intervals.coverage: expected more than 0"),
        ({"intervals": {"method": "bootstrap"}}, "intervals.method: expected 'auto', 'cv', 'split' or 'none'"),
        ({"intervals": {"folds": 1}}, "intervals.folds: "),
        ({"intervals": {"calibration_share": 1}}, "intervals.calibration_share: "),
        ({"report": {"folds": 1}}, "report.folds: expected 2 or more, or 0 for none, received 1"),
        ({"report": {"learning_curve": "some"}}, "report.learning_curve: "),
        ({"report": {"most_titles": -1}}, "report.most_titles: "),
        ({"report": {"kfold": True}}, "report.kfold: unknown key"),
        ({"intervals": {"level": 0.9}}, "intervals.level: unknown key"),
        ({"reference_titles": 101}, "reference_titles: expected 100 or less, received 101"),
    ],
)
def test_mistakes_are_named(cli, tmp_path, changes, message):
    """A mistake in the job file is named by its key, and nothing is written."""
    ran = cli("train", write_job(tmp_path / "job.toml", **changes))
    assert 2 == ran.code
    assert ran.err.splitlines()[1].startswith(f"error: {tmp_path}/job.toml is not a training job: ")
    assert message in ran.err
    assert not (tmp_path / "registry").exists()


def test_all_mistakes_at_once(tmp_path):
    """All mistakes of a job file are in one error."""
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
def test_job_file_must_be_toml(cli, tmp_path, content, message):
    """A job file that is missing or not TOML is a usage error."""
    path = tmp_path / "job.toml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    ran = cli("train", path)
    assert 2 == ran.code
    assert str(path) in ran.err
    assert message in ran.err
    assert "fault of gamesales" not in ran.err


def test_preset_keeps_the_seed(tmp_path):
    """A preset replaces the network and the training, but not the seed."""
    path = write_job(tmp_path / "job.toml", name="a-name", training={"epochs": 7, "batch_size": 5, "seed": 11})
    job = load_job(path, "course")
    assert [50, 100, 50, 1] == [layer.arguments["units"] for layer in job.network.layers]
    assert (50, 32, 11) == (job.training.epochs, job.training.batch_size, job.training.seed)
    assert ("a-name", str(DATA / "sales_data_test.csv")) == (job.name, job.data.test)


def test_preset_checks_the_seed(tmp_path):
    """The seed of the job file is validated with a preset too."""
    with pytest.raises(JobFileError, match=r"training\.seed: "):
        load_job(write_job(tmp_path / "job.toml", training={"seed": "x"}), "course")


def test_unknown_preset(cli, tmp_path):
    """The error for an unknown preset lists the presets."""
    ran = cli("train", write_job(tmp_path / "job.toml"), "--preset", "curse", "--json")
    assert 2 == ran.code
    assert "no preset 'curse'; expected course" == ran.document["error"]["message"]


def test_shipped_job_is_valid():
    """The shipped job file is valid."""
    job = load_job(DATA.parent / "jobs" / "train.toml")
    assert "game-earnings" == job.name


# --- The files of titles.


def read_lines(name):
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
def test_invalid_titles_stop_the_job(cli, tmp_path, which, edit, message):
    """Titles that are not valid stop the job, and the error names the file and the rows."""
    name = {"train": "sales_data_training.csv", "test": "sales_data_test.csv"}[which]
    path = tmp_path / "edited.csv"
    path.write_text("".join(f"{line}\n" for line in edit(read_lines(name))), encoding="utf-8")
    ran = cli("train", write_job(tmp_path / "job.toml", data={which: path}))
    assert 3 == ran.code
    assert str(path) in ran.err
    assert message in ran.err
    assert not (tmp_path / "registry").exists()


def test_missing_file_is_named(cli, tmp_path):
    """A missing file of titles is named."""
    ran = cli("train", write_job(tmp_path / "job.toml", data={"test": tmp_path / "nowhere.csv"}))
    assert 3 == ran.code
    assert f"no file {tmp_path}/nowhere.csv" in ran.err


def test_invalid_contract(cli, tmp_path):
    """An invalid contract is a usage error."""
    (tmp_path / "contract.toml").write_text("features = 3", encoding="utf-8")
    ran = cli("train", write_job(tmp_path / "job.toml", data={"contract": tmp_path / "contract.toml"}))
    assert 2 == ran.code
    assert f"{tmp_path}/contract.toml is not a contract: " in ran.err


def test_parquet_equals_csv(tmp_path, contract):
    """Titles from Parquet and from CSV are the same."""
    table = pyarrow.csv.read_csv(DATA / "sales_data_test.csv")
    pyarrow.parquet.write_table(table.select(sorted(table.column_names)), tmp_path / "test.parquet")
    as_csv, as_parquet = (
        read_titles(path, contract) for path in (DATA / "sales_data_test.csv", tmp_path / "test.parquet")
    )
    np.testing.assert_array_equal(as_csv.features, as_parquet.features)
    np.testing.assert_array_equal(as_csv.earnings, as_parquet.earnings)
    assert 400 == len(as_csv)


# --- The whole job, once as text and once as JSON.


def test_output_of_training(cli, tmp_path):
    """The output has the progress, the metrics and the next command."""
    job = write_job(tmp_path / "job.toml", training={"epochs": 3, "validation_share": 0.2})
    ran = cli("train", job, "--reason", "the first one")
    assert 0 == ran.code
    assert [
        f"reading {job}",
        "reading titles",
        "starting TensorFlow and checking that the network can be exported",
        "training",
    ] == ran.err.splitlines()[:4]
    assert re.findall(r"  epoch (\d)/3  loss \d\.\d\de-\d\d  validation \d\.\d\de-\d\d", ran.err) == ["1", "2", "3"]
    first, *rest = ran.out.splitlines()
    assert re.fullmatch(r"version 1 of game-earnings, trained in \d+ s; metrics on the test titles:", first)
    table = [line for line in rest if "%" in line]
    assert ["version 1", "gradient boosting", "linear regression", "mean of training"] == [
        re.split("  +", line)[0] for line in table
    ]
    report = Path(re.search(r"^report   (.*)$", ran.out, re.MULTILINE)[1])
    assert report.read_text(encoding="utf-8").startswith("<!doctype html>")
    command = re.search(r"^promote  gamesales (.*)$", ran.out, re.MULTILINE)[1].split()
    assert 0 == cli(*command).code
    assert "the first one" in cli("history").out


@pytest.mark.parametrize("command", ["train", "tune"])
@pytest.mark.parametrize(("is_file", "code"), [(True, 4), (False, 7)])
def test_unwritable_registry_stops_first(cli, tmp_path, monkeypatch, command, is_file, code):
    """A registry that refuses to write is noticed before TensorFlow starts, and nothing stays there."""
    job = write_job(tmp_path / "job.toml") if command == "train" else write_tune_job(tmp_path / "job.toml")
    if is_file:
        (tmp_path / "registry").write_text("a file")
    else:
        monkeypatch.setattr(os, "link", raise_read_only)
    before = set(tmp_path.iterdir())
    ran = cli(command, job)
    assert code == ran.code, ran.err
    assert [f"reading {job}", "reading titles"] == ran.err.splitlines()[:2]
    assert ran.err.splitlines()[2].startswith("error: ")
    assert before == set(tmp_path.iterdir())


def raise_read_only(*_arguments):
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


@pytest.mark.slow
def test_training_is_reproducible(cli, tmp_path):
    """The same job gives the same metrics under the next version number."""
    job = write_job(tmp_path / "job.toml", name="other-earnings", training={"epochs": 1})
    first, second = (cli("train", job, "--json").document for _ in range(2))
    assert [("other-earnings", 1), ("other-earnings", 2)] == [
        (done["model"], done["version"]) for done in (first, second)
    ]
    assert first["metrics"] == second["metrics"]
    assert first["baselines"] == second["baselines"]
    assert 1 == first["epochs"]
    assert (None, 1) == (first["same_weights_as"], second["same_weights_as"])
    assert Path(first["report"]).parent == Path(first["bundle"])
    assert 2 == open_registry(tmp_path / "registry", "other-earnings").read_state().newest


# --- The bundle.


def test_manifest_of_version(trained_registry, contract):
    """The manifest has the job, the data, the metrics and the software."""
    version = trained_registry.find_version(1)
    manifest = trained_registry.open_bundle(version).manifest
    assert contract == Contract.from_json(manifest["contract"])
    assert [50, 100, 50, 1] == [layer["units"] for layer in manifest["network"]["layers"]]
    training = manifest["training"]
    assert ("mean_squared_error", {"name": "Adam"}, 10, 125, 7) == tuple(
        training[key] for key in ("loss", "optimizer", "epochs", "batch_size", "seed")
    )
    assert [*FEATURES, "total_earnings"] == [column["name"] for column in manifest["scaling"]["columns"]]
    assert {"scaled_mse", "mae", "rmse", "r2", "mape_percent"} == set(manifest["metrics"])
    assert {"gradient boosting", "linear regression", "mean of training"} == set(manifest["baselines"])
    for which, name, rows in (("train", "sales_data_training.csv", 1000), ("test", "sales_data_test.csv", 400)):
        digest = compute_sha256((DATA / name).read_bytes())
        assert {"path": str(DATA / name), "sha256": digest, "rows": rows} == manifest["data"][which]
    assert list(FEATURES) == [column["name"] for column in manifest["training_profile"]]
    assert (39.99, 59.99) == tuple(manifest["training_profile"][-1][key] for key in ("minimum", "maximum"))
    assert manifest["software"]["keras"] == load_keras().__version__
    assert {"python", "gamesales", "numpy", "onnxruntime", "scikit-learn"} <= set(manifest["software"])
    assert manifest["git_commit"] == find_git_commit()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", manifest["trained_at"])
    assert 10_000 == manifest["parity"]["rows"]


def test_record_of_training_titles(trained_registry, contract):
    """A version records the combinations of flags in training, and scoring loads them with the rule for intervals."""
    manifest = trained_registry.open_bundle(trained_registry.find_version(1)).manifest
    loaded = load_registered(trained_registry, trained_registry.find_version(1))
    assert manifest["flag_combinations"]["columns"] == [c.name for c in contract.features if c.kind == "flag"]
    assert loaded.combinations.seen.tolist() == manifest["flag_combinations"]["seen"]
    assert (loaded.widening is None) == ("widening" not in manifest.get("interval", {}))


def test_files_of_bundle(trained_registry):
    """The bundle has the files of its format."""
    bundle = trained_registry.open_bundle(trained_registry.find_version(1))
    assert {"model.keras", "scaler.joblib", "scorer.onnx", "reference_titles.json", "report.html"} == set(bundle.files)
    metrics = bundle.manifest["metrics"]
    report = bundle.read("report.html").decode()
    assert f"{metrics['mae']:,.0f}" in report
    assert "Dense(100, relu)" in report


def test_reference_titles(trained_registry):
    """A version keeps 100 training titles, whose mean prediction is close to that of all training titles."""
    version = load_registered(trained_registry, trained_registry.find_version(1))
    references = load_references(trained_registry, version)
    training = pd.read_csv(DATA / "sales_data_training.csv")[list(FEATURES)].to_numpy(np.float64)
    assert (100, 9) == references.shape
    assert {*map(tuple, references)} <= {*map(tuple, training)}
    means = [version.clip(version.scorer.score(values))[0].mean() for values in (references, training)]
    assert means[0] == pytest.approx(means[1], rel=0.02)


def test_report_names_its_version(trained_registry, tmp_path):
    """The report has the number of the version, the commands for it, links to files, and the job, which reads again."""
    bundle = trained_registry.open_bundle(trained_registry.find_version(1))
    page = bundle.read("report.html").decode()
    assert "<title>game-earnings, version 1</title>" in page
    assert "gamesales promote 1" in page
    links = re.findall(r'href="([^#"]*)"', page)
    assert ["data:,", "MANIFEST.json"] == links
    path = tmp_path / "job.toml"
    path.write_text(html.unescape(re.search(r"<pre[^>]*>(.*?)</pre>", page, re.DOTALL)[1]), encoding="utf-8")
    job = load_job(path)
    assert bundle.manifest["network"] == job.network.model_dump(mode="json")
    assert bundle.manifest["training"] == job.training.model_dump(mode="json")
    assert str(DATA / "sales_data_training.csv") == job.data.train


def test_evaluation_is_recorded(trained_registry):
    """The log has the metrics on the test file."""
    version = trained_registry.find_version(1)
    (evaluation,) = version.read_evaluations()
    assert 400 == evaluation.rows
    assert compute_sha256((DATA / "sales_data_test.csv").read_bytes()) == evaluation.data_sha256
    assert trained_registry.open_bundle(version).manifest["metrics"] == dict(evaluation.metrics)


@pytest.fixture
def unpacked(trained_registry, tmp_path):
    """The network and the scaler of the trained version, as a person takes them out of the bundle."""
    bundle = trained_registry.open_bundle(trained_registry.find_version(1))
    (tmp_path / "model.keras").write_bytes(bundle.read("model.keras"))
    network = load_keras().models.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    return bundle, network, joblib.load(io.BytesIO(bundle.read("scaler.joblib")))


def earnings_by_hand(network, scaler, values):
    """What the course's own script does: scale by scikit-learn, predict by Keras, unscale by scikit-learn."""
    raw = np.column_stack([values, np.zeros(len(values))])
    scaled = network.predict(scaler.transform(raw)[:, :-1], verbose=0)
    return scaler.inverse_transform(np.column_stack([np.zeros_like(values), scaled]))[:, -1]


@pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning")
def test_scoring_matches_keras(unpacked, tmp_path):
    """Scoring agrees with Keras and scikit-learn within ten cents in 100,000 dollars."""
    _, network, scaler = unpacked
    titles = pyarrow.csv.read_csv(DATA / "sales_data_test.csv")
    scored = Registry(tmp_path / "registry").load("1").predict(titles)
    values = np.column_stack([titles.column(name).to_numpy().astype(np.float64) for name in FEATURES])
    by_hand = earnings_by_hand(network, scaler, values)
    assert 400 == len(scored)
    np.testing.assert_allclose(scored, by_hand, rtol=0.10 / 100_000, atol=0)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning")
def test_saved_network_matches_golden_rows(unpacked):
    """The saved network reproduces the golden rows, which were predicted before it was saved."""
    bundle, network, scaler = unpacked
    golden = bundle.manifest["golden"]
    by_hand = earnings_by_hand(network, scaler, np.array(golden["values"]))
    assert len(golden["values"]) >= 8
    assert (np.abs(by_hand - golden["expected_predictions"]) <= golden["prediction_tolerance"]).all()


def test_metrics_are_of_test_titles(trained_registry, tmp_path):
    """The metrics are those of the predictions for the test titles."""
    titles = pd.read_csv(DATA / "sales_data_test.csv")
    past = pd.read_csv(DATA / "sales_data_training.csv")
    errors = np.abs(Registry(tmp_path / "registry").load("1").predict(titles) - titles["total_earnings"])
    manifest = trained_registry.open_bundle(trained_registry.find_version(1)).manifest
    assert errors.mean() == pytest.approx(manifest["metrics"]["mae"], rel=1e-9)
    mape_percent = 100 * (errors / titles["total_earnings"]).mean()
    assert mape_percent == pytest.approx(manifest["metrics"]["mape_percent"], rel=1e-9)
    by_mean = np.abs(titles["total_earnings"] - past["total_earnings"].mean()).mean()
    assert by_mean == pytest.approx(manifest["baselines"]["mean of training"]["mae"], rel=1e-9)


def test_scaler_matches_manifest(unpacked):
    """The scaler was fitted on the training file and equals the scaling in the manifest."""
    bundle, _, scaler = unpacked
    past = pd.read_csv(DATA / "sales_data_training.csv")[scaler.feature_names_in_]
    assert past.min().tolist() == scaler.data_min_.tolist()
    assert past.max().tolist() == scaler.data_max_.tolist()
    columns = bundle.manifest["scaling"]["columns"]
    assert [column["name"] for column in columns] == list(scaler.feature_names_in_)
    assert [column["scale"] for column in columns] == scaler.scale_.tolist()
    assert [column["offset"] for column in columns] == scaler.min_.tolist()
    assert [0, 1] == list(scaler.feature_range)


def test_api_equals_command_line(cli, trained_registry):
    """Predictions are the same to the last bit, from CSV, Arrow and pandas."""
    assert 0 == cli("promote", "1").code
    assert 0 == cli("score", DATA / "sales_data_test.csv", "--output", "out.parquet").code
    scored = pyarrow.parquet.read_table("out.parquet").column("predicted_earnings").to_numpy()
    assert 400 == len(scored)
    predictor = Registry("registry").load("@champion")
    np.testing.assert_array_equal(predictor.predict(pyarrow.csv.read_csv(DATA / "sales_data_test.csv")), scored)
    np.testing.assert_array_equal(predictor.predict(pd.read_csv(DATA / "sales_data_test.csv")), scored)


# --- Prediction intervals.


def test_intervals_by_cross_validation(cli, tmp_path):
    """Prediction intervals are in the output, the report and the manifest, and scoring gives the same coverage."""
    ran = cli("train", write_job(tmp_path / "job.toml", training=LEARNS, intervals={"folds": 2}))
    assert 0 == ran.code, ran.err
    assert "training 2 further networks for the intervals and the report" in ran.err.splitlines()
    registry = open_registry(tmp_path / "registry", "game-earnings")
    bundle = registry.open_bundle(registry.find_version(1))
    interval, manifest = bundle.manifest["interval"], bundle.manifest
    assert ("cv", 0.9, 1000) == tuple(interval[key] for key in ("method", "coverage", "rows"))
    assert manifest["intervals"] == {"method": "auto", "coverage": 0.9, "folds": 2, "calibration_share": 0.2}
    line = re.search(r"^prediction intervals (.*)$", ran.out, re.MULTILINE)[1]
    assert f"contain {100 * interval['achieved']['share']:.1f}% of the 400 test titles" in line
    assert "expected 90%" in line
    assert line in bundle.read("report.html").decode()

    titles = pyarrow.csv.read_csv(DATA / "sales_data_test.csv")
    low, high = Registry(tmp_path / "registry").load("1").predict_interval(titles)
    actual = titles.column("total_earnings").to_numpy()
    assert interval["achieved"]["rows"] == len(actual)
    assert interval["achieved"]["share"] == np.mean((low <= actual) & (actual <= high))
    assert interval["median_width"] == np.median(high - low)
    assert interval["achieved"]["low"] < interval["achieved"]["share"] < interval["achieved"]["high"]


@pytest.mark.parametrize(("most", "warned"), [(0.899, 1), (0.9, 0), (1.0, 0)])
def test_low_coverage_is_a_warning(most, warned):
    """Prediction intervals that contain fewer titles than chance explains are a warning."""
    achieved = {"rows": 400, "share": most - 0.01, "low": most - 0.02, "high": most}
    warnings = calibrate.check_coverage({"coverage": 0.9, "achieved": achieved, "median_width": 4_000.0})
    assert warned == len(warnings)
    sentence = "contain 88.9% of the 400 test titles (95% confidence interval 87.9% to 89.9%;"
    assert all(sentence in warning for warning in warnings)
    assert calibrate.check_coverage(None) == []


def test_intervals_by_split(cli, tmp_path):
    """Four fifths of the titles fit the network and the scaler, and the others calibrate the intervals.

    The document fits the schema.
    """
    ran = cli("train", write_job(tmp_path / "job.toml", training=LEARNS, intervals={"method": "split"}), "--json")
    jsonschema.validate(ran.document, json.loads((ROOT / "docs/reference/train.schema.json").read_text("utf-8")))
    assert ("split", 200) == tuple(ran.document["interval"][key] for key in ("method", "rows"))
    assert ran.document["interval"]["achieved"]["share"] == pytest.approx(0.9, abs=0.1)
    assert "calibrating" not in ran.err
    registry = open_registry(tmp_path / "registry", "game-earnings")
    bundle = registry.open_bundle(registry.find_version(1))
    assert 800 == joblib.load(io.BytesIO(bundle.read("scaler.joblib"))).n_samples_seen_


@pytest.mark.slow
def test_calibration_changes_no_prediction(cli, tmp_path):
    """The published network is trained before those of the folds."""
    metrics = [
        cli("train", write_job(tmp_path / "job.toml", intervals=intervals), "--json").document["metrics"]
        for intervals in ({"method": "none"}, {"folds": 2})
    ]
    assert metrics[0] == metrics[1]
    titles = pyarrow.csv.read_csv(DATA / "sales_data_test.csv")
    without, with_intervals = (Registry(tmp_path / "registry").load(ref).predict(titles) for ref in ("1", "2"))
    np.testing.assert_array_equal(without, with_intervals)


@pytest.mark.slow
def test_job_without_intervals(cli, tmp_path):
    """A job without prediction intervals and reference titles leaves none in the bundle."""
    ran = cli("train", write_job(tmp_path / "job.toml", intervals={"method": "none"}, reference_titles=0), "--json")
    assert ran.document["interval"] is None
    registry = open_registry(tmp_path / "registry", "game-earnings")
    bundle = registry.open_bundle(registry.find_version(1))
    assert "interval" not in bundle.manifest
    assert 0 == bundle.manifest["reference_titles"]
    assert "reference_titles.json" not in bundle.files


def test_preset_keeps_the_intervals(tmp_path):
    """A preset keeps the job's prediction intervals."""
    job = load_job(write_job(tmp_path / "job.toml", intervals={"coverage": 0.8}), "course")
    assert 0.8 == job.intervals.coverage
    assert "auto" == job.intervals.method


# --- The evaluation in the manifest, and on the report.


@pytest.fixture(scope="module")
def diagnosed(trained_once):
    """The manifest of a version with a complete diagnosis, and the text of its page."""
    from support.pages import read_text

    registry = open_registry(trained_once / "registry", "game-earnings")
    bundle = registry.open_bundle(registry.find_version(1))
    return bundle.manifest, read_text(bundle.read("report.html").decode())


def test_kfold_is_trained_once(diagnosed):
    """The out-of-fold predictions of the intervals are also those of plain k-fold."""
    manifest, _ = diagnosed
    plain, grouped = (manifest["evaluation"]["kfold"][kind] for kind in ("plain", "grouped"))
    assert (2, 1000, 2, 1000) == (plain["folds"], plain["rows"], grouped["folds"], grouped["rows"])
    for result in (plain, grouped):
        low, high = result["intervals"]["mae"]
        assert low < result["metrics"]["mae"] < high
        assert 2 == len(result["folds_mae"])
        assert set(manifest["baselines"]) == set(result["baselines"])


def test_evaluation_agrees_with_metrics(diagnosed):
    """The parts of the evaluation agree with each other and with the metrics."""
    manifest, _ = diagnosed
    evaluation, metrics = manifest["evaluation"], manifest["metrics"]
    for name in ("mae", "scaled_mse"):
        low, high = evaluation["holdout"]["intervals"][name]
        assert low < metrics[name] < high
    lead = evaluation["holdout"]["lead"]
    assert lead["mae"] == pytest.approx(manifest["baselines"][lead["best_baseline"]]["mae"], rel=1e-5)
    assert lead["error_change"]["value"] == pytest.approx(lead["mae"] - metrics["mae"], rel=1e-4)
    genres = [group for group in evaluation["slices"] if group["grouping"] == "is_action / is_role_playing / is_sports"]
    assert 400 == sum(genre["rows"] for genre in genres)
    mae = sum(genre["rows"] * genre["mae"]["value"] for genre in genres) / 400
    assert metrics["mae"] == pytest.approx(mae, rel=1e-4)
    coverage = sum(genre["rows"] * genre["interval_coverage"] for genre in genres) / 400
    assert coverage == pytest.approx(manifest["interval"]["achieved"]["share"], rel=1e-4)
    assert [125, 250, 500, 1000] == [point["titles"] for point in evaluation["learning_curve"]["points"]]
    assert evaluation["learning_curve"]["points"][-1]["mae"]["value"] == pytest.approx(metrics["mae"], rel=1e-4)
    assert 10 == len(evaluation["importance"])
    assert 7 == len(evaluation["dependence"])
    assert evaluation["noise"]["scaled_mse"]["value"] < metrics["scaled_mse"]
    assert {"folds": 2, "learning_curve": True, "seeds": 1, "most_titles": 5000} == manifest["report"]
    assert [8] == [result["seed"] for result in evaluation["seeds"]]
    assert len(json.dumps(evaluation)) < 20_000


def test_report_shows_the_evaluation(diagnosed):
    """The report has a section for each part of the evaluation, and every notice."""
    manifest, text = diagnosed
    for heading in ("Was it luck?", "Would more titles help?", "Residual checks", "Which features matter?"):
        assert heading in text
    assert "For which titles is it good?" in text
    assert "is_action / is_role_playing / is_sports" in text
    assert "Average error of the same network trained from 1 other seed: $" in text
    assert "2-fold cross-validation, grouped: titles with equal features in the same fold" in text
    assert "The noise, which no model can predict" in text
    grouped = manifest["evaluation"]["kfold"]["grouped"]["metrics"]
    assert f"${grouped['mae']:,.0f}" in text
    for notice in manifest["evaluation"]["notices"]:
        assert notice["text"] in text


def test_show_has_the_evaluation(cli, trained_registry):
    """``show --json`` has the evaluation."""
    assert 400 == cli("show", "1", "--json").document["manifest"]["evaluation"]["holdout"]["rows"]


@pytest.mark.slow
def test_report_settings(cli, tmp_path):
    """The job decides which further networks are trained, and they change no prediction."""
    stages, metrics = [], []
    for report in ({"folds": 2, "seeds": 2}, {"folds": 2, "most_titles": 999}, PLAIN_REPORT):
        ran = cli("train", write_job(tmp_path / "job.toml", report=report), "--json")
        assert 0 == ran.code, ran.err
        stages += re.findall(r"^training .* further networks?\b", ran.err, re.MULTILINE)
        metrics.append(ran.document["metrics"])
    assert ["training 9 further networks"] == stages  # two kinds of two folds, three sizes, two seeds
    assert metrics[0] == metrics[1] == metrics[2]
    registry = open_registry(tmp_path / "registry", "game-earnings")
    bundle = registry.open_bundle(registry.find_version(2))
    evaluation = bundle.manifest["evaluation"]
    assert {"plain": None, "grouped": None} == evaluation["kfold"]
    assert evaluation["learning_curve"] is None
    assert "K-fold cross-validation was skipped" in bundle.read("report.html").decode()


def test_few_titles(cli, tmp_path):
    """Few titles have no curve, no folds and no noise, and the page first warns of them."""
    data = {}
    for which, name, rows in (("train", "sales_data_training.csv", 30), ("test", "sales_data_test.csv", 4)):
        data[which] = tmp_path / name
        data[which].write_text("\n".join(read_lines(name)[: rows + 1]) + "\n", encoding="utf-8")
    job = write_job(
        tmp_path / "job.toml", data=data, training={"epochs": 1, "batch_size": 30}, report={"folds": 31, "seeds": 0}
    )
    assert 0 == cli("train", job).code
    registry = open_registry(tmp_path / "registry", "game-earnings")
    bundle = registry.open_bundle(registry.find_version(1))
    evaluation = bundle.manifest["evaluation"]
    assert (None, None, None) == (evaluation["noise"], evaluation["learning_curve"], evaluation["kfold"]["plain"])
    assert {"tiny training", "tiny test"} <= {notice["about"] for notice in evaluation["notices"]}
    page = bundle.read("report.html").decode()
    assert page.index("There are only 4 test titles") < page.index("Is it better?")
    assert "too few titles for a confidence interval" in page


@pytest.mark.slow
@pytest.mark.parametrize("function", ["predict_kfold", "measure_learning_curve", "measure_other_seeds"])
def test_diverging_networks_of_report(cli, tmp_path, monkeypatch, function):
    """Further networks that diverge are a warning, and the version is registered."""

    def diverge(*arguments):
        raise InputError("training diverged: the loss is inf after epoch 1 of 2")

    monkeypatch.setattr(f"gamesales.diagnostics.diagnose.{function}", diverge)
    report = {
        "folds": 2 if "kfold" in function else 0,
        "learning_curve": "curve" in function,
        "seeds": 1 if "seeds" in function else 0,
    }
    assert 0 == cli("train", write_job(tmp_path / "job.toml", report=report)).code
    registry = open_registry(tmp_path / "registry", "game-earnings")
    page = registry.open_bundle(registry.find_version(1)).read("report.html").decode()
    assert "could not be used: training diverged" in page


# --- Another column.


@pytest.mark.slow
def test_another_column(cli, tmp_path):
    """Another column takes an entry in the contract and a new training, but no code."""
    entry = '\n[[features]]\nname = "marketing"\nkind = "price"\nunit = "US dollars"\nminimum = 0\n'
    (tmp_path / "contract.toml").write_text((DATA / "contract.toml").read_text(encoding="utf-8") + entry, "utf-8")
    random = np.random.default_rng(1)
    data = {"contract": tmp_path / "contract.toml"}
    for which, name in (("train", "sales_data_training.csv"), ("test", "sales_data_test.csv")):
        header, *lines = read_lines(name)
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


# --- Jobs that fail.

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
            "intervals.coverage is 0.9999, which needs 9,999 titles to calibrate on; there are 1,000",
        ),
        ({"intervals": {"folds": 1001}}, 3, "1000 training rows can't be cut into 1001 folds"),
        ({"intervals": {"method": "split", "calibration_share": 0.0001}}, 3, "1000 training rows can't be split"),
    ],
    ids=[
        *("layer", "no-operator", "dtype", "code", "loss-at-start", "loss", "split", "diverged"),
        *("coverage", "folds", "calibration"),
    ],
)
def test_failed_job_registers_nothing(cli, tmp_path, changes, code, message):
    """A job that fails registers nothing, and fails before training if it can."""
    ran = cli("train", write_job(tmp_path / "job.toml", **changes))
    assert code == ran.code
    assert message in ran.err
    assert "" == ran.out
    epochs = re.findall(r"epoch (\d+)/", ran.err)
    assert len(epochs) <= (1 if "diverged" in message else 0), "a network that can't be used is not trained"
    assert not (tmp_path / "registry").exists()


@pytest.fixture
def terminal(tmp_path):
    """Start a command whose stderr is a terminal. Returns the process and the other end of the terminal."""
    parent_end, child_end = os.openpty()
    started = []

    def start(*arguments):
        environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
        started.append(warm_process.start(arguments, env=environment, stderr=child_end))
        os.close(child_end)
        return started[0], parent_end

    yield start
    os.close(parent_end)
    for process in started:
        if process.poll() is None:
            process.kill()


@pytest.mark.slow
def test_progress_bar_and_ctrl_c(terminal, tmp_path):
    """A terminal shows the epoch with the loss, and Ctrl-C registers nothing and erases the line."""
    job = write_job(tmp_path / "job.toml", training={"epochs": 2000})
    process, screen = terminal("train", job, "--registry", tmp_path / "registry")
    shown = b""
    while not re.search(rb" of 2,000, loss \d\.\d\de-\d\d", shown):
        shown += os.read(screen, 4096)
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):  # how Linux tells that the other end is closed
        while part := os.read(screen, 4096):
            shown += part
    out, _ = process.communicate(timeout=60)
    assert (130, "") == (process.returncode, out)
    assert not (tmp_path / "registry").exists()
    text = shown.decode()
    assert "interrupted; nothing is half written" in text
    assert text.index("reading titles") < text.index(" of 2,000"), "there is no epoch before the titles are read"
    assert " of 2,000" not in text.rpartition("\x1b[K")[2], "the line of progress is erased"


def test_long_training_prints_some_epochs(capsys):
    """Without a terminal, about ten epochs of a long training are printed."""

    def lines(epochs):
        with progress.show_training() as (_, show_epoch):
            for number in range(1, epochs + 1):
                show_epoch(Epoch(number, epochs, 0.01, None, 0.001))
        return capsys.readouterr().err.splitlines()

    assert 3 == len(lines(3))
    assert 10 == len(lines(2000))
    assert 10 <= len(lines(29)) <= 20
    assert "  epoch 29/29  loss 1.00e-02" == lines(29)[-1]


# --- The git commit of a version.


def test_git_commit(tmp_path, monkeypatch):
    """The commit is found, and marked if files were changed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "A")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "a@example.org")
    assert find_git_commit() is None
    (tmp_path / "file").write_text("1")
    for arguments in (["init", "-q"], ["add", "file"], ["commit", "-q", "-m", "one"], ["tag", "v1"]):
        subprocess.run(["git", *arguments], check=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert commit == find_git_commit()
    (tmp_path / "file").write_text("2")
    assert f"{commit}-dirty" == find_git_commit()
    monkeypatch.setenv("PATH", "")
    assert find_git_commit() is None


@pytest.mark.slow
@pytest.mark.parametrize("training", [{"epochs": 90}, {"epochs": 4, "validation_share": 0.2}])
def test_further_networks_do_not_change_the_version(cli, tmp_path, training):
    """A version has the same graph with and without the further networks, which other processes train beside it."""
    spec = {**LEARNS, "batch_size": 16, **training}
    alone = write_job(tmp_path / "alone.toml", training=spec)
    together = write_job(tmp_path / "together.toml", training=spec, intervals=None, report=None)
    for job in (alone, together):
        assert cli("train", job).code == 0
    registry = open_registry("registry", "game-earnings")
    first, second = (registry.open_bundle(registry.find_version(number)) for number in (1, 2))
    assert first.manifest["weights_sha256"] == second.manifest["weights_sha256"]
    assert ("interval" in first.manifest, "interval" in second.manifest) == (False, True)
