"""Compile a Keras network to ONNX: scaling, network and unscaling in one graph.

The graph takes ``titles``, float32 (n, k), the raw features in the order of the contract, and gives ``earnings``,
float64 (n,), in the target's unit. tf2onnx converts it, which Keras itself uses to export with TensorFlow.

Scaling is folded into the weights of a first Dense layer if that costs at most three bits of precision. Otherwise the
graph scales in float64, so that a column far from 0, such as a year, keeps its digits. It always unscales in float64.

A prediction must not depend, to the last bit, on the other titles of a batch. ONNX Runtime sums over the last axis from
an aligned address, which is a different column in each row, so equal rows can get different sums. It computes a matrix
product in the same way for each row. So a sum over the last axis is written as a matrix product.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gamesales.errors import JobFileError
from gamesales.training.column_encoder import get_encoding
from gamesales.training.graph_layers import (
    Weights,
    build_encoded,
    build_row_major,
    build_transposed,
    can_be_transposed,
    get_weights,
    is_dense,
)
from gamesales.training.keras_objects import find_failing_layer, summarize_error
from gamesales.training.scaling import Scaling

# A folded column is multiplied without scaling, so its products are about 1 + |offset| times as large as scaled ones.
_MAX_FOLDED_OFFSET = 7.0
_OPSET = 18


def compile_graph(network: Any, scaling: Scaling) -> bytes:
    """Compile a network with its scaling.

    Args:
        network: a keras.Sequential from (batch, k) to (batch, 1), trained or not.
        scaling: the scaling of its features and its target.

    Raises:
        JobFileError: a layer can't be expressed in ONNX.
    """
    import tensorflow as tf

    layers, encoding = network.layers, get_encoding(network.layers[0])
    folded = None if encoding else _fold_scaling(layers[0], scaling)
    if encoding:
        run = build_encoded(layers, encoding)
    elif all(map(can_be_transposed, layers)):
        run = build_transposed(layers, folded)
    else:
        run = build_row_major(layers, folded)

    def earnings(titles: Any) -> dict[str, Any]:
        values = titles
        if not (folded or encoding):
            values = tf.cast(tf.cast(titles, tf.float64) * scaling.scale[:-1] + scaling.offset[:-1], tf.float32)
        flat = tf.cast(tf.reshape(run(values), (-1,)), tf.float64)  # (n,), from (n, 1) or (1, n)
        unscaled = (flat - scaling.offset[-1]) / scaling.scale[-1]
        if scaling.log:
            limited = tf.minimum(tf.maximum(unscaled, scaling.log.lowest), scaling.log.highest)
            unscaled = tf.exp(limited) - scaling.log.shift
        return {"earnings": unscaled}

    def convert_layer(index: int) -> None:
        layer = layers[index]
        _convert_to_onnx(lambda values: layer(values, training=False), layer.input.shape, layer.input.dtype)

    try:
        model = _convert_to_onnx(earnings, (None, len(scaling.features)))
    except Exception as error:  # the converter raises exceptions of many classes
        raise JobFileError(
            f"{find_failing_layer(network, convert_layer)} can't be compiled to a scoring graph: "
            f"{summarize_error(error)[:300]}",
            hint="Use another layer or activation there",
        ) from None
    return bytes(model.SerializeToString())


def _fold_scaling(first: Any, scaling: Scaling) -> Weights | None:
    """Return weights of the first layer for raw columns, or None if they would lose precision.

    (x * scale + offset) W + b  =  x (scale * W) + (offset W + b)
    """
    scale, offset = scaling.scale[:-1], scaling.offset[:-1]
    if not is_dense(first) or np.abs(offset).max() > _MAX_FOLDED_OFFSET:
        return None
    kernel, bias = (weights.astype(np.float64) for weights in get_weights(first))
    return (scale[:, None] * kernel).astype(np.float32), (offset @ kernel + bias).astype(np.float32)


def _convert_to_onnx(function: Callable[[Any], Any], shape: tuple[int | None, ...], dtype: str = "float32") -> Any:
    """Convert a function of one tensor, of a shape with None for any size, to an onnx.ModelProto.

    Raises:
        ValueError: ONNX has no such operator.
        Exception: any exception of the converter.
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
            opset=_OPSET,
            custom_op_handlers={name: (handler, []) for name, handler in _HANDLERS.items()},
        )
    operators = {node.op_type for node in model.graph.node if not node.domain}
    unknown = sorted(name for name in operators if not onnx.defs.has(name, max_inclusive_version=_OPSET))
    if unknown:
        raise ValueError(f"ONNX has no operator {', '.join(unknown)}")
    _embed_captures(model, traced.get_concrete_function().graph.captures)
    return _replace_sums(model)


def _embed_captures(model: Any, captures: Any) -> None:
    """Write constants that a layer keeps outside its weights, such as the mean of Normalization, into a model."""
    import onnx

    values = {placeholder.name: tensor.numpy() for tensor, placeholder in captures if tensor.dtype.is_floating}
    for tensor in model.graph.input[1:]:
        model.graph.initializer.append(onnx.numpy_helper.from_array(values[tensor.name], tensor.name))
    del model.graph.input[1:]


# tf2onnx leaves Erfc, Expm1 and Bucketize in place, which ONNX does not have. gelu needs erfc, and celu needs expm1.
# Near 0, the replacements of both lose as much as float32 loses by rounding 1. The parity check bounds the effect.


def _convert_erfc(graph: Any, node: Any, _name: str, _arguments: Any) -> None:
    """erfc(x) = 1 - erf(x)."""
    _replace_node(graph, node, "Sub", [_make_one(graph, node), graph.make_node("Erf", node.input).output[0]])


