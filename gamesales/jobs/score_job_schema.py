"""The checks of the job file of a scoring job, which name every key that is missing, unknown or wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, field_validator
from pydantic.dataclasses import dataclass

from gamesales.data.screen import RejectLimit
from gamesales.data.validation import explain_faults
from gamesales.errors import JobFileError, UsageError
from gamesales.jobs.score_job import (
    MOST_EXPLAINED,
    DriftLimit,
    ScoreJob,
    check_output,
    check_placeholders,
    check_required_file,
    find_time_zone,
    parse_share,
)
from gamesales.registry.refs import check_model, parse_ref
from gamesales.scoring.drift import PSI_THRESHOLD
from gamesales.scoring.output import parse_output

_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_STRICT)
class _DriftSchema(DriftLimit):
    threshold: Annotated[float, Field(gt=0, allow_inf_nan=False)] = PSI_THRESHOLD


@dataclass(frozen=True, config=_STRICT)
class _ScoreJobSchema(ScoreJob):
    """The checks of a job file. Its keys and their defaults are those of ``ScoreJob``."""

    inputs: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]
    exclude: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    on_success: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    on_failure: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    hook_timeout: Annotated[int, Field(ge=1)] = 60
    explain: Annotated[int, Field(ge=0, le=MOST_EXPLAINED)] = 0
    workers: Annotated[int, Field(ge=1)] | None = None
    registry: Annotated[str, Field(min_length=1)] | None = None
    drift: _DriftSchema = _DriftSchema()
    # Not keys of a job file.
    as_of_date: bool = Field(default=False, init=False)
    fresh: bool = Field(default=False, init=False)
    requires_explanations: bool = Field(default=False, init=False)

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        return check_model(name)

    @field_validator("inputs")
    @classmethod
    def _check_inputs(cls, inputs: tuple[str, ...]) -> tuple[str, ...]:
        for text in inputs:
            check_placeholders(text)
        return inputs

    @field_validator("require")
    @classmethod
    def _check_require(cls, name: str | None) -> str | None:
        if name is not None:
            check_required_file(name)
        return name

    @field_validator("output", mode="before")
    @classmethod
    def _parse_output(cls, text: object) -> object:
        if not isinstance(text, str):
            return text
        try:
            return parse_output(text)
        except UsageError as error:
            raise ValueError(str(error)) from None

    @field_validator("output", "metrics_file", "require_signature")
    @classmethod
    def _check_path(cls, path: Path | str | None) -> Path | str | None:
        if path is not None:
            check_output(path)
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


def validate_score_job(path: Path, document: Mapping[str, Any]) -> ScoreJob:
    """Build a job from the content of its file.

    Raises:
        JobFileError: A key is missing, unknown or wrong. The message names every such key.
    """
    try:
        checked = TypeAdapter(_ScoreJobSchema).validate_python(document)
    except ValidationError as error:
        raise JobFileError(
            f"{path} is not a scoring job: {explain_faults(error, _ScoreJobSchema, path)}",
            hint="See docs/guides/score.md",
        ) from None
    values = {field.name: getattr(checked, field.name) for field in fields(ScoreJob)}
    return ScoreJob(**{**values, "drift": DriftLimit(checked.drift.threshold, checked.drift.fail)})
