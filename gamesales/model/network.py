"""The specification becomes a Keras Sequential; every name and argument that Keras refuses is told by its key."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gamesales.errors import JobFileError
from gamesales.model.backend import load_keras, seed_everything
from gamesales.model.named import first_line, make_layer
from gamesales.model.optimization import compile_network
from gamesales.model.spec import LayerSpec, NetworkSpec

__all__ = ["build_network", "compile_network", "load_keras", "seed_everything"]


def build_network(spec: NetworkSpec, features: int) -> Any:
    """Build the untrained network; layer 2 is named after its class and its place, ``dropout_2``, or as it says.

    Args: features: k, the number of columns.  Returns: a keras.Sequential from (batch, k) to (batch, 1).
    Raises: JobFileError: a layer does not exist, refuses its arguments, does not fit the one before or mixes titles.
    """
    keras = load_keras()
    network = keras.Sequential([keras.Input((features,), name="scaled_features")], name="gamesales")
    values: Any = _titles(features)
    for place, layer in enumerate(spec.layers):
        key = f"network.layers[{place}]"
        # Keras's own names count up over all networks of a process; these tell the place in the job file.
        made = make_layer(layer.layer, {"name": f"{layer.layer.lower()}_{place}", **layer.arguments}, key)
        try:
            network.add(made)
            # Some faults, such as an activation's, show with numbers only.
            values, fewer = made(values, training=False), made(values[:2], training=False)
        except Exception as error:  # each layer raises what it likes about shapes and numbers
            raise JobFileError(
                f"{key} ({layer}) can't be applied to what comes before it: {first_line(error)}"
            ) from None
        _check_titles_stay_apart(network, layer, key, np.asarray(values), np.asarray(fewer))
    shape = getattr(network, "output_shape", None)
    if shape != (None, 1):
        raise JobFileError(
            f"network.layers gives {shape}, expected (None, 1): one number a title",
            hint='End with { layer = "Dense", units = 1 }',
        )
    return network


def _titles(features: int) -> npt.NDArray[np.float32]:
    """Return scaled titles to try layers with: (5, k), ordinary ones first, and two far outside what training saw.

    A contract may leave a column open, so that a layer which takes numbers of some range alone is none for a job file.
    """
    ordinary = np.linspace(0, 1, 3 * features, dtype=np.float32).reshape(3, features)
    return np.concatenate([ordinary, np.full((1, features), 1e4, np.float32), np.full((1, features), -1e4, np.float32)])


def _check_titles_stay_apart(
    network: Any, layer: LayerSpec, key: str, together: npt.NDArray[Any], fewer: npt.NDArray[Any]
) -> None:
    """Refuse a layer that gives a title something else when others are scored with it."""
    shape = network.output_shape[1:]
    if together.shape[1:] != shape:
        raise JobFileError(f"{key} ({layer}) gives numbers of shape {together.shape[1:]} where Keras expects {shape}")
    if not np.allclose(together[:2], fewer, rtol=1e-3, atol=1e-5, equal_nan=True):
        raise JobFileError(
            f"{key} ({layer}) makes the prediction for a title depend on the titles that are scored with it",
            hint="Axis 0 is the titles: use another axis",
        )
