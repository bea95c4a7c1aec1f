"""The job file of a search, validated."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from gamesales.data.contract import describe_validation_error, read_toml
from gamesales.errors import JobFileError
from gamesales.registry.refs import DEFAULT_MODEL
from gamesales.search.space import COURSE_CANDIDATE, Candidate, Space
from gamesales.training.spec import IntervalsSpec
from gamesales.training.train_job import DataFiles, ModelName, ReportSpec, TrainJob

STARTS = {"course": COURSE_CANDIDATE}


class SearchSpec(BaseModel):
    """The table ``[search]``.

    Attributes:
        trials: the budget in trials, including pruned and failed trials.
        minutes: the budget in minutes. If both budgets are given, the first to be spent ends the search.
        folds: the number of folds of the cross-validation.
        grouped: whether titles with the same features are kept in one fold.
        pruning: whether a trial is given up after a fold if it does worse than most.
        tolerance: the share by which the error of the smallest network may exceed the lowest error.
        choose: the network to register.
        finalists: the number of networks that are trained again.
        rounds: the number of times that finalists are trained again, with other folds and seeds.
        workers: the number of processes. None means one for each core.
        seed: seeds the search and the training of its candidates.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

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


class TuneJob(BaseModel):
    """A search job, such as ``jobs/tune.toml``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ModelName = DEFAULT_MODEL
    data: DataFiles
    search: SearchSpec
    space: Space
    start: Candidate = COURSE_CANDIDATE
    intervals: IntervalsSpec = IntervalsSpec()
    report: ReportSpec = ReportSpec()

    @field_validator("start", mode="before")
    @classmethod
    def _resolve_name(cls, value: object) -> object:
        if isinstance(value, str):
            if value not in STARTS:
                raise ValueError(f"expected {', '.join(STARTS)} or a table [start]")
            return STARTS[value]
        return value

    def train_job(self, candidate: Candidate) -> TrainJob:
        """Return the training job of a candidate, on the same titles, with the search's seed."""
        return TrainJob(
            name=self.name,
            data=self.data,
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
    fields = read_toml(path)
    search = fields.get("search", {})
    if isinstance(search, dict):
        replaced = {key: value for key, value in overrides.items() if value is not None}
        fields = {**fields, "search": {**search, **replaced}}
    try:
        return TuneJob.model_validate(fields)
    except ValidationError as error:
        raise JobFileError(
            f"{path} is not a search job: {describe_validation_error(error)}", hint="See docs/guides/tune.md"
        ) from None
