"""The Keras layer that encodes columns, in front of the layers of a job."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from gamesales.training.encoding import ENCODER, Encoding, count_inputs, encode, restore_encoding
from gamesales.training.keras_objects import load_keras


def make_encoder(columns: Sequence[dict[str, Any]]) -> Any:
    """Make the layer from the configuration of its columns; see ``add_encoder``."""
    return load_encoder_class()(columns=list(columns), name="column_encoder")


def get_encoding(layer: Any) -> Encoding | None:
    """Return the encoding of a layer; None for a layer of another class."""
    return restore_encoding(layer.columns) if type(layer).__name__ == ENCODER else None


@cache
def load_encoder_class() -> Any:
    """Return the class, with which Keras can load saved networks from now on."""
    keras = load_keras()

    @keras.saving.register_keras_serializable("gamesales")
    class ColumnEncoder(keras.layers.Layer):  # type: ignore[name-defined,misc]
        """Encodes titles: float32 (n, k) to (n, w). See ``gamesales.training.encoding``."""

        def __init__(self, columns: list[dict[str, Any]], **arguments: Any) -> None:
            super().__init__(**arguments)
            self.columns = columns
            self._encoding = restore_encoding(columns)

        def call(self, values: Any) -> Any:
            return encode(self._encoding, values)

        def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, int]:
            return input_shape[0], count_inputs(self._encoding)

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "columns": self.columns}

    return ColumnEncoder
