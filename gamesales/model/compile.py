"""Keras to ONNX: scaling, network and unscaling in one graph, from raw columns to dollars.

The graph takes ``titles``, float32 (n, k), the raw features in the contract's order, and gives ``earnings``,
float64 (n,), US dollars. Unscaling happens in float64 and adds no rounding of its own. Scaling is folded into the
weights of the first layer where that is a Dense and loses no more than three bits; elsewhere it happens in float64 too,
so that a column far from 0, such as a year, keeps its digits. The conversion is tf2onnx's, the exporter that Keras
itself uses on TensorFlow.
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from gamesales.data.batches import one_line
from gamesales.errors import JobFileError
from gamesales.model.scaling import Scaling

OPSET = 18
# A folded column is multiplied as it is, so its products are about 1 + |offset| times as large as scaled ones.
_FARTHEST_OFFSET = 7.0


def compile_graph(network: Any, scaling: Scaling) -> bytes:
    """Compile a network with its scaling.

    Args: network: a keras.Sequential from (batch, k) to (batch, 1), trained or not.
    Returns: a serialised ONNX model.
    Raises: JobFileError: the network has a layer that can't be expressed in ONNX; it is named.
    """
    import tensorflow as tf

    scored = _folded(network, scaling) or _scaling_first(network, scaling)

    def earnings(titles: Any) -> dict[str, Any]:
        scaled = scored(titles)  # (n, 1)
        flat = tf.cast(tf.reshape(scaled, (-1,)), tf.float64)  # (n,)
        return {"earnings": (flat - scaling.offset[-1]) / scaling.scale[-1]}

    try:
        model = _convert(earnings, (None, len(scaling.features)))
    except Exception as error:  # the converter raises whatever its handlers raise
        reason = one_line(error)[:300]
        raise JobFileError(
            f"{_culprit(network)} can't be compiled to a scoring graph: {reason}",
            hint="Use another layer or activation there",
        ) from None
    content: bytes = model.SerializeToString()
    return content


def _scaling_first(network: Any, scaling: Scaling) -> Callable[[Any], Any]:
    """Return the network of raw columns: scaled in float64, then layer by layer."""
    import tensorflow as tf

    def scored(titles: Any) -> Any:
        wide = tf.cast(titles, tf.float64) * scaling.scale[:-1] + scaling.offset[:-1]  # (n, k)
        return network(tf.cast(wide, tf.float32), training=False)

    return scored


def _folded(network: Any, scaling: Scaling) -> Callable[[Any], Any] | None:
    """Return the network of raw columns with scaling in the weights of its first layer; None where that is not safe.

    (x * scale + offset) W + b  =  x (scale * W) + (offset W + b)
    """
    import keras
    import tensorflow as tf

    first, *others = network.layers
    scale, offset = scaling.scale[:-1], scaling.offset[:-1]
    if type(first) is not keras.layers.Dense or first.compute_dtype != "float32":
        return None
    if np.abs(offset).max() > _FARTHEST_OFFSET:
        return None
    weights = np.asarray(first.kernel, np.float64)  # (k, u)
    bias = np.zeros(first.units) if first.bias is None else np.asarray(first.bias, np.float64)
    kernel = (scale[:, None] * weights).astype(np.float32)
    shift = (offset @ weights + bias).astype(np.float32)

    def scored(titles: Any) -> Any:
        values = first.activation(tf.matmul(titles, kernel) + shift)
        for layer in others:
            values = layer(values, training=False)
        return values

    return scored


def _convert(function: Callable[[Any], Any], shape: tuple[int | None, ...]) -> Any:
    """Convert a function of one float32 tensor to an onnx.ModelProto.

    Raises: whatever the converter raises; ValueError: it left an operator of TensorFlow's in place, or an open input.
    """
    import onnx
    import tensorflow as tf
    import tf2onnx

    signature = [tf.TensorSpec(shape, tf.float32, name="titles")]
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        model, _ = tf2onnx.convert.from_function(
            tf.function(function, input_signature=signature, autograph=False),
            input_signature=signature,
            opset=OPSET,
            custom_op_handlers={"Erfc": (_erfc, []), "Expm1": (_expm1, [])},
        )
    operators = {node.op_type for node in model.graph.node if not node.domain}
    unknown = sorted(name for name in operators if not onnx.defs.has(name, max_inclusive_version=OPSET))
    if unknown:
        raise ValueError(f"ONNX has no operator {', '.join(unknown)}")
    if len(model.graph.input) != 1:
        raise ValueError("it waits for numbers that training does not give, as an unadapted Normalization does")
    return model


def _culprit(network: Any) -> str:
    """Name the first layer that can't be converted by itself."""
    for place, layer in enumerate(network.layers):
        try:
            _convert(functools.partial(layer, training=False), layer.input.shape)
        except Exception:  # as above
            return f"network.layers[{place}] ({type(layer).__name__})"
    return "network.layers"


# tf2onnx hands these two on as they are, and ONNX has neither: gelu is made of erfc, celu of expm1. What the forms
# below lose near 0 is float32's rounding of 1, and the parity check bounds what may come of that.


def _erfc(graph: Any, node: Any, _name: str, _arguments: Any) -> None:
    """erfc(x) = 1 - erf(x)."""
    _replace(graph, node, _one(graph, node), graph.make_node("Erf", node.input).output[0])


def _expm1(graph: Any, node: Any, _name: str, _arguments: Any) -> None:
    """expm1(x) = exp(x) - 1."""
    _replace(graph, node, graph.make_node("Exp", node.input).output[0], _one(graph, node))


def _one(graph: Any, node: Any) -> str:
    name: str = graph.make_const(f"{node.name}/one", np.ones((), np.float32)).output[0]
    return name


def _replace(graph: Any, node: Any, first: str, second: str) -> None:
    """Put ``first - second`` in the place of a node."""
    outputs, shapes, dtypes = node.output, node.output_shapes, node.output_dtypes
    graph.remove_node(node.name)
    graph.make_node("Sub", [first, second], outputs=outputs, shapes=shapes, dtypes=dtypes)
