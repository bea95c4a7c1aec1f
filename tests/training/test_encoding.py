"""Encoded columns: the layer, the scoring graph and scikit-learn's rules agree."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamesales.data.contract import Column, Contract
from gamesales.training import parity
from gamesales.training.column_encoder import get_encoding, load_encoder_class
from gamesales.training.encoding import add_encoder, encode, fit_encoding, split_days
from gamesales.training.keras_objects import load_keras, seed_everything
from gamesales.training.network import build_network
from gamesales.training.scaling import fit_scaler
from gamesales.training.stacked import ScaledTitles, can_stack, fit_stack
from gamesales.training.train_job import NetworkSpec, TrainingSpec

CONTRACT = Contract(
    Column("sold", "number", "million units", minimum=0, scale="log"),
    (
        Column("genre", "category", values=("RPG", "Action", "Sports")),
        Column("released", "date", missing="median"),
        Column("score", "number", missing="mean", encoding="quantiles"),
        Column("is_sequel", "flag", missing=0),
        Column("publisher", "category", values=("A", "B"), missing="category"),
    ),
)
DENSE, LAST = {"layer": "Dense", "units": 8, "activation": "silu"}, {"layer": "Dense", "units": 1}
DROPOUT = {"layer": "Dropout", "rate": 0.2}


@pytest.fixture(scope="module")
def titles():
    random = np.random.default_rng(1)
    values = np.column_stack(
        [
            random.integers(0, 4, 400),
            random.integers(3_000, 20_000, 400),
            random.lognormal(size=400),
            random.integers(0, 2, 400),
            random.integers(1, 4, 400),
        ]
    ).astype(np.float64)
    values[random.random(400) < 0.1, 1] = np.nan
    values[random.random(400) < 0.1, 2] = np.nan
    return values, random.lognormal(size=400)


def build(layers, values):
    seed_everything(1)
    return build_network(add_encoder(NetworkSpec(layers=layers), fit_encoding(CONTRACT, values)), 5)


@pytest.mark.parametrize(
    "layers",
    [[LAST], [DENSE, DROPOUT, DENSE, LAST], [{"layer": "LayerNormalization"}, LAST], [DROPOUT, DENSE, LAST]],
)
def test_graph_equals_keras(titles, layers):
    """The graph takes rows of the kernel where Keras multiplies indicators, and predicts the same."""
    values, earnings = titles
    _, scaling = fit_scaler(CONTRACT, values, earnings)
    probe = parity.sample_contract(CONTRACT, values, 2_000, 1)
    assert np.isnan(probe[:, 1]).any()
    parity.compile_and_check(build(layers, values), scaling, probe)


def test_encoded_values():
    """A category is an indicator, a missing number is the mean with a mark, and a piece grows between quantiles."""
    values = np.array([[1.0, 10957, 0.0, 1, 1], [2, 10958, 1, 0, 2], [1, 10959, 2, 0, 3], [2, np.nan, np.nan, 0, 3]])
    encoded = np.asarray(encode(fit_encoding(CONTRACT, values), values))
    assert encoded.shape == (4, sum(column.width for column in fit_encoding(CONTRACT, values)))
    score = encoded[:, 4:8]  # the number itself and its pieces follow those of the date
    np.testing.assert_allclose(encoded[0, -2 - 19 - 3 : -19 - 3], [1, 0])
    assert score.shape == (4, 4)
    marks = encoded[:, -2 - 19 - 3 - 2 : -2 - 19 - 3]
    np.testing.assert_array_equal(marks, [[0, 0], [0, 0], [0, 0], [1, 1]])


def test_value_without_training_title(titles):
    """A code that no training title has adds nothing, instead of the random weights that it started with."""
    values = titles[0][titles[0][:, 0] > 0]
    network = build([LAST], values)
    unseen = values[:2].copy()
    unseen[0, 0] = 0
    kernel = np.asarray(network.layers[1].kernel)
    encoding = get_encoding(network.layers[0])
    assert (1, 3) == (encoding[0].first_code, encoding[0].codes)
    assert kernel.shape[0] == sum(column.width for column in encoding)
    assert not np.asarray(encode(encoding, unseen))[0, -3 - 19 - 3 : -19 - 3].any()


@settings(deadline=None, max_examples=25)
@given(st.lists(st.dates(date(1, 1, 1), date(9999, 12, 31)), min_size=1, max_size=50))
def test_months_and_weekdays(days):
    """Months and weekdays equal those of Python's calendar."""
    load_keras()
    numbers = np.array([(day - date(1970, 1, 1)) / timedelta(days=1) for day in days], np.float32)
    month, weekday = split_days(numbers)
    assert [day.month - 1 for day in days] == np.asarray(month).tolist()
    assert [day.weekday() for day in days] == np.asarray(weekday).tolist()


def test_saved_network_loads(titles, tmp_path):
    """Keras saves an encoder and loads it."""
    values, _ = titles
    network = build([DENSE, LAST], values)
    network.save(tmp_path / "model.keras")
    load_encoder_class()
    loaded = load_keras().models.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    np.testing.assert_array_equal(loaded(values[:50]), network(values[:50]))


def test_stack_encodes_and_drops(titles):
    """A stack with an encoder and dropout learns, and gives the same weights again."""
    values, earnings = titles
    network = add_encoder(NetworkSpec(layers=[DENSE, DROPOUT, DENSE, DROPOUT, LAST]), fit_encoding(CONTRACT, values))
    _, scaling = fit_scaler(CONTRACT, values, earnings)
    training = TrainingSpec(epochs=30, batch_size=32, optimizer={"name": "Adam", "learning_rate": 0.01})
    assert can_stack(network, training)
    part = ScaledTitles(values, values[:, 3] * 0.5, training)
    first, second = (fit_stack(network, [part, part]) for _ in range(2))
    for once, again in zip(first[0], second[0], strict=True):
        np.testing.assert_array_equal(once, again)
    built = build_network(network, 5)
    built.set_weights(first[0])
    assert float(np.abs(np.asarray(built(values))[:, 0] - part.target).mean()) < 0.1
    assert scaling.scale.tolist()[:5] == [1.0] * 5


@pytest.mark.parametrize("values", [[np.nan, np.nan], [2e6, 2e6]], ids=["missing", "constant"])
def test_column_without_range(values):
    """A column without a range of values in training stays near 0, however large the allowed values are."""
    column = Column("revenue", "money", minimum=1e6, missing="mean")
    features = np.array([values]).T
    encoding = fit_encoding(Contract(Column("y", "number"), (column,)), features)
    inputs = np.asarray(encode(encoding, np.array([[1e6], [1.5e6], [np.nan]])))
    assert np.abs(inputs).max() <= 1
