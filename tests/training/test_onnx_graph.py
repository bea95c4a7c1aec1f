"""The scoring graph gives Keras's dollars, on rows from all that the contract allows, or is refused by name."""

from dataclasses import replace

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
from gamesales.training.network import build_network, load_keras, seed_everything
from gamesales.training.onnx_graph import compile_graph
from gamesales.training.scaling import fit_scaler
from gamesales.training.spec import COURSE, NetworkSpec, TrainingSpec
from support.versions import DATA

ROWS = parity.ROWS
# Listed, because asking Keras for them at this place would start TensorFlow in every process that collects tests.
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
    """A network for titles of a contract, its scaling, and rows from all that the contract allows."""

    def __init__(self, contract, layers, epochs=1, extra=()):
        random = np.random.default_rng(5)
        columns = [random.integers(4, 11, 200) / 2, *random.integers(0, 2, (7, 200)), random.choice([40.0, 60.0], 200)]
        values = np.column_stack([*columns, *extra])
        earnings = 20_000 + 30_000 * values[:, 0] * (1 + values[:, 5]) * values[:, 8] / 60
        _, self.scaling = fit_scaler(contract.feature_names, "total_earnings", values, earnings)
        self.probe = parity.sample_contract(contract, values, ROWS, 1)
        seed_everything(1)
        self.network = build_network(NetworkSpec(layers=[*layers, {"layer": "Dense", "units": 1}]), values.shape[1])
        if epochs:
            scaled = self.scaling.scale_features(values), self.scaling.scale_target(earnings)
            fit(self.network, *scaled, TrainingSpec(epochs=epochs))

    def differences(self):
        """How far graph and Keras are apart on each row, as a share of what the prediction is measured by."""
        by_keras = parity.keras_earnings(self.network, self.scaling, self.probe)
        by_graph = Scorer(compile_graph(self.network, self.scaling)).score(self.probe)
        return np.abs(by_graph - by_keras) / np.maximum(np.abs(by_keras), self.scaling.target_range)


def test_the_activations_tried_are_all_that_keras_has():
    """But for two that a layer of their own refuses: glu halves its units, and threshold needs arguments."""
    found = {name for name, value in vars(load_keras().activations).items() if getattr(value, "__name__", "") == name}
    assert {*ACTIVATIONS, "glu", "threshold"} == found - {"deserialize", "get", "serialize"}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_of_keras_is_exported(contract, activation):
    dense = {"layer": "Dense", "units": 12, "activation": activation}
    case = Case(contract, [dense, dense], epochs=0)
    assert ROWS == np.count_nonzero(case.differences() <= 1e-5)


@pytest.mark.parametrize(
    "layers",
    [
        COURSE["network"]["layers"][:3],
        [{"layer": "Dense", "units": 16, "activation": "gelu"}, {"layer": "Dropout", "rate": 0.3}],
        [{"layer": "Dense", "units": 16, "activation": "celu"}, {"layer": "BatchNormalization"}],
        [{"layer": "Dense", "units": 16, "activation": "tanh"}, {"layer": "LayerNormalization"}],
        [
            {"layer": "Normalization", "mean": 0.5, "variance": 0.1},
            {"layer": "Discretization", "bin_boundaries": [0.0]},
        ],
        [{"layer": "UnitNormalization"}, {"layer": "Dense", "units": 16}, {"layer": "PReLU"}],
        [{"layer": "GaussianNoise", "stddev": 0.1}, {"layer": "Dense", "units": 16}, {"layer": "LeakyReLU"}],
        [{"layer": "GaussianNoise", "stddev": 0.1}, {"layer": "Dense", "units": 16, "activation": "silu"}],
        [{"layer": "Dense", "units": 16, "activation": "relu", "use_bias": False}],
        [],
        [IN_A_ROW, {"layer": "Conv1D", "filters": 4, "kernel_size": 3, "activation": "relu"}, {"layer": "Flatten"}],
        pytest.param([IN_A_ROW, {"layer": "LSTM", "units": 4}], marks=pytest.mark.slow),
    ],
    ids=[
        "course",
        "dropout",
        "batch-norm",
        "layer-norm",
        "fixed-norm",
        "prelu",
        "leaky",
        "noise",
        "no-bias",
        "linear",
        "conv",
        "lstm",
    ],
)
def test_a_trained_network_is_exported(contract, layers):
    """Dropout and noise are off, and batch normalisation uses what it learnt."""
    case = Case(contract, layers)
    assert ROWS == np.count_nonzero(case.differences() <= 1e-5)


