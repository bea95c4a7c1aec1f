"""One model's registry: publish a version, find it, promote it, roll back, retire it, verify everything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from gamesales.errors import IntegrityError, NothingPromotedError, UnknownVersionError, UsageError, warn
from gamesales.registry.bundle import MANIFEST, Bundle, copy_bundle, read_bundle, write_bundle
from gamesales.registry.event import (
    ALIAS_DELETED,
    ALIAS_SET,
    EVALUATION_RECORDED,
    VERSION_REGISTERED,
    VERSION_RETIRED,
    Event,
    check_time,
)
from gamesales.registry.index import EVENTS_PER_CHECKPOINT, CheckpointStore, Index
from gamesales.registry.log import EventLog
from gamesales.registry.refs import CHAMPION, DEFAULT_MODEL, Ref, check_alias, check_model, format_command, is_model
from gamesales.registry.state import State, Version, replay
from gamesales.registry.store import Store

# Makes the evidence for an alias from the state just before the event and the version, or raises.
Judge = Callable[[State, Version], Mapping[str, Any]]


class ModelRegistry:
    """The versions of one model and their log."""

    def __init__(self, store: Store, model: str = DEFAULT_MODEL) -> None:
        self._store = store
        self.model = check_model(model)
        self._log = EventLog(store, self.model)
        self._checkpoints = CheckpointStore(store, self.model)

    @property
    def location(self) -> str:
        return self._store.location

    def format_command(self, command: str) -> str:
        """Format a command on this model for a hint, with ``--registry`` and ``--name`` where it needs them."""
        return format_command(command, self.location, self.model)

    def require_model(self) -> None:
        """Check that the registry has the model.

        Raises:
            UnknownVersionError: the model has no version. The message names the models that the registry has.
        """
        if not self._log.has_events():
            from gamesales.registry.models import make_unknown_model_error

            raise make_unknown_model_error(self._store, self.model)

    def read_events(self) -> list[Event]:
        """Read the whole log, checked, oldest first."""
        return self._log.read()

    def read_state(self, as_of: str | None = None) -> State:
        """Read the state now, or at a time that is written as in the log: ``2026-11-24T02:00:00.123456Z``.

        Raises:
            UsageError: the time is written in another way.
        """
        if as_of is not None:
            return replay(self.read_events(), check_time(as_of))
        index, last = self._load_checkpoint()
        for event in self._log.read(last):
            index.add(event)
        return self._make_state(index)

    def find(self, state: State, ref: Ref | int, *, allow_retired: bool = False) -> Version:
        """Find the version that a reference or a number names.

        Raises:
            UnknownVersionError: there is no such version, or it is retired.
            NothingPromotedError: the alias names no version.
        """
        if not state.newest:
            self.require_model()
            raise UnknownVersionError(
                f"no model {self.model} in {self.location}{_format_as_of(state)}",
                hint=f"See what happened when: {self.format_command('history')}",
            )
        if isinstance(ref, int):
            number = ref
        else:
            number = self._require_target(state, ref.alias) if ref.alias else ref.version or 0
        if number not in state.numbers:
            raise UnknownVersionError(
                f"no version {number} of {self.model} in {self.location}{_format_as_of(state)}; "
                f"newest is {state.newest}",
                hint=f"List the versions: {self.format_command('versions')}",
            )
        version = state.read_version(number)
        retirement = version.retirement
        if retirement and not allow_retired:
            because = f": {retirement.reason}" if retirement.reason else ""
            raise UnknownVersionError(
                f"version {number} of {self.model} was retired on {retirement.time[:10]} by "
                f"{retirement.actor}{because}",
                hint=f"List the versions in use: {self.format_command('versions')}",
            )
        return version

    def find_version(self, number: int) -> Version:
        """Find a version by its number, in the log as it is now."""
        return self.find(self.read_state(), number)

    def resolve(self, ref: Ref, as_of: str | None = None) -> tuple[Version, Bundle]:
        """Find a version, now or at a time as in ``read_state``, and open its bundle."""
        version = self.find(self.read_state(as_of), ref)
        return version, self.open_bundle(version)

    def open_bundle(self, version: Version) -> Bundle:
        """Open a version's bundle. Its manifest is checked against the digest in the log.

        Raises:
            IntegrityError: the manifest was changed, or the bundle is of another model.
        """
        bundle = read_bundle(self._store, version.folder, version.digest)
        model = bundle.manifest.get("model")
        if model != self.model:
            raise IntegrityError(f"{bundle.location} holds a version of {model}; expected a version of {self.model}")
        return bundle

    def publish(self, files: Mapping[str, bytes], details: Mapping[str, Any], reason: str) -> int:
        """Write a bundle, then the event that makes it a version; return the version's number."""
        bundle = write_bundle(self._store, self.model, files, details)
        return int(self._append(VERSION_REGISTERED, reason, lambda state: _make_body(state, bundle)).body["version"])

    def publish_copy(self, bundle: Bundle, origin: Mapping[str, Any], reason: str) -> tuple[int, bool]:
        """Copy a bundle of another registry, then write the event that makes it a version.

        Args:
            bundle: the bundle, in its registry.
            origin: where, when, by whom and why the version was first registered; part of the event.
            reason: why it is copied.

        Returns:
            The version's number, and whether it is new. It is not new if a version in use has this very bundle.
        """
        if same := self.read_state().find_digest(bundle.digest):
            return same.number, False
        copy = copy_bundle(bundle, self._store, self.model)

        def make_body(state: State) -> Mapping[str, Any]:
            if same := state.find_digest(copy.digest):  # another writer was faster
                raise _NothingToDoError(same.number)
            return {**_make_body(state, copy), "origin": dict(origin)}

        try:
            return int(self._append(VERSION_REGISTERED, reason, make_body).body["version"]), True
        except _NothingToDoError as nothing:
            return int(nothing.args[0]), False

    def record_evaluation(
        self,
        number: int,
        evaluation: Mapping[str, Any],
        reason: str,
        is_recorded: Callable[[Version], bool] = lambda version: False,
    ) -> Event | None:
        """Record an evaluation of a version: ``data``, ``data_sha256``, ``rows``, ``metrics``, and more.

        Return None, with nothing written, if ``is_recorded`` finds it among the version's evaluations.
        """

        def make_body(state: State) -> Mapping[str, Any]:
            version = self.find(state, number)
            if is_recorded(version):
                raise _NothingToDoError
            return {**evaluation, "version": number, "digest": version.digest}

        with suppress(_NothingToDoError):
            return self._append(EVALUATION_RECORDED, reason, make_body)
        return None

    def retire(self, number: int, reason: str) -> Event | None:
        """Retire a version; its history stays. Return None, with nothing written, if it is retired already.

        Raises:
            UsageError: an alias names the version.
        """

        def make_body(state: State) -> Mapping[str, Any]:
            version = self.find(state, number, allow_retired=True)
            if state.is_retired(number):
                raise _NothingToDoError
            aliases = state.aliases_of(number)
            if aliases:
                raise UsageError(
                    f"version {number} is {', '.join(aliases)} and can't be retired",
                    hint="Promote another version first, or delete the alias: "
                    f"{self.format_command(f'alias delete {aliases[0]}')}",
                )
            return {"version": number, "digest": version.digest}

        with suppress(_NothingToDoError):
            return self._append(VERSION_RETIRED, reason, make_body)
        return None

    def set_alias(self, alias: str, number: int, reason: str, judge: Judge) -> Event | None:
        """Make an alias name a version; return None, with nothing written, if it already does.

        If another writer is faster, the judge is called again.
        """
        check_alias(alias)

        def make_body(state: State) -> Mapping[str, Any]:
            version = self.find(state, number)
            target = state.target_of(alias)
            if target == number:
                raise _NothingToDoError
            return _make_alias_body(alias, target, version, judge(state, version), is_rollback=False)

        with suppress(_NothingToDoError):
            return self._append(ALIAS_SET, reason, make_body)
        return None

    def roll_back(self, alias: str, reason: str, judge: Judge) -> Event:
        """Make an alias name its previous version again. A second call goes back one more version.

        Raises:
            NothingPromotedError: there is no previous version.
        """
        check_alias(alias)

        def make_body(state: State) -> Mapping[str, Any]:
            current, version = self.find_previous(state, alias)
            return _make_alias_body(alias, current, version, judge(state, version), is_rollback=True)

        return self._append(ALIAS_SET, reason, make_body)

    def find_previous(self, state: State, alias: str) -> tuple[int, Version]:
        """Return the version of an alias, and the version to which a rollback would set it.

        Raises:
            NothingPromotedError: there is no previous version.
        """
        current = self.find(state, Ref(self.model, alias=alias), allow_retired=True).number
        previous = state.previous_target(alias)
        if previous is None:
            raise NothingPromotedError(
                f"no version of {self.model} was {alias} before version {current}; there is nothing to roll back to",
                hint=f"Promote another version: {self.format_command(f'promote N --alias {alias}')}",
            )
        return current, self.find(state, previous)

    def delete_alias(self, alias: str, reason: str) -> Event:
        """Delete an alias. It must name a version."""
        check_alias(alias)

        def make_body(state: State) -> Mapping[str, Any]:
            return {"alias": alias, "previous_version": self._require_target(state, alias)}

        return self._append(ALIAS_DELETED, reason, make_body)

    def list_bundle_keys(self) -> list[str]:
        """List the keys of all files of bundles, also of bundles that belong to no version."""
        return self._store.list(f"{self.model}/bundles")

    def remove(self, keys: Iterable[str]) -> None:
        """Remove files of bundles. No version in use may need them."""
        for key in keys:
            self._store.delete(key)

    def sweep(self, before: datetime, *, dry_run: bool) -> int:
        """Remove, or only count, temporary files that killed writers left before a moment."""
        return self._store.sweep(self.model, before.timestamp(), dry_run=dry_run)

    def is_removed(self, version: Version) -> bool:
        """Return whether a retired version's manifest is gone. Other files may remain if the removal was killed."""
        return version.retirement is not None and f"{version.folder}/{MANIFEST}" not in self._store.list(version.folder)

    def verify(self, ref: Ref | None = None) -> tuple[int, int]:
        """Check the whole log, and every file of one version or of all versions.

        Returns:
            The number of events and the number of files that were checked.

        Raises:
            IntegrityError: an event, checkpoint or file is wrong. The message names the first.
        """
        events = self.read_events()
        state = replay(events)
        self._checkpoints.verify(events)
        for name in self._log.list_other_names():
            warn(f"{self.location}{self.model}/log/{name} is not an event, and is ignored; move it elsewhere")
        if ref is not None or not state.newest:
            return len(events), self._verify_files(self.find(state, ref or 1, allow_retired=True))
        return len(events), sum(map(self._verify_files, state.read_versions().values()))

    def _verify_files(self, version: Version) -> int:
        return 0 if self.is_removed(version) else self.open_bundle(version).verify()

    def _require_target(self, state: State, alias: str) -> int:
        number = state.target_of(alias)
        if number is None:
            raise NothingPromotedError(
                f"no version of {self.model} is {alias} in {self.location}{_format_as_of(state)}; "
                f"newest is {state.newest}",
                hint=self._suggest_target(state, alias),
            )
        return number

    def _suggest_target(self, state: State, alias: str) -> str:
        """Return a hint for an alias that names no version."""
        from difflib import get_close_matches

        if similar := get_close_matches(alias, state.read_targets(), 1, 0.75):
            return f"Did you mean @{similar[0]}?"
        if state.as_of:
            return f"See what happened when: {self.format_command('history')}"
        if alias != CHAMPION and is_model(alias) and EventLog(self._store, alias).has_events():
            return f"A version of the model {alias}: {alias}/4 or {alias}@{CHAMPION}"
        option = "" if alias == CHAMPION else f" --alias {alias}"
        return f"Promote one: {self.format_command(f'promote {state.newest}{option}')}"

    def _append(self, kind: str, reason: str, make_body: Callable[[State], Mapping[str, Any]]) -> Event:
        """Append an event whose body is made from the state just before it, again whenever that state changes."""
        index, last = self._load_checkpoint()
        start = index.last[0]

        def decide(events: Sequence[Event]) -> Mapping[str, Any]:
            for event in events[index.last[0] - start :]:
                index.add(event)
            return make_body(self._make_state(index))

        event = self._log.append(kind, reason, decide, last)
        index.add(event)
        if event.sequence % EVENTS_PER_CHECKPOINT == 0:
            self._checkpoints.write(index)
        return event

    def _load_checkpoint(self) -> tuple[Index, Event | None]:
        """Return the newest checkpoint and the last event that it covers.

        Raises:
            IntegrityError: the log does not hold this event. So its end is missing or was written anew.
        """
        index = self._checkpoints.read_newest()
        if not index.last[0]:
            return index, None
        try:
            return index, self._log.read_at([index.last])[0]
        except IntegrityError as error:
            raise IntegrityError(
                f"{error}; a checkpoint was made after that event",
                hint="Restore the log from a backup. If the log is right, delete the folder checkpoints next to it",
            ) from None

    def _make_state(self, index: Index) -> State:
        return State(index, self._log.read_at)


class _NothingToDoError(Exception):
    """The registry is already in the state that was requested."""


def _format_as_of(state: State) -> str:
    return f" as of {state.as_of}" if state.as_of else ""


def _make_body(state: State, bundle: Bundle) -> dict[str, Any]:
    return {"version": state.newest + 1, "folder": bundle.folder, "digest": bundle.digest}


def _make_alias_body(
    alias: str, previous: int | None, version: Version, evidence: Mapping[str, Any], *, is_rollback: bool
) -> dict[str, Any]:
    return {
        "alias": alias,
        "version": version.number,
        "digest": version.digest,
        "previous_version": previous,
        "rollback": is_rollback,
        "evidence": evidence,
    }
