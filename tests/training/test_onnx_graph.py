"""The scoring graph gives the predictions of Keras on rows of the whole contract, or the layer is refused."""

from dataclasses import replace
from itertools import product

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from gamesales.data.contract import Column, Contract
from gamesales.errors import JobFileError, ParityError
from gamesales.scoring.scorer import Scorer
from gamesales.training import parity
from gamesales.training.fit import fit
from gamesales.training.keras_objects import load_keras, seed_everything
from gamesales.training.network import build_network
from gamesales.training.onnx_graph import compile_graph
from gamesales.training.scaling import fit_scaler
from gamesales.training.train_job import COURSE, NetworkSpec, TrainingSpec
from support.sampling import some
from support.versions import DATA

ROWS = parity.ROWS
# A list, because importing Keras here would start TensorFlow in each process that collects tests.
# fmt: off
ACTIVATIONS = [
    "celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu",
    "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink",
    "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus", "tanh",
    "tanh_shrink",
]
# fmt: on
IN_A_ROW = {"layer": "Reshape", "target_shape": [9, 1]}


class Case:
    """A network, its scaling, and rows drawn from a contract."""

    def __init__(self, contract, layers, epochs=1, extra=()):
        random = np.random.default_rng(5)
        columns = [random.integers(4, 11, 200) / 2, *random.integers(0, 2, (7, 200)), random.choice([40.0, 60.0], 200)]
        values = np.column_stack([*columns, *extra])
        earnings = 20_000 + 30_000 * values[:, 0] * (1 + values[:, 5]) * values[:, 8] / 60
        _, self.scaling = fit_scaler(contract, values, earnings)
        self.probe = parity.sample_contract(contract, values, ROWS, 1)
        seed_everything(1)
        self.network = build_network(NetworkSpec(layers=[*layers, {"layer": "Dense", "units": 1}]), values.shape[1])
        if epochs:
            scaled = self.scaling.scale_features(values), self.scaling.scale_target(earnings)
            fit(self.network, *scaled, TrainingSpec(epochs=epochs, batch_size=50))

    def measure_differences(self):
        """Return the difference of graph and Keras for each row, relative to the prediction or the target range."""
        by_keras = parity.predict_with_keras(self.network, self.scaling, self.probe)
        by_graph = Scorer(compile_graph(self.network, self.scaling)).score(self.probe)
        return np.abs(by_graph - by_keras) / np.maximum(np.abs(by_keras), self.scaling.target_range)


def test_list_has_each_activation():
    """The list has each activation of Keras, except for glu and threshold, which a network refuses."""
    activations = vars(load_keras().activations).items()
    names = {name for name, value in activations if getattr(value, "__name__", "") == name}
    assert {*ACTIVATIONS, "glu", "threshold"} == names - {"deserialize", "get", "serialize"}


@pytest.mark.parametrize("activation", some("activations", ACTIVATIONS, 6))
def test_each_activation_exported(contract, activation):
    """Each activation has parity with Keras."""
    dense = {"layer": "Dense", "units": 12, "activation": activation}
    case = Case(contract, [dense, dense], epochs=0)
    assert ROWS == np.count_nonzero(case.measure_differences() <= 1e-5)


