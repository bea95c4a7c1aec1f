"""Build a keras.Sequential from its specification, give it a loss and an optimizer, and check that it can be trained.

A name or an argument that Keras refuses is reported by its key in the job file.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from gamesales.arrays import FloatArray
from gamesales.errors import JobFileError
from gamesales.training.column_encoder import make_encoder
from gamesales.training.encoding import ENCODER
from gamesales.training.keras_objects import (
    build_unknown_name_error,
    find_classes,
    find_failing_layer,
    load_keras,
    make_layer,
    make_object,
    summarize_error,
)
from gamesales.training.train_job import LayerSpec, NetworkSpec, ObjectSpec, TrainingSpec

_REFUSED_LOSSES = dict.fromkeys(
    ("CategoricalGeneralizedCrossEntropy", "categorical_generalized_cross_entropy"),
    "compares several numbers per title, and a network predicts one",
)
# Keras's own message for MultiOptimizer names another class, which only code can make.
_REFUSED_OPTIMIZERS = {"MultiOptimizer": "takes an optimizer per variable from code that a job file can't hold"}
# The gradient of a loss is taken for zero up to this size.
_ZERO_GRADIENT = 1e-5


def build_network(spec: NetworkSpec, features: int) -> Any:
    """Build an untrained network.

    A layer without a name is named after its class and its index in the job file, such as ``dropout_2``.

    Returns:
        A keras.Sequential from (batch, features) to (batch, 1).

    Raises:
        JobFileError: Keras has no such layer, or the layer refuses its arguments, does not fit the layer before it, or
            mixes titles.
    """
    keras = load_keras()
    network = keras.Sequential([keras.Input((features,), name="scaled_features")], name="gamesales")
    values: Any = _make_probe_titles(features)
    for index, layer_spec in _number_layers(spec):
        key, layer = f"network.layers[{index}]", _make_layer(layer_spec, index)
        try:
            network.add(layer)
            # Some errors, such as those of an activation, only occur with numbers.
            values, fewer = layer(values, training=False), layer(values[:2], training=False)
        except Exception as error:  # layers raise exceptions of many classes about shapes and numbers
            raise JobFileError(
                f"{key} ({layer_spec}) can't be applied to the output of the layer before it: {summarize_error(error)}"
            ) from None
        _check_titles_independent(network, layer_spec, key, np.asarray(values), np.asarray(fewer))
    shape = getattr(network, "output_shape", None)
    if shape != (None, 1):
        raise JobFileError(
            f"network.layers gives {shape}, expected (None, 1): one number per title",
            hint='End with { layer = "Dense", units = 1 }',
        )
    return network


def _number_layers(spec: NetworkSpec) -> Iterable[tuple[int, LayerSpec]]:
    """Number the layers as the job file does, which has no encoder."""
    return enumerate(spec.layers, -1 if spec.layers[0].layer == ENCODER else 0)


def _make_layer(spec: LayerSpec, index: int) -> Any:
    if spec.layer == ENCODER:
        return make_encoder(spec.arguments["columns"])
    # The default names of Keras count all networks of the process.
    arguments = {"name": f"{spec.layer.lower()}_{index}", **spec.arguments}
    return make_layer(spec.layer, arguments, f"network.layers[{index}]")


def make_layers(spec: NetworkSpec) -> list[Any]:
    """Make the layers of a network without their weights, with the same initializers as ``build_network``."""
    return [_make_layer(layer_spec, index) for index, layer_spec in _number_layers(spec)]


def _make_probe_titles(features: int) -> npt.NDArray[np.float32]:
    """Make scaled titles to try layers with: (5, k), three ordinary ones and two far outside the training range.

    A contract may leave a column unbounded, so a layer must accept any number.
    """
    ordinary = np.linspace(0, 1, 3 * features, dtype=np.float32).reshape(3, features)
    return np.concatenate([ordinary, np.full((1, features), 1e4, np.float32), np.full((1, features), -1e4, np.float32)])


def _check_titles_independent(
    network: Any, layer_spec: LayerSpec, key: str, together: npt.NDArray[Any], fewer: npt.NDArray[Any]
) -> None:
    """Refuse a layer whose output for a title depends on the other titles of the batch."""
    shape = network.output_shape[1:]
    if together.shape[1:] != shape:
        raise JobFileError(
            f"{key} ({layer_spec}) gives numbers of shape {together.shape[1:]} where Keras expects {shape}"
        )
    if not np.allclose(together[:2], fewer, rtol=1e-3, atol=1e-5, equal_nan=True):
        raise JobFileError(
            f"{key} ({layer_spec}) makes the prediction for a title depend on the titles that are scored with it",
            hint="Axis 0 is the titles: use another axis",
        )


def compile_network(network: Any, spec: TrainingSpec, rows: int) -> None:
    """Give a network its loss and its optimizer.

    The number of training rows converts ``…_epochs`` of a schedule into ``…_steps``.

    Raises:
        JobFileError: Keras has no such loss, optimizer or schedule, it refuses its arguments, or a network can't be
            trained with it.
    """
    network.compile(optimizer=make_optimizer(spec, rows), loss=_make_loss(spec.loss))


def make_optimizer(spec: TrainingSpec, rows: int) -> Any:
    """Make the optimizer of a job for a number of training rows; see ``compile_network``."""
    name, arguments = spec.optimizer.name, spec.optimizer.arguments
    if name in _REFUSED_OPTIMIZERS:
        raise JobFileError(
            f"training.optimizer: {name} {_REFUSED_OPTIMIZERS[name]}", hint="See docs/reference/layers.md"
        )
    stopping = spec.early_stopping
    if arguments.get("use_ema") and stopping and stopping.restore_best:
        raise JobFileError(
            "training.optimizer averages the weights (use_ema), and training.early_stopping restores weights that are "
            "not averaged (restore_best)",
            hint="Set one of the two to false",
        )
    if spec.schedule is not None:
        if "learning_rate" in arguments:
            raise JobFileError(
                "training.optimizer sets a learning_rate, and training.schedule sets another",
                hint="Remove one of them; the first rate of a schedule is initial_learning_rate",
            )
        arguments["learning_rate"] = _make_schedule(spec.schedule, -(-rows // spec.batch_size))
    return make_object(find_classes("optimizers", "Optimizer"), "optimizer", name, arguments, "training.optimizer")


def _make_schedule(schedule: ObjectSpec, steps_per_epoch: int) -> Any:
    """Make a learning rate that changes from step to step."""
    schedules = load_keras().optimizers.schedules
    constructors = {
        name: member
        for name, member in vars(schedules).items()
        if isinstance(member, type) and member is not schedules.LearningRateSchedule
    }
    return make_object(
        constructors,
        "schedule",
        schedule.name,
        dict(_convert_epochs_to_steps(key, value, steps_per_epoch) for key, value in schedule.arguments.items()),
        "training.schedule",
        # Keras checks most arguments of a schedule only when it first computes with them.
        check=lambda schedule: float(schedule(0)),
    )


def _convert_epochs_to_steps(key: str, value: Any, steps_per_epoch: int) -> tuple[str, Any]:
    """Convert ``decay_epochs`` into ``decay_steps``, and the list ``boundaries_epochs`` into ``boundaries``."""
    if not key.endswith("_epochs"):
        return key, value
    if isinstance(value, list):
        items = [_convert_epochs_to_steps(key, item, steps_per_epoch)[1] for item in value]
        return key.removesuffix("_epochs"), items
    return re.sub("_epochs$", "_steps", key), value * steps_per_epoch


def _make_loss(spec: ObjectSpec) -> Any:
    """Make a loss, and check that it has a gradient for one number per title."""
    key = "training.loss"
    if spec.name in _REFUSED_LOSSES:
        raise JobFileError(
            f"{key}: {spec.name} {_REFUSED_LOSSES[spec.name]}", hint="Use mean_squared_error, for example"
        )
    if spec.arguments:
        loss = make_object(find_classes("losses", "Loss"), "loss", spec.name, spec.arguments, key)
    else:
        loss = _find_loss(spec.name, key)
    try:
        value, gradient = _evaluate_loss(loss)
    except Exception as error:  # losses raise exceptions of many classes
        raise JobFileError(
            f"{key}: {spec.name} can't compare one number per title: {summarize_error(error)}",
            hint="Use mean_squared_error, for example",
        ) from None
    if value.ndim:
        raise JobFileError(
            f"{key}: {spec.name} gives {value.size} losses for {value.size} titles, expected one loss",
            hint="Remove reduction from its arguments",
        )
    if not np.abs(gradient).max() > _ZERO_GRADIENT:
        raise JobFileError(
            f"{key}: {spec.name} has no gradient for one number per title, so a network can't be trained with it",
            hint="It compares several numbers per title. Use mean_squared_error, for example",
        )
    return loss


def _find_loss(name: str, key: str) -> Any:
    """Find a loss by a name that ``keras.losses.get`` knows, such as ``mse``, or by a public name of keras.losses."""
    losses = load_keras().losses
    constructors = {
        public_name: member
        for public_name, member in vars(losses).items()
        if callable(member) and public_name not in ("get", "serialize", "deserialize")
    }
    try:
        return losses.get(name)
    except Exception:  # ValueError for an unknown name, TypeError for a class that takes more than its name
        if name not in constructors:
            raise build_unknown_name_error(constructors, "loss", name, key) from None
    return constructors[name]() if isinstance(constructors[name], type) else constructors[name]


def _evaluate_loss(loss: Callable[..., Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the loss of eight titles, and its gradient with respect to their predictions."""
    import tensorflow as tf

    actual = tf.constant(np.linspace(0.15, 0.85, 8, dtype=np.float32)[:, None])
    predicted = tf.constant(np.linspace(0.8, 0.3, 8, dtype=np.float32)[:, None])
    with warnings.catch_warnings(), tf.GradientTape() as tape:
        warnings.simplefilter("ignore")  # a JobFileError reports what Keras warns about here
        tape.watch(predicted)
        value = loss(actual, predicted)
        if not isinstance(loss, load_keras().losses.Loss):
            value = tf.reduce_mean(value)  # as Keras does with a function
    return value.numpy(), tf.convert_to_tensor(tape.gradient(value, predicted)).numpy()


