"""The job file of a search, such as ``jobs/tune.toml``: the space of candidates, the budget, data and report.

A candidate is a network with its training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, Self, TypeVar, cast

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from gamesales.data.job_file import read_job_file
from gamesales.data.validation import explain_fault, explain_faults
from gamesales.errors import JobFileError
from gamesales.registry.refs import DEFAULT_MODEL
from gamesales.training.train_job import (
    COURSE,
    PATH_KEYS,
    IntervalsSpec,
    JobTable,
    LayerSpec,
    ModelName,
    NetworkSpec,
    ObjectSpec,
    ReportSpec,
    TitlesJob,
    TrainingSpec,
    TrainJob,
)

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

T = TypeVar("T")
Schedule = Literal["constant", "CosineDecay"]


class Candidate(JobTable):
    """A network of dense layers, and its training by Adam.

    ``units`` has the size of each hidden layer. ``l2`` is the factor of the squared weights in the loss. ``dropout`` is
    the share of a hidden layer's outputs that a training step drops. ``CosineDecay`` lowers the learning rate to 0.
    """

    units: tuple[Annotated[int, Field(ge=1, le=10_000)], ...] = Field(min_length=1, max_length=20)
    activation: str = Field(min_length=1)
    batch_size: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=0.001, gt=0, allow_inf_nan=False)
    l2: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    epochs: int = Field(default=50, ge=1, le=1_000_000)
    schedule: Schedule = "constant"

    def __str__(self) -> str:
        return f"{self.shape} {self.activation}"

    @property
    def shape(self) -> str:
        """The units of the hidden layers, such as ``50-100-50``."""
        return "-".join(map(str, self.units))

    def network(self) -> NetworkSpec:
        """Return the layers as in a training job."""
        layers = []
        for units in self.units:
            layers.append({"layer": "Dense", "units": units, "activation": self.activation, **self._regularizer()})
            if self.dropout:
                layers.append({"layer": "Dropout", "rate": self.dropout})
        layers.append({"layer": "Dense", "units": 1, "activation": "linear"})
        return NetworkSpec(layers=tuple(LayerSpec.model_validate(layer) for layer in layers))

    def training(self, seed: int) -> TrainingSpec:
        """Return the training as in a training job."""
        decays = self.schedule == "CosineDecay"
        adam = {"name": "Adam"} if decays else {"name": "Adam", "learning_rate": self.learning_rate}
        rate = {"initial_learning_rate": self.learning_rate, "decay_epochs": self.epochs}
        return TrainingSpec(
            optimizer=ObjectSpec.model_validate(adam),
            schedule=ObjectSpec.model_validate({"name": "CosineDecay", **rate}) if decays else None,
            epochs=self.epochs,
            batch_size=self.batch_size,
            seed=seed,
        )

    def count_parameters(self, features: int) -> int:
        """Count the weights and biases for a number of features."""
        widths = (features, *self.units, 1)
        return sum((before + 1) * after for before, after in pairwise(widths))

    def _regularizer(self) -> dict[str, Any]:
        return {"kernel_regularizer": {"class_name": "L2", "config": {"l2": self.l2}}} if self.l2 else {}


# The course's job has no learning rate. Keras's default for Adam is 0.001.
COURSE_CANDIDATE = Candidate(
    units=tuple(layer["units"] for layer in COURSE["network"]["layers"][:-1]),
    activation=COURSE["network"]["layers"][0]["activation"],
    batch_size=COURSE["training"]["batch_size"],
    epochs=COURSE["training"]["epochs"],
)


class Values(JobTable, Generic[T]):
    """The values of a hyperparameter: a list, or a range from ``low`` to ``high`` on a linear or a log scale.

    In a job file: ``32``, ``[16, 32]`` or ``{ low = 8, high = 128, log = true }``.
    """

    choices: tuple[T, ...] = ()
    low: T | None = None
    high: T | None = None
    log: bool = False

    @model_validator(mode="before")
    @classmethod
    def _wrap_choices(cls, value: object) -> object:
        if isinstance(value, Mapping | cls):
            return value
        return {"choices": value if isinstance(value, list | tuple) else [value]}

    @model_validator(mode="after")
    def _check_choices_or_range(self) -> Self:
        if not self.is_range:
            if not self.choices or len(set(self.choices)) < len(self.choices) or self.log:
                raise ValueError("expected a value, a list of different values, or a range { low = …, high = … }")
            return self
        low, high = self.ends if len(self.ends) == 2 else (None, None)
        if self.choices or not isinstance(low, int | float) or not isinstance(high, int | float) or not low < high:
            raise ValueError("expected a range { low = …, high = … } of numbers, low below high")
        if self.log and low <= 0:
            raise ValueError("expected a range above 0 for log = true")
        return self

    @property
    def is_range(self) -> bool:
        return self.low is not None or self.high is not None

    @property
    def ends(self) -> tuple[T, ...]:
        """The two ends of a range, or every choice. If these are valid, all values are."""
        return (self.low, self.high) if self.low is not None and self.high is not None else self.choices

    def contains(self, value: Any) -> bool:
        """Return whether a value is one of the choices or in the range."""
        low, high = self.ends if self.is_range else (value, value)
        return bool(low <= value <= high) if self.is_range else value in self.choices

    def make_distribution(self) -> BaseDistribution | None:
        """Return Optuna's distribution of the values, or None if there is only one value."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if not self.is_range:
            choices: Any = self.choices
            return CategoricalDistribution(choices) if len(choices) > 1 else None
        low, high = cast("tuple[float, float]", self.ends)
        if isinstance(low, int) and isinstance(high, int):
            return IntDistribution(low, high, log=self.log)
        return FloatDistribution(low, high, log=self.log)


