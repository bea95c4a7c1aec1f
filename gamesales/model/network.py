"""The specification becomes a Keras Sequential; every name and argument that Keras refuses is told by its key."""

from __future__ import annotations

import os
import re
from types import ModuleType
from typing import Any

from gamesales.errors import JobFileError
from gamesales.model.spec import NetworkSpec, TrainingSpec


def load_keras() -> Any:
    """Import Keras on TensorFlow, once, with TensorFlow's start-up chatter off.

    oneDNN reorders sums by the processor's mood; without it the same seed gives the same weights.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras

    if keras.backend.backend() != "tensorflow":
        raise JobFileError(f"Keras runs on {keras.backend.backend()}, expected tensorflow; start a fresh process")
    return keras


def seed_everything(seed: int) -> None:
    """Make what follows reproducible: Python's, NumPy's and TensorFlow's random numbers, and TensorFlow's kernels."""
    keras = load_keras()
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def build_network(spec: NetworkSpec, features: int) -> Any:
    """Build the untrained network.

    Args: features: k, the number of columns.  Returns: a keras.Sequential from (batch, k) to (batch, 1).
    Raises: JobFileError: a layer does not exist, refuses its arguments or does not fit the one before it.
    """
    keras = load_keras()
    network = keras.Sequential([keras.Input((features,), name="scaled_features")], name="gamesales")
    for place, layer in enumerate(spec.layers):
        key = f"network.layers[{place}]"
        made = _make(keras.layers, layer.layer, layer.arguments, key, keras.layers.Layer)
        try:
            network.add(made)
        except Exception as error:  # each layer raises what it likes about shapes
            raise JobFileError(f"{key} ({layer}) does not fit the layer before it: {_first_line(error)}") from None
    if network.output_shape != (None, 1):
        raise JobFileError(
            f"network.layers gives {network.output_shape}, expected (None, 1): one number a title",
            hint='End with { layer = "Dense", units = 1 }',
        )
    return network


def compile_network(network: Any, spec: TrainingSpec, rows: int) -> None:
    """Give a network its loss and its optimizer.

    Args: rows: the training rows, which turn a schedule's ``…_epochs`` into Keras's ``…_steps``.
    """
    keras = load_keras()
    arguments = spec.optimizer.arguments
    if spec.schedule is not None:
        steps = -(-rows // spec.batch_size)
        in_steps = {
            _to_steps(key): value * steps if key.endswith("_epochs") else value
            for key, value in spec.schedule.arguments.items()
        }
        schedules = keras.optimizers.schedules
        arguments["learning_rate"] = _make(
            schedules, spec.schedule.name, in_steps, "training.schedule", schedules.LearningRateSchedule
        )
    optimizer = _make(
        keras.optimizers, spec.optimizer.name, arguments, "training.optimizer", keras.optimizers.Optimizer
    )
    try:
        loss = keras.losses.get(spec.loss)
    except ValueError:
        raise JobFileError(
            f"training.loss: Keras has no loss {spec.loss!r}", hint="mean_squared_error, for one"
        ) from None
    network.compile(optimizer=optimizer, loss=loss)


def _to_steps(key: str) -> str:
    return re.sub("_epochs$", "_steps", key)


def _make(module: ModuleType, name: str, arguments: dict[str, Any], key: str, base: type) -> Any:
    """Call a class of Keras's by its name, and tell its refusal by the key of the job file."""
    made = getattr(module, name, None)
    if not (isinstance(made, type) and issubclass(made, base)):
        near = [known for known in dir(module) if known.lower() == name.lower()]
        hint = f"Did you mean {near[0]}?" if near else "See the names on the Keras site under API docs"
        raise JobFileError(f"{key}: Keras has no {module.__name__.rpartition('.')[2]} class {name!r}", hint=hint)
    try:
        return made(**arguments)
    except Exception as error:  # constructors raise TypeError, ValueError and more
        raise JobFileError(f"{key}: {name} refuses its arguments: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
