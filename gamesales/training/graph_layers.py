"""The layers of a network as functions of the scoring graph.

A network of Dense layers with elementwise activations is transposed. A layer is then kernel' (u, k) times values (k, n)
instead of values (n, k) times kernel (k, u). ONNX Runtime computes a product in tiles of a few rows and 16 or more
columns. Titles always fill the columns, but 50 units leave every fourth tile nearly empty.

A network with an encoder multiplies no indicators of categories. The product of an indicator and the kernel is a row of
the kernel, so the graph takes the row by its code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gamesales.training.encoding import Encoding, EncodingTables

# Activations of Keras that are computed element by element, so that they work on transposed values.
# fmt: off
_ELEMENTWISE_ACTIVATIONS = (
    "celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu",
    "linear", "log_sigmoid", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink", "softplus", "softsign",
    "sparse_plus", "sparse_sigmoid", "squareplus", "tanh", "tanh_shrink",
)
# fmt: on
_TRAINING_ONLY_LAYERS = ("Dropout", "GaussianDropout", "GaussianNoise", "AlphaDropout")

# The kernel (k, u) and the bias (u,) of a layer, float32.
Weights = tuple[np.ndarray, np.ndarray]


def build_encoded(layers: Sequence[Any], encoding: Encoding) -> Callable[[Any], Any]:
    """Return a function from titles (n, k) to (1, n) or (n, 1) that encodes them and runs the layers after the encoder.

    Args:
        layers: an encoder, and the layers after it.
        encoding: that of the encoder.
    """
    import tensorflow as tf

    encoder, *others = layers
    working = [layer for layer in others if not _is_training_only(layer)]
    first = working[0]
    if not is_dense(first):
        return build_row_major([encoder, *working], None)
    tables = EncodingTables.from_encoding(encoding)
    kernel, bias = get_weights(first)
    counts = tables.code_counts
    starts = np.cumsum([len(kernel) - sum(counts), *counts])[: len(counts)]
    number_kernel, *code_kernels = np.split(kernel, starts)
    is_transposed = len(working) > 1 and all(map(can_be_transposed, working[1:]))
    run = (build_transposed if is_transposed else build_row_major)(working[1:], None)

    def encode_and_run(titles: Any) -> Any:
        filled, numbers = tables.encode_numbers(titles)
        values = tf.matmul(numbers, number_kernel) + bias
        for (codes, count), rows in zip(tables.list_codes(filled), code_kernels, strict=True):
            padded = np.pad(rows, ((0, 1), (0, 0)))  # a code without an indicator takes a row of zeros
            values += tf.gather(padded, tf.minimum(codes, count))
        return run(first.activation(values))

    return encode_and_run


def build_row_major(layers: Sequence[Any], folded: Weights | None) -> Callable[[Any], Any]:
    """Return a function from values (n, k) to (n, 1) that runs the layers as Keras does.

    ``folded`` has the weights of the first layer for raw columns, or is None.
    """
    import tensorflow as tf

    def run(values: Any) -> Any:
        remaining = layers
        if folded:
            (first, *remaining), (kernel, bias) = layers, folded
            values = first.activation(tf.matmul(values, kernel) + bias)
        for layer in remaining:
            values = layer(values, training=False)
        return values

    return run


def build_transposed(layers: Sequence[Any], folded: Weights | None) -> Callable[[Any], Any]:
    """Return a function from values (n, k) to (1, n) in which each layer gives (u, n); see ``build_row_major``."""
    import tensorflow as tf

    dense_layers = [layer for layer in layers if is_dense(layer)]
    weights = [get_weights(layer) for layer in dense_layers]
    if folded:
        weights[0] = folded
    transposed = [(np.ascontiguousarray(kernel.T), bias[:, None]) for kernel, bias in weights]

    def run(values: Any) -> Any:
        for index, (layer, (kernel, bias)) in enumerate(zip(dense_layers, transposed, strict=True)):
            values = layer.activation(tf.matmul(kernel, values, transpose_b=index == 0) + bias)
        return values

    return run


def can_be_transposed(layer: Any) -> bool:
    """Return whether a layer is a Dense with an elementwise activation, or does nothing in scoring."""
    import keras

    if _is_training_only(layer):
        return True
    elementwise = [getattr(keras.activations, name, None) for name in _ELEMENTWISE_ACTIVATIONS]
    return is_dense(layer) and layer.activation in elementwise


def _is_training_only(layer: Any) -> bool:
    import keras

    return type(layer) in [getattr(keras.layers, name) for name in _TRAINING_ONLY_LAYERS]


def is_dense(layer: Any) -> bool:
    """Return whether a layer is a Dense of Keras on titles (n, k), in float32."""
    import keras

    return type(layer) is keras.layers.Dense and layer.compute_dtype == "float32" and len(layer.input.shape) == 2


def get_weights(layer: Any) -> Weights:
    """Return the kernel and the bias of a Dense layer; zeros if it has no bias."""
    bias = np.zeros(layer.units, np.float32) if layer.bias is None else np.asarray(layer.bias)
    return np.asarray(layer.kernel), bias
