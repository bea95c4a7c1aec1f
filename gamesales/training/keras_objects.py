"""What a job file names of Keras's, with its arguments, becomes an object of Keras's; a refusal is told by its key.

kernel_initializer = { name = "HeNormal", seed = 1 }      by the argument's last word, of keras.initializers
activation = { name = "LeakyReLU", negative_slope = 0.1 } of keras.layers or keras.activations
wrapped = { layer = "LSTM", units = 8 }                   a layer inside another one, whatever the argument
"""

from __future__ import annotations

import difflib
import logging
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from gamesales.errors import JobFileError

_ABSTRACT = "is what layers are made from, and computes nothing by itself"
_CODE = "runs code that a job file can't hold"
_INPUTS = "takes several inputs, and a layer of a Sequential has one"
_CELL = "is a part of a layer"
_TEXT = "takes text, and scaled features are numbers"
# What no arguments could make a layer of a Sequential over scaled features.
REFUSED_LAYERS = {
    **dict.fromkeys(("Layer", "Wrapper"), _ABSTRACT),
    **dict.fromkeys(("Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"), _CODE),
    **dict.fromkeys(("Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract"), _INPUTS),
    **dict.fromkeys(("AdditiveAttention", "Attention", "GroupQueryAttention", "MultiHeadAttention"), _INPUTS),
    "HashedCrossing": _INPUTS,
    **dict.fromkeys(("GRUCell", "LSTMCell", "SimpleRNNCell", "StackedRNNCells"), _CELL),
    **dict.fromkeys(("StringLookup", "TextVectorization"), _TEXT),
    "InputLayer": "is there already: the scaled features",
}
_HINTS = {_CELL: '{ layer = "RNN", cell = { layer = "GRUCell", units = 4 } }, for one'}

# By the last word of an argument: the module of Keras's and the class that all of its classes are.
_MODULES = {
    "initializer": ("initializers", "Initializer"),
    "regularizer": ("regularizers", "Regularizer"),
    "constraint": ("constraints", "Constraint"),
    "optimizer": ("optimizers", "Optimizer"),
}
_DTYPES = ("float32", "float64")

Check = Callable[[Any], object]


def make_layer(name: str, arguments: Mapping[str, Any], key: str) -> Any:
    """Make a layer; ``wrapped`` is what Keras calls ``layer``, which in a job file names the class.

    Args: key: where the job file names it, for the error.
    Raises: JobFileError: Keras has no such layer, it refuses its arguments, or it is none for a job file.
    """
    return _layer(name, dict(arguments), key, inside=False)


def _layer(name: str, arguments: dict[str, Any], key: str, *, inside: bool) -> Any:
    keras = load_keras()
    reason = REFUSED_LAYERS.get(name)
    if reason and not (inside and reason == _CELL):
        raise JobFileError(f"{key}: {name} {reason}", hint=_HINTS.get(reason, "See docs/layers.md"))
    if "wrapped" in arguments:
        arguments["layer"] = arguments.pop("wrapped")
    if name == "Normalization" and "mean" not in arguments:
        raise JobFileError(
            f"{key}: Normalization learns its numbers from adapt(), which training does not call",
            hint="Give mean and variance, or use BatchNormalization; the features are scaled to 0 to 1 already",
        )
    made = make_named(classes_of("layers", "Layer"), "layer", name, arguments, key)
    if isinstance(made.dtype_policy, keras.dtype_policies.QuantizedDTypePolicy) or made.compute_dtype not in _DTYPES:
        raise JobFileError(
            f"{key}: {name} computes in {made.compute_dtype}; expected {' or '.join(_DTYPES)}, as scoring does",
            hint="Leave dtype out, if it is given",
        )
    return made


def classes_of(module: str, base: str) -> dict[str, Any]:
    """Return the classes of a module of Keras's by their names, aliases included, without their common base."""
    found = getattr(load_keras(), module)
    root = getattr(found, base)
    return {name: value for name, value in vars(found).items() if _is_below(value, root)}


def make_named(
    known: Mapping[str, Callable[..., Any]],
    kind: str,
    name: str,
    arguments: Mapping[str, Any],
    key: str,
    *,
    check: Check = lambda made: None,
) -> Any:
    """Call what has this name, with the objects that its arguments describe.

    Args:
        known: what there is.
        kind: what all of that is, for the error.
        name: of which one.
        arguments: as the job file has them.
        key: where the job file has them.
        check: called with what was made, to refuse it with an exception.

    Raises: JobFileError: there is no such name, or the call or ``check`` refuses the arguments.
    """
    if name not in known:
        raise unknown(known, kind, name, key)
    given = {argument: _object(argument, value, f"{key}.{argument}") for argument, value in arguments.items()}
    try:
        made = known[name](**given)
        check(made)
    except Exception as error:  # constructors raise TypeError, ValueError and more
        raise JobFileError(f"{key}: {name} refuses its arguments: {first_line(error)}") from None
    return made


def unknown(known: Mapping[str, object], kind: str, name: str, key: str) -> JobFileError:
    """Return the error for a name that is none, with the one that was meant."""
    by_small_letters = {found.lower(): found for found in known}
    near = difflib.get_close_matches(name.lower(), by_small_letters, n=1)
    hint = f"Did you mean {by_small_letters[near[0]]}?" if near else "See docs/layers.md"
    return JobFileError(f"{key}: Keras has no {kind} {name!r}", hint=hint)


def _object(argument: str, value: Any, key: str) -> Any:
    """Make what a table describes, and leave everything else as it is."""
    if isinstance(value, list):
        return [_object(argument, part, f"{key}[{place}]") for place, part in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("layer"), str):
        # Keras counts its own names up over all networks of a process, so a name is given here too.
        place = re.sub(r"\D+", "_", key).strip("_")
        given = {"name": f"{value['layer'].lower()}_{place}", **value}
        return _layer(given.pop("layer"), given, key, inside=True)
    kind = argument.rpartition("_")[2]
    if not isinstance(value.get("name"), str) or kind not in (*_MODULES, "activation"):
        return value
    rest = {name: given for name, given in value.items() if name != "name"}
    if kind == "activation" and not rest:
        return value["name"]
    known = _activations() if kind == "activation" else classes_of(*_MODULES[kind])
    return make_named(known, kind, value["name"], rest, key)


def _activations() -> dict[str, Any]:
    """Return what makes an activation that takes arguments and can be saved: Keras's layers and its operations.

    The functions of keras.activations would have to be bound to their arguments, which Keras can't write to a file.
    """
    keras = load_keras()
    from keras.src.ops import nn

    operations = {name.lower(): value for name, value in vars(nn).items() if _is_below(value, keras.Operation)}
    return {
        **{name: getattr(keras.layers, name) for name in ("ELU", "LeakyReLU", "PReLU", "ReLU", "Softmax")},
        **{
            name: operations[name.replace("_", "")]
            for name in vars(keras.activations)
            if name.replace("_", "") in operations and name != "relu"  # the layer takes arguments, the operation none
        },
    }


def _is_below(value: object, base: type) -> bool:
    return isinstance(value, type) and issubclass(value, base) and value is not base


def first_line(error: Exception) -> str:
    """Return the first line that says something.

    Keras wraps what a layer raises in lines of its own, and in bold; TensorFlow adds the names of its functions.
    """
    plain = re.sub(r"\x1b\[\d*m|\{\{.*?\}\}|\[Op:.*", "", str(error))
    lines = [line.strip() for line in plain.splitlines()]
    return next((line for line in lines if line and not line.startswith("Exception encountered")), type(error).__name__)


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
