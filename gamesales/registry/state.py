"""The state of a registry: its versions, and the version that each alias names.

A state has an index, and reads an event from the store only when a method needs it. To find the champion among
thousands of versions it reads two events. Only methods read, never attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any

from gamesales.errors import IntegrityError
from gamesales.registry.event import (
    ALIAS_DELETED,
    ALIAS_SET,
    EVALUATION_RECORDED,
    POLICY_SET,
    SIGNATURE_RECORDED,
    VERSION_REGISTERED,
    VERSION_RETIRED,
    Event,
    EventRef,
)
from gamesales.registry.index import Index
from gamesales.stats.amounts import DOLLARS, read_recorded_unit

# The kinds of an evaluation: on a holdout, or of past predictions with actual earnings.
HOLDOUT = "holdout"
BACKTEST = "backtest"

_VERIFY = "Check the whole registry: gamesales verify, with the same --registry and --name"

Reader = Callable[[Sequence[EventRef]], Sequence[Event]]


@dataclass(frozen=True)
class Evaluation:
    """The metrics of one version on one file, from an ``evaluation.recorded`` event.

    ``intervals`` maps a metric to the lower and upper end of its confidence interval, where the event has one.
    ``rejected`` counts rejects. ``unit`` is the unit of the target, in which the metrics are.
    """

    data: str
    data_sha256: str
    rows: int
    metrics: Mapping[str, float | None]
    time: str
    intervals: Mapping[str, Sequence[float]] = field(default_factory=dict)
    rejected: int = 0
    kind: str = HOLDOUT
    unit: str = DOLLARS


@dataclass(frozen=True)
class Version:
    """One registered version. ``retirement`` is the event that retired it, or None."""

    number: int
    folder: str
    digest: str
    registration: Event
    retirement: Event | None
    _state: State = field(repr=False, compare=False)

    def read_evaluations(self) -> list[Evaluation]:
        """Read all evaluations, oldest first."""
        return [self._state.read_evaluation(self.number, ref) for ref in self._evaluation_refs]

    def read_evaluation_events(self) -> Sequence[Event]:
        """Read the events of all evaluations, oldest first."""
        return self._state.read_events(self._evaluation_refs)

    def read_holdout_evaluations(self) -> list[Evaluation]:
        """Read the evaluations on holdouts, oldest first. Backtests are left out."""
        return [evaluation for evaluation in self.read_evaluations() if evaluation.kind != BACKTEST]

    def read_last_holdout_evaluation(self) -> Evaluation | None:
        """Read the newest evaluation on a holdout, by which versions are compared and promoted."""
        newest_first = self.read_evaluations_newest_first()
        return next((evaluation for evaluation in newest_first if evaluation.kind != BACKTEST), None)

    def read_evaluations_newest_first(self) -> Iterator[Evaluation]:
        """Yield all evaluations, newest first. Each is read when it is needed."""
        return (self._state.read_evaluation(self.number, ref) for ref in reversed(self._evaluation_refs))

    def has_evaluation(self, evaluation: Mapping[str, Any]) -> bool:
        """Return whether an evaluation of the same kind has the same metrics on the same rows of the same file."""
        kind, keys = evaluation.get("kind", HOLDOUT), ("data_sha256", "rows", "metrics")
        return any(
            past.kind == kind and all(getattr(past, key) == evaluation[key] for key in keys)
            for past in self.read_evaluations()
        )

    @property
    def _evaluation_refs(self) -> Sequence[EventRef]:
        return self._state.index.evaluations.get(self.number, ())


class State:
    """The registry of one model after some number of events.

    Args:
        index: where each event is.
        read: reads the events that references point to, and checks them.
        as_of: the time of this state, as written in the log; None: now.
    """

    def __init__(self, index: Index, read: Reader, as_of: str | None = None) -> None:
        self.index = index
        self.as_of = as_of
        self._reader = read
        self._events: dict[int, Event] = {}

    @property
    def newest(self) -> int:
        """The newest version's number, 0 before the first."""
        return len(self.index.versions)

    @property
    def numbers(self) -> range:
        """The numbers of all versions. They are given in order, without a gap."""
        return range(1, self.newest + 1)

    def is_retired(self, number: int) -> bool:
        return number in self.index.retired

    def read_version(self, number: int) -> Version:
        """Read a version that exists."""
        registration = self._read_registration(number)
        retired = self.index.retired.get(number)
        return Version(
            number=number,
            folder=registration.body["folder"],
            digest=registration.body["digest"],
            registration=registration,
            retirement=self._read(retired, VERSION_RETIRED, version=number) if retired else None,
            _state=self,
        )

    def read_versions(self) -> dict[int, Version]:
        """Read all versions, by number. What a list of versions shows is read in one request, last evaluations too."""
        index = self.index
        last_evaluations = [refs[-1] for refs in index.evaluations.values()]
        aliases = [refs[-1] for refs in index.aliases.values()]
        self._fetch([*index.versions.values(), *index.retired.values(), *last_evaluations, *aliases])
        return {number: self.read_version(number) for number in self.numbers}

    def read_events(self, refs: Sequence[EventRef]) -> Sequence[Event]:
        """Read the events that references point to, in one request."""
        self._fetch(refs)
        return [self._events[sequence] for sequence, _ in refs]

    @property
    def log_digest(self) -> str:
        """The digest of the first registration, which tells this log from all others."""
        return self.index.versions[1][1]

    def read_policy_event(self) -> Event | None:
        """Read the event that set the policy; None if there is none."""
        return self._read(self.index.policy, POLICY_SET) if self.index.policy else None

    def read_signatures(self, statement_sha256: str) -> Sequence[Event]:
        """Read the signatures of a statement, oldest first. They are not checked."""
        refs = self.index.signatures.get(statement_sha256, ())
        return [self._read(ref, SIGNATURE_RECORDED, statement_sha256=statement_sha256) for ref in refs]

    def read_recent_signatures(self, limit: int = 50) -> Sequence[Event]:
        """Read the newest signatures, newest first."""
        refs = sorted((ref for refs in self.index.signatures.values() for ref in refs), reverse=True)
        return [self._read(ref, SIGNATURE_RECORDED) for ref in refs[:limit]]

    def find_digest(self, digest: str) -> Version | None:
        """Return the first version in use whose bundle has a digest, or None."""
        versions = self.read_versions().values()
        return next((version for version in versions if version.digest == digest and not version.retirement), None)

    def read_evaluation(self, number: int, ref: EventRef) -> Evaluation:
        """Read an evaluation of a version.

        Raises:
            IntegrityError: the evaluation has another digest than the version that was registered.
        """
        event = self._read(ref, EVALUATION_RECORDED, version=number)
        body, digest = event.body, self._read_registration(number).body["digest"]
        if body["digest"] != digest:
            raise IntegrityError(
                f"event {ref[0]} evaluates version {number} with digest {body['digest']}; "
                f"expected {digest}, with which it was registered",
                hint=_VERIFY,
            )
        intervals, rejected = body.get("intervals"), body.get("rejected")  # of another release: of any shape
        return Evaluation(
            data=body["data"],
            data_sha256=body["data_sha256"],
            rows=body["rows"],
            metrics=body["metrics"],
            time=event.time,
            intervals=intervals if isinstance(intervals, dict) else {},
            rejected=rejected if isinstance(rejected, int) else 0,
            kind=str(body.get("kind", HOLDOUT)),
            unit=read_recorded_unit(body),
        )

    def target_of(self, alias: str) -> int | None:
        """Return the version that an alias names; None: the alias is not set."""
        stack = self.index.aliases.get(alias)
        return self._read_target(alias, stack[-1]) if stack else None

    def previous_target(self, alias: str) -> int | None:
        """Return the version that a rollback of an alias would restore; None: there is none."""
        stack = self.index.aliases.get(alias, ())
        return self._read_target(alias, stack[-2]) if len(stack) > 1 else None

    def last_set_event(self, alias: str) -> Event | None:
        """Return the event that last set an alias; None: the alias is not set."""
        stack = self.index.aliases.get(alias)
        return self._read(stack[-1], ALIAS_SET, alias=alias) if stack else None

    def read_targets(self) -> dict[str, int]:
        """Read all aliases, sorted by name, each with the version that it names."""
        return {alias: self._read_target(alias, stack[-1]) for alias, stack in sorted(self.index.aliases.items())}

    def read_alias_stacks(self) -> dict[str, list[int]]:
        """Read all aliases, sorted by name, each with its stack of versions. A rollback removes the last version."""
        stacks = sorted(self.index.aliases.items())
        return {alias: [self._read_target(alias, ref) for ref in stack] for alias, stack in stacks}

    def aliases_of(self, number: int) -> list[str]:
        """Return the aliases that name a version, sorted."""
        return [alias for alias, target in self.read_targets().items() if target == number]

    def _read_target(self, alias: str, ref: EventRef) -> int:
        """Return the version that an ``alias.set`` event names. It must have the digest that was registered."""
        body = self._read(ref, ALIAS_SET, alias=alias).body
        digest = self._read_registration(body["version"]).body["digest"]
        if body["digest"] != digest:
            raise IntegrityError(
                f"event {ref[0]} names version {body['version']} with digest {body['digest']}; "
                f"expected {digest}, with which it was registered",
                hint=_VERIFY,
            )
        return int(body["version"])

    def _read_registration(self, number: int) -> Event:
        return self._read(self.index.versions[number], VERSION_REGISTERED, version=number)

    def _read(self, ref: EventRef, kind: str, **expected: object) -> Event:
        """Read an event once, and check its kind and values: the index may come from a checkpoint."""
        self._fetch([ref])
        sequence = ref[0]
        event = self._events[sequence]
        if event.kind != kind or any(event.body[name] != value for name, value in expected.items()):
            raise IntegrityError(
                f"event {sequence} is {event.kind}; a checkpoint says that it is {kind} of {expected}",
                hint="Delete the folder checkpoints. Checkpoints are rebuilt from the log",
            )
        return event

    def _fetch(self, refs: Sequence[EventRef]) -> None:
        unread = [ref for ref in refs if ref[0] not in self._events]
        if unread:
            self._events |= {event.sequence: event for event in self._reader(unread)}


