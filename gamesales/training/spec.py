"""The network and its training as data: what a job file says, what the manifest keeps, what presets give."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_serializer, field_validator, model_validator

Args = dict[str, Any]


class _WithArguments(BaseModel):
    """A name, and beside it the arguments that Keras gets."""

    model_config = ConfigDict(frozen=True, extra="allow")

    @property
    def arguments(self) -> Args:
        return dict(self.model_extra or {})

    @model_validator(mode="after")
    def _fits_a_manifest(self) -> Self:
        """TOML has inf and nan, JSON has not: refused here, and not when training is over."""
        try:
            json.dumps(self.arguments, allow_nan=False, default=str)
        except ValueError:
            raise ValueError("expected finite numbers") from None
        return self


class Named(_WithArguments):
    """Something of Keras's, by its name and its arguments: ``{ name = "Adam", learning_rate = 0.001 }``."""

    name: str = Field(min_length=1)


class LayerSpec(_WithArguments):
    """One Keras layer by its class and its arguments: ``{ layer = "Dense", units = 50, activation = "relu" }``."""

    layer: str = Field(min_length=1)

    def __str__(self) -> str:
        return _call(self.layer, self.arguments)


def _call(name: str, arguments: Args) -> str:
    """Write what a table says as a call: ``Bidirectional(wrapped=LSTM(8))``."""
    shown = {key: _shown(value) for key, value in arguments.items()}
    parts = (text if key in ("units", "activation") else f"{key}={text}" for key, text in shown.items())
    return f"{name}({', '.join(parts)})"


def _shown(value: object) -> str:
    if isinstance(value, dict):
        for key in ("layer", "name"):
            if isinstance(value.get(key), str):
                return _call(value[key], {other: given for other, given in value.items() if other != key})
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    return str(value)


class NetworkSpec(BaseModel):
    """A Keras Sequential, from the scaled features, (batch, k), to the scaled target, (batch, 1)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layers: tuple[LayerSpec, ...] = Field(min_length=1)


class EarlyStopping(BaseModel):
    """When training ends before its last epoch.

    It ends once ``patience`` epochs in a row have not brought the validation loss down by more than ``min_delta``
    (scaled units); ``restore_best`` goes back to the weights of the epoch with the lowest loss.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    patience: int = Field(ge=1)
    min_delta: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    restore_best: bool = True


class TrainingSpec(BaseModel):
    """How a network learns. ``batch_size`` is in rows; ``validation_share`` is a share of the training rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    loss: Named = Named(name="mean_squared_error")
    optimizer: Named = Named(name="Adam")
    schedule: Named | None = None
    epochs: int = Field(ge=1, le=1_000_000)
    batch_size: int = Field(default=32, ge=1)
    validation_share: float = Field(default=0.0, ge=0, lt=1)
    early_stopping: EarlyStopping | None = None
    seed: int = Field(default=1, ge=0, lt=2**32)

    @model_validator(mode="after")
    def _can_stop_early(self) -> Self:
        if self.early_stopping and not self.validation_share:
            raise ValueError("early_stopping watches the validation loss; expected a validation_share above 0, found 0")
        return self

    @field_validator("loss", "optimizer", "schedule", mode="before")
    @classmethod
    def _by_name(cls, value: object) -> object:
        """A bare name means the default arguments."""
        return {"name": value} if isinstance(value, str) else value

    @field_serializer("loss")
    def _bare(self, loss: Named) -> str | Args:
        """Manifests have always had a loss as a bare name, and still do where it has no arguments."""
        return loss.model_dump(mode="json") if loss.arguments else loss.name


# Beyond this many rows, a fifth of them is plenty to calibrate on, and further trainings are what costs.
_MOST_ROWS_FOR_FOLDS = 20_000


class IntervalsSpec(BaseModel):
    """How prediction intervals are calibrated.

    ``coverage`` is the share of titles that they are to hold. ``folds`` counts the networks that are trained beside the
    published one where the method is ``cv``; ``calibration_share`` is the share of the training rows that it does not
    learn from where the method is ``split``. ``auto`` is one of these two, by the number of rows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["auto", "cv", "split", "none"] = "auto"
    coverage: float = Field(default=0.9, gt=0, lt=1)
    folds: int = Field(default=5, ge=2)
    calibration_share: float = Field(default=0.2, gt=0, lt=1)

    def method_for(self, rows: int) -> Literal["cv", "split", "none"]:
        """Return the method for so many training rows."""
        if self.method == "auto":
            return "cv" if rows <= _MOST_ROWS_FOR_FOLDS else "split"
        return self.method


# The network and the training of the Keras course that this project starts from.
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
