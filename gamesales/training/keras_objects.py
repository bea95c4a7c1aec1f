"""Keras objects by their names and arguments in a job file.

    kernel_initializer = { name = "HeNormal", seed = 1 }         from keras.initializers
    activation = { name = "LeakyReLU", negative_slope = 0.1 }    from keras.layers or keras.activations
    wrapped = { layer = "LSTM", units = 8 }                      a layer inside another layer

The last word of an argument gives the module. ``layer`` gives a layer in any argument. A name or an argument that Keras
refuses is reported by its key in the job file.
"""

from __future__ import annotations

import difflib
import logging
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from gamesales.errors import JobFileError

_ABSTRACT = "is a base class of layers and computes nothing by itself"
_CODE = "runs code that a job file can't hold"
_SEVERAL_INPUTS = "takes several inputs, and a layer of a Sequential has one"
_CELL = "is a part of a layer"
_TEXT = "takes text, and scaled features are numbers"
# Layers that can't be part of a Sequential over scaled features, whatever their arguments.
_REFUSED_LAYERS = {
    **dict.fromkeys(("Layer", "Wrapper"), _ABSTRACT),
    **dict.fromkeys(("Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"), _CODE),
    **dict.fromkeys(("Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum"), _SEVERAL_INPUTS),
    **dict.fromkeys(("Multiply", "Subtract", "HashedCrossing"), _SEVERAL_INPUTS),
    **dict.fromkeys(("AdditiveAttention", "Attention", "GroupQueryAttention", "MultiHeadAttention"), _SEVERAL_INPUTS),
    **dict.fromkeys(("GRUCell", "LSTMCell", "SimpleRNNCell", "StackedRNNCells"), _CELL),
    **dict.fromkeys(("StringLookup", "TextVectorization"), _TEXT),
    "InputLayer": "is already there: it takes the scaled features",
}
_SEE_PAGE = "See docs/reference/layers.md"
_HINTS = {_CELL: 'For example, { layer = "RNN", cell = { layer = "GRUCell", units = 4 } }'}

# The last word of an argument, the module of Keras that has its classes, and the base of these classes.
_MODULES = {
    "initializer": ("initializers", "Initializer"),
    "regularizer": ("regularizers", "Regularizer"),
    "constraint": ("constraints", "Constraint"),
    "optimizer": ("optimizers", "Optimizer"),
}
_DTYPES = ("float32", "float64")


def load_keras() -> Any:
    """Import Keras with TensorFlow as its backend, without the log messages of TensorFlow's start.

    oneDNN is off, because it may change the order of sums: without it, the same seed gives the same weights.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    os.environ["KERAS_BACKEND"] = "tensorflow"
    # A higher level takes longer to compile a small network, and longer to train it.
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=1")
    # Keras imports matplotlib, which announces that it builds its cache of fonts.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    import keras

    # TensorFlow warns when functions are compiled again, which is necessary for each network of a process.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    if keras.backend.backend() != "tensorflow":
        raise JobFileError(f"Keras runs on {keras.backend.backend()}, expected tensorflow; start a new process")
    return keras


def seed_everything(seed: int) -> None:
    """Seed the generators of Python, NumPy and TensorFlow, and make TensorFlow's kernels deterministic."""
    keras = load_keras()
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def make_layer(name: str, arguments: Mapping[str, Any], key: str, *, is_nested: bool = False) -> Any:
    """Make a layer.

    Args:
        name: the class of the layer.
        arguments: as in the job file; ``wrapped`` is the argument that Keras calls ``layer``.
        key: the key of the layer in the job file, for the error.
        is_nested: whether the layer is an argument of another layer.

    Raises:
        JobFileError: Keras has no such layer, the layer refuses its arguments, or a job file can't use the layer.
    """
    keras = load_keras()
    reason = _REFUSED_LAYERS.get(name)
    if reason and not (is_nested and reason == _CELL):
        raise JobFileError(f"{key}: {name} {reason}", hint=_HINTS.get(reason, _SEE_PAGE))
    arguments = dict(arguments)
    if "wrapped" in arguments:
        arguments["layer"] = arguments.pop("wrapped")
    if name == "Normalization" and "mean" not in arguments:
        raise JobFileError(
            f"{key}: Normalization learns its mean and variance from adapt(), which training does not call",
            hint="Give mean and variance, or use BatchNormalization; the features are already scaled to 0 to 1",
        )
    layer = make_object(find_classes("layers", "Layer"), "layer", name, arguments, key)
    if isinstance(layer.dtype_policy, keras.dtype_policies.QuantizedDTypePolicy) or layer.compute_dtype not in _DTYPES:
        raise JobFileError(
            f"{key}: {name} computes in {layer.compute_dtype}; expected {' or '.join(_DTYPES)}, as in scoring",
            hint="Remove dtype from its arguments",
        )
    return layer


