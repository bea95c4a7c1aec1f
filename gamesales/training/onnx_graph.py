"""Keras to ONNX: scaling, network and unscaling in one graph, from raw columns to dollars.

The graph takes ``titles``, float32 (n, k), the raw features in the contract's order, and gives ``earnings``,
float64 (n,), US dollars. Unscaling happens in float64 and adds no rounding of its own. Scaling is folded into the
weights of the first layer where that is a Dense and loses no more than three bits; elsewhere it happens in float64 too,
so that a column far from 0, such as a year, keeps its digits. The conversion is tf2onnx's, the exporter that Keras
itself uses on TensorFlow.

A network of Dense layers, with activations of one number each, has its titles lie across: a layer is kernel' (u, k)
times values (k, n), not values (n, k) times kernel (k, u). A product is computed in tiles, some rows high and sixteen
or more numbers wide; there are titles enough to fill the width, where 50 units leave every fourth tile nearly empty.
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gamesales.errors import JobFileError
from gamesales.training.keras_objects import first_line
from gamesales.training.scaling import Scaling

# A folded column is multiplied as it is, so its products are about 1 + |offset| times as large as scaled ones.
_FARTHEST_OFFSET = 7.0
# Those of Keras's activations that change each number by itself, whichever way titles lie.
# fmt: off
_ONE_BY_ONE = (
    "celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu",
    "linear", "log_sigmoid", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink", "softplus", "softsign",
    "sparse_plus", "sparse_sigmoid", "squareplus", "tanh", "tanh_shrink",
)
# fmt: on
_OFF_IN_SCORING = ("Dropout", "GaussianDropout", "GaussianNoise", "AlphaDropout")

# A layer's weights: kernel (k, u) and bias (u,), float32.
Weights = tuple[np.ndarray, np.ndarray]


def compile_graph(network: Any, scaling: Scaling) -> bytes:
    """Compile a network with its scaling.

    Args: network: a keras.Sequential from (batch, k) to (batch, 1), trained or not.
    Returns: a serialised ONNX model.
    Raises: JobFileError: the network has a layer that can't be expressed in ONNX; it is named.
    """
    import tensorflow as tf

    layers, folded = network.layers, _folded(network.layers[0], scaling)
    run = (_across if all(_may_lie_across(layer) for layer in layers) else _in_rows)(layers, folded)

    def earnings(titles: Any) -> dict[str, Any]:
        scaled = run(titles if folded else _scaled(titles, scaling))  # (n, 1) or (1, n)
        flat = tf.cast(tf.reshape(scaled, (-1,)), tf.float64)  # (n,)
        return {"earnings": (flat - scaling.offset[-1]) / scaling.scale[-1]}

    try:
        model = convert(earnings, (None, len(scaling.features)))
    except Exception as error:  # the converter raises whatever its handlers raise
        reason = first_line(error)[:300]
        raise JobFileError(
            f"{_culprit(network)} can't be compiled to a scoring graph: {reason}",
            hint="Use another layer or activation there",
        ) from None
    content: bytes = model.SerializeToString()
    return content


def _scaled(titles: Any, scaling: Scaling) -> Any:
    """Scale raw columns (n, k) in float64; what comes out is float32."""
    import tensorflow as tf

    return tf.cast(tf.cast(titles, tf.float64) * scaling.scale[:-1] + scaling.offset[:-1], tf.float32)


def _folded(first: Any, scaling: Scaling) -> Weights | None:
    """Return weights of the first layer that take raw columns; None where that is not safe.

    (x * scale + offset) W + b  =  x (scale * W) + (offset W + b)
    """
    scale, offset = scaling.scale[:-1], scaling.offset[:-1]
    if not _is_dense(first) or np.abs(offset).max() > _FARTHEST_OFFSET:
        return None
    kernel, bias = (weights.astype(np.float64) for weights in _weights(first))
    return (scale[:, None] * kernel).astype(np.float32), (offset @ kernel + bias).astype(np.float32)


def _in_rows(layers: Sequence[Any], folded: Weights | None) -> Callable[[Any], Any]:
    """Return a function of values (n, k): the layers as Keras runs them, the first with other weights if given."""
    import tensorflow as tf

    def run(values: Any) -> Any:
        rest = layers
        if folded:
            (first, *rest), (kernel, bias) = layers, folded
            values = first.activation(tf.matmul(values, kernel) + bias)
        for layer in rest:
            values = layer(values, training=False)
        return values

    return run


def _across(layers: Sequence[Any], folded: Weights | None) -> Callable[[Any], Any]:
    """Return a function of values (n, k): each layer gives (u, n), the first with other weights if given."""
    import tensorflow as tf

    products = [layer for layer in layers if _is_dense(layer)]
    weights = [_weights(layer) for layer in products]
    if folded:
        weights[0] = folded
    turned = [(np.ascontiguousarray(kernel.T), bias[:, None]) for kernel, bias in weights]

    def run(values: Any) -> Any:
        for place, (layer, (kernel, bias)) in enumerate(zip(products, turned, strict=True)):
            values = layer.activation(tf.matmul(kernel, values, transpose_b=place == 0) + bias)
        return values

    return run


def _may_lie_across(layer: Any) -> bool:
    """Tell whether a layer is a product and what changes each number by itself, or does nothing in scoring."""
    import keras

    if type(layer) in [getattr(keras.layers, name) for name in _OFF_IN_SCORING]:
        return True
    return _is_dense(layer) and layer.activation in [getattr(keras.activations, name, None) for name in _ONE_BY_ONE]


def _is_dense(layer: Any) -> bool:
    """Tell whether a layer is Keras's Dense on titles (n, k), in float32."""
    import keras

    return type(layer) is keras.layers.Dense and layer.compute_dtype == "float32" and len(layer.input.shape) == 2