def _convert_expm1(graph: Any, node: Any, _name: str, _arguments: Any) -> None:
    """expm1(x) = exp(x) - 1."""
    _replace_node(graph, node, "Sub", [graph.make_node("Exp", node.input).output[0], _make_one(graph, node)])


def _convert_bucketize(graph: Any, node: Any, _name: str, _arguments: Any) -> None:
    """Count the boundaries that a number reaches, which is the index of its bin."""
    from onnx import TensorProto

    boundaries = np.array(node.get_attr_value("boundaries"), np.float32)
    bounds = graph.make_const(f"{node.name}/boundaries", boundaries).output[0]
    last = graph.make_const(f"{node.name}/last", np.array([-1], np.int64)).output[0]
    wide = graph.make_node("Unsqueeze", [node.input[0], last]).output[0]
    reached = graph.make_node("GreaterOrEqual", [wide, bounds]).output[0]
    ones = graph.make_node("Cast", [reached], attr={"to": TensorProto.INT32}).output[0]
    _replace_node(graph, node, "ReduceSum", [ones, last], keepdims=0)


_HANDLERS = {"Erfc": _convert_erfc, "Expm1": _convert_expm1, "Bucketize": _convert_bucketize}


def _make_one(graph: Any, node: Any) -> str:
    return str(graph.make_const(f"{node.name}/one", np.ones((), np.float32)).output[0])


def _replace_node(graph: Any, node: Any, operator: str, inputs: list[str], **attributes: Any) -> None:
    outputs, shapes, dtypes = node.output, node.output_shapes, node.output_dtypes
    graph.remove_node(node.name)
    graph.make_node(operator, inputs, outputs=outputs, shapes=shapes, dtypes=dtypes, attr=attributes)


def _replace_sums(model: Any) -> Any:
    """Replace the sums and means over the last axis; the module docstring gives the reason."""
    import onnx

    dtypes = {onnx.TensorProto.FLOAT: np.float32, onnx.TensorProto.DOUBLE: np.float64}
    graph = onnx.shape_inference.infer_shapes(model).graph
    types: dict[str, Any] = {value.name: value.type.tensor_type for value in (*graph.value_info, *graph.input)}
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        new_nodes: list[Any] = [node]
        new_constants: list[Any] = []
        if node.op_type in ("ReduceSum", "ReduceMean") and node.input[-1] in constants:
            tensor: Any = types.get(node.input[0], onnx.TypeProto.Tensor())
            shape, axes = [axis.dim_value for axis in tensor.shape.dim], constants[node.input[-1]].tolist()
            summed = {axis % len(shape) for axis in axes} if shape else set()
            if not shape or not all(shape[1:]):
                new_nodes, new_constants = _sum_with_extra_axis(node, axes)
            elif len(shape) - 1 in summed and 0 not in summed and tensor.elem_type in dtypes:
                new_nodes, new_constants = _sum_by_product(node, shape, summed, dtypes[tensor.elem_type])
        model.graph.node.extend(new_nodes)
        model.graph.initializer.extend(new_constants)
    return model


def _sum_with_extra_axis(node: Any, axes: list[int]) -> tuple[list[Any], list[Any]]:
    """Return nodes, and their constants, that sum with an extra last axis of length 1, which is not summed.

    This works for a tensor of unknown shape, but takes ten times as long as a product.
    """
    import onnx

    name, keepdims = node.output[0], _get_keepdims(node)
    last, moved = f"{name}/behind", f"{name}/axes"
    nodes = [
        onnx.helper.make_node("Unsqueeze", [node.input[0], last], [f"{name}/longer"]),
        onnx.helper.make_node(node.op_type, [f"{name}/longer", moved], [f"{name}/sums"], keepdims=keepdims),
        onnx.helper.make_node("Squeeze", [f"{name}/sums", last], [name]),
    ]
    constants = {last: [-1], moved: [axis - 1 if axis < 0 else axis for axis in axes]}
    return nodes, [onnx.numpy_helper.from_array(np.array(value, np.int64), key) for key, value in constants.items()]


def _sum_by_product(node: Any, shape: list[int], summed: set[int], dtype: Any) -> tuple[list[Any], list[Any]]:
    """Return nodes, and their constants, that sum over some axes by a matrix product with a column.

    The axes are moved to the end and flattened first.
    """
    import onnx

    kept = [axis for axis in range(len(shape)) if axis not in summed]
    width = math.prod(shape[axis] for axis in summed)
    keepdims, name = _get_keepdims(node), node.output[0]
    output_shape = [1 if axis in summed else shape[axis] for axis in range(1, len(shape)) if keepdims or axis in kept]
    constants = {
        # 0 keeps the length of an axis, because the number of titles varies.
        f"{name}/flat": np.array([0, *(shape[axis] for axis in kept[1:]), width], np.int64),
        f"{name}/column": np.full((width, 1), 1 / width if node.op_type == "ReduceMean" else 1.0, dtype),
        f"{name}/shape": np.array([0, *output_shape], np.int64),
    }
    make = onnx.helper.make_node
    nodes = [
        make("Transpose", [node.input[0]], [f"{name}/last"], perm=[*kept, *sorted(summed)]),
        make("Reshape", [f"{name}/last", f"{name}/flat"], [f"{name}/rows"]),
        make("MatMul", [f"{name}/rows", f"{name}/column"], [f"{name}/sums"]),
        make("Reshape", [f"{name}/sums", f"{name}/shape"], [name]),
    ]
    return nodes, [onnx.numpy_helper.from_array(value, key) for key, value in constants.items()]


def _get_keepdims(node: Any) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "keepdims"), 1)
