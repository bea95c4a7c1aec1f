"""A scoring job: what to score, with which version and where to, and for which dates.

The job file, the command line and the Python API share ``ScoreJob``. The checks of the job file need Pydantic. They are
in ``score_job_schema.py``, which loads only when the values of a job file have other types than the fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Literal, get_args

from gamesales.data.dialect import DEFAULT_DIALECT, CsvDialect, TableFormat
from gamesales.data.files import escape_surrogates
from gamesales.data.screen import RejectLimit
from gamesales.errors import UsageError, format_install, warn
from gamesales.registry.refs import CHAMPION, DEFAULT_MODEL, Ref, parse_ref
from gamesales.report.format import format_count
from gamesales.scoring.drift import PSI_THRESHOLD
from gamesales.scoring.engines import EngineName, check_engine
from gamesales.scoring.output import is_single_file

# In an input path, stands for the date of the run: {date} is 2026-11-24, {date:%Y/%m/%d} is 2026/11/24.
DATE = re.compile(r"\{date(?::([^{}]*))?\}")
_DATE_FORMAT = re.compile(r"(?=.*%)([^%]|%[Ymdyj])*")
# Ten years. A longer backfill is a mistyped year, which would run for days before anybody notices.
MOST_DATES = 3660
# The report of a run has all explanations. Those of 100 titles are about 150 kB for nine features.
MOST_EXPLAINED = 100


DriftAction = Literal["warn", "fail", "withhold"]
DRIFT_ACTIONS: tuple[DriftAction, ...] = get_args(DriftAction)
OutputFormat = Literal["delta"]
OUTPUT_FORMATS: tuple[OutputFormat, ...] = get_args(OutputFormat)


@dataclass(frozen=True)
class DriftLimit:
    """How far a column may drift.

    Attributes:
        threshold: Population stability index above which a column has drifted.
        fail: Whether drift makes the command end with exit code 6, unless ``ScoreJob.on_drift`` is set.
    """

    threshold: float = PSI_THRESHOLD
    fail: bool = False


@dataclass(frozen=True)
class ScoreJob:
    """A scoring job. A job file may set all fields except ``as_of_date``, ``fresh`` and ``requires_explanations``.

    A job file may also have a ``root``, relative to the file, at which its relative paths start.

    Attributes:
        inputs: Files, folders, globs or Delta tables, or their URLs. ``{date}`` stands for the date of the run, and
            ``{date:%Y/%m/%d}`` for another form of it.
        output: A .csv, .csv.gz or .parquet file, a folder of dated partitions, or the URL of a Delta table as text.
        format: ``delta`` if the folder ``output`` is a Delta table. The output at a URL always is.
        model: The reference of the version that scores.
        keep: Columns to copy to the result. None copies all columns that are not features.
        max_rejects: How many rows may be rejected, such as ``25`` or ``1%``. None allows the default.
        max_outside: The share of the scored rows that may be outside the training range, such as ``20%``. None allows
            all.
        on_drift: What a drifted column does: ``warn``; ``fail``, which publishes and ends with exit code 6; or
            ``withhold``, which does not publish and ends with exit code 8. None warns, or fails if ``drift.fail`` is
            set.
        engine: How shards run: ``local`` in threads of this process, ``ray`` as tasks of a Ray cluster.
        workers: Threads or tasks that score at a time. None uses one for each core.
        unique_ids: Whether duplicate ids stop a run.
        allow_empty: Whether a run without input files is a run without rows.
        exclude: Patterns of files in input folders that are not inputs, such as ``*.md``.
        require: A file that each input folder must have, such as ``_SUCCESS``. It may have ``{date}`` too.
        metrics_file: Where to write metrics for Prometheus after each run.
        page: Whether to publish an HTML page with each result: ``_run.html`` in the folder of the date.
        explain: How many titles, those with the highest predictions, are explained in the report and on the page.
        on_success: A program and its arguments, started after a run with exit code 0; empty for none. It reads the
            document of the run as JSON on standard input.
        on_failure: The same after any other exit code, unless the run is interrupted.
        hook_timeout: The seconds after which such a program is killed.
        lineage: Where OpenLineage events go: the URL of a receiver, or a file. None reports none.
        require_signature: The file of a public key that must have signed the promotion of the version, or its use.
        shadow: The reference of a second version that scores the same titles for comparison.
        csv: The dialect of CSV files.
        columns: The columns that have other names in the files: our name, and the name in the files.
        registry: The path or URL of the registry, unless the command line or the environment names another. None:
            the default.
        as_of_date: Whether references are resolved as of the end of each date, and not now.
        fresh: Whether to score again what is already published.
        requires_explanations: Whether a version that can't explain its predictions stops a run. If not, the run has a
            warning instead of explanations.

    Raises:
        UsageError: The output, the reference, the reject limit or the form of a date can't be read.
    """

    inputs: tuple[str, ...]
    output: Path | str
    format: OutputFormat | None = None
    name: str = DEFAULT_MODEL
    model: str = f"@{CHAMPION}"
    keep: tuple[str, ...] | None = None
    max_rejects: str | None = None
    max_outside: str | None = None
    on_drift: DriftAction | None = None
    timezone: str = "UTC"
    engine: EngineName = "local"
    workers: int | None = None
    unique_ids: bool = False
    allow_empty: bool = False
    exclude: tuple[str, ...] = ()
    require: str | None = None
    metrics_file: Path | None = None
    page: bool = False
    explain: int = 0
    on_success: tuple[str, ...] = ()
    on_failure: tuple[str, ...] = ()
    hook_timeout: int = 60
    lineage: str | None = None
    require_signature: Path | None = None
    shadow: str | None = None
    drift: DriftLimit = DriftLimit()
    csv: CsvDialect = DEFAULT_DIALECT
    columns: Mapping[str, str] = field(default_factory=dict)
    registry: str | None = None
    as_of_date: bool = False
    fresh: bool = False
    requires_explanations: bool = False

    def __post_init__(self) -> None:
        if self.output == Path():
            raise UsageError("expected an --output that is a path", hint="For example: --output predictions")
        output = str(self.output)
        if escape_surrogates(output) != output:
            raise UsageError(f"expected an --output in UTF-8, received {escape_surrogates(output)}")
        for text in (*self.inputs, self.require or ""):
            check_date_forms(text)
        if self.format not in (None, *OUTPUT_FORMATS):
            raise UsageError(f"format expects {' or '.join(OUTPUT_FORMATS)}, received {self.format!r}")
        if self.format and not isinstance(self.output, str) and is_single_file(self.output):
            raise UsageError(f"--format delta expects an --output that is a folder, received {self.output}")
        if self.on_drift not in (None, *DRIFT_ACTIONS):
            raise UsageError(f"on_drift expects {' or '.join(DRIFT_ACTIONS)}, received {self.on_drift!r}")
        if not 0 <= self.explain <= MOST_EXPLAINED:
            raise UsageError(f"explain expects a number of titles from 0 to {MOST_EXPLAINED}, received {self.explain}")
        if self.lineage is not None:
            check_lineage(self.lineage)
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"workers expects 1 or more, received {self.workers}")
        check_engine(self.engine)
        _ = self.ref, self.reject_limit, self.table_format, self.outside_limit

    @property
    def writes_table(self) -> bool:
        """Whether the result goes to a Delta table."""
        return isinstance(self.output, str) or self.format is not None

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
    def table_format(self) -> TableFormat:
        """How the inputs are written."""
        try:
            return TableFormat(self.csv, self.columns)
        except ValueError as error:
            raise UsageError(str(error)) from None

    @property
    def reject_limit(self) -> RejectLimit:
        """How many rows may be rejected."""
        return RejectLimit() if self.max_rejects is None else RejectLimit.parse(self.max_rejects)

    @property
    def outside_limit(self) -> float:
        """The share of the scored rows that may be outside the training range, 0 to 1."""
        return 1.0 if self.max_outside is None else parse_share(self.max_outside)

    @property
    def drift_action(self) -> DriftAction:
        """What a drifted column does."""
        return self.on_drift or ("fail" if self.drift.fail else "warn")

    def resolve_inputs(self, day: date) -> list[str]:
        """Return the inputs for a date: ``{date}`` becomes ``2026-11-24``."""
        return [insert_date(text, day) for text in self.inputs]

    def resolve_required_file(self, day: date) -> str | None:
        """Return the file that each input folder must have for a date."""
        return None if self.require is None else insert_date(self.require, day)


def parse_share(text: str) -> float:
    """Parse a share such as ``20%``: 0 to 1.

    Raises:
        UsageError: The text is not a share from 0% to 100%.
    """
    try:
        share = float(text[:-1]) / 100 if text.endswith("%") else -1.0
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise UsageError(f"max_outside expects a share of the rows, such as 20%, received {text!r}")
    return share


def check_lineage(place: str) -> None:
    """Raise UsageError if events can't go to a place: it is neither a URL of a receiver nor a file."""
    scheme, is_url, rest = place.partition("://")
    if not place or (is_url and (scheme not in ("http", "https") or not rest)):
        raise UsageError(f"lineage expects the http or https URL of a receiver, or a file, received {place!r}")


