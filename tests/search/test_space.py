"""The search space and its candidates: the values that a job may give, and the network of a candidate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gamesales.search.tune_job import COURSE_CANDIDATE, Candidate, Space, Values, list_hyperparameters
from gamesales.training.keras_objects import load_keras
from gamesales.training.network import build_network
from gamesales.training.train_job import COURSE, NetworkSpec, TrainingSpec

SMALL = {"layers": {"low": 1, "high": 3}, "units": {"low": 2, "high": 64, "log": True}, "activation": ["relu", "silu"]}


def find_fault(values):
    with pytest.raises(ValidationError) as refused:
        Space.model_validate({**SMALL, **values})
    (error,) = refused.value.errors()
    return ".".join(map(str, error["loc"])), error["msg"]


# --- A candidate.


def test_course_candidate():
    """The course candidate has the network and the training of the course."""
    assert COURSE_CANDIDATE.network() == NetworkSpec.model_validate(COURSE["network"])
    training = COURSE_CANDIDATE.training(7)
    course = TrainingSpec.model_validate({**COURSE["training"], "seed": 7})
    assert training.model_dump(exclude={"optimizer"}) == course.model_dump(exclude={"optimizer"})
    rate = load_keras().optimizers.Adam(**course.optimizer.arguments).learning_rate
    assert float(rate) == pytest.approx(training.optimizer.arguments["learning_rate"])


@pytest.mark.parametrize("units", [(1,), (50, 100, 50), (7, 3)])
def test_parameter_count(units):
    """The number of parameters is the same as in Keras."""
    candidate = Candidate(units=units, activation="relu", dropout=0.1, l2=1e-3)
    assert build_network(candidate.network(), 9).count_params() == candidate.count_parameters(9)


def test_candidate_becomes_a_job():
    """Each hyperparameter reaches the network or its training."""
    candidate = Candidate(
        units=(4, 5),
        activation="silu",
        batch_size=16,
        learning_rate=0.02,
        l2=1e-4,
        dropout=0.3,
        epochs=7,
        schedule="CosineDecay",
    )
    network = build_network(candidate.network(), 9)
    kinds = [type(layer).__name__ for layer in network.layers]
    assert ["Dense", "Dropout", "Dense", "Dropout", "Dense"] == kinds
    assert [pytest.approx(1e-4)] * 2 == [float(network.layers[index].kernel_regularizer.l2) for index in (0, 2)]
    assert network.layers[4].kernel_regularizer is None
    assert (0.3, "silu") == (network.layers[1].rate, network.layers[2].activation.__name__)
    training = candidate.training(9)
    assert (16, 7, 9) == (training.batch_size, training.epochs, training.seed)
    assert {"initial_learning_rate": 0.02, "decay_epochs": 7} == training.schedule.arguments
    assert {} == training.optimizer.arguments
    assert "4-5 silu" == str(candidate)


# --- The values of a hyperparameter.


@pytest.mark.parametrize(
    ("values", "key", "message"),
    [
        ({"units": []}, "units", "expected a value, a list of different values, or a range"),
        ({"units": {}}, "units", "expected a value, a list of different values, or a range"),
        ({"units": [8, 8]}, "units", "expected a value, a list of different values"),
        ({"units": {"low": 8}}, "units", "expected a range { low = …, high = … } of numbers, low below high"),
        ({"units": {"low": 8, "high": 8}}, "units", "low below high"),
        ({"units": {"low": 1, "high": 8, "choices": [3]}}, "units", "expected a range"),
        ({"units": {"choices": [3], "log": True}}, "units", "expected a value"),
        ({"units": {"low": 1, "high": 8, "step": 3}}, "units.step", "Extra inputs"),
        ({"units": 0}, "units", "expected 1 or more, received 0"),
        ({"units": 1.5}, "units.choices.0", "valid integer"),
        ({"layers": [0, 1]}, "layers", "at least one entry"),
        ({"layers": {"low": 1, "high": 10**9}}, "layers", "at most 20 entries"),
        ({"activation": {"low": "a", "high": "b"}}, "activation", "of numbers"),
        ({"activation": ""}, "activation", "a text that is not empty"),
        ({"learning_rate": {"low": 0, "high": 1}}, "learning_rate", "more than 0, received 0.0"),
        ({"learning_rate": float("inf")}, "learning_rate", "finite"),
        ({"l2": {"low": 0, "high": 1, "log": True}}, "l2", "expected a range above 0 for log = true"),
        ({"dropout": [0.1, 1.0]}, "dropout", "less than 1, received 1.0"),
        ({"schedule": "cosine"}, "schedule.choices.0", "'constant' or 'CosineDecay'"),
        ({"epochs": 0}, "epochs", "expected 1 or more"),
        ({"width": 3}, "width", "Extra inputs"),
    ],
)
def test_invalid_values_are_named(values, key, message):
    """Values that no network accepts are refused by their key."""
    fault_key, fault_message = find_fault(values)
    assert key == fault_key
    assert message in fault_message


def test_distributions():
    """A value, a list and a range become distributions of Optuna."""
    fixed, several = Values[int].model_validate(32), Values[int].model_validate([16, 32])
    assert fixed.make_distribution() is None
    assert (16, 32) == several.make_distribution().choices
    whole = Values[int].model_validate({"low": 2, "high": 8, "log": True}).make_distribution()
    assert ("IntDistribution", 2, 8, True) == (type(whole).__name__, whole.low, whole.high, whole.log)
    real = Values[float].model_validate({"low": 0, "high": 1}).make_distribution()
    assert ("FloatDistribution", 0.0, 1.0, False) == (type(real).__name__, real.low, real.high, real.log)
    assert [fixed.contains(32), fixed.contains(16), several.contains(16), several.contains(17)] == [
        True,
        False,
        True,
        False,
    ]


@given(st.data())
def test_space_contains_its_candidates(data):
    """A space contains the candidates that it makes, and no others."""
    space = Space.model_validate({**SMALL, "learning_rate": {"low": 0.001, "high": 0.1}, "batch_size": [16, 32]})

    def choose(name, values):
        if not values.is_range:
            return data.draw(st.sampled_from(values.choices), name)
        kind = st.integers if isinstance(values.low, int) else st.floats
        return data.draw(kind(*values.ends), name)

    chosen = space.make_candidate(choose)
    assert space.contains(chosen)
    assert list(space.list_values(len(chosen.units))) == list(list_hyperparameters(chosen))
    others = [{"epochs": 51}, {"units": (*chosen.units, 65)}, {"activation": "elu"}, {"learning_rate": 0.2}]
    assert not any(space.contains(chosen.model_copy(update=other)) for other in others)
