"""Can the network be trained and exported? Asked before training, and of the scoring graph again after it."""

from __future__ import annotations

from typing import Any

from gamesales.errors import JobFileError, ParityError, SelfTestError
from gamesales.model import parity
from gamesales.model.compile import compile_graph
from gamesales.model.rehearsal import first_that_fails, rehearse
from gamesales.model.scaling import Scaling
from gamesales.model.spec import TrainingSpec
from gamesales.scoring.scorer import Scorer

FloatArray = parity.FloatArray


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
