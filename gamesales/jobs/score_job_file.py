"""Read and check the job file of a scoring job, ``jobs/score.toml``."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, field_validator
from pydantic.dataclasses import dataclass

from gamesales.data.contract import describe_validation_error
from gamesales.data.job_file import read_job_file
from gamesales.data.screen import RejectLimit
from gamesales.errors import JobFileError, UsageError
from gamesales.jobs.score_job import DATE, DriftLimit, ScoreJob, check_date_forms, find_time_zone, parse_share
from gamesales.registry.refs import DEFAULT_REGISTRY, check_model, parse_ref
from gamesales.scoring.drift import PSI_THRESHOLD

_PATH_KEYS = {"inputs": None, "output": None, "metrics_file": None, "registry": DEFAULT_REGISTRY}
_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_STRICT)
class _DriftSchema(DriftLimit):
    threshold: Annotated[float, Field(gt=0, allow_inf_nan=False)] = PSI_THRESHOLD


@dataclass(frozen=True, config=_STRICT)
class _ScoreJobSchema(ScoreJob):
    """The checks of a job file. Its keys and their defaults are those of ``ScoreJob``."""

    inputs: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]
    exclude: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    workers: Annotated[int, Field(ge=1)] | None = None
    registry: Annotated[str, Field(min_length=1)] | None = None
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
        for text in inputs:
            _check_placeholders(text)
        return inputs

    @field_validator("require")
    @classmethod
    def _check_require(cls, name: str | None) -> str | None:
        if name is not None:
            _check_placeholders(name)
            if not Path(name).name or Path(name).is_absolute() or ".." in Path(name).parts:
                raise ValueError("expected the name of a file in each input folder, such as _SUCCESS")
        return name

    @field_validator("output", "metrics_file")
    @classmethod
    def _check_path(cls, path: Path | None) -> Path | None:
        if path == Path():
            raise ValueError("expected a path, such as predictions/")
        if path is not None and DATE.search(str(path)):
            raise ValueError("{date} works in inputs only; an output folder gets a run_date=… for each date")
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

    @field_validator("max_outside")
    @classmethod
    def _check_max_outside(cls, share: str | None) -> str | None:
        if share is not None:
            try:
                parse_share(share)
            except UsageError:
                raise ValueError('expected a share such as "20%"') from None
        return share

    @field_validator("timezone")
    @classmethod
    def _check_timezone(cls, timezone: str) -> str:
        find_time_zone(timezone)
        return timezone


def _check_placeholders(text: str) -> None:
    unknown = [match for match in re.findall(r"\{[^{}]*\}", text) if not DATE.fullmatch(match)]
    if unknown:
        raise ValueError(f"unknown placeholder {', '.join(unknown)}; the only one is {{date}}, the date of the run")
    check_date_forms(text)


def read_score_job(path: Path) -> ScoreJob:
    """Read a job file.

    Raises:
        JobFileError: A key is missing, unknown or wrong. The message names every such key.
    """
    try:
        checked = TypeAdapter(_ScoreJobSchema).validate_python(read_job_file(path, _PATH_KEYS))
    except ValidationError as error:
        raise JobFileError(
            f"{path} is not a scoring job: {describe_validation_error(error)}", hint="See docs/guides/score.md"
        ) from None
    values = {field.name: getattr(checked, field.name) for field in fields(ScoreJob)}
    return ScoreJob(**{**values, "drift": DriftLimit(checked.drift.threshold, checked.drift.fail)})
