"""docs/reference/layers.md lists each layer of Keras. It works as the page says, or is refused for the reason there."""

import math
import re
import tomllib

import numpy as np
import pytest

from gamesales.data.contract import Contract
from gamesales.errors import JobFileError
from gamesales.training import parity
from gamesales.training.fit import fit
from gamesales.training.keras_objects import load_keras, seed_everything
from gamesales.training.network import build_network, check_training_step
from gamesales.training.scaling import fit_scaler
from gamesales.training.train_job import NetworkSpec, TrainingSpec
from support.layers_page import PAGE, part, rows
from support.sampling import sample
from support.versions import DATA

# Members of keras.layers that are not layers.
NO_LAYERS = {"InputSpec"}


def read_tables(cell):
    """Return the inline tables, in backquotes, of a text."""
    return [tomllib.loads(f"x = {text}")["x"] for text in re.findall(r"`(\{.*?\})`", cell)]


def read_working_layers():
    """Yield the name of each layer that works, its aliases, and the layers of its example."""
    for section in re.split(r"^### ", part("Layers that work"), flags=re.MULTILINE)[1:]:
        before = read_tables(section.split("\n|")[0])
        for name, example, aliases in rows(section):
            layers = read_tables(example)
            assert name == layers[0]["layer"]
            yield name, aliases.replace(",", " ").split(), [*before, *layers]


WORKING = {name: layers for name, _, layers in read_working_layers()}
ALIASES = {alias: name for name, aliases, _ in read_working_layers() for alias in aliases}
REFUSED = {name: (reason, read_tables(example)[0]) for name, reason, example in rows(part("Layers that are refused"))}


class TrainingTitles:
    """Two hundred scaled titles, and rows drawn from the contract."""

    def __init__(self):
        contract = Contract.from_toml(DATA / "contract.toml")
        random = np.random.default_rng(5)
        values = np.column_stack(
            [random.integers(4, 11, 200) / 2, *random.integers(0, 2, (7, 200)), random.choice([40.0, 60.0], 200)]
        )
        earnings = 20_000 + 30_000 * values[:, 0] * (1 + values[:, 5]) * values[:, 8] / 60
        _, self.scaling = fit_scaler(contract, values, earnings)
        self.probe = parity.sample_contract(contract, values, parity.ROWS, 1)
        self.scaled = self.scaling.scale_features(values), self.scaling.scale_target(earnings)

    def check(self, network, **training):
        """Run the checks before training."""
        parity.check_export(network, self.scaling, self.probe)
        check_training_step(network, *self.scaled, TrainingSpec(epochs=1, **training))


@pytest.fixture(scope="module")
def titles():
    return TrainingTitles()


def build(layers):
    seed_everything(1)
    ending = [{"layer": "Flatten"}, {"layer": "Dense", "units": 1}]
    return build_network(NetworkSpec(layers=[*layers, *ending]), 9)


def test_page_lists_each_layer():
    """The page lists each layer of keras.layers. A new one in a release of Keras fails here."""
    layers = {name: value for name, value in vars(load_keras().layers).items() if isinstance(value, type)}
    on_page = {*WORKING, *ALIASES, *REFUSED}
    assert on_page == layers.keys() - NO_LAYERS
    assert {alias: layers[name] for alias, name in ALIASES.items()} == {alias: layers[alias] for alias in ALIASES}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(WORKING))
def test_working_layer_passes_checks(titles, name):
    """A layer that works passes the checks before training."""
    titles.check(build(WORKING[name]))


