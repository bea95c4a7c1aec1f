"""What a scoring run is asked to do by its job file, and the dates that runs are for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path

from gamesales.data.screen import RejectLimit
from gamesales.errors import UsageError
from gamesales.registry.refs import CHAMPION, DEFAULT_MODEL, Ref, parse_ref
from gamesales.scoring.drift import PSI_THRESHOLD

DATE = "{date}"
# Ten years: more is a slip of the year, which would run for days before anybody sees it.
MOST_DAYS = 3660


@dataclass(frozen=True)
class DriftLimit:
    """When a column's titles differ too much from those that the version was trained on."""

    threshold: float = PSI_THRESHOLD
    fail: bool = False


@dataclass(frozen=True)
class ScoreJob:
    """What ``jobs/score.toml`` says, or would say if it were there."""

    inputs: tuple[str, ...]
    output: Path
    name: str = DEFAULT_MODEL
    model: str = f"@{CHAMPION}"
    keep: tuple[str, ...] | None = None
    max_rejects: str | None = None
    timezone: str = "UTC"
    workers: int | None = None
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


def today(timezone: str) -> date:
    """Return the date that it is in a time zone now.

    Raises: UsageError: this machine knows no such time zone.
    """
    return datetime.now(zone(timezone)).date()


def end_of(day: date, timezone: str) -> datetime:
    """Return the moment at which a date ends in a time zone."""
    return datetime.combine(day + timedelta(1), time(), zone(timezone))


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


def zone(name: str) -> tzinfo:
    """Return a time zone. Raises: UsageError: this machine knows none of this name."""
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