@pytest.mark.parametrize(
    ("lowest", "highest"),
    [(2000.0, 2024.0), (738_000.0, 740_000.0), (1.70e9, 1.75e9)],
    ids=["years", "days", "seconds"],
)
def test_a_column_far_from_zero_keeps_its_digits(contract, lowest, highest):
    """Scaled in float32, days since the year 0 would be off by more than the whole network is."""
    column = Column(name="released", kind="rating", minimum=lowest, maximum=highest)
    extended = replace(contract, features=(*contract.features, column))
    released = np.linspace(lowest, highest, 200).astype(np.float32).astype(np.float64)
    case = Case(extended, [{"layer": "Dense", "units": 16, "activation": "silu"}], extra=[released])
    assert case.differences().max() < 2e-6


def test_a_layer_that_can_not_be_exported_is_refused_by_name(contract):
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


@pytest.mark.parametrize("units", [3, 9, 16, 50])
@pytest.mark.parametrize("layer", ["LayerNormalization", "UnitNormalization", "RMSNormalization"])
def test_a_title_gets_the_same_bytes_wherever_it_lies_among_others(contract, layer, units):
    """Sums over a title's numbers are where ONNX Runtime by itself would give other last bits."""
    case = Case(contract, [{"layer": "Dense", "units": units}, {"layer": layer}], epochs=0)
    check_same_bytes_anywhere(case)


@pytest.mark.parametrize("units", [3, 16, 50])
@pytest.mark.parametrize("activation", ["relu", "silu", "softmax"])
def test_a_title_gets_the_same_bytes_in_whatever_column_it_lies(contract, activation, units):
    """In a graph of products alone, and in one that an activation keeps in rows."""
    dense = {"layer": "Dense", "units": units, "activation": activation}
    check_same_bytes_anywhere(Case(contract, [dense, {"layer": "Dropout", "rate": 0.5}, dense], epochs=0))


def check_same_bytes_anywhere(case):
    scorer = Scorer(compile_graph(case.network, case.scaling))
    together = scorer.score(case.probe)
    order = np.random.default_rng(2).permutation(ROWS)
    np.testing.assert_array_equal(together[order], scorer.score(case.probe[order]))
    alone = [scorer.score(case.probe[place : place + 1])[0] for place in range(30)]
    np.testing.assert_array_equal(together[:30], alone)


def test_a_scorer_whose_answers_depend_on_the_order_is_found_out():
    values = np.arange(8.0)[:, None]
    assert parity.check_places(lambda rows: rows[:, 0] * 2, values) is None
    with pytest.raises(ParityError, match=r"gives \d of 8 rows something else when they come in another order"):
        parity.check_places(lambda rows: rows[:, 0] + np.arange(8), values)


@pytest.fixture(scope="module")
def course_case():
    return Case(Contract.from_toml(DATA / "contract.toml"), COURSE["network"]["layers"][:3])


def test_the_graph_takes_raw_columns_and_gives_dollars(course_case):
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
    """Not on stdout, where ``--json`` promises one document, and not on stderr, where progress is shown."""
    compile_graph(course_case.network, course_case.scaling)
    assert ("", "") == capfd.readouterr()


@pytest.mark.parametrize(
    ("activation", "kernels"),
    [("relu", {(6, 9), (4, 6)}), ("softmax", {(9, 6), (6, 4)})],
    ids=["across", "in rows"],
)
def test_titles_lie_across_where_each_number_is_changed_by_itself(contract, activation, kernels):
    """Which a kernel's shape shows: units by features, or features by units."""
    layers = [{"layer": "Dense", "units": units, "activation": activation} for units in (6, 4)]
    case = Case(contract, layers, epochs=0)
    graph = onnx.load_from_string(compile_graph(case.network, case.scaling)).graph
    found = {tuple(one.dims) for one in graph.initializer}
    assert found >= kernels
    assert not found & {dims[::-1] for dims in kernels}