@pytest.mark.parametrize(
    "layers",
    [
        COURSE["network"]["layers"][:3],
        [
            {"layer": "GaussianNoise", "stddev": 0.1},
            {"layer": "Dense", "units": 16, "activation": "gelu"},
            {"layer": "Dropout", "rate": 0.3},
        ],
        [{"layer": "Dense", "units": 16, "activation": "celu"}, {"layer": "BatchNormalization"}],
        [{"layer": "Dense", "units": 16, "activation": "tanh"}, {"layer": "LayerNormalization"}],
        [
            {"layer": "Normalization", "mean": 0.5, "variance": 0.1},
            {"layer": "Discretization", "bin_boundaries": [0.0]},
        ],
        [{"layer": "UnitNormalization"}, {"layer": "Dense", "units": 16}, {"layer": "PReLU"}],
        [{"layer": "Dense", "units": 16, "use_bias": False}, {"layer": "LeakyReLU"}],
        [],
        [IN_A_ROW, {"layer": "Conv1D", "filters": 4, "kernel_size": 3, "activation": "relu"}, {"layer": "Flatten"}],
        pytest.param([IN_A_ROW, {"layer": "LSTM", "units": 4}], marks=pytest.mark.slow),
    ],
    ids=[
        "course",
        "noise-and-dropout",
        "batch-norm",
        "layer-norm",
        "fixed-norm",
        "prelu",
        "no-bias-and-leaky",
        "linear",
        "conv",
        "lstm",
    ],
)
def test_trained_network_exported(contract, layers):
    """A trained network has parity: dropout and noise are off, and batch normalization uses its averages."""
    case = Case(contract, layers)
    assert ROWS == np.count_nonzero(case.measure_differences() <= 1e-5)


def test_columns_far_from_zero(contract):
    """Columns far from 0 keep their digits. Scaled in float32, days since year 0 would lose too many."""
    bounds = {"years": (2000.0, 2024.0), "days": (738_000.0, 740_000.0), "seconds": (1.70e9, 1.75e9)}
    columns = [Column(name=name, kind="rating", minimum=low, maximum=high) for name, (low, high) in bounds.items()]
    extended = replace(contract, features=(*contract.features, *columns))
    extra = [np.linspace(*ends, 200).astype(np.float32).astype(np.float64) for ends in bounds.values()]
    case = Case(extended, [{"layer": "Dense", "units": 16, "activation": "silu"}], extra=extra)
    assert case.measure_differences().max() < 2e-6


def test_unsupported_layer_refused(contract):
    """A layer without an ONNX operator is refused by name."""
    grouped = {"layer": "Conv1D", "filters": 2, "kernel_size": 1, "groups": 2}
    layers = [
        {"layer": "Reshape", "target_shape": [3, 3]},
        {"layer": "Dense", "units": 2},
        grouped,
        {"layer": "Flatten"},
    ]
    case = Case(contract, layers, epochs=0)
    message = r"network\.layers\[2\] \(Conv1D\) can't be compiled to a scoring graph: ONNX has no operator"
    with pytest.raises(JobFileError, match=message):
        compile_graph(case.network, case.scaling)


@pytest.mark.parametrize(
    ("layer", "units"),
    some("sums", product(["LayerNormalization", "UnitNormalization", "RMSNormalization"], [3, 9, 16, 50]), 4),
)
def test_sums_independent_of_row(contract, layer, units):
    """A prediction does not depend on the row, to the last bit, with layers that sum over the last axis."""
    case = Case(contract, [{"layer": "Dense", "units": units}, {"layer": layer}], epochs=0)
    check_independent_of_row(case)


@pytest.mark.parametrize(
    ("activation", "units"), some("products", product(["relu", "silu", "softmax"], [3, 16, 50]), 3)
)
def test_products_independent_of_row(contract, activation, units):
    """A prediction does not depend on the row, to the last bit, in transposed and in row-major graphs."""
    dense = {"layer": "Dense", "units": units, "activation": activation}
    check_independent_of_row(Case(contract, [dense, {"layer": "Dropout", "rate": 0.5}, dense], epochs=0))


def check_independent_of_row(case):
    scorer = Scorer(compile_graph(case.network, case.scaling))
    together = scorer.score(case.probe)
    order = np.random.default_rng(2).permutation(ROWS)
    np.testing.assert_array_equal(together[order], scorer.score(case.probe[order]))
    alone = [scorer.score(case.probe[row : row + 1])[0] for row in range(30)]
    np.testing.assert_array_equal(together[:30], alone)


