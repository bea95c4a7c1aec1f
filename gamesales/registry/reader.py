"""One model's registry as it is read: find a version, open its bundle, verify everything."""

from __future__ import annotations

from collections.abc import Collection

from gamesales.errors import IntegrityError, NothingPromotedError, UnknownVersionError, warn
from gamesales.registry.bundle import MANIFEST, Bundle, read_bundle
from gamesales.registry.event import Event, check_time
from gamesales.registry.index import CheckpointStore, Index
from gamesales.registry.log import EventLog
from gamesales.registry.refs import CHAMPION, DEFAULT_MODEL, Ref, check_model, format_command, is_model
from gamesales.registry.state import State, Version, replay
from gamesales.storage.store import Store


class RegistryReader:
    """The versions of one model and their log, to read."""

    def __init__(self, store: Store, model: str = DEFAULT_MODEL) -> None:
        self._store = store
        self.model = check_model(model)
        self._log = EventLog(store, self.model)
        self._checkpoints = CheckpointStore(store, self.model)

    @property
    def location(self) -> str:
        return self._store.location

    @property
    def is_remote(self) -> bool:
        """Whether reading needs a network."""
        return self._store.is_remote

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

    def open_bundle(self, version: Version, keys: Collection[str] = ()) -> Bundle:
        """Open a version's bundle. Its manifest is checked against the digest in the log.

        Args:
            version: the version.
            keys: as in ``read_bundle``, for a command that opens many bundles.

        Raises:
            IntegrityError: the manifest was changed, or the bundle is of another model.
        """
        bundle = read_bundle(self._store, version.folder, version.digest, keys)
        model = bundle.manifest.get("model")
        if model != self.model:
            raise IntegrityError(f"{bundle.location} holds a version of {model}; expected a version of {self.model}")
        return bundle

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

    def list_bundle_keys(self) -> list[str]:
        """List the keys of all files of bundles, also of bundles that belong to no version."""
        return self._store.list(f"{self.model}/bundles")

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
        if state.index.signatures or state.index.policy:
            from gamesales.registry.policy import check_approvals

            check_approvals(self.model, events)
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


def _format_as_of(state: State) -> str:
    return f" as of {state.as_of}" if state.as_of else ""
