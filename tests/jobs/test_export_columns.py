"""``gamesales export`` of a version with categories, dates, gaps and a logarithm: raw cells in, text included."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import onnxruntime
import pytest

from gamesales.data.open_table import open_table
from gamesales.data.screen import screen
from gamesales.jobs.loading import load_registered
from support.mixed_titles import GENRES, draw_titles, train_mixed, write_titles
from support.versions import ROOT

OUTPUTS = {"keras": "model.keras", "h5": "model.h5", "onnx": "model.onnx", "savedmodel": "saved"}
TEXTS, NUMBERS = ("genre", "platform", "released", "announced"), ("score", "price", "is_sequel")


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """A registry with one version."""
    return train_mixed(tmp_path_factory.mktemp("mixed"))


@pytest.fixture(scope="module")
def version(registry):
    return load_registered(registry, registry.find_version(1))


@pytest.fixture
def export(cli, registry):
    """Export the version."""

    def run(form, *more):
        where = ("--output", OUTPUTS[form], "--registry", registry.location)
        return cli("export", "1", "--format", form, *where, *more)

    return run


@pytest.fixture
def columns():
    """New titles as text: blanks around some of them, unseen genres, and rows that scoring rejects."""
    columns = draw_titles(200, seed=5)
    columns["genre"][:3] = [" RPG\u00a0", "Puzzle", "2006.0"]
    columns["platform"][3:6] = ["", "99", " 2.0"]
    columns["released"][6:8] = ["31/02/2020", "1/1/2020"]
    columns["announced"][8:11] = ["N/A", "2020-01-01T10:00:00", "soon"]
    columns["price"][11] = ""
    return columns


def score(version, columns, path):
    """Return what ``score`` predicts: float64 (n,), NaN for a rejected row, and the accepted titles (m, k)."""
    write_titles(path, {name: cells for name, cells in columns.items() if name != "sales"})
    contract = version.contract
    (batch,) = open_table(path).read_batches(contract.feature_names, numbers=contract.number_names)
    screened = screen(batch, contract.features, missing_values=contract.missing_values)
    expected = np.full(len(columns["genre"]), np.nan)
    expected[screened.accepted], _ = version.clip(version.scorer.score(screened.values))
    return expected, screened.values


def as_floats(cells):
    """Return cells of a number column as an export takes them."""
    return np.array([float(cell) if re.fullmatch(r"[\d.]+", cell) else np.nan for cell in cells], np.float32)


def check(predicted, expected):
    """Compare predictions with the scorer's; a rejected row has no prediction."""
    assert np.isnan(expected).sum() == 6
    np.testing.assert_allclose(predicted, expected, rtol=2e-5, atol=1e-3)


READ = """
import json, sys
import keras, numpy, tensorflow as tf
columns = json.load(open("columns.json"))
texts = {name: tf.constant(columns[name]) for name in sys.argv[1].split(",")}
numbers = {name: tf.constant(columns[name], tf.float32) for name in sys.argv[2].split(",")}
score = tf.saved_model.load("saved").signatures["serving_default"]
numpy.save("saved.npy", score(**texts, **numbers)["earnings"])
model = keras.models.load_model("model.keras", safe_mode=True)
numpy.save("keras.npy", model.predict(numpy.load("titles.npy"), verbose=0)[:, 0])
assert not any(name.split(".")[0] == "gamesales" for name in sys.modules)
"""


@pytest.mark.slow
def test_exports_load_without_gamesales(export, version, columns, tmp_path):
    """A SavedModel takes text, a .keras file takes codes, and both predict what scoring predicts, without gamesales."""
    for form in ("keras", "savedmodel"):
        assert export(form).code == 0
    expected, titles = score(version, columns, tmp_path / "new.csv")
    cells = columns | {name: as_floats(columns[name]).tolist() for name in NUMBERS}
    Path("columns.json").write_text(json.dumps(cells), encoding="utf-8")
    np.save("titles.npy", titles.astype(np.float32))
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", READ, ",".join(TEXTS), ",".join(NUMBERS)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    check(np.load("saved.npy"), expected)
    np.testing.assert_allclose(np.load("keras.npy"), expected[~np.isnan(expected)], rtol=2e-5, atol=1e-3)


def test_onnx_takes_columns(export, version, columns, tmp_path):
    """The ONNX graph has an input for each column: text without blanks for categories, days for dates."""
    ran = export("onnx")
    assert ran.code == 0
    note = "it takes text without blanks around it; it takes released, announced as days since 1970-01-01"
    assert note in ran.out
    session = onnxruntime.InferenceSession(Path("model.onnx").read_bytes(), providers=["CPUExecutionProvider"])
    assert [entry.name for entry in session.get_inputs()] == list(version.contract.feature_names)
    expected, titles = score(version, columns, tmp_path / "new.csv")
    accepted = ~np.isnan(expected)
    inputs = {name: np.array([cell.strip() for cell in columns[name]], object)[accepted] for name in TEXTS[:2]}
    inputs |= {
        name: titles[:, index].astype(np.float32)
        for index, name in enumerate(version.contract.feature_names)
        if name not in inputs
    }
    np.testing.assert_allclose(session.run(["earnings"], inputs)[0], expected[accepted], rtol=1e-5, atol=1e-4)


def test_inputs_of_keras_file(export, version):
    """A file beside the .keras file lists the columns in order, and the code of each text."""
    ran = export("keras", "--json")
    jsonschema.validate(ran.document, json.loads((ROOT / "docs/reference/export.schema.json").read_text("utf-8")))
    assert ran.document["note"].endswith("model.inputs.json lists them")
    document = json.loads(Path("model.inputs.json").read_text("utf-8"))
    assert [column["name"] for column in document["columns"]] == list(version.contract.feature_names)
    genre, platform, released, *_ = document["columns"]
    assert genre["unseen"] == 0
    assert set(genre["codes"]) == {"", "N/A", "tbd", *GENRES} - {"Rare"} or "Rare" in genre["codes"]
    assert (platform["unseen"], "" in platform["codes"]) == (None, False)
    assert (released["unit"], released["date_format"]) == ("days since 1970-01-01", "%d/%m/%Y")
    assert document["missing_texts"] == ["", "N/A", "tbd"]


def test_inputs_file_is_kept(export):
    """An existing file of inputs is replaced only with --force."""
    Path("model.inputs.json").write_text("mine")
    ran = export("keras")
    assert ran.code == 2
    assert "model.inputs.json exists, and the export describes its inputs there" in ran.err
    assert [path.name for path in Path().iterdir()] == ["model.inputs.json"]
    assert export("keras", "--force").code == 0
    assert sorted(path.name for path in Path().iterdir()) == ["model.inputs.json", "model.keras"]


def test_h5_is_refused(export):
    """Keras can't load an encoder from its older format."""
    ran = export("h5")
    assert ran.code == 2
    assert "the format h5 can't hold categories, dates, missing cells or a logarithm" in ran.err
    assert "Use --format keras" in ran.err
    assert list(Path().iterdir()) == []
