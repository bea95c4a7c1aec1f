"""Losses, optimizers and schedules: docs/layers.md has all that Keras has, each works as it says or is refused."""

import re
import tomllib

import numpy as np
import pytest

from gamesales.errors import JobFileError
from gamesales.training.export_check import rehearse
from gamesales.training.fit import fit
from gamesales.training.network import build_network, load_keras, seed_everything
from gamesales.training.spec import Named, NetworkSpec, TrainingSpec
from support.layers_page import PAGE, part, rows

RANDOM = np.random.default_rng(3)
FEATURES = RANDOM.random((96, 9))
TARGET = FEATURES @ np.linspace(0, 0.2, 9)
NEEDS_SIGMOID = {"Poisson", "poisson"}


def trained(epochs=2, activation="linear", **training):
    """A network after the checks and so many epochs, with its history."""
    seed_everything(1)
    ending = {"layer": "Dense", "units": 1, "activation": activation}
    network = build_network(NetworkSpec(layers=[{"layer": "Dense", "units": 6, "activation": "tanh"}, ending]), 9)
    spec = TrainingSpec(epochs=epochs, **training)
    rehearse(network, FEATURES, TARGET, spec)
    return network, fit(network, FEATURES, TARGET, spec)


def named(cell):
    """What a line of the page gives: the keys of [training]."""
    return tomllib.loads(cell.strip("`"))


def names(cell):
    return re.findall(r"\w+", cell)


def table(title):
    return rows(part(title))


def classes(module):
    found = load_keras()
    for name in module.split("."):
        found = getattr(found, name)
    return {name for name, value in vars(found).items() if isinstance(value, type)}


LOSSES = [
    (name, [Named(name=other) for other in names(others)], example)
    for name, example, others in table("Losses that work")
]
REFUSED_LOSSES = [
    (other, words) for name, words, others in table("Losses that are refused") for other in [name, *names(others)]
]


def test_every_loss_of_keras_is_on_the_page():
    """By class and by function, and by the short names that ``keras.losses.get`` knows."""
    losses = load_keras().losses
    public = {name for name, value in vars(losses).items() if callable(value)} - {"get", "serialize", "deserialize"}
    short = {"bce", "BCE", "kld", "KLD", "mae", "MAE", "mse", "MSE", "mape", "MAPE", "msle", "MSLE"}
    on_page = {name for name, _, _ in LOSSES} | {other.name for _, others, _ in LOSSES for other in others}
    assert public | short == on_page | {name for name, _ in REFUSED_LOSSES}


@pytest.mark.parametrize("module", ["optimizers", "optimizers.schedules"])
def test_every_optimizer_and_schedule_of_keras_is_on_the_page(module):
    """A release of Keras with another one fails here until it is decided what becomes of it."""
    what = "Schedules" if module.endswith("schedules") else "Optimizers"
    on_page = {row[0] for kind in ("work", "are refused") for row in table(f"{what} that {kind}")}
    assert classes(module) == on_page


@pytest.mark.parametrize(("name", "others", "example"), LOSSES, ids=[name for name, _, _ in LOSSES])
def test_a_loss_that_works_trains_by_each_of_its_names(name, others, example):
    activation = "sigmoid" if name in NEEDS_SIGMOID else "linear"
    _, history = trained(activation=activation, **named(example))
    assert np.isfinite(history.loss).all()
    for other in others:
        seed_everything(1)
        network = build_network(NetworkSpec(layers=[{"layer": "Dense", "units": 1, "activation": activation}]), 9)
        rehearse(network, FEATURES, TARGET, TrainingSpec(epochs=1, loss=other))


@pytest.mark.parametrize(("name", "words"), REFUSED_LOSSES, ids=[name for name, _ in REFUSED_LOSSES])
def test_a_loss_that_is_refused_says_why(name, words):
    with pytest.raises(JobFileError, match=rf"training\.loss: {name} .*{re.escape(words)}"):
        trained(loss=name)


