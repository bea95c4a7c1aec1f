"""The job file of a search: what to train on, what to choose from, for how long, validated."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from gamesales.data.contract import describe, read_toml
from gamesales.errors import JobFileError
from gamesales.registry.refs import DEFAULT_MODEL
from gamesales.search.space import COURSE_CANDIDATE, Candidate, Space
from gamesales.training.spec import IntervalsSpec
from gamesales.training.train_job import DataFiles, ModelName, ReportSpec, TrainJob

STARTS = {"course": COURSE_CANDIDATE}


class SearchSpec(BaseModel):
    """How to search, and how long.

    The budget is ``trials``, those pruned and failed included, or ``minutes``, or whatever of both comes first.
    ``folds`` are those of the cross-validation; ``grouped`` keeps titles with the same features in one fold;
    ``pruning`` gives a trial up after a fold if it does worse than most. ``tolerance`` is the share by which the
    smallest network may have more error than the best. The ``finalists`` are trained again in ``rounds`` of other folds
    with other seeds. ``workers`` are processes; None: one for each core.
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
    def _ends(self) -> Self:
        if self.trials is None and self.minutes is None:
            raise ValueError("expected a budget: trials, minutes or both")
        return self


class TuneJob(BaseModel):
    """What ``jobs/tune.toml`` says."""

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
    def _by_name(cls, value: object) -> object:
        if isinstance(value, str):
            if value not in STARTS:
                raise ValueError(f"expected {', '.join(STARTS)} or a table [start]")
            return STARTS[value]
        return value

    def train_job(self, candidate: Candidate) -> TrainJob:
        """Return the training of a candidate, on the same titles, with the search's seed."""
        return TrainJob(
            name=self.name,
            data=self.data,
            network=candidate.network(),
            training=candidate.training(self.search.seed),
            intervals=self.intervals,
            report=self.report,
        )


def load_tune_job(path: Path, **budget: Any) -> TuneJob:
    """Read a job file, with what the command line gives of ``[search]`` in place of its own.

    Args: budget: keys of ``[search]``; None leaves the job's.
    Raises: JobFileError: a key is missing, unknown or wrong; it is named.
    """
    fields = read_toml(path)
    search = fields.get("search", {})
    if isinstance(search, dict):
        given = {key: value for key, value in budget.items() if value is not None}
        fields = {**fields, "search": {**search, **given}}
    try:
        return TuneJob.model_validate(fields)
    except ValidationError as error:
        raise JobFileError(f"{path} is not a search job: {describe(error)}", hint="See docs/tune.md") from None
