"""Building and compiling a network; errors name the key of the job file."""

import numpy as np
import pytest

from gamesales.errors import JobFileError
from gamesales.training.keras_objects import load_keras, seed_everything
from gamesales.training.network import build_network, compile_network
from gamesales.training.train_job import NetworkSpec, TrainingSpec, load_job
from support.versions import DATA

OUTPUT = {"layer": "Dense", "units": 1}


def build(*layers, features=9):
    return build_network(NetworkSpec(layers=layers), features)


def build_compiled(rows=1000, **training):
    network = build(OUTPUT)
    compile_network(network, TrainingSpec(epochs=1, **training), rows)
    return network


@pytest.fixture
def course(tmp_path):
    """The job of the course preset: a file with only ``[data]``, and ``--preset course``."""
    path = tmp_path / "job.toml"
    path.write_text(f'[data]\ntrain = "{DATA}/a.csv"\ntest = "{DATA}/b.csv"\n', encoding="utf-8")
    return load_job(path, "course")


def test_course_network(course):
    """The course network is 50, 100 and 50 units with ReLU, and a linear output."""
    network = build_network(course.network, 9)
    assert (None, 9) == network.input_shape
    assert (None, 1) == network.output_shape
    assert ["Dense"] * 4 == [type(layer).__name__ for layer in network.layers]
    assert [(50, "relu"), (100, "relu"), (50, "relu"), (1, "linear")] == [
        (layer.units, layer.activation.__name__) for layer in network.layers
    ]
    assert 9 * 50 + 50 + 50 * 100 + 100 + 100 * 50 + 50 + 50 + 1 == network.count_params()
    assert all(layer.use_bias and layer.kernel_regularizer is None for layer in network.layers)


def test_course_training(course):
    """The course trains with the mean squared error, and Adam with a learning rate of 0.001."""
    network = build_network(course.network, 9)
    compile_network(network, course.training, 1000)
    keras = load_keras()
    assert type(network.optimizer) is keras.optimizers.Adam
    assert 0.001 == pytest.approx(float(network.optimizer.learning_rate))
    assert keras.losses.get("mse") is network.loss
    assert (50, 32) == (course.training.epochs, course.training.batch_size)


def test_layers_take_arguments():
    """Layers get the arguments of the specification."""
    network = build(
        {"layer": "Reshape", "target_shape": [9, 1]},
        {"layer": "Conv1D", "filters": 4, "kernel_size": 3, "activation": "gelu"},
        {"layer": "Flatten"},
        {"layer": "BatchNormalization", "momentum": 0.5},
        {"layer": "Dropout", "rate": 0.25},
        {"layer": "Dense", "units": 1, "kernel_initializer": {"class_name": "HeNormal", "config": {"seed": 3}}},
    )
    assert 4 == network.layers[1].filters
    assert 0.5 == network.layers[3].momentum
    assert 0.25 == network.layers[4].rate
    assert 3 == network.layers[5].kernel_initializer.seed


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([{"layer": "Dense", "units": "many"}, OUTPUT], r"network\.layers\[0\]: Dense refuses its arguments: .*many"),
        ([OUTPUT, {"layer": "Dense"}], r"network\.layers\[1\]: Dense refuses its arguments: .*units"),
        ([{"layer": "Dense", "units": 3, "activation": "rleu"}, OUTPUT], r"layers\[0\]: .* activation .*rleu"),
        ([{"layer": "Dense", "units": 3, "size": 3}, OUTPUT], r"layers\[0\]: .*size"),
        ([{"layer": "Dense", "units": 4}, {"layer": "Conv1D", "filters": 2, "kernel_size": 2}, OUTPUT], r"layers\[1\]"),
        ([{"layer": "Reshape", "target_shape": [4, 3]}, OUTPUT], r"layers\[0\] \(Reshape.* total size .*unchanged"),
        ([{"layer": "Add"}, OUTPUT], r"layers\[0\]: Add takes several inputs"),
        (
            [{"layer": "Dense", "units": 4, "activation": "glu"}, OUTPUT],
            r"layers\[0\] \(Dense\(4, glu\)\) gives .* \(2,\)",
        ),
        ([{"layer": "Dense", "units": 4, "activation": "threshold"}, OUTPUT], r"layers\[0\] .*: threshold\(\) missing"),
        (
            [{"layer": "Dense", "units": 2}],
            r"network\.layers gives \(None, 2\), expected \(None, 1\): one number per title",
        ),
        ([{"layer": "Reshape", "target_shape": [9, 1]}, OUTPUT], r"network\.layers gives \(None, 9, 1\)"),
        ([{"layer": "Layer"}], r"network\.layers\[0\]: Layer is a base class of layers"),
    ],
)
def test_refused_layer_named_by_key(layers, message):
    """A layer that Keras refuses is named by its key, in one plain line."""
    with pytest.raises(JobFileError, match=message) as refused:
        build(*layers)
    assert "\n" not in refused.value.message
    assert "\x1b" not in refused.value.message