def find_classes(module: str, base: str) -> dict[str, Any]:
    """Return the subclasses of a base class in a module of Keras by their names, aliases included."""
    members = vars(getattr(load_keras(), module))
    return {name: member for name, member in members.items() if _is_subclass(member, members[base])}


def make_object(
    constructors: Mapping[str, Callable[..., Any]],
    kind: str,
    name: str,
    arguments: Mapping[str, Any],
    key: str,
    *,
    check: Callable[[Any], object] = lambda instance: None,
) -> Any:
    """Make a Keras object, and the objects that its arguments describe.

    Args:
        constructors: the constructors by their names.
        kind: what the constructors make, for the error.
        name: the constructor to call.
        arguments: as in the job file.
        key: the key of the object in the job file, for the error.
        check: called with the object; raises an exception to refuse it.

    Raises:
        JobFileError: the name is unknown, or the constructor or ``check`` refuses the arguments.
    """
    if name not in constructors:
        raise build_unknown_name_error(constructors, kind, name, key)
    values = {argument: _make_argument(argument, value, f"{key}.{argument}") for argument, value in arguments.items()}
    try:
        instance = constructors[name](**values)
        check(instance)
    except Exception as error:  # constructors raise TypeError, ValueError and more
        raise JobFileError(f"{key}: {name} refuses its arguments: {summarize_error(error)}") from None
    return instance


def build_unknown_name_error(names: Mapping[str, object], kind: str, name: str, key: str) -> JobFileError:
    """Return the error for an unknown name. Its hint is the most similar name."""
    by_lower_case = {other.lower(): other for other in names}
    similar = difflib.get_close_matches(name.lower(), by_lower_case, n=1)
    hint = f"Did you mean {by_lower_case[similar[0]]}?" if similar else _SEE_PAGE
    return JobFileError(f"{key}: Keras has no {kind} {name!r}", hint=hint)


def _make_argument(argument: str, value: Any, key: str) -> Any:
    """Make the object that a table describes; return any other value as it is."""
    if isinstance(value, list):
        return [_make_argument(argument, item, f"{key}[{index}]") for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("layer"), str):
        # The default names of Keras count all networks of the process, so a nested layer is named after its key.
        suffix = re.sub(r"\D+", "_", key).strip("_")
        arguments = {"name": f"{value['layer'].lower()}_{suffix}", **value}
        return make_layer(arguments.pop("layer"), arguments, key, is_nested=True)
    kind = argument.rpartition("_")[2]
    if not isinstance(value.get("name"), str) or kind not in (*_MODULES, "activation"):
        return value
    arguments = {name: item for name, item in value.items() if name != "name"}
    if kind == "activation" and not arguments:
        return value["name"]
    constructors = _find_activations() if kind == "activation" else find_classes(*_MODULES[kind])
    return make_object(constructors, kind, value["name"], arguments, key)


def _find_activations() -> dict[str, Any]:
    """Return the classes of activations that take arguments and can be saved: layers and operations of Keras.

    The functions of keras.activations are no alternative: Keras can't save a function that is bound to its arguments.
    """
    keras = load_keras()
    from keras.src.ops import nn

    operations = {name.lower(): member for name, member in vars(nn).items() if _is_subclass(member, keras.Operation)}
    return {
        **{name: getattr(keras.layers, name) for name in ("ELU", "LeakyReLU", "PReLU", "ReLU", "Softmax")},
        **{
            name: operations[name.replace("_", "")]
            for name in vars(keras.activations)
            # The layer ReLU takes arguments; the operation relu takes none.
            if name.replace("_", "") in operations and name != "relu"
        },
    }


def _is_subclass(value: object, base: type) -> bool:
    return isinstance(value, type) and issubclass(value, base) and value is not base


def find_failing_layer(network: Any, check: Callable[[int], object]) -> str:
    """Return the key and the class of the first layer for whose index a check raises an exception.

    For example ``network.layers[2] (Dropout)``, or ``network.layers`` if the check passes for each layer.
    """
    for index, layer in enumerate(network.layers):
        try:
            check(index)
        except Exception:  # layers and converters raise exceptions of many classes
            return f"network.layers[{index}] ({type(layer).__name__})"
    return "network.layers"


def summarize_error(error: Exception) -> str:
    """Return the first informative line of an error.

    Keras wraps the message of a layer in lines of its own, and in bold. TensorFlow adds names of its functions.
    """
    plain = re.sub(r"\x1b\[\d*m|\{\{.*?\}\}|\[Op:.*", "", str(error))
    lines = [line.strip() for line in plain.splitlines()]
    return next((line for line in lines if line and not line.startswith("Exception encountered")), type(error).__name__)
