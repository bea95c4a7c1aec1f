"""The job file of a scoring run: which titles are scored, where to and how, validated."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from gamesales.data.contract import describe, read_toml
from gamesales.errors import JobFileError, UsageError
from gamesales.registry.refs import CHAMPION, DEFAULT_MODEL, Ref, check_model, parse_ref
from gamesales.scoring.counts import RejectLimit
from gamesales.scoring.drift import PSI_THRESHOLD

DATE = "{date}"
# Ten years: more is a slip of the year, which would run for days before anybody sees it.
MOST_DAYS = 3660


class DriftLimit(BaseModel):
    """When a column's titles differ too much from those that the version was trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    threshold: float = Field(default=PSI_THRESHOLD, gt=0, allow_inf_nan=False)
    fail: bool = False


class ScoreJob(BaseModel):
    """What ``jobs/score.toml`` says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = DEFAULT_MODEL
    inputs: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1)
    output: Path
    model: str = f"@{CHAMPION}"
    keep: tuple[str, ...] | None = None
    max_rejects: str | None = None
    timezone: str = "UTC"
    workers: int | None = Field(default=None, ge=1)
    unique_ids: bool = False
    allow_empty: bool = False
    metrics_file: Path | None = None
    shadow: str | None = None
    drift: DriftLimit = DriftLimit()

    @property
    def ref(self) -> Ref:
        """The version that scores."""
        return parse_ref(self.model, self.name)

    @property
    def shadow_ref(self) -> Ref | None:
        """The version that scores beside it, if there is one."""
        return None if self.shadow is None else parse_ref(self.shadow, self.name)

    @property
    def limit(self) -> RejectLimit:
        """How many rows may be rejected."""
        return RejectLimit() if self.max_rejects is None else RejectLimit.parse(self.max_rejects)

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
        _zone(timezone)
        return timezone


def load_score_job(path: Path) -> ScoreJob:
    """Read a job file.

    Raises: JobFileError: a key is missing, unknown or wrong; every such key is named.
    """
    try:
        return ScoreJob.model_validate(read_toml(path))
    except ValidationError as error:
        raise JobFileError(f"{path} is not a scoring job: {describe(error)}", hint="See docs/scoring.md") from None


def today(timezone: str) -> date:
    """Return the date that it is in a time zone now.

    Raises: UsageError: this machine knows no such time zone.
    """
    return datetime.now(_zone(timezone)).date()


def end_of(day: date, timezone: str) -> datetime:
    """Return the moment at which a date ends in a time zone."""
    return datetime.combine(day + timedelta(1), time(), _zone(timezone))


def on_date(inputs: Sequence[str], day: date) -> list[str]:
    """Return the inputs of one date's run: ``{date}`` becomes ``2026-11-24``."""
    return [text.replace(DATE, day.isoformat()) for text in inputs]


def days(first: date, last: date) -> list[date]:
    """Return all dates from the first to the last, both included.

    Raises: UsageError: there is none, or there are more than ten years of them.
    """
    count = (last - first).days + 1
    if count < 1:
        raise UsageError(
            f"expected the first date before the last, received {first} to {last}",
            hint=f"Swap them: --from {last} --to {first}",
        )
    if count > MOST_DAYS:
        raise UsageError(
            f"expected at most {MOST_DAYS:,} dates at once, received {count:,}: {first} to {last}",
            hint="Give a nearer --from or --to",
        )
    return [first + timedelta(number) for number in range(count)]


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC  # also where there is no database of time zones
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):  # OSError: a folder of the database, such as Europe
        raise UsageError(
            f"this machine knows no time zone {name!r}; expected an IANA name such as Europe/Berlin "
            "(if it is one: pip install tzdata)"
        ) from None
