"""Keras to ONNX: scaling, network and unscaling in one graph, from raw columns to dollars.

The graph takes ``titles``, float32 (n, k), the raw features in the contract's order, and gives ``earnings``,
float64 (n,), US dollars. Unscaling happens in float64 and adds no rounding of its own. Scaling is folded into the
weights of the first layer where that is a Dense and loses no more than three bits; elsewhere it happens in float64 too,
so that a column far from 0, such as a year, keeps its digits. The conversion is tf2onnx's, the exporter that Keras
itself uses on TensorFlow.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from gamesales.errors import JobFileError
from gamesales.model.convert import convert
from gamesales.model.named import first_line
from gamesales.model.scaling import Scaling

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
        model = convert(earnings, (None, len(scaling.features)))
    except Exception as error:  # the converter raises whatever its handlers raise
        reason = first_line(error)[:300]
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


def _culprit(network: Any) -> str:
    """Name the first layer that can't be converted by itself."""
    for place, layer in enumerate(network.layers):
        try:
            convert(functools.partial(layer, training=False), layer.input.shape, layer.input.dtype)
        except Exception:  # as above
            return f"network.layers[{place}] ({type(layer).__name__})"
    return "network.layers"