@pytest.mark.parametrize(
    ("layer", "suggestion"), [("dense", "Dense"), ("Dens", "Dense"), ("BatchNormalisation", "BatchNormalization")]
)
def test_misspelled_layer_has_suggestion(layer, suggestion):
    """The error for a misspelled layer suggests the right one."""
    with pytest.raises(JobFileError, match=rf"network\.layers\[1\]: Keras has no layer '{layer}'") as refused:
        build({"layer": "Flatten"}, {"layer": layer, "units": 1})
    assert f"Did you mean {suggestion}?" == refused.value.hint


@pytest.mark.parametrize("layer", ["deserialize", "__doc__", "Sequential", "os.system", "Bogus123"])
def test_other_names_are_no_layers(layer):
    """A job file can't call the functions and modules of keras.layers."""
    with pytest.raises(JobFileError, match=r"network\.layers\[0\]: Keras has no layer"):
        build({"layer": layer}, OUTPUT)


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"loss": "mean_squared_errror"}, r"training\.loss: Keras has no loss 'mean_squared_errror'"),
        ({"loss": "LossFunctionWrapper"}, r"training\.loss: Keras has no loss"),
        ({"optimizer": "Adamm"}, r"training\.optimizer: Keras has no optimizer 'Adamm'"),
        (
            {"optimizer": {"name": "Adam", "learning_rate": "fast"}},
            r"training\.optimizer: Adam refuses .*learning_rate",
        ),
        ({"optimizer": {"name": "Adam", "speed": 1}}, r"training\.optimizer: Adam refuses its arguments: .*speed"),
        ({"schedule": "Cosine"}, r"training\.schedule: Keras has no schedule 'Cosine'"),
        (
            {"schedule": "CosineDecay"},
            r"training\.schedule: CosineDecay refuses its arguments: .*initial_learning_rate",
        ),
        (
            {"schedule": {"name": "CosineDecay", "initial_learning_rate": "fast", "decay_epochs": 2}},
            r"training\.schedule: CosineDecay refuses its arguments",
        ),
        (
            {"schedule": {"name": "CosineDecay", "initial_learning_rate": 0.1, "decay_epochs": "two"}},
            r"training\.schedule: CosineDecay refuses its arguments",
        ),
        (
            {
                "optimizer": {"name": "SGD", "learning_rate": 0.1},
                "schedule": {"name": "CosineDecay", "initial_learning_rate": 0.1, "decay_epochs": 2},
            },
            r"training\.optimizer sets a learning_rate, and training\.schedule sets another",
        ),
    ],
)
def test_refused_object_named_by_key(training, message):
    """A loss, optimizer or schedule that Keras refuses is named by its key."""
    with pytest.raises(JobFileError, match=message):
        build_compiled(**training)


def test_misspelled_optimizer_has_suggestion():
    """The error for a misspelled optimizer suggests the right one."""
    with pytest.raises(JobFileError) as refused:
        build_compiled(optimizer="adm")
    assert "Did you mean Adam?" == refused.value.hint


def test_optimizer_takes_arguments():
    """An optimizer gets its arguments."""
    network = build_compiled(optimizer={"name": "SGD", "learning_rate": 0.5, "momentum": 0.9})
    assert 0.5 == pytest.approx(float(network.optimizer.learning_rate))
    assert 0.9 == network.optimizer.momentum


def test_schedule_in_epochs():
    """``decay_epochs`` are converted to steps: 1,000 rows in batches of 32 are 32 steps per epoch."""
    network = build_compiled(schedule={"name": "CosineDecay", "initial_learning_rate": 0.1, "decay_epochs": 3})
    rate = network.optimizer._learning_rate
    assert 3 * 32 == rate.decay_steps
    assert 0.1 == pytest.approx(float(rate(0)))
    assert 0.05 == pytest.approx(float(rate(48)))
    assert 0.0 == pytest.approx(float(rate(96)), abs=1e-9)


def test_schedule_in_steps():
    """``decay_steps`` are not converted."""
    schedule = {"name": "ExponentialDecay", "initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5}
    network = build_compiled(schedule=schedule)
    assert 10 == network.optimizer._learning_rate.decay_steps


def test_seed_sets_initial_weights():
    """The seed decides the initial weights."""

    def initialize(seed):
        seed_everything(seed)
        return np.concatenate([array.ravel() for array in build({"layer": "Dense", "units": 5}, OUTPUT).get_weights()])

    np.testing.assert_array_equal(initialize(3), initialize(3))
    assert not np.array_equal(initialize(3), initialize(4))


def test_layer_names():
    """A layer has the name of the job file, or is named after its class and index, for each network of a process."""
    layers = [
        {"layer": "Dense", "units": 2},
        {"layer": "LeakyReLU"},
        {"layer": "Dense", "units": 1, "name": "earnings"},
    ]
    for _ in range(2):
        network = build_network(NetworkSpec(layers=layers), 3)
        assert ["dense_0", "leakyrelu_1", "earnings"] == [layer.name for layer in network.layers]


def test_duplicate_layer_names_refused():
    """A second layer of the same name is refused by its index."""
    layers = [{"layer": "Dense", "units": 1, "name": "same"}] * 2
    with pytest.raises(JobFileError, match=r"network\.layers\[1\].*unique"):
        build_network(NetworkSpec(layers=layers), 3)
