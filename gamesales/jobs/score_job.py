"""The job file of a scoring run: what a bare ``gamesales score`` does, every night."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from gamesales.data.contract import describe, read_toml
from gamesales.errors import JobFileError, UsageError
from gamesales.registry.registry import CHAMPION, DEFAULT_MODEL, check_model
from gamesales.scoring.counts import RejectLimit
from gamesales.scoring.drift import PSI_THRESHOLD

_MOST_DAYS = 3_660


class DriftSettings(BaseModel):
    """When a column counts as drifted, and whether that fails the run once it is published."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    threshold: float = Field(default=PSI_THRESHOLD, gt=0)
    fail: bool = False


class ScoreJob(BaseModel):
    """What ``jobs/score.toml`` says; relative paths start at the current folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = DEFAULT_MODEL
    model: str = f"@{CHAMPION}"
    inputs: tuple[str, ...] = ()
    output: Path | None = None
    timezone: str = "UTC"
    keep: tuple[str, ...] | None = None
    max_rejects: str | None = None
    allow_empty: bool = False
    workers: int | None = Field(default=None, ge=1)
    drift: DriftSettings = DriftSettings()

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        return check_model(name)

    @field_validator("max_rejects", mode="before")
    @classmethod
    def _check_rejects(cls, value: object) -> str | None:
        if value is None:
            return None
        RejectLimit.parse(str(value))
        return str(value)

    @field_validator("timezone")
    @classmethod
    def _check_timezone(cls, name: str) -> str:
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(name)
        except (ValueError, OSError, LookupError):
            raise ValueError("expected the name of a time zone, such as Europe/Berlin") from None
        return name

    @field_validator("inputs")
    @classmethod
    def _check_inputs(cls, inputs: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted({word for one in inputs for word in re.findall(r"\{.*?\}", one)} - {"{date}"})
        if unknown:
            raise ValueError(f"only {{date}} is filled in, found {', '.join(unknown)}")
        return inputs

    def today(self) -> date:
        """Return the date that it is in the job's time zone."""
        from zoneinfo import ZoneInfo

        return datetime.now(ZoneInfo(self.timezone)).date()


def load_score_job(path: Path) -> ScoreJob:
    """Read a job file.

    Raises: JobFileError: a key is unknown or wrong; it is named.
    """
    try:
        return ScoreJob.model_validate(read_toml(path))
    except ValidationError as error:
        raise JobFileError(f"{path} is not a scoring job: {describe(error)}", hint="See docs/scoring.md") from None


def on_date(inputs: tuple[str, ...], day: date) -> tuple[str, ...]:
    """Fill the date into the inputs."""
    return tuple(one.replace("{date}", day.isoformat()) for one in inputs)


def days(first: date, last: date) -> list[date]:
    """Return the days of a backfill, both ends included.

    Raises: UsageError: the last comes before the first, or there are more than ten years of them.
    """
    count = (last - first).days + 1
    if not 0 < count <= _MOST_DAYS:
        raise UsageError(
            f"expected --from to --to to be 1 to {_MOST_DAYS:,} days, received {first} to {last}",
            hint="For example: --from 2026-11-01 --to 2026-11-23",
        )
    return [first + timedelta(days=number) for number in range(count)]
