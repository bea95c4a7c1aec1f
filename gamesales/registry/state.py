"""What the events of a log add up to: the versions, and which of them each alias names.

A state knows where everything stands, and reads an event when it is asked for what only the event can tell. So to find
the champion among thousands of versions takes two events, not all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile

from gamesales.errors import IntegrityError
from gamesales.registry import log
from gamesales.registry.index import Index, Place
from gamesales.registry.log import Event

_VERIFY = "Check the whole registry: gamesales verify"

Reader = Callable[[Sequence[Place]], Sequence[Event]]


@dataclass(frozen=True)
class Evaluation:
    """What one version scored on one file, as an ``evaluation.recorded`` event tells it.

    ``intervals`` has the lower and the upper end of a figure's interval, if the event has.
    """

    data: str
    data_sha256: str
    rows: int
    metrics: Mapping[str, float | None]
    time: str
    intervals: Mapping[str, Sequence[float]] = field(default_factory=dict)
    rejected: int = 0


@dataclass(frozen=True)
class Version:
    """One registered version; its evaluations and its end are read from the log when they are asked for."""

    number: int
    folder: str
    digest: str
    registered: Event
    _state: State = field(repr=False, compare=False)

    @property
    def evaluations(self) -> list[Evaluation]:
        """All evaluations, oldest first."""
        return [self._state.evaluation(self.number, place) for place in self._places]

    @property
    def evaluation(self) -> Evaluation | None:
        """The latest evaluation."""
        return self._state.evaluation(self.number, self._places[-1]) if self._places else None

    @property
    def retired(self) -> Event | None:
        """The event that retired it."""
        return self._state.retired(self.number)

    @property
    def _places(self) -> Sequence[Place]:
        return self._state.index.evaluations.get(self.number, ())


class State:
    """The registry of one model after some number of events.

    Args:
        index: where everything stands.
        read: returns the events at some places, checked.
        as_of: the moment that this was the state at, as the log writes times; None: now.
    """

    def __init__(self, index: Index, read: Reader, as_of: str | None = None) -> None:
        self.index = index
        self.as_of = as_of
        self._source = read
        self._events: dict[int, Event] = {}

    @property
    def newest(self) -> int:
        """The newest version's number, 0 before the first."""
        return len(self.index.versions)

    @property
    def numbers(self) -> range:
        """All versions' numbers: they are given in order, without a gap."""
        return range(1, self.newest + 1)

    def is_retired(self, number: int) -> bool:
        """Tell whether a version was retired."""
        return number in self.index.retired

    def retired(self, number: int) -> Event | None:
        """Return the event that retired a version."""
        place = self.index.retired.get(number)
        return self._read(place, log.VERSION_RETIRED, version=number) if place else None

    def evaluation(self, number: int, place: Place) -> Evaluation:
        """Return an evaluation of a version, which must be of the very bytes that were registered."""
        event = self._read(place, log.EVALUATION_RECORDED, version=number)
        body, digest = event.body, self.version(number).digest
        if body["digest"] != digest:
            raise IntegrityError(
                f"event {place[0]} evaluates version {number} with digest {body['digest']}; "
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
        )

    def version(self, number: int) -> Version:
        """Return a version. Raises: KeyError: there is none of this number."""
        event = self._read(self.index.versions[number], log.VERSION_REGISTERED, version=number)
        body = event.body
        return Version(
            number=number,
            folder=body["folder"],
            digest=body["digest"],
            registered=event,
            _state=self,
        )

    @cached_property
    def versions(self) -> dict[int, Version]:
        """All versions, by number; what a list of them tells, last evaluations and aliases too, is read in one go."""
        index = self.index
        latest = [places[-1] for places in index.evaluations.values()]
        aliases = [places[-1] for places in index.aliases.values()]
        self._fetch([*index.versions.values(), *index.retired.values(), *latest, *aliases])
        return {number: self.version(number) for number in self.numbers}

    def aliased(self, alias: str) -> int | None:
        """Return the version that an alias names now."""
        stack = self.index.aliases.get(alias)
        return self._named(alias, stack[-1]) if stack else None

    def decided(self, alias: str) -> Event | None:
        """Return the event that decided what an alias names now."""
        stack = self.index.aliases.get(alias)
        return self._read(stack[-1], log.ALIAS_SET, alias=alias) if stack else None

    def before(self, alias: str) -> int | None:
        """Return the version that a rollback of an alias would go back to."""
        stack = self.index.aliases.get(alias, ())
        return self._named(alias, stack[-2]) if len(stack) > 1 else None

    @cached_property
    def aliases(self) -> dict[str, list[int]]:
        """All aliases, sorted by name, with the versions that rollbacks would go through; the last is the one named."""
        stacks = sorted(self.index.aliases.items())
        return {alias: [self._named(alias, place) for place in stack] for alias, stack in stacks}

    @cached_property
    def named(self) -> dict[str, int]:
        """All aliases, sorted by name, with the version that each names now."""
        return {alias: self._named(alias, places[-1]) for alias, places in sorted(self.index.aliases.items())}

    def aliases_of(self, number: int) -> list[str]:
        """Return the aliases that name a version now, sorted."""
        return [alias for alias, named in self.named.items() if named == number]

    def _named(self, alias: str, place: Place) -> int:
        """Return the version that an ``alias.set`` event names, which must be the one that was registered."""
        body = self._read(place, log.ALIAS_SET, alias=alias).body
        if self.version(body["version"]).digest != body["digest"]:
            raise IntegrityError(
                f"event {place[0]} names version {body['version']} with digest {body['digest']}; "
                f"expected {self.version(body['version']).digest}, with which it was registered",
                hint=_VERIFY,
            )
        return int(body["version"])

    def _read(self, place: Place, kind: str, **told: object) -> Event:
        """Read an event once; where a checkpoint led to it, it must tell what was looked for."""
        self._fetch([place])
        sequence = place[0]
        event = self._events[sequence]
        if event.kind != kind or any(event.body[name] != value for name, value in told.items()):
            raise IntegrityError(
                f"event {sequence} is {event.kind} and does not tell of {told or kind}; a checkpoint says so",
                hint="Delete the folder checkpoints: they are made again from the log",
            )
        return event

    def _fetch(self, places: Sequence[Place]) -> None:
        unread = [place for place in places if place[0] not in self._events]
        if unread:
            self._events |= {event.sequence: event for event in self._source(unread)}


def replay(events: Iterable[Event], as_of: str | None = None) -> State:
    """Fold events into the state that they add up to.

    Args:
        events: the log, oldest first.
        as_of: stop before the first event that is later than this time, which is written as the log writes times.

    Raises: IntegrityError: an event's body is not what its kind promises.
    """
    index, held = Index(), list[Event]()
    # Not every event whose time fits: where clocks disagree that could be a state which the log never had.
    for event in takewhile(lambda event: as_of is None or event.time <= as_of, events):
        index.add(event)
        held.append(event)
    return State(index, lambda places: [held[sequence - held[0].sequence] for sequence, _ in places], as_of)
