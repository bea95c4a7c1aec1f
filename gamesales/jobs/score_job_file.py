"""Read and check the job file of a scoring job, ``jobs/score.toml``."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, field_validator
from pydantic.dataclasses import dataclass

from gamesales.data.contract import describe_validation_error, read_toml
from gamesales.data.screen import RejectLimit
from gamesales.errors import JobFileError, UsageError
from gamesales.jobs.score_job import DATE, DriftLimit, ScoreJob, find_time_zone
from gamesales.registry.refs import check_model, parse_ref
from gamesales.scoring.drift import PSI_THRESHOLD

_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_STRICT)
class _DriftSchema(DriftLimit):
    threshold: Annotated[float, Field(gt=0, allow_inf_nan=False)] = PSI_THRESHOLD


@dataclass(frozen=True, config=_STRICT)
class _ScoreJobSchema(ScoreJob):
    """The checks of a job file. Its keys and their defaults are those of ``ScoreJob``."""

    inputs: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]
    workers: Annotated[int, Field(ge=1)] | None = None
    drift: _DriftSchema = _DriftSchema()
    # Not keys of a job file.
    as_of_date: bool = Field(default=False, init=False)
    fresh: bool = Field(default=False, init=False)

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        return check_model(name)

    @field_validator("inputs")
    @classmethod
    def _check_inputs(cls, inputs: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted({name for text in inputs for name in re.findall(r"\{[^{}]*\}", text)} - {DATE})
        if unknown:
            raise ValueError(f"unknown placeholder {', '.join(unknown)}; the only one is {DATE}, the date of the run")
        return inputs

    @field_validator("output", "metrics_file")
    @classmethod
    def _check_path(cls, path: Path | None) -> Path | None:
        if path == Path():
            raise ValueError("expected a path, such as predictions/")
        if path is not None and DATE in str(path):
            raise ValueError(f"{DATE} works in inputs only; an output folder gets a run_date=… for each date")
        return path

    @field_validator("model", "shadow")
    @classmethod
    def _check_ref(cls, ref: str | None) -> str | None:
        if ref is not None:
            parse_ref(ref)
        return ref

    @field_validator("max_rejects", mode="before")
    @classmethod
    def _check_max_rejects(cls, limit: object) -> object:
        text = str(limit) if isinstance(limit, int) and not isinstance(limit, bool) else limit
        if isinstance(text, str):
            try:
                RejectLimit.parse(text)
            except UsageError:
                raise ValueError('expected a count such as 25 or a share such as "1%"') from None
        return text

    @field_validator("timezone")
    @classmethod
    def _check_timezone(cls, timezone: str) -> str:
        find_time_zone(timezone)
        return timezone


def read_score_job(path: Path) -> ScoreJob:
    """Read a job file.

    Raises:
        JobFileError: A key is missing, unknown or wrong. The message names every such key.
    """
    try:
        checked = TypeAdapter(_ScoreJobSchema).validate_python(read_toml(path))
    except ValidationError as error:
        raise JobFileError(
            f"{path} is not a scoring job: {describe_validation_error(error)}", hint="See docs/guides/score.md"
        ) from None
    values = {field.name: getattr(checked, field.name) for field in fields(ScoreJob)}
    return ScoreJob(**{**values, "drift": DriftLimit(checked.drift.threshold, checked.drift.fail)})
