"""The job file of a training: what to train on and how, validated."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from gamesales.data.contract import describe, read_toml
from gamesales.errors import JobFileError
from gamesales.jobs.training.data_files import DataFiles
from gamesales.model.spec import PRESETS, IntervalsSpec, NetworkSpec, TrainingSpec
from gamesales.registry.refs import DEFAULT_MODEL, check_model

# A model that a job file names.
ModelName = Annotated[str, AfterValidator(check_model)]


class ReportSpec(BaseModel):
    """What training does so that the report can say how good such networks are, and not this one alone.

    ``folds`` further networks are trained for k-fold with titles of the same features together, and as many for plain
    k-fold unless prediction intervals have trained them; 0 for none. ``learning_curve`` trains on an eighth, a fourth
    and a half of the titles, and ``seeds`` further networks on all of them, each from another seed. Beyond
    ``most_titles`` training titles none of this is done.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    folds: int = Field(default=5, ge=0)
    learning_curve: bool = True
    seeds: int = Field(default=3, ge=0)
    most_titles: int = Field(default=5_000, ge=0)

    @field_validator("folds")
    @classmethod
    def _check_folds(cls, folds: int) -> int:
        if folds == 1:
            raise ValueError("expected 2 or more, or 0 for none")
        return folds


class TrainJob(BaseModel):
    """What ``jobs/train.toml`` says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ModelName = DEFAULT_MODEL
    data: DataFiles
    network: NetworkSpec
    training: TrainingSpec
    intervals: IntervalsSpec = IntervalsSpec()
    report: ReportSpec = ReportSpec()


def load_job(path: Path, preset: str | None = None) -> TrainJob:
    """Read a job file, with the network and the training of a preset in place of its own if one is named.

    Raises: JobFileError: a key is missing, unknown or wrong; it is named.
    """
    fields = read_toml(path)
    if preset is not None:
        if preset not in PRESETS:
            raise JobFileError(f"no preset {preset!r}; there is {', '.join(PRESETS)}")
        training = fields.get("training")
        seed = {"seed": training["seed"]} if isinstance(training, dict) and "seed" in training else {}
        given = PRESETS[preset]
        fields = {**fields, "network": given["network"], "training": {**given["training"], **seed}}
    try:
        return TrainJob.model_validate(fields)
    except ValidationError as error:
        raise JobFileError(f"{path} is not a training job: {describe(error)}", hint="See docs/train.md") from None
