"""Checks before training: the network can be exported, and can take a training step.

A network that fails is refused in seconds, by the name of its layer, instead of at the end of training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.errors import JobFileError, ParityError, SelfTestError
from gamesales.scoring.scorer import Scorer
from gamesales.training.keras_objects import find_failing_layer, load_keras, summarize_error
from gamesales.training.network import compile_network
from gamesales.training.onnx_graph import compile_graph
from gamesales.training.parity import check_order_independence, check_parity, predict_with_keras
from gamesales.training.scaling import Scaling
from gamesales.training.spec import TrainingSpec


def check_before_training(
    network: Any,
    scaling: Scaling,
    probe: FloatArray,
    features: FloatArray,
    target: FloatArray,
    spec: TrainingSpec,
) -> None:
    """Check that a network can be exported, and can take a training step.

    Args:
        network: a keras.Sequential, untrained. It is not changed.
        scaling: the scaling of the features and the target.
        probe: (m, k), not scaled, rows of the contract.
        features: (n, k), scaled, to train on.
        target: (n,), scaled.
        spec: how to train.

    Raises:
        JobFileError: a check fails. The error names the layer, the loss or the optimizer.
    """
    check_export(network, scaling, probe)
    check_training_step(network, features, target, spec)


def check_export(network: Any, scaling: Scaling, probe: FloatArray) -> None:
    """Check that the scoring graph of a network works.

    Raises:
        JobFileError: the check fails. The error names the layer.
    """
    try:
        compile_and_check(network, scaling, probe)
    except (ParityError, SelfTestError) as error:
        layer = _find_layer_that_breaks(network, lambda part: compile_and_check(part, scaling, probe))
        raise JobFileError(f"{layer} can't be exported: {error}", hint="Use another layer there") from None


def _find_layer_that_breaks(network: Any, check: Callable[[Any], object]) -> str:
    """Find the first layer such that a network that ends after it fails a check."""
    keras = load_keras()

    def check_first_layers(index: int) -> None:
        part = keras.Sequential([keras.Input(network.input_shape[1:]), *network.layers[: index + 1]])
        part.add(keras.layers.Flatten(name="check_flatten"))
        # Weights of both signs show what is lost where numbers cancel. Sums of one sign would hide it.
        part.add(keras.layers.Dense(1, kernel_initializer=keras.initializers.GlorotNormal(1), name="check_output"))
        check(part)

    return find_failing_layer(network, check_first_layers)


def compile_and_check(network: Any, scaling: Scaling, probe: FloatArray) -> tuple[bytes, Scorer, float]:
    """Compile the scoring graph of a network, and check its predictions for the probe rows.

    Returns:
        The graph, its scorer, and the largest difference from Keras, US dollars.

    Raises:
        JobFileError: a layer can't be expressed in ONNX.
        SelfTestError: the graph can't be loaded, or does not run.
        ParityError: a prediction differs from Keras, or depends on the order of the rows.
    """
    graph = compile_graph(network, scaling)
    scorer = Scorer(graph)
    try:
        predicted = scorer.score(probe)
    except Exception as error:  # the classes of ONNX Runtime share no narrower base
        raise SelfTestError(f"the scoring graph does not run: {error}") from None
    largest_difference = check_parity(predict_with_keras(network, scaling, probe), predicted, scaling)
    check_order_independence(scorer.score, probe)
    return graph, scorer, largest_difference


def check_training_step(network: Any, features: FloatArray, target: FloatArray, spec: TrainingSpec) -> None:
    """Check that a network can take a training step, and undo the step.

    Args:
        network: a keras.Sequential from (batch, k) to (batch, 1), untrained.
        features: (n, k), scaled. The step uses the first batch.
        target: (n,), scaled.
        spec: how to train.

    Raises:
        JobFileError: a layer only works in scoring, or the loss or a weight after the step is not a finite number.
    """
    import tensorflow as tf

    compile_network(network, spec, len(target))
    before = [variable.numpy().copy() for variable in network.variables]
    x, y = (tf.constant(values[: spec.batch_size].astype(np.float32)) for values in (features, target[:, None]))
    try:
        _trace_training(network, x)
        with tf.GradientTape() as tape:
            loss = network.compute_loss(x=x, y=y, y_pred=network(x, training=True))
        network.optimizer.apply(tape.gradient(loss, network.trainable_weights), network.trainable_weights)
    except Exception as error:  # layers, losses and optimizers raise exceptions of many classes
        layers = network.layers
        layer = find_failing_layer(network, lambda index: _trace_training(layers[index], layers[index].input))
        raise JobFileError(f"{layer} can't be trained: {summarize_error(error)}") from None
    is_finite = all(np.isfinite(variable.numpy()).all() for variable in network.trainable_variables)
    for variable, value in zip(network.variables, before, strict=True):
        variable.assign(value)
    if not np.isfinite(loss):
        raise JobFileError(
            f"training.loss: {spec.loss.name} is {float(loss)} for the untrained network",
            hint='Some losses need predictions between 0 and 1: end with { layer = "Dense", units = 1, activation = '
            '"sigmoid" }, or use mean_squared_error',
        )
    if not is_finite:
        raise JobFileError(
            f"training.optimizer: after the first step of {spec.optimizer.name}, a weight is not a finite number",
            hint="Lower its learning rate, or use another loss",
        )


def _trace_training(layer: Any, values: Any) -> None:
    """Trace a layer in training for a batch of any size, as fitting does. Some layers only work eagerly."""
    import tensorflow as tf

    batch = tf.TensorSpec((None, *values.shape[1:]), values.dtype)
    tf.function(lambda batch: layer(batch, training=True), autograph=False).get_concrete_function(batch)
