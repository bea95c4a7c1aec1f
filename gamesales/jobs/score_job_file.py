"""Read and check the job file of a scoring run, ``jobs/score.toml``. Apart, as checking needs Pydantic."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, field_validator
from pydantic.dataclasses import dataclass

from gamesales.data.contract import describe, read_toml
from gamesales.data.screen import RejectLimit
from gamesales.errors import JobFileError, UsageError
from gamesales.jobs.score_job import DATE, DriftLimit, ScoreJob, zone
from gamesales.registry.refs import check_model, parse_ref
from gamesales.scoring.drift import PSI_THRESHOLD

_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_STRICT)
class _CheckedLimit(DriftLimit):
    threshold: Annotated[float, Field(gt=0, allow_inf_nan=False)] = PSI_THRESHOLD


@dataclass(frozen=True, config=_STRICT)
class _CheckedJob(ScoreJob):
    """A job whose values were checked; its keys and their defaults are those of ``ScoreJob``."""

    inputs: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]
    workers: Annotated[int, Field(ge=1)] | None = None
    drift: _CheckedLimit = _CheckedLimit()

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        return check_model(name)

    @field_validator("inputs")
    @classmethod
    def _check_inputs(cls, inputs: tuple[str, ...]) -> tuple[str, ...]:
        others = sorted({found for text in inputs for found in re.findall(r"\{[^{}]*\}", text)} - {DATE})
        if others:
            raise ValueError(f"{', '.join(others)} is no placeholder; there is {DATE} alone, the date of the run")
        return inputs

    @field_validator("output", "metrics_file")
    @classmethod
    def _check_path(cls, path: Path | None) -> Path | None:
        if path == Path():
            raise ValueError("expected a path, such as predictions/")
        if path is not None and DATE in str(path):
            raise ValueError(f"{DATE} may stand in inputs alone; a folder as output gets a run_date=… for each date")
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
        zone(timezone)
        return timezone


def load_score_job(path: Path) -> ScoreJob:
    """Read a job file.

    Raises: JobFileError: a key is missing, unknown or wrong; every such key is named.
    """
    try:
        job = TypeAdapter(_CheckedJob).validate_python(read_toml(path))
    except ValidationError as error:
        raise JobFileError(f"{path} is not a scoring job: {describe(error)}", hint="See docs/scoring.md") from None
    values = {field.name: getattr(job, field.name) for field in fields(ScoreJob)}
    return ScoreJob(**{**values, "drift": DriftLimit(job.drift.threshold, job.drift.fail)})
