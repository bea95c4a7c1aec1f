"""docs/layers.md is right: every layer of Keras is on it, and works as it says or is refused in its words."""

import math
import re
import tomllib

import numpy as np
import pytest

from gamesales.data.contract import Contract
from gamesales.errors import JobFileError
from gamesales.training import parity
from gamesales.training.export_check import check_before_training, compiled
from gamesales.training.fit import fit
from gamesales.training.network import build_network, load_keras, seed_everything
from gamesales.training.scaling import fit_scaler
from gamesales.training.spec import NetworkSpec, TrainingSpec
from support.layers_page import PAGE, part, rows
from support.versions import DATA

# Keras has it in keras.layers too, and it is none.
NO_LAYERS = {"InputSpec"}


def tables(cell):
    """The inline tables, in backquotes, of a cell or a line."""
    return [tomllib.loads(f"x = {text}")["x"] for text in re.findall(r"`(\{.*?\})`", cell)]


def working():
    """Layers that work: name to the layers before it and itself."""
    for section in re.split(r"^### ", part("Layers that work"), flags=re.MULTILINE)[1:]:
        before = tables(section.split("\n|")[0])
        for name, example, others in rows(section):
            layers = tables(example)
            assert name == layers[0]["layer"]
            yield name, others.replace(",", " ").split(), [*before, *layers]


WORKING = {name: layers for name, _, layers in working()}
ALIASES = {other: name for name, others, _ in working() for other in others}
REFUSED = {name: (words, tables(example)[0]) for name, words, example in rows(part("Layers that are refused"))}
# One of each kind is tried whenever tests are; its relatives, and what augments images, in the long tests.
SLOW = re.compile(r"[23]D|Rand|Aug|Mix|Contrast|ConvLSTM|Adaptive|Average|RNN|GRU|Bidirectional|Transpose|Spatial")


class Titles:
    """Two hundred titles, scaled, and rows from all that the contract allows."""

    def __init__(self):
        contract = Contract.from_toml(DATA / "contract.toml")
        random = np.random.default_rng(5)
        values = np.column_stack(
            [random.integers(4, 11, 200) / 2, *random.integers(0, 2, (7, 200)), random.choice([40.0, 60.0], 200)]
        )
        earnings = 20_000 + 30_000 * values[:, 0] * (1 + values[:, 5]) * values[:, 8] / 60
        _, self.scaling = fit_scaler(contract.feature_names, contract.target.name, values, earnings)
        self.probe = parity.sample_contract(contract, values, parity.ROWS, 1)
        self.scaled = self.scaling.scale_features(values), self.scaling.scale_target(earnings)

    def check(self, network, **training):
        """What a training job does before it trains."""
        check_before_training(network, self.scaling, self.probe, *self.scaled, TrainingSpec(epochs=1, **training))


@pytest.fixture(scope="module")
def titles():
    return Titles()


def network_of(layers):
    seed_everything(1)
    ending = [{"layer": "Flatten"}, {"layer": "Dense", "units": 1}]
    return build_network(NetworkSpec(layers=[*layers, *ending]), 9)


def fast_and_slow(names):
    return [pytest.param(name, marks=[pytest.mark.slow] if SLOW.search(name) else []) for name in sorted(names)]


def test_every_layer_of_keras_is_on_the_page():
    """A release of Keras with another layer fails here until it is decided what becomes of it."""
    layers = {name: value for name, value in vars(load_keras().layers).items() if isinstance(value, type)}
    on_page = {*WORKING, *ALIASES, *REFUSED}
    assert on_page == layers.keys() - NO_LAYERS
    assert {alias: layers[name] for alias, name in ALIASES.items()} == {alias: layers[alias] for alias in ALIASES}


@pytest.mark.parametrize("name", fast_and_slow(WORKING))
def test_a_layer_that_works_passes_all_checks_before_training(titles, name):
    """It builds, compiles, gives Keras's dollars, the same in any order, and takes a step of training."""
    titles.check(network_of(WORKING[name]))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(WORKING))
