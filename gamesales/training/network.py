"""The specification becomes a Keras Sequential; every name and argument that Keras refuses is told by its key."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from gamesales.errors import JobFileError
from gamesales.training.keras_objects import (
    classes_of,
    first_line,
    load_keras,
    make_layer,
    make_named,
    seed_everything,
    unknown,
)
from gamesales.training.spec import LayerSpec, Named, NetworkSpec, TrainingSpec

__all__ = ["build_network", "compile_network", "load_keras", "seed_everything"]


def build_network(spec: NetworkSpec, features: int) -> Any:
    """Build the untrained network; layer 2 is named after its class and its place, ``dropout_2``, or as it says.

    Args: features: k, the number of columns.  Returns: a keras.Sequential from (batch, k) to (batch, 1).
    Raises: JobFileError: a layer does not exist, refuses its arguments, does not fit the one before or mixes titles.
    """
    keras = load_keras()
    network = keras.Sequential([keras.Input((features,), name="scaled_features")], name="gamesales")
    values: Any = _titles(features)
    for place, layer in enumerate(spec.layers):
        key = f"network.layers[{place}]"
        # Keras's own names count up over all networks of a process; these tell the place in the job file.
        made = make_layer(layer.layer, {"name": f"{layer.layer.lower()}_{place}", **layer.arguments}, key)
        try:
            network.add(made)
            # Some faults, such as an activation's, show with numbers only.
            values, fewer = made(values, training=False), made(values[:2], training=False)
        except Exception as error:  # each layer raises what it likes about shapes and numbers
            raise JobFileError(
                f"{key} ({layer}) can't be applied to what comes before it: {first_line(error)}"
            ) from None
        _check_titles_stay_apart(network, layer, key, np.asarray(values), np.asarray(fewer))
    shape = getattr(network, "output_shape", None)
    if shape != (None, 1):
        raise JobFileError(
            f"network.layers gives {shape}, expected (None, 1): one number a title",
            hint='End with { layer = "Dense", units = 1 }',
        )
    return network


def _titles(features: int) -> npt.NDArray[np.float32]:
    """Return scaled titles to try layers with: (5, k), ordinary ones first, and two far outside what training saw.

    A contract may leave a column open, so that a layer which takes numbers of some range alone is none for a job file.
    """
    ordinary = np.linspace(0, 1, 3 * features, dtype=np.float32).reshape(3, features)
    return np.concatenate([ordinary, np.full((1, features), 1e4, np.float32), np.full((1, features), -1e4, np.float32)])


def _check_titles_stay_apart(
    network: Any, layer: LayerSpec, key: str, together: npt.NDArray[Any], fewer: npt.NDArray[Any]
) -> None:
    """Refuse a layer that gives a title something else when others are scored with it."""
    shape = network.output_shape[1:]
    if together.shape[1:] != shape:
        raise JobFileError(f"{key} ({layer}) gives numbers of shape {together.shape[1:]} where Keras expects {shape}")
    if not np.allclose(together[:2], fewer, rtol=1e-3, atol=1e-5, equal_nan=True):
        raise JobFileError(
            f"{key} ({layer}) makes the prediction for a title depend on the titles that are scored with it",
            hint="Axis 0 is the titles: use another axis",
        )


_REFUSED_LOSSES = dict.fromkeys(
    ("CategoricalGeneralizedCrossEntropy", "categorical_generalized_cross_entropy"),
    "compares several numbers a title, and a network gives one",
)
# Keras's own message for it is about a class of another kind, which only code can make.
_REFUSED_OPTIMIZERS = {
    "MultiOptimizer": "gives each variable an optimizer of its own by code that a job file can't hold"
}
_NO_DIRECTION = 1e-5


def compile_network(network: Any, spec: TrainingSpec, rows: int) -> None:
    """Give a network its loss and its optimizer.

    Args: rows: the training rows, which turn a schedule's ``…_epochs`` into Keras's ``…_steps``.
    Raises: JobFileError: Keras has no such thing, it refuses its arguments, or nothing could be learnt with it.
    """
    network.compile(optimizer=_optimizer(spec, rows), loss=_loss(spec.loss))


def _optimizer(spec: TrainingSpec, rows: int) -> Any:
    name, arguments = spec.optimizer.name, spec.optimizer.arguments
    if name in _REFUSED_OPTIMIZERS:
        raise JobFileError(f"training.optimizer: {name} {_REFUSED_OPTIMIZERS[name]}", hint="See docs/layers.md")
    stopping = spec.early_stopping
    if arguments.get("use_ema") and stopping and stopping.restore_best:
        raise JobFileError(
            "training.optimizer averages the weights (use_ema), and training.early_stopping goes back to weights "
            "that are not averaged (restore_best)",
            hint="Set one of the two to false",
        )
    if spec.schedule is not None:
        if "learning_rate" in arguments:
            raise JobFileError(
                "training.optimizer gives a learning_rate and training.schedule another",
                hint="Remove one of them; a schedule takes its first as initial_learning_rate",
            )
        arguments["learning_rate"] = _schedule(spec.schedule, -(-rows // spec.batch_size))
    return make_named(classes_of("optimizers", "Optimizer"), "optimizer", name, arguments, "training.optimizer")


def _schedule(schedule: Named, steps: int) -> Any:
    """Make a learning rate that changes from step to step, where an epoch has so many."""
    schedules = load_keras().optimizers.schedules
    known = {
        name: value
        for name, value in vars(schedules).items()
        if isinstance(value, type) and value is not schedules.LearningRateSchedule
    }
    return make_named(
        known,
        "schedule",
        schedule.name,
        dict(_in_steps(key, value, steps) for key, value in schedule.arguments.items()),
        "training.schedule",
        # Keras looks at most of a schedule's arguments when it first computes with them.
        check=lambda made: float(made(0)),
    )


def _in_steps(key: str, value: Any, steps: int) -> tuple[str, Any]:
    """Turn ``decay_epochs`` into ``decay_steps``, and ``boundaries_epochs``, a list, into ``boundaries``."""
    if not key.endswith("_epochs"):
        return key, value
    if isinstance(value, list):
        return key.removesuffix("_epochs"), [_in_steps(key, part, steps)[1] for part in value]
    return re.sub("_epochs$", "_steps", key), value * steps


def _loss(named: Named) -> Any:
    """Make a loss and look whether it tells a network which way to go, with one number a title."""
    losses = load_keras().losses
    key = "training.loss"
    if named.name in _REFUSED_LOSSES:
        raise JobFileError(
            f"{key}: {named.name} {_REFUSED_LOSSES[named.name]}", hint="mean_squared_error, for one, compares one"
        )
    if named.arguments:
        loss = make_named(classes_of("losses", "Loss"), "loss", named.name, named.arguments, key)
    else:
        loss = _plain_loss(losses, named.name, key)
    try:
        value, gradient = _at_work(loss)
    except Exception as error:  # as each loss likes
        raise JobFileError(
            f"{key}: {named.name} can't compare one number a title with another: {first_line(error)}",
            hint="mean_squared_error, for one",
        ) from None
    if value.ndim:
        raise JobFileError(
            f"{key}: {named.name} gives {value.size} losses for {value.size} titles, expected one",
            hint="Leave reduction out",
        )
    if not np.abs(gradient).max() > _NO_DIRECTION:
        raise JobFileError(
            f"{key}: {named.name} does not change with a prediction of one number a title: nothing would be learnt",
            hint="It compares several numbers a title; mean_squared_error, for one, compares one",
        )
    return loss


def _plain_loss(losses: Any, name: str, key: str) -> Any:
    """Find a loss by its name alone: what Keras knows by it, ``mse`` too, or else a public one of its module."""
    known = {
        found: value
        for found, value in vars(losses).items()
        if callable(value) and found not in ("get", "serialize", "deserialize")
    }
    try:
        return losses.get(name)
    except Exception:  # ValueError for an unknown name, TypeError for a class that takes more than its name
        if name not in known:
            raise unknown(known, "loss", name, key) from None
    return known[name]() if isinstance(known[name], type) else known[name]


def _at_work(loss: Callable[..., Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return what a loss gives for eight titles, and its gradient by their predictions."""
    import tensorflow as tf

    actual = tf.constant(np.linspace(0.15, 0.85, 8, dtype=np.float32)[:, None])
    predicted = tf.constant(np.linspace(0.8, 0.3, 8, dtype=np.float32)[:, None])
    with warnings.catch_warnings(), tf.GradientTape() as tape:
        warnings.simplefilter("ignore")  # what Keras warns of here is refused in words of our own
        tape.watch(predicted)
        value = loss(actual, predicted)
        if not isinstance(loss, load_keras().losses.Loss):
            value = tf.reduce_mean(value)  # as Keras does with a function
    return value.numpy(), tf.convert_to_tensor(tape.gradient(value, predicted)).numpy()