class Space(JobTable):
    """The table ``[space]`` of a search job: the values of each hyperparameter of a ``Candidate``.

    ``layers`` is the number of hidden layers. Each layer has its own ``units``.
    """

    layers: Values[int]
    units: Values[int]
    activation: Values[str]
    batch_size: Values[int] = Values(choices=(32,))
    learning_rate: Values[float] = Values(choices=(0.001,))
    l2: Values[float] = Values(choices=(0.0,))
    dropout: Values[float] = Values(choices=(0.0,))
    epochs: Values[int] = Values(choices=(50,))
    schedule: Values[Schedule] = Values(choices=("constant",))

    @field_validator("*")
    @classmethod
    def _check_values(cls, values: Values[Any], info: ValidationInfo) -> Values[Any]:
        """Refuse the values that a ``Candidate`` refuses."""
        name = info.field_name or ""
        for value in values.ends:
            try:
                Candidate.model_validate({"units": (1,), "activation": "relu", **_make_field(name, value)})
            except ValidationError as error:
                raise ValueError(explain_fault(error.errors()[0])) from None
        return values

    def list_values(self, layers: int) -> dict[str, Values[Any]]:
        """Return the values by hyperparameter, for networks with this number of hidden layers."""
        units = {f"units_{number}": self.units for number in range(1, layers + 1)}
        others = {name: getattr(self, name) for name in type(self).model_fields if name not in ("layers", "units")}
        return {"layers": self.layers, **units, **others}

    def make_candidate(self, choose: Callable[[str, Values[Any]], Any]) -> Candidate:
        """Return the candidate whose hyperparameters ``choose`` chooses, given a name and the values."""
        layers = choose("layers", self.layers)
        chosen = {name: choose(name, values) for name, values in self.list_values(layers).items() if name != "layers"}
        units = tuple(chosen.pop(f"units_{number}") for number in range(1, layers + 1))
        return Candidate(units=units, **chosen)

    def contains(self, candidate: Candidate) -> bool:
        """Return whether a candidate is in the space."""
        chosen = list_hyperparameters(candidate)
        return all(values.contains(chosen[name]) for name, values in self.list_values(len(candidate.units)).items())


def _make_field(name: str, value: Any) -> dict[str, Any]:
    """Return the field of a candidate that a value of the space stands for."""
    if name == "layers":
        return {"units": (1,) * min(value, 100)}
    return {name: (value,) if name == "units" else value}


def list_hyperparameters(candidate: Candidate) -> dict[str, Any]:
    """Return the hyperparameters of a candidate by the names of ``Space.list_values``."""
    units = {f"units_{number}": value for number, value in enumerate(candidate.units, 1)}
    return {"layers": len(candidate.units), **units, **candidate.model_dump(exclude={"units"})}


class SearchSpec(JobTable):
    """The table ``[search]``.

    Attributes:
        trials: the budget in trials, including pruned and failed trials.
        minutes: the budget in minutes. If both budgets are given, the first to be spent ends the search.
        grouped: whether titles with the same features are kept in one fold.
        pruning: whether a trial is given up after a fold if it does worse than most.
        tolerance: the share by which the error of the smallest network may exceed the lowest error.
        finalists: the number of networks that are trained again.
        rounds: the number of times that finalists are trained again, with other folds and seeds.
        workers: the number of processes. None means one for each core.
    """

    trials: int | None = Field(default=None, ge=1)
    minutes: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    folds: int = Field(default=5, ge=2)
    grouped: bool = False
    pruning: bool = True
    tolerance: float = Field(default=0.1, ge=0, le=1)
    choose: Literal["smallest", "best"] = "smallest"
    finalists: int = Field(default=5, ge=1)
    rounds: int = Field(default=1, ge=1)
    workers: int | None = Field(default=None, ge=1)
    seed: int = Field(default=1, ge=0, lt=2**32)

    @model_validator(mode="after")
    def _check_budget(self) -> Self:
        if self.trials is None and self.minutes is None:
            raise ValueError("expected a budget: trials, minutes or both")
        return self


class TuneJob(TitlesJob):
    """A search job, such as ``jobs/tune.toml``."""

    name: ModelName = DEFAULT_MODEL
    search: SearchSpec
    space: Space
    start: Candidate = COURSE_CANDIDATE
    intervals: IntervalsSpec = IntervalsSpec()
    report: ReportSpec = ReportSpec()

    @field_validator("start", mode="before")
    @classmethod
    def _resolve_name(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if value != "course":
            raise ValueError("expected course or a table [start]")
        return COURSE_CANDIDATE

    def train_job(self, candidate: Candidate) -> TrainJob:
        """Return the training job of a candidate, on the same titles, with the search's seed."""
        return TrainJob(
            name=self.name,
            data=self.data,
            reference_titles=self.reference_titles,
            csv=self.csv,
            columns=self.columns,
            network=candidate.network(),
            training=candidate.training(self.search.seed),
            intervals=self.intervals,
            report=self.report,
        )


def load_tune_job(path: Path, **overrides: Any) -> TuneJob:
    """Read a job file.

    Args:
        path: the file.
        **overrides: values for keys of ``[search]`` that replace the file's. None keeps the file's value.

    Raises:
        JobFileError: a key is missing, unknown or wrong. The error names it.
    """
    fields = read_job_file(path, PATH_KEYS)
    search = fields.get("search", {})
    if isinstance(search, dict):
        replaced = {key: value for key, value in overrides.items() if value is not None}
        fields = {**fields, "search": {**search, **replaced}}
    try:
        return TuneJob.model_validate(fields)
    except ValidationError as error:
        raise JobFileError(
            f"{path} is not a search job: {explain_faults(error, TuneJob, path)}", hint="See docs/guides/tune.md"
        ) from None