def test_order_dependence_detected():
    """The check detects predictions that depend on the order of the rows."""
    values = np.arange(8.0)[:, None]
    assert parity.check_order_independence(lambda rows: rows[:, 0] * 2, values) is None
    with pytest.raises(ParityError, match=r"gives other predictions for \d of 8 rows in another order"):
        parity.check_order_independence(lambda rows: rows[:, 0] + np.arange(8), values)


@pytest.fixture(scope="module")
def course_case():
    return Case(Contract.from_toml(DATA / "contract.toml"), COURSE["network"]["layers"][:3])


def test_graph_input_and_output(course_case):
    """The graph takes float32 titles and gives float64 earnings."""
    graph = onnx.load_from_string(compile_graph(course_case.network, course_case.scaling))
    onnx.checker.check_model(graph, full_check=True)
    (titles,), (earnings,) = graph.graph.input, graph.graph.output
    assert ("titles", onnx.TensorProto.FLOAT, 9) == (
        titles.name,
        titles.type.tensor_type.elem_type,
        titles.type.tensor_type.shape.dim[1].dim_value,
    )
    assert ("earnings", onnx.TensorProto.DOUBLE, 1) == (
        earnings.name,
        earnings.type.tensor_type.elem_type,
        len(earnings.type.tensor_type.shape.dim),
    )


def test_compiling_prints_nothing(course_case, capfd):
    """Compiling prints nothing: with ``--json``, stdout has only one document."""
    compile_graph(course_case.network, course_case.scaling)
    assert ("", "") == capfd.readouterr()


@pytest.mark.parametrize(
    ("activation", "kernels"),
    [("relu", {(6, 9), (4, 6)}), ("softmax", {(9, 6), (6, 4)})],
    ids=["transposed", "row-major"],
)
def test_elementwise_network_transposed(contract, activation, kernels):
    """The kernels are transposed, units by features, if all activations are elementwise."""
    layers = [{"layer": "Dense", "units": units, "activation": activation} for units in (6, 4)]
    case = Case(contract, layers, epochs=0)
    graph = onnx.load_from_string(compile_graph(case.network, case.scaling)).graph
    shapes = {tuple(tensor.dims) for tensor in graph.initializer}
    assert shapes >= kernels
    assert not shapes & {dims[::-1] for dims in kernels}


def test_changed_weight_fails_parity(course_case):
    """A graph with a changed weight fails the parity check."""
    graph = onnx.load_from_string(compile_graph(course_case.network, course_case.scaling))
    kernel = next(tensor for tensor in graph.graph.initializer if list(tensor.dims) == [100, 50])
    weights = numpy_helper.to_array(kernel).copy()
    weights[np.unravel_index(np.abs(weights).argmax(), weights.shape)] *= 1.5
    kernel.CopyFrom(numpy_helper.from_array(weights, kernel.name))
    by_graph = Scorer(graph.SerializeToString()).score(course_case.probe)
    by_keras = parity.predict_with_keras(course_case.network, course_case.scaling, course_case.probe)
    with pytest.raises(ParityError, match=r"differs from Keras: [\d,.]+ against [\d,.]+ dollars .* of 10,000 rows"):
        parity.check_parity(by_keras, by_graph, course_case.scaling)


@pytest.mark.parametrize("by_graph", [np.nan, np.inf, -np.inf])
def test_non_finite_prediction_fails_parity(course_case, by_graph):
    """A prediction that is not a finite number fails the parity check."""
    by_keras = np.array([50_000.0, 60_000.0, 70_000.0])
    with pytest.raises(ParityError, match=f"{by_graph:,.4f} against 60,000.0000 dollars"):
        parity.check_parity(by_keras, np.array([50_000.0, by_graph, 70_000.1]), course_case.scaling)


def test_tolerance_of_parity(course_case):
    """The tolerance is relative to the larger of the prediction and the target range."""
    span = course_case.scaling.target_range
    expected = 1e-5 * np.array([span, span, 10 * span])
    np.testing.assert_allclose(
        parity.compute_tolerance(np.array([0.0, span, -10 * span]), course_case.scaling), expected
    )
    below, above = np.array([0.99e-5 * span]), np.array([1.01e-5 * span])
    assert 0.99e-5 * span == pytest.approx(parity.check_parity(np.zeros(1), below, course_case.scaling))
    with pytest.raises(ParityError):
        parity.check_parity(np.zeros(1), above, course_case.scaling)


