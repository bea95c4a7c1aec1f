"""Read the log: list who did what, when, why and on what evidence; and show one version as it is or was.

Events are read from the log and not from the state, so that an event of a later release is listed too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from gamesales.errors import UsageError
from gamesales.jobs.row_list import RowList, check_limit
from gamesales.registry.bundle import list_warnings
from gamesales.registry.event import KINDS, Event
from gamesales.registry.refs import Ref, check_alias
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.state import Evaluation, Span, list_alias_spans, replay
from gamesales.report.format import format_count, format_minute
from gamesales.stats.amounts import DOLLARS, InUnit, keeps_unit, read_unit, record_unit, set_unit
from gamesales.stats.metrics import HEADINGS, format_metrics


@dataclass(frozen=True)
class EventRow:
    """One event of the log."""

    sequence: int
    time: str
    actor: str
    kind: str
    reason: str
    body: dict[str, Any]


@dataclass(frozen=True)
class EventList(RowList[EventRow]):
    """The events that match a filter, newest first."""

    model: str
    registry: str
    events: list[EventRow]

    @property
    def _rows(self) -> list[EventRow]:
        return self.events

    def __repr__(self) -> str:
        return f"EventList({format_count(len(self), 'event')} of {self.model} in {self.registry})"

    def _repr_html_(self) -> str:
        from gamesales.display import make_table

        rows = [
            [
                event.sequence,
                format_minute(event.time),
                event.actor,
                event.kind,
                _name_subject(event.body),
                event.reason,
            ]
            for event in self.events
        ]
        caption = f"{format_count(len(self), 'event')} of {self.model} in {self.registry}, newest first"
        return make_table(caption, ["event", "time (UTC)", "by", "kind", "version", "reason"], rows)


def _name_subject(body: Mapping[str, Any]) -> str:
    """Name the version and the alias of an event. An event of a later release may have neither."""
    alias, version = body.get("alias"), body.get("version")
    return " ".join([*([] if version is None else [str(version)]), *([f"@{alias}"] if alias else [])])


@dataclass(frozen=True)
class EventFilter:
    """Which events to list. The default is all events.

    Attributes:
        alias: only events that set or delete this alias.
        version: only events about this version, or that take an alias from it.
        kind: one of KINDS, or the part of a kind before its dot.
        since: the first time, as written in the log.
        until: the last time.
        limit: the most events to list. The newest are kept.
    """

    alias: str | None = None
    version: int | None = None
    kind: str | None = None
    actor: str | None = None
    since: str | None = None
    until: str | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.alias is not None:
            check_alias(self.alias)
        if self.version is not None and not isinstance(self.version, int):
            raise UsageError(f"version expects a number, received {self.version!r}")
        groups = sorted({kind.partition(".")[0] for kind in KINDS})
        check_limit(self.limit)
        if self.kind not in (None, *KINDS, *groups):
            raise UsageError(
                f"expected an event kind, one of {', '.join(KINDS)}, found {self.kind!r}",
                hint=f"Or give a group of kinds: {', '.join(groups)}",
            )

    def matches(self, event: Event) -> bool:
        """Return whether an event matches the filter. The limit is not considered."""
        body = event.body
        return (
            (self.alias is None or body.get("alias") == self.alias)
            and (self.version is None or self.version in (body.get("version"), body.get("previous_version")))
            and self.kind in (None, event.kind, event.kind.partition(".")[0])
            and self.actor in (None, event.actor)
            and (self.since is None or self.since <= event.time)
            and (self.until is None or event.time <= self.until)
        )


def list_events(registry: ModelRegistry, event_filter: EventFilter | None = None) -> EventList:
    """List the events that match a filter, newest first.

    Raises:
        UnknownVersionError: the registry has no such model.
    """
    event_filter = event_filter or EventFilter()
    events = registry.read_events()
    if not events:
        registry.require_model()
    matching = (event for event in reversed(events) if event_filter.matches(event))
    rows = [
        EventRow(event.sequence, event.time, event.actor, event.kind, event.reason, dict(event.body))
        for event in islice(matching, event_filter.limit)
    ]
    return EventList(registry.model, registry.location, rows)


@dataclass(frozen=True)
class Retirement:
    """The retirement of a version: when, by whom and why."""

    time: str
    actor: str
    reason: str


@dataclass(frozen=True)
class VersionDetails(InUnit):
    """One version in full.

    ``spans`` says from when to when each alias named the version. ``same_weights_as`` is an earlier version with the
    same weights, if training found one. ``warnings`` are those of the report. ``origin`` says where a copied version
    was first registered. ``manifest`` is None if the files were removed after the retirement.
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
    same_weights_as: int | None
    warnings: list[str]
    origin: dict[str, Any] | None
    manifest: dict[str, Any] | None

    def __repr__(self) -> str:
        marks = [*self.aliases, *(["retired"] if self.retired else [])]
        suffix = f" ({', '.join(marks)})" if marks else ""
        return f"VersionDetails(version {self.version} of {self.model}{suffix}, registered {self.registered[:10]})"

    def _repr_html_(self) -> str:
        from gamesales.display import make_facts, make_table

        facts: dict[str, object] = {
            "aliases": self.aliases,
            "registered (UTC)": format_minute(self.registered),
            "by": self.actor,
            "reason": self.reason,
            "retired (UTC)": self.retired and format_minute(self.retired.time),
            "digest": self.digest[:12],
            "bundle": self.bundle,
            "warnings": len(self.warnings),
        }
        rows = [
            [evaluation["data"], evaluation["rows"], evaluation["kind"], *format_metrics(evaluation["metrics"], self)]
            for evaluation in self.evaluations
        ]
        table = make_table("evaluations", ["file", "rows", "kind", *HEADINGS], rows) if rows else ""
        return f"{make_facts(f'version {self.version} of {self.model}', facts)}\n{table}".rstrip()


@keeps_unit
def show(registry: ModelRegistry, ref: Ref, as_of: str | None = None) -> VersionDetails:
    """Return all that the registry has about a version. The manifest is checked against the log.

    With a time, written as the log writes times, an alias is resolved as of this time, and later events are ignored.
    """
    events = registry.read_events()
    state = replay(events, as_of)
    version = registry.find(state, ref, allow_retired=True)
    is_removed = registry.is_removed(replay(events).read_version(version.number))
    retirement = version.retirement
    manifest = {} if is_removed else dict(registry.open_bundle(version).manifest)
    evaluations = version.read_evaluations()
    set_unit(read_unit(manifest) if manifest else evaluations[-1].unit if evaluations else DOLLARS)
    return VersionDetails(
        model=registry.model,
        version=version.number,
        as_of=as_of,
        aliases=state.aliases_of(version.number),
        registered=version.registration.time,
        actor=version.registration.actor,
        reason=version.registration.reason,
        digest=version.digest,
        bundle=f"{registry.location}{version.folder}",
        retired=Retirement(retirement.time, retirement.actor, retirement.reason) if retirement else None,
        spans=[span for span in list_alias_spans(events[: state.index.last[0]]) if span.version == version.number],
        evaluations=[_describe_evaluation(evaluation) for evaluation in evaluations],
        same_weights_as=same if isinstance(same := manifest.get("same_weights_as"), int) else None,
        warnings=list_warnings(manifest),
        origin=dict(origin) if isinstance(origin := version.registration.body.get("origin"), Mapping) else None,
        manifest=manifest or None,
    )


def _describe_evaluation(evaluation: Evaluation) -> dict[str, Any]:
    """Return an evaluation with its unit, unless its unit is dollars."""
    document = asdict(evaluation)
    del document["unit"]
    return document | record_unit(evaluation.unit)
