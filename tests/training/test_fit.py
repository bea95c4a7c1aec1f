"""Fitting: the validation split, the epoch loop, early stopping, reproducibility and divergence."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamesales.errors import InputError
from gamesales.training.fit import LossHistory, draw_epoch_order, fit, split_validation
from gamesales.training.keras_objects import seed_everything
from gamesales.training.network import build_network, compile_network
from gamesales.training.train_job import EarlyStopping, NetworkSpec, TrainingSpec
from support import warm_process

LINE = NetworkSpec(layers=[{"layer": "Dense", "units": 1, "kernel_initializer": "zeros"}])


def make_rows_on_a_line(rows, seed=1):
    random = np.random.default_rng(seed)
    features = random.random((rows, 2))
    return features, features @ np.array([0.6, 0.3]) + 0.1


def fit_network(features, target, network=LINE, **training):
    """Fit a network; return it with its history and the epochs passed to ``on_epoch``."""
    spec = TrainingSpec(**{"epochs": 3, "batch_size": 10, **training})
    seed_everything(spec.seed)
    built = build_network(network, features.shape[1])
    epochs = []
    history = fit(built, features, target, spec, epochs.append)
    return built, history, epochs


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 500), st.floats(0, 0.99), st.integers(0, 2**32 - 1))
def test_split_uses_each_row_once(rows, share, seed):
    """Each row is in one part, both parts are sorted, and the same seed gives the same split."""
    held_out = round(rows * share)
    if share and not 0 < held_out < rows:
        with pytest.raises(InputError, match=f"{rows} training rows can't be split: training.validation_share is"):
            split_validation(rows, share, seed)
        return
    training, validation = split_validation(rows, share, seed)
    assert held_out == len(validation)
    assert list(range(rows)) == sorted([*training, *validation])
    assert (np.diff(training) > 0).all()
    assert (np.diff(validation) > 0).all()
    for part, again in zip((training, validation), split_validation(rows, share, seed), strict=True):
        np.testing.assert_array_equal(part, again)


def test_split_depends_on_seed():
    """Another seed draws other validation rows."""
    assert not np.array_equal(split_validation(100, 0.2, 1)[1], split_validation(100, 0.2, 2)[1])


def test_split_draws_from_whole_file():
    """Files are often sorted, so the validation rows must come from both halves."""
    _, validation = split_validation(1000, 0.2, 1)
    assert 60 < np.count_nonzero(validation < 500) < 140


def test_on_epoch_gets_each_epoch():
    """``on_epoch`` gets the number, the total and the losses of each epoch."""
    _, history, epochs = fit_network(*make_rows_on_a_line(40), epochs=4, validation_share=0.25)
    assert [(1, 4), (2, 4), (3, 4), (4, 4)] == [(epoch.number, epoch.total) for epoch in epochs]
    assert list(history.loss) == [epoch.loss for epoch in epochs]
    assert list(history.validation_loss) == [epoch.validation_loss for epoch in epochs]
    assert history.loss[-1] < history.loss[0]


def test_no_validation_loss_without_share():
    """Without validation rows there is no validation loss."""
    _, history, epochs = fit_network(*make_rows_on_a_line(40))
    assert () == history.validation_loss
    assert [None, None, None] == [epoch.validation_loss for epoch in epochs]


def test_validation_rows_not_trained_on():
    """Changing the targets of the validation rows changes the validation loss and no weight."""
    features, target = make_rows_on_a_line(40)
    _, validation = split_validation(40, 0.25, 1)
    changed = target.copy()
    changed[validation] += 5
    network, history, _ = fit_network(features, target, validation_share=0.25)
    other_network, other_history, _ = fit_network(features, changed, validation_share=0.25)
    for weights, other in zip(network.get_weights(), other_network.get_weights(), strict=True):
        np.testing.assert_array_equal(weights, other)
    assert history.loss == other_history.loss
    assert other_history.validation_loss[-1] > history.validation_loss[-1] + 10


def descend_sequentially(features, target, rate):
    """Compute the weights after one pass of gradient descent, row by row in file order."""
    weights, bias = np.zeros(features.shape[1]), 0.0
    for values, actual in zip(features, target, strict=True):
        slope = 2 * (values @ weights + bias - actual)
        weights, bias = weights - rate * slope * values, bias - rate * slope
    return np.append(weights, bias)


def test_rows_shuffled_before_epoch():
    """An epoch does not use file order. Two equal rows, which have no order, check the computation by hand."""
    descent = {"epochs": 1, "batch_size": 1, "optimizer": {"name": "SGD", "learning_rate": 0.1}}

    def train_weights(features, target):
        network, _, _ = fit_network(features, target, **descent)
        return np.concatenate([array.ravel() for array in network.get_weights()])

    equal = np.array([[0.5, 0.25], [0.5, 0.25]]), np.array([1.0, 1.0])
    np.testing.assert_allclose(train_weights(*equal), descend_sequentially(*equal, 0.1), rtol=1e-5)
    many = make_rows_on_a_line(60)
    assert np.abs(train_weights(*many) - descend_sequentially(*many, 0.1)).max() > 1e-4


def test_divergence_stops_training():
    """Divergence stops training after the epoch, and the hint names the learning rate."""
    epochs = []
    features, target = make_rows_on_a_line(64)
    spec = TrainingSpec(epochs=50, batch_size=8, optimizer={"name": "SGD", "learning_rate": 1e30})
    with pytest.raises(InputError, match=r"training diverged: the loss is (nan|inf) after epoch 1 of 50") as failed:
        fit(build_network(LINE, 2), features, target, spec, epochs.append)
    assert 1 == len(epochs)
    assert "learning rate" in failed.value.hint


def test_early_stopping_after_patience():
    """Training stops after ``patience`` epochs without an improvement by more than ``min_delta``."""
    losses = (5.0, 4.0, 4.5, 3.95, 3.9, 3.95)

    def stops(patience, min_delta=0.0):
        stopping = EarlyStopping(patience=patience, min_delta=min_delta)
        return [LossHistory((1.0,) * n, losses[:n]).should_stop(stopping) for n in range(len(losses) + 1)]

    assert [False, False, False, True, False, False, True] == stops(1)
    assert not any(stops(2))
    assert [4] == [epoch for epoch, stop in enumerate(stops(2, 0.1)) if stop][:1], "3.95 is not 0.1 below 4"
    assert not LossHistory((1.0,) * 6, losses).should_stop(None)


def test_best_epoch_is_first_minimum():
    """The best epoch is the first with the lowest finite validation loss, or 0."""
    assert 2 == LossHistory((1.0,) * 4, (5.0, 3.0, 3.0, np.nan)).best_epoch
    assert 2 == LossHistory((1.0,) * 2, (np.nan, 3.0)).best_epoch
    assert 0 == LossHistory((1.0,), (np.nan,)).best_epoch == LossHistory((1.0,)).best_epoch == LossHistory().best_epoch


@pytest.mark.parametrize("restore_best", [True, False])
def test_restore_best_sets_final_weights(restore_best):
    """The final weights are those of the best epoch or of the last. The learning rate is so large that they differ."""
    features, target = make_rows_on_a_line(40)
    snapshots = {}
    network = build_network(LINE, 2)
    spec = TrainingSpec(
        epochs=9,
        batch_size=10,
        validation_share=0.25,
        optimizer={"name": "Adam", "learning_rate": 0.5},
        early_stopping=EarlyStopping(patience=100, restore_best=restore_best),
    )
    seed_everything(1)
    history = fit(network, features, target, spec, on_snapshot=lambda epoch, take: snapshots.update({epoch: take()}))
    assert history.best_epoch < 9
    kept = history.best_epoch if restore_best else 9
    for weights, expected in zip(network.get_weights(), snapshots[kept].variables, strict=False):
        np.testing.assert_array_equal(weights, expected)


def test_epoch_orders_are_permutations():
    """Each epoch has another permutation of the rows, and the same seed and number give the same one."""
    orders = [draw_epoch_order(20, [5, epoch]).numpy() for epoch in range(3)]
    for order in orders:
        assert list(range(20)) == sorted(order)
    assert 3 == len({tuple(order) for order in orders})
    np.testing.assert_array_equal(orders[2], draw_epoch_order(20, [5, 2]).numpy())


@pytest.mark.parametrize(
    ("layers", "training"),
    [
        ([], {"optimizer": {"name": "Adam", "use_ema": True, "ema_momentum": 0.5}, "epochs": 1}),
        ([{"layer": "Dropout", "rate": 0.2}, {"layer": "BatchNormalization"}], {"loss": "huber"}),
        ([{"layer": "Reshape", "target_shape": [4, 1]}, {"layer": "SimpleRNN", "units": 3}], {"batch_size": 7}),
        (
            [{"layer": "Dense", "units": 3, "kernel_regularizer": "l2"}],
            {"optimizer": {"name": "SGD", "momentum": 0.9}, "batch_size": 30, "validation_share": 0.25},
        ),
    ],
    ids=["averaged", "dropout-and-batch-norm", "recurrent-and-odd-batch", "regularized-and-one-batch"],
)
def test_same_result_as_keras_fit(layers, training):
    """The weights and losses equal those of ``network.fit`` on the same row orders."""
    features, target = make_rows_on_a_line(40)
    first = {"layer": "Dense", "units": 4, "activation": "tanh"}
    network = NetworkSpec(layers=[first, *layers, {"layer": "Dense", "units": 1}])
    ours, history, _ = fit_network(features, target, network, **training)

    spec = TrainingSpec(**{"epochs": 3, "batch_size": 10, **training})
    seed_everything(spec.seed)
    keras = build_network(network, features.shape[1])
    training_rows, validation_rows = split_validation(40, spec.validation_share, spec.seed)
    compile_network(keras, spec, len(training_rows))
    x, y = features.astype(np.float32), target.astype(np.float32)[:, None]
    epochs = []
    for epoch in range(spec.epochs):
        order = training_rows[draw_epoch_order(len(training_rows), [spec.seed, epoch]).numpy()]
        validation = {"validation_data": (x[validation_rows], y[validation_rows])} if len(validation_rows) else {}
        fitting = keras.fit(x[order], y[order], batch_size=spec.batch_size, shuffle=False, verbose=0, **validation)
        epochs.append([fitting.history["loss"][0], *fitting.history.get("val_loss", [])])
    for weights, expected in zip(ours.get_weights(), keras.get_weights(), strict=True):
        np.testing.assert_allclose(weights, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        np.column_stack([history.loss, *filter(None, [history.validation_loss])]), epochs, rtol=1e-5
    )


SCRIPT = """
import hashlib
import sys
import numpy as np
from gamesales.training.keras_objects import seed_everything
from gamesales.training.network import build_network, compile_network
from gamesales.training.train_job import COURSE, NetworkSpec, TrainingSpec
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


@pytest.mark.slow
def test_seed_reproduces_across_processes():
    """A seed gives the same weights in two processes, with dropout, shuffling, a split and initialization."""
    environment = {**os.environ, "PYTHONHASHSEED": "2"}
    fresh = subprocess.run(
        [sys.executable, "-c", SCRIPT, "2", "1"], capture_output=True, text=True, env=environment, check=True
    )
    forked = warm_process.run(["1", "2"], script=SCRIPT)
    assert forked.returncode == 0, forked.stderr
    (seed_1, seed_2), (seed_2_again, seed_1_again) = forked.stdout.split(), fresh.stdout.split()
    assert (seed_1, seed_2) == (seed_1_again, seed_2_again)
    assert seed_1 != seed_2