def test_a_layer_that_passes_untrained_passes_trained_and_comes_back_from_its_file(titles, name, tmp_path):
    network = network_of(WORKING[name])
    fit(network, *titles.scaled, TrainingSpec(epochs=2))
    compiled(network, titles.scaling, titles.probe)
    network.save(tmp_path / "model.keras")
    again = load_keras().models.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    scaled = titles.scaled[0].astype(np.float32)
    np.testing.assert_allclose(again(scaled, training=False), network(scaled, training=False), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_layer_that_is_refused_says_so_by_name(titles, name):
    words, layer = REFUSED[name]
    before = [{"layer": "Reshape", "target_shape": [3, 3, 1]}] if name == "Equalization" else []
    place = len(before)
    with pytest.raises(JobFileError, match=rf"^network\.layers\[{place}\].*{name}.*{re.escape(words)}"):
        titles.check(network_of([*before, layer]))


IN_A_ROW = {"layer": "Reshape", "target_shape": [9, 1]}
SQUARE = {"layer": "Reshape", "target_shape": [3, 3, 1]}
MATRIX = {"layer": "EinsumDense", "equation": "abc,cd->abd", "output_shape": [9, 9]}
UNIT_MATRIX = {"layer": "UnitNormalization", "axis": [1, 2]}
LSTM = {"layer": "LSTM", "units": 4}
GRU = {"layer": "GRU", "units": 4}
CELLS = [{"layer": "GRUCell", "units": 3}, {"layer": "LSTMCell", "units": 2}]


@pytest.mark.parametrize(
    "layers",
    [
        [{"layer": "Dense", "units": 4, "dtype": "float64"}],
        [{"layer": "Dense", "units": 16}, {"layer": "LayerNormalization"}, {"layer": "Dense", "units": 13}],
        [IN_A_ROW, MATRIX, {"layer": "GroupNormalization", "groups": 3}, UNIT_MATRIX],
        [{"layer": "LayerNormalization", "dtype": "float64"}],
        [{"layer": "Discretization", "bin_boundaries": [0.2, 0.5], "output_mode": "multi_hot"}],
        [IN_A_ROW, {"layer": "Conv1D", "filters": 4, "kernel_size": 3, "padding": "causal", "dilation_rate": 2}],
        pytest.param([IN_A_ROW, {"layer": "Masking"}, LSTM], marks=pytest.mark.slow),
        pytest.param([IN_A_ROW, {**LSTM, "dropout": 0.1, "recurrent_dropout": 0.1}], marks=pytest.mark.slow),
        pytest.param([IN_A_ROW, {**LSTM, "return_sequences": True}, GRU], marks=pytest.mark.slow),
        pytest.param([IN_A_ROW, {**GRU, "reset_after": False, "go_backwards": True}], marks=pytest.mark.slow),
        pytest.param([SQUARE, {"layer": "TimeDistributed", "wrapped": LSTM}], marks=pytest.mark.slow),
        pytest.param([IN_A_ROW, {"layer": "RNN", "cell": CELLS}], marks=pytest.mark.slow),
        pytest.param(
            [IN_A_ROW, {"layer": "Bidirectional", "wrapped": LSTM, "backward_layer": {**GRU, "go_backwards": True}}],
            marks=pytest.mark.slow,
        ),
    ],
    ids=str,
)
def test_other_arguments_work_too(titles, layers):
    titles.check(network_of(layers))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([{"layer": "Softmax", "axis": 0}], r"layers\[0\] \(Softmax\(axis=0\)\) makes .* depend on"),
        ([{"layer": "Embedding", "input_dim": 2, "output_dim": 2}], r"\[0\] \(Embedding.*10000 is not in \[0, 2\)"),
        ([{"layer": "CategoryEncoding", "num_tokens": 2}], r"layers\[0\] \(CategoryEncoding"),
        ([SQUARE, {"layer": "RandomCrop", "height": 2, "width": 2}], r"layers\[1\] .* gives .* where Keras"),
        ([SQUARE, {"layer": "RandomHue", "factor": 0.2}], r"\[1\] \(RandomHue\) can't be trained: Dimension"),
        ([SQUARE, {"layer": "AutoContrast"}], r"layers.* can't be exported: .* differs from Keras"),
        ([IN_A_ROW, {"layer": "Conv1D", "filters": 2, "kernel_size": 1, "data_format": "channels_first"}], "NHWC"),
        (
            [IN_A_ROW, MATRIX, {"layer": "Conv1D", "filters": 3, "kernel_size": 2, "groups": 3}],
            r"layers\[2\] \(Conv1D\) can't be compiled to a scoring graph: ONNX has no operator",
        ),
        ([IN_A_ROW, {**LSTM, "stateful": True}], r"layers\[1\] \(LSTM.*the batch size must be static"),
        ([IN_A_ROW, {**LSTM, "return_state": True}], r"layers\[1\] \(LSTM"),
        ([{"layer": "Dense", "units": 2, "dtype": "mixed_float16"}], r"\[0\]: Dense computes in float16"),
        ([{"layer": "Dense", "units": 2, "dtype": "bfloat16"}], r"layers\[0\]: Dense computes in bfloat16; expected"),
        ([{"layer": "Dense", "units": 2, "dtype": "int8_from_float32"}], r"\[0\]: Dense computes in"),
        ([{"layer": "TimeDistributed", "wrapped": {"layer": "Lambda"}}], r"layers\[0\]\.layer: Lambda runs code"),
        ([{"layer": "TimeDistributed", "wrapped": "Dense"}], r"layers\[0\]: TimeDistributed refuses its arguments"),
        (
            [{"layer": "Dense", "units": 2, "kernel_initializer": {"name": "HeNorml"}}],
            r"layers\[0\]\.kernel_initializer: Keras has no initializer 'HeNorml'",
        ),
        (
            [{"layer": "Dense", "units": 2, "kernel_regularizer": {"name": "L2", "l1": 1}}],
            r"layers\[0\]\.kernel_regularizer: L2 refuses its arguments: .*l1",
        ),
        (
            [{"layer": "Dense", "units": 2, "activation": {"name": "relu", "max_value": 1.0}}],
            r"layers\[0\]\.activation: Keras has no activation 'relu'",
        ),
    ],
)
def test_what_would_fail_later_is_refused_before_training(titles, layers, message):
    with pytest.raises(JobFileError, match=message) as refused:
        titles.check(network_of(layers))
    assert not re.search(r"\n|\x1b|\{\{", refused.value.message)


