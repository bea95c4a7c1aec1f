"""Losses, optimizers and schedules: docs/reference/layers.md lists each; it works, or is refused for its reason."""

import re
import tomllib

import numpy as np
import pytest

from gamesales.errors import JobFileError
from gamesales.training.fit import fit
from gamesales.training.keras_objects import load_keras, seed_everything
from gamesales.training.network import build_network, check_training_step
from gamesales.training.train_job import NetworkSpec, ObjectSpec, TrainingSpec
from support.layers_page import PAGE, part, rows
from support.sampling import some

RANDOM = np.random.default_rng(3)
FEATURES = RANDOM.random((96, 9))
TARGET = FEATURES @ np.linspace(0, 0.2, 9)
SGD = {"name": "SGD", "learning_rate": 0.5}
NEEDS_SIGMOID = {"Poisson", "poisson"}


def check_network(epochs=2, activation="linear", **training):
    """Check that a network can be trained; return it, compiled, with its training."""
    seed_everything(1)
    ending = {"layer": "Dense", "units": 1, "activation": activation}
    network = build_network(NetworkSpec(layers=[{"layer": "Dense", "units": 6, "activation": "tanh"}, ending]), 9)
    spec = TrainingSpec(epochs=epochs, **training)
    check_training_step(network, FEATURES, TARGET, spec)
    return network, spec


def train_network(**training):
    """Check and train a network; return it with its history."""
    network, spec = check_network(**training)
    return network, fit(network, FEATURES, TARGET, spec)


@pytest.fixture(scope="module")
def plain_weights():
    """The weights after training with SGD without further arguments."""
    return train_network(optimizer=SGD)[0].get_weights()


def read_training(cell):
    """Read the keys of ``[training]`` in a cell of the page."""
    return tomllib.loads(cell.strip("`"))


def read_names(cell):
    return re.findall(r"\w+", cell)


def read_table(title):
    return rows(part(title))


def find_class_names(module):
    members = load_keras()
    for name in module.split("."):
        members = getattr(members, name)
    return {name for name, member in vars(members).items() if isinstance(member, type)}


LOSSES = [
    (name, [ObjectSpec(name=alias) for alias in read_names(aliases)], example)
    for name, example, aliases in read_table("Losses that work")
]
REFUSED_LOSSES = [
    (alias, reason)
    for name, reason, aliases in read_table("Losses that are refused")
    for alias in [name, *read_names(aliases)]
]


def test_page_lists_each_loss():
    """The page lists each loss by its class, by its function, and by the short names of ``keras.losses.get``."""
    losses = load_keras().losses
    public = {name for name, value in vars(losses).items() if callable(value)} - {"get", "serialize", "deserialize"}
    short = {"bce", "BCE", "kld", "KLD", "mae", "MAE", "mse", "MSE", "mape", "MAPE", "msle", "MSLE"}
    on_page = {name for name, _, _ in LOSSES} | {alias.name for _, aliases, _ in LOSSES for alias in aliases}
    assert public | short == on_page | {name for name, _ in REFUSED_LOSSES}


@pytest.mark.parametrize("module", ["optimizers", "optimizers.schedules"])
def test_page_lists_each_optimizer_and_schedule(module):
    """The page lists each optimizer and schedule. A new one in a release of Keras fails here."""
    heading = "Schedules" if module.endswith("schedules") else "Optimizers"
    on_page = {row[0] for kind in ("work", "are refused") for row in read_table(f"{heading} that {kind}")}
    assert find_class_names(module) == on_page


@pytest.mark.slow
@pytest.mark.parametrize(("name", "aliases", "example"), some("losses", LOSSES, 5), ids=lambda cell: str(cell)[:20])
def test_working_loss_trains(name, aliases, example):
    """A loss that works trains by each of its names."""
    activation = "sigmoid" if name in NEEDS_SIGMOID else "linear"
    _, history = train_network(activation=activation, **read_training(example))
    assert np.isfinite(history.loss).all()
    for alias in aliases:
        seed_everything(1)
        network = build_network(NetworkSpec(layers=[{"layer": "Dense", "units": 1, "activation": activation}]), 9)
        check_training_step(network, FEATURES, TARGET, TrainingSpec(epochs=1, loss=alias))


@pytest.mark.parametrize(("name", "reason"), REFUSED_LOSSES, ids=[name for name, _ in REFUSED_LOSSES])
def test_refused_loss_gives_reason(name, reason):
    """A refused loss is named with the reason of the page."""
    with pytest.raises(JobFileError, match=rf"training\.loss: {name} .*{re.escape(reason)}"):
        check_network(loss=name)


def test_loss_takes_arguments():
    """A loss gets its arguments."""
    network, _ = check_network(loss={"name": "Huber", "delta": 0.25})
    beyond_delta = 0.25 * (1 - 0.25 / 2)
    assert beyond_delta == pytest.approx(float(network.loss(np.zeros((1, 1)), np.ones((1, 1)))))