def replay(events: Iterable[Event], as_of: str | None = None) -> State:
    """Fold events into a state.

    Args:
        events: the log, oldest first.
        as_of: stop before the first event later than this time, as written in the log.

    Raises:
        IntegrityError: an event's body is not the body that its kind promises.
    """
    index, replayed = Index(), list[Event]()
    # Not every event up to this time: if clocks disagree, that could be a state that the log never had.
    for event in takewhile(lambda event: as_of is None or event.time <= as_of, events):
        index.add(event)
        replayed.append(event)
    return State(index, lambda refs: [replayed[sequence - replayed[0].sequence] for sequence, _ in refs], as_of)


@dataclass(frozen=True)
class Span:
    """A period in which an alias named a version: from ``since`` up to, but not at, ``until``; None: it goes on."""

    alias: str
    version: int
    since: str
    until: str | None


def list_alias_spans(events: Iterable[Event]) -> list[Span]:
    """List all periods in which an alias named a version, in the order in which they began.

    A period that ended at the moment of its beginning is empty. Events come oldest first.
    """
    spans: list[Span] = []
    open_spans: dict[str, int] = {}  # alias to the position of its span in the list
    now = ""
    for event in events:
        # If clocks disagree, an event counts from the latest time before it, as in a state as of a time.
        now = max(now, event.time)
        if event.kind in (ALIAS_SET, ALIAS_DELETED):
            position = open_spans.pop(event.body["alias"], None)
            if position is not None:
                spans[position] = replace(spans[position], until=now)
        if event.kind == ALIAS_SET:
            open_spans[event.body["alias"]] = len(spans)
            spans.append(Span(event.body["alias"], event.body["version"], now, None))
    return spans
