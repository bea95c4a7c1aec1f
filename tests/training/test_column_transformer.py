"""``scaler.joblib`` of a version with categories, dates or gaps: scikit-learn does what the encoder does."""

import io
import pickletools

import joblib
import numpy as np
import pandas as pd
import pytest

from gamesales.data.contract import Column, Contract
from gamesales.data.labeled_titles import learn_categories, read_titles
from gamesales.scoring.scorer import Scorer
from gamesales.training.column_encoder import load_encoder_class
from gamesales.training.column_transformer import make_transformers
from gamesales.training.encoding import add_encoder, encode, fit_encoding
from gamesales.training.network import build_network
from gamesales.training.onnx_graph import compile_graph
from gamesales.training.parity import compute_tolerance
from gamesales.training.scaling import fit_scaler
from gamesales.training.train_job import NetworkSpec
from support.mixed_titles import draw_titles, load_mixed_contract, write_titles

NETWORK = NetworkSpec.model_validate(
    {"layers": [{"layer": "Dense", "units": 8, "activation": "relu"}, {"layer": "Dense", "units": 1}]}
)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """The contract, the titles, the encoding and the scaling of the table."""
    folder = tmp_path_factory.mktemp("transformer")
    path = write_titles(folder / "titles.csv", draw_titles(300))
    contract = learn_categories(path, load_mixed_contract(folder))
    titles = read_titles(path, contract)
    _, scaling = fit_scaler(contract, titles.features, titles.earnings)
    return path, contract, titles, fit_encoding(contract, titles.features), scaling


def read_frame(path, **arguments):
    return pd.read_csv(path, dtype=str, keep_default_na=False, **arguments)


def save_and_load(transformers):
    """Return what a reader of ``scaler.joblib`` gets."""
    buffer = io.BytesIO()
    joblib.dump(transformers, buffer)
    buffer.seek(0)
    return joblib.load(buffer)


def test_transformer_and_network_equal_graph(fitted):
    """The ColumnTransformer, the layers behind the encoder and the target's scaler predict what the graph does."""
    path, contract, titles, encoding, scaling = fitted
    load_encoder_class()
    network = build_network(add_encoder(NETWORK, encoding), len(contract.features))
    network.layers[-1].set_weights([network.layers[-1].get_weights()[0], np.array([0.4])])
    scaler = save_and_load(make_transformers(contract, encoding, scaling))
    values = scaler["features"].transform(read_frame(path)).astype(np.float32)
    for layer in network.layers[1:]:
        values = layer(values)
    predicted = scaler["target"].inverse_transform(np.asarray(values, np.float64))[:, 0]
    expected = Scorer(compile_graph(network, scaling)).score(titles.features)
    assert len(set(expected)) > 100
    assert (np.abs(predicted - expected) <= compute_tolerance(expected, scaling)).all()


@pytest.mark.parametrize("as_frame", ["text", "numbers", "categories"])
def test_transformer_equals_encoder(fitted, as_frame):
    """Text, numbers and pandas categoricals become the inputs that the encoder computes."""
    path, contract, titles, encoding, scaling = fitted
    frame = read_frame(path)
    if as_frame == "numbers":
        frame = frame.astype({"price": float, "platform": int})
    if as_frame == "categories":
        frame = frame.astype({"genre": "category", "platform": "category", "released": "category"})
    transformed = make_transformers(contract, encoding, scaling)["features"].transform(frame)
    np.testing.assert_allclose(transformed, encode(encoding, titles.features), atol=2e-5)


def test_unseen_text_is_other(fitted):
    """Blanks around a text do not count, and an unseen text is other, as in screening."""
    path, contract, _, encoding, scaling = fitted
    frame = read_frame(path).iloc[:3].copy()
    frame["genre"] = [" RPG\t", "RPG", "Puzzle"]
    transformer = make_transformers(contract, encoding, scaling)["features"]
    names = [name for name, *_ in transformer.transformers]
    genre = transformer.transformers_[names.index("category genre")][1].transform(frame[["genre"]])
    assert (genre[0] == genre[1]).all()
    codes = np.arange(encoding[0].first_code, encoding[0].first_code + encoding[0].codes)
    assert codes[genre[2].argmax()] == 0


def test_target_round_trip(fitted):
    """The target's scaler scales as training does, and back."""
    *_, titles, encoding, scaling = fitted
    target = make_transformers(fitted[1], encoding, scaling)["target"]
    scaled = target.transform(titles.earnings[:, None])
    np.testing.assert_allclose(scaled[:, 0], scaling.scale_target(titles.earnings), atol=1e-12)
    np.testing.assert_allclose(target.inverse_transform(scaled)[:, 0], titles.earnings, atol=1e-9)


def test_pickle_needs_named_modules(fitted):
    """The file names only NumPy, scikit-learn and functions of gamesales without TensorFlow."""
    _, contract, _, encoding, scaling = fitted
    buffer = io.BytesIO()
    joblib.dump(make_transformers(contract, encoding, scaling), buffer)
    texts = [argument for _, argument, _ in pickletools.genops(buffer.getvalue()) if isinstance(argument, str)]
    modules = {text.split()[0] for text in texts if text.startswith(("gamesales.", "tensorflow", "keras"))}
    assert modules <= {"gamesales.training.column_transformer", "gamesales.training.scaling"}


@pytest.mark.parametrize("missing", ["reject", "category"])
def test_category_without_values(missing):
    """A category whose texts are all rare has no vocabulary."""
    contract = Contract(Column("y", "number"), (Column("g", "category", missing=missing), Column("x", "number")))
    features = np.column_stack([[0.0, 0.0, 1.0 if missing == "category" else 0.0], [1.0, 2.0, 3.0]])
    encoding = fit_encoding(contract, features)
    _, scaling = fit_scaler(contract, features, np.array([1.0, 2.0, 3.0]))
    frame = pd.DataFrame({"g": ["a", "b", "" if missing == "category" else "c"], "x": [1.0, 2.0, 3.0]})
    transformed = make_transformers(contract, encoding, scaling)["features"].transform(frame)
    np.testing.assert_allclose(transformed, encode(encoding, features), atol=1e-6)


def test_logarithm_alone():
    """With a logarithmic target, columns that are only scaled have the same two transformers."""
    contract = Contract(Column("y", "number", scale="log"), (Column("a", "number"), Column("b", "flag")))
    features, earnings = np.array([[1.0, 0.0], [3.0, 1.0], [9.0, 1.0]]), np.array([0.1, 10.0, 1_000.0])
    _, scaling = fit_scaler(contract, features, earnings)
    scaler = make_transformers(contract, None, scaling)
    frame = pd.DataFrame({"a": features[:, 0], "b": features[:, 1]})
    np.testing.assert_allclose(scaler["features"].transform(frame), scaling.scale_features(features), atol=1e-7)
    np.testing.assert_allclose(scaler["target"].transform(earnings[:, None])[[0, -1], 0], [0, 1], atol=1e-12)