def _weights(layer: Any) -> Weights:
    bias = np.zeros(layer.units, np.float32) if layer.bias is None else np.asarray(layer.bias)
    return np.asarray(layer.kernel), bias


def _culprit(network: Any) -> str:
    """Name the first layer that can't be converted by itself."""
    for place, layer in enumerate(network.layers):
        try:
            convert(functools.partial(layer, training=False), layer.input.shape, layer.input.dtype)
        except Exception:  # as above
            return f"network.layers[{place}] ({type(layer).__name__})"
    return "network.layers"


OPSET = 18


def convert(function: Callable[[Any], Any], shape: tuple[int | None, ...], dtype: str = "float32") -> Any:
    """Convert a function of one tensor to an onnx.ModelProto.

    Raises: whatever the converter raises; ValueError: it left an operator of TensorFlow's in place.
    """
    import onnx
    import tensorflow as tf
    import tf2onnx

    signature = [tf.TensorSpec(shape, dtype, name="titles")]
    traced = tf.function(function, input_signature=signature, autograph=False)
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        model, _ = tf2onnx.convert.from_function(
            traced,
            input_signature=signature,
            opset=OPSET,
            custom_op_handlers={name: (handler, []) for name, handler in _HANDLERS.items()},
        )
    operators = {node.op_type for node in model.graph.node if not node.domain}
    unknown = sorted(name for name in operators if not onnx.defs.has(name, max_inclusive_version=OPSET))
    if unknown:
        raise ValueError(f"ONNX has no operator {', '.join(unknown)}")
    _close(model, traced.get_concrete_function().graph.captures)
    return _sums_as_products(model)


def _close(model: Any, captures: Any) -> None:
    """Write into a model the numbers that a layer keeps beside its weights, as Normalization does its mean."""
    import onnx

    kept = {placeholder.name: tensor.numpy() for tensor, placeholder in captures if tensor.dtype.is_floating}
    for tensor in model.graph.input[1:]:
        model.graph.initializer.append(onnx.numpy_helper.from_array(kept[tensor.name], tensor.name))
    del model.graph.input[1:]


# tf2onnx hands Erfc, Expm1 and Bucketize on as they are, and ONNX has none: gelu is made of erfc, celu of expm1. What
# the first two lose near 0 is float32's rounding of 1, and the parity check bounds what may come of that.


def _erfc(graph: Any, node: Any, _name: str, _arguments: Any) -> None:
    """erfc(x) = 1 - erf(x)."""
    _replace(graph, node, "Sub", [_one(graph, node), graph.make_node("Erf", node.input).output[0]])


def _expm1(graph: Any, node: Any, _name: str, _arguments: Any) -> None:
    """expm1(x) = exp(x) - 1."""
    _replace(graph, node, "Sub", [graph.make_node("Exp", node.input).output[0], _one(graph, node)])


def _bucketize(graph: Any, node: Any, _name: str, _arguments: Any) -> None:
    """Count the boundaries that a number has reached: the number of its bin."""
    from onnx import TensorProto

    boundaries = np.array(node.get_attr_value("boundaries"), np.float32)
    bounds = graph.make_const(f"{node.name}/boundaries", boundaries).output[0]
    last = graph.make_const(f"{node.name}/last", np.array([-1], np.int64)).output[0]
    wide = graph.make_node("Unsqueeze", [node.input[0], last]).output[0]
    reached = graph.make_node("GreaterOrEqual", [wide, bounds]).output[0]
    ones = graph.make_node("Cast", [reached], attr={"to": TensorProto.INT32}).output[0]
    _replace(graph, node, "ReduceSum", [ones, last], keepdims=0)