def check_training_step(network: Any, features: FloatArray, target: FloatArray, spec: TrainingSpec) -> None:
    """Check that a network can take a training step, and undo the step.

    Args:
        network: a keras.Sequential from (batch, k) to (batch, 1), untrained.
        features: (n, k), scaled. The step uses the first batch.
        target: (n,), scaled.
        spec: the loss, the optimizer and the batch size.

    Raises:
        JobFileError: a layer only works in scoring, or the loss or a weight after the step is not a finite number.
    """
    import tensorflow as tf

    compile_network(network, spec, len(target))
    before = [variable.numpy().copy() for variable in network.variables]
    x, y = (tf.constant(values[: spec.batch_size].astype(np.float32)) for values in (features, target[:, None]))
    try:
        _trace_training(network, x)
        with tf.GradientTape() as tape:
            loss = network.compute_loss(x=x, y=y, y_pred=network(x, training=True))
        network.optimizer.apply(tape.gradient(loss, network.trainable_weights), network.trainable_weights)
    except Exception as error:  # layers, losses and optimizers raise exceptions of many classes
        layers = network.layers
        layer = find_failing_layer(network, lambda index: _trace_training(layers[index], layers[index].input))
        raise JobFileError(f"{layer} can't be trained: {summarize_error(error)}") from None
    is_finite = all(np.isfinite(variable.numpy()).all() for variable in network.trainable_variables)
    for variable, value in zip(network.variables, before, strict=True):
        variable.assign(value)
    if not np.isfinite(loss):
        raise JobFileError(
            f"training.loss: {spec.loss.name} is {float(loss)} for the untrained network",
            hint='Some losses need predictions between 0 and 1: end with { layer = "Dense", units = 1, activation = '
            '"sigmoid" }, or use mean_squared_error',
        )
    if not is_finite:
        raise JobFileError(
            f"training.optimizer: after the first step of {spec.optimizer.name}, a weight is not a finite number",
            hint="Lower its learning rate, or use another loss",
        )


def compute_weights_digest(network: Any, spec: NetworkSpec, scaling: Mapping[str, Any]) -> str:
    """Compute the SHA-256 of what decides the predictions of a trained network: its layers, its weights, the scaling.

    The bytes of the scoring graph are no substitute. They also have names that Keras counts up within a process.
    """
    document = json.dumps([spec.model_dump(mode="json"), scaling], sort_keys=True)
    digest = hashlib.sha256(document.encode("utf-8"))
    for weights in network.get_weights():
        digest.update(weights.tobytes())
    return digest.hexdigest()


def _trace_training(layer: Any, values: Any) -> None:
    """Trace a layer in training for a batch of any size, as fitting does. Some layers only work eagerly."""
    import tensorflow as tf

    batch = tf.TensorSpec((None, *values.shape[1:]), values.dtype)
    tf.function(lambda batch: layer(batch, training=True), autograph=False).get_concrete_function(batch)
