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

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gamesales.errors import JobFileError
from gamesales.model.convert import convert
from gamesales.model.named import first_line
from gamesales.model.scaling import Scaling

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
