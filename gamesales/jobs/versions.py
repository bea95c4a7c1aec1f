"""Which versions there are: those that fit what is asked, in the order that is asked for."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from gamesales.errors import UsageError
from gamesales.old_keys import OLD_KEYS
from gamesales.registry.index import Span, spans
from gamesales.registry.log import Event
from gamesales.registry.refs import Ref, check_alias
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.state import State, replay


@dataclass(frozen=True)
class VersionRow:
    """One version in a list: its number, its aliases, and its latest evaluation if there is one.

    ``retired`` is when it was, ``data_sha256`` the digest of the file that it was evaluated on.
    """

    version: int
    aliases: list[str]
    registered: str
    actor: str
    reason: str
    digest: str
    metrics: dict[str, float | None] | None
    data_sha256: str | None
    retired: str | None


@dataclass(frozen=True)
class Versions:
    """The versions of a model that were asked for, of how many, and how many were left out because they are retired."""

    model: str
    registry: str
    versions: list[VersionRow]
    registered: int
    retired_left_out: int


@dataclass(frozen=True)
class Verified:
    """What was checked and found sound."""

    model: str
    registry: str
    events: int
    files: int


@dataclass(frozen=True)
class Wanted:
    """Which versions are listed, and how; by default all that are in use, newest first.

    ``alias`` names it; it was registered by ``actor``, from ``since`` to ``until``, both included; every condition
    ``where`` holds of its latest evaluation. ``order`` is one of ORDERS, the best or newest first. Times are as the log
    writes them; with ``as_of``, everything is told as it was then.
    """

    alias: str | None = None
    since: str | None = None
    until: str | None = None
    actor: str | None = None
    retired: bool = False
    where: Sequence[Condition] = ()
    order: str = "version"
    is_reversed: bool = False
    limit: int | None = None
    as_of: str | None = None

    def __post_init__(self) -> None:
        if self.alias is not None:
            check_alias(self.alias)
        if self.order not in ORDERS:
            raise UsageError(f"versions are sorted by one of {', '.join(ORDERS)}, received {self.order!r}")


def list_versions(registry: ModelRegistry, wanted: Wanted | None = None) -> Versions:
    """List the versions that fit. Of the log no more is read than that takes: with a limit, little."""
    wanted = wanted or Wanted()
    state = registry.state(wanted.as_of)
    left_out = 0 if wanted.retired else sum(map(state.is_retired, state.numbers))
    rows = list(islice(_sorted(_fitting(state, wanted), wanted), wanted.limit))
    return Versions(registry.model, registry.location, rows, state.newest, left_out)


def _fitting(state: State, wanted: Wanted) -> Iterator[VersionRow]:
    """Yield the rows that fit, newest version first; or last, if that is how they are wanted."""
    aliases: dict[int, list[str]] = {}
    for alias, number in state.named.items():
        aliases.setdefault(number, []).append(alias)
    oldest_first = wanted.order == "version" and wanted.is_reversed
    for number in state.numbers if oldest_first else reversed(state.numbers):
        named = aliases.get(number, [])
        if wanted.alias is not None and wanted.alias not in named:
            continue
        if state.is_retired(number) and not wanted.retired:
            continue
        row = _row(state, number, named)
        if _fits(row, wanted):
            yield row


def _fits(row: VersionRow, wanted: Wanted) -> bool:
    return (
        (wanted.since is None or wanted.since <= row.registered)
        and (wanted.until is None or row.registered <= wanted.until)
        and wanted.actor in (None, row.actor)
        and all(condition.holds(row.metrics or {}) for condition in wanted.where)
    )


def _sorted(rows: Iterator[VersionRow], wanted: Wanted) -> Iterator[VersionRow]:
    """Put rows, which come newest version first, in order. Those without the figure come last, whichever the order."""
    if wanted.order == "version":
        return rows
    if wanted.order == "registered":
        return iter(sorted(rows, key=lambda row: row.registered, reverse=not wanted.is_reversed))
    known, unknown = list[tuple[float, VersionRow]](), list[VersionRow]()
    for row in rows:
        value = figure(row.metrics or {}, FIGURES[wanted.order])
        unknown.append(row) if value is None else known.append((value, row))
    highest_first = (wanted.order in HIGHER_IS_BETTER) != wanted.is_reversed
    known.sort(key=lambda each: each[0], reverse=highest_first)
    return iter([*(row for _, row in known), *unknown])


def _row(state: State, number: int, aliases: list[str]) -> VersionRow:
    version = state.version(number)
    event, evaluation, retired = version.registered, version.evaluation, version.retired
    return VersionRow(
        version=number,
        aliases=aliases,
        registered=event.time,
        actor=event.actor,
        reason=event.reason,
        digest=version.digest,
        metrics=dict(evaluation.metrics) if evaluation else None,
        data_sha256=evaluation.data_sha256 if evaluation else None,
        retired=retired.time if retired else None,
    )


def verify(registry: ModelRegistry, ref: Ref | None = None) -> Verified:
    """Check the whole log, and the files of one version or of all.

    Raises: IntegrityError: it names the first event or file that is wrong.
    """
    events, files = registry.verify(ref)
    return Verified(registry.model, registry.location, events, files)


# The figures of an evaluation by the names that people type; the longer ones, with their units, are understood too.
FIGURES = {
    "mae": "mae",
    "rmse": "rmse",
    "scaled_mse": "scaled_mse",
    "r2": "r2",
    "mape": "mape_percent",
}
HIGHER_IS_BETTER = {"r2"}
ORDERS = ("version", "registered", *FIGURES)
_COMPARE = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
}
_CONDITION = re.compile(
    r"\s*(?P<name>\w+)\s*(?P<sign><=|>=|==|!=|<|>|=)\s*(?P<bound>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*",
    re.ASCII,
)


@dataclass(frozen=True)
class Condition:
    """A figure, a sign such as ``<``, and a number."""

    figure: str
    sign: str
    bound: float

    def holds(self, metrics: Mapping[str, Any]) -> bool:
        """Tell whether it is true of an evaluation; of a figure that is not known, nothing is."""
        value = figure(metrics, self.figure)
        return value is not None and bool(_COMPARE[self.sign](value, self.bound))


def parse_condition(text: str) -> Condition:
    """Read ``mae<5000``. Raises: UsageError: it is no figure, sign and number."""
    match = _CONDITION.fullmatch(text)
    if match is None or not math.isfinite(float(match["bound"])):
        raise UsageError(
            f"--where expects a figure, a sign and a number, such as 'mae<5000' or 'r2>=0.99', received {text!r}",
            hint=f"Figures: {', '.join(FIGURES)}; signs: {' '.join(_COMPARE)}; in quotes, for the shell's sake",
        )
    names = {**FIGURES, **{OLD_KEYS.get(name, name): name for name in FIGURES.values()}}
    if match["name"] not in names:
        raise UsageError(
            f"--where knows no figure {match['name']!r}; expected one of {', '.join(FIGURES)}",
            hint="For example: --where 'mae<5000'",
        )
    return Condition(names[match["name"]], match["sign"], float(match["bound"]))


def figure(metrics: Mapping[str, Any], name: str) -> float | None:
    """Return a figure if it is a finite number."""
    value = metrics.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


@dataclass(frozen=True)
class Retirement:
    """When a version was taken out of use, by whom and why."""

    time: str
    actor: str
    reason: str


@dataclass(frozen=True)
class Shown:
    """One version whole; ``spans`` tell since when and until when each alias named it.

    ``manifest`` is None if the version's files were removed after it was retired.
    """

    model: str
    version: int
    as_of: str | None
    aliases: list[str]
    registered: str
    actor: str
    reason: str
    digest: str
    bundle: str
    retired: Retirement | None
    spans: list[Span]
    evaluations: list[dict[str, Any]]
    manifest: dict[str, Any] | None


def show(registry: ModelRegistry, ref: Ref, as_of: str | None = None) -> Shown:
    """Tell all about one version; its manifest is checked against the log.

    Args:
        registry: where it is.
        ref: which; an alias is resolved as of the time.
        as_of: a time as the log writes it. What came later is left out.
    """
    events = registry.events()
    state = replay(events, as_of)
    version = registry.find(state, ref, retired=True)
    is_removed = registry.is_removed(replay(events).version(version.number))
    return Shown(
        model=registry.model,
        version=version.number,
        as_of=as_of,
        aliases=state.aliases_of(version.number),
        registered=version.registered.time,
        actor=version.registered.actor,
        reason=version.registered.reason,
        digest=version.digest,
        bundle=f"{registry.location}{version.folder}",
        retired=_retirement(version.retired),
        spans=[span for span in spans(events[: state.index.last[0]]) if span.version == version.number],
        evaluations=[_plain(asdict(evaluation)) for evaluation in version.evaluations],
        manifest=None if is_removed else dict(registry.bundle(version).manifest),
    )


def _retirement(event: Event | None) -> Retirement | None:
    return Retirement(event.time, event.actor, event.reason) if event else None


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: dict(value) if isinstance(value, Mapping) else value for key, value in fields.items()}