@pytest.mark.parametrize(
    ("training", "message", "hint"),
    [
        ({"loss": {"name": "Huber", "omega": 1}}, r"training\.loss: Huber refuses its arguments: .*omega", ""),
        ({"loss": {"name": "huber", "delta": 1.0}}, r"training\.loss: Keras has no loss 'huber'", "Huber"),
        ({"loss": "mean_squared_eror"}, r"training\.loss: Keras has no loss 'mean_squared_eror'", "mean_squared_error"),
        ({"loss": {"name": "MeanSquaredError", "reduction": "none"}}, r"training\.loss: .* 8 losses", "reduction"),
        ({"loss": "Poisson"}, r"training\.loss: Poisson is nan for the untrained network", "sigmoid"),
        (
            {"optimizer": {"name": "SGD", "learning_rate": 1e39}},
            r"after the first step of SGD, a weight is not",
            "learning rate",
        ),
        ({"optimizer": {"name": "LossScaleOptimizer"}}, r"training\.optimizer: LossScaleOptimizer refuses", ""),
        (
            {"optimizer": {"name": "LossScaleOptimizer", "inner_optimizer": {"name": "Adem"}}},
            r"training\.optimizer\.inner_optimizer: Keras has no optimizer 'Adem'",
            "Adam",
        ),
        (
            {
                "optimizer": {"name": "Adam", "use_ema": True},
                "validation_share": 0.2,
                "early_stopping": {"patience": 2},
            },
            r"use_ema.*restore_best",
            "false",
        ),
    ],
    ids=str,
)
def test_failing_training_refused_before_it(training, message, hint):
    """A training that would fail is refused before it starts, with a hint."""
    with pytest.raises(JobFileError, match=message) as refused:
        check_network(**training)
    assert hint in refused.value.hint


@pytest.mark.parametrize(
    ("name", "example"), some("optimizers", read_table("Optimizers that work"), 5), ids=lambda cell: cell[:12]
)
def test_working_optimizer_trains(name, example):
    """An optimizer that works changes the loss."""
    network, history = train_network(**read_training(example))
    assert name == TrainingSpec(epochs=1, **read_training(example)).optimizer.name
    assert history.loss[1] != history.loss[0]
    assert all(np.isfinite(weights).all() for weights in network.get_weights())


@pytest.mark.parametrize(("name", "reason"), read_table("Optimizers that are refused"), ids=lambda cell: cell[:12])
def test_refused_optimizer_gives_reason(name, reason):
    """A refused optimizer is named with the reason of the page."""
    with pytest.raises(JobFileError, match=rf"training\.optimizer: .*{re.escape(reason)}") as refused:
        check_network(optimizer=name)
    assert name in refused.value.message


@pytest.mark.parametrize(("name", "example"), read_table("Schedules that work"), ids=lambda cell: cell[:12])
def test_working_schedule_changes_rate(name, example):
    """A schedule that works changes the learning rate. 96 rows in batches of 32 are 3 steps per epoch."""
    network, _ = check_network(**read_training(example))
    rate = network.optimizer._learning_rate
    assert name == type(rate).__name__
    assert float(rate(1)) != pytest.approx(float(rate(7)))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "example"), read_table("Schedules that work"), ids=lambda cell: cell[:12])
def test_working_schedule_trains(name, example):
    """A schedule that works can be compiled with the training."""
    _, history = train_network(**read_training(example))
    assert np.isfinite(history.loss).all()


def test_refused_schedule_gives_reason():
    """A refused schedule is named with the reason of the page."""
    ((name, reason),) = read_table("Schedules that are refused")
    with pytest.raises(JobFileError, match=rf"training\.schedule: {reason} '{name}'"):
        check_network(schedule=name)


def test_boundaries_in_epochs():
    """``boundaries_epochs`` are converted to steps."""
    schedule = {"name": "PiecewiseConstantDecay", "boundaries_epochs": [1, 2], "values": [0.1, 0.01, 0.001]}
    network, _ = check_network(schedule=schedule)
    rate = network.optimizer._learning_rate
    assert [0.1, 0.01, 0.001] == [pytest.approx(float(rate(step))) for step in (3, 6, 7)]


@pytest.mark.parametrize(
    "arguments",
    [
        {"clipnorm": 0.5},
        {"clipvalue": 0.1},
        {"global_clipnorm": 0.5},
        {"weight_decay": 0.01},
        {"gradient_accumulation_steps": 2},
        {"loss_scale_factor": 2.0},
        {"use_ema": True, "ema_overwrite_frequency": 2},
    ],
    ids=str,
)
def test_common_optimizer_arguments(plain_weights, arguments):
    """Each argument that all optimizers share changes the weights, except for ``loss_scale_factor``."""
    weights = train_network(optimizer={**SGD, **arguments})[0].get_weights()
    same = all(np.allclose(left, right, atol=1e-6) for left, right in zip(plain_weights, weights, strict=True))
    assert same == ("loss_scale_factor" in arguments)  # which Keras undoes before the step


def test_use_ema_sets_final_weights(plain_weights):
    """With ``use_ema``, the final weights are the averages."""
    network, _ = train_network(optimizer={**SGD, "use_ema": True, "ema_momentum": 0.9})
    averages = network.optimizer._model_variables_moving_average
    for variable, average, plain in zip(network.variables, averages, plain_weights, strict=True):
        np.testing.assert_array_equal(variable.numpy(), average.numpy())
        assert not np.array_equal(variable.numpy(), plain)


def test_step_check_changes_no_weight():
    """The check of a training step does not change the result of training."""
    spec = TrainingSpec(epochs=2)
    layers = [{"layer": "Dense", "units": 6}, {"layer": "Dropout", "rate": 0.5}, {"layer": "Dense", "units": 1}]

    def train_weights(*, is_checked):
        seed_everything(1)
        network = build_network(NetworkSpec(layers=layers), 9)
        if is_checked:
            check_training_step(network, FEATURES, TARGET, spec)
        fit(network, FEATURES, TARGET, spec)
        return network.get_weights()

    for plain, after in zip(train_weights(is_checked=False), train_weights(is_checked=True), strict=True):
        np.testing.assert_array_equal(plain, after)


def test_page_names_keras_release():
    """The page names the installed release of Keras."""
    release = ".".join(load_keras().__version__.split(".")[:2])
    assert f"Keras {release} " in PAGE
