"""The specification becomes a Keras Sequential; every name and argument that Keras refuses is told by its key."""

from __future__ import annotations

import difflib
import logging
import os
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from gamesales.errors import JobFileError
from gamesales.model.spec import NetworkSpec, TrainingSpec


def load_keras() -> Any:
    """Import Keras on TensorFlow, once, with TensorFlow's start-up chatter off.

    oneDNN reorders sums by the processor's mood; without it the same seed gives the same weights.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras

    # A function that is compiled anew for each network is no mistake when several are trained in a process.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
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
    """Build the untrained network; layer 2 is named after its class and its place, ``dropout_2``, or as it says.

    Args: features: k, the number of columns.  Returns: a keras.Sequential from (batch, k) to (batch, 1).
    Raises: JobFileError: a layer does not exist, refuses its arguments or does not fit the one before it.
    """
    keras = load_keras()
    network = keras.Sequential([keras.Input((features,), name="scaled_features")], name="gamesales")
    values: Any = np.zeros((1, features), np.float32)
    for place, layer in enumerate(spec.layers):
        key = f"network.layers[{place}]"
        # Keras's own names count up over all networks of a process; these tell the place in the job file.
        arguments = {"name": f"{layer.layer.lower()}_{place}", **layer.arguments}
        made = _make(keras.layers, layer.layer, arguments, key, keras.layers.Layer)
        try:
            network.add(made)
            values = made(values, training=False)  # some faults, such as an activation's, show with numbers only
        except Exception as error:  # each layer raises what it likes about shapes
            raise JobFileError(
                f"{key} ({layer}) can't be applied to what comes before it: {_first_line(error)}"
            ) from None
    shape = getattr(network, "output_shape", None)
    if shape != (None, 1):
        raise JobFileError(
            f"network.layers gives {shape}, expected (None, 1): one number a title",
            hint='End with { layer = "Dense", units = 1 }',
        )
    return network


def compile_network(network: Any, spec: TrainingSpec, rows: int) -> None:
    """Give a network its loss and its optimizer.

    Args: rows: the training rows, which turn a schedule's ``…_epochs`` into Keras's ``…_steps``.
    Raises: JobFileError: Keras has no such thing, or it refuses its arguments.
    """
    keras = load_keras()
    arguments = spec.optimizer.arguments
    if spec.schedule is not None:
        if "learning_rate" in arguments:
            raise JobFileError(
                "training.optimizer gives a learning_rate and training.schedule another",
                hint="Remove one of them; a schedule takes its first as initial_learning_rate",
            )
        steps = -(-rows // spec.batch_size)
        in_steps = {
            _to_steps(key): value * steps if key.endswith("_epochs") else value
            for key, value in spec.schedule.arguments.items()
        }
        schedules = keras.optimizers.schedules
        arguments["learning_rate"] = _make(
            schedules,
            spec.schedule.name,
            in_steps,
            "training.schedule",
            schedules.LearningRateSchedule,
            # Keras looks at most of a schedule's arguments when it first computes with them.
            check=lambda schedule: float(schedule(0)),
        )
    optimizer = _make(
        keras.optimizers, spec.optimizer.name, arguments, "training.optimizer", keras.optimizers.Optimizer
    )
    try:
        loss = keras.losses.get(spec.loss)
    except Exception:  # ValueError for an unknown name, TypeError for a class that takes more than its name
        raise JobFileError(
            f"training.loss: Keras has no loss {spec.loss!r}", hint="mean_squared_error, for one"
        ) from None
    network.compile(optimizer=optimizer, loss=loss)


def _to_steps(key: str) -> str:
    return re.sub("_epochs$", "_steps", key)


def _make(
    module: ModuleType,
    name: str,
    arguments: dict[str, Any],
    key: str,
    base: type,
    *,
    check: Callable[[Any], object] = lambda made: None,
) -> Any:
    """Call a class of Keras's by its name, and tell its refusal, or that of ``check``, by the key of the job file."""
    classes = {known: value for known, value in vars(module).items() if _is_class(value, base)}
    if name not in classes:
        by_small_letters = {known.lower(): known for known in classes}
        near = difflib.get_close_matches(name.lower(), by_small_letters, n=1)
        hint = (
            f"Did you mean {by_small_letters[near[0]]}?" if near else "See the names on the Keras site under API docs"
        )
        raise JobFileError(f"{key}: Keras has no {module.__name__.rpartition('.')[2]} class {name!r}", hint=hint)
    try:
        made = classes[name](**arguments)
        check(made)
    except Exception as error:  # constructors raise TypeError, ValueError and more
        raise JobFileError(f"{key}: {name} refuses its arguments: {_first_line(error)}") from None
    return made


def _is_class(value: object, base: type) -> bool:
    return isinstance(value, type) and issubclass(value, base)


def _first_line(error: Exception) -> str:
    """Return the first line that says something; Keras wraps what a layer raises in lines of its own, and in bold."""
    lines = [line.strip() for line in re.sub(r"\x1b\[\d*m", "", str(error)).splitlines()]
    return next((line for line in lines if line and not line.startswith("Exception encountered")), type(error).__name__)
