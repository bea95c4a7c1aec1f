"""The job file of a training, such as ``jobs/train.toml``, and the data files that it names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from gamesales.data.contract import Contract, describe_validation_error, read_toml
from gamesales.data.labeled_titles import LabeledTitles, read_titles
from gamesales.errors import JobFileError
from gamesales.registry.refs import DEFAULT_MODEL, check_model
from gamesales.training.spec import PRESETS, IntervalsSpec, NetworkSpec, TrainingSpec

# A valid model name.
ModelName = Annotated[str, AfterValidator(check_model)]


class DataFiles(BaseModel):
    """The paths of the titles and of their contract, relative to the current folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: Path
    test: Path
    contract: Path = Path("data/contract.toml")


class ReportSpec(BaseModel):
    """The further networks that are trained for the report.

    ``folds`` networks are trained for grouped k-fold, and ``folds`` for plain k-fold unless prediction intervals have
    trained them already; 0 for none. ``learning_curve`` trains on an eighth, a quarter and half of the titles.
    ``seeds`` networks are trained on all titles, each from another seed. With more than ``most_titles`` training
    titles, none of these networks is trained.
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
    """A training job: the titles, the network, its training, its prediction intervals and its report."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ModelName = DEFAULT_MODEL
    data: DataFiles
    network: NetworkSpec
    training: TrainingSpec
    intervals: IntervalsSpec = IntervalsSpec()
    report: ReportSpec = ReportSpec()

    def with_seed(self, seed: int) -> TrainJob:
        """Return the same job with another seed."""
        return self.model_copy(update={"training": self.training.model_copy(update={"seed": seed})})


def load_job(path: Path, preset: str | None = None) -> TrainJob:
    """Read a job file.

    Args:
        path: the TOML file.
        preset: the name of a preset, whose network and training replace those of the file, except for the seed.

    Raises:
        JobFileError: the preset is unknown, or a key is missing, unknown or wrong.
    """
    fields = read_toml(path)
    if preset is not None:
        if preset not in PRESETS:
            raise JobFileError(f"no preset {preset!r}; expected {', '.join(PRESETS)}")
        training = fields.get("training")
        seed = {"seed": training["seed"]} if isinstance(training, dict) and "seed" in training else {}
        replacement = PRESETS[preset]
        fields = {**fields, "network": replacement["network"], "training": {**replacement["training"], **seed}}
    try:
        return TrainJob.model_validate(fields)
    except ValidationError as error:
        raise JobFileError(
            f"{path} is not a training job: {describe_validation_error(error)}", hint="See docs/guides/train.md"
        ) from None


def read_data(files: DataFiles) -> tuple[Contract, LabeledTitles, LabeledTitles]:
    """Read the contract, the training titles and the test titles.

    Raises:
        JobFileError: both paths name the same content.
    """
    contract = Contract.from_toml(files.contract)
    training, test = read_titles(files.train, contract), read_titles(files.test, contract)
    if training.sha256 == test.sha256:
        raise JobFileError(
            f"data.test is the same file as data.train ({files.test}); expected titles that are not in training",
            hint="Hold out a fifth of the titles as data.test, for example",
        )
    return contract, training, test
