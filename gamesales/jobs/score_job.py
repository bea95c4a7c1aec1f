"""A scoring job: what to score, with which version and where to, and for which dates.

The job file, the command line and the Python API share ``ScoreJob``. The checks of the job file need Pydantic. They are
in ``score_job_file.py``, which loads only when a job file is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path

from gamesales.data.screen import RejectLimit
from gamesales.errors import UsageError
from gamesales.registry.refs import CHAMPION, DEFAULT_MODEL, Ref, parse_ref
from gamesales.scoring.drift import PSI_THRESHOLD

# In an input path, stands for the date of the run.
DATE = "{date}"
# Ten years. A longer backfill is a mistyped year, which would run for days before anybody notices.
MOST_DATES = 3660


@dataclass(frozen=True)
class DriftLimit:
    """How far a column may drift.

    Attributes:
        threshold: Population stability index above which a column has drifted.
        fail: Whether drift makes the command end with exit code 6.
    """

    threshold: float = PSI_THRESHOLD
    fail: bool = False


@dataclass(frozen=True)
class ScoreJob:
    """A scoring job. A job file may set all fields except ``as_of_date`` and ``fresh``.

    Attributes:
        inputs: Files, folders or globs. ``{date}`` stands for the date of the run.
        output: A .csv or .parquet file, or a folder of dated partitions.
        model: The reference of the version that scores.
        keep: Columns to copy to the result. None copies all columns that are not features.
        max_rejects: How many rows may be rejected, such as ``25`` or ``1%``. None allows the default.
        workers: Threads that score. None uses one for each core.
        unique_ids: Whether duplicate ids stop a run.
        allow_empty: Whether a run without input files is a run without rows.
        metrics_file: Where to write metrics for Prometheus after each run.
        shadow: The reference of a second version that scores the same titles for comparison.
        as_of_date: Whether references are resolved as of the end of each date, and not now.
        fresh: Whether to score again what is already published.

    Raises:
        UsageError: The output, the reference or the reject limit can't be read.
    """

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
    as_of_date: bool = False
    fresh: bool = False

    def __post_init__(self) -> None:
        if self.output == Path():
            raise UsageError("expected an --output that is a path", hint="For example: --output predictions")
        _ = self.ref, self.reject_limit

    @property
    def ref(self) -> Ref:
        """The version that scores."""
        return parse_ref(self.model, self.name)

    @property
    def shadow_ref(self) -> Ref | None:
        """The second version, which must belong to the same model."""
        if self.shadow is None:
            return None
        model = self.ref.model
        shadow = parse_ref(self.shadow, model)
        if shadow.model != model:
            raise UsageError(f"--shadow expects a version of {model}, received a version of {shadow.model}")
        return shadow

    @property
    def reject_limit(self) -> RejectLimit:
        """How many rows may be rejected."""
        return RejectLimit() if self.max_rejects is None else RejectLimit.parse(self.max_rejects)

    def resolve_inputs(self, day: date) -> list[str]:
        """Return the inputs for a date: ``{date}`` becomes ``2026-11-24``."""
        return [text.replace(DATE, day.isoformat()) for text in self.inputs]


def choose_dates(
    timezone: str, *, day: date | None = None, first: date | None = None, last: date | None = None
) -> list[date]:
    """Return the dates to score in order: ``day``, all dates of a backfill, or today in the time zone.

    Raises:
        UsageError: A backfill lacks its first or last date, has a single date too, or is empty or too long. Or this
            machine does not know the time zone.
    """
    if first is None and last is None:
        return [day if day is not None else get_today(timezone)]
    if first is None or last is None or day is not None:
        raise UsageError("a backfill takes --from and --to, not --date")
    count = (last - first).days + 1
    if count < 1:
        raise UsageError(
            f"expected the first date before the last, received {first} to {last}",
            hint=f"Swap them: --from {last} --to {first}",
        )
    if count > MOST_DATES:
        raise UsageError(
            f"expected at most {MOST_DATES:,} dates at once, received {count:,}: {first} to {last}",
            hint="Give a later --from or an earlier --to",
        )
    return [first + timedelta(number) for number in range(count)]


def parse_date(text: str, label: str) -> date:
    """Read a date as ``YYYY-MM-DD``.

    Raises:
        UsageError: The text is not a date. The message names the label.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{label} expects YYYY-MM-DD, received {text!r}") from None


def get_today(timezone: str) -> date:
    """Return today's date in a time zone."""
    return datetime.now(find_time_zone(timezone)).date()


def get_end_of(day: date, timezone: str) -> datetime:
    """Return the moment at which a date ends in a time zone."""
    return datetime.combine(day + timedelta(1), time(), find_time_zone(timezone))


def find_time_zone(name: str) -> tzinfo:
    """Find a time zone by its IANA name.

    Raises:
        UsageError: This machine does not know the time zone.
    """
    if name == "UTC":
        return UTC  # also on a machine without a time zone database
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):  # OSError: a folder of the database, such as Europe
        raise UsageError(
            f"this machine does not know the time zone {name!r}; expected an IANA name such as Europe/Berlin "
            "(if the name is right: pip install tzdata)"
        ) from None