numbers = st.floats(-1e6, 1e6).map(lambda value: round(value, 3))


@st.composite
def draw_column_with_training(draw):
    """Draw a column of any kind and bounds, and training values within the bounds."""
    kind = draw(st.sampled_from(["flag", "rating", "price", "money"]))
    if kind == "flag":
        return Column(name="x", kind=kind), np.array(draw(st.lists(st.integers(0, 1), min_size=1, max_size=5)), float)
    seen = np.array(draw(st.lists(numbers, min_size=1, max_size=5)))
    gap = st.none() | st.floats(0.001, 1e6).map(lambda value: round(value, 3))
    below, above, beyond = draw(gap), draw(gap), draw(gap)
    column = Column(
        name="x",
        kind=kind,
        minimum=None if below is None else float(seen.min() - below),
        above=None if above is None else float(seen.min() - above),
        maximum=None if beyond is None else float(seen.max() + beyond),
    )
    return column, seen


@settings(deadline=None, max_examples=150)
@given(draw_column_with_training(), st.integers(0, 2**32 - 1))
def test_sample_covers_contract(drawn, seed):
    """Sampled rows are within the bounds of the contract, up to float32 rounding, and cover them."""
    column, seen = drawn
    contract = Contract(target=Column(name="y", kind="money"), features=(column,))
    sampled = parity.sample_contract(contract, seen[:, None], 2000, seed)[:, 0]
    np.testing.assert_array_equal(sampled, sampled.astype(np.float32))
    if column.kind == "flag":
        assert {0.0, 1.0} == set(sampled)
        return
    rounding = 1e-7 * np.abs(sampled)
    lowest = max((bound for bound in (column.minimum, column.above) if bound is not None), default=-np.inf)
    assert (sampled >= lowest - rounding).all()
    highest = np.inf if column.maximum is None else column.maximum
    assert (sampled <= highest + rounding).all()
    # 2,000 uniform draws leave no gap of a fiftieth at either end, so they cover the training range.
    gap = (sampled.max() - sampled.min()) / 50 + rounding.max()
    assert sampled.min() <= seen.min() + gap
    assert sampled.max() >= seen.max() - gap
    if column.maximum is None:
        reach = 50 * (seen.max() - seen.min()) or np.inf
        assert sampled.max() >= min(1.5 * seen.max(), seen.max() + reach) - gap


def test_sample_stays_near_a_narrow_range():
    """A column without bounds is drawn at most 50 of its ranges beyond training, where float32 has digits left."""
    contract = Contract(target=Column(name="y", kind="money"), features=(Column(name="x", kind="number"),))
    sampled = parity.sample_contract(contract, np.array([[1e6], [1e6 + 100]]), 2000, 1)
    assert 1e6 - 5_000 <= sampled.min() < 1e6 - 4_000
    assert 1e6 + 5_000 < sampled.max() <= 1e6 + 5_100


def test_unbounded_price_sampled_beyond_training(contract):
    """A price without a maximum is drawn up to 1.5 times the training maximum."""
    training = np.tile([2.0, 0, 0, 0, 0, 0, 0, 0, 60.0], (3, 1))
    training[0, 0], training[0, -1] = 5.0, 40.0
    sampled = parity.sample_contract(contract, training, ROWS, 1)
    assert (0.0, 5.0) == (round(sampled[:, 0].min(), 1), round(sampled[:, 0].max(), 1))
    assert 0 < sampled[:, -1].min() < 0.1
    assert 89.9 < sampled[:, -1].max() <= 90.0


def test_sample_is_seeded(contract):
    """The same seed draws the same rows."""
    training = np.ones((2, 9))
    first, again, other = (parity.sample_contract(contract, training, 50, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