def check_placeholders(text: str) -> None:
    """Raise ValueError or UsageError if an input has another placeholder than a date."""
    unknown = [match for match in re.findall(r"\{[^{}]*\}", text) if not DATE.fullmatch(match)]
    if unknown:
        raise ValueError(f"unknown placeholder {', '.join(unknown)}; the only one is {{date}}, the date of the run")
    check_date_forms(text)


def check_required_file(name: str) -> None:
    """Raise ValueError or UsageError if this is not the name of a file in each input folder."""
    check_placeholders(name)
    if not Path(name).name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError("expected the name of a file in each input folder, such as _SUCCESS")


def check_output(path: Path | str) -> None:
    """Raise ValueError if a path or URL to write is empty or has a date."""
    if path == Path():
        raise ValueError("expected a path, such as predictions/")
    if DATE.search(str(path)):
        raise ValueError("{date} works in inputs only; an output folder gets a run_date=… for each date")


def check_date_forms(text: str) -> None:
    """Check the form of each ``{date:…}`` in a text.

    Raises:
        UsageError: A form has something else than %Y, %m, %d, %y and %j, or none of them.
    """
    for match in DATE.finditer(text):
        if match[1] is not None and not _DATE_FORMAT.fullmatch(match[1]):
            raise UsageError(f"{match[0]} expects a form of %Y, %m, %d, %y and %j, such as {{date:%Y/%m/%d}}")


