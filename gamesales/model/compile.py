"""Keras to ONNX: scaling, network and unscaling in one graph, from raw columns to dollars.

The graph takes ``titles``, float32 (n, k), the raw features in the contract's order, and gives ``earnings``,
float64 (n,), US dollars. Scaling happens in float32, as the network does; unscaling in float64, so that it adds no
rounding of its own. The conversion is tf2onnx's, the exporter that Keras itself uses on TensorFlow.
"""

from __future__ import annotations

import contextlib
import io
import logging
from typing import Any

import numpy as np

from gamesales.errors import JobFileError
from gamesales.model.scaling import Scaling

OPSET = 18


def compile_graph(network: Any, scaling: Scaling) -> bytes:
    """Compile a network with its scaling.

    Args: network: a keras.Sequential from (batch, k) to (batch, 1), trained or not.
    Returns: a serialised ONNX model.
    Raises: JobFileError: the network has a layer that can't be expressed in ONNX; it is named where possible.
    """
    import tensorflow as tf
    import tf2onnx

    features = len(scaling.features)
    scale, offset = scaling.scale.astype(np.float32), scaling.offset.astype(np.float32)

    @tf.function(input_signature=[tf.TensorSpec((None, features), tf.float32, name="titles")])  # type: ignore[untyped-decorator]
    def earnings(titles: Any) -> Any:
        scaled = network(titles * scale[:-1] + offset[:-1], training=False)  # (n, 1)
        wide = tf.cast(tf.reshape(scaled, (-1,)), tf.float64)  # (n,)
        return tf.identity((wide - scaling.offset[-1]) / scaling.scale[-1], name="earnings")

    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            model, _ = tf2onnx.convert.from_function(earnings, input_signature=earnings.input_signature, opset=OPSET)
    except Exception as error:  # the converter raises whatever its handlers raise
        layers = ", ".join(sorted({type(layer).__name__ for layer in network.layers}))
        reason = " ".join(str(error).split())[:300]
        raise JobFileError(
            f"network.layers can't be compiled to a scoring graph (layers: {layers}): {reason}",
            hint="Replace the layer or activation that is named",
        ) from None
    content: bytes = model.SerializeToString()
    return content
