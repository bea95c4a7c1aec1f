"""The job file of a training, such as ``jobs/train.toml``: data, network, training, intervals and report.

Manifests keep the same specifications. A preset is a network with its training.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)

from gamesales.data.contract import Contract
from gamesales.data.dialect import DEFAULT_DIALECT, CsvDialect, TableFormat
from gamesales.data.job_file import read_job_file
from gamesales.data.labeled_titles import LabeledTitles, learn_categories, read_titles
from gamesales.data.validation import explain_faults
from gamesales.errors import JobFileError
from gamesales.registry.refs import DEFAULT_MODEL, DEFAULT_REGISTRY, check_model
from gamesales.scoring.inputs import find_table_file
from gamesales.scoring.reference_titles import MOST_REFERENCES

DEFAULT_CONTRACT = "data/contract.toml"
# The keys of a job on titles that hold paths.
PATH_KEYS = {"data.train": None, "data.test": None, "data.contract": DEFAULT_CONTRACT, "registry": DEFAULT_REGISTRY}

Arguments = dict[str, Any]
# A valid model name.
ModelName = Annotated[str, AfterValidator(check_model)]


class JobTable(BaseModel):
    """A table of a job file. Unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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


class NetworkSpec(JobTable):
    """The layers of a keras.Sequential, from scaled features, (batch, k), to the scaled target, (batch, 1)."""

    layers: tuple[LayerSpec, ...] = Field(min_length=1)


class EarlyStopping(JobTable):
    """The condition on which training ends before its last epoch.

    Training ends after ``patience`` epochs in which the validation loss did not fall by more than ``min_delta``, in
    scaled units. With ``restore_best``, the version has the weights of the epoch with the lowest validation loss.
    """

    patience: int = Field(ge=1)
    min_delta: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    restore_best: bool = True


class TrainingSpec(JobTable):
    """How a network is trained.

    ``batch_size`` is in rows. ``validation_share`` is the share of the training rows that are held out for validation.
    """

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


class IntervalsSpec(JobTable):
    """How prediction intervals are calibrated.

    ``coverage`` is the share of titles whose earnings should lie within their interval. The method ``cv`` calibrates on
    out-of-fold predictions of ``folds`` further networks. The method ``split`` calibrates on ``calibration_share`` of
    the training rows, which the network is not trained on. ``auto`` chooses one of them by the number of rows.
    """

    method: Literal["auto", "cv", "split", "none"] = "auto"
    coverage: float = Field(default=0.9, gt=0, lt=1)
    folds: int = Field(default=5, ge=2)
    calibration_share: float = Field(default=0.2, gt=0, lt=1)

    def choose_method(self, rows: int) -> Literal["cv", "split", "none"]:
        """Return the method for a number of training rows."""
        if self.method == "auto":
            return "cv" if rows <= _MAX_ROWS_FOR_FOLDS else "split"
        return self.method


class DataFiles(JobTable):
    """The paths or URLs of the titles, and the path of their contract. Paths start at the root of the job or here."""

    train: str = Field(min_length=1)
    test: str = Field(min_length=1)
    contract: Path = Path(DEFAULT_CONTRACT)


class ReportSpec(JobTable):
    """The further networks that are trained for the report.

    ``folds`` networks are trained for grouped k-fold, and ``folds`` for plain k-fold unless prediction intervals have
    trained them already; 0 for none. ``learning_curve`` trains on an eighth, a quarter and half of the titles.
    ``seeds`` networks are trained on all titles, each from another seed. With more than ``most_titles`` training
    titles, none of these networks is trained.
    """

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


class TitlesJob(JobTable):
    """A job that reads titles: their files, the dialect of CSV files, and the columns that have other names there.

    ``registry`` is the path or URL of the registry, unless the command line or the environment names another. A job
    file may also have a ``root``, relative to the file, at which its relative paths start. ``reference_titles`` is the
    number of training titles that a version keeps to explain predictions, features only; 0 for none.
    """

    data: DataFiles
    registry: str | None = Field(default=None, min_length=1)
    reference_titles: int = Field(default=MOST_REFERENCES, ge=0, le=MOST_REFERENCES)
    csv: CsvDialect = DEFAULT_DIALECT
    columns: Mapping[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_columns(self) -> Self:
        _ = self.table_format
        return self

    @property
    def table_format(self) -> TableFormat:
        """How the files are written."""
        return TableFormat(self.csv, self.columns)


class TrainJob(TitlesJob):
    """A training job."""

    name: ModelName = DEFAULT_MODEL
    network: NetworkSpec
    training: TrainingSpec
    intervals: IntervalsSpec = IntervalsSpec()
    report: ReportSpec = ReportSpec()

    def with_seed(self, seed: int) -> TrainJob:
        """Return the same job with another seed."""
        return self.model_copy(update={"training": self.training.model_copy(update={"seed": seed})})


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


def load_job(path: Path, preset: str | None = None) -> TrainJob:
    """Read a job file.

    Args:
        path: the TOML file.
        preset: the name of a preset, whose network and training replace those of the file, except for the seed.

    Raises:
        JobFileError: the preset is unknown, or a key is missing, unknown or wrong.
    """
    fields = read_job_file(path, PATH_KEYS)
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
            f"{path} is not a training job: {explain_faults(error, TrainJob, path)}", hint="See docs/guides/train.md"
        ) from None


def read_data(job: TitlesJob) -> tuple[Contract, LabeledTitles, LabeledTitles]:
    """Read the contract, the training titles and the test titles of a job.

    The categories of the contract get their values from the training titles.

    Raises:
        JobFileError: both paths name the same content.
    """
    files = job.data
    contract = Contract.from_toml(files.contract)
    contract = learn_categories(find_table_file(files.train), contract, job.table_format)
    training, test = (
        read_titles(find_table_file(source), contract, table_format=job.table_format)
        for source in (files.train, files.test)
    )
    if training.sha256 == test.sha256:
        raise JobFileError(
            f"data.test is the same file as data.train ({files.test}); expected titles that are not in training",
            hint="Hold out a fifth of the titles as data.test, for example",
        )
    return contract, training, test