_HANDLERS = {"Erfc": _erfc, "Expm1": _expm1, "Bucketize": _bucketize}


def _one(graph: Any, node: Any) -> str:
    name: str = graph.make_const(f"{node.name}/one", np.ones((), np.float32)).output[0]
    return name


def _replace(graph: Any, node: Any, operator: str, inputs: list[str], **attributes: Any) -> None:
    """Put an operator in the place of a node."""
    outputs, shapes, dtypes = node.output, node.output_shapes, node.output_dtypes
    graph.remove_node(node.name)
    graph.make_node(operator, inputs, outputs=outputs, shapes=shapes, dtypes=dtypes, attr=attributes)


def _sums_as_products(model: Any) -> Any:
    """Return a model that sums over the last axis as the top of this file says."""
    import onnx

    dtypes = {onnx.TensorProto.FLOAT: np.float32, onnx.TensorProto.DOUBLE: np.float64}
    graph = onnx.shape_inference.infer_shapes(model).graph
    known: dict[str, Any] = {value.name: value.type.tensor_type for value in (*graph.value_info, *graph.input)}
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        made: list[Any] = [node]
        tensors: list[Any] = []
        if node.op_type in ("ReduceSum", "ReduceMean") and node.input[-1] in constants:
            tensor: Any = known.get(node.input[0], onnx.TypeProto.Tensor())
            shape, axes = [axis.dim_value for axis in tensor.shape.dim], constants[node.input[-1]].tolist()
            summed = {axis % len(shape) for axis in axes} if shape else set()
            if not shape or not all(shape[1:]):
                made, tensors = _beside_one_more_axis(node, axes)
            elif len(shape) - 1 in summed and 0 not in summed and tensor.elem_type in dtypes:
                made, tensors = _as_product(node, shape, summed, dtypes[tensor.elem_type])
        model.graph.node.extend(made)
        model.graph.initializer.extend(tensors)
    return model


def _beside_one_more_axis(node: Any, axes: list[int]) -> tuple[list[Any], list[Any]]:
    """Write a sum of a tensor whose shape is not known: with an axis of length 1 behind it, the last one is not summed.

    It takes ten times as long as a product does.
    """
    import onnx

    name, keeps = node.output[0], next((attribute.i for attribute in node.attribute if attribute.name == "keepdims"), 1)
    last, moved = f"{name}/behind", f"{name}/axes"
    made = [
        onnx.helper.make_node("Unsqueeze", [node.input[0], last], [f"{name}/longer"]),
        onnx.helper.make_node(node.op_type, [f"{name}/longer", moved], [f"{name}/sums"], keepdims=keeps),
        onnx.helper.make_node("Squeeze", [f"{name}/sums", last], [name]),
    ]
    constants = {last: [-1], moved: [axis - 1 if axis < 0 else axis for axis in axes]}
    return made, [onnx.numpy_helper.from_array(np.array(value, np.int64), key) for key, value in constants.items()]


def _as_product(node: Any, shape: list[int], summed: set[int], dtype: Any) -> tuple[list[Any], list[Any]]:
    """Write a sum over some axes as nodes and constants: those axes last and as one, times a column, shaped again."""
    import onnx

    kept = [axis for axis in range(len(shape)) if axis not in summed]
    width = math.prod(shape[axis] for axis in summed)
    keeps = next((attribute.i for attribute in node.attribute if attribute.name == "keepdims"), 1)
    name = node.output[0]
    shaped = [1 if axis in summed else shape[axis] for axis in range(1, len(shape)) if keeps or axis in kept]
    constants = {
        # 0 keeps an axis as long as it is: there may be any number of titles.
        f"{name}/flat": np.array([0, *(shape[axis] for axis in kept[1:]), width], np.int64),
        f"{name}/column": np.full((width, 1), 1 / width if node.op_type == "ReduceMean" else 1.0, dtype),
        f"{name}/shape": np.array([0, *shaped], np.int64),
    }
    make = onnx.helper.make_node
    made = [
        make("Transpose", [node.input[0]], [f"{name}/last"], perm=[*kept, *sorted(summed)]),
        make("Reshape", [f"{name}/last", f"{name}/flat"], [f"{name}/rows"]),
        make("MatMul", [f"{name}/rows", f"{name}/column"], [f"{name}/sums"]),
        make("Reshape", [f"{name}/sums", f"{name}/shape"], [name]),
    ]
    return made, [onnx.numpy_helper.from_array(value, key) for key, value in constants.items()]
