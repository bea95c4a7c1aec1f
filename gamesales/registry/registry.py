"""One model's registry: publish a version, find one, say which is live, go back, verify everything."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gamesales.errors import (
    IntegrityError,
    NothingPromotedError,
    UnknownVersionError,
    UsageError,
)
from gamesales.registry import log
from gamesales.registry.bundle import Bundle, open_bundle, write_bundle
from gamesales.registry.log import Event, EventLog
from gamesales.registry.state import State, Version, replay
from gamesales.registry.store import Store

CHAMPION = "champion"
DEFAULT_MODEL = "game-earnings"

_MODEL = r"[a-z0-9][a-z0-9-]{0,62}"
_ALIAS = r"[A-Za-z0-9_]+"
_REF = re.compile(rf"(?:(?P<model>{_MODEL})/)?(?P<version>[1-9][0-9]{{0,8}})|(?P<amodel>{_MODEL})?@(?P<alias>{_ALIAS})")
_HISTORY_HINT = "See what happened when: gamesales history"
# Names that would read as a version or as a promise that nobody made.
_RESERVED_ALIAS = re.compile(r"latest|v?[0-9]+", re.IGNORECASE)


@dataclass(frozen=True)
class Ref:
    """A version as people write it: by number or by alias."""

    model: str
    version: int | None = None
    alias: str | None = None

    def __str__(self) -> str:
        return f"{self.model}@{self.alias}" if self.alias else f"{self.model}/{self.version}"


def parse_ref(text: str, model: str = DEFAULT_MODEL) -> Ref:
    """Read ``4``, ``game-earnings/4``, ``@champion`` or ``game-earnings@champion``."""
    match = _REF.fullmatch(text)
    if not match:
        raise UsageError(
            f"{text!r} names no version; expected 4, {model}/4, @{CHAMPION} or {model}@{CHAMPION}",
            hint="List what there is: gamesales versions",
        )
    if match["alias"]:
        return Ref(check_model(match["amodel"] or model), alias=check_alias(match["alias"]))
    return Ref(check_model(match["model"] or model), version=int(match["version"]))


def short_ref(model: str, version: int | str) -> str:
    """Write a version as briefly as a command understands it: the default model goes without saying."""
    return str(version) if model == DEFAULT_MODEL else f"{model}/{version}"


def check_model(name: str) -> str:
    """Return a model's name if it is one safe path component."""
    if not re.fullmatch(_MODEL, name):
        raise UsageError(
            f"{name!r} can't name a model; expected small letters, digits and hyphens, such as {DEFAULT_MODEL}"
        )
    return name


def check_alias(alias: str) -> str:
    """Return an alias if people may set it."""
    if not re.fullmatch(_ALIAS, alias) or _RESERVED_ALIAS.fullmatch(alias):
        raise UsageError(
            f"{alias!r} can't be an alias; expected letters, digits and _, and neither 'latest' nor a version's number"
        )
    return alias


class ModelRegistry:
    """The versions of one model and the log that tells of them."""

    def __init__(self, store: Store, model: str = DEFAULT_MODEL) -> None:
        self._store = store
        self.model = check_model(model)
        self._log = EventLog(store, self.model)

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
        return replay(self.events(), as_of if as_of is None else log.check_time(as_of))

    def publish(self, files: Mapping[str, bytes], details: Mapping[str, Any], reason: str) -> int:
        """Write a bundle, then the event that makes it a version; return the version's number."""
        bundle = write_bundle(self._store, self.model, files, details)

        def next_version(events: Sequence[Event]) -> Mapping[str, Any]:
            number = replay(events).newest + 1
            return {"version": number, "folder": bundle.folder, "digest": bundle.digest}

        event = self._log.append(log.VERSION_REGISTERED, reason, next_version)
        return int(event.body["version"])

    def record_evaluation(self, number: int, evaluation: Mapping[str, Any], reason: str) -> Event:
        """Record what a version scored on a file, bound to the version's digest.

        Args:
            number: the version.
            evaluation: ``data``, ``data_sha256``, ``rows``, ``metrics``.
            reason: why it was evaluated.
        """

        def body(events: Sequence[Event]) -> Mapping[str, Any]:
            version = self.find(replay(events), Ref(self.model, version=number))
            return {"version": number, "digest": version.digest, **evaluation}

        return self._log.append(log.EVALUATION_RECORDED, reason, body)

    def find(self, state: State, ref: Ref) -> Version:
        """Return the version that a reference names, or say what there is instead."""
        if not state.versions:
            raise UnknownVersionError(
                f"no model {self.model} in {self.location}{_at(state)}",
                hint=_HISTORY_HINT if state.as_of else "Train one: gamesales train; or give --registry PATH",
            )
        if ref.alias is not None:
            return state.versions[self._aliased(state, ref.alias)]
        if ref.version not in state.versions:
            raise UnknownVersionError(
                f"no version {ref.version} of {self.model} in {self.location}{_at(state)}; newest is {state.newest}",
                hint="List what there is: gamesales versions",
            )
        return state.versions[ref.version]

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
        try:
            return self._log.append(log.ALIAS_SET, reason, lambda events: self._promotion(alias, number, events, judge))
        except _AlreadySetError:
            return None

    def _promotion(
        self,
        alias: str,
        number: int,
        events: Sequence[Event],
        judge: Callable[[State, Version], Mapping[str, Any]],
    ) -> Mapping[str, Any]:
        state = replay(events)
        version = self.find(state, Ref(self.model, version=number))
        if state.aliased(alias) == number:
            raise _AlreadySetError
        evidence = judge(state, version)
        return {**_move(alias, state.aliased(alias), version, rollback=False), "evidence": evidence}

    def roll_back(self, alias: str, reason: str, judge: Callable[[State, Version], Mapping[str, Any]]) -> Event:
        """Make an alias name the version that it named before; a second call goes one further back."""
        check_alias(alias)
        return self._log.append(log.ALIAS_SET, reason, lambda events: self._rollback(alias, events, judge))

    def _rollback(
        self, alias: str, events: Sequence[Event], judge: Callable[[State, Version], Mapping[str, Any]]
    ) -> Mapping[str, Any]:
        state = replay(events)
        current = self.find(state, Ref(self.model, alias=alias)).number
        stack = state.aliases[alias]
        if len(stack) < 2:
            raise NothingPromotedError(
                f"no version of {self.model} was {alias} before version {current}; there is nothing to roll back to",
                hint=f"Promote another version: gamesales promote {short_ref(self.model, 'N')} --alias {alias}",
            )
        version = state.versions[stack[-2]]
        return {**_move(alias, current, version, rollback=True), "evidence": judge(state, version)}

    def verify(self, ref: Ref | None = None) -> tuple[int, int]:
        """Check the whole log, and every file of one version or of all; return the events and files checked.

        Raises: IntegrityError: it names the first event or file that is wrong, expected and found.
        """
        events = self.events()
        state = replay(events)
        versions = [self.find(state, ref or Ref(self.model, version=state.newest or 1))]
        if ref is None:
            versions = list(state.versions.values())
        return len(events), sum(self.bundle(version).verify() for version in versions)


class _AlreadySetError(Exception):
    """The alias names this version already."""


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
