"""One model's registry: publish a version, find one, say which is live, go back, verify everything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from gamesales.errors import IntegrityError, NothingPromotedError, UnknownVersionError, UsageError
from gamesales.registry import log
from gamesales.registry.bundle import MANIFEST, Bundle, open_bundle, write_bundle
from gamesales.registry.index import EVERY, Checkpoints, Index
from gamesales.registry.log import Event, EventLog
from gamesales.registry.refs import CHAMPION, DEFAULT_MODEL, Ref, check_alias, check_model, short_ref
from gamesales.registry.state import State, Version, replay
from gamesales.registry.store import Store
from gamesales.registry.times import check_time

_HISTORY_HINT = "See what happened when: gamesales history"


class ModelRegistry:
    """The versions of one model and the log that tells of them."""

    def __init__(self, store: Store, model: str = DEFAULT_MODEL) -> None:
        self._store = store
        self.model = check_model(model)
        self._log = EventLog(store, self.model)
        self._checkpoints = Checkpoints(store, self.model)

    @property
    def location(self) -> str:
        return self._store.location

    def events(self) -> list[Event]:
        """Return the whole log, checked, oldest first."""
        return self._log.read()

    def state(self, as_of: str | None = None) -> State:
        """Return what the log adds up to now, or added up to at a moment.

        Args: as_of: a time as the log writes it, such as ``2026-11-24T02:00:00.123456Z``; its events count too.
        Raises: UsageError: the time is written otherwise.
        """
        if as_of is not None:
            return replay(self.events(), check_time(as_of))
        index, last = self._start()
        for event in self._log.read(last):
            index.add(event)
        return self._state(index)

    def _start(self) -> tuple[Index, Event | None]:
        """Return the newest checkpoint and the event that it was made after.

        Raises: IntegrityError: the log does not hold that event, so its end is missing or was written anew.
        """
        index = self._checkpoints.newest()
        if not index.last[0]:
            return index, None
        try:
            return index, self._log.events([index.last])[0]
        except IntegrityError as error:
            raise IntegrityError(
                f"{error}; a checkpoint was made after that event",
                hint="Restore the log from a backup; if it is right as it is, delete the folder checkpoints beside it",
            ) from None

    def _state(self, index: Index) -> State:
        return State(index, self._log.events)

    def _append(self, kind: str, reason: str, decide: Callable[[State], Mapping[str, Any]]) -> Event:
        """Append an event whose body is decided from the state just before it, again whenever that changes."""
        index, last = self._start()
        known = index.last[0]

        def body(events: Sequence[Event]) -> Mapping[str, Any]:
            for event in events[index.last[0] - known :]:
                index.add(event)
            return decide(self._state(index))

        event = self._log.append(kind, reason, body, last)
        index.add(event)
        if event.sequence % EVERY == 0:
            self._checkpoints.write(index)
        return event

    def publish(self, files: Mapping[str, bytes], details: Mapping[str, Any], reason: str) -> int:
        """Write a bundle, then the event that makes it a version; return the version's number."""
        bundle = write_bundle(self._store, self.model, files, details)

        def next_version(state: State) -> Mapping[str, Any]:
            return {"version": state.newest + 1, "folder": bundle.folder, "digest": bundle.digest}

        event = self._append(log.VERSION_REGISTERED, reason, next_version)
        return int(event.body["version"])

    def record_evaluation(self, number: int, evaluation: Mapping[str, Any], reason: str) -> Event:
        """Record what a version scored on a file, bound to the version's digest.

        Args:
            number: the version.
            evaluation: ``data``, ``data_sha256``, ``rows``, ``metrics``.
            reason: why it was evaluated.
        """

        def body(state: State) -> Mapping[str, Any]:
            version = self.find(state, Ref(self.model, version=number))
            return {**evaluation, "version": number, "digest": version.digest}

        return self._append(log.EVALUATION_RECORDED, reason, body)

    def retire(self, number: int, reason: str) -> Event | None:
        """Take a version out of use; its history stays. Return None, with nothing written, if it is retired already.

        Raises: UsageError: an alias names it.
        """

        def body(state: State) -> Mapping[str, Any]:
            version = self.find(state, Ref(self.model, version=number), retired=True)
            if state.is_retired(number):
                raise _NothingToDoError
            aliases = state.aliases_of(number)
            if aliases:
                raise UsageError(
                    f"version {number} is {', '.join(aliases)} and can't be retired",
                    hint="Promote another version first, or delete the alias: gamesales alias delete NAME",
                )
            return {"version": number, "digest": version.digest}

        return self._unless_done(lambda: self._append(log.VERSION_RETIRED, reason, body))

    def find(self, state: State, ref: Ref, *, retired: bool = False) -> Version:
        """Return the version that a reference names, or say what there is instead.

        Args: retired: whether one that was retired may be named by its number.
        """
        if not state.newest:
            raise UnknownVersionError(
                f"no model {self.model} in {self.location}{_at(state)}",
                hint=_HISTORY_HINT if state.as_of else "Train one: gamesales train; or give --registry PATH",
            )
        number = ref.version if ref.alias is None else self._aliased(state, ref.alias)
        if number is None or number not in state.numbers:
            raise UnknownVersionError(
                f"no version {ref.version} of {self.model} in {self.location}{_at(state)}; newest is {state.newest}",
                hint="List what there is: gamesales versions",
            )
        version = state.version(number)
        if version.retired and not retired:
            because = f": {version.retired.reason}" if version.retired.reason else ""
            raise UnknownVersionError(
                f"version {number} of {self.model} was retired on {version.retired.time[:10]} by "
                f"{version.retired.actor}{because}",
                hint="List those in use: gamesales versions",
            )
        return version

    def _aliased(self, state: State, alias: str) -> int:
        number = state.aliased(alias)
        if number is None:
            option = "" if alias == CHAMPION else f" --alias {alias}"
            promote = f"Promote one: gamesales promote {short_ref(self.model, state.newest)}{option}"
            raise NothingPromotedError(
                f"no version of {self.model} is {alias} in {self.location}{_at(state)}; newest is {state.newest}",
                hint=_HISTORY_HINT if state.as_of else promote,
            )
        return number

    def find_version(self, number: int) -> Version:
        """Return a version by its number, from the log as it is now."""
        return self.find(self.state(), Ref(self.model, version=number))

    def resolve(self, ref: Ref, as_of: str | None = None) -> tuple[Version, Bundle]:
        """Find a version and open its bundle, the manifest checked against the digest that the log names.

        Args:
            ref: which version.
            as_of: resolve as ``state`` was at this time; by default as it is now.
        """
        version = self.find(self.state(as_of), ref)
        return version, self.bundle(version)

    def bundle(self, version: Version) -> Bundle:
        """Open a version's bundle.

        Raises: IntegrityError: it was changed, or another model's log lies in this one's place.
        """
        bundle = open_bundle(self._store, version.folder, version.digest)
        found = bundle.manifest.get("model")
        if found != self.model:
            raise IntegrityError(f"{bundle.where} holds a version of {found}; expected one of {self.model}")
        return bundle

    def set_alias(
        self, alias: str, number: int, reason: str, judge: Callable[[State, Version], Mapping[str, Any]]
    ) -> Event | None:
        """Make an alias name a version; return None, with nothing written, if it does already.

        ``judge`` sees the state just before the event and returns the evidence that goes into it, or raises. It
        is asked again whenever another writer was faster.
        """
        check_alias(alias)

        def body(state: State) -> Mapping[str, Any]:
            version = self.find(state, Ref(self.model, version=number))
            if state.aliased(alias) == number:
                raise _NothingToDoError
            evidence = judge(state, version)
            return {**_move(alias, state.aliased(alias), version, rollback=False), "evidence": evidence}

        return self._unless_done(lambda: self._append(log.ALIAS_SET, reason, body))

    def roll_back(self, alias: str, reason: str, judge: Callable[[State, Version], Mapping[str, Any]]) -> Event:
        """Make an alias name the version that it named before; a second call goes one further back."""
        check_alias(alias)

        def body(state: State) -> Mapping[str, Any]:
            current = self.find(state, Ref(self.model, alias=alias), retired=True).number
            before = state.before(alias)
            if before is None:
                raise NothingPromotedError(
                    f"no version of {self.model} was {alias} before version {current}; "
                    "there is nothing to roll back to",
                    hint=f"Promote another version: gamesales promote {short_ref(self.model, 'N')} --alias {alias}",
                )
            version = self.find(state, Ref(self.model, version=before))
            return {**_move(alias, current, version, rollback=True), "evidence": judge(state, version)}

        return self._append(log.ALIAS_SET, reason, body)

    def delete_alias(self, alias: str, reason: str) -> Event:
        """Let an alias name nothing.

        Raises: NothingPromotedError: it names nothing as it is.
        """
        check_alias(alias)

        def body(state: State) -> Mapping[str, Any]:
            return {"alias": alias, "previous_version": self._aliased(state, alias)}

        return self._append(log.ALIAS_DELETED, reason, body)

    def _unless_done(self, append: Callable[[], Event]) -> Event | None:
        try:
            return append()
        except _NothingToDoError:
            return None

    def bundle_keys(self) -> list[str]:
        """Return the keys of all files of bundles, those of no version among them."""
        return self._store.list(f"{self.model}/bundles")

    def remove(self, keys: Iterable[str]) -> None:
        """Remove files of bundles; no version in use may need them."""
        for key in keys:
            self._store.delete(key)

    def sweep(self, before: datetime, *, dry_run: bool) -> int:
        """Remove, or only count, temporary files that writers left behind before a moment."""
        return self._store.sweep(self.model, before.timestamp(), dry_run=dry_run)

    def verify(self, ref: Ref | None = None) -> tuple[int, int]:
        """Check the whole log, and every file of one version or of all; return the events and files checked.

        Raises: IntegrityError: it names the first event, checkpoint or file that is wrong, expected and found.
        """
        events = self.events()
        state = replay(events)
        self._checkpoints.verify(events)
        if ref is not None or not state.newest:
            return len(events), self._verify(self.find(state, ref or Ref(self.model, version=1), retired=True))
        return len(events), sum(self._verify(version) for version in state.versions.values())

    def _verify(self, version: Version) -> int:
        return 0 if self.is_removed(version) else self.bundle(version).verify()

    def is_removed(self, version: Version) -> bool:
        """Tell whether a retired version's files are gone, in part too: whoever removes them can be killed."""
        return version.retired is not None and f"{version.folder}/{MANIFEST}" not in self._store.list(version.folder)


class _NothingToDoError(Exception):
    """What was asked for holds already."""


def _at(state: State) -> str:
    return f" as of {state.as_of}" if state.as_of else ""


def _move(alias: str, previous: int | None, version: Version, *, rollback: bool) -> dict[str, Any]:
    return {
        "alias": alias,
        "version": version.number,
        "digest": version.digest,
        "previous_version": previous,
        "rollback": rollback,
    }