@pytest.mark.slow
@pytest.mark.parametrize("name", sample("layers that train", sorted(WORKING), 25))
def test_working_layer_trains_and_saves(titles, name, tmp_path):
    """A layer that works also passes after training, and after a round trip through a file."""
    network = build(WORKING[name])
    fit(network, *titles.scaled, TrainingSpec(epochs=2))
    parity.compile_and_check(network, titles.scaling, titles.probe)
    network.save(tmp_path / "model.keras")
    again = load_keras().models.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    scaled = titles.scaled[0].astype(np.float32)
    np.testing.assert_allclose(again(scaled, training=False), network(scaled, training=False), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refused_layer_gives_reason(titles, name):
    """A refused layer is named with the reason of the page."""
    reason, layer = REFUSED[name]
    before = [{"layer": "Reshape", "target_shape": [3, 3, 1]}] if name == "Equalization" else []
    index = len(before)
    with pytest.raises(JobFileError, match=rf"^network\.layers\[{index}\].*{name}.*{re.escape(reason)}"):
        titles.check(build([*before, layer]))


IN_A_ROW = {"layer": "Reshape", "target_shape": [9, 1]}
SQUARE = {"layer": "Reshape", "target_shape": [3, 3, 1]}
MATRIX = {"layer": "EinsumDense", "equation": "abc,cd->abd", "output_shape": [9, 9]}
UNIT_MATRIX = {"layer": "UnitNormalization", "axis": [1, -1]}
LSTM = {"layer": "LSTM", "units": 4}
GRU = {"layer": "GRU", "units": 4}
CELLS = [{"layer": "GRUCell", "units": 3}, {"layer": "LSTMCell", "units": 2}]


@pytest.mark.parametrize(
    "layers",
    [
        [
            {"layer": "Dense", "units": 16, "dtype": "float64"},
            {"layer": "LayerNormalization"},
            {"layer": "Dense", "units": 13},
        ],
        [IN_A_ROW, MATRIX, {"layer": "GroupNormalization", "groups": 3}, UNIT_MATRIX],
        [{"layer": "LayerNormalization", "dtype": "float64"}],
        [{"layer": "Discretization", "bin_boundaries": [0.2, 0.5, 1.0], "output_mode": "multi_hot"}],
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
def test_other_arguments_work(titles, layers):
    """Layers work with other arguments than on the page."""
    titles.check(build(layers))


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
def test_failing_network_refused_before_training(titles, layers, message):
    """A network that would fail later is refused by its layer, in one plain line."""
    with pytest.raises(JobFileError, match=message) as refused:
        titles.check(build(layers))
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
def test_parity_check_names_layer(titles, layer, arguments, message):
    """The parity check names a layer that a job file could not make."""
    layers = load_keras().layers
    seed_everything(1)
    made = [layers.Input((9,)), getattr(layers, layer)(**arguments), layers.Flatten(), layers.Dense(1)]
    with pytest.raises(JobFileError, match=message):
        titles.check(load_keras().Sequential(made))


def test_checks_change_no_variable(titles):
    """The checks change no variable, including generators of dropout and averages of batch normalization."""
    network = build(
        [{"layer": "Dense", "units": 4}, {"layer": "BatchNormalization"}, {"layer": "Dropout", "rate": 0.5}]
    )
    before = [variable.numpy().copy() for variable in network.variables]
    titles.check(network, optimizer="Lion")
    assert len(before) > 6
    for value, variable in zip(before, network.variables, strict=True):
        np.testing.assert_array_equal(value, variable.numpy())


@pytest.mark.slow
@pytest.mark.parametrize("toml", re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
def test_examples_of_page_work(titles, toml):
    """The examples of the page pass the checks."""
    seed_everything(1)
    titles.check(build_network(NetworkSpec.model_validate(tomllib.loads(toml)["network"]), 9))


def test_tables_become_keras_objects(titles, tmp_path):
    """Arguments that are tables become Keras objects, and are the same after a round trip through a file."""
    cells = [tomllib.loads(row[1].strip("`")) for row in rows(part("Arguments that are tables"))]
    tables = [(argument, value) for cell in cells for argument, value in cell.items() if argument != "wrapped"]
    assert len(tables) == len(cells) - 1 > 3
    wrapped = {"layer": "Dense", "units": 3, "kernel_initializer": {"name": "Constant", "value": 0.25}}
    layers = [{"layer": "Dense", "units": 9, argument: value} for argument, value in tables]
    network = build([*layers, IN_A_ROW, {"layer": "TimeDistributed", "wrapped": wrapped}])
    titles.check(network)
    made = [getattr(layer, argument) for layer, (argument, _) in zip(network.layers, tables, strict=False)]
    made.append(network.layers[len(tables) + 1].layer)
    for instance, value in zip(made, [*(value for _, value in tables), wrapped], strict=True):
        assert value.get("name", "Dense").lower() == type(instance).__name__.lower()
        for key, expected in value.items():
            if key not in ("name", "layer", "kernel_initializer"):
                actual = getattr(instance, key, None)
                actual = instance.get_config()[key] if actual is None else actual
                assert math.isclose(expected, float(actual), rel_tol=1e-6), (value, key)
    network.save(tmp_path / "model.keras")
    again = load_keras().models.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    scaled = titles.scaled[0].astype(np.float32)
    np.testing.assert_array_equal(again(scaled), network(scaled))
