"""The job file of a training: what to train on and how, validated."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from gamesales.data.contract import Contract, describe, read_toml
from gamesales.data.labeled_titles import Titles, read_titles
from gamesales.errors import JobFileError
from gamesales.registry.refs import DEFAULT_MODEL, check_model
from gamesales.training.spec import PRESETS, IntervalsSpec, NetworkSpec, TrainingSpec

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


class DataFiles(BaseModel):
    """Where the titles are; relative paths start at the current folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: Path
    test: Path
    contract: Path = Path("data/contract.toml")


def read_data(files: DataFiles) -> tuple[Contract, Titles, Titles]:
    """Read the contract, the titles to learn from and those held back.

    Raises: JobFileError: they are the same file.
    """
    contract = Contract.from_toml(files.contract)
    past, held_back = read_titles(files.train, contract), read_titles(files.test, contract)
    if past.sha256 == held_back.sha256:
        raise JobFileError(
            f"data.test is the same file as data.train ({files.test}); expected titles that training never sees",
            hint="Hold some titles back: a fifth of them, say",
        )
    return contract, past, held_back