@pytest.mark.parametrize(
    ("layer", "arguments", "message"),
    [
        (
            "Embedding",
            {"input_dim": 2, "output_dim": 2},
            r"layers\[0\] \(Embedding\) .*: the scoring graph does not run",
        ),
        ("Dense", {"units": 2, "dtype": "bfloat16"}, r"layers\[0\] \(Dense\) .*: the scoring graph can't be loaded"),
        ("Dense", {"units": 2, "dtype": "float16"}, r"layers\[0\] \(Dense\) .*: the scoring graph differs from Keras"),
    ],
)
def test_a_layer_that_slips_through_is_named_when_the_graph_is_held_to_keras(titles, layer, arguments, message):
    """Made here by Keras itself: a job file does not get that far with them."""
    layers = load_keras().layers
    seed_everything(1)
    made = [layers.Input((9,)), getattr(layers, layer)(**arguments), layers.Flatten(), layers.Dense(1)]
    with pytest.raises(JobFileError, match=message):
        titles.check(load_keras().Sequential(made))


def test_the_checks_leave_the_network_as_it_was(titles):
    """Dropout's generators and the averages of batch normalisation too: training starts where it would have."""
    network = network_of(
        [{"layer": "Dense", "units": 4}, {"layer": "BatchNormalization"}, {"layer": "Dropout", "rate": 0.5}]
    )
    before = [variable.numpy().copy() for variable in network.variables]
    titles.check(network, optimizer="Lion")
    assert len(before) > 6
    for value, variable in zip(before, network.variables, strict=True):
        np.testing.assert_array_equal(value, variable.numpy())


@pytest.mark.parametrize("toml", re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
def test_the_examples_of_the_page_work(titles, toml):
    seed_everything(1)
    titles.check(build_network(NetworkSpec.model_validate(tomllib.loads(toml)["network"]), 9))


@pytest.mark.parametrize("cell", [row[1] for row in rows(part("Arguments that are tables"))])
def test_arguments_that_are_tables_become_keras_objects_and_are_kept_in_the_file(titles, cell, tmp_path):
    ((argument, value),) = tomllib.loads(cell.strip("`")).items()
    wrapped = argument == "wrapped"
    layer = {"layer": "TimeDistributed"} if wrapped else {"layer": "Dense", "units": 3}
    if wrapped:
        value = {"layer": "Dense", "units": 3, "kernel_initializer": {"name": "Constant", "value": 0.25}}
    layers = [IN_A_ROW, {**layer, argument: value}] if wrapped else [{**layer, argument: value}]
    network = network_of(layers)
    titles.check(network)
    made = getattr(network.layers[len(layers) - 1], "layer" if wrapped else argument)
    assert value.get("name", "Dense").lower() == type(made).__name__.lower()
    given = {key: found for key, found in value.items() if key not in ("name", "layer", "kernel_initializer")}
    found = {
        key: getattr(made, key, made.get_config().get(key) if hasattr(made, "get_config") else None) for key in given
    }
    assert all(math.isclose(given[key], float(found[key]), rel_tol=1e-6) for key in given)
    network.save(tmp_path / "model.keras")
    again = load_keras().models.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    scaled = titles.scaled[0].astype(np.float32)
    np.testing.assert_array_equal(again(scaled), network(scaled))
