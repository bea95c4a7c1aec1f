"""Fitting: the split, the epochs as they are told, the same weights from the same seed, and divergence."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamesales.errors import InputError
from gamesales.training.fit import History, draw_order, fit, split
from gamesales.training.network import build_network, compile_network, seed_everything
from gamesales.training.spec import EarlyStopping, NetworkSpec, TrainingSpec

LINE = NetworkSpec(layers=[{"layer": "Dense", "units": 1, "kernel_initializer": "zeros"}])


def rows_on_a_line(rows, seed=1):
    random = np.random.default_rng(seed)
    features = random.random((rows, 2))
    return features, features @ np.array([0.6, 0.3]) + 0.1


def fitted(features, target, network=LINE, **training):
    """Fit a network, and give it with its history and the epochs that were told."""
    spec = TrainingSpec(**{"epochs": 3, "batch_size": 8, **training})
    seed_everything(spec.seed)
    made = build_network(network, features.shape[1])
    told = []
    history = fit(made, features, target, spec, told.append)
    return made, history, told


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 500), st.floats(0, 0.99), st.integers(0, 2**32 - 1))
def test_a_split_uses_every_row_once_and_is_the_same_again(rows, share, seed):
    held_back = round(rows * share)
    if share and not 0 < held_back < rows:
        with pytest.raises(InputError, match=f"{rows} training rows can't be split: training.validation_share is"):
            split(rows, share, seed)
        return
    training, validation = split(rows, share, seed)
    assert held_back == len(validation)
    assert list(range(rows)) == sorted([*training, *validation])
    assert (np.diff(training) > 0).all()
    assert (np.diff(validation) > 0).all()
    for once, again in zip((training, validation), split(rows, share, seed), strict=True):
        np.testing.assert_array_equal(once, again)


def test_another_seed_splits_otherwise():
    assert not np.array_equal(split(100, 0.2, 1)[1], split(100, 0.2, 2)[1])


def test_a_split_does_not_take_the_first_or_the_last_rows():
    """Files are often sorted; a share of each end would tell about other titles than it should."""
    _, validation = split(1000, 0.2, 1)
    assert 60 < np.count_nonzero(validation < 500) < 140


def test_each_epoch_is_told_with_its_losses_as_it_ends():
    _, history, told = fitted(*rows_on_a_line(40), epochs=4, validation_share=0.25)
    assert [(1, 4), (2, 4), (3, 4), (4, 4)] == [(epoch.number, epoch.of) for epoch in told]
    assert list(history.loss) == [epoch.loss for epoch in told]
    assert list(history.validation_loss) == [epoch.validation_loss for epoch in told]
    assert history.loss[-1] < history.loss[0]


def test_without_validation_rows_there_is_no_validation_loss():
    _, history, told = fitted(*rows_on_a_line(40))
    assert () == history.validation_loss
    assert [None, None, None] == [epoch.validation_loss for epoch in told]


def test_validation_rows_are_watched_and_not_learnt_from():
    """With their targets changed, the weights stay the same and only the validation loss moves."""
    features, target = rows_on_a_line(40)
    _, validation = split(40, 0.25, 1)
    changed = target.copy()
    changed[validation] += 5
    network, history, _ = fitted(features, target, validation_share=0.25)
    other_network, other_history, _ = fitted(features, changed, validation_share=0.25)
    for weights, other in zip(network.get_weights(), other_network.get_weights(), strict=True):
        np.testing.assert_array_equal(weights, other)
    assert history.loss == other_history.loss
    assert other_history.validation_loss[-1] > history.validation_loss[-1] + 10


def sequential_descent(features, target, rate):
    """The weights after one pass of plain gradient descent, a row at a time and in file order, by hand."""
    weights, bias = np.zeros(features.shape[1]), 0.0
    for values, wanted in zip(features, target, strict=True):
        slope = 2 * (values @ weights + bias - wanted)
        weights, bias = weights - rate * slope * values, bias - rate * slope
    return np.append(weights, bias)


def test_rows_are_shuffled_before_an_epoch():
    """In file order the last rows would count most. Two equal rows, which have no order, show that the sum holds."""
    descent = {"epochs": 1, "batch_size": 1, "optimizer": {"name": "SGD", "learning_rate": 0.1}}

    def learnt(features, target):
        network, _, _ = fitted(features, target, **descent)
        return np.concatenate([array.ravel() for array in network.get_weights()])

    equal = np.array([[0.5, 0.25], [0.5, 0.25]]), np.array([1.0, 1.0])
    np.testing.assert_allclose(learnt(*equal), sequential_descent(*equal, 0.1), rtol=1e-5)
    many = rows_on_a_line(60)
    assert np.abs(learnt(*many) - sequential_descent(*many, 0.1)).max() > 1e-4


def test_training_that_diverges_stops_at_once_and_says_what_to_lower():
    told = []
    features, target = rows_on_a_line(64)
    spec = TrainingSpec(epochs=50, batch_size=8, optimizer={"name": "SGD", "learning_rate": 1e30})
    with pytest.raises(InputError, match=r"training diverged: the loss is (nan|inf) after epoch 1 of 50") as failed:
        fit(build_network(LINE, 2), features, target, spec, told.append)
    assert 1 == len(told)
    assert "learning rate" in failed.value.hint


def test_training_is_over_once_patience_epochs_in_a_row_were_no_better():
    losses = (5.0, 4.0, 4.5, 3.95, 3.9, 3.95)

    def over(patience, min_delta=0.0):
        stopping = EarlyStopping(patience=patience, min_delta=min_delta)
        return [History((1.0,) * n, losses[:n]).is_over(stopping) for n in range(len(losses) + 1)]

    assert [False, False, False, True, False, False, True] == over(1)
    assert not any(over(2))
    assert [4] == [place for place, stops in enumerate(over(2, 0.1)) if stops][:1], "3.95 is no better than 4 by 0.1"
    assert not History((1.0,) * 6, losses).is_over(None)


def test_the_best_epoch_is_the_first_with_the_lowest_validation_loss_that_is_a_number():
    assert 2 == History((1.0,) * 4, (5.0, 3.0, 3.0, np.nan)).best
    assert 2 == History((1.0,) * 2, (np.nan, 3.0)).best
    assert 0 == History((1.0,), (np.nan,)).best == History((1.0,)).best == History().best


@pytest.mark.parametrize("restore_best", [True, False])
def test_the_weights_at_the_end_are_those_of_the_best_epoch_or_of_the_last(restore_best):
    """A rate this large swings about the aim, so that the best epoch is not the last."""
    features, target = rows_on_a_line(40)
    taken = {}
    network = build_network(LINE, 2)
    spec = TrainingSpec(
        epochs=9,
        batch_size=8,
        validation_share=0.25,
        optimizer={"name": "Adam", "learning_rate": 0.3},
        early_stopping=EarlyStopping(patience=100, restore_best=restore_best),
    )
    seed_everything(1)
    history = fit(network, features, target, spec, on_snapshot=lambda epoch, take: taken.update({epoch: take()}))
    assert history.best < 9
    kept = history.best if restore_best else 9
    for weights, then in zip(network.get_weights(), taken[kept].variables, strict=False):
        np.testing.assert_array_equal(weights, then)


def test_rows_come_in_another_order_every_epoch_and_each_once():
    orders = [draw_order(20, [5, epoch]).numpy() for epoch in range(3)]
    for order in orders:
        assert list(range(20)) == sorted(order)
    assert 3 == len({tuple(order) for order in orders})
    np.testing.assert_array_equal(orders[2], draw_order(20, [5, 2]).numpy())


@pytest.mark.parametrize(
    ("layers", "training"),
    [
        ([], {}),
        ([], {"optimizer": {"name": "SGD", "momentum": 0.9}, "batch_size": 40}),
        ([], {"optimizer": {"name": "Adam", "use_ema": True, "ema_momentum": 0.5}, "epochs": 1}),
        ([{"layer": "Dropout", "rate": 0.2}, {"layer": "BatchNormalization"}], {"loss": "huber"}),
        ([{"layer": "Reshape", "target_shape": [4, 1]}, {"layer": "GRU", "units": 3}], {"batch_size": 7}),
        ([{"layer": "Dense", "units": 3, "kernel_regularizer": "l2"}], {"validation_share": 0.25}),
    ],
    ids=["plain", "one-batch", "averaged", "random-and-moving", "recurrent", "regularised"],
)
def test_the_weights_and_losses_are_those_of_keras_own_fit(layers, training):
    features, target = rows_on_a_line(40)
    first = {"layer": "Dense", "units": 4, "activation": "tanh"}
    network = NetworkSpec(layers=[first, *layers, {"layer": "Dense", "units": 1}])
    ours, history, _ = fitted(features, target, network, **training)

    spec = TrainingSpec(**{"epochs": 3, "batch_size": 8, **training})
    seed_everything(spec.seed)
    keras = build_network(network, features.shape[1])
    learnt, watched = split(40, spec.validation_share, spec.seed)
    compile_network(keras, spec, len(learnt))
    x, y = features.astype(np.float32), target.astype(np.float32)[:, None]
    told = []
    for epoch in range(spec.epochs):
        order = learnt[draw_order(len(learnt), [spec.seed, epoch]).numpy()]
        watch = {"validation_data": (x[watched], y[watched])} if len(watched) else {}
        fitting = keras.fit(x[order], y[order], batch_size=spec.batch_size, shuffle=False, verbose=0, **watch)
        told.append([fitting.history["loss"][0], *fitting.history.get("val_loss", [])])
    for weights, expected in zip(ours.get_weights(), keras.get_weights(), strict=True):
        np.testing.assert_allclose(weights, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        np.column_stack([history.loss, *filter(None, [history.validation_loss])]), told, rtol=1e-5
    )


SCRIPT = """
import hashlib
import sys
import numpy as np
from gamesales.training.network import build_network, compile_network, seed_everything
from gamesales.training.spec import COURSE, NetworkSpec, TrainingSpec
from gamesales.training.fit import fit

random = np.random.default_rng(0)
features, target = random.random((100, 9)), random.random(100)
for seed in map(int, sys.argv[1:]):
    seed_everything(seed)
    layers = [*COURSE["network"]["layers"][:3], {"layer": "Dropout", "rate": 0.2}, COURSE["network"]["layers"][3]]
    network = build_network(NetworkSpec(layers=layers), 9)
    fit(network, features, target, TrainingSpec(epochs=2, seed=seed, validation_share=0.1))
    print(hashlib.sha256(b"".join(array.tobytes() for array in network.get_weights())).hexdigest())
"""


def test_a_seed_gives_the_same_weights_in_two_processes_and_another_seed_others():
    """Dropout, shuffling, the split and the first weights all draw random numbers."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, *seeds],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": seeds[0]},
        )
        for seeds in (["1", "2"], ["2", "1"])
    ]
    digests = [process.communicate(timeout=120)[0].split() for process in processes]
    assert [0, 0] == [process.returncode for process in processes]
    (one, two), (again_two, again_one) = digests
    assert (one, two) == (again_one, again_two)
    assert one != two
