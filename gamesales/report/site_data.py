"""What the site of a registry shows, as plain data: the pages know neither the registry nor the results of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gamesales.stats.amounts import DOLLARS


@dataclass(frozen=True)
class SiteEvaluation:
    """The metrics of a version on a file, in a unit, with the 95% confidence intervals that are recorded."""

    data: str
    rows: int
    metrics: Mapping[str, float | None]
    intervals: Mapping[str, Sequence[float]]
    unit: str = DOLLARS


@dataclass(frozen=True)
class SiteVersion:
    """A version.

    Attributes:
        registered: the time, as in the log.
        retired: the time of its retirement; empty if it is in use.
        page: the path of its page from the page of the model; empty if it has none.
        evaluations: by the SHA-256 of the file.
        settings: section -> name -> value, as ``gamesales compare`` shows them.
        note: why its manifest can't be read; else empty.
    """

    number: int
    aliases: Sequence[str]
    registered: str
    actor: str
    reason: str
    retired: str
    digest: str
    page: str
    evaluations: Mapping[str, SiteEvaluation]
    settings: Mapping[str, Mapping[str, Any]]
    note: str = ""


@dataclass(frozen=True)
class AliasChange:
    """An event that set or deleted an alias.

    Attributes:
        time: the time, as in the log.
        until: when the alias was set again or deleted; empty if it still names the version.
        version: the version that the alias names since then; None: the alias was deleted.
        previous: the version that it named before; None: it was not set.
        evidence: the errors that the gate compared, if it did.
    """

    alias: str
    time: str
    until: str
    version: int | None
    previous: int | None
    actor: str
    reason: str
    is_rollback: bool = False
    is_forced: bool = False
    evidence: str = ""


@dataclass(frozen=True)
class SiteRun:
    """A scoring run. An incomplete run has no numbers.

    Attributes:
        date: YYYY-MM-DD; empty if it is not known.
        state: ``published``, ``withheld`` or ``incomplete``.
        drifted: the columns that drifted; None if drift was not measured.
        strongest: the column with the largest PSI in percent of its limit, the PSI, and the limit.
        version: the version that scored; None if it is not known.
        digest: the digest of its bundle.
        page: the path of the page of the run from the page of the model; empty if it has none.
        started: in UTC.
    """

    output: str
    date: str
    state: str
    note: str
    rows: int = 0
    scored: int = 0
    rejected: int = 0
    drifted: Sequence[str] | None = None
    strongest: tuple[str, float, float] | None = None
    version: int | None = None
    digest: str = ""
    page: str = ""
    started: str = ""


@dataclass(frozen=True)
class MonthError:
    """The error of past predictions of a version in a month, or in another period. Bounds may be missing."""

    first: str
    last: str
    rows: int
    mae: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class SiteBacktest:
    """The latest backtest of a version, from the log.

    Attributes:
        time: when it was recorded, as in the log.
        data: the file with actual earnings.
        coverage: the share of the titles within their prediction interval.
        periods: months. A backtest of an early release has all its dates in one period.
        unit: the unit of the target.
    """

    version: int
    time: str
    data: str
    first_date: str
    last_date: str
    rows: int
    metrics: Mapping[str, float | None]
    bias: float | None
    coverage: float | None
    periods: Sequence[MonthError]
    unit: str = DOLLARS


@dataclass(frozen=True)
class SiteModel:
    """A model.

    Attributes:
        events: how many events its log has.
        as_of: the time of the last event, as in the log; empty without a log.
        data: the file on which the table compares versions; None if no version was evaluated.
        data_sha256: its SHA-256.
        versions: newest first.
        changes: of all aliases, newest first.
        runs: newest date first.
        backtests: newest version first.
        commands: text -> command to type next.
        warnings: what can't be read.
    """

    name: str
    events: int = 0
    as_of: str = ""
    data: str | None = None
    data_sha256: str | None = None
    versions: Sequence[SiteVersion] = ()
    changes: Sequence[AliasChange] = ()
    runs: Sequence[SiteRun] = ()
    backtests: Sequence[SiteBacktest] = ()
    commands: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()

    @property
    def unit(self) -> str:
        """The unit of plots and averages: the unit of the newest version that was evaluated."""
        evaluations = (evaluation for version in self.versions for evaluation in version.evaluations.values())
        return next((evaluation.unit for evaluation in evaluations), DOLLARS)

    @property
    def champion(self) -> SiteVersion | None:
        return next((version for version in self.versions if "champion" in version.aliases), None)


@dataclass(frozen=True)
class Site:
    """Everything that a site shows. ``models`` are sorted by name, and ``warnings`` say what can't be read."""

    registry: str
    models: Sequence[SiteModel]
    warnings: Sequence[str] = ()
