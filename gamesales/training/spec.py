"""Specifications of a network, its training and its prediction intervals.

They are read from job files and kept in manifests. A preset is a network with its training.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_serializer, field_validator, model_validator

Arguments = dict[str, Any]


class _CallSpec(BaseModel):
    """A table of a name and the arguments of a call of Keras."""

    model_config = ConfigDict(frozen=True, extra="allow")

    @property
    def arguments(self) -> Arguments:
        return dict(self.model_extra or {})

    @model_validator(mode="after")
    def _check_finite(self) -> Self:
        """Refuse inf and nan before training: TOML allows them, but the JSON of a manifest does not."""
        try:
            json.dumps(self.arguments, allow_nan=False, default=str)
        except ValueError:
            raise ValueError("expected finite numbers") from None
        return self


class ObjectSpec(_CallSpec):
    """A Keras object by its name and its arguments: ``{ name = "Adam", learning_rate = 0.001 }``."""

    name: str = Field(min_length=1)


class LayerSpec(_CallSpec):
    """A Keras layer by its class and its arguments: ``{ layer = "Dense", units = 50, activation = "relu" }``."""

    layer: str = Field(min_length=1)

    def __str__(self) -> str:
        return _format_call(self.layer, self.arguments)


def _format_call(name: str, arguments: Arguments) -> str:
    """Format a table as a call: ``Bidirectional(wrapped=LSTM(8))``."""
    formatted = {key: _format_value(value) for key, value in arguments.items()}
    parts = (text if key in ("units", "activation") else f"{key}={text}" for key, text in formatted.items())
    return f"{name}({', '.join(parts)})"


def _format_value(value: object) -> str:
    if isinstance(value, dict):
        for name_key in ("layer", "name"):
            if isinstance(value.get(name_key), str):
                return _format_call(value[name_key], {key: item for key, item in value.items() if key != name_key})
    if isinstance(value, list):
        return f"[{', '.join(map(_format_value, value))}]"
    return str(value)


class NetworkSpec(BaseModel):
    """The layers of a keras.Sequential, from scaled features, (batch, k), to the scaled target, (batch, 1)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layers: tuple[LayerSpec, ...] = Field(min_length=1)


class EarlyStopping(BaseModel):
    """The condition on which training ends before its last epoch.

    Training ends after ``patience`` epochs in which the validation loss did not fall by more than ``min_delta``, in
    scaled units. With ``restore_best``, the version has the weights of the epoch with the lowest validation loss.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    patience: int = Field(ge=1)
    min_delta: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    restore_best: bool = True


class TrainingSpec(BaseModel):
    """How a network is trained.

    ``batch_size`` is in rows. ``validation_share`` is the share of the training rows that are held out for validation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    loss: ObjectSpec = ObjectSpec(name="mean_squared_error")
    optimizer: ObjectSpec = ObjectSpec(name="Adam")
    schedule: ObjectSpec | None = None
    epochs: int = Field(ge=1, le=1_000_000)
    batch_size: int = Field(default=32, ge=1)
    validation_share: float = Field(default=0.0, ge=0, lt=1)
    early_stopping: EarlyStopping | None = None
    seed: int = Field(default=1, ge=0, lt=2**32)

    @model_validator(mode="after")
    def _check_early_stopping(self) -> Self:
        if self.early_stopping and not self.validation_share:
            raise ValueError("early_stopping watches the validation loss; expected a validation_share above 0, found 0")
        return self

    @field_validator("loss", "optimizer", "schedule", mode="before")
    @classmethod
    def _expand_bare_name(cls, value: object) -> object:
        """Read a bare name as a table without arguments."""
        return {"name": value} if isinstance(value, str) else value

    @field_serializer("loss")
    def _serialize_loss(self, loss: ObjectSpec) -> str | Arguments:
        """Write a loss without arguments as a bare name, as in the manifests of earlier releases."""
        return loss.model_dump(mode="json") if loss.arguments else loss.name


# With more rows, a fifth of them is enough to calibrate on, and training further networks takes long.
_MAX_ROWS_FOR_FOLDS = 20_000


class IntervalsSpec(BaseModel):
    """How prediction intervals are calibrated.

    ``coverage`` is the share of titles whose earnings should lie within their interval. The method ``cv`` calibrates on
    out-of-fold predictions of ``folds`` further networks. The method ``split`` calibrates on ``calibration_share`` of
    the training rows, which the network is not trained on. ``auto`` chooses one of them by the number of rows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["auto", "cv", "split", "none"] = "auto"
    coverage: float = Field(default=0.9, gt=0, lt=1)
    folds: int = Field(default=5, ge=2)
    calibration_share: float = Field(default=0.2, gt=0, lt=1)

    def choose_method(self, rows: int) -> Literal["cv", "split", "none"]:
        """Return the method for a number of training rows."""
        if self.method == "auto":
            return "cv" if rows <= _MAX_ROWS_FOR_FOLDS else "split"
        return self.method


# The preset "course": the network and the training of the Keras course that this project started from.
COURSE: Mapping[str, Mapping[str, Any]] = {
    "network": {
        "layers": [
            {"layer": "Dense", "units": 50, "activation": "relu"},
            {"layer": "Dense", "units": 100, "activation": "relu"},
            {"layer": "Dense", "units": 50, "activation": "relu"},
            {"layer": "Dense", "units": 1, "activation": "linear"},
        ]
    },
    "training": {"loss": "mean_squared_error", "optimizer": "Adam", "epochs": 50, "batch_size": 32},
}
PRESETS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {"course": COURSE}
