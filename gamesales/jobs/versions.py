"""List the versions of a model that match a filter, in the order of an option, and verify them.

A filter may hold conditions on metrics, such as ``mae<5000``. A list compares versions on one file only. A version
that was not evaluated on this file has no metrics in the list.
"""

from __future__ import annotations

import math
import operator
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from gamesales.errors import UsageError
from gamesales.jobs.row_list import RowList, check_limit
from gamesales.old_keys import OLD_KEYS
from gamesales.registry.refs import Ref, check_alias
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.state import BACKTEST, Evaluation, State, Version
from gamesales.report.format import format_count, format_minute
from gamesales.stats.amounts import DOLLARS, InUnit, amounts_in
from gamesales.stats.metrics import HEADINGS, METRICS, format_metrics

# The short names that people type, and the keys of the metrics. The keys are accepted too.
METRIC_KEYS = {
    "mae": "mae",
    "rmse": "rmse",
    "scaled_mse": "scaled_mse",
    "r2": "r2",
    "mape": "mape_percent",
}
ORDERS = ("version", "registered", *METRIC_KEYS)
# The newest versions decide on which file the versions of a list are compared.
_MAX_VERSIONS = 20


@dataclass(frozen=True)
class VersionRow(InUnit):
    """One version in a list. A value is None if there is none.

    Attributes:
        metrics: of the latest evaluation on a holdout, on the file ``data`` with ``data_sha256``.
        listed_metrics: of the latest evaluation on the file that the list names.
        backtest: the file of the latest backtest.
        retired: the time of the retirement.
    """

    version: int
    aliases: list[str]
    registered: str
    actor: str
    reason: str
    digest: str
    metrics: dict[str, float | None] | None
    data: str | None
    data_sha256: str | None
    listed_metrics: dict[str, float | None] | None
    backtest: str | None
    retired: str | None


@dataclass(frozen=True)
class VersionList(RowList[VersionRow]):
    """The versions that match a filter.

    ``data`` with ``data_sha256`` is the file of ``listed_metrics``. Both are None if no version was evaluated.
    ``registered`` counts all versions of the model. ``retired_left_out`` counts the retired versions that the filter
    leaves out.
    """

    model: str
    registry: str
    data: str | None
    data_sha256: str | None
    versions: list[VersionRow]
    registered: int
    retired_left_out: int

    @property
    def _rows(self) -> list[VersionRow]:
        return self.versions

    def __repr__(self) -> str:
        return f"VersionList({format_count(len(self), 'version')} of {self.model} in {self.registry})"

    def _repr_html_(self) -> str:
        from gamesales.display import make_table

        file = f"metrics on {self.data}" if self.data else "no metrics yet"
        rows = [
            [
                str(row.version),
                [*row.aliases, *(["retired"] if row.retired else [])],
                format_minute(row.registered),
                row.actor,
                *format_metrics(row.listed_metrics or {}, row),
                row.reason,
            ]
            for row in self.versions
        ]
        caption = f"{format_count(len(self), 'version')} of {self.model} in {self.registry}; {file}"
        return make_table(caption, ["version", "aliases", "registered", "by", *HEADINGS, "reason"], rows)


@dataclass(frozen=True)
class VersionFilter:
    """Which versions to list, and in which order. The default is all versions in use, newest first.

    Attributes:
        since: the first time of registration, as written in the log.
        until: the last time of registration.
        retired: whether to list retired versions too.
        where: conditions on the metrics in the list. All must hold.
        order: one of ORDERS, newest or best first.
        is_reversed: whether to list the oldest or worst first.
        as_of: list the versions as they were at this time.
    """

    alias: str | None = None
    since: str | None = None
    until: str | None = None
    actor: str | None = None
    retired: bool = False
    where: Sequence[MetricCondition] = ()
    order: str = "version"
    is_reversed: bool = False
    limit: int | None = None
    as_of: str | None = None

    def __post_init__(self) -> None:
        if self.alias is not None:
            check_alias(self.alias)
        if self.order not in ORDERS:
            raise UsageError(f"expected one of {', '.join(ORDERS)} to sort versions by, found {self.order!r}")
        check_limit(self.limit)

    def matches(self, row: VersionRow) -> bool:
        """Return whether a row has the right time, actor and metrics."""
        return (
            (self.since is None or self.since <= row.registered)
            and (self.until is None or row.registered <= self.until)
            and self.actor in (None, row.actor)
            and all(condition.holds(row.listed_metrics or {}) for condition in self.where)
        )


def list_versions(registry: ModelRegistry, version_filter: VersionFilter | None = None) -> VersionList:
    """List the versions that match a filter. With a limit, only a small part of the log is read.

    Raises:
        UnknownVersionError: the registry has no such model.
    """
    version_filter = version_filter or VersionFilter()
    state = registry.read_state(version_filter.as_of)
    if not state.newest:
        registry.require_model()
    left_out = 0 if version_filter.retired else sum(map(state.is_retired, state.numbers))
    data, data_sha256 = choose_file(state)
    rows = list(islice(_sort(_find(state, version_filter, data_sha256), version_filter), version_filter.limit))
    return VersionList(registry.model, registry.location, data, data_sha256, rows, state.newest, left_out)


def choose_file(state: State) -> tuple[str | None, str | None]:
    """Choose the file on which most of the newest versions were last evaluated: its path and its SHA-256."""
    in_use = [number for number in reversed(state.numbers) if not state.is_retired(number)] or reversed(state.numbers)
    last = (state.read_version(number).read_last_holdout_evaluation() for number in islice(in_use, _MAX_VERSIONS))
    evaluations = [evaluation for evaluation in last if evaluation]
    if not evaluations:
        return None, None
    ((digest, _),) = Counter(evaluation.data_sha256 for evaluation in evaluations).most_common(1)
    return next((evaluation.data, digest) for evaluation in evaluations if evaluation.data_sha256 == digest)


