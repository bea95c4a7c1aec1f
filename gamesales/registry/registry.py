"""One model's registry: publish a version, promote it, roll back, sign it, retire it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from gamesales.errors import UsageError
from gamesales.registry.bundle import Bundle, copy_bundle, write_bundle
from gamesales.registry.event import (
    ALIAS_DELETED,
    ALIAS_SET,
    EVALUATION_RECORDED,
    POLICY_SET,
    SIGNATURE_RECORDED,
    SIGNATURES_RELEASE,
    VERSION_REGISTERED,
    VERSION_RETIRED,
    Event,
)
from gamesales.registry.index import EVENTS_PER_CHECKPOINT
from gamesales.registry.reader import RegistryReader
from gamesales.registry.refs import check_alias
from gamesales.registry.state import State, Version

if TYPE_CHECKING:
    from gamesales.registry.policy import Policy
    from gamesales.registry.signature import Statement

# Makes the evidence for an alias from the state just before the event and the version, or raises.
Judge = Callable[[State, Version], Mapping[str, Any]]


class ModelRegistry(RegistryReader):
    """The versions of one model and their log, to read and to change."""

    def check_writable(self) -> None:
        """Check that a version can be published now. Nothing stays behind.

        Raises:
            TryAgainError: the disk refuses to write, or the object store does not answer.
            RegistryError: the location can't hold a registry, or the credentials do not allow to write.
        """
        for folder in ("bundles", "log"):
            self._store.check_writable(f"{self.model}/{folder}")

    def publish(self, files: Mapping[str, bytes], details: Mapping[str, Any], reason: str) -> int:
        """Write a bundle, then the event that makes it a version; return the version's number."""
        bundle = write_bundle(self._store, self.model, files, details)
        return int(self._append(VERSION_REGISTERED, reason, lambda state: _make_body(state, bundle)).body["version"])

    def publish_numbered(
        self, make_files: Callable[[int], Mapping[str, bytes]], details: Mapping[str, Any], reason: str
    ) -> int:
        """Publish a version whose files name its number, and return the number.

        If another writer takes the number first, a bundle with the next number is written. Garbage collection removes
        the bundle that no event names.

        Args:
            make_files: makes the files of the bundle from the number of the version.
            details: further keys of the manifest.
            reason: why, for the log.
        """
        while True:
            number = self.read_state().newest + 1
            bundle = write_bundle(self._store, self.model, make_files(number), details)
            with suppress(_NumberTakenError):
                self._append(VERSION_REGISTERED, reason, partial(_make_numbered_body, number, bundle))
                return number

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
            return self._make_alias_body(state, alias, version, judge(state, version), is_rollback=False)

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
            _, version = self.find_previous(state, alias)
            return self._make_alias_body(state, alias, version, judge(state, version), is_rollback=True)

        return self._append(ALIAS_SET, reason, make_body)

    def delete_alias(self, alias: str, reason: str) -> Event:
        """Delete an alias. It must name a version."""
        check_alias(alias)

        def make_body(state: State) -> Mapping[str, Any]:
            return {"alias": alias, "previous_version": self._require_target(state, alias)}

        return self._append(ALIAS_DELETED, reason, make_body)

    def record_signature(
        self,
        make_statement: Callable[[State], Statement],
        sign: Callable[[Statement], Mapping[str, Any]],
        reason: str,
    ) -> Event | None:
        """Record the signature of a statement about the state just before the event.

        Return None, with nothing written, if the same key has signed the same statement.
        """
        from gamesales.registry.signature import read_fingerprint

        def make_body(state: State) -> Mapping[str, Any]:
            statement = make_statement(state)
            signature = sign(statement)
            key = read_fingerprint(signature)
            if any(event.body["key"] == key for event in state.read_signatures(statement.sha256)):
                raise _NothingToDoError
            return {
                "purpose": statement.purpose,
                "version": statement.version,
                "digest": statement.digest,
                "alias": statement.alias,
                "previous": statement.previous,
                "statement_sha256": statement.sha256,
                "key": key,
                "signature": dict(signature),
                "needs_release": SIGNATURES_RELEASE,
            }

        with suppress(_NothingToDoError):
            return self._append(SIGNATURE_RECORDED, reason, make_body)
        return None

    def set_policy(self, policy: Policy, reason: str) -> Event | None:
        """Set the policy of the model. Return None, with nothing written, if it is the standing policy.

        Raises:
            NotApprovedError: the approvals are missing that the standing policy requires.
        """
        from gamesales.registry.policy import make_policy_statement, read_policy, require_approvals

        def make_body(state: State) -> Mapping[str, Any]:
            standing = read_policy(state)
            if policy == standing or (not policy.approvals and standing is None):
                raise _NothingToDoError
            statement = make_policy_statement(self.model, state, policy)
            return {
                "policy": policy.as_json(),
                "digest": policy.digest,
                "previous_policy": statement.previous,
                "approvals": require_approvals(standing, statement, state) if standing else [],
                "needs_release": SIGNATURES_RELEASE,
            }

        with suppress(_NothingToDoError):
            return self._append(POLICY_SET, reason, make_body)
        return None

    def remove(self, keys: Iterable[str]) -> None:
        """Remove files of bundles. No version in use may need them."""
        for key in keys:
            self._store.delete(key)

    def sweep(self, before: datetime, *, dry_run: bool) -> int:
        """Remove, or only count, temporary files that killed writers left before a moment."""
        return self._store.sweep(self.model, before.timestamp(), dry_run=dry_run)

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

    def _make_alias_body(
        self, state: State, alias: str, version: Version, evidence: Mapping[str, Any], *, is_rollback: bool
    ) -> dict[str, Any]:
        """Make the body of an event that sets an alias.

        Raises:
            NotApprovedError: the approvals are missing that the policy requires.
        """
        approvals = {}
        if state.index.policy:
            from gamesales.registry.policy import make_promotion_statement, read_policy, require_approvals

            if policy := read_policy(state):
                statement = make_promotion_statement(self.model, state, version, alias)
                approvals = {"approvals": require_approvals(policy, statement, state)}
        return {
            "alias": alias,
            "version": version.number,
            "digest": version.digest,
            "previous_version": state.target_of(alias),
            "previous_change": state.index.find_alias_change(alias),
            "rollback": is_rollback,
            "evidence": dict(evidence),
            **approvals,
        }


class _NothingToDoError(Exception):
    """The registry is already in the state that was requested."""


class _NumberTakenError(Exception):
    """Another writer registered a version with the number that was expected."""


def _make_numbered_body(number: int, bundle: Bundle, state: State) -> dict[str, Any]:
    body = _make_body(state, bundle)
    if body["version"] != number:
        raise _NumberTakenError
    return body


def _make_body(state: State, bundle: Bundle) -> dict[str, Any]:
    return {"version": state.newest + 1, "folder": bundle.folder, "digest": bundle.digest}
