"""A stack: each network gets the weights that it would get alone, whatever the other networks are."""

import numpy as np
import pytest

from gamesales.errors import InputError
from gamesales.training import refits, stacked
from gamesales.training.stacked import ScaledTitles, can_stack, fit_stack
from gamesales.training.train_job import NetworkSpec, TrainingSpec, load_job
from support.versions import ROOT

COSINE = {"name": "CosineDecay", "initial_learning_rate": 0.02, "decay_epochs": 3}
JOB = load_job(ROOT / "jobs/train.toml")


def make_network(activation="silu", **arguments):
    layers = [{"layer": "Dense", "units": units, "activation": activation, **arguments} for units in (6, 5)]
    return NetworkSpec.model_validate({"layers": [*layers, {"layer": "Dense", "units": 1}]})


def make_titles(rows, seed=1, **training):
    random = np.random.default_rng([rows, seed])
    features = random.random((rows, 9))
    spec = {"optimizer": "Adam", "schedule": COSINE, "epochs": 3, "batch_size": 16, "seed": seed, **training}
    return ScaledTitles(features, features @ random.random(9) / 9, TrainingSpec.model_validate(spec))


def assert_close(network, titles, rtol=2e-5):
    for part, weights in zip(titles, fit_stack(network, titles), strict=True):
        for value, expected in zip(weights, refits._fit_alone(network, part), strict=True):
            assert value == pytest.approx(expected, rel=rtol, abs=2e-6)


def test_same_weights_as_alone():
    """Networks with other titles, other seeds and other numbers of batches get the weights that they get alone."""
    assert_close(make_network(), [make_titles(*part) for part in ((100, 1), (64, 1), (97, 2), (20, 3))])


@pytest.mark.slow
def test_same_weights_as_alone_compiled(monkeypatch):
    """The same holds for a stack that XLA compiles."""
    monkeypatch.setattr(stacked, "MIN_COMPILED_WORK", 0)
    assert_close(make_network(), [make_titles(*part) for part in ((100, 1), (64, 1), (97, 2), (20, 3))])
    assert_close(make_network("gelu", kernel_regularizer="l2"), [make_titles(50), make_titles(33)])


@pytest.mark.slow
@pytest.mark.parametrize(
    "training",
    [
        {"schedule": None, "optimizer": {"name": "Adam", "learning_rate": 0.01, "beta_1": 0.8, "epsilon": 1e-5}},
        {"schedule": {"name": "ExponentialDecay", "initial_learning_rate": 0.01, "decay_epochs": 1, "decay_rate": 0.5}},
        {"schedule": {"name": "PiecewiseConstantDecay", "boundaries_epochs": [1, 2], "values": [0.01, 0.005, 0.001]}},
        {
            "schedule": {
                "name": "CosineDecay",
                "initial_learning_rate": 0.001,
                "decay_epochs": 2,
                "warmup_target": 0.02,
                "warmup_epochs": 1,
            }
        },
        {"schedule": {"name": "CosineDecayRestarts", "initial_learning_rate": 0.01, "first_decay_epochs": 1}},
        {"schedule": {"name": "PolynomialDecay", "initial_learning_rate": 0.01, "decay_epochs": 2, "cycle": True}},
        {"schedule": {"name": "InverseTimeDecay", "initial_learning_rate": 0.01, "decay_epochs": 1, "decay_rate": 1.0}},
        {"validation_share": 0.3},
        {"loss": "mean_absolute_error"},
        {"loss": "huber"},
        {"loss": "log_cosh"},
        {"batch_size": 1000},
        {"batch_size": 1, "epochs": 1},
    ],
)
def test_trainings(training):
    """Learning rates, losses, batches and validation titles are those of a network alone."""
    assert_close(make_network(), [make_titles(*part, **training) for part in ((60, 1), (33, 1), (41, 2))])


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh", "softmax", "selu", "leaky_relu", "softplus", "linear"])
@pytest.mark.parametrize("regularizer", [None, "l1", {"class_name": "L2", "config": {"l2": 0.01}}])
def test_layers(activation, regularizer):
    """Activations, initial weights and penalties on weights are those of a network alone."""
    arguments = {"kernel_initializer": "he_normal", **({"kernel_regularizer": regularizer} if regularizer else {})}
    assert_close(make_network(activation, **arguments), [make_titles(60), make_titles(33, 2)], rtol=1e-4)


def test_companions_change_nothing():
    """A network gets the same weights with other companions, and at another place of the stack."""
    parts = [make_titles(*part) for part in ((100, 1), (64, 1), (97, 2))]
    first = fit_stack(make_network(), parts)
    again = fit_stack(make_network(), [parts[2], parts[0]])
    for weights, others in ((first[2], again[0]), (first[0], again[1])):
        assert all(map(np.array_equal, weights, others))


def test_divergence_is_of_one_network():
    """A network that diverges is an error with its epoch, and the others get their weights."""
    good, bad = make_titles(40), make_titles(40, 2)
    bad.target[:] = 3e38
    weights, error = fit_stack(make_network(), [good, bad])
    assert isinstance(error, InputError)
    assert error.message.endswith(" after epoch 1 of 3")
    (alone,) = fit_stack(make_network(), [good])
    assert all(map(np.array_equal, weights, alone))
    assert str(refits._fit_alone(make_network(), bad)) == str(error)


def test_what_can_be_stacked():
    """Dense layers and dropout with Adam are stacked. Everything else is trained alone."""
    assert can_stack(JOB.network, JOB.training)
    assert can_stack(make_network(kernel_regularizer={"name": "L1L2", "l1": 0.1}), JOB.training)
    for training in (
        {"optimizer": {"name": "Adam", "clipnorm": 1.0}},
        {"optimizer": {"name": "Adam", "use_ema": True}},
        {"optimizer": "SGD"},
        {"loss": {"name": "Huber", "delta": 0.1}},
        {"loss": "mean_squared_logarithmic_error"},
        {"validation_share": 0.2, "early_stopping": {"patience": 1}},
    ):
        assert not can_stack(JOB.network, TrainingSpec.model_validate({"epochs": 1, **training})), training
    for arguments in (
        {"use_bias": False},
        {"trainable": False},
        {"activation": {"name": "PReLU"}},
        {"kernel_constraint": {"name": "NonNeg"}},
        {"kernel_regularizer": {"name": "OrthogonalRegularizer"}},
        {"dtype": "float64"},
    ):
        assert not can_stack(make_network(**{"activation": "relu", **arguments}), JOB.training), arguments
    for layer, is_stacked in (
        ({"layer": "Dropout", "rate": 0.1}, True),
        ({"layer": "Dropout", "rate": 0.1, "seed": 1}, False),
        ({"layer": "GaussianNoise", "stddev": 0.1}, False),
    ):
        assert can_stack(NetworkSpec(layers=[layer, *JOB.network.layers]), JOB.training) == is_stacked, layer