def insert_date(text: str, day: date) -> str:
    """Replace each ``{date}`` and ``{date:…}`` of a text by a date."""
    parts = {
        "%Y": f"{day.year:04}",
        "%m": f"{day.month:02}",
        "%d": f"{day.day:02}",
        "%y": f"{day.year % 100:02}",
        "%j": f"{day.timetuple().tm_yday:03}",
    }
    return DATE.sub(lambda match: re.sub("%.", lambda part: parts[part[0]], match[1] or "%Y-%m-%d"), text)


def warn_about_dates(job: ScoreJob, dates: Sequence[date]) -> None:
    """Warn about dates in the future, and about dates of a backfill that have the same inputs."""
    today = get_today(job.timezone)
    future = [day for day in dates if day > today]
    if future:
        later = f" and {format_count(len(future) - 1, 'later date')} are" if len(future) > 1 else " is"
        warn(f"{future[0]}{later} in the future: today is {today} in the time zone {job.timezone}")
    different = len({tuple(job.resolve_inputs(day)) for day in dates})
    if different < len(dates):
        inputs = "the same inputs" if different == 1 else f"only {different} different inputs"
        warn(
            f"the {len(dates)} dates of the backfill have {inputs}, so they get predictions for the same titles; "
            "to read other titles for each date, write {date} or {date:%Y/%m/%d} in the inputs"
        )


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
            f"(if the name is right: {format_install('tzdata')})"
        ) from None