def test_a_loss_takes_its_arguments():
    network, _ = trained(epochs=1, loss={"name": "Huber", "delta": 0.25})
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
        ({"optimizer": {"name": "SGD", "learning_rate": 1e39}}, r"first step of SGD leaves weights", "learning rate"),
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
def test_what_can_not_train_is_refused_before_it_does(training, message, hint):
    with pytest.raises(JobFileError, match=message) as refused:
        trained(**training)
    assert hint in refused.value.hint


@pytest.mark.parametrize(("name", "example"), table("Optimizers that work"), ids=lambda cell: cell[:12])
def test_an_optimizer_that_works_trains(name, example):
    network, history = trained(**named(example))
    assert name == TrainingSpec(epochs=1, **named(example)).optimizer.name
    assert history.loss[1] != history.loss[0]
    assert all(np.isfinite(weights).all() for weights in network.get_weights())


@pytest.mark.parametrize(("name", "words"), table("Optimizers that are refused"), ids=lambda cell: cell[:12])
def test_an_optimizer_that_is_refused_says_so(name, words):
    with pytest.raises(JobFileError, match=rf"training\.optimizer: .*{re.escape(words)}") as refused:
        trained(optimizer=name)
    assert name in refused.value.message


@pytest.mark.parametrize(("name", "example"), table("Schedules that work"), ids=lambda cell: cell[:12])
def test_a_schedule_that_works_trains_and_changes_the_rate(name, example):
    """96 rows in batches of 32 are 3 steps an epoch."""
    network, _ = trained(**named(example))
    rate = network.optimizer._learning_rate
    assert name == type(rate).__name__
    assert float(rate(1)) != pytest.approx(float(rate(7)))


def test_a_schedule_that_is_refused_says_so():
    ((name, words),) = table("Schedules that are refused")
    with pytest.raises(JobFileError, match=rf"training\.schedule: {words} '{name}'"):
        trained(schedule=name)


def test_boundaries_in_epochs_are_boundaries_in_steps():
    schedule = {"name": "PiecewiseConstantDecay", "boundaries_epochs": [1, 2], "values": [0.1, 0.01, 0.001]}
    network, _ = trained(epochs=1, schedule=schedule)
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
def test_arguments_that_all_optimizers_share_have_their_effect(arguments):
    plain, with_them = (
        trained(optimizer={"name": "SGD", "learning_rate": 0.5, **given})[0].get_weights() for given in ({}, arguments)
    )
    same = all(np.allclose(left, right, atol=1e-6) for left, right in zip(plain, with_them, strict=True))
    assert same == ("loss_scale_factor" in arguments)  # which is undone before the step


def test_averaged_weights_are_what_training_leaves():
    network, _ = trained(optimizer={"name": "SGD", "learning_rate": 0.5, "use_ema": True, "ema_momentum": 0.9})
    averages = network.optimizer._model_variables_moving_average
    last, _ = trained(optimizer={"name": "SGD", "learning_rate": 0.5})
    for variable, average, plain in zip(network.variables, averages, last.variables, strict=True):
        np.testing.assert_array_equal(variable.numpy(), average.numpy())
        assert not np.array_equal(variable.numpy(), plain.numpy())


def test_the_rehearsal_changes_nothing_in_what_is_learnt():
    spec = TrainingSpec(epochs=2)
    layers = [{"layer": "Dense", "units": 6}, {"layer": "Dropout", "rate": 0.5}, {"layer": "Dense", "units": 1}]

    def weights(*, rehearsed):
        seed_everything(1)
        network = build_network(NetworkSpec(layers=layers), 9)
        if rehearsed:
            rehearse(network, FEATURES, TARGET, spec)
        fit(network, FEATURES, TARGET, spec)
        return network.get_weights()

    for plain, after in zip(weights(rehearsed=False), weights(rehearsed=True), strict=True):
        np.testing.assert_array_equal(plain, after)


def test_the_page_names_the_release_of_keras_that_it_was_made_with():
    release = ".".join(load_keras().__version__.split(".")[:2])
    assert f"Keras {release} " in PAGE