def test_a_graph_with_one_changed_weight_is_not_keras_any_more(course_case):
    graph = onnx.load_from_string(compile_graph(course_case.network, course_case.scaling))
    kernel = next(tensor for tensor in graph.graph.initializer if list(tensor.dims) == [100, 50])
    weights = numpy_helper.to_array(kernel).copy()
    weights[np.unravel_index(np.abs(weights).argmax(), weights.shape)] *= 1.5
    kernel.CopyFrom(numpy_helper.from_array(weights, kernel.name))
    by_graph = Scorer(graph.SerializeToString()).score(course_case.probe)
    by_keras = parity.keras_earnings(course_case.network, course_case.scaling, course_case.probe)
    with pytest.raises(ParityError, match=r"differs from Keras: [\d,.]+ against [\d,.]+ dollars .* of 10,000 rows"):
        parity.check_parity(by_keras, by_graph, course_case.scaling)


@pytest.mark.parametrize("by_graph", [np.nan, np.inf, -np.inf])
def test_a_prediction_that_is_no_number_is_a_difference(course_case, by_graph):
    by_keras = np.array([50_000.0, 60_000.0, 70_000.0])
    with pytest.raises(ParityError, match=f"{by_graph:,.4f} against 60,000.0000 dollars"):
        parity.check_parity(by_keras, np.array([50_000.0, by_graph, 70_000.1]), course_case.scaling)


def test_the_bound_grows_with_the_prediction_and_never_falls_below_the_range(course_case):
    """Rows that earn nearly nothing would fail a purely relative bound by luck."""
    span = course_case.scaling.target_range
    expected = 1e-5 * np.array([span, span, 10 * span])
    np.testing.assert_allclose(parity.tolerance(np.array([0.0, span, -10 * span]), course_case.scaling), expected)
    just_within, just_beyond = np.array([0.99e-5 * span]), np.array([1.01e-5 * span])
    assert 0.99e-5 * span == pytest.approx(parity.check_parity(np.zeros(1), just_within, course_case.scaling))
    with pytest.raises(ParityError):
        parity.check_parity(np.zeros(1), just_beyond, course_case.scaling)


numbers = st.floats(-1e6, 1e6).map(lambda value: round(value, 3))


@st.composite
def columns_with_training(draw):
    """A column of any kind and bounds, and training values that it allows."""
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
@given(columns_with_training(), st.integers(0, 2**32 - 1))
def test_rows_for_the_check_stay_inside_the_contract_and_cover_it(drawn, seed):
    """Inside but for the rounding to float32, in which the graph receives its numbers."""
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
    # 2,000 even draws leave no gap of a fiftieth at either end: all that training saw lies between.
    gap = (sampled.max() - sampled.min()) / 50 + rounding.max()
    assert sampled.min() <= seen.min() + gap
    assert sampled.max() >= seen.max() - gap
    if column.maximum is None:
        assert sampled.max() >= 1.5 * seen.max() - gap


def test_an_open_price_is_drawn_up_to_one_and_a_half_times_the_training_maximum(contract):
    training = np.tile([2.0, 0, 0, 0, 0, 0, 0, 0, 60.0], (3, 1))
    training[0, 0], training[0, -1] = 5.0, 40.0
    sampled = parity.sample_contract(contract, training, ROWS, 1)
    assert (0.0, 5.0) == (round(sampled[:, 0].min(), 1), round(sampled[:, 0].max(), 1))
    assert 0 < sampled[:, -1].min() < 0.1
    assert 89.9 < sampled[:, -1].max() <= 90.0


def test_a_seed_draws_the_same_rows_again(contract):
    training = np.ones((2, 9))
    first, again, other = (parity.sample_contract(contract, training, 50, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
