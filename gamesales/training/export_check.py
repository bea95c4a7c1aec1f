"""One step of training before the first one, so that what can't be trained is refused at once and not on the way."""

from __future__ import annotations

from typing import Any

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.errors import JobFileError, ParityError, SelfTestError
from gamesales.scoring.scorer import Scorer
from gamesales.training import parity
from gamesales.training.keras_objects import first_line, load_keras
from gamesales.training.network import compile_network
from gamesales.training.onnx_graph import compile_graph
from gamesales.training.scaling import Scaling
from gamesales.training.spec import TrainingSpec


def rehearse(network: Any, features: FloatArray, target: FloatArray, spec: TrainingSpec) -> None:
    """Take one step, and leave the network as it was.

    Args:
        network: from (batch, k) to (batch, 1), untrained.
        features: (n, k), scaled; the first batch of them is learnt from.
        target: (n,), scaled.
        spec: how.

    Raises: JobFileError: a layer works in scoring alone, the loss is no finite number, or the step leaves weights that
    are none.
    """
    import tensorflow as tf

    compile_network(network, spec, len(target))
    before = [variable.numpy().copy() for variable in network.variables]
    x, y = (tf.constant(values[: spec.batch_size].astype(np.float32)) for values in (features, target[:, None]))
    try:
        _traced(network, x)
        with tf.GradientTape() as tape:
            loss = network.compute_loss(x=x, y=y, y_pred=network(x, training=True))
        network.optimizer.apply(tape.gradient(loss, network.trainable_weights), network.trainable_weights)
    except Exception as error:  # layers, losses and optimizers raise what they like
        raise JobFileError(f"{_culprit(network)} can't be trained: {first_line(error)}") from None
    finite = all(np.isfinite(variable.numpy()).all() for variable in network.trainable_variables)
    for variable, value in zip(network.variables, before, strict=True):
        variable.assign(value)
    if not np.isfinite(loss):
        raise JobFileError(
            f"training.loss: {spec.loss.name} is {float(loss)} for the untrained network",
            hint='Some losses want predictions between 0 and 1: end with { layer = "Dense", units = 1, activation = '
            '"sigmoid" }, or use mean_squared_error',
        )
    if not finite:
        raise JobFileError(
            f"training.optimizer: the first step of {spec.optimizer.name} leaves weights that are no finite numbers",
            hint="Lower its learning rate, or use another loss",
        )


def _traced(layer: Any, values: Any) -> None:
    """Make a graph of a layer in training: fitting does, and a layer may do for single batches only."""
    import tensorflow as tf

    given = tf.TensorSpec((None, *values.shape[1:]), values.dtype)
    tf.function(lambda batch: layer(batch, training=True), autograph=False).get_concrete_function(given)


def _culprit(network: Any) -> str:
    """Name the first layer that can't be trained by itself."""
    for place, layer in enumerate(network.layers):
        try:
            _traced(layer, layer.input)
        except Exception:  # as above
            return f"network.layers[{place}] ({type(layer).__name__})"
    return "network.layers"


def first_that_fails(network: Any, check: Any) -> str:
    """Name the first layer that a check refuses a network for, if it ends there.

    Args: check: takes a keras.Sequential from (batch, k) to (batch, 1), and raises.
    """
    keras = load_keras()
    for place, layer in enumerate(network.layers):
        part = keras.Sequential([keras.Input(network.input_shape[1:]), *network.layers[: place + 1]])
        part.add(keras.layers.Flatten(name="rehearsal_row"))
        # Weights of both signs, as a layer to come has: sums of one sign hide what is lost where numbers cancel.
        part.add(keras.layers.Dense(1, kernel_initializer=keras.initializers.GlorotNormal(1), name="rehearsal_number"))
        try:
            check(part)
        except Exception:  # as above
            return f"network.layers[{place}] ({type(layer).__name__})"
    return "network.layers"


def check_before_training(
    network: Any,
    scaling: Scaling,
    probe: FloatArray,
    features: FloatArray,
    target: FloatArray,
    spec: TrainingSpec,
) -> None:
    """Fail in seconds where the network can't be exported, or can't take a step of training.

    Args:
        network: untrained; it is left as it was.
        scaling: how titles and earnings are scaled.
        probe: (rows, k), raw, of the contract.
        features: (n, k), scaled, to train on.
        target: (n,), scaled.
        spec: how to train.

    Raises: JobFileError: it can't; the layer, the loss or the optimizer is named.
    """
    check_export(network, scaling, probe)
    rehearse(network, features, target, spec)


def check_export(network: Any, scaling: Scaling, probe: FloatArray) -> None:
    """Raises: JobFileError: the network can't be turned into a graph that works; the layer is named."""
    try:
        compiled(network, scaling, probe)
    except (ParityError, SelfTestError) as error:
        culprit = first_that_fails(network, lambda part: compiled(part, scaling, probe))
        raise JobFileError(f"{culprit} can't be exported: {error}", hint="Use another layer there") from None


def compiled(network: Any, scaling: Scaling, probe: FloatArray) -> tuple[bytes, Scorer, float]:
    """Compile the network as it is now, and hold the graph to Keras, and to itself, on the probe rows.

    Returns: the graph, what scores with it, and the largest difference, US dollars.

    Raises:
        JobFileError: the network can't be expressed in ONNX.
        SelfTestError: the graph can't be loaded, or does not run.
        ParityError: it differs from Keras, or a row's result depends on its place.
    """
    graph = compile_graph(network, scaling)
    scorer = Scorer(graph)
    try:
        found = scorer.score(probe)
    except Exception as error:  # ONNX Runtime's own classes share no narrower root
        raise SelfTestError(f"the scoring graph does not run: {error}") from None
    largest = parity.check_parity(parity.keras_earnings(network, scaling, probe), found, scaling)
    parity.check_places(scorer.score, probe)
    return graph, scorer, largest