def _find(state: State, version_filter: VersionFilter, data_sha256: str | None) -> Iterator[VersionRow]:
    """Yield the matching rows, newest version first. Oldest first if the order is by version and reversed."""
    aliases: dict[int, list[str]] = {}
    for alias, number in state.read_targets().items():
        aliases.setdefault(number, []).append(alias)
    oldest_first = version_filter.order == "version" and version_filter.is_reversed
    for number in state.numbers if oldest_first else reversed(state.numbers):
        version_aliases = aliases.get(number, [])
        if version_filter.alias is not None and version_filter.alias not in version_aliases:
            continue
        if state.is_retired(number) and not version_filter.retired:
            continue
        row = _make_row(state, number, version_aliases, data_sha256)
        if version_filter.matches(row):
            yield row


def _make_row(state: State, number: int, aliases: list[str], data_sha256: str | None) -> VersionRow:
    version = state.read_version(number)
    event, retired = version.registration, version.retirement
    last, listed, backtest = _read_last_evaluations(version, data_sha256)
    with amounts_in(listed.unit if listed else DOLLARS):
        return VersionRow(
            version=number,
            aliases=aliases,
            registered=event.time,
            actor=event.actor,
            reason=event.reason,
            digest=version.digest,
            metrics=dict(last.metrics) if last else None,
            data=last.data if last else None,
            data_sha256=last.data_sha256 if last else None,
            listed_metrics=dict(listed.metrics) if listed else None,
            backtest=backtest.data if backtest else None,
            retired=retired.time if retired else None,
        )


def _read_last_evaluations(
    version: Version, data_sha256: str | None
) -> tuple[Evaluation | None, Evaluation | None, Evaluation | None]:
    """Read the last evaluation on any holdout, the last on the file of the list, and the last backtest after it."""
    last, backtest = None, None
    for evaluation in version.read_evaluations_newest_first():
        if evaluation.kind == BACKTEST:
            backtest = backtest or evaluation
            continue
        last = last or evaluation
        if evaluation.data_sha256 == data_sha256:
            return last, evaluation, backtest
    return last, None, backtest


def _sort(rows: Iterator[VersionRow], version_filter: VersionFilter) -> Iterator[VersionRow]:
    """Sort rows, which come newest version first. Rows without the metric come last in either direction."""
    if version_filter.order == "version":
        return rows
    if version_filter.order == "registered":
        return iter(sorted(rows, key=lambda row: row.registered, reverse=not version_filter.is_reversed))
    key = METRIC_KEYS[version_filter.order]
    with_metric, without_metric = list[tuple[float, VersionRow]](), list[VersionRow]()
    for row in rows:
        value = read_metric(row.listed_metrics or {}, key)
        without_metric.append(row) if value is None else with_metric.append((value, row))
    highest_first = METRICS[key].higher_is_better != version_filter.is_reversed
    with_metric.sort(key=lambda pair: pair[0], reverse=highest_first)
    return iter([*(row for _, row in with_metric), *without_metric])


_OPERATORS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
}
_CONDITION = re.compile(
    r"\s*(?P<name>\w+)\s*(?P<operator><=|>=|==|!=|<|>|=)\s*(?P<bound>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*",
    re.ASCII,
)


@dataclass(frozen=True)
class MetricCondition:
    """A condition such as ``mae<5000``: the key of a metric, a comparison operator and a number."""

    metric: str
    operator: str
    bound: float

    def holds(self, metrics: Mapping[str, Any]) -> bool:
        """Return whether the condition holds. It never holds for a missing metric."""
        value = read_metric(metrics, self.metric)
        return value is not None and bool(_OPERATORS[self.operator](value, self.bound))


def parse_condition(text: str) -> MetricCondition:
    """Parse a condition such as ``mae<5000``.

    Raises:
        UsageError: the text is not a metric, an operator and a number.
    """
    match = _CONDITION.fullmatch(text)
    if match is None or not math.isfinite(float(match["bound"])):
        raise UsageError(
            f"--where expects a metric, an operator and a number, such as 'mae<5000' or 'r2>=0.99', found {text!r}",
            hint=f"Metrics: {', '.join(METRIC_KEYS)}. Operators: {' '.join(_OPERATORS)}. Quote it for the shell",
        )
    keys = {**METRIC_KEYS, **{OLD_KEYS.get(key, key): key for key in METRIC_KEYS.values()}}
    if match["name"] not in keys:
        raise UsageError(
            f"--where expects one of {', '.join(METRIC_KEYS)}, found {match['name']!r}",
            hint="For example: --where 'mae<5000'",
        )
    return MetricCondition(keys[match["name"]], match["operator"], float(match["bound"]))


def read_metric(metrics: Mapping[str, Any], key: str) -> float | None:
    """Return a metric, or None if it is missing or not a finite number."""
    value = metrics.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


@dataclass(frozen=True)
class VerificationResult:
    """How many events and files were checked and found sound."""

    model: str
    registry: str
    events: int
    files: int


def verify(registry: ModelRegistry, ref: Ref | None = None) -> VerificationResult:
    """Check the whole log, and the files of one version or of all versions.

    Raises:
        IntegrityError: an event or a file is wrong. The message names the first.
    """
    events, files = registry.verify(ref)
    return VerificationResult(registry.model, registry.location, events, files)
